/* The mount system calls of Linux 5.2 and 5.12, called directly: not every libc has names for
 * them. */
#include "linux/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>

#include "base/memory.h"
#include "base/str.h"

#include "base/banned.h"

enum { PAGE_TEXT_LIMIT = 4096, VALUE_LIMIT = 255 };

static int set_option(int fs_fd, unsigned command, const char *key, const char *value)
{
    return (int)syscall(SYS_fsconfig, fs_fd, command, key, value, 0);
}

/* The context's message queue ("e overlay: …"), newest line, or NULL. */
static char *kernel_message(int fs_fd)
{
    char *message = NULL, line[512];
    ssize_t length;

    while ((length = read(fs_fd, line, sizeof(line) - 1)) > 0) {
        line[length] = 0;
        line[strcspn(line, "\n")] = 0;
        if (length > 2 && (line[0] == 'e' || line[0] == 'w')) {
            free(message);
            message = xstrdup(line + 2);
        }
    }
    return message;
}

static int fail(struct error *err, int fs_fd, const char *type, const char *what)
{
    int number = errno;
    CLEANUP(free) char *message = kernel_message(fs_fd);

    errno = number;
    if (message)
        return error_sys(err, "mount %s: %s (%s)", type, what, message);
    return error_sys(err, "mount %s: %s", type, what);
}

static int apply_setting(int fs_fd, const struct mount_setting *setting)
{
    if (!setting->value)
        return set_option(fs_fd, FSCONFIG_SET_FLAG, setting->key, NULL);
    return set_option(fs_fd, FSCONFIG_SET_STRING, setting->key, setting->value);
}

static int open_context(const char *type, struct error *err)
{
    int fs_fd = (int)syscall(SYS_fsopen, type, FSOPEN_CLOEXEC);

    if (fs_fd < 0) {
        error_sys(err, "mount %s", type);
        if (err && errno == ENODEV)
            err->kind = ERROR_UNSUPPORTED;
    }
    return fs_fd;
}

static int finish(int fs_fd, const char *type, unsigned attributes, struct error *err)
{
    if (set_option(fs_fd, FSCONFIG_CMD_CREATE, NULL, NULL) < 0)
        return fail(err, fs_fd, type, "create");
    int mount_fd = (int)syscall(SYS_fsmount, fs_fd, FSMOUNT_CLOEXEC, attributes);
    return mount_fd >= 0 ? mount_fd : fail(err, fs_fd, type, "fsmount");
}

int mount_create(const char *type, const struct mount_setting *settings, size_t count,
                 unsigned attributes, struct error *err)
{
    CLEANUP(close) int fs_fd = open_context(type, err);

    if (fs_fd < 0)
        return -1;
    for (size_t i = 0; i < count; i++)
        if (apply_setting(fs_fd, &settings[i]) < 0)
            return fail(err, fs_fd, type, settings[i].key);
    return finish(fs_fd, type, attributes, err);
}

int mount_clone(int dir_fd, const char *path, bool recursive, struct error *err)
{
    unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (*path ? 0 : AT_EMPTY_PATH) |
                     (recursive ? AT_RECURSIVE : 0);
    int fd = (int)syscall(SYS_open_tree, dir_fd, path, flags);

    if (fd < 0) {
        int number = errno;

        error_sys(err, "bind %s", path);
        if (err && (number == ENOENT || number == ENOTDIR))
            err->kind = ERROR_NOT_FOUND;
    }
    return fd;
}

