/* One walk over the directory. What depends on the moment (times of whiteouts, fractions of
 * seconds, the order on disk) stays out of the archive. */
#include "store/pack.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "base/map.h"
#include "base/memory.h"
#include "base/strv.h"
#include "codec/tar.h"
#include "linux/tree.h"
#include "store/whiteout.h"

#include "base/banned.h"

#define BLOCK_SIZE ((size_t)128 * 1024)

struct packer {
    struct tar_writer *writer;
    bool marks_by_name;
    struct map links; /* "device:inode" → first path */
    int64_t size;
    char *block;
};

static int write_mark(struct packer *packer, const char *directory, const char *name,
                      struct error *err)
{
    CLEANUP(free) char *path = xasprintf("%s%s%s", directory, *directory ? "/" : "", name);
    struct tar_entry entry = { .name = path, .type = TAR_FILE, .mode = 0600 };

    return tar_writer_entry(packer->writer, &entry, err);
}

/* The hidden names of a directory, in either form. */
static int list_hidden(const struct packer *packer, int dir_fd, struct strv *out, struct error *err)
{
    int own_fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = own_fd < 0 ? NULL : fdopendir(own_fd);
    struct dirent *entry;
    struct stat status;

    if (!dir) {
        if (own_fd >= 0)
            close(own_fd);
        return error_sys(err, "read directory");
    }
    while ((entry = readdir(dir))) {
        if (whiteout_is_name(entry->d_name)) {
            if (packer->marks_by_name && strcmp(entry->d_name, OPAQUE_NAME) != 0)
                strv_add(out, entry->d_name + strlen(WHITEOUT_PREFIX));
        } else if ((entry->d_type == DT_CHR || entry->d_type == DT_UNKNOWN) &&
                   fstatat(dir_fd, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
                   whiteout_is_device(&status)) {
            strv_add(out, entry->d_name);
        }
    }
    closedir(dir);
    strv_sort(out);
    return 0;
}

/* What a directory hides comes before its entries, in the same order whatever the form on disk. */
static int write_hidden(struct packer *packer, int dir_fd, const char *path, struct error *err)
{
    CLEANUP(strv_done) struct strv names = {};

    if (opaque_is(dir_fd) && write_mark(packer, path, OPAQUE_NAME, err) < 0)
        return -1;
    if (list_hidden(packer, dir_fd, &names, err) < 0)
        return -1;
    for (size_t i = 0; i < names.count; i++) {
        CLEANUP(free) char *mark = xasprintf(WHITEOUT_PREFIX "%s", names.items[i]);

        if (write_mark(packer, path, mark, err) < 0)
            return -1;
    }
    return 0;
}

static int add_xattr(int fd, const char *name, struct tar_entry *entry, struct error *err)
{
    ssize_t size = fgetxattr(fd, name, NULL, 0);

    if (size < 0)
        return error_sys(err, "read attribute %s", name);
    void *value = xmalloc((size_t)size + 1);
    size = fgetxattr(fd, name, value, (size_t)size);
    if (size < 0) {
        free(value);
        return error_sys(err, "read attribute %s", name);
    }
    entry->xattrs = xrealloc(entry->xattrs, entry->xattr_count + 1, sizeof(*entry->xattrs));
    entry->xattrs[entry->xattr_count++] = (struct tar_xattr){ xstrdup(name), value, (size_t)size };
    return 0;
}

static int compare_xattrs(const void *a, const void *b)
{
    return strcmp(((const struct tar_xattr *)a)->name, ((const struct tar_xattr *)b)->name);
}

static int read_xattrs(int fd, struct tar_entry *entry, struct error *err)
{
    ssize_t size = flistxattr(fd, NULL, 0);
    CLEANUP(free) char *names = size <= 0 ? NULL : xmalloc((size_t)size);

    if (size <= 0)
        return 0;
    size = flistxattr(fd, names, (size_t)size);
    for (ssize_t at = 0; at < size; at += (ssize_t)strlen(names + at) + 1)
        if (layer_keeps_xattr(names + at) && add_xattr(fd, names + at, entry, err) < 0)
            return -1;
    if (entry->xattr_count)
        qsort(entry->xattrs, entry->xattr_count, sizeof(*entry->xattrs), compare_xattrs);
    return 0;
}

static int write_content(struct packer *packer, int fd, int64_t size, struct error *err)
{
    if (!packer->block)
        packer->block = xmalloc(BLOCK_SIZE);
    while (size > 0) {
        ssize_t count = read(fd, packer->block, MIN(BLOCK_SIZE, (size_t)size));

        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return error_sys(err, "read");
        if (count == 0)
            return error_set(err, ERROR_CONFLICT, "became shorter while it was read");
        if (tar_writer_data(packer->writer, packer->block, (size_t)count, err) < 0)
            return -1;
        size -= count;
    }
    return 0;
}

static void describe(const struct tree_entry *from, struct tar_entry *entry)
{
    const struct stat *status = &from->status;

    entry->name = xstrdup(from->path);
    entry->mode = status->st_mode & 07777;
    entry->uid = status->st_uid;
    entry->gid = status->st_gid;
    entry->mtime_s = status->st_mtim.tv_sec;
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
    default:
        entry->type = TAR_FIFO;
    }
}

