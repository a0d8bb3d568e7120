/* New namespaces belong to the user namespace of whoever makes them, and a process that has entered
 * one does not come back. So a child goes there, makes the init from within, as a sister of its
 * own, tells about it and ends. */
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/memory.h"
#include "linux/cgroup.h"
#include "linux/namespace.h"
#include "linux/pidfd.h"
#include "runtime/internal.h"

#include "base/banned.h"

/* The group's files are closed to it later. */
static int enter(struct plan *plan, struct error *err)
{
    if (plan->cgroup_path && cgroup_join_self(plan->cgroup_path, err) < 0)
        return error_context(err, "unable to apply cgroup configuration");
    return init_join_namespaces(plan, true, err) < 0 ? -1 : init_become_root(plan, err);
}

static _Noreturn void run(struct plan *plan, int report_fd)
{
    struct error err = {};
    int pidfd = -1;

    if (enter(plan, &err) < 0)
        goto failed;
    pid_t pid = namespace_clone(plan->new_namespaces | CLONE_PARENT, -1, &pidfd, &err);
    if (pid == 0) {
        close(report_fd);
        init_run(plan);
    }
    if (pid > 0)
        _exit(channel_send(report_fd, CHANNEL_READY, pid, NULL, pidfd, NULL) < 0);
failed:
    channel_send(report_fd, CHANNEL_ERROR, 0, &err, -1, NULL);
    _exit(1);
}

static pid_t receive(int report_fd, int *out_pidfd, struct error *err)
{
    struct channel_message message;
    int received = channel_receive(report_fd, &message, out_pidfd, err);

    if (received == 0)
        return error_set(err, ERROR_INTERNAL, "container init was not made");
    if (received > 0 && message.type == CHANNEL_ERROR && err)
        *err = message.error;
    return received > 0 && message.type == CHANNEL_READY ? message.number : -1;
}

pid_t inside_clone(struct plan *plan, int *out_pidfd, struct error *err)
{
    CLEANUP(close) int pidfd = -1;
    int ends[2], code;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return error_sys(err, "socketpair");
    pid_t pid = namespace_clone(0, -1, &pidfd, err);
    if (pid == 0) {
        close(ends[0]);
        run(plan, ends[1]);
    }
    close(ends[1]);
    pid_t init = pid < 0 ? -1 : receive(ends[0], out_pidfd, err);
    close(ends[0]);
    if (pid > 0)
        pidfd_wait(pidfd, &code, NULL);
    return init;
}
