/* A further process: born in the container's pid namespace as our child, it then enters the other
 * namespaces of the init and goes the way of every process of a container. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "linux/cgroup.h"
#include "linux/namespace.h"
#include "linux/path.h"
#include "linux/pidfd.h"
#include "runtime/internal.h"

#include "base/banned.h"

struct exec_plan {
    const struct exec_options *options;
    int init_pidfd;
    int proc_fd;
    int channel_fd;
    uint64_t namespaces; /* to enter besides the pid namespace */
    bool joined_by_clone;
};

static int run_child(struct exec_plan *plan, struct error *err)
{
    const struct exec_options *options = plan->options;
    CLEANUP(close) int master_fd = -1;
    struct process_setup setup = {
        .process = options->process,
        .seccomp = options->seccomp,
        .root_fd = -1,
        .channel_fd = plan->channel_fd,
        .extra_fd = -1,
        .preserve_fd_count = options->preserve_fd_count,
        .proc_fd = plan->proc_fd,
        .stdio = options->stdio,
        .slave_fd = -1,
        .in_user_namespace = plan->namespaces & CLONE_NEWUSER,
    };

    const int kept[] = { plan->init_pidfd,  plan->proc_fd,     plan->channel_fd,
                         options->stdio[0], options->stdio[1], options->stdio[2] };

    process_begin();
    /* It may be stuck from here on for as long as the container is: with nothing of ours in hand.
     */
    process_keep_fds(3 + (unsigned)options->preserve_fd_count, kept, COUNT(kept));
    if (options->cgroup_path &&
        (plan->joined_by_clone ? cgroup_join_rest(options->cgroup_path, err) < 0
                               : cgroup_join_self(options->cgroup_path, err) < 0))
        return -1;
    if (namespace_join(plan->init_pidfd, plan->namespaces, err) < 0)
        return -1;
    if (plan->namespaces & CLONE_NEWUSER && (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0))
        return error_sys(err, "become root of the user namespace");
    if (setsid() < 0)
        return error_sys(err, "setsid");
    setup.root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (setup.root_fd < 0)
        return error_sys(err, "open root");
    if (options->process->terminal &&
        (process_open_terminal(setup.root_fd, options->process, &master_fd, &setup.slave_fd, err) <
             0 ||
         channel_send(plan->channel_fd, CHANNEL_TERMINAL, 0, NULL, master_fd, err) < 0))
        return -1;
    if (process_prepare(&setup, err) < 0)
        return -1;
    return process_execute(&setup, err);
}

static _Noreturn void child(struct exec_plan *plan)
{
    struct error err = {};

    run_child(plan, &err);
    channel_send(plan->channel_fd, CHANNEL_ERROR, 0, &err, -1, NULL);
    _exit(1);
}

/* Version 2 only: a container that moved its processes into groups of its own has none left in its
 * own group, which then takes no new ones; they go where its init is. */
static char *group_of(pid_t pid)
{
    CLEANUP(str_done) struct str text = {};
    char path[32];

    snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid);
    if (file_read(path, 65536, &text, NULL) < 0)
        return NULL;
    char *line = text_starts(str_text(&text), "0::") ? text.data : strstr(str_text(&text), "\n0::");
    if (!line)
        return NULL;
    line = strstr(line, "0::") + 3;
    return xstrndup(line, strcspn(line, "\n"));
}

static pid_t clone_into_group(struct exec_plan *plan, int *out_pidfd, struct error *err)
{
    const char *path = plan->options->cgroup_path;
    struct error failure = {};
    CLEANUP(close) int cgroup_fd = path ? cgroup_open_unified(path, &failure) : -1;

    if (failure.kind != ERROR_NONE) {
        if (err)
            *err = failure;
        return -1;
    }
    plan->joined_by_clone = cgroup_fd >= 0;
    pid_t pid = namespace_clone(0, cgroup_fd, out_pidfd, &failure);
    if (pid < 0 && failure.sys == EBUSY) {
        CLEANUP(free) char *group = group_of(plan->options->init_pid);
        CLEANUP(close) int other_fd = group ? cgroup_open_unified(group, NULL) : -1;

        pid = namespace_clone(0, other_fd, out_pidfd, &failure);
    }
    if (pid < 0 && err)
        *err = failure;
    return pid;
}

