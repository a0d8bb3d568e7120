/* From stat and read to tar entries. */
#include "archive/entry.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "base/memory.h"

#include "base/banned.h"

#define LINK_LIMIT ((size_t)1 << 20) /* names that are remembered */

void entry_describe(const struct stat *status, struct tar_entry *entry)
{
    entry->mode = status->st_mode & 07777;
    entry->uid = status->st_uid;
    entry->gid = status->st_gid;
    entry->mtime_s = status->st_mtim.tv_sec;
    entry->mtime_ns = status->st_mtim.tv_nsec;
    entry->device_major = major(status->st_rdev);
    entry->device_minor = minor(status->st_rdev);
    switch (status->st_mode & S_IFMT) {
    case S_IFREG:
        entry->type = TAR_FILE;
        entry->size = status->st_size;
        break;
    case S_IFDIR:
        entry->type = TAR_DIRECTORY;
        break;
    case S_IFLNK:
        entry->type = TAR_SYMLINK;
        break;
    case S_IFCHR:
        entry->type = TAR_CHARACTER_DEVICE;
        break;
    case S_IFBLK:
        entry->type = TAR_BLOCK_DEVICE;
        break;
    case S_IFIFO:
        entry->type = TAR_FIFO;
        break;
    default:
        entry->type = TAR_OTHER;
    }
}

int entry_open(int dir_fd, const char *name, const struct stat *status, struct error *err)
{
    int directory = S_ISDIR(status->st_mode) ? O_DIRECTORY : 0;
    CLEANUP(close)
    int fd = openat(dir_fd, name,
                    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | directory);
    struct stat now;

    if (fd < 0)
        return error_sys(err, "open");
    if (fstat(fd, &now) < 0)
        return error_sys(err, "stat");
    if ((now.st_mode & S_IFMT) != (status->st_mode & S_IFMT))
        return error_set(err, ERROR_CONFLICT, "changed while it was read");
    return TAKE_FD(fd);
}

static int add_xattr(int fd, const char *name, struct tar_entry *entry, struct error *err)
{
    ssize_t size = fgetxattr(fd, name, NULL, 0);

    if (size < 0)
        return errno == ENODATA ? 0 : error_sys(err, "read attribute %s", name);
    void *value = xmalloc((size_t)size + 1);
    size = fgetxattr(fd, name, value, (size_t)size);
    if (size < 0) {
        free(value);
        return errno == ENODATA ? 0 : error_sys(err, "read attribute %s", name);
    }
    entry->xattrs = xrealloc(entry->xattrs, entry->xattr_count + 1, sizeof(*entry->xattrs));
    entry->xattrs[entry->xattr_count++] = (struct tar_xattr){ xstrdup(name), value, (size_t)size };
    return 0;
}

static int compare_xattrs(const void *a, const void *b)
{
    return strcmp(((const struct tar_xattr *)a)->name, ((const struct tar_xattr *)b)->name);
}

int entry_read_xattrs(int fd, bool (*keeps)(const char *name), struct tar_entry *entry,
                      struct error *err)
{
    ssize_t size = flistxattr(fd, NULL, 0);
    CLEANUP(free) char *names = size <= 0 ? NULL : xmalloc((size_t)size);

    if (size <= 0)
        return 0; /* None, or a filesystem without them. */
    size = flistxattr(fd, names, (size_t)size);
    for (ssize_t at = 0; at < size; at += (ssize_t)strlen(names + at) + 1)
        if (keeps(names + at) && add_xattr(fd, names + at, entry, err) < 0)
            return -1;
    if (entry->xattr_count)
        qsort(entry->xattrs, entry->xattr_count, sizeof(*entry->xattrs), compare_xattrs);
    return 0;
}

int entry_read_link(int dir_fd, const char *name, struct tar_entry *entry, struct error *err)
{
    char target[TAR_NAME_LIMIT + 1];
    ssize_t length = readlinkat(dir_fd, name, target, TAR_NAME_LIMIT);

    if (length < 0)
        return error_sys(err, "read link");
    free(entry->link_target);
    entry->link_target = xstrndup(target, (size_t)length);
    return 0;
}

bool entry_becomes_link(struct entry_links *links, const struct stat *status, const char *name,
                        struct tar_entry *entry)
{
    char key[64];

    if (S_ISDIR(status->st_mode) || status->st_nlink < 2)
        return false;
    snprintf(key, sizeof(key), "%" PRIx64 ":%" PRIx64, (uint64_t)status->st_dev,
             (uint64_t)status->st_ino);
    const char *first = map_get(&links->first, key);
    if (!first) {
        if (links->first.count < LINK_LIMIT)
            map_set_text(&links->first, key, name);
        return false;
    }
    entry->type = TAR_HARDLINK;
    entry->size = 0;
    entry->link_target = xstrdup(first);
    return true;
}

void entry_links_done(struct entry_links *links)
{
    map_done(&links->first);
}
