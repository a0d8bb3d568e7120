/* The root comes from where it is mounted already, if it is: out of the mount namespace of the
 * container's init, or out of another view. */
#include "engine/container_view.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "engine/user_map.h"
#include "linux/mount.h"
#include "linux/namespace.h"
#include "linux/path.h"

#include "base/banned.h"

#define CGROUP_TEXT_LIMIT ((size_t)64 * 1024)

/* Devices in somebody else's tree are never opened by mistake. */
#define VIEW_ATTRIBUTES (MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC)

/* ---- the root ---- */

/* The mount namespace of the init. Its number may be another process' by now: the cgroup says whose
 * process it is, and both are looked up in one directory, which stays that process'. */
int container_mount_namespace(const struct container_info *info, struct error *err)
{
    CLEANUP(close) int proc_fd = procfs_open(err);
    CLEANUP(str_done) struct str cgroups = {};
    char pid[16];

    if (proc_fd < 0)
        return -1;
    snprintf(pid, sizeof(pid), "%d", (int)info->pid);
    CLEANUP(close) int process_fd = openat(proc_fd, pid, O_PATH | O_DIRECTORY | O_CLOEXEC);
    CLEANUP(close) int cgroup_fd = openat(process_fd, "cgroup", O_RDONLY | O_CLOEXEC);
    if (process_fd < 0 || cgroup_fd < 0)
        return error_sys(err, "look at process %s of container %s", pid, info->id);
    if (file_read_fd(cgroup_fd, CGROUP_TEXT_LIMIT, &cgroups, err) < 0)
        return -1;
    if (!strstr(str_text(&cgroups), info->id))
        return error_set(err, ERROR_UNAVAILABLE, "process %s is not in container %s", pid,
                         info->id);
    int fd = openat(process_fd, "ns/mnt", O_RDONLY | O_CLOEXEC);
    return fd < 0 ? error_sys(err, "mount namespace of container %s", info->id) : fd;
}

/* Descriptors of a view that somebody has open; 0: there is none. */
static int borrow_view(struct container *container, struct mount_view *out)
{
    int found = 0;

    mutex_lock(&container->lock);
    if (!list_is_empty(&container->views)) {
        const struct container_view *view = CONTAINER_OF(container->views.next,
                                                         struct container_view, link);

        *out = (struct mount_view){ fcntl(view->mounts.root_fd, F_DUPFD_CLOEXEC, 3),
                                    fcntl(view->mounts.namespace_fd, F_DUPFD_CLOEXEC, 3) };
        found = 1;
    }
    mutex_unlock(&container->lock);
    return found;
}

static int root_at_rest(struct container *container, int user_namespace_fd, int *out_fd,
                        struct error *err)
{
    CLEANUP(writable_done) struct writable writable = {};

    if (container_writable(container, &writable, err) < 0)
        return -1;
    return container_root_mount(container, &writable, user_namespace_fd, out_fd, err);
}

int container_root_mount(struct container *container, const struct writable *writable,
                         int user_namespace_fd, int *out_fd, struct error *err)
{
    CLEANUP(container_info_unref) struct container_info *info = container_snapshot(container);
    CLEANUP(mount_view_done) struct mount_view other = {};

    if (!borrow_view(container, &other))
        return engine_root_mount(container->engine, info->spec->chain_id, writable,
                                 user_namespace_fd, out_fd, err);
    CLEANUP(close) int fd = mount_view_clone_root(&other, err);
    if (fd < 0 ||
        mount_change(fd, false, 0, VIEW_ATTRIBUTES | MOUNT_ATTR_RDONLY, MS_PRIVATE, err) < 0)
        return -1;
    *out_fd = TAKE_FD(fd);
    return 0;
}

/* ---- the mounts ---- */

/* What will be placed: room for all mounts of the container and the three files. */
struct parts {
    struct mount_part *items;
    size_t count;
};

static void parts_done(struct parts *parts)
{
    for (size_t i = 0; i < parts->count; i++)
        close(parts->items[i].mount_fd);
    free(parts->items);
}
CLEANUP_VALUE(parts_done, struct parts)

static int add_part(struct parts *parts, int mount_fd, const char *target, bool makes_target,
                    bool is_writable, struct error *err)
{
    unsigned attributes = VIEW_ATTRIBUTES | (is_writable ? 0 : MOUNT_ATTR_RDONLY);

    parts->items[parts->count++] =
        (struct mount_part){ .mount_fd = mount_fd, .target = target, .makes_target = makes_target };
    return mount_change(mount_fd, true, attributes, 0, MS_PRIVATE, err);
}

