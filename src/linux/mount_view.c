/* Each call is an errand: a thread goes into the namespace, does it, and ends there. */
#include "linux/mount_view.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#include "base/memory.h"
#include "base/thread.h"
#include "linux/mount.h"
#include "linux/namespace.h"
#include "linux/path.h"
#include "linux/user_namespace.h"

#include "base/banned.h"

#ifndef STATX_ATTR_MOUNT_ROOT
#define STATX_ATTR_MOUNT_ROOT 0x00002000
#endif
#ifndef STATX_MNT_ID
#define STATX_MNT_ID 0x00001000U
#endif

enum { STACK_LIMIT = 64 }; /* mounts on one place */

struct errand {
    int namespace_fd; /* -1: a new one */
    int (*run)(void *data, struct error *err);
    void *data;
    int result;
    struct error *err;
};

static void *go(void *data)
{
    struct errand *errand = data;

    errand->result = -1;
    if (errand->namespace_fd < 0 && unshare(CLONE_NEWNS) < 0) {
        error_sys(errand->err, "make a mount namespace");
        return NULL;
    }
    /* A thread has to let go of the root that it shares with the others first. */
    if (errand->namespace_fd >= 0 && unshare(CLONE_FS) < 0) {
        error_sys(errand->err, "part from the process' root");
        return NULL;
    }
    if (errand->namespace_fd >= 0 &&
        namespace_join(errand->namespace_fd, CLONE_NEWNS, errand->err) < 0)
        return NULL;
    errand->result = errand->run(errand->data, errand->err);
    return NULL;
}

static int run_errand(int namespace_fd, int (*run)(void *data, struct error *err), void *data,
                      struct error *err)
{
    struct error own = {};
    struct errand errand = { namespace_fd, run, data, -1, err ?: &own };
    pthread_t thread;

    if (thread_start("mounts", go, &errand, &thread, err) < 0)
        return -1;
    pthread_join(thread, NULL);
    return errand.result;
}

uint64_t mount_id_of(int fd)
{
    struct statx status;

    if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_MNT_ID, &status) < 0 ||
        !(status.stx_mask & STATX_MNT_ID))
        return 0;
    return status.stx_mnt_id;
}

/* ---- making one ---- */

struct making {
    int mount_fd;
    struct mount_view view;
};

/* Leaves the host's mounts behind. Where the host's own root cannot be left (an initial ramdisk),
 * they stay in the namespace, and follow what the host does with them. */
static void leave_host(int root_fd)
{
    if (fchdir(root_fd) == 0 && syscall(SYS_pivot_root, ".", ".") == 0)
        umount2(".", MNT_DETACH);
}

static int make(void *data, struct error *err)
{
    struct making *making = data;
    CLEANUP(close) int namespace_fd = -1, root_fd = -1;

    if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
        return error_sys(err, "part from the host's mounts");
    namespace_fd = namespace_open("/proc/thread-self/ns/mnt", CLONE_NEWNS, err);
    if (namespace_fd < 0)
        return -1;
    /* Any directory will do, and this one is there. */
    if (mount_place_at(making->mount_fd, "/proc", err) < 0)
        return -1;
    root_fd = openat(making->mount_fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root_fd < 0)
        return error_sys(err, "open the root of a view");
    leave_host(root_fd);
    making->view = (struct mount_view){ TAKE_FD(root_fd), TAKE_FD(namespace_fd) };
    return 0;
}

int mount_view_make(int root_mount_fd, struct mount_view *out, struct error *err)
{
    struct making making = { .mount_fd = root_mount_fd };

    if (run_errand(-1, make, &making, err) < 0)
        return error_context(err, "view of a tree");
    *out = making.view;
    return 0;
}

static int open_root(void *data, struct error *err)
{
    int *fd = data;

    *fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    return *fd < 0 ? error_sys(err, "open the root of a mount namespace") : 0;
}

