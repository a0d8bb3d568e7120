/* Any bytes as a message: what is accepted must be walked, read and encoded back to the same. */
#include <assert.h>
#include <string.h>

#include "shim/wire.h"

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(wire_done) struct wire_message message = {};
    CLEANUP(buf_done) struct buf encoded = {}, blob = {};
    struct wire_value value;
    struct error err = {};
    size_t position = 0, text_size;

    if (wire_decode(data, size, &message, &err) < 0)
        return 0;
    while (wire_next(&message, &position, &value)) {
        enum wire_field field = (enum wire_field)value.field;
        const char *text = wire_get_text(&message, field);

        assert(!text || strlen(text) + 1 <= size);
        assert(wire_get_bytes(&message, field, &text_size));
        wire_get_int(&message, field, -1);
        wire_get_blob(&message, field, &blob, &err);
        assert(wire_take_fd(&message, field) == -1);
    }
    wire_get_error(&message, &err);
    wire_encode(&message, &encoded);
    assert(encoded.size == size);
    assert(memcmp(buf_bytes(&encoded) + 8, data + 8, size - 8) == 0);
    return 0;
}
