/* A ring of blocks. Bytes are copied outside of the lock: a block belongs to the writer until it is
 * handed over, and to the reader until it is given back. */
#include "base/pump.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/thread.h"

#include "base/banned.h"

enum { BLOCK_COUNT = 4, BLOCK_SIZE = 256 * 1024 };

struct block {
    size_t size;
    char *bytes;
};

struct pump {
    struct stream reading, writing;
    int (*write)(void *data, struct stream *out, struct error *err);
    void *data;
    pthread_t thread;
    struct block blocks[BLOCK_COUNT];
    size_t filled, used;   /* blocks so far, bytes of the next one: the writer's */
    size_t emptied, taken; /* the same of the reader */
    struct mutex lock;
    struct condition changed;
    size_t given GUARDED_BY(lock), returned GUARDED_BY(lock);
    bool is_over GUARDED_BY(lock);   /* nothing more comes */
    bool is_closed GUARDED_BY(lock); /* nobody reads */
    struct error failure GUARDED_BY(lock);
};

/* ---- the writer ---- */

static void hand_over(struct pump *pump)
{
    pump->blocks[pump->filled++ % BLOCK_COUNT].size = pump->used;
    pump->used = 0;
    mutex_lock(&pump->lock);
    pump->given = pump->filled;
    condition_signal(&pump->changed);
    mutex_unlock(&pump->lock);
}

static int await_room(struct pump *pump, struct error *err)
{
    mutex_lock(&pump->lock);
    while (pump->given - pump->returned == BLOCK_COUNT && !pump->is_closed)
        condition_wait(&pump->changed, &pump->lock);
    bool is_closed = pump->is_closed;
    mutex_unlock(&pump->lock);
    return is_closed ? error_set(err, ERROR_CANCELLED, "nobody reads on") : 0;
}

static int pump_write(struct stream *stream, const void *data, size_t size, struct error *err)
{
    struct pump *pump = CONTAINER_OF(stream, struct pump, writing);
    const char *from = data;

    while (size) {
        size_t part = MIN(size, BLOCK_SIZE - pump->used);

        if (pump->used == 0 && await_room(pump, err) < 0)
            return -1;
        memcpy(pump->blocks[pump->filled % BLOCK_COUNT].bytes + pump->used, from, part);
        pump->used += part;
        from += part;
        size -= part;
        if (pump->used == BLOCK_SIZE)
            hand_over(pump);
    }
    return 0;
}

static void *run(void *data)
{
    struct pump *pump = data;
    struct error failure = {};
    int result = pump->write(pump->data, &pump->writing, &failure);

    if (pump->used)
        hand_over(pump);
    mutex_lock(&pump->lock);
    pump->is_over = true;
    if (result < 0)
        pump->failure = failure;
    condition_signal(&pump->changed);
    mutex_unlock(&pump->lock);
    return NULL;
}

/* ---- the reader ---- */

/* 1: there is a block; 0: the end. */
static int await_block(struct pump *pump, struct error *err)
{
    mutex_lock(&pump->lock);
    while (pump->given == pump->returned && !pump->is_over)
        condition_wait(&pump->changed, &pump->lock);
    int result = pump->given > pump->returned ? 1 : pump->failure.kind == ERROR_NONE ? 0 : -1;
    if (result < 0 && err)
        *err = pump->failure;
    mutex_unlock(&pump->lock);
    return result;
}

static void give_back(struct pump *pump)
{
    pump->emptied++;
    pump->taken = 0;
    mutex_lock(&pump->lock);
    pump->returned = pump->emptied;
    condition_signal(&pump->changed);
    mutex_unlock(&pump->lock);
}

static ssize_t pump_read(struct stream *stream, void *data, size_t size, struct error *err)
{
    struct pump *pump = CONTAINER_OF(stream, struct pump, reading);
    const struct block *block = &pump->blocks[pump->emptied % BLOCK_COUNT];
    int found = await_block(pump, err);

    if (found <= 0)
        return found;
    size_t part = MIN(size, block->size - pump->taken);
    memcpy(data, block->bytes + pump->taken, part);
    pump->taken += part;
    if (pump->taken == block->size)
        give_back(pump);
    return (ssize_t)part;
}

static void pump_free(struct pump *pump)
{
    for (size_t i = 0; i < BLOCK_COUNT; i++)
        free(pump->blocks[i].bytes);
    condition_done(&pump->changed);
    mutex_done(&pump->lock);
    free(pump);
}

static void pump_close(struct stream *stream)
{
    struct pump *pump = CONTAINER_OF(stream, struct pump, reading);

    mutex_lock(&pump->lock);
    pump->is_closed = true;
    condition_signal(&pump->changed);
    mutex_unlock(&pump->lock);
    pthread_join(pump->thread, NULL);
    pump_free(pump);
}

struct stream *pump_start(int (*write)(void *data, struct stream *out, struct error *err),
                          void *data, struct error *err)
{
    struct pump *pump = NEW(struct pump);

    pump->reading = (struct stream){ .read = pump_read, .close = pump_close };
    pump->writing = (struct stream){ .write = pump_write };
    pump->write = write;
    pump->data = data;
    mutex_init(&pump->lock);
    condition_init(&pump->changed);
    for (size_t i = 0; i < BLOCK_COUNT; i++)
        pump->blocks[i].bytes = xmalloc(BLOCK_SIZE);
    if (thread_start("pump", run, pump, &pump->thread, err) < 0) {
        pump_free(pump);
        return NULL;
    }
    return &pump->reading;
}
