/* The parent's side of a container: cgroup, clone, conversation with the init. */
#include "runtime/container.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/memory.h"
#include "base/str.h"
#include "base/text.h"
#include "linux/cgroup.h"
#include "linux/namespace.h"
#include "linux/pidfd.h"
#include "linux/pty.h"
#include "runtime/hooks.h"
#include "runtime/internal.h"
#include "runtime/limits.h"

#include "base/banned.h"

/* ---- user namespaces ---- */

static int write_id_map(pid_t pid, const char *file, const struct json_list *mappings,
                        struct error *err)
{
    CLEANUP(str_done) struct str text = {};
    char path[48];

    for (size_t i = 0; i < mappings->count; i++) {
        const struct runtime_id_mapping *one = &JSON_ITEMS(mappings,
                                                           const struct runtime_id_mapping)[i];

        str_add_format(&text, "%lld %lld %lld\n", (long long)one->container_id,
                       (long long)one->host_id, (long long)one->size);
    }
    snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
    CLEANUP(close) int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, str_text(&text), text.length) < 0)
        return error_sys(err, "write %s", path);
    return 0;
}

static int map_ids(const struct plan *plan, pid_t pid, struct error *err)
{
    const struct runtime_linux *part = &plan->config->linux_part;

    if (!(plan->new_namespaces & CLONE_NEWUSER))
        return 0;
    /* The init could not write to the groups' files once it is in its user namespace. */
    if (plan->cgroup_path && cgroup_join(plan->cgroup_path, pid, err) < 0)
        return -1;
    return write_id_map(pid, "uid_map", &part->uid_mappings, err) < 0 ||
                   write_id_map(pid, "gid_map", &part->gid_mappings, err) < 0
               ? -1
               : 0;
}

/* ---- clone ---- */

/* Joins what the child is to be born in and gives descriptors for the way back. */
static int visit_namespaces(struct plan *plan, int back_fds[NAMESPACE_LIMIT], struct error *err)
{
    for (size_t i = 0; i < plan->joined_count; i++) {
        char path[32];

        if (!plan->joined[i].by_parent)
            continue;
        snprintf(path, sizeof(path), "/proc/self/ns/%s", namespace_file(plan->joined[i].flag));
        back_fds[i] = open(path, O_RDONLY | O_CLOEXEC);
        if (back_fds[i] < 0)
            return error_sys(err, "%s", path);
        if (namespace_join(plan->joined[i].fd, plan->joined[i].flag, err) < 0) {
            close(TAKE_FD(back_fds[i]));
            return -1;
        }
    }
    return 0;
}

/* Failing here would leave us among strangers: the process ends rather than go on there. */
static void leave_namespaces(const struct plan *plan, int back_fds[NAMESPACE_LIMIT])
{
    for (size_t i = 0; i < plan->joined_count; i++) {
        if (back_fds[i] < 0)
            continue;
        if (namespace_join(back_fds[i], plan->joined[i].flag, NULL) < 0)
            abort();
        close(back_fds[i]);
    }
}

static pid_t clone_init(struct plan *plan, int *out_pidfd, struct error *err)
{
    int back_fds[NAMESPACE_LIMIT];
    CLEANUP(close) int cgroup_fd = -1;
    struct error failure = {};
    pid_t pid = -1;

    if (plan->joins_user_namespace)
        return inside_clone(plan, out_pidfd, err);
    for (size_t i = 0; i < NAMESPACE_LIMIT; i++)
        back_fds[i] = -1;
    if (plan->cgroup_path && !(plan->new_namespaces & CLONE_NEWUSER))
        cgroup_fd = cgroup_open_unified(plan->cgroup_path, &failure);
    if (failure.kind != ERROR_NONE) {
        if (err)
            *err = failure;
        return -1;
    }
    plan->joined_by_clone = cgroup_fd >= 0;
    if (visit_namespaces(plan, back_fds, err) == 0)
        pid = namespace_clone(plan->new_namespaces, cgroup_fd, out_pidfd, err);
    if (pid == 0)
        init_run(plan);
    leave_namespaces(plan, back_fds);
    return pid;
}

/* ---- conversation ---- */

static int answer_hooks(const struct plan *plan, const struct container *container,
                        struct error *err)
{
    const struct runtime_hooks *hooks = &plan->config->hooks;
    struct error failure = {};
    struct hook_state state = { .id = plan->options->id,
                                .bundle_path = plan->options->bundle_path,
                                .status = "creating",
                                .pid = container->pid,
                                .annotations = &plan->config->annotations };

    if (hooks_run(&hooks->prestart, &state, &failure) < 0 ||
        hooks_run(&hooks->create_runtime, &state, &failure) < 0)
        return channel_send(container->start_fd, CHANNEL_ERROR, 0, &failure, -1, err);
    return channel_send(container->start_fd, CHANNEL_GO, container->pid, NULL, -1, err);
}

