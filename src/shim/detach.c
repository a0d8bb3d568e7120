/* The sequence is searched as any text in a stream: after a mismatch, what was held is tried again
 * from its second byte on, so that ctrl-p ctrl-p ctrl-q detaches too. */
#include "shim/detach.h"

#include <string.h>

#include "base/banned.h"

/* The longest beginning of the sequence that ends 'matched' of its bytes plus 'byte'. What is no
 * part of it any more goes on. */
static void mismatch(struct detach_keys *keys, uint8_t byte, struct buf *out)
{
    while (keys->matched > 0 && keys->bytes[keys->matched] != byte) {
        size_t shift = 1;

        while (shift < keys->matched &&
               memcmp(keys->bytes, keys->bytes + shift, keys->matched - shift) != 0)
            shift++;
        buf_add(out, keys->bytes, shift);
        keys->matched -= shift;
    }
    if (keys->bytes[keys->matched] == byte)
        keys->matched++;
    else
        buf_add(out, &byte, 1);
}

bool detach_filter(struct detach_keys *keys, const void *data, size_t size, struct buf *out)
{
    const uint8_t *bytes = data;

    if (keys->size == 0) {
        buf_add(out, data, size);
        return false;
    }
    for (size_t i = 0; i < size; i++) {
        mismatch(keys, bytes[i], out);
        if (keys->matched == keys->size)
            return true;
    }
    return false;
}