int mount_place(int mount_fd, int target_fd, struct error *err)
{
    if (syscall(SYS_move_mount, mount_fd, "", target_fd, "",
                MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
        return error_sys(err, "place mount");
    return 0;
}

int mount_place_at(int mount_fd, const char *path, struct error *err)
{
    if (syscall(SYS_move_mount, mount_fd, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return error_sys(err, "place mount on %s", path);
    return 0;
}

static int change(int dir_fd, const char *path, bool recursive, uint64_t set, uint64_t clear,
                  uint64_t propagation, struct error *err)
{
    struct mount_attr attributes = { .attr_set = set,
                                     .attr_clr = clear,
                                     .propagation = propagation };

    if ((set | clear) & MOUNT_ATTR__ATIME)
        attributes.attr_clr |= MOUNT_ATTR__ATIME;
    if (syscall(SYS_mount_setattr, dir_fd, path,
                (*path ? 0U : AT_EMPTY_PATH) | (recursive ? AT_RECURSIVE : 0U), &attributes,
                sizeof(attributes)) < 0)
        return error_sys(err, "change mount %s", path);
    return 0;
}

int mount_change(int mount_fd, bool recursive, uint64_t set, uint64_t clear, uint64_t propagation,
                 struct error *err)
{
    return change(mount_fd, "", recursive, set, clear, propagation, err);
}

int mount_change_at(const char *path, bool recursive, uint64_t set, uint64_t clear,
                    uint64_t propagation, struct error *err)
{
    return change(AT_FDCWD, path, recursive, set, clear, propagation, err);
}

int mount_map_owners(int mount_fd, bool recursive, int user_namespace_fd, struct error *err)
{
    struct mount_attr attributes = { .attr_set = MOUNT_ATTR_IDMAP,
                                     .userns_fd = (uint64_t)user_namespace_fd };

    if (syscall(SYS_mount_setattr, mount_fd, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0U),
                &attributes, sizeof(attributes)) == 0)
        return 0;
    if (errno == EINVAL)
        return error_set(err, ERROR_UNSUPPORTED,
                         "the file system cannot show its files' owners as others");
    return error_sys(err, "map owners of a mount");
}

int mount_remove(const char *path, struct error *err)
{
    if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 && errno != EINVAL && errno != ENOENT)
        return error_sys(err, "unmount %s", path);
    return 0;
}

/* ---- overlay ---- */

/* Layers are given in a list with ':' between them where the kernel has no lowerdir+. */
static char *joined_layers(const struct strv *lower)
{
    CLEANUP(str_done) struct str text = {};

    for (size_t i = 0; i < lower->count; i++) {
        if (i)
            str_add_char(&text, ':');
        for (const char *at = lower->items[i]; *at; at++) {
            if (*at == ':' || *at == '\\')
                str_add_char(&text, '\\');
            str_add_char(&text, *at);
        }
    }
    return str_take(&text);
}

/* For kernels before 6.8: the old call, onto a directory of ours, from which the mount is then
 * taken. */
static int overlay_by_old_call(const struct mount_overlay *options, struct error *err)
{
    CLEANUP(free) char *lower = joined_layers(options->lower);
    CLEANUP(str_done) struct str data = {};
    char place[] = "/tmp/berth-overlay-XXXXXX";
    int fd = -1;

    str_add_format(&data, "lowerdir=%s", lower);
    if (options->upper)
        str_add_format(&data, ",upperdir=%s,workdir=%s", options->upper, options->work);
    for (size_t i = 0; i < options->more_count; i++)
        str_add_format(&data, options->more[i].value ? ",%s=%s" : ",%s", options->more[i].key,
                       options->more[i].value);
    if (data.length >= PAGE_TEXT_LIMIT)
        return error_set(err, ERROR_UNSUPPORTED,
                         "mount overlay: %zu layers are too many for this kernel",
                         options->lower->count);
    if (!mkdtemp(place))
        return error_sys(err, "make %s", place);
    if (mount("overlay", place, "overlay", options->upper ? 0 : MS_RDONLY, str_text(&data)) < 0) {
        error_sys(err, "mount overlay");
    } else {
        fd = mount_clone(AT_FDCWD, place, false, err);
        umount2(place, MNT_DETACH);
    }
    rmdir(place);
    return fd;
}

/* 1: done; 0: this kernel has no lowerdir+; -1: failed. */
static int add_layers(int fs_fd, const struct strv *lower, struct error *err)
{
    for (size_t i = 0; i < lower->count; i++) {
        if (strlen(lower->items[i]) > VALUE_LIMIT)
            return 0;
        if (set_option(fs_fd, FSCONFIG_SET_STRING, "lowerdir+", lower->items[i]) < 0) {
            if (i == 0 && errno == EINVAL)
                return 0;
            return fail(err, fs_fd, "overlay", lower->items[i]);
        }
    }
    return 1;
}

int mount_overlay(const struct mount_overlay *options, struct error *err)
{
    CLEANUP(close) int fs_fd = open_context("overlay", err);
    struct mount_setting settings[] = { { "source", "overlay" },
                                        { "upperdir", options->upper },
                                        { "workdir", options->work } };

    if (fs_fd < 0)
        return -1;
    for (size_t i = 0; i < (options->upper ? COUNT(settings) : 1); i++)
        if (strlen(settings[i].value) > VALUE_LIMIT)
            return overlay_by_old_call(options, err);
    int added = add_layers(fs_fd, options->lower, err);
    if (added <= 0)
        return added < 0 ? -1 : overlay_by_old_call(options, err);
    for (size_t i = 0; i < (options->upper ? COUNT(settings) : 1); i++)
        if (apply_setting(fs_fd, &settings[i]) < 0)
            return fail(err, fs_fd, "overlay", settings[i].key);
    for (size_t i = 0; i < options->more_count; i++)
        if (apply_setting(fs_fd, &options->more[i]) < 0)
            return fail(err, fs_fd, "overlay", options->more[i].key);
    return finish(fs_fd, "overlay", options->upper ? 0 : MOUNT_ATTR_RDONLY, err);
}

/* ---- programs ---- */

int mount_program(const char *path, struct error *err)
{
    CLEANUP(close) int fd = mount_clone(AT_FDCWD, path, false, err);

    if (fd < 0 ||
        mount_change(fd, false, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV, 0, MS_PRIVATE, err) < 0)
        return -1;
    return TAKE_FD(fd);
}

bool mount_program_is_sealed(void)
{
    struct statvfs status;

    return statvfs("/proc/self/exe", &status) == 0 && status.f_flag & ST_RDONLY;
}
