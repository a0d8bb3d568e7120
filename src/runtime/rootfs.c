/* The container's file systems. The root is attached over our own "/" in the new mount namespace,
 * everything else on descriptors looked up inside it, and pivot_root makes it the only thing left.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "linux/cgroup.h"
#include "linux/mount.h"
#include "linux/path.h"
#include "runtime/internal.h"

#include "base/banned.h"

enum { SETTING_LIMIT = 64 };

/* ---- targets ---- */

static bool is_directory(int fd)
{
    struct stat status;

    return fstat(fd, &status) == 0 && S_ISDIR(status.st_mode);
}

static bool is_procfs(int fd)
{
    struct statfs filesystem;

    return fstatfs(fd, &filesystem) == 0 && filesystem.f_type == PROC_SUPER_MAGIC;
}

/* Files of /proc that others present in their own way (lxcfs); nothing else of it may be covered.
 */
static bool may_cover_proc(const char *destination)
{
    static const char *const allowed[] = {
        "/proc/cpuinfo",
        "/proc/diskstats",
        "/proc/loadavg",
        "/proc/meminfo",
        "/proc/slabinfo",
        "/proc/stat",
        "/proc/swaps",
        "/proc/sys/crypto/fips_enabled",
        "/proc/sys/kernel/ns_last_pid",
        "/proc/uptime",
    };

    for (size_t i = 0; i < COUNT(allowed); i++)
        if (strcmp(allowed[i], destination) == 0)
            return true;
    return false;
}

static int fail_kind(struct error *err)
{
    return error_set(err, ERROR_INVALID,
                     "not a directory: Are you trying to mount a directory onto a file (or "
                     "vice-versa)? Check if the specified host path exists and is the expected "
                     "type");
}

static int open_target(struct plan *plan, const char *destination, bool wants_directory,
                       struct error *err)
{
    struct error failure = {};
    CLEANUP(close)
    int fd = wants_directory ? path_make_dir(plan->rootfs_fd, destination, 0755, &failure)
                             : path_make_file(plan->rootfs_fd, destination, 0755, &failure);

    if (fd < 0 && failure.sys == ENOTDIR)
        return fail_kind(err);
    if (fd < 0) {
        if (err)
            *err = failure;
        return -1;
    }
    if (is_directory(fd) != wants_directory)
        return fail_kind(err);
    CLEANUP(free) char *clean = path_clean(destination);
    if (is_procfs(fd) && strcmp(clean, "/proc") != 0 && !may_cover_proc(clean))
        return error_set(err, ERROR_INVALID, "\"%s\" cannot be mounted because it is inside /proc",
                         destination);
    return TAKE_FD(fd);
}

static int place(struct plan *plan, int mount_fd, const char *destination, bool wants_directory,
                 struct error *err)
{
    CLEANUP(close) int target_fd = open_target(plan, destination, wants_directory, err);

    return target_fd < 0 ? -1 : mount_place(mount_fd, target_fd, err);
}

/* ---- kinds of mounts ---- */

/* proc and sysfs are what later protections are counted from: they go where they say. */
static int check_plain_target(struct plan *plan, const struct runtime_mount *mount,
                              struct error *err)
{
    struct stat status;
    const char *relative = mount->destination + strspn(mount->destination, "/");

    if (strcmp(mount->type, "proc") != 0 && strcmp(mount->type, "sysfs") != 0)
        return 0;
    if (fstatat(plan->rootfs_fd, relative, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
        !S_ISDIR(status.st_mode))
        return error_set(err, ERROR_INVALID,
                         "filesystem \"%s\" must be mounted on ordinary directory", mount->type);
    return 0;
}

/* "key=value" and "key" as the mount call wants them; the texts live in 'copies'. */
static int convert_settings(const struct runtime_mount *mount, const struct strv *data,
                            struct mount_setting *settings, struct strv *copies, struct error *err)
{
    size_t count = 0;

