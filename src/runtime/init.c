/* The child between clone and exec: a list of steps, each of which may fail and is then told to the
 * parent through the channel. */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/memory.h"
#include "base/text.h"
#include "linux/cgroup.h"
#include "linux/namespace.h"
#include "linux/path.h"
#include "runtime/hooks.h"
#include "runtime/internal.h"

#include "base/banned.h"

static int wait_for_go(struct plan *plan, struct error *err)
{
    struct channel_message message;
    int received = channel_receive(plan->channel_fd, &message, NULL, err);

    if (received < 0)
        return -1;
    if (received == 0)
        _exit(1);
    if (message.type == CHANNEL_ERROR) {
        if (err)
            *err = message.error;
        return -1;
    }
    if (message.number)
        plan->outer_pid = message.number;
    return 0;
}

static int join_cgroup(struct plan *plan, struct error *err)
{
    if (plan->cgroup_path && !(plan->new_namespaces & CLONE_NEWUSER) &&
        !plan->joins_user_namespace) {
        if (plan->joined_by_clone ? cgroup_join_rest(plan->cgroup_path, err) < 0
                                  : cgroup_join_self(plan->cgroup_path, err) < 0)
            return error_context(err, "unable to apply cgroup configuration");
    }
    return 0;
}

int init_join_namespaces(const struct plan *plan, bool by_parent, struct error *err)
{
    /* A user namespace last: from within, what belongs to another is closed. */
    for (int user_pass = 0; user_pass <= 1; user_pass++)
        for (size_t i = 0; i < plan->joined_count; i++)
            if (plan->joined[i].by_parent == by_parent &&
                (plan->joined[i].flag == CLONE_NEWUSER) == user_pass &&
                namespace_join(plan->joined[i].fd, plan->joined[i].flag, err) < 0)
                return -1;
    return 0;
}

static int join_namespaces(struct plan *plan, struct error *err)
{
    if (init_join_namespaces(plan, false, err) < 0)
        return -1;
    if (plan->new_cgroup_namespace && unshare(CLONE_NEWCGROUP) < 0)
        return error_sys(err, "unshare cgroup namespace");
    return 0;
}

/* In a user namespace nobody is root until somebody says so. */
int init_become_root(struct plan *plan, struct error *err)
{
    if (!plan->joins_user_namespace && !(plan->new_namespaces & CLONE_NEWUSER))
        return 0;
    if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
        return error_sys(err, "become root of the user namespace");
    return 0;
}

static int start_session(struct plan *plan UNUSED, struct error *err)
{
    return setsid() < 0 ? error_sys(err, "setsid") : 0;
}

static int set_names(struct plan *plan, struct error *err)
{
    const char *host = plan->config->hostname, *domain = plan->config->domainname;

    if (!text_is_empty(host) && sethostname(host, strlen(host)) < 0)
        return error_sys(err, "sethostname");
    if (!text_is_empty(domain) && setdomainname(domain, strlen(domain)) < 0)
        return error_sys(err, "setdomainname");
    return 0;
}

static int raise_loopback(struct plan *plan, struct error *err)
{
    struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP };

    if (!(plan->new_namespaces & CLONE_NEWNET))
        return 0;
    CLEANUP(close) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) < 0)
        return error_sys(err, "raise loopback device");
    return 0;
}

static int open_terminal(struct plan *plan, int *out_master, int *out_slave, struct error *err)
{
    const struct runtime_process *process = &plan->config->process;

    if (!process->terminal)
        return 0;
    if (process_open_terminal(plan->rootfs_fd, process, out_master, out_slave, err) < 0)
        return -1;
    return rootfs_bind_console(plan, *out_slave, err);
}

static struct hook_state state_of(const struct plan *plan, const char *status)
{
    return (struct hook_state){ .id = plan->options->id,
                                .bundle_path = plan->options->bundle_path,
                                .status = status,
                                .pid = plan->outer_pid,
                                .annotations = &plan->config->annotations };
}

static int run_hooks(struct plan *plan, struct error *err)
{
    const struct runtime_hooks *hooks = &plan->config->hooks;
    struct hook_state state = state_of(plan, "creating");

    if (hooks->prestart.count || hooks->create_runtime.count) {
        if (channel_send(plan->channel_fd, CHANNEL_HOOKS, 0, NULL, -1, err) < 0 ||
            wait_for_go(plan, err) < 0)
            return -1;
    }
    return hooks_run(&hooks->create_container, &state, err);
}

