/* The loop of a supervisor: the daemon's connection, signals, timers, and the end. */
#include "shim/supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "linux/cgroup.h"
#include "shim/attach.h"
#include "shim/exec.h"
#include "shim/log_forward.h"
#include "shim/request.h"
#include "shim/resolver.h"
#include "shim/task.h"

#include "base/banned.h"

enum {
    WIRE_FD = 3, /* as handle_spawn.c passes them */
    LISTEN_FD = 4,
    REST_MS = 1000,     /* without output, until buffers are given back */
    END_MS = 15000,     /* for clients to take their last bytes */
    OUTBOX_LIMIT = 256, /* messages that a daemon does not read */
    MMAP_THRESHOLD = 64 * 1024,
    FIRST_REALTIME_SIGNAL = 32, /* as the kernel counts */
};

/* ---- memory */

char *supervisor_buffer(struct supervisor *shim)
{
    if (!shim->buffer)
        shim->buffer = xmalloc(SUPERVISOR_BUFFER_SIZE);
    shim->rest_ns = clock_monotonic_ns() + REST_MS * NS_PER_MS;
    return shim->buffer;
}

/* The code that made the container is not needed for waiting: its pages go back to the page cache
 * and come again when they are wanted. Segments that were never written only. */
static int release_code(struct dl_phdr_info *info, size_t size UNUSED, void *data UNUSED)
{
    uintptr_t page_size = (uintptr_t)sysconf(_SC_PAGESIZE);

    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        uintptr_t start = info->dlpi_addr + segment->p_vaddr, end = start + segment->p_memsz;

        if (segment->p_type != PT_LOAD || (segment->p_flags & PF_W))
            continue;
        start &= ~(page_size - 1);
        end = (end + page_size - 1) & ~(page_size - 1);
        madvise((void *)start, end - start, MADV_DONTNEED);
    }
    return 0;
}

static void rest(struct supervisor *shim)
{
    free(TAKE(shim->buffer));
    log_writer_rest(shim->log);
    malloc_trim(0);
    dl_iterate_phdr(release_code, NULL);
    shim->rest_ns = 0;
}

/* ---- the daemon */

struct letter {
    struct list link;
    struct buf bytes;
};

/* Also what was still to be answered. */
static void drop_outbox(struct supervisor *shim)
{
    exec_forget_daemon(shim);
    LIST_EACH (&shim->outbox, struct letter, link, letter) {
        list_remove(&letter->link);
        buf_done(&letter->bytes);
        free(letter);
    }
    shim->outbox_count = 0;
}

static void drop_daemon(struct supervisor *shim)
{
    loop_close_source(&shim->loop, &shim->daemon);
    drop_outbox(shim);
    if (!shim->init) /* nobody will ask for a container any more */
        shim->is_over = true;
}

static void put_off(struct supervisor *shim, const struct wire_message *message)
{
    if (shim->outbox_count == OUTBOX_LIMIT) {
        drop_daemon(shim);
        return;
    }
    struct letter *letter = NEW(struct letter);
    wire_encode(message, &letter->bytes);
    list_add(&shim->outbox, &letter->link);
    shim->outbox_count++;
    loop_watch(&shim->loop, &shim->daemon, EPOLLIN | EPOLLOUT);
}

void supervisor_send(struct supervisor *shim, const struct wire_message *message)
{
    struct error err = {};

    if (shim->daemon.fd < 0)
        return;
    if (list_is_empty(&shim->outbox) && wire_send(shim->daemon.fd, message, &err) == 0)
        return;
    if (err.sys == 0 || err.sys == EAGAIN)
        put_off(shim, message);
    /* Otherwise the peer is gone, which its end of file will say. */
}

static void send_outbox(struct supervisor *shim)
{
    LIST_EACH (&shim->outbox, struct letter, link, letter) {
        if (send(shim->daemon.fd, buf_bytes(&letter->bytes), letter->bytes.size,
                 MSG_NOSIGNAL | MSG_DONTWAIT) < 0 &&
            errno == EAGAIN)
            return;
        list_remove(&letter->link);
        buf_done(&letter->bytes);
        free(letter);
        shim->outbox_count--;
    }
    loop_watch(&shim->loop, &shim->daemon, EPOLLIN);
}

void supervisor_tell(struct supervisor *shim, enum wire_type event, const char *exec_id)
{
    CLEANUP(wire_done) struct wire_message message = {};

    wire_init(&message, event, 0);
    wire_put_text(&message, WIRE_FIELD_EXEC_ID, exec_id);
    wire_put_int(&message, WIRE_FIELD_WALL_NS, clock_wall_ns());
    supervisor_send(shim, &message);
}

