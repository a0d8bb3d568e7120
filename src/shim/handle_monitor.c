/* The one thread that reads what all supervisors have to say: replies are handed to the threads
 * that wait for them, events are told to the engine. */
#include "shim/handle.h"

#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/file.h"
#include "base/memory.h"

#include "base/banned.h"

enum {
    EVENTS_AT_ONCE = 64,  /* of epoll */
    MESSAGES_AT_ONCE = 32 /* of one supervisor, then the others have their turn */
};

/* ---- one supervisor */

static void take_reply(struct shim *shim, struct wire_message *reply)
{
    mutex_lock(&shim->lock);
    LIST_EACH (&shim->calls, struct call, link, call) {
        if (call->number != reply->number || call->is_done)
            continue;
        if (call->type == WIRE_CREATE || call->type == WIRE_HELLO)
            shim->pid = wire_get_int(reply, WIRE_FIELD_STATE, 0) == WIRE_STATE_EXITED
                            ? 0
                            : (pid_t)wire_get_int(reply, WIRE_FIELD_PID, 0);
        *call->reply = *reply;
        *reply = (struct wire_message){};
        call->is_done = true;
        condition_signal(&call->done);
        break;
    }
    mutex_unlock(&shim->lock);
}

static void tell_exited(struct shim *shim, const struct wire_message *event, const char *exec_id)
{
    const struct shim_events *events = &shim->monitor->events;

    if (!exec_id) {
        mutex_lock(&shim->lock);
        shim->pid = 0;
        mutex_unlock(&shim->lock);
    }
    if (events->exited)
        events->exited(events->data, shim->container_id, exec_id,
                       (int)wire_get_int(event, WIRE_FIELD_EXIT_CODE, -1),
                       wire_get_bool(event, WIRE_FIELD_OOM_KILLED),
                       wire_get_int(event, WIRE_FIELD_WALL_NS, 0));
}

static void take_message(struct shim *shim, struct wire_message *message)
{
    const struct shim_events *events = &shim->monitor->events;
    const char *exec_id = wire_get_text(message, WIRE_FIELD_EXEC_ID);

    switch (message->type) {
    case WIRE_REPLY:
        take_reply(shim, message);
        break;
    case WIRE_EXITED:
        tell_exited(shim, message, exec_id);
        break;
    case WIRE_OUT_OF_MEMORY:
        if (events->out_of_memory)
            events->out_of_memory(events->data, shim->container_id,
                                  wire_get_int(message, WIRE_FIELD_WALL_NS, 0));
        break;
    case WIRE_DETACHED:
        if (events->detached)
            events->detached(events->data, shim->container_id, exec_id);
        break;
    case WIRE_REPLACED:
        handle_expect_end(shim);
        break;
    default: /* of a newer supervisor */
        break;
    }
}

static void connection_ended(struct shim *shim)
{
    const struct shim_events *events = &shim->monitor->events;

    epoll_ctl(shim->monitor->epoll_fd, EPOLL_CTL_DEL, shim->fd, NULL);
    mutex_lock(&shim->lock);
    pid_t lost_pid = shim->is_ending ? 0 : shim->pid;
    shim->is_closed = true;
    shim->pid = 0;
    LIST_EACH (&shim->calls, struct call, link, call) {
        if (call->is_done)
            continue;
        call->is_done = call->is_failed = true;
        condition_signal(&call->done);
    }
    mutex_unlock(&shim->lock);
    if (lost_pid > 0 && events->lost)
        events->lost(events->data, shim->container_id, lost_pid);
}

static void read_shim(struct shim *shim)
{
    for (int i = 0; i < MESSAGES_AT_ONCE; i++) {
        CLEANUP(wire_done) struct wire_message message = {};
        struct error err = {};
        int result = wire_receive(shim->fd, &message, &err);

        if (result < 0 && err.sys == EAGAIN)
            return;
        if (result <= 0) {
            connection_ended(shim);
            return;
        }
        take_message(shim, &message);
    }
}

/* A handle whose last reference went while epoll was returning its event is left alone. */
static bool shim_ref_if_alive(struct shim_monitor *monitor, struct shim *shim)
{
    mutex_lock(&monitor->lock);
    bool alive = shim->references > 0;
    if (alive)
        shim->references++;
    mutex_unlock(&monitor->lock);
    return alive;
}

/* ---- supervisors that end */

int monitor_add_child(struct shim_monitor *monitor, pid_t pid, struct error *err)
{
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);

    if (pidfd < 0)
        return error_sys(err, "open process %d", (int)pid);
    struct child *child = NEW(struct child);
    child->monitored.kind = MONITORED_CHILD;
    child->pid = pid;
    child->pidfd = pidfd;
    mutex_lock(&monitor->lock);
    list_add(&monitor->children, &child->link);
    mutex_unlock(&monitor->lock);
    return monitor_add(monitor, &child->monitored, pidfd, err);
}

void monitor_kill_child(struct shim_monitor *monitor, pid_t pid)
{
    mutex_lock(&monitor->lock);
    LIST_EACH (&monitor->children, struct child, link, child)
        if (child->pid == pid)
            syscall(SYS_pidfd_send_signal, child->pidfd, SIGKILL, NULL, 0);
    mutex_unlock(&monitor->lock);
}

