/* Works out what the init is to do, and opens on the host what it will need: sources of binds are
 * host paths, so the host's view (and rights) open them, as detached copies. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "linux/cgroup.h"
#include "linux/mount.h"
#include "linux/namespace.h"
#include "linux/path.h"
#include "runtime/borrow.h"
#include "runtime/internal.h"

#include <sched.h>

#include "base/banned.h"

static void add_joined(struct plan *plan, int fd, uint64_t flag)
{
    plan->joined[plan->joined_count].fd = fd;
    plan->joined[plan->joined_count].by_parent = flag == CLONE_NEWPID;
    plan->joined[plan->joined_count++].flag = flag;
}

static int join_namespace(struct plan *plan, const char *path, uint64_t flag, struct error *err)
{
    int fd = namespace_open(path, flag, err);

    if (fd < 0)
        return -1;
    add_joined(plan, fd, flag);
    return 0;
}

static int plan_namespaces(struct plan *plan, struct error *err)
{
    const struct json_list *namespaces = &plan->config->linux_part.namespaces;
    int network_fd = plan->options->network_fd;

    for (size_t i = 0; i < namespaces->count; i++) {
        const struct runtime_namespace *one = &JSON_ITEMS(namespaces,
                                                          const struct runtime_namespace)[i];
        uint64_t flag = namespace_flag(one->type);

        if (flag == CLONE_NEWNET && network_fd >= 0)
            continue;
        if (text_is_empty(one->path))
            plan->new_namespaces |= flag;
        else if (join_namespace(plan, one->path, flag, err) < 0)
            return -1;
    }
    if (network_fd >= 0) {
        int fd = fcntl(network_fd, F_DUPFD_CLOEXEC, 3);

        if (fd < 0)
            return error_sys(err, "network namespace");
        add_joined(plan, fd, CLONE_NEWNET);
    }
    if (!(plan->new_namespaces & CLONE_NEWNS))
        return error_set(err, ERROR_UNSUPPORTED,
                         "a container without a mount namespace of its own is not supported");
    for (size_t i = 0; i < plan->joined_count; i++)
        plan->joins_user_namespace |= plan->joined[i].flag == CLONE_NEWUSER;
    for (size_t i = 0; i < plan->joined_count; i++)
        if (plan->joins_user_namespace || plan->new_namespaces & CLONE_NEWUSER)
            plan->joined[i].by_parent = true;
    /* Entered later: its root is the group that the process is in at that moment. */
    plan->new_cgroup_namespace = plan->new_namespaces & CLONE_NEWCGROUP;
    plan->new_namespaces &= ~(uint64_t)CLONE_NEWCGROUP;
    return 0;
}

static bool has_namespace(const struct plan *plan, uint64_t flag)
{
    if (plan->new_namespaces & flag)
        return true;
    for (size_t i = 0; i < plan->joined_count; i++)
        if (plan->joined[i].flag == flag)
            return true;
    return false;
}

/* What a sysctl belongs to must be the container's own. */
static int check_sysctls(const struct plan *plan, struct error *err)
{
    static const char *const ipc[] = { "kernel.msgmax", "kernel.msgmnb",         "kernel.msgmni",
                                       "kernel.sem",    "kernel.shmall",         "kernel.shmmax",
                                       "kernel.shmmni", "kernel.shm_rmid_forced" };

    MAP_EACH (&plan->config->linux_part.sysctl, entry) {
        CLEANUP(free) char *name = xstrdup(entry->key);
        bool is_ipc = false, is_uts;

        for (char *at = name; *at; at++)
            if (*at == '/')
                *at = '.';
        for (size_t i = 0; i < COUNT(ipc); i++)
            is_ipc |= strcmp(name, ipc[i]) == 0;
        is_ipc |= text_starts(name, "fs.mqueue.");
        is_uts = strcmp(name, "kernel.domainname") == 0 || strcmp(name, "kernel.hostname") == 0;
        if (text_starts(name, "net.") && !has_namespace(plan, CLONE_NEWNET))
            return error_set(err, ERROR_INVALID,
                             "sysctl \"%s\" not allowed in host network namespace", entry->key);
        if (is_ipc && !has_namespace(plan, CLONE_NEWIPC))
            return error_set(err, ERROR_INVALID,
                             "sysctl \"%s\" is not allowed in the hosts ipc namespace", entry->key);
        if (is_uts && !has_namespace(plan, CLONE_NEWUTS))
            return error_set(err, ERROR_INVALID,
                             "sysctl \"%s\" is not allowed in the hosts uts namespace", entry->key);
        if (!text_starts(name, "net.") && !is_ipc && !is_uts)
            return error_set(err, ERROR_INVALID,
                             "sysctl \"%s\" is not in a separate kernel namespace", entry->key);
    }
    return 0;
}