int mount_view_of(int namespace_fd, struct mount_view *out, struct error *err)
{
    CLEANUP(close) int root_fd = -1;
    CLEANUP(close) int own_fd = fcntl(namespace_fd, F_DUPFD_CLOEXEC, 3);

    if (own_fd < 0)
        return error_sys(err, "keep a mount namespace");
    if (run_errand(namespace_fd, open_root, &root_fd, err) < 0)
        return -1;
    *out = (struct mount_view){ TAKE_FD(root_fd), TAKE_FD(own_fd) };
    return 0;
}

void mount_view_done(struct mount_view *view)
{
    if (!view->namespace_fd) /* 0 is never one of them. */
        return;
    close(view->root_fd);
    close(view->namespace_fd);
    *view = (struct mount_view){};
}

/* ---- adding to it ---- */

struct adding {
    int root_fd;
    uint32_t maker_uid, maker_gid;
    struct mount_part *parts;
    size_t count;
};

static int open_target(int root_fd, const struct mount_part *part, struct error *err)
{
    struct error why = {};
    struct stat status;
    int fd = path_open(root_fd, part->target, O_PATH, 0, &why);

    if (fd >= 0 || why.kind != ERROR_NOT_FOUND || !part->makes_target) {
        if (fd < 0 && err)
            *err = why;
        return fd;
    }
    if (fstat(part->mount_fd, &status) < 0)
        return error_sys(err, "look at what is mounted on %s", part->target);
    return S_ISDIR(status.st_mode) ? path_make_dir(root_fd, part->target, 0755, err)
                                   : path_make_file(root_fd, part->target, 0755, err);
}

static bool is_of_kernel(int fd)
{
    static const long magics[] = { PROC_SUPER_MAGIC, SYSFS_MAGIC, CGROUP_SUPER_MAGIC,
                                   CGROUP2_SUPER_MAGIC };
    struct statfs status;

    for (size_t i = 0; fstatfs(fd, &status) == 0 && i < COUNT(magics); i++)
        if (status.f_type == magics[i])
            return true;
    return false;
}

static int place_part(const struct mount_part *part, int target_fd, struct error *err)
{
    struct stat source, target;

    if (part->avoids_kernel && is_of_kernel(target_fd))
        return error_set(err, ERROR_INVALID, "what is there is made by the kernel");
    if (fstat(part->mount_fd, &source) < 0 || fstat(target_fd, &target) < 0)
        return error_sys(err, "look at both");
    if (S_ISDIR(source.st_mode) != S_ISDIR(target.st_mode))
        return error_set(err, ERROR_INVALID, "a directory goes on a directory, a file on a file");
    return mount_place(part->mount_fd, target_fd, err);
}

static int add(void *data, struct error *err)
{
    struct adding *adding = data;

    if ((adding->maker_uid || adding->maker_gid) &&
        user_make_files_as(adding->maker_uid, adding->maker_gid, err) < 0)
        return -1; /* to the end of this thread */
    for (size_t i = 0; i < adding->count; i++) {
        struct mount_part *part = &adding->parts[i];
        struct error why = {};
        CLEANUP(close) int target_fd = open_target(adding->root_fd, part, &why);

        part->mount_id = 0;
        if (target_fd < 0 && why.kind == ERROR_NOT_FOUND && !part->makes_target)
            continue;
        if (target_fd < 0 || place_part(part, target_fd, &why) < 0) {
            if (err)
                *err = why;
            return error_context(err, "mount on %s", part->target);
        }
        part->mount_id = mount_id_of(part->mount_fd);
    }
    return 0;
}

int mount_view_add(const struct mount_view *view, struct mount_part *parts, size_t count,
                   struct error *err)
{
    struct adding adding = { view->root_fd, view->maker_uid, view->maker_gid, parts, count };

    return count ? run_errand(view->namespace_fd, add, &adding, err) : 0;
}

/* ---- taking away ---- */

struct removing {
    int root_fd, proc_fd;
    const char *target;
};