static void reap(struct shim_monitor *monitor, struct child *child)
{
    siginfo_t ignored;

    /* Closing is not enough: a child that another thread spawns just now has the descriptor too,
     * until its exec, and epoll watches as long as anybody has it. */
    epoll_ctl(monitor->epoll_fd, EPOLL_CTL_DEL, child->pidfd, NULL);
    waitid((idtype_t)P_PIDFD, (id_t)child->pidfd, &ignored, WEXITED | WNOHANG);
    mutex_lock(&monitor->lock);
    list_remove(&child->link);
    mutex_unlock(&monitor->lock);
    close(child->pidfd);
    free(child);
}

/* ---- the thread */

int monitor_add(struct shim_monitor *monitor, struct monitored *monitored, int fd,
                struct error *err)
{
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = monitored };

    if (epoll_ctl(monitor->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
        return error_sys(err, "watch a supervisor");
    return 0;
}

static void free_dead(struct shim_monitor *monitor)
{
    struct list dead;

    list_init(&dead);
    mutex_lock(&monitor->lock);
    LIST_EACH (&monitor->dead, struct shim, link, shim) {
        list_remove(&shim->link);
        list_add(&dead, &shim->link);
    }
    mutex_unlock(&monitor->lock);
    LIST_EACH (&dead, struct shim, link, shim) {
        mutex_done(&shim->lock);
        free(shim->container_id);
        free(shim);
    }
}

static void handle_event(struct shim_monitor *monitor, struct monitored *monitored)
{
    if (monitored->kind == MONITORED_CHILD) {
        reap(monitor, CONTAINER_OF(monitored, struct child, monitored));
        return;
    }
    struct shim *shim = CONTAINER_OF(monitored, struct shim, monitored);
    if (!shim_ref_if_alive(monitor, shim))
        return;
    read_shim(shim);
    shim_unref(shim);
}

static bool is_stopping(struct shim_monitor *monitor)
{
    mutex_lock(&monitor->lock);
    bool stopping = monitor->is_stopping;
    mutex_unlock(&monitor->lock);
    return stopping;
}

static void *monitor_run(void *data)
{
    struct shim_monitor *monitor = data;
    struct epoll_event events[EVENTS_AT_ONCE];

    while (!is_stopping(monitor)) {
        free_dead(monitor);
        int count = epoll_wait(monitor->epoll_fd, events, EVENTS_AT_ONCE, -1);
        for (int i = 0; i < count; i++)
            if (events[i].data.ptr) /* NULL: stop_fd */
                handle_event(monitor, events[i].data.ptr);
    }
    return NULL;
}

static int open_monitor(struct shim_monitor *monitor, struct error *err)
{
    struct epoll_event stop = { .events = EPOLLIN };

    monitor->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    monitor->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (monitor->epoll_fd < 0 || monitor->stop_fd < 0 ||
        epoll_ctl(monitor->epoll_fd, EPOLL_CTL_ADD, monitor->stop_fd, &stop) < 0)
        return error_sys(err, "set up the supervisors' monitor");
    if (dir_make(monitor->sockets_path, 0700, err) < 0)
        return -1;
    return thread_start("shims", monitor_run, monitor, &monitor->thread, err);
}

int shim_monitor_new(const char *run_path, const struct shim_events *events,
                     struct shim_monitor **out, struct error *err)
{
    struct shim_monitor *monitor = NEW(struct shim_monitor);

    mutex_init(&monitor->lock);
    list_init(&monitor->children);
    list_init(&monitor->dead);
    monitor->references = 1;
    monitor->epoll_fd = monitor->stop_fd = -1;
    monitor->events = *events;
    monitor->run_path = xstrdup(run_path);
    monitor->sockets_path = path_join(run_path, "shims");
    if (open_monitor(monitor, err) < 0) {
        monitor_unref(monitor);
        return -1;
    }
    *out = monitor;
    return 0;
}

/* Children that still run become children of the machine's init when the daemon ends. */
static void free_children(struct shim_monitor *monitor)
{
    LIST_EACH (&monitor->children, struct child, link, child) {
        list_remove(&child->link);
        close(child->pidfd);
        free(child);
    }
}

void monitor_unref(struct shim_monitor *monitor)
{
    mutex_lock(&monitor->lock);
    bool last = --monitor->references == 0;
    mutex_unlock(&monitor->lock);
    if (!last)
        return;
    free_dead(monitor);
    free_children(monitor);
    close_cleanup(&monitor->epoll_fd);
    close_cleanup(&monitor->stop_fd);
    mutex_done(&monitor->lock);
    free(monitor->run_path);
    free(monitor->sockets_path);
    free(monitor);
}

void shim_monitor_free(struct shim_monitor *monitor)
{
    if (!monitor)
        return;
    mutex_lock(&monitor->lock);
    monitor->is_stopping = true;
    mutex_unlock(&monitor->lock);
    eventfd_write(monitor->stop_fd, 1);
    pthread_join(monitor->thread, NULL);
    monitor_unref(monitor);
}
