/* Bytes that grow at the end and are consumed at the front. A zeroed struct is empty. */
#ifndef BERTH_BASE_BUF_H
#define BERTH_BASE_BUF_H

#include <stdint.h>

#include "base/macros.h"

struct buf {
    uint8_t *memory;
    size_t start; /* of the bytes that are there */
    size_t size;  /* bytes that are there */
    size_t capacity;
};

static inline const uint8_t *buf_bytes(const struct buf *buf)
{
    return buf->start ? buf->memory + buf->start : buf->memory; /* NULL + 0 is undefined */
}

void buf_add(struct buf *buf, const void *bytes, size_t size);

/* Room for 'size' bytes behind the last one; after writing n of them there, call buf_grow(buf, n).
 */
uint8_t *buf_room(struct buf *buf, size_t size);
void buf_grow(struct buf *buf, size_t size);

void buf_consume(struct buf *buf, size_t size); /* drops bytes at the front */
void buf_clear(struct buf *buf);
void buf_done(struct buf *buf);
CLEANUP_VALUE(buf_done, struct buf)

#endif
