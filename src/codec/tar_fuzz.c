/* Reads any bytes as an archive, and writes what was read: the copy must be readable. */
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "codec/tar.h"

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct collector {
    struct stream stream;
    struct buf bytes;
};

static int collect(struct stream *stream, const void *data, size_t size, struct error *err UNUSED)
{
    buf_add(&CONTAINER_OF(stream, struct collector, stream)->bytes, data, size);
    return 0;
}

/* Content is dropped: sizes may be huge, with holes. */
static int copy_entry(struct tar_reader *reader, struct tar_writer *writer, struct tar_entry *entry)
{
    const void *block;
    size_t size;
    int64_t offset;
    struct error err;
    int result;

    while ((result = tar_reader_block(reader, &block, &size, &offset, &err)) > 0)
        if (size && *(const volatile char *)block == 0 && offset < 0)
            abort();
    entry->size = 0;
    tar_writer_entry(writer, entry, &err);
    return result;
}

static size_t read_copy(const struct buf *bytes)
{
    struct error err;
    CLEANUP(tar_entry_done) struct tar_entry entry = {};
    CLEANUP(tar_reader_free)
    struct tar_reader *reader = tar_reader_new(stream_from_memory(buf_bytes(bytes), bytes->size),
                                               &err);
    size_t count = 0;
    int result = -1;

    while (reader && (result = tar_reader_next(reader, &entry, &err)) > 0)
        count++;
    if (result < 0) {
        fprintf(stderr, "entry %zu of the copy: %s\n", count, err.text);
        abort();
    }
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct collector collector = { .stream = { .write = collect } };
    struct error err;
    CLEANUP(tar_entry_done) struct tar_entry entry = {};
    CLEANUP(tar_writer_free)
    struct tar_writer *writer = tar_writer_new(&collector.stream, true, &err);
    CLEANUP(tar_reader_free)
    struct tar_reader *reader = tar_reader_new(stream_from_memory(data, size), &err);

    while (reader && tar_reader_next(reader, &entry, &err) > 0)
        if (copy_entry(reader, writer, &entry) < 0)
            break;
    if (tar_writer_finish(writer, &err) < 0)
        abort();
    read_copy(&collector.bytes);
    buf_done(&collector.bytes);
    return 0;
}