/* The root of a mount, and not that of the view itself. */
static int open_mounted(const struct removing *removing, struct error *err)
{
    CLEANUP(close) int fd = path_open(removing->root_fd, removing->target, O_PATH, 0, err);
    struct statx status;

    if (fd < 0)
        return -1;
    if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_BASIC_STATS, &status) < 0)
        return error_sys(err, "look at %s", removing->target);
    if (!(status.stx_attributes & STATX_ATTR_MOUNT_ROOT) ||
        mount_id_of(fd) == mount_id_of(removing->root_fd))
        return error_set(err, ERROR_NOT_FOUND, "nothing is mounted on %s", removing->target);
    return TAKE_FD(fd);
}

/* The host's /proc names descriptors in the only way that umount understands. */
static int remove_mounts(void *data, struct error *err)
{
    const struct removing *removing = data;

    if (fchdir(removing->proc_fd) < 0)
        return error_sys(err, "go to /proc");
    for (int i = 0; i < STACK_LIMIT; i++) {
        struct error why = {};
        CLEANUP(close) int fd = open_mounted(removing, &why);
        char name[32];

        if (fd < 0 && i > 0)
            return 0;
        if (fd < 0) {
            if (err)
                *err = why;
            return -1;
        }
        snprintf(name, sizeof(name), "self/fd/%d", fd);
        if (umount2(name, MNT_DETACH) < 0)
            return error_sys(err, "unmount %s", removing->target);
    }
    return error_set(err, ERROR_CONFLICT, "%s stays mounted", removing->target);
}

int mount_view_remove(const struct mount_view *view, const char *target, struct error *err)
{
    CLEANUP(close) int proc_fd = procfs_open(err);
    struct removing removing = { view->root_fd, proc_fd, target };

    return proc_fd < 0 ? -1 : run_errand(view->namespace_fd, remove_mounts, &removing, err);
}

static int seal(void *data, struct error *err)
{
    return mount_change(*(int *)data, false, MOUNT_ATTR_RDONLY, 0, 0, err);
}

int mount_view_seal(const struct mount_view *view, struct error *err)
{
    int fd = view->root_fd;

    return run_errand(view->namespace_fd, seal, &fd, err);
}

/* ---- taking copies ---- */

struct cloning {
    struct mount_wish *wishes;
    size_t count;
};

static bool is_filesystem(int fd, int64_t magic)
{
    struct statfs status;

    return !magic || (fstatfs(fd, &status) == 0 && (int64_t)status.f_type == magic);
}

static int clone_mounts(void *data, struct error *err)
{
    struct cloning *cloning = data;
    CLEANUP(close) int root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (root_fd < 0)
        return error_sys(err, "open the root of a mount namespace");
    for (size_t i = 0; i < cloning->count; i++) {
        struct mount_wish *wish = &cloning->wishes[i];
        bool is_root = strcmp(wish->path, "/") == 0;
        CLEANUP(close) int fd = path_open(root_fd, wish->path, O_PATH, 0, is_root ? err : NULL);

        wish->fd = fd >= 0 && is_filesystem(fd, wish->filesystem)
                       ? mount_clone(fd, "", false, is_root ? err : NULL)
                       : -1;
        if (is_root && wish->fd < 0)
            return -1;
    }
    return 0;
}

int mount_clone_from(int namespace_fd, struct mount_wish *wishes, size_t count, struct error *err)
{
    struct cloning cloning = { wishes, count };

    for (size_t i = 0; i < count; i++)
        wishes[i].fd = -1;
    if (run_errand(namespace_fd, clone_mounts, &cloning, err) == 0)
        return 0;
    for (size_t i = 0; i < count; i++)
        if (wishes[i].fd >= 0)
            close(wishes[i].fd);
    return -1;
}

static int clone_root(void *data, struct error *err)
{
    int *fd = data;

    *fd = mount_clone(*fd, "", false, err);
    return *fd < 0 ? -1 : 0;
}

int mount_view_clone_root(const struct mount_view *view, struct error *err)
{
    int fd = view->root_fd;

    return run_errand(view->namespace_fd, clone_root, &fd, err) < 0 ? -1 : fd;
}
