/* Any bytes as frames, in pieces of a size that the first byte says: whatever the pieces are, the
 * same comes out. */
#include <assert.h>
#include <string.h>

#include "base/buf.h"
#include "http/websocket.h"

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool read_all(const uint8_t *data, size_t size, size_t step, struct buf *out)
{
    struct websocket_reader reader = {};
    uint8_t piece[256];

    for (size_t at = 0; at < size; at += step) {
        size_t left = MIN(step, size - at), used;

        memcpy(piece, data + at, left);
        for (uint8_t *next = piece;; next += used, left -= used) {
            struct websocket_part part;

            if (websocket_read(&reader, next, left, &used, &part, NULL) < 0)
                return false;
            assert(used <= left);
            if (part.event == WEBSOCKET_NOTHING)
                break;
            assert(part.event != WEBSOCKET_CONTROL || part.size <= WEBSOCKET_CONTROL_SIZE);
            buf_add(out, part.data, part.size);
        }
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(buf_done) struct buf one = {}, other = {};

    if (size == 0)
        return 0;
    bool is_whole = read_all(data + 1, size - 1, (size_t)data[0] + 1, &one);
    assert(read_all(data + 1, size - 1, 1, &other) == is_whole);
    assert(!is_whole ||
           (one.size == other.size &&
            (one.size == 0 || memcmp(buf_bytes(&one), buf_bytes(&other), one.size) == 0)));
    return 0;
}
