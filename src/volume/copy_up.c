/* Filling an empty volume with what the image has at its place. The image is not trusted: its tree
 * is walked by descriptors, no link is followed but those of the path to the place itself, and
 * those inside the root. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "linux/path.h"
#include "volume/volume.h"

#include "base/banned.h"

enum { LIST_LIMIT = 64 * 1024, VALUE_LIMIT = 64 * 1024, LINK_LIMIT = 4096 };

/* Files with several names, so that they stay one file. */
struct links {
    struct map seen; /* "device:inode" → path from the volume's root */
    int root_fd;     /* of the volume */
};

static bool is_empty(int fd)
{
    CLEANUP(close) int own = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char block[1024];
    ssize_t size = own < 0 ? 0 : getdents64(own, block, sizeof(block));

    for (ssize_t at = 0; at < size;) {
        const struct dirent64 *entry = (const void *)(block + at);

        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            return false;
        at += entry->d_reclen;
    }
    return true;
}

static int copy_xattrs(int from, int to, struct error *err)
{
    CLEANUP(free) char *names = xmalloc(LIST_LIMIT);
    CLEANUP(free) char *value = xmalloc(VALUE_LIMIT);
    ssize_t size = flistxattr(from, names, LIST_LIMIT);

    for (ssize_t at = 0; at < size; at += (ssize_t)strlen(names + at) + 1) {
        const char *name = names + at;

        if (!text_starts(name, "user.") && strcmp(name, "security.capability") != 0)
            continue;
        ssize_t length = fgetxattr(from, name, value, VALUE_LIMIT);
        if (length >= 0 && fsetxattr(to, name, value, (size_t)length, 0) < 0 && errno != ENOTSUP)
            return error_sys(err, "set attribute %s", name);
    }
    return 0;
}

static int copy_content(int from, int to, struct error *err)
{
    char block[64 * 1024];

    for (;;) {
        ssize_t count = copy_file_range(from, NULL, to, NULL, 1 << 30, 0);

        if (count == 0)
            return 0;
        if (count < 0 &&
            (errno == EXDEV || errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP))
            break;
        if (count < 0)
            return error_sys(err, "copy");
    }
    for (;;) {
        ssize_t count = read(from, block, sizeof(block));

        if (count == 0)
            return 0;
        if (count < 0)
            return error_sys(err, "read");
        if (fd_write_all(to, block, (size_t)count, err) < 0)
            return -1;
    }
}

static int copy_times(int parent_fd, const char *name, const struct stat *status, struct error *err)
{
    const struct timespec times[2] = { status->st_atim, status->st_mtim };

    return utimensat(parent_fd, name, times, AT_SYMLINK_NOFOLLOW) < 0
               ? error_sys(err, "set times of %s", name)
               : 0;
}