static int set_sysctls(struct plan *plan, struct error *err)
{
    MAP_EACH (&plan->config->linux_part.sysctl, entry) {
        CLEANUP(free) char *path = xasprintf("sys/%s", entry->key);

        if (!strchr(entry->key, '/'))
            for (char *at = path; *at; at++)
                if (*at == '.')
                    *at = '/';
        if (procfs_write(plan->proc_fd, path, entry->value, err) < 0)
            return error_context(err, "sysctl %s", entry->key);
    }
    return 0;
}

static int wait_for_id_maps(struct plan *plan, struct error *err)
{
    return plan->waits_for_go ? wait_for_go(plan, err) : 0;
}

static const struct {
    int (*run)(struct plan *plan, struct error *err);
} steps_before_terminal[] = {
    { wait_for_id_maps }, { init_become_root }, { join_cgroup },  { join_namespaces }, { start_session },
    { set_names },        { raise_loopback },   { rootfs_mount }, { devices_make },
}, steps_after_terminal[] = {
    { run_hooks }, { rootfs_enter }, { set_sysctls }, { rootfs_protect },
};

static int set_up(struct plan *plan, struct process_setup *setup, int *out_master,
                  struct error *err)
{
    for (size_t i = 0; i < COUNT(steps_before_terminal); i++)
        if (steps_before_terminal[i].run(plan, err) < 0)
            return -1;
    if (open_terminal(plan, out_master, &setup->slave_fd, err) < 0)
        return -1;
    for (size_t i = 0; i < COUNT(steps_after_terminal); i++)
        if (steps_after_terminal[i].run(plan, err) < 0)
            return -1;
    setup->root_fd = plan->rootfs_fd;
    setup->proc_fd = plan->proc_fd;
    return 0;
}

/* Gives the parent its end and waits for the word to go; with a listening socket that comes from
 * whoever connects. */
static int wait_for_start(struct plan *plan, struct process_setup *setup, struct error *err)
{
    struct channel_message message;

    if (setup->extra_fd >= 0) {
        int fd;

        close(plan->channel_fd);
        while ((fd = accept4(setup->extra_fd, NULL, NULL, SOCK_CLOEXEC)) < 0)
            if (errno != EINTR && errno != ECONNABORTED)
                _exit(1);
        close(setup->extra_fd);
        plan->channel_fd = fd;
    }
    int received = channel_receive(plan->channel_fd, &message, NULL, err);
    if (received == 0 || (received > 0 && message.type != CHANNEL_START))
        _exit(1); /* whoever made us is gone, nobody will start us */
    return received < 0 ? -1 : 0;
}

_Noreturn void init_run(struct plan *plan)
{
    struct error err = {};
    CLEANUP(close) int master_fd = -1;
    const struct container_options *options = plan->options;
    struct process_setup setup = {
        .process = &plan->config->process,
        .seccomp = options->seccomp,
        .root_fd = -1,
        .channel_fd = plan->channel_fd,
        .extra_fd = options->start_listen_fd > 0 ? options->start_listen_fd : -1,
        .preserve_fd_count = options->preserve_fd_count,
        .proc_fd = -1,
        .stdio = options->stdio,
        .slave_fd = -1,
        .in_user_namespace = plan->new_namespaces & CLONE_NEWUSER || plan->joins_user_namespace,
    };

    process_begin();
    if (set_up(plan, &setup, &master_fd, &err) < 0)
        goto failed;
    if (master_fd >= 0 &&
        channel_send(plan->channel_fd, CHANNEL_TERMINAL, 0, NULL, master_fd, &err) < 0)
        goto failed;
    if (process_prepare(&setup, &err) < 0 ||
        channel_send(plan->channel_fd, CHANNEL_READY, 0, NULL, -1, &err) < 0)
        goto failed;
    if (wait_for_start(plan, &setup, &err) < 0)
        goto failed;
    struct hook_state state = state_of(plan, "created");
    if (hooks_run(&plan->config->hooks.start_container, &state, &err) < 0)
        goto failed;
    process_execute(&setup, &err);
failed:
    channel_send(plan->channel_fd, CHANNEL_ERROR, 0, &err, -1, NULL);
    _exit(1);
}