static void daemon_ready(struct source *source, uint32_t events)
{
    struct supervisor *shim = CONTAINER_OF(source, struct supervisor, daemon);
    CLEANUP(wire_done) struct wire_message request = {};
    struct error err = {};

    if (events & EPOLLOUT)
        send_outbox(shim);
    if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        return;
    int result = wire_receive(source->fd, &request, &err);
    if (result > 0)
        request_serve(shim, &request);
    else if (result == 0 || err.sys != EAGAIN)
        drop_daemon(shim);
}

static bool is_trusted(int fd)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
           (peer.uid == 0 || peer.uid == geteuid());
}

/* Who only connects, to see whether somebody is here, replaces nobody. */
static void listener_ready(struct source *source, uint32_t events UNUSED)
{
    struct supervisor *shim = CONTAINER_OF(source, struct supervisor, listener);
    CLEANUP(close) int fd = accept4(source->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0 || !is_trusted(fd))
        return;
    loop_close_source(&shim->loop, &shim->candidate);
    shim->candidate.fd = TAKE_FD(fd);
    loop_watch(&shim->loop, &shim->candidate, EPOLLIN);
}

static void replace_daemon(struct supervisor *shim)
{
    if (shim->daemon.fd >= 0)
        supervisor_tell(shim, WIRE_REPLACED, NULL);
    loop_close_source(&shim->loop, &shim->daemon);
    drop_outbox(shim);
    loop_unwatch(&shim->loop, &shim->candidate);
    shim->daemon.fd = TAKE_FD(shim->candidate.fd);
    loop_watch(&shim->loop, &shim->daemon, EPOLLIN);
}

static void candidate_ready(struct source *source, uint32_t events UNUSED)
{
    struct supervisor *shim = CONTAINER_OF(source, struct supervisor, candidate);
    CLEANUP(wire_done) struct wire_message request = {};
    struct error err = {};
    int result = wire_receive(source->fd, &request, &err);

    if (result > 0) {
        replace_daemon(shim);
        request_serve(shim, &request);
    } else if (result == 0 || err.sys != EAGAIN)
        loop_close_source(&shim->loop, source);
}

/* ---- processes */

struct task *supervisor_find(struct supervisor *shim, const char *exec_id)
{
    if (!exec_id)
        return shim->init;
    LIST_EACH (&shim->execs, struct task, link, task)
        if (strcmp(task->exec_id, exec_id) == 0)
            return task;
    return NULL;
}

static struct task *find_process(struct supervisor *shim, pid_t pid)
{
    if (shim->init && shim->init->process.pid == pid)
        return shim->init;
    LIST_EACH (&shim->execs, struct task, link, task)
        if (task->process.pid == pid)
            return task;
    return NULL;
}

/* Also orphans that ended up here: this process is their reaper. */
static void signals_ready(struct source *source, uint32_t events UNUSED)
{
    struct supervisor *shim = CONTAINER_OF(source, struct supervisor, signals);
    struct signalfd_siginfo ignored;
    int status;
    pid_t pid;

    while (read(source->fd, &ignored, sizeof(ignored)) > 0)
        ;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        struct task *task = find_process(shim, pid);

        if (task && !task->has_exited)
            task_exited(task, status, clock_wall_ns());
        else if (!task && !exec_child_ended(shim, pid, status, clock_wall_ns()) &&
                 !log_writer_child_ended(shim->log, pid, status))
            shim->strays[shim->next_stray++ % STRAY_LIMIT] =
                (struct stray_child){ pid, status, clock_wall_ns() };
    }
}

/* ---- memory of the container */

static void oom_ready(struct source *source, uint32_t events UNUSED)
{
    struct supervisor *shim = CONTAINER_OF(source, struct supervisor, oom);
    char ignored[1024];
    const char *path = shim->init->process.cgroup_path;

    if (read(source->fd, ignored, sizeof(ignored)) < 0) {
        if (errno != EAGAIN && errno != EINTR)
            loop_close_source(&shim->loop, source);
        return;
    }
    /* Version 2 tells of other things too; version 1 tells before it kills. */
    int64_t kills = cgroup_oom_kill_count(path);
    if (cgroup_version() == CGROUP_V2 && kills <= shim->oom_kills)
        return;
    shim->oom_kills = kills;
    if (kills > 0)
        shim->state.oom_killed = true;
    supervisor_tell(shim, WIRE_OUT_OF_MEMORY, NULL);
}

/* ---- the end of the container */

