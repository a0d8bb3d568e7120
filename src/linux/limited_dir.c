/* The file gets its name when the file system in it is whole. */
#include "linux/limited_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/process.h"
#include "linux/loop.h"
#include "linux/mount.h"
#include "linux/mount_find.h"
#include "linux/project_quota.h"

#include "base/banned.h"

/* Below this a file system has small blocks and a small journal. */
#define SMALL_SIZE (UINT64_C(64) << 20)

static const char *find_maker(void)
{
    static const char *const paths[] = { "/usr/sbin/mkfs.ext4", "/sbin/mkfs.ext4" };

    for (size_t i = 0; i < COUNT(paths); i++)
        if (access(paths[i], X_OK) == 0)
            return paths[i];
    return NULL;
}

/* Journal, tables of inodes and bitmaps take room too. */
static uint64_t image_size(uint64_t size_bytes)
{
    uint64_t own = size_bytes / 32 + (size_bytes < SMALL_SIZE ? 2 << 20 : 8 << 20);

    return (size_bytes + own + 4095) & ~(uint64_t)4095;
}

static int run_maker(const char *image_path, uint64_t size_bytes, struct error *err)
{
    const char *maker = find_maker();
    bool is_small = size_bytes < SMALL_SIZE;
    char *arguments[] = { "mkfs.ext4",
                          "-q",
                          "-F",
                          "-m",
                          "0",
                          "-i",
                          "16384",
                          "-b",
                          is_small ? "1024" : "4096",
                          "-J",
                          is_small ? "size=1" : "size=4",
                          "-E",
                          "lazy_itable_init=1,lazy_journal_init=1,nodiscard,root_owner=0:0",
                          "-O",
                          "^resize_inode",
                          (char *)image_path,
                          NULL };
    const struct process_options options = { .path = maker, .arguments = arguments };
    pid_t pid;
    int code;

    if (!maker)
        return error_set(err, ERROR_UNSUPPORTED,
                         "a size limit needs a file system with project quotas, or mkfs.ext4 "
                         "(Debian: e2fsprogs), and this host has neither");
    if (process_spawn(&options, &pid, err) < 0 || process_wait(pid, &code, err) < 0)
        return -1;
    return code == 0 ? 0
                     : error_set(err, ERROR_INTERNAL, "mkfs.ext4 %s ended with code %d", image_path,
                                 code);
}

static int fill_image(const char *path, uint64_t size_bytes, struct error *err)
{
    CLEANUP(close) int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0 || ftruncate(fd, (off_t)image_size(size_bytes)) < 0)
        return error_sys(err, "make %s", path);
    if (run_maker(path, size_bytes, err) < 0)
        return -1;
    return fsync(fd) < 0 ? error_sys(err, "sync %s", path) : 0;
}

static int make_image(const char *image_path, uint64_t size_bytes, struct error *err)
{
    CLEANUP(free) char *unfinished = xasprintf("%s.new", image_path);

    if (file_exists(image_path))
        return 0;
    if (fill_image(unfinished, size_bytes, err) < 0) {
        unlink(unfinished);
        return -1;
    }
    return rename(unfinished, image_path) < 0 ? error_sys(err, "rename %s", unfinished) : 0;
}

static int mount_image(const char *path, const char *image_path, struct error *err)
{
    CLEANUP(close) int file_fd = open(image_path, O_RDWR | O_CLOEXEC);
    CLEANUP(free) char *device = NULL;
    CLEANUP(close) int device_fd = -1;

    if (file_fd < 0)
        return error_sys(err, "open %s", image_path);
    if (loop_attach(file_fd, &device, &device_fd, err) < 0)
        return -1;
    /* What is removed inside gives its blocks back outside. */
    const struct mount_setting settings[] = { { "source", device }, { "discard", NULL } };
    CLEANUP(close) int mount_fd = mount_create("ext4", settings, COUNT(settings), 0, err);
    if (mount_fd < 0)
        return -1;
    if (unlinkat(mount_fd, "lost+found", AT_REMOVEDIR) < 0 && errno != ENOENT &&
        errno != ENOTEMPTY && errno != ENOTDIR)
        return error_sys(err, "empty %s", image_path);
    return mount_place_at(mount_fd, path, err);
}

int limited_dir_make(const char *path, const char *image_path, uint64_t size_bytes,
                     struct error *err)
{
    CLEANUP(close) int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0)
        return error_sys(err, "open %s", path);
    if (size_bytes < LIMITED_DIR_LEAST)
        return error_set(err, ERROR_INVALID, "a size limit is 1 MiB at least");
    if (mount_is_at(path))
        return 0;
    if (!file_exists(image_path) && project_quota_works(fd))
        return project_quota_set(fd, size_bytes, err);
    return make_image(image_path, size_bytes, err) < 0 ? -1 : mount_image(path, image_path, err);
}

bool limited_dir_is_missing(const char *path, const char *image_path)
{
    return file_exists(image_path) && !mount_is_at(path);
}

int limited_dir_end(const char *path, struct error *err)
{
    CLEANUP(close) int fd = -1;

    for (int i = 0; mount_is_at(path); i++)
        if (mount_remove(path, err) < 0 || i == 64)
            return error_context(err, "unmount %s", path);
    fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0)
        project_quota_clear(fd);
    return 0;
}