/* The mount that was opened for a target, if there is one; the caller's now. */
static int take_source(struct container_sources *sources, const char *target)
{
    for (size_t i = 0; i < sources->count; i++)
        if (strcmp(sources->mounts[i].destination, target) == 0)
            return TAKE_FD(sources->mounts[i].fd);
    return -1;
}

static int add_sources(struct container_view *view, bool makes_targets, int user_namespace_fd,
                       struct parts *parts, struct error *err)
{
    const struct container_spec *spec = view->info->spec;
    CLEANUP(container_sources_done) struct container_sources sources = {};
    char random[ID_LENGTH + 1];

    id_generate(random);
    CLEANUP(free) char *user = xasprintf("%s-%.12s", view->info->id, random);
    if (container_mounts_begin(view->container->engine, user, view->info, user_namespace_fd,
                               &sources, err) < 0)
        return -1;
    view->volume_user = TAKE(user);
    for (size_t i = 0; i < spec->mounts.count; i++) {
        const struct container_mount *mount = &JSON_ITEMS(&spec->mounts, struct container_mount)[i];
        int fd = take_source(&sources, mount->destination);

        if (fd < 0 && strcmp(mount->type, "tmpfs") == 0)
            continue;
        if (fd < 0)
            fd = mount_clone(AT_FDCWD, mount->source, !mount->non_recursive, err);
        if (fd < 0 || add_part(parts, fd, mount->destination, makes_targets, mount->rw, err) < 0)
            return error_context(err, "mount on %s", mount->destination);
    }
    return 0;
}

static int add_network_files(const struct container_info *info, int user_namespace_fd,
                             struct parts *parts, struct error *err)
{
    const struct {
        const char *target, *path;
    } files[] = { { "/etc/hosts", info->hosts_path },
                  { "/etc/hostname", info->hostname_path },
                  { "/etc/resolv.conf", info->resolv_path } };

    for (size_t i = 0; i < COUNT(files); i++) {
        if (text_is_empty(files[i].path) || !file_exists(files[i].path))
            continue;
        int fd = mount_clone(AT_FDCWD, files[i].path, false, err);
        if (fd >= 0 && user_namespace_fd >= 0 &&
            mount_map_owners(fd, false, user_namespace_fd, err) < 0)
            close(TAKE_FD(fd));
        if (fd < 0 || add_part(parts, fd, files[i].target, false,
                               !info->host_config.readonly_rootfs, err) < 0)
            return -1;
    }
    return 0;
}

/* Memory that only the container's own namespace knows. */
static int add_tmpfs(const struct container_info *info, int namespace_fd, struct parts *parts,
                     struct error *err)
{
    CLEANUP(free)
    struct mount_wish *wishes = xcalloc(info->spec->mounts.count + 1, sizeof(*wishes));
    size_t count = 0;

    for (size_t i = 0; i < info->spec->mounts.count; i++) {
        const struct container_mount *mount = &JSON_ITEMS(&info->spec->mounts,
                                                          struct container_mount)[i];

        if (strcmp(mount->type, "tmpfs") == 0)
            wishes[count++] = (struct mount_wish){ mount->destination, TMPFS_MAGIC, -1 };
    }
    if (count == 0)
        return 0;
    if (mount_clone_from(namespace_fd, wishes, count, err) < 0)
        return -1;
    int result = 0;
    for (size_t i = 0; i < count; i++) {
        if (wishes[i].fd >= 0 && result == 0)
            result = add_part(parts, wishes[i].fd, wishes[i].path, false, true, err);
        else if (wishes[i].fd >= 0)
            close(wishes[i].fd);
    }
    return result;
}

static int compare_depths(const void *a, const void *b)
{
    size_t left = strlen(((const struct mount_part *)a)->target);
    size_t right = strlen(((const struct mount_part *)b)->target);

    return left < right ? -1 : left > right;
}

/* For a container that runs ('namespace_fd') all targets are there. */
static int add_mounts(struct container_view *view, int namespace_fd, int user_namespace_fd,
                      struct error *err)
{
    const struct container_info *info = view->info;
    CLEANUP(parts_done)
    struct parts parts = { xcalloc(info->spec->mounts.count + 3, sizeof(struct mount_part)), 0 };