static int check_config(const struct plan *plan, struct error *err)
{
    const struct runtime_config *config = plan->config;

    if (!config->process.args.count)
        return error_set(err, ERROR_INVALID, "no command specified");
    if (config->linux_part.seccomp && !plan->options->seccomp)
        return error_set(err, ERROR_INVALID, "the seccomp profile was not compiled");
    if ((!text_is_empty(config->hostname) || !text_is_empty(config->domainname)) &&
        !has_namespace(plan, CLONE_NEWUTS))
        return error_set(err, ERROR_INVALID,
                         "unable to set hostname without a private UTS namespace");
    if (plan->new_namespaces & CLONE_NEWUSER &&
        (!config->linux_part.uid_mappings.count || !config->linux_part.gid_mappings.count))
        return error_set(err, ERROR_INVALID, "a user namespace needs uidMappings and gidMappings");
    return check_sysctls(plan, err);
}

/* ---- sources ---- */

/* What became of a copied mount's propagation when the configuration does not say. */
static uint64_t default_propagation(const struct runtime_config *config)
{
    uint64_t propagation = MS_SLAVE;
    bool recursive;

    if (!text_is_empty(config->linux_part.rootfs_propagation))
        mount_propagation_parse(config->linux_part.rootfs_propagation, &propagation, &recursive);
    return propagation;
}

static int adjust_copy(int fd, const struct mount_options *options, uint64_t fallback,
                       struct error *err)
{
    if (mount_change(fd, options->is_recursive, options->recursive_set, options->recursive_clear,
                     fallback, err) < 0)
        return -1;
    if (!options->set && !options->clear && !options->propagation)
        return 0;
    if (mount_change(fd, false, options->set, options->clear, 0, err) < 0)
        return -1;
    return options->propagation
               ? mount_change(fd, options->propagation_recursive, 0, 0, options->propagation, err)
               : 0;
}

static bool is_directory(int fd)
{
    struct stat status;

    return fstat(fd, &status) == 0 && S_ISDIR(status.st_mode);
}

static int mount_error(const struct runtime_mount *mount, struct error *err)
{
    return error_context(err, "error mounting \"%s\" to rootfs at \"%s\"",
                         mount->source ? mount->source : "", mount->destination);
}

/* What the caller opened itself comes first. */
static int open_source(const struct plan *plan, const struct planned_mount *planned,
                       struct error *err)
{
    const struct runtime_mount *mount = planned->mount;
    const char *path;
    pid_t pid;

    for (size_t i = 0; i < plan->options->source_count; i++) {
        const struct mount_source *source = &plan->options->sources[i];

        if (strcmp(source->destination, mount->destination) != 0)
            continue;
        int fd = fcntl(source->fd, F_DUPFD_CLOEXEC, 3);
        return fd < 0 ? error_sys(err, "source of %s", mount->destination) : fd;
    }
    if (text_is_empty(mount->source))
        return error_set(err, ERROR_INVALID, "bind on %s has no source", mount->destination);
    if (borrow_names(mount->source, &pid, &path))
        return borrow_mount(pid, path, err);
    CLEANUP(free)
    char *source = mount->source[0] == '/' ? xstrdup(mount->source)
                                           : path_join(plan->options->bundle_path, mount->source);
    return mount_clone(AT_FDCWD, source, planned->options.is_recursive, err);
}

static int open_bind(struct plan *plan, struct planned_mount *planned, struct error *err)
{
    const struct runtime_mount *mount = planned->mount;
    uint64_t fallback = default_propagation(plan->config);

    planned->fd = open_source(plan, planned, err);
    if (planned->fd < 0)
        return mount_error(mount, err);
    /* A wish to be shared must not be cut first. */
    if (planned->options.propagation == MS_SHARED)
        fallback = 0;
    if (adjust_copy(planned->fd, &planned->options, fallback, err) < 0)
        return mount_error(mount, err);
    planned->is_directory = is_directory(planned->fd);
    return 0;
}

/* A container in the host's cgroup namespace sees its own group of each v1 hierarchy. */
static int open_cgroups(struct plan *plan, struct planned_mount *planned, struct error *err)
{
    const struct cgroup_hierarchy *hierarchies;
    size_t count = cgroup_hierarchies(&hierarchies);
    uint64_t set = planned->options.set;

    planned->cgroup_fds = xcalloc(count + 1, sizeof(int));
    for (size_t i = 0; i <= count; i++)
        planned->cgroup_fds[i] = -1;
    for (size_t i = 0; i < count; i++) {
        CLEANUP(free) char *path = xasprintf("%s%s", hierarchies[i].path, plan->cgroup_path ?: "");
        int fd = mount_clone(AT_FDCWD, path, false, err);

        planned->cgroup_fds[i] = fd;
        if (fd < 0 || mount_change(fd, false, set, planned->options.clear, MS_PRIVATE, err) < 0)
            return -1;
    }
    return 0;
}