void supervisor_save(struct supervisor *shim)
{
    struct error err = {};

    if (shim_state_write(shim->bundle_path, &shim->state, &err) < 0)
        fprintf(stderr, "berth-shim: %s\n",
                err.text); /* nobody may hear it; nobody depends on it */
}

static void set_status(struct supervisor *shim, const char *status)
{
    free(shim->state.status);
    shim->state.status = xstrdup(status);
}

/* Nothing lives in it any more. It goes while the daemon writes down what happened, which will then
 * not have to wait for that; what cannot go yet goes when the container is forgotten. */
static void leave_cgroup(struct supervisor *shim)
{
    char **path = &shim->init->process.cgroup_path;

    loop_close_source(&shim->loop, &shim->oom); /* the removal would be taken for such an event */
    if (*path && cgroup_remove(*path, NULL) == 0)
        free(TAKE(*path));
}

static void init_done(struct supervisor *shim, struct task *init)
{
    CLEANUP(wire_done) struct wire_message event = {};

    if (shim->oom.fd >= 0)
        oom_ready(&shim->oom, EPOLLIN);
    if (!shim->state.oom_killed && init->process.cgroup_path)
        shim->state.oom_killed = cgroup_oom_kill_count(init->process.cgroup_path) > 0;
    shim->state.exit_code = init->exit_code;
    shim->state.exited_ns = init->exited_ns;
    set_status(shim, "exited");
    task_finish_clients(init);
    if (shim->end_ns)
        return;
    supervisor_save(shim);
    if (shim->start_failed)
        return;
    wire_init(&event, WIRE_EXITED, 0);
    wire_put_int(&event, WIRE_FIELD_EXIT_CODE, init->exit_code);
    wire_put_int(&event, WIRE_FIELD_OOM_KILLED, shim->state.oom_killed);
    wire_put_int(&event, WIRE_FIELD_WALL_NS, init->exited_ns);
    supervisor_send(shim, &event);
    leave_cgroup(shim);
}

void supervisor_task_done(struct supervisor *shim, struct task *task)
{
    if (task == shim->init)
        init_done(shim, task);
    else {
        request_tell_exec_exit(shim, task->exec_id, task->exit_code, task->exited_ns);
        task_free(task);
    }
    supervisor_buffer(shim); /* sets the time of rest */
}

/* ---- the loop */

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a == 0 ? b : b == 0 ? a : MIN(a, b);
}

static uint64_t nearest_deadline(const struct supervisor *shim)
{
    uint64_t nearest = earlier(shim->rest_ns, shim->end_ns);

    if (shim->init)
        nearest = earlier(nearest, task_deadline(shim->init));
    LIST_EACH (&shim->execs, struct task, link, task)
        nearest = earlier(nearest, task_deadline(task));
    LIST_EACH (&shim->leaving, struct client, link, client)
        nearest = earlier(nearest, client->expire_ns);
    if (shim->resolver)
        nearest = earlier(nearest, resolver_deadline(shim->resolver));
    nearest = earlier(nearest, log_forwarder_deadline(log_writer_forwarder(shim->log)));
    return earlier(nearest, exec_deadline(shim));
}

static void expire(struct supervisor *shim, uint64_t now_ns)
{
    if (shim->init)
        task_expire(shim->init, now_ns);
    LIST_EACH (&shim->execs, struct task, link, task)
        task_expire(task, now_ns);
    LIST_EACH (&shim->leaving, struct client, link, client)
        if (now_ns >= client->expire_ns)
            client_free(client);
    exec_expire(shim, now_ns);
    log_forwarder_expire(log_writer_forwarder(shim->log), now_ns);
    if (shim->resolver)
        resolver_expire(shim->resolver, now_ns);
    if (shim->rest_ns && now_ns >= shim->rest_ns)
        rest(shim);
}

static bool is_over(const struct supervisor *shim, uint64_t now_ns)
{
    return shim->is_over ||
           (shim->end_ns && (list_is_empty(&shim->leaving) || now_ns >= shim->end_ns));
}

static void run(struct supervisor *shim)
{
    uint64_t now_ns = clock_monotonic_ns();

    while (!is_over(shim, now_ns)) {
        uint64_t deadline_ns = nearest_deadline(shim);
        uint64_t left_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;

        loop_run(&shim->loop, deadline_ns ? (int)(left_ns / NS_PER_MS) + 1 : -1);
        now_ns = clock_monotonic_ns();
        expire(shim, now_ns);
    }
}

