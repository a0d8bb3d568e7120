/* The supervisor's one epoll loop. A source is a descriptor with the function that serves it, and
 * is embedded in what it belongs to. Memory of objects with sources is freed by loop_free, at the
 * end of the round, for an event of theirs may be at hand already. */
#ifndef BERTH_SHIM_LOOP_H
#define BERTH_SHIM_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct source {
    int fd; /* -1: none */
    bool is_watched;
    uint32_t events;
    void (*ready)(struct source *source, uint32_t events);
};

struct loop {
    int epoll_fd;
    void **garbage;
    size_t garbage_count;
};

int loop_open(struct loop *loop, struct error *err);
/* Watches for EPOLL* events (0: hang-up and error are told all the same). */
void loop_watch(struct loop *loop, struct source *source, uint32_t events);
void loop_unwatch(struct loop *loop, struct source *source);
/* Unwatches and closes. A closed source is fine. */
void loop_close_source(struct loop *loop, struct source *source);
void loop_free(struct loop *loop, void *memory);
/* One round; 'timeout_ms' -1 waits for ever. Gives the number of events served. */
int loop_run(struct loop *loop, int timeout_ms);

#endif
