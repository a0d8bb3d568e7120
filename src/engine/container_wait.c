/* Those who wait for a container to end or to be gone. Each has an eventfd, so that it can also be
 * called off. */
#include <poll.h>
#include <sys/eventfd.h>

#include "base/memory.h"
#include "engine/internal.h"

#include "base/banned.h"

struct container_waiter {
    struct list link;
    struct container *container;
    enum wait_condition condition;
    int fd;
    bool is_done;
    int exit_code;
    char *error;
};

/* Container lock held. */
static void fulfil(struct container_waiter *waiter, int exit_code, const char *error)
{
    waiter->is_done = true;
    waiter->exit_code = exit_code;
    waiter->error = xstrdup(error);
    eventfd_write(waiter->fd, 1);
}

int container_wait_begin(struct container *container, enum wait_condition condition,
                         struct container_waiter **out, struct error *err)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0)
        return error_sys(err, "wait for a container");
    struct container_waiter *waiter = NEW(struct container_waiter);
    waiter->fd = fd;
    waiter->condition = condition;
    list_init(&waiter->link);
    mutex_lock(&container->lock);
    const struct container_info *info = container->info;
    if (condition == WAIT_NOT_RUNNING && !container_is_up(info) &&
        info->state != CONTAINER_RESTARTING)
        fulfil(waiter, info->exit_code, NULL);
    else if (container->is_removed)
        fulfil(waiter, info->exit_code, NULL);
    else
        list_add(&container->waiters, &waiter->link);
    mutex_unlock(&container->lock);
    waiter->container = container_ref(container);
    *out = waiter;
    return 0;
}

int engine_container_wait_begin(struct engine *engine, const char *text,
                                enum wait_condition condition, struct container_waiter **out,
                                struct error *err)
{
    CLEANUP(container_unref) struct container *container = NULL;

    if (container_find(engine, text, &container, err) < 0)
        return -1;
    return container_wait_begin(container, condition, out, err);
}

int container_waiter_finish_within(struct container_waiter *waiter, int timeout_ms, int cancel_fd,
                                   int *out_exit_code, char **out_error, struct error *err)
{
    struct pollfd fds[] = { { .fd = waiter->fd, .events = POLLIN },
                            { .fd = cancel_fd, .events = POLLIN } };

    while (poll(fds, 2, timeout_ms) < 0)
        ;
    mutex_lock(&waiter->container->lock);
    list_remove(&waiter->link);
    mutex_unlock(&waiter->container->lock);
    int result = 0;
    if (waiter->is_done) {
        *out_exit_code = waiter->exit_code;
        if (out_error)
            *out_error = TAKE(waiter->error);
    } else {
        result = error_set(err, ERROR_CANCELLED, "the wait was called off");
    }
    close(waiter->fd);
    free(waiter->error);
    container_unref(waiter->container);
    free(waiter);
    return result;
}

int container_waiter_finish(struct container_waiter *waiter, int cancel_fd, int *out_exit_code,
                            char **out_error, struct error *err)
{
    return container_waiter_finish_within(waiter, -1, cancel_fd, out_exit_code, out_error, err);
}

void container_wake_waiters(struct container *container, bool is_removal, int exit_code,
                            const char *error)
{
    mutex_lock(&container->lock);
    LIST_EACH (&container->waiters, struct container_waiter, link, waiter) {
        if (waiter->is_done || (waiter->condition == WAIT_REMOVED && !is_removal))
            continue;
        list_remove(&waiter->link);
        fulfil(waiter, exit_code, error);
    }
    mutex_unlock(&container->lock);
}
