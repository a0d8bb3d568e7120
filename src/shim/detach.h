/* The key sequence that detaches a client from a terminal (ctrl-p ctrl-q), found in its input. The
 * bytes of a sequence that has begun are held back; they go on when it turns out to be something
 * else, and are swallowed when it is complete. */
#ifndef BERTH_SHIM_DETACH_H
#define BERTH_SHIM_DETACH_H

#include <stdbool.h>

#include "base/buf.h"

#define DETACH_KEYS_LIMIT 64

struct detach_keys {
    uint8_t bytes[DETACH_KEYS_LIMIT];
    size_t size, matched;
};

/* Adds to 'out' what goes on to the process. True: the sequence is complete, the rest is dropped.
 */
bool detach_filter(struct detach_keys *keys, const void *data, size_t size, struct buf *out);

#endif
