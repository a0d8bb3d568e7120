/* A byte queue in one block: consumed bytes are moved away when room is needed. */
#include "base/buf.h"

#include <assert.h>
#include <string.h>

#include "base/memory.h"

#include "base/banned.h"

enum { FIRST_CAPACITY = 256 };

uint8_t *buf_room(struct buf *buf, size_t size)
{
    if (buf->start + buf->size + size > buf->capacity && buf->start) {
        memmove(buf->memory, buf->memory + buf->start, buf->size);
        buf->start = 0;
    }
    if (buf->size + size > buf->capacity) {
        size_t capacity = buf->capacity ? buf->capacity : FIRST_CAPACITY;

        while (capacity < buf->size + size)
            capacity *= 2;
        buf->memory = xrealloc(buf->memory, capacity, 1);
        buf->capacity = capacity;
    }
    return buf->memory + buf->start + buf->size;
}

void buf_grow(struct buf *buf, size_t size)
{
    assert(buf->start + buf->size + size <= buf->capacity);
    buf->size += size;
}

void buf_add(struct buf *buf, const void *bytes, size_t size)
{
    if (!size)
        return;
    memcpy(buf_room(buf, size), bytes, size);
    buf->size += size;
}

void buf_consume(struct buf *buf, size_t size)
{
    assert(size <= buf->size);
    buf->start += size;
    buf->size -= size;
    if (!buf->size)
        buf->start = 0;
}

void buf_clear(struct buf *buf)
{
    buf->start = buf->size = 0;
}

void buf_done(struct buf *buf)
{
    free(buf->memory);
    *buf = (struct buf){};
}