static int copy_file(int from_fd, int to_fd, const char *name, const struct stat *status,
                     struct error *err)
{
    CLEANUP(close) int from = openat(from_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    CLEANUP(close)
    int to = openat(to_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (from < 0 || to < 0)
        return error_sys(err, "open");
    if (copy_content(from, to, err) < 0)
        return -1;
    if (fchown(to, status->st_uid, status->st_gid) < 0 || fchmod(to, status->st_mode & 07777) < 0)
        return error_sys(err, "set owner and mode");
    return copy_xattrs(from, to, err);
}

static int copy_link(int from_fd, int to_fd, const char *name, const struct stat *status,
                     struct error *err)
{
    char target[LINK_LIMIT];
    ssize_t length = readlinkat(from_fd, name, target, sizeof(target) - 1);

    if (length < 0)
        return error_sys(err, "read link");
    target[length] = 0;
    if (symlinkat(target, to_fd, name) < 0 ||
        fchownat(to_fd, name, status->st_uid, status->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
        return error_sys(err, "make link");
    return 0;
}

static int copy_node(int to_fd, const char *name, const struct stat *status, struct error *err)
{
    if (mknodat(to_fd, name, status->st_mode, status->st_rdev) < 0 ||
        fchownat(to_fd, name, status->st_uid, status->st_gid, AT_SYMLINK_NOFOLLOW) < 0 ||
        fchmodat(to_fd, name, status->st_mode & 07777, 0) < 0)
        return error_sys(err, "make node");
    return 0;
}

static int copy_directory(struct links *links, int from_fd, int to_fd, const char *path,
                          struct error *err);

/* A further name of a file that is there already; false if it is the first. */
static bool link_known(struct links *links, int to_fd, const char *name, const char *path,
                       const struct stat *status)
{
    CLEANUP(free)
    char *key = xasprintf("%llu:%llu", (unsigned long long)status->st_dev,
                          (unsigned long long)status->st_ino);
    const char *first = map_get(&links->seen, key);

    if (first)
        return linkat(links->root_fd, first, to_fd, name, 0) == 0;
    map_set_text(&links->seen, key, path);
    return false;
}

static int copy_entry(struct links *links, int from_fd, int to_fd, const char *name,
                      const char *path, struct error *err)
{
    struct stat status;
    int result;

    if (fstatat(from_fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return error_sys(err, "%s", path);
    if (!S_ISDIR(status.st_mode) && status.st_nlink > 1 &&
        link_known(links, to_fd, name, path, &status))
        return 0;
    switch (status.st_mode & S_IFMT) {
    case S_IFDIR: {
        if (mkdirat(to_fd, name, 0700) < 0)
            return error_sys(err, "make directory %s", path);
        CLEANUP(close)
        int from = openat(from_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        CLEANUP(close)
        int to = openat(to_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (from < 0 || to < 0)
            return error_sys(err, "open %s", path);
        result = copy_directory(links, from, to, path, err);
        break;
    }
    case S_IFREG:
        result = copy_file(from_fd, to_fd, name, &status, err);
        break;
    case S_IFLNK:
        result = copy_link(from_fd, to_fd, name, &status, err);
        break;
    default:
        result = copy_node(to_fd, name, &status, err);
    }
    if (result < 0)
        return error_context(err, "%s", path);
    return copy_times(to_fd, name, &status, err);
}

/* Content first, then owner, mode and attributes of the directory itself. */
static int copy_directory(struct links *links, int from_fd, int to_fd, const char *path,
                          struct error *err)
{
    int own_fd = openat(from_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = own_fd < 0 ? NULL : fdopendir(own_fd);
    struct dirent *entry;
    struct stat status;
    int result = 0;

    if (!dir)
        return error_sys(err, "read directory %s", path);
    while (result == 0 && (entry = readdir(dir))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        CLEANUP(free) char *below = *path ? path_join(path, entry->d_name) : xstrdup(entry->d_name);
        result = copy_entry(links, from_fd, to_fd, entry->d_name, below, err);
    }
    closedir(dir);
    if (result < 0)
        return -1;
    if (fstat(from_fd, &status) < 0 || fchown(to_fd, status.st_uid, status.st_gid) < 0 ||
        fchmod(to_fd, status.st_mode & 07777) < 0)
        return error_sys(err, "set owner and mode of %s", path);
    return copy_xattrs(from_fd, to_fd, err);
}

int volume_copy_up(struct volume *volume, int root_fd, const char *path, struct error *err)
{
    CLEANUP(close) int to = open(volume->mountpoint, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct links links = { .root_fd = to };
    struct stat status;

    if (to < 0)
        return error_sys(err, "open volume %s", volume->name);
    if (!is_empty(to))
        return 0;
    CLEANUP(close) int place = path_open(root_fd, path, O_PATH, 0, err);
    if (place < 0)
        return err->kind == ERROR_NOT_FOUND ? 0 : -1;
    if (fstat(place, &status) < 0)
        return error_sys(err, "%s", path);
    if (!S_ISDIR(status.st_mode))
        return error_set(err, ERROR_INVALID, "source %s is not directory", path);
    CLEANUP(close) int from = path_open(root_fd, path, O_RDONLY | O_DIRECTORY, 0, err);
    if (from < 0)
        return -1;
    int result = copy_directory(&links, from, to, "", err);
    map_done(&links.seen);
    return result < 0 ? error_context(err, "fill volume %s", volume->name) : 0;
}
