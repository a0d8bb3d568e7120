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

    process_begin();
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

/* Until the stream ends with the exec. */
static int converse(struct container *process, struct error *err)
{
    for (;;) {
        struct channel_message message;
        int fd = -1;
        int received = channel_receive(process->start_fd, &message, &fd, err);

        if (received <= 0)
            return received;
        if (message.type == CHANNEL_TERMINAL) {
            process->console_fd = fd;
            continue;
        }
        if (err)
            *err = message.error;
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
    if (process_adjust_oom(process->pid, plan->options->process, err) < 0)
        return -1;
    return converse(process, err);
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

int container_exec(const struct exec_options *options, struct container *out, struct error *err)
{
    struct container process = { .pidfd = -1, .start_fd = -1, .console_fd = -1 };
    CLEANUP(close) int init_pidfd = pidfd_open_process(options->init_pid, err);
    CLEANUP(close) int proc_fd = procfs_open(err);
    struct exec_plan plan = {
        .options = options, .init_pidfd = init_pidfd, .proc_fd = proc_fd, .channel_fd = -1
    };
    int code;

    if (init_pidfd < 0 || proc_fd < 0)
        return -1;
    if (!options->process->args.count)
        return error_set(err, ERROR_INVALID, "no command specified");
    plan.namespaces = namespaces_of(options->init_pid);
    int result = bring_up(&plan, &process, err);
    if (process.start_fd >= 0)
        close(TAKE_FD(process.start_fd));
    if (result == 0) {
        *out = process;
        return 0;
    }
    if (process.pidfd >= 0) {
        pidfd_signal(process.pidfd, SIGKILL, NULL);
        pidfd_wait(process.pidfd, &code, NULL);
        close(process.pidfd);
    }
    if (process.console_fd >= 0)
        close(process.console_fd);
    return -1;
}
