/* One block; a write that does not fit into what is left of it empties it first. */
#include "base/gather.h"

#include <string.h>

#include "base/memory.h"

#include "base/banned.h"

#define BLOCK_SIZE ((size_t)128 * 1024)

static int gather_write(struct stream *stream, const void *data, size_t size, struct error *err)
{
    struct gather *gather = CONTAINER_OF(stream, struct gather, stream);

    if (gather->used + size > BLOCK_SIZE && gather_flush(gather, err) < 0)
        return -1;
    if (size >= BLOCK_SIZE)
        return stream_write(gather->out, data, size, err);
    if (size)
        memcpy(gather->block + gather->used, data, size);
    gather->used += size;
    return 0;
}

void gather_begin(struct gather *gather, struct stream *out)
{
    *gather = (struct gather){ .stream = { .write = gather_write },
                               .out = out,
                               .block = xmalloc(BLOCK_SIZE) };
}

int gather_flush(struct gather *gather, struct error *err)
{
    size_t size = gather->used;

    gather->used = 0;
    return size ? stream_write(gather->out, gather->block, size, err) : 0;
}

void gather_done(struct gather *gather)
{
    free(gather->block);
    gather->block = NULL;
}