    if (add_sources(view, namespace_fd < 0, user_namespace_fd, &parts, err) < 0 ||
        add_network_files(info, user_namespace_fd, &parts, err) < 0 ||
        (namespace_fd >= 0 && add_tmpfs(info, namespace_fd, &parts, err) < 0))
        return -1;
    /* What is mounted below another comes after it: its path is longer. */
    qsort(parts.items, parts.count, sizeof(*parts.items), compare_depths);
    return mount_view_add(&view->mounts, parts.items, parts.count, err);
}

/* ---- views ---- */

static int check_state(struct container *container, const struct container_info *info,
                       struct error *err)
{
    if (container_is_removed(container))
        return error_set(err, ERROR_NOT_FOUND, "No such container: %s", container->id);
    if (info->state == CONTAINER_DEAD || info->state == CONTAINER_REMOVING)
        return error_set(err, ERROR_CONFLICT, "container %s is dead or marked for removal",
                         info->name);
    return 0;
}

/* Operation held: nobody starts, and nobody else opens a view, while the root is fetched. */
static int open_root(struct container_view *view, int user_namespace_fd, int *out_namespace_fd,
                     struct error *err)
{
    struct mount_wish wish = { .path = "/" };
    CLEANUP(close) int root_fd = -1, namespace_fd = -1;
    bool is_up = container_is_up(view->info);

    if (is_up) {
        namespace_fd = container_mount_namespace(view->info, err);
        if (namespace_fd < 0 || mount_clone_from(namespace_fd, &wish, 1, err) < 0)
            return -1;
        root_fd = wish.fd;
    } else if (root_at_rest(view->container, user_namespace_fd, &root_fd, err) < 0) {
        return -1;
    }
    if (mount_change(root_fd, false, VIEW_ATTRIBUTES, 0, MS_PRIVATE, err) < 0 ||
        mount_view_make(root_fd, &view->mounts, err) < 0)
        return -1;
    user_map_root(view->info->spec, &view->mounts.maker_uid, &view->mounts.maker_gid);
    view->root_mount_id = mount_id_of(view->mounts.root_fd);
    *out_namespace_fd = TAKE_FD(namespace_fd);
    return 0;
}

int container_view_open(struct container *container, bool with_mounts, struct container_view **out,
                        struct error *err)
{
    CLEANUP(close) int namespace_fd = -1, users_fd = -1;
    CLEANUP(container_view_close) struct container_view *view = NEW(struct container_view);

    list_init(&view->link);
    view->container = container_ref(container);
    view->cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (view->cancel_fd < 0)
        return error_sys(err, "make an event");
    if (container_begin_operation(container, err))
        return -1;
    view->info = container_snapshot(container);
    int result = check_state(container, view->info, err);
    if (result == 0)
        result = user_map_open(view->info->spec, &users_fd, NULL, err);
    if (result == 0)
        result = open_root(view, users_fd, &namespace_fd, err);
    if (result == 0) {
        mutex_lock(&container->lock);
        list_add(&container->views, &view->link);
        mutex_unlock(&container->lock);
    }
    mutex_unlock(&container->operation);
    /* Sources on the host may be slow to answer: nobody waits for them but who asked. */
    if (result == 0 && with_mounts)
        result = add_mounts(view, namespace_fd, users_fd, err);
    if (result == 0 && view->info->host_config.readonly_rootfs)
        result = mount_view_seal(&view->mounts, err);
    if (result < 0 && err && err->kind == ERROR_NOT_FOUND && !container_is_removed(container)) {
        err->kind = ERROR_INTERNAL; /* Not the path that was asked for. */
        return error_context(err, "files of container %s", view->info->name);
    }
    if (result < 0)
        return -1;
    *out = TAKE(view);
    return 0;
}

void container_view_close(struct container_view *view)
{
    if (!view)
        return;
    mutex_lock(&view->container->lock);
    list_remove(&view->link);
    mutex_unlock(&view->container->lock);
    engine_usage_touch_container(view->container);
    mount_view_done(&view->mounts);
    if (view->volume_user)
        container_mounts_end(view->container->engine, view->volume_user, view->info->spec);
    free(view->volume_user);
    if (view->cancel_fd >= 0)
        close(view->cancel_fd);
    container_info_unref(view->info);
    container_unref(view->container);
    free(view);
}

void container_views_cancel(struct container *container)
{
    mutex_lock(&container->lock);
    LIST_EACH (&container->views, struct container_view, link, view) {
        uint64_t one = 1;
        ssize_t size UNUSED = write(view->cancel_fd, &one, sizeof(one));
    }
    mutex_unlock(&container->lock);
}