void supervisor_end(struct supervisor *shim)
{
    LIST_EACH (&shim->execs, struct task, link, task)
        task_finish_clients(task);
    if (shim->init)
        task_finish_clients(shim->init);
    shim->end_ns = clock_monotonic_ns() + END_MS * NS_PER_MS;
}

/* ---- start */

static void ignore(int signal UNUSED)
{
}

/* glibc's posix_spawn leaves its two internal signals ignored in the child, and its sigaction does
 * not let anybody change that: a container would inherit it. */
static void reset_internal_signals(void)
{
    static const uint64_t kernel_default[4] = {}; /* handler, flags, restorer, mask */

    for (int signal = FIRST_REALTIME_SIGNAL; signal < SIGRTMIN; signal++)
        syscall(SYS_rt_sigaction, signal, kernel_default, NULL, sizeof(uint64_t));
}

/* Signals from a terminal or from somebody's killall must not end it, but a container must not
 * inherit ignored ones: a handler is forgotten by exec, SIG_IGN is not. */
static int set_signals(struct supervisor *shim, struct error *err)
{
    static const int ignored[] = { SIGHUP,  SIGINT,  SIGQUIT, SIGTERM, SIGPIPE,
                                   SIGUSR1, SIGUSR2, SIGALRM, SIGXFSZ };
    struct sigaction action = { .sa_handler = ignore, .sa_flags = SA_RESTART };
    sigset_t mask;

    reset_internal_signals();
    for (size_t i = 0; i < COUNT(ignored); i++)
        sigaction(ignored[i], &action, NULL);
    sigemptyset(&mask);
    sigaddset(&mask, SIGCHLD);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    shim->signals.fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    return shim->signals.fd < 0 ? error_sys(err, "create signalfd") : 0;
}

static int set_up(struct supervisor *shim, struct error *err)
{
    /* Large blocks are mapped and given back one by one, the small heap stays small. */
    mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD);
    mallopt(M_TRIM_THRESHOLD, MMAP_THRESHOLD);
    umask(022);
    if (chdir("/") < 0)
        return error_sys(err, "change to /");
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    fcntl(WIRE_FD, F_SETFD, FD_CLOEXEC);
    fcntl(LISTEN_FD, F_SETFD, FD_CLOEXEC);
    if (loop_open(&shim->loop, err) < 0 || set_signals(shim, err) < 0)
        return -1;
    loop_watch(&shim->loop, &shim->signals, EPOLLIN);
    loop_watch(&shim->loop, &shim->listener, EPOLLIN);
    loop_watch(&shim->loop, &shim->daemon, EPOLLIN);
    return 0;
}

static void done(struct supervisor *shim)
{
    exec_abandon_all(shim);
    LIST_EACH (&shim->execs, struct task, link, task)
        task_free(task);
    if (shim->init)
        task_free(shim->init);
    resolver_free(shim->resolver);
    LIST_EACH (&shim->leaving, struct client, link, client)
        client_free(client);
    loop_run(&shim->loop, 0); /* frees their memory */
    drop_outbox(shim);
    request_forget_exec_exits(shim);
    request_drop_sources(shim);
    log_writer_close(shim->log);
    shim_state_done(&shim->state);
    free(shim->bundle_path);
    free(shim->runtime_path);
    strv_done(&shim->runtime_arguments);
    free(shim->kept_fds);
    free(shim->buffer);
}

int supervisor_main(int count, char **arguments)
{
    struct supervisor shim = { .signals = { .fd = -1, .ready = signals_ready },
                               .listener = { .fd = LISTEN_FD, .ready = listener_ready },
                               .daemon = { .fd = WIRE_FD, .ready = daemon_ready },
                               .candidate = { .fd = -1, .ready = candidate_ready },
                               .oom = { .fd = -1, .ready = oom_ready },
                               .seccomp_fd = -1 };
    struct error err = {};

    if (count != 3 || fcntl(WIRE_FD, F_GETFD) < 0 || fcntl(LISTEN_FD, F_GETFD) < 0) {
        fprintf(stderr, "berth-shim is started by berthd, once for each container\n");
        return 2;
    }
    shim.container_id = arguments[1];
    shim.socket_path = arguments[2];
    list_init(&shim.outbox);
    list_init(&shim.execs);
    list_init(&shim.starting);
    list_init(&shim.unheard);
    list_init(&shim.leaving);
    if (set_up(&shim, &err) < 0) {
        fprintf(stderr, "berth-shim: %s\n", err.text);
        return 1;
    }
    run(&shim);
    if (!shim.end_ns) /* nothing was created, nobody will ask */
        unlink(shim.socket_path);
    done(&shim);
    return 0;
}
