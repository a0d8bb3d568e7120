/* Any bytes as a message, and what is in it as messages again: nothing is read beyond the end. */
#include <assert.h>

#include "codec/protobuf.h"

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_all(struct protobuf_reader reader, int depth)
{
    const uint8_t *start = reader.at, *end = reader.at + reader.left;
    struct protobuf_field field;

    while (protobuf_next(&reader, &field, NULL) > 0) {
        assert(field.number > 0 && reader.at <= end);
        if (field.type != PROTOBUF_BYTES)
            continue;
        assert(field.bytes >= start && field.bytes + field.size <= end);
        if (depth > 0)
            read_all(protobuf_inside(&field), depth - 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(map_done) struct map map = {};
    const struct protobuf_field whole = { .type = PROTOBUF_BYTES, .bytes = data, .size = size };

    if (size == 0)
        return 0;
    read_all(protobuf_read(data, size), 8);
    map_init_empty(&map, free);
    protobuf_map_entry(&whole, &map, 4, NULL);
    assert(map.count <= 1);
    return 0;
}
