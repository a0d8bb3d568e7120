/* A tmpfs holds the file. A lone file can be mounted out of a mount that some namespace holds: one
 * that a thread makes for itself, private, and leaves behind. */
#include "linux/memory_file.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/macros.h"
#include "base/thread.h"
#include "linux/mount.h"

#include "base/banned.h"

#define NAME "file"

static int make_tmpfs(size_t size, struct error *err)
{
    char text[24];
    struct mount_setting settings[] = {
        { "source", "tmpfs" }, { "mode", "0700" }, { "size", text }, { "noswap", NULL }
    };
    const unsigned attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;

    /* Room for the file, and for its directory. */
    snprintf(text, sizeof(text), "%zu", size + 64 * 1024);
    int fd = mount_create("tmpfs", settings, COUNT(settings), attributes, NULL);
    return fd >= 0 ? fd : mount_create("tmpfs", settings, COUNT(settings) - 1, attributes, err);
}

static int write_file(int directory_fd, const struct memory_file *file, struct error *err)
{
    CLEANUP(close)
    int fd = openat(directory_fd, NAME, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd < 0)
        return error_sys(err, "create a file in memory");
    if (fd_write_all(fd, file->data, file->size, err) < 0)
        return -1;
    if (fchown(fd, file->uid, file->gid) < 0 || fchmod(fd, file->mode) < 0)
        return error_sys(err, "set owner and mode of a file in memory");
    return 0;
}

struct separation {
    int tmpfs_fd, file_fd;
    struct error *err;
};

static int separate(int tmpfs_fd, struct error *err)
{
    if (unshare(CLONE_FS | CLONE_NEWNS) < 0)
        return error_sys(err, "make a mount namespace");
    if (mount_change_at("/", true, 0, 0, MS_PRIVATE, err) < 0 ||
        mount_place_at(tmpfs_fd, "/", err) < 0)
        return -1;
    return mount_clone(tmpfs_fd, NAME, false, err);
}

static void *run_separation(void *data)
{
    struct separation *separation = data;

    separation->file_fd = separate(separation->tmpfs_fd, separation->err);
    return NULL;
}

int memory_file_mount(const struct memory_file *file, struct error *err)
{
    CLEANUP(close) int tmpfs_fd = make_tmpfs(file->size, err);
    CLEANUP(close) int file_fd = -1;
    struct separation separation = { tmpfs_fd, -1, err };
    pthread_t thread;

    if (tmpfs_fd < 0 || write_file(tmpfs_fd, file, err) < 0 ||
        thread_start("memory-file", run_separation, &separation, &thread, err) < 0)
        return -1;
    pthread_join(thread, NULL);
    file_fd = separation.file_fd;
    if (file_fd < 0 || mount_change(file_fd, false, MOUNT_ATTR_RDONLY, 0, MS_PRIVATE, err) < 0)
        return -1;
    return TAKE_FD(file_fd);
}
