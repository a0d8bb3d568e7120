/* A queue in front of a socket pair. */
#include "shim/log_forward.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/process.h"
#include "forward/entry.h"

#include "base/banned.h"

enum {
    PROGRAM_FD = 256, /* far above those that a starting program gets */
    READY_MS = 15000, /* for the first connection; the daemon waits longer */
    RESTART_MS = 1000,
    LAST_MS = 2000, /* for what waits at the end */
    REASON_LIMIT = 512,
};

struct log_forwarder {
    struct log_forwarder_options options;
    struct source source; /* our end */
    int program_fd, settings_fd;
    pid_t pid;                     /* 0: it is not running */
    struct buf queue;              /* whole entries, but for the first */
    bool is_dropping;              /* it took nothing for too long */
    uint64_t stall_ns, restart_ns; /* 0: not now */
};

static void watch(struct log_forwarder *forwarder)
{
    if (forwarder->source.fd >= 0)
        loop_watch(forwarder->options.loop, &forwarder->source,
                   forwarder->queue.size > 0 ? EPOLLOUT : 0);
}

bool log_forwarder_is_full(const struct log_forwarder *forwarder)
{
    return forwarder && !forwarder->options.drops && !forwarder->is_dropping &&
           forwarder->queue.size >= forwarder->options.limit_bytes;
}

/* Something was taken, or the queue has just become full. */
static void note_progress(struct log_forwarder *forwarder)
{
    bool was_full = forwarder->stall_ns != 0;

    if (forwarder->queue.size == 0) /* it really goes on */
        forwarder->is_dropping = false;
    forwarder->stall_ns = log_forwarder_is_full(forwarder)
                              ? clock_monotonic_ns() + FORWARD_STALL_MS * NS_PER_MS
                              : 0;
    if (was_full && !forwarder->stall_ns)
        forwarder->options.room(forwarder->options.data);
}