/* The first name of a file gets its content, the others become links to it. */
static bool become_link(struct packer *packer, const struct tree_entry *from,
                        struct tar_entry *entry)
{
    char key[64];

    if (S_ISDIR(from->status.st_mode) || from->status.st_nlink < 2)
        return false;
    snprintf(key, sizeof(key), "%" PRIx64 ":%" PRIx64, (uint64_t)from->status.st_dev,
             (uint64_t)from->status.st_ino);
    const char *first = map_get(&packer->links, key);
    if (!first) {
        map_set_text(&packer->links, key, from->path);
        return false;
    }
    entry->type = TAR_HARDLINK;
    entry->size = 0;
    entry->link_target = xstrdup(first);
    return true;
}

static int write_link(struct packer *packer, const struct tree_entry *from, struct tar_entry *entry,
                      struct error *err)
{
    char target[TAR_NAME_LIMIT + 1];
    ssize_t length = readlinkat(from->dir_fd, from->name, target, TAR_NAME_LIMIT);

    if (length < 0)
        return error_sys(err, "read link");
    entry->link_target = xstrndup(target, (size_t)length);
    return tar_writer_entry(packer->writer, entry, err);
}

static int write_opened(struct packer *packer, const struct tree_entry *from,
                        struct tar_entry *entry, struct error *err)
{
    CLEANUP(close)
    int fd = openat(from->dir_fd, from->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0)
        return error_sys(err, "open");
    if (read_xattrs(fd, entry, err) < 0 || tar_writer_entry(packer->writer, entry, err) < 0)
        return -1;
    if (entry->type == TAR_FILE) {
        packer->size += entry->size;
        return write_content(packer, fd, entry->size, err);
    }
    return write_hidden(packer, fd, from->path, err);
}

static int write_entry(struct packer *packer, const struct tree_entry *from, struct error *err)
{
    CLEANUP(tar_entry_done) struct tar_entry entry = {};

    describe(from, &entry);
    if (become_link(packer, from, &entry))
        return tar_writer_entry(packer->writer, &entry, err);
    if (entry.type == TAR_SYMLINK)
        return write_link(packer, from, &entry, err);
    if (entry.type == TAR_FILE || entry.type == TAR_DIRECTORY)
        return write_opened(packer, from, &entry, err);
    return tar_writer_entry(packer->writer, &entry, err);
}

static int enter(void *data, const struct tree_entry *entry, struct error *err)
{
    /* Without marks by name, .wh.x is a file that happens to be called so: archives cannot say
     * it. */
    if (S_ISSOCK(entry->status.st_mode) || whiteout_is_device(&entry->status) ||
        whiteout_is_name(entry->name))
        return 1;
    if (write_entry(data, entry, err) < 0)
        return error_context(err, "archive %.200s", entry->path);
    return 0;
}

int pack_directory(int dir_fd, bool marks_by_name, struct stream *out, int64_t *out_size,
                   struct error *err)
{
    static const struct tree_visitor visitor = { enter, NULL };
    CLEANUP(tar_writer_free) struct tar_writer *writer = tar_writer_new(out, false, err);
    struct packer packer = { .writer = writer, .marks_by_name = marks_by_name };
    int result = writer ? 0 : -1;

    if (result == 0)
        result = write_hidden(&packer, dir_fd, "", err);
    if (result == 0)
        result = tree_walk(dir_fd, &visitor, &packer, err);
    if (result == 0)
        result = tar_writer_finish(writer, err);
    if (result == 0 && out_size)
        *out_size = packer.size;
    map_done(&packer.links);
    free(packer.block);
    return result;
}
