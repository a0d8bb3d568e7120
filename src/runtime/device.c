/* What every container finds in /dev. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "linux/mount.h"
#include "linux/path.h"
#include "runtime/internal.h"

#include "base/banned.h"

enum { NULL_MAJOR = 1, NULL_MINOR = 3 };

/* clang-format off */
static const struct {
    const char *name;
    unsigned major, minor;
} default_devices[] = {
    { "null",    NULL_MAJOR, NULL_MINOR },
    { "random",  1, 8 },
    { "full",    1, 7 },
    { "tty",     5, 0 },
    { "zero",    1, 5 },
    { "urandom", 1, 9 },
};
static const struct {
    const char *name, *target;
} links[] = {
    { "fd",     "/proc/self/fd"   },
    { "stdin",  "/proc/self/fd/0" },
    { "stdout", "/proc/self/fd/1" },
    { "stderr", "/proc/self/fd/2" },
};
/* clang-format on */

static bool is_device(const struct stat *status, mode_t type, dev_t number)
{
    return (status->st_mode & S_IFMT) == type && (type == S_IFIFO || status->st_rdev == number);
}

int device_open_null(int root_fd, int flags, struct error *err)
{
    CLEANUP(close) int fd = path_open(root_fd, "/dev/null", flags, 0, err);
    struct stat status;

    if (fd < 0)
        return -1;
    if (fstat(fd, &status) < 0 || !is_device(&status, S_IFCHR, makedev(NULL_MAJOR, NULL_MINOR)))
        return error_set(err, ERROR_INTERNAL, "the container's /dev/null is not the null device");
    return TAKE_FD(fd);
}

/* Where nodes may not be made (user namespaces) the host's is shown instead. */
static int bind_node(int parent_fd, const char *name, const char *path, struct error *err)
{
    CLEANUP(close) int source_fd = mount_clone(AT_FDCWD, path, false, err);

    if (source_fd < 0)
        return -1;
    CLEANUP(close)
    int file_fd = openat(parent_fd, name, O_CREAT | O_NOFOLLOW | O_RDONLY | O_CLOEXEC, 0666);
    if (file_fd < 0)
        return error_sys(err, "create %s", path);
    return mount_place(source_fd, file_fd, err);
}

static int make_node(int parent_fd, const char *name, const char *path, mode_t mode, dev_t number,
                     uid_t uid, gid_t gid, struct error *err)
{
    struct stat status;

    if (mknodat(parent_fd, name, mode, number) < 0) {
        if (errno == EPERM)
            return bind_node(parent_fd, name, path, err);
        if (errno == EEXIST && fstatat(parent_fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
            is_device(&status, mode & S_IFMT, number))
            return 0;
        return error_sys(err, "make device %s", path);
    }
    if ((uid || gid) && fchownat(parent_fd, name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0)
        return error_sys(err, "own device %s", path);
    return 0;
}

static bool is_configured(const struct plan *plan, const char *name)
{
    const struct json_list *devices = &plan->config->linux_part.devices;

    for (size_t i = 0; i < devices->count; i++) {
        const char *path = JSON_ITEMS(devices, const struct runtime_device)[i].path;

        if (text_starts(path, "/dev/") && strcmp(path + 5, name) == 0)
            return true;
    }
    return false;
}

static int make_configured(struct plan *plan, struct error *err)
{
    const struct json_list *devices = &plan->config->linux_part.devices;

    for (size_t i = 0; i < devices->count; i++) {
        const struct runtime_device *device = &JSON_ITEMS(devices, const struct runtime_device)[i];
        mode_t type = device->type[0] == 'b' ? S_IFBLK : device->type[0] == 'p' ? S_IFIFO : S_IFCHR;
        mode_t mode = device->file_mode.is_set ? (mode_t)device->file_mode.value & 07777 : 0666;
        const char *name;
        CLEANUP(close)
        int parent_fd = path_open_parent(plan->rootfs_fd, device->path, 1, &name, err);

        if (parent_fd < 0 || make_node(parent_fd, name, device->path, type | mode,
                                       makedev((unsigned)device->major, (unsigned)device->minor),
                                       device->uid.is_set ? (uid_t)device->uid.value : 0,
                                       device->gid.is_set ? (gid_t)device->gid.value : 0, err) < 0)
            return -1;
    }
    return 0;
}

static int make_defaults(struct plan *plan, int dev_fd, struct error *err)
{
    for (size_t i = 0; i < COUNT(default_devices); i++) {
        CLEANUP(free) char *path = xasprintf("/dev/%s", default_devices[i].name);

        if (!is_configured(plan, default_devices[i].name) &&
            make_node(dev_fd, default_devices[i].name, path, S_IFCHR | 0666,
                      makedev(default_devices[i].major, default_devices[i].minor), 0, 0, err) < 0)
            return -1;
    }
    return 0;
}

static int make_link(int dev_fd, const char *name, const char *target, struct error *err)
{
    if (symlinkat(target, dev_fd, name) < 0 && errno != EEXIST)
        return error_sys(err, "link /dev/%s", name);
    return 0;
}

static int make_links(struct plan *plan, int dev_fd, struct error *err)
{
    for (size_t i = 0; i < COUNT(links); i++)
        if (make_link(dev_fd, links[i].name, links[i].target, err) < 0)
            return -1;
    if (faccessat(plan->proc_fd, "kcore", F_OK, 0) == 0 &&
        make_link(dev_fd, "core", "/proc/kcore", err) < 0)
        return -1;
    if (unlinkat(dev_fd, "ptmx", 0) < 0 && errno != ENOENT && errno != EBUSY)
        return error_sys(err, "remove /dev/ptmx");
    return make_link(dev_fd, "ptmx", "pts/ptmx", err);
}

/* A /dev that is a bind belongs to somebody else and is left as it is. */
static bool dev_is_bound(const struct plan *plan)
{
    for (size_t i = 0; i < plan->mount_count; i++) {
        CLEANUP(free) char *clean = path_clean(plan->mounts[i].mount->destination);

        if (plan->mounts[i].options.is_bind && strcmp(clean, "/dev") == 0)
            return true;
    }
    return false;
}

int devices_make(struct plan *plan, struct error *err)
{
    if (dev_is_bound(plan))
        return 0;
    CLEANUP(close) int dev_fd = path_make_dir(plan->rootfs_fd, "/dev", 0755, err);
    if (dev_fd < 0)
        return -1;
    mode_t old = umask(0);
    int result = make_defaults(plan, dev_fd, err) < 0 || make_configured(plan, err) < 0 ||
                         make_links(plan, dev_fd, err) < 0
                     ? -1
                     : 0;
    umask(old);
    return result;
}