    settings[count++] = (struct mount_setting){ "source", text_is_empty(mount->source)
                                                              ? mount->type
                                                              : mount->source };
    for (size_t i = 0; i < data->count; i++) {
        if (count == SETTING_LIMIT)
            return error_set(err, ERROR_INVALID, "too many mount options");
        strv_add(copies, data->items[i]);
        char *key = copies->items[copies->count - 1], *value = strchr(key, '=');
        if (value)
            *value++ = 0;
        settings[count++] = (struct mount_setting){ key, value };
    }
    return (int)count;
}

/* A tmpfs over a directory has that directory's mode, unless it is given one. */
static void keep_mode(const struct plan *plan, const struct runtime_mount *mount,
                      const struct strv *data, struct strv *out)
{
    CLEANUP(close) int fd = -1;
    struct stat status;

    strv_copy(out, data);
    if (strcmp(mount->type, "tmpfs") != 0)
        return;
    for (size_t i = 0; i < data->count; i++)
        if (text_starts(data->items[i], "mode="))
            return;
    fd = path_open(plan->rootfs_fd, mount->destination, O_PATH | O_DIRECTORY, 0, NULL);
    if (fd >= 0 && fstat(fd, &status) == 0)
        strv_add_format(out, "mode=%o", status.st_mode & 07777);
}

/* Super blocks that are shared with others stay writable; the mount is read-only anyway. */
static bool has_own_superblock(const char *type)
{
    return strcmp(type, "cgroup") != 0 && strcmp(type, "cgroup2") != 0;
}

static int mount_filesystem(struct plan *plan, struct planned_mount *planned, struct error *err)
{
    const struct runtime_mount *mount = planned->mount;
    const struct mount_options *options = &planned->options;
    struct mount_setting settings[SETTING_LIMIT + 1];
    CLEANUP(strv_done) struct strv copies = {}, data = {};
    uint64_t set = options->set;

    if (text_is_empty(mount->type))
        return error_set(err, ERROR_INVALID, "mount has no type");
    if (check_plain_target(plan, mount, err) < 0)
        return -1;
    keep_mode(plan, mount, &options->data, &data);
    int count = convert_settings(mount, &data, settings, &copies, err);
    if (count < 0)
        return -1;
    /* /dev is filled first and made read-only after. */
    bool is_dev = strcmp(mount->destination, "/dev") == 0;
    if (is_dev)
        set &= ~(uint64_t)MOUNT_ATTR_RDONLY;
    if (set & MOUNT_ATTR_RDONLY && has_own_superblock(mount->type))
        settings[count++] = (struct mount_setting){ "ro", NULL };
    CLEANUP(close)
    int fd = mount_create(mount->type, settings, (size_t)count, (unsigned)set, err);
    if (fd < 0)
        return -1;
    if (options->propagation &&
        mount_change(fd, options->propagation_recursive, 0, 0, options->propagation, err) < 0)
        return -1;
    return place(plan, fd, mount->destination, true, err);
}

/* One hierarchy of version 1, seen from a cgroup namespace of the container's own. */
static int create_cgroup_view(const struct cgroup_hierarchy *hierarchy, uint64_t set,
                              struct error *err)
{
    CLEANUP(strv_done) struct strv words = {};
    struct mount_setting settings[SETTING_LIMIT];
    size_t count = 1;

