/* Any bytes can be inflated or are refused. The first byte chooses how they are cut into reads. */
#include <stdlib.h>

#include "base/memory.h"
#include "codec/compress.h"

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct pieces {
    struct stream stream;
    const uint8_t *data;
    size_t size, step;
};

static ssize_t pieces_read(struct stream *stream, void *data, size_t size, struct error *err UNUSED)
{
    struct pieces *self = CONTAINER_OF(stream, struct pieces, stream);
    size_t count = MIN(MIN(size, self->size), self->step);
    uint8_t *to = data;

    for (size_t i = 0; i < count; i++)
        to[i] = self->data[i];
    self->data += count;
    self->size -= count;
    return (ssize_t)count;
}

static void pieces_close(struct stream *stream)
{
    free(CONTAINER_OF(stream, struct pieces, stream));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t block[64 * 1024];
    struct error err;
    enum compression detected;

    if (!size)
        return 0;
    struct pieces *pieces = NEW(struct pieces);
    *pieces = (struct pieces){
        { .read = pieces_read, .close = pieces_close }, data + 1, size - 1, 1 + (data[0] & 0x7f)
    };
    CLEANUP(stream_close)
    struct stream *stream = stream_inflate(
        &pieces->stream, (struct inflate_limits){ .output_bytes = 1 << 24 }, &detected, &err);
    size_t step = data[0] & 0x80 ? sizeof(block) : 17;
    ssize_t count;
    while ((count = stream_read(stream, block, step, &err)) > 0)
        if ((size_t)count > step)
            abort();
    return 0;
}