/* Our own children are born in the init's pid namespace for the moment of one clone. */
static pid_t clone_child(struct exec_plan *plan, int *out_pidfd, struct error *err)
{
    CLEANUP(close) int own_fd = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);

    if (own_fd < 0)
        return error_sys(err, "pid namespace");
    if (namespace_join(plan->init_pidfd, CLONE_NEWPID, err) < 0)
        return -1;
    pid_t pid = clone_into_group(plan, out_pidfd, err);
    if (pid == 0)
        child(plan);
    if (namespace_join(own_fd, CLONE_NEWPID, NULL) < 0)
        abort();
    return pid;
}

/* 1: the stream has ended, with the exec. 0: nothing more at present. */
static int converse(struct container *process, struct error *err)
{
    for (;;) {
        struct channel_message message;
        struct error failure = {};
        int fd = -1;
        int received = channel_receive(process->start_fd, &message, &fd, &failure);

        if (received < 0 && failure.sys == EAGAIN)
            return 0;
        if (received == 0)
            return 1;
        if (received > 0 && message.type == CHANNEL_TERMINAL) {
            process->console_fd = fd;
            continue;
        }
        if (err)
            *err = received < 0 ? failure : message.error;
        return -1;
    }
}

static int bring_up(struct exec_plan *plan, struct container *process, struct error *err)
{
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return error_sys(err, "socketpair");
    process->start_fd = ends[0];
    plan->channel_fd = ends[1];
    process->pid = clone_child(plan, &process->pidfd, err);
    close(TAKE_FD(plan->channel_fd));
    if (process->pid < 0)
        return -1;
    return process_adjust_oom(process->pid, plan->options->process, err);
}

static uint64_t namespaces_of(pid_t pid)
{
    uint64_t flags = CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET | CLONE_NEWCGROUP;

    /* Entering the own one again is an error with these two. */
    if (!namespace_is_shared(pid, CLONE_NEWUSER))
        flags |= CLONE_NEWUSER;
    if (!namespace_is_shared(pid, CLONE_NEWTIME))
        flags |= CLONE_NEWTIME;
    return flags;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void container_exec_abandon(struct container *process)
{
    if (process->pidfd >= 0)
        pidfd_signal(process->pidfd, SIGKILL, NULL);
    close_fd(&process->pidfd);
    close_fd(&process->start_fd);
    close_fd(&process->console_fd);
}

int container_exec_begin(const struct exec_options *options, struct container *out,
                         struct error *err)
{
    struct container process = { .pidfd = -1, .start_fd = -1, .console_fd = -1 };
    CLEANUP(close) int init_pidfd = pidfd_open_process(options->init_pid, err);
    CLEANUP(close) int proc_fd = procfs_open(err);
    struct exec_plan plan = {
        .options = options, .init_pidfd = init_pidfd, .proc_fd = proc_fd, .channel_fd = -1
    };

    if (init_pidfd < 0 || proc_fd < 0)
        return -1;
    if (!options->process->args.count)
        return error_set(err, ERROR_INVALID, "no command specified");
    plan.namespaces = namespaces_of(options->init_pid);
    if (bring_up(&plan, &process, err) < 0) {
        container_exec_abandon(&process);
        return -1;
    }
    *out = process;
    return 0;
}

int container_exec_continue(struct container *process, struct error *err)
{
    int result = converse(process, err);

    if (result < 0)
        container_exec_abandon(process);
    else if (result > 0)
        close_fd(&process->start_fd);
    return result;
}

int container_exec(const struct exec_options *options, struct container *out, struct error *err)
{
    if (container_exec_begin(options, out, err) < 0)
        return -1;
    CLEANUP(close) int pidfd = fcntl(out->pidfd, F_DUPFD_CLOEXEC, 3);
    int code;

    if (container_exec_continue(out, err) > 0)
        return 0;
    if (pidfd >= 0)
        pidfd_wait(pidfd, &code, NULL);
    return -1;
}