static bool is_cgroup(const struct runtime_mount *mount)
{
    return text_equal(mount->type, "cgroup") || text_equal(mount->type, "cgroup2");
}

static int plan_mounts(struct plan *plan, struct error *err)
{
    const struct json_list *mounts = &plan->config->mounts;

    plan->mounts = xcalloc(mounts->count + 1, sizeof(*plan->mounts));
    for (size_t i = 0; i < mounts->count; i++)
        plan->mounts[i].fd = -1;
    plan->mount_count = mounts->count;
    for (size_t i = 0; i < mounts->count; i++) {
        struct planned_mount *planned = &plan->mounts[i];

        planned->mount = &JSON_ITEMS(mounts, const struct runtime_mount)[i];
        planned->is_directory = true;
        if (mount_options_parse(&planned->mount->options, &planned->options, err) < 0)
            return -1;
        if (text_equal(planned->mount->type, "bind"))
            planned->options.is_bind = true;
        if (planned->options.is_bind && open_bind(plan, planned, err) < 0)
            return -1;
        if (!planned->options.is_bind && is_cgroup(planned->mount) &&
            cgroup_version() == CGROUP_V1 && !plan->new_cgroup_namespace &&
            open_cgroups(plan, planned, err) < 0)
            return -1;
    }
    return 0;
}

static int plan_root(struct plan *plan, struct error *err)
{
    const char *path = plan->config->root.path;

    if (plan->options->rootfs_fd >= 0) {
        plan->rootfs_fd = plan->options->rootfs_fd;
        return 0;
    }
    if (text_is_empty(path))
        return error_set(err, ERROR_INVALID, "root.path is empty");
    CLEANUP(free)
    char *whole = path[0] == '/' ? xstrdup(path) : path_join(plan->options->bundle_path, path);
    plan->owns_rootfs_fd = true;
    plan->rootfs_fd = mount_clone(AT_FDCWD, whole, true, err);
    if (plan->rootfs_fd < 0 || mount_change(plan->rootfs_fd, true, 0, 0, MS_PRIVATE, err) < 0)
        return error_context(err, "root file system");
    if (!is_directory(plan->rootfs_fd))
        return error_set(err, ERROR_INVALID, "root file system %s is not a directory", whole);
    return 0;
}

int plan_make(const struct container_options *options, const char *cgroup_path, struct plan *out,
              struct error *err)
{
    CLEANUP(plan_done)
    struct plan plan = { .options = options,
                         .config = options->config,
                         .cgroup_path = cgroup_path,
                         .rootfs_fd = -1,
                         .init_program_fd = -1,
                         .proc_fd = -1,
                         .channel_fd = -1 };
    const struct runtime_hooks *hooks = &options->config->hooks;

    if (plan_namespaces(&plan, err) < 0 || check_config(&plan, err) < 0 ||
        plan_root(&plan, err) < 0 || plan_mounts(&plan, err) < 0)
        return -1;
    if (options->init_path) {
        plan.init_program_fd = mount_clone(AT_FDCWD, options->init_path, false, err);
        if (plan.init_program_fd < 0 ||
            mount_change(plan.init_program_fd, false, MOUNT_ATTR_RDONLY, 0, MS_PRIVATE, err) < 0)
            return error_context(err, "init program");
    }
    plan.proc_fd = procfs_open(err);
    if (plan.proc_fd < 0)
        return -1;
    plan.waits_for_go = plan.new_namespaces & CLONE_NEWUSER || hooks->create_container.count ||
                        hooks->start_container.count;
    *out = plan;
    plan = (struct plan){ .rootfs_fd = -1, .init_program_fd = -1, .proc_fd = -1, .channel_fd = -1 };
    return 0;
}

static void close_fd(int fd)
{
    if (fd >= 0)
        close(fd);
}

void plan_done(struct plan *plan)
{
    const struct cgroup_hierarchy *hierarchies;

    for (size_t i = 0; i < plan->joined_count; i++)
        close_fd(plan->joined[i].fd);
    for (size_t i = 0; i < plan->mount_count; i++) {
        struct planned_mount *planned = &plan->mounts[i];

        close_fd(planned->fd);
        for (size_t h = 0; planned->cgroup_fds && h < cgroup_hierarchies(&hierarchies); h++)
            close_fd(planned->cgroup_fds[h]);
        free(planned->cgroup_fds);
        mount_options_done(&planned->options);
    }
    free(plan->mounts);
    if (plan->owns_rootfs_fd)
        close_fd(plan->rootfs_fd);
    close_fd(plan->init_program_fd);
    close_fd(plan->proc_fd);
    close_fd(plan->channel_fd);
}