/* Reads what the child has to say until it is ready. */
static int converse(const struct plan *plan, struct container *container, struct error *err)
{
    for (;;) {
        struct channel_message message;
        int fd = -1;
        int received = channel_receive(container->start_fd, &message, &fd, err);

        if (received < 0)
            return -1;
        if (received == 0)
            return error_set(err, ERROR_INTERNAL, "container init ended unexpectedly");
        switch (message.type) {
        case CHANNEL_TERMINAL:
            container->console_fd = fd;
            break;
        case CHANNEL_HOOKS:
            if (answer_hooks(plan, container, err) < 0)
                return -1;
            break;
        case CHANNEL_READY:
            return 0;
        case CHANNEL_ERROR:
            if (err)
                *err = message.error;
            return -1;
        default:
            return error_set(err, ERROR_INTERNAL, "container init says %u", message.type);
        }
    }
}

static void abandon(struct container *container)
{
    int code;

    if (container->pidfd >= 0) {
        pidfd_signal(container->pidfd, SIGKILL, NULL);
        pidfd_wait(container->pidfd, &code, NULL);
        close(container->pidfd);
    }
    if (container->start_fd >= 0)
        close(container->start_fd);
    if (container->console_fd >= 0)
        close(container->console_fd);
    free(container->cgroup_path);
}

static int bring_up(struct plan *plan, struct container *container, struct error *err)
{
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return error_sys(err, "socketpair");
    container->start_fd = ends[0];
    plan->channel_fd = ends[1];
    container->pid = clone_init(plan, &container->pidfd, err);
    if (container->pid < 0)
        return -1;
    close(TAKE_FD(plan->channel_fd));
    if (map_ids(plan, container->pid, err) < 0 ||
        process_adjust_oom(container->pid, &plan->config->process, err) < 0)
        return -1;
    if (plan->waits_for_go &&
        channel_send(container->start_fd, CHANNEL_GO, container->pid, NULL, -1, err) < 0)
        return -1;
    if (converse(plan, container, err) < 0)
        return -1;
    if (plan->options->start_listen_fd > 0)
        close(TAKE_FD(container->start_fd));
    return 0;
}

/* The group named by the configuration; without one, by the id; NULL: none at all. */
static char *cgroup_path_of(const struct container_options *options)
{
    const char *path = options->config->linux_part.cgroups_path;

    if (!text_is_empty(path))
        return path[0] == '/' ? xstrdup(path) : xasprintf("/%s", path);
    return options->id ? xasprintf("/%s", options->id) : NULL;
}

static int prepare_cgroup(const struct container_options *options, const char *path,
                          struct error *err)
{
    if (!path || options->keep_in_cgroup)
        return 0;
    if (cgroup_create(path, err) < 0)
        return error_context(err, "unable to apply cgroup configuration");
    if (limits_apply(path, &options->config->linux_part.resources, err) < 0)
        return error_context(err, "error setting cgroup config for procHooks process");
    return 0;
}

int container_create(const struct container_options *options, struct container *out,
                     struct error *err)
{
    struct container container = { .pidfd = -1, .start_fd = -1, .console_fd = -1 };
    CLEANUP(plan_done)
    struct plan plan = { .rootfs_fd = -1, .init_program_fd = -1, .proc_fd = -1, .channel_fd = -1 };
    CLEANUP(free) char *cgroup_path = cgroup_path_of(options);
    bool owns_cgroup = cgroup_path && !options->keep_in_cgroup && !cgroup_exists(cgroup_path);

    container.cgroup_path = cgroup_path ? xstrdup(cgroup_path) : NULL;
    if (prepare_cgroup(options, cgroup_path, err) == 0 &&
        plan_make(options, cgroup_path, &plan, err) == 0 && bring_up(&plan, &container, err) == 0) {
        *out = container;
        return 0;
    }
    abandon(&container);
    if (owns_cgroup)
        cgroup_remove(cgroup_path, NULL);
    return -1;
}

int container_start(struct container *container, struct error *err)
{
    struct channel_message message;

    if (container->start_fd < 0)
        return error_set(err, ERROR_CONFLICT, "container was started already");
    int sent = channel_send(container->start_fd, CHANNEL_START, 0, NULL, -1, err);
    int received = sent < 0 ? -1 : channel_receive(container->start_fd, &message, NULL, err);
    close(TAKE_FD(container->start_fd));
    if (received > 0 && err)
        *err = message.error;
    return received == 0 ? 0 : -1;
}

int container_signal(const struct container *container, int signal, struct error *err)
{
    return pidfd_signal(container->pidfd, signal, err);
}

int container_resize(const struct container *container, int height, int width, struct error *err)
{
    if (container->console_fd < 0)
        return error_set(err, ERROR_CONFLICT, "the process has no terminal");
    return pty_resize(container->console_fd, height, width, err);
}

int container_delete(struct container *container, struct error *err)
{
    CLEANUP(free) char *cgroup_path = TAKE(container->cgroup_path);
    int *fds[] = { &container->pidfd, &container->start_fd, &container->console_fd };

    for (size_t i = 0; i < COUNT(fds); i++)
        if (*fds[i] >= 0)
            close(TAKE_FD(*fds[i]));
    return cgroup_path ? cgroup_remove(cgroup_path, err) : 0;
}