    settings[0] = (struct mount_setting){ "source", "cgroup" };
    strv_split(&words, hierarchy->controllers, ',');
    for (size_t i = 0; i < words.count && count + 2 < SETTING_LIMIT; i++) {
        char *value = strchr(words.items[i], '=');

        if (value) { /* "name=systemd" */
            *value++ = 0;
            settings[0].value = value;
            settings[count++] = (struct mount_setting){ "none", NULL };
        }
        settings[count++] = (struct mount_setting){ words.items[i], value };
    }
    return mount_create("cgroup", settings, count, (unsigned)set, err);
}

/* cpu and cpuacct mounted together are also found by either name. */
static void link_controllers(const struct cgroup_hierarchy *hierarchy, int directory_fd)
{
    CLEANUP(strv_done) struct strv words = {};

    strv_split(&words, hierarchy->controllers, ',');
    for (size_t i = 0; words.count > 1 && i < words.count; i++)
        if (strcmp(words.items[i], hierarchy->name) != 0)
            (void)!symlinkat(hierarchy->name, directory_fd, words.items[i]);
}

static int mount_cgroups_v1(struct plan *plan, struct planned_mount *planned, struct error *err)
{
    const struct cgroup_hierarchy *hierarchies;
    size_t count = cgroup_hierarchies(&hierarchies);
    const struct mount_setting settings[] = { { "source", "tmpfs" }, { "mode", "755" } };
    const char *destination = planned->mount->destination;
    uint64_t set = planned->options.set & ~(uint64_t)MOUNT_ATTR_RDONLY;
    CLEANUP(close) int tmpfs_fd = mount_create("tmpfs", settings, 2, (unsigned)set, err);

    if (tmpfs_fd < 0 || place(plan, tmpfs_fd, destination, true, err) < 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        CLEANUP(close)
        int own_fd = planned->cgroup_fds
                         ? -1
                         : create_cgroup_view(&hierarchies[i], planned->options.set, err);
        int fd = planned->cgroup_fds ? planned->cgroup_fds[i] : own_fd;

        if (fd < 0)
            return -1;
        if (mkdirat(tmpfs_fd, hierarchies[i].name, 0755) < 0 && errno != EEXIST)
            return error_sys(err, "make directory for %s", hierarchies[i].name);
        CLEANUP(close)
        int target_fd = openat(tmpfs_fd, hierarchies[i].name,
                               O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (target_fd < 0)
            return error_sys(err, "open directory for %s", hierarchies[i].name);
        if (mount_place(fd, target_fd, err) < 0)
            return -1;
        link_controllers(&hierarchies[i], tmpfs_fd);
    }
    return 0;
}

static int mount_cgroup_v2(struct plan *plan, struct planned_mount *planned, struct error *err)
{
    const struct mount_setting source = { "source", "cgroup" };
    CLEANUP(close)
    int fd = mount_create("cgroup2", &source, 1, (unsigned)planned->options.set, err);

    return fd < 0 ? -1 : place(plan, fd, planned->mount->destination, true, err);
}

/* What is at /proc is taken for procfs by everybody, protections first. */
static int check_proc(const struct planned_mount *planned, struct error *err)
{
    CLEANUP(free) char *clean = path_clean(planned->mount->destination);
    bool is_proc = planned->options.is_bind ? is_procfs(planned->fd)
                                            : text_equal(planned->mount->type, "proc");

    if (strcmp(clean, "/proc") != 0 || is_proc)
        return 0;
    return error_set(err, ERROR_INVALID,
                     "\"/proc\" cannot be mounted because it is not of type proc");
}

static int mount_one(struct plan *plan, struct planned_mount *planned, struct error *err)
{
    const char *type = planned->mount->type;

    if (check_proc(planned, err) < 0)
        return -1;
    if (planned->options.is_bind)
        return place(plan, planned->fd, planned->mount->destination, planned->is_directory, err);
    if (text_equal(type, "cgroup") && cgroup_version() == CGROUP_V1)
        return mount_cgroups_v1(plan, planned, err);
    if (text_equal(type, "cgroup") || text_equal(type, "cgroup2"))
        return mount_cgroup_v2(plan, planned, err);
    return mount_filesystem(plan, planned, err);
}

/* ---- the whole ---- */

static int make_working_directory(struct plan *plan, struct error *err)
{
    const char *cwd = plan->config->process.cwd;
    struct error failure = {};

    if (text_is_empty(cwd))
        return 0;
    CLEANUP(close) int fd = path_make_dir(plan->rootfs_fd, cwd, 0755, &failure);
    if (fd >= 0)
        return 0;
    if (failure.sys == ENOTDIR || failure.sys == EEXIST)
        return error_set(err, ERROR_INVALID, "Cannot mkdir: %s is not a directory", cwd);
    if (failure.sys == EROFS) /* told when it is entered */
        return 0;
    if (err)
        *err = failure;
    return -1;
}

int rootfs_mount(struct plan *plan, struct error *err)
{
    /* Nothing that happens here is seen on the host, nor the other way round. */
    if (mount_change_at("/", true, 0, 0, MS_PRIVATE, err) < 0 ||
        mount_place_at(plan->rootfs_fd, "/", err) < 0)
        return error_context(err, "mount root file system");
    for (size_t i = 0; i < plan->mount_count; i++) {
        struct planned_mount *planned = &plan->mounts[i];
        const char *source = planned->mount->source;

        if (mount_one(plan, planned, err) < 0)
            return error_context(err, "error mounting \"%s\" to rootfs at \"%s\"",
                                 source ? source : "", planned->mount->destination);
    }
    if (plan->init_program_fd >= 0 &&
        place(plan, plan->init_program_fd, "/sbin/docker-init", false, err) < 0)
        return error_context(err, "error mounting \"%s\" to rootfs at \"/sbin/docker-init\"",
                             plan->options->init_path);
    return make_working_directory(plan, err);
}

int rootfs_bind_console(struct plan *plan, int slave_fd, struct error *err)
{
    CLEANUP(close) int fd = mount_clone(slave_fd, "", false, err);

    if (fd < 0 || place(plan, fd, "/dev/console", false, err) < 0)
        return error_context(err, "console");
    return 0;
}

static int finish_dev(struct plan *plan, struct error *err)
{
    for (size_t i = 0; i < plan->mount_count; i++) {
        struct planned_mount *planned = &plan->mounts[i];

        if (planned->options.is_bind || !planned->options.is_read_only ||
            strcmp(planned->mount->destination, "/dev") != 0)
            continue;
        CLEANUP(close) int fd = path_open(plan->rootfs_fd, "/dev", O_PATH, 0, err);
        if (fd < 0 || mount_change(fd, false, MOUNT_ATTR_RDONLY, 0, 0, err) < 0)
            return -1;
    }
    return 0;
}

int rootfs_enter(struct plan *plan, struct error *err)
{
    const char *wish = plan->config->linux_part.rootfs_propagation;
    uint64_t propagation;
    bool recursive;

    if (finish_dev(plan, err) < 0)
        return -1;
    /* Both names are the same directory: the old root ends up over the new one and is taken off. */
    if (fchdir(plan->rootfs_fd) < 0 || syscall(SYS_pivot_root, ".", ".") < 0)
        return error_sys(err, "pivot_root");
    if (umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
        return error_sys(err, "unmount old root");
    if (!text_is_empty(wish) && mount_propagation_parse(wish, &propagation, &recursive) &&
        propagation != MS_PRIVATE && propagation != MS_SLAVE &&
        mount_change_at("/", recursive, 0, 0, propagation, err) < 0)
        return error_context(err, "root propagation");
    if (plan->config->root.readonly &&
        mount_change_at("/", false, MOUNT_ATTR_RDONLY, 0, 0, err) < 0)
        return error_context(err, "read-only root");
    return 0;
}

/* ---- protected paths ---- */

static int make_read_only(int root_fd, const char *path, struct error *err)
{
    CLEANUP(close) int target_fd = path_open(root_fd, path, O_PATH, 0, NULL);

    if (target_fd < 0)
        return errno == ENOENT || errno == ENOTDIR ? 0 : error_sys(err, "readonly path %s", path);
    CLEANUP(close) int fd = mount_clone(target_fd, "", true, err);
    if (fd < 0 || mount_change(fd, false, MOUNT_ATTR_RDONLY, 0, 0, err) < 0 ||
        mount_place(fd, target_fd, err) < 0)
        return error_context(err, "readonly path %s", path);
    return 0;
}

/* 'cover_fd' keeps the first empty directory, which then covers all others too. */
static int mask(int root_fd, const char *path, int null_fd, int *cover_fd, struct error *err)
{
    static const struct mount_setting settings[] = {
        { "source", "tmpfs" },
        { "size", "4k" },
        { "nr_inodes", "1" },
        { "ro", NULL },
    };
    CLEANUP(close) int target_fd = path_open(root_fd, path, O_PATH, 0, NULL);

    if (target_fd < 0)
        return errno == ENOENT || errno == ENOTDIR ? 0 : error_sys(err, "mask %s", path);
    bool is_first = is_directory(target_fd) && *cover_fd < 0;
    CLEANUP(close) int fd = -1;
    if (!is_directory(target_fd))
        fd = mount_clone(null_fd, "", false, err);
    else if (is_first)
        fd = mount_create("tmpfs", settings, COUNT(settings), MOUNT_ATTR_RDONLY, err);
    else
        fd = mount_clone(*cover_fd, "", false, err);
    if (fd < 0 || mount_place(fd, target_fd, err) < 0)
        return error_context(err, "mask %s", path);
    if (is_first)
        *cover_fd = TAKE_FD(fd);
    return 0;
}

int rootfs_protect(struct plan *plan, struct error *err)
{
    const struct runtime_linux *part = &plan->config->linux_part;
    CLEANUP(close) int null_fd = -1;
    CLEANUP(close) int cover_fd = -1;

    for (size_t i = 0; i < part->readonly_paths.count; i++)
        if (make_read_only(plan->rootfs_fd, part->readonly_paths.items[i], err) < 0)
            return -1;
    if (part->masked_paths.count)
        null_fd = device_open_null(plan->rootfs_fd, O_PATH, err);
    if (part->masked_paths.count && null_fd < 0)
        return -1;
    for (size_t i = 0; i < part->masked_paths.count; i++)
        if (mask(plan->rootfs_fd, part->masked_paths.items[i], null_fd, &cover_fd, err) < 0)
            return -1;
    return 0;
}