static void flush(struct log_forwarder *forwarder)
{
    while (forwarder->source.fd >= 0 && forwarder->queue.size > 0) {
        ssize_t count = send(forwarder->source.fd, buf_bytes(&forwarder->queue),
                             forwarder->queue.size, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            break; /* its end is told by its parent's SIGCHLD */
        buf_consume(&forwarder->queue, (size_t)count);
        note_progress(forwarder);
    }
    if (forwarder->queue.size == 0)
        buf_done(&forwarder->queue);
    watch(forwarder);
}

static void source_ready(struct source *source, uint32_t events)
{
    struct log_forwarder *forwarder = CONTAINER_OF(source, struct log_forwarder, source);

    if (events & EPOLLOUT)
        flush(forwarder);
    else /* it is gone; its end comes next */
        loop_unwatch(forwarder->options.loop, source);
}

/* ---- the program */

static int start(struct log_forwarder *forwarder, int *out_status_fd, struct error *err)
{
    CLEANUP(free) char *program = xasprintf("/proc/self/fd/%d", forwarder->program_fd);
    char *const arguments[] = { "berth-log", "forward", NULL };
    int pair[2], status[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return error_sys(err, "create a socket pair");
    CLEANUP(close) int ours = pair[0];
    CLEANUP(close) int theirs = pair[1];
    if (pipe2(status, O_CLOEXEC) < 0)
        return error_sys(err, "create a pipe");
    CLEANUP(close) int status_fd = status[0];
    CLEANUP(close) int their_status_fd = status[1];
    struct process_options process = { .path = program,
                                       .arguments = arguments,
                                       .fds = { theirs, their_status_fd, -1,
                                                forwarder->settings_fd },
                                       .fd_count = 4,
                                       .new_session = 1 };
    if (process_spawn(&process, &forwarder->pid, err) < 0) {
        forwarder->pid = 0;
        return -1;
    }
    forwarder->source.fd = TAKE_FD(ours);
    *out_status_fd = TAKE_FD(status_fd);
    watch(forwarder);
    return 0;
}

/* Only at the creation of the container: nobody else is served yet. */
static int wait_ready(int status_fd, struct error *err)
{
    struct pollfd ready = { .fd = status_fd, .events = POLLIN };
    char reason[REASON_LIMIT];

    if (poll(&ready, 1, READY_MS) <= 0)
        return error_set(err, ERROR_UNAVAILABLE, "the log cannot be reached in time");
    ssize_t size = fd_read_full(status_fd, reason, sizeof(reason) - 1, err);
    if (size < 0)
        return -1;
    reason[size] = '\0';
    return size > 0 ? error_set(err, ERROR_INTERNAL, "%s", reason) : 0;
}

static int keep(struct log_forwarder *forwarder, struct error *err)
{
    const struct log_forwarder_options *options = &forwarder->options;
    CLEANUP(close) int program_fd = options->program_fd;

    forwarder->program_fd = program_fd >= 0 ? fcntl(program_fd, F_DUPFD_CLOEXEC, PROGRAM_FD) : -1;
    forwarder->settings_fd = memfd_create("settings", MFD_CLOEXEC);
    if (forwarder->program_fd < 0)
        return error_set(err, ERROR_INTERNAL, "the program berth-log is missing");
    if (forwarder->settings_fd < 0)
        return error_sys(err, "create a file");
    return fd_write_all(forwarder->settings_fd, options->settings, options->settings_size, err);
}

int log_forwarder_new(const struct log_forwarder_options *options, struct log_forwarder **out,
                      struct error *err)
{
    struct log_forwarder *forwarder = NEW(struct log_forwarder);
    CLEANUP(close) int status_fd = -1;

    forwarder->options = *options;
    forwarder->source = (struct source){ .fd = -1, .ready = source_ready };
    forwarder->settings_fd = -1;
    if (keep(forwarder, err) < 0 || start(forwarder, &status_fd, err) < 0 ||
        wait_ready(status_fd, err) < 0) {
        log_forwarder_free(forwarder);
        return -1;
    }
    *out = forwarder;
    return 0;
}

bool log_forwarder_ended(struct log_forwarder *forwarder, pid_t pid)
{
    if (!forwarder || pid != forwarder->pid)
        return false;
    forwarder->pid = 0;
    loop_close_source(forwarder->options.loop, &forwarder->source);
    /* The rest of an entry that it had begun to take means nothing to the next one. */
    buf_done(&forwarder->queue);
    note_progress(forwarder);
    forwarder->restart_ns = clock_monotonic_ns() + RESTART_MS * NS_PER_MS;
    return true;
}

/* ---- entries */

void log_forwarder_add(struct log_forwarder *forwarder, bool is_stderr, bool is_partial,
                       const char *text, size_t size, int64_t wall_ns)
{
    struct forward_entry entry = {
        .size = (uint32_t)size, .is_stderr = is_stderr, .is_partial = is_partial, .wall_ns = wall_ns
    };

    if (!forwarder || size > FORWARD_TEXT_LIMIT)
        return;
    bool must_drop = forwarder->options.drops || forwarder->is_dropping;
    if (must_drop && forwarder->queue.size >= forwarder->options.limit_bytes)
        return;
    buf_add(&forwarder->queue, &entry, sizeof(entry));
    buf_add(&forwarder->queue, text, size);
    flush(forwarder);
    if (!forwarder->stall_ns && log_forwarder_is_full(forwarder))
        note_progress(forwarder);
}

uint64_t log_forwarder_deadline(const struct log_forwarder *forwarder)
{
    if (!forwarder)
        return 0;
    return forwarder->restart_ns ? forwarder->restart_ns : forwarder->stall_ns;
}

void log_forwarder_expire(struct log_forwarder *forwarder, uint64_t now_ns)
{
    if (!forwarder)
        return;
    if (forwarder->stall_ns && now_ns >= forwarder->stall_ns) {
        forwarder->stall_ns = 0;
        forwarder->is_dropping = true;
        forwarder->options.room(forwarder->options.data);
    }
    if (forwarder->restart_ns && now_ns >= forwarder->restart_ns) {
        CLEANUP(close) int status_fd = -1;

        forwarder->restart_ns = 0;
        if (start(forwarder, &status_fd, NULL) < 0)
            forwarder->restart_ns = now_ns + RESTART_MS * NS_PER_MS;
    }
}

static void hand_over_rest(struct log_forwarder *forwarder)
{
    uint64_t end_ns = clock_monotonic_ns() + LAST_MS * NS_PER_MS;

    while (forwarder->source.fd >= 0 && forwarder->queue.size > 0) {
        struct pollfd room = { .fd = forwarder->source.fd, .events = POLLOUT };
        uint64_t now_ns = clock_monotonic_ns();

        if (now_ns >= end_ns || poll(&room, 1, (int)((end_ns - now_ns) / NS_PER_MS) + 1) <= 0 ||
            (room.revents & (POLLHUP | POLLERR)))
            return;
        flush(forwarder);
    }
}

void log_forwarder_free(struct log_forwarder *forwarder)
{
    if (!forwarder)
        return;
    hand_over_rest(forwarder);
    loop_close_source(forwarder->options.loop, &forwarder->source);
    close_cleanup(&forwarder->program_fd);
    close_cleanup(&forwarder->settings_fd);
    buf_done(&forwarder->queue);
    free(forwarder);
}
