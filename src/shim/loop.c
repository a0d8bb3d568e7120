/* epoll, level-triggered. */
#include "shim/loop.h"

#include <sys/epoll.h>

#include "base/memory.h"

#include "base/banned.h"

enum { EVENTS_AT_ONCE = 16 };

int loop_open(struct loop *loop, struct error *err)
{
    *loop = (struct loop){ .epoll_fd = epoll_create1(EPOLL_CLOEXEC) };
    return loop->epoll_fd < 0 ? error_sys(err, "create epoll") : 0;
}

void loop_watch(struct loop *loop, struct source *source, uint32_t events)
{
    struct epoll_event event = { .events = events, .data.ptr = source };

    if (source->fd < 0 || (source->is_watched && source->events == events))
        return;
    epoll_ctl(loop->epoll_fd, source->is_watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, source->fd,
              &event);
    source->is_watched = true;
    source->events = events;
}

void loop_unwatch(struct loop *loop, struct source *source)
{
    if (source->fd >= 0 && source->is_watched)
        epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
    source->is_watched = false;
}

void loop_close_source(struct loop *loop, struct source *source)
{
    loop_unwatch(loop, source);
    if (source->fd >= 0)
        close(source->fd);
    source->fd = -1;
}

void loop_free(struct loop *loop, void *memory)
{
    loop->garbage = xrealloc(loop->garbage, loop->garbage_count + 1, sizeof(void *));
    loop->garbage[loop->garbage_count++] = memory;
}

int loop_run(struct loop *loop, int timeout_ms)
{
    struct epoll_event events[EVENTS_AT_ONCE];
    int count = epoll_wait(loop->epoll_fd, events, EVENTS_AT_ONCE, timeout_ms);

    for (int i = 0; i < count; i++) {
        struct source *source = events[i].data.ptr;

        /* Another source's function may have closed or unwatched this one. */
        if (source->is_watched)
            source->ready(source, events[i].events);
    }
    for (size_t i = 0; i < loop->garbage_count; i++)
        free(loop->garbage[i]);
    free(TAKE(loop->garbage));
    loop->garbage_count = 0;
    return count;
}
