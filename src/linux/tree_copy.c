/* Copying a tree by walking it. The target is reached by descriptors only: somebody else may have
 * it mounted and move things about, so names there are looked up below its root without links. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>

#include "base/file.h"
#include "base/map.h"
#include "base/memory.h"
#include "base/text.h"
#include "linux/file_copy.h"
#include "linux/path.h"
#include "linux/tree.h"

#include "base/banned.h"

struct copy {
    int from_fd, to_fd;
    struct tree_copy options;
    char *dir_path; /* of the target directory that is open */
    int dir_fd;
    struct map links; /* "device:inode" → path of the first copy */
};

/* ---- attributes ---- */

static bool keeps_by_default(const char *name)
{
    return !text_starts(name, "trusted.overlay.");
}

static int copy_xattr(int from_fd, int to_fd, const char *name, struct error *err)
{
    ssize_t size = fgetxattr(from_fd, name, NULL, 0);
    CLEANUP(free) char *value = size < 0 ? NULL : xmalloc((size_t)size + 1);

    size = size < 0 ? -1 : fgetxattr(from_fd, name, value, (size_t)size);
    if (size < 0)
        return errno == ENODATA || errno == ERANGE ? 0 : error_sys(err, "read attribute %s", name);
    if (fsetxattr(to_fd, name, value, (size_t)size, 0) < 0 && errno != ENOTSUP)
        return error_sys(err, "set attribute %s", name);
    return 0;
}

static int copy_xattrs(int from_fd, int to_fd, bool (*keeps)(const char *), struct error *err)
{
    ssize_t size = flistxattr(from_fd, NULL, 0);
    CLEANUP(free) char *names = size <= 0 ? NULL : xmalloc((size_t)size);

    if (size <= 0)
        return 0; /* None, or a filesystem without them. */
    size = flistxattr(from_fd, names, (size_t)size);
    for (ssize_t at = 0; at < size; at += (ssize_t)strlen(names + at) + 1)
        if (keeps(names + at) && copy_xattr(from_fd, to_fd, names + at, err) < 0)
            return -1;
    return 0;
}

int tree_copy_attributes(int from_fd, int to_fd, bool (*keeps)(const char *name), struct error *err)
{
    struct stat status;

    if (fstat(from_fd, &status) < 0)
        return error_sys(err, "stat");
    if (fchown(to_fd, status.st_uid, status.st_gid) < 0 ||
        fchmod(to_fd, status.st_mode & 07777) < 0)
        return error_sys(err, "set owner and mode");
    if (copy_xattrs(from_fd, to_fd, keeps ? keeps : keeps_by_default, err) < 0)
        return -1;
    struct timespec times[] = { status.st_atim, status.st_mtim };
    if (futimens(to_fd, times) < 0)
        return error_sys(err, "set times");
    return 0;
}

/* ---- entries ---- */

/* The target directory for an entry's path; kept open for its neighbours. */
static int open_target_dir(struct copy *copy, const char *path, struct error *err)
{
    const char *slash = strrchr(path, '/');
    size_t length = slash ? (size_t)(slash - path) : 0;

    if (copy->dir_fd >= 0 && strlen(copy->dir_path) == length &&
        strncmp(copy->dir_path, path, length) == 0)
        return copy->dir_fd;
    if (copy->dir_fd >= 0)
        close(copy->dir_fd);
    free(copy->dir_path);
    copy->dir_path = xstrndup(path, length);
    copy->dir_fd = path_open(copy->to_fd, copy->dir_path, O_RDONLY | O_DIRECTORY, 0, err);
    return copy->dir_fd;
}

static int copy_content(struct copy *copy, const char *path, int from_fd, int to_fd, off_t size,
                        struct error *err)
{
    const struct tree_copy *options = &copy->options;
    const struct file_copy content = { .name = path, .cancel_fd = -1, .is_kept = options->is_kept };

    if (!options->put_off || !options->put_off(options->data, path, from_fd, to_fd, size))
        return file_copy_content(from_fd, to_fd, size, &content, err);
    return ftruncate(to_fd, size) < 0 ? error_sys(err, "size of %s", path) : 0;
}

static int copy_file(struct copy *copy, int dir_fd, const struct tree_entry *entry,
                     struct error *err)
{
    CLEANUP(close)
    int from_fd = openat(entry->dir_fd, entry->name,
                         O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat status;

    if (from_fd < 0)
        return errno == ENOENT ? 0 : error_sys(err, "open %s", entry->path);
    if (fstat(from_fd, &status) < 0 || !S_ISREG(status.st_mode))
        return error_set(err, ERROR_CONFLICT, "%s changed while it was copied", entry->path);
    CLEANUP(close)
    int to_fd = openat(dir_fd, entry->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                       0600);
    if (to_fd < 0)
        return error_sys(err, "create %s", entry->path);
    if (copy_content(copy, entry->path, from_fd, to_fd, status.st_size, err) < 0)
        return -1;
    if (tree_copy_attributes(from_fd, to_fd, copy->options.keeps_xattr, err) < 0)
        return error_context(err, "copy %s", entry->path);
    return 0;
}

static int set_special_attributes(int dir_fd, const struct tree_entry *entry, struct error *err)
{
    const struct stat *status = &entry->status;
    struct timespec times[] = { status->st_atim, status->st_mtim };

    if (fchownat(dir_fd, entry->name, status->st_uid, status->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
        return error_sys(err, "set owner of %s", entry->path);
    if (!S_ISLNK(status->st_mode) &&
        fchmodat(dir_fd, entry->name, status->st_mode & 07777, AT_SYMLINK_NOFOLLOW) < 0)
        return error_sys(err, "set mode of %s", entry->path);
    if (utimensat(dir_fd, entry->name, times, AT_SYMLINK_NOFOLLOW) < 0)
        return error_sys(err, "set times of %s", entry->path);
    return 0;
}

static int copy_special(int dir_fd, const struct tree_entry *entry, struct error *err)
{
    char target[4096];

    if (S_ISLNK(entry->status.st_mode)) {
        ssize_t length = readlinkat(entry->dir_fd, entry->name, target, sizeof(target) - 1);

        if (length < 0)
            return error_sys(err, "read link %s", entry->path);
        target[length] = 0;
        if (symlinkat(target, dir_fd, entry->name) < 0)
            return error_sys(err, "create link %s", entry->path);
    } else if (mknodat(dir_fd, entry->name, entry->status.st_mode & ~(mode_t)07777,
                       entry->status.st_rdev) < 0) {
        return error_sys(err, "create %s", entry->path);
    }
    return set_special_attributes(dir_fd, entry, err);
}

static void link_key(const struct tree_entry *entry, char out[64])
{
    snprintf(out, 64, "%llx:%llx", (unsigned long long)entry->status.st_dev,
             (unsigned long long)entry->status.st_ino);
}

static int link_first_copy(struct copy *copy, const char *first, int dir_fd,
                           const struct tree_entry *entry, struct error *err)
{
    const char *name;
    CLEANUP(close) int first_fd = path_open_parent(copy->to_fd, first, 0, &name, err);

    if (first_fd < 0)
        return -1;
    if (linkat(first_fd, name, dir_fd, entry->name, 0) < 0)
        return error_sys(err, "link %s to %s", entry->path, first);
    return 0;
}

static int make_dir(int dir_fd, const struct tree_entry *entry, struct error *err)
{
    struct stat status;

    if (mkdirat(dir_fd, entry->name, 0700) == 0)
        return 0;
    error_sys(err, "make directory %s", entry->path);
    bool is_merged = err->sys == EEXIST &&
                     fstatat(dir_fd, entry->name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
                     S_ISDIR(status.st_mode);
    return is_merged ? 0 : -1;
}

static int make_entry(struct copy *copy, int dir_fd, const struct tree_entry *entry,
                      const char *first, struct error *err)
{
    if (S_ISDIR(entry->status.st_mode))
        return make_dir(dir_fd, entry, err);
    if (first)
        return link_first_copy(copy, first, dir_fd, entry, err);
    if (S_ISREG(entry->status.st_mode))
        return copy_file(copy, dir_fd, entry, err);
    return copy_special(dir_fd, entry, err);
}

/* Mostly nothing is in the way, so nobody looks before. */
static int put_entry(struct copy *copy, int dir_fd, const struct tree_entry *entry,
                     const char *first, struct error *err)
{
    struct error own;

    err = err ?: &own;
    if (make_entry(copy, dir_fd, entry, first, err) == 0)
        return 0;
    if (err->sys != EEXIST || tree_remove_at(dir_fd, entry->name, err) < 0)
        return -1;
    return make_entry(copy, dir_fd, entry, first, err);
}

static int enter(void *data, const struct tree_entry *entry, struct error *err)
{
    struct copy *copy = data;
    int answer = copy->options.enter ? copy->options.enter(copy->options.data, entry, err) : 0;
    int dir_fd = answer ? -1 : open_target_dir(copy, entry->path, err);
    char key[64];

    if (answer || S_ISSOCK(entry->status.st_mode))
        return answer;
    if (dir_fd < 0)
        return -1;
    if (S_ISDIR(entry->status.st_mode) || entry->status.st_nlink == 1)
        return put_entry(copy, dir_fd, entry, NULL, err);
    link_key(entry, key);
    const char *first = map_get(&copy->links, key);
    if (put_entry(copy, dir_fd, entry, first, err) < 0)
        return -1;
    if (!first)
        map_set_text(&copy->links, key, entry->path);
    return 0;
}

static int leave(void *data, const struct tree_entry *entry, struct error *err)
{
    struct copy *copy = data;
    int answer = copy->options.leave ? copy->options.leave(copy->options.data, entry, err) : 0;
    int dir_fd = answer ? -1 : open_target_dir(copy, entry->path, err);

    if (answer || dir_fd < 0)
        return answer < 0 || (!answer && dir_fd < 0) ? -1 : 0;
    CLEANUP(close)
    int from_fd = openat(entry->dir_fd, entry->name,
                         O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    CLEANUP(close)
    int to_fd = openat(dir_fd, entry->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (from_fd < 0 || to_fd < 0)
        return error_sys(err, "open directory %s", entry->path);
    if (tree_copy_attributes(from_fd, to_fd, copy->options.keeps_xattr, err) < 0)
        return error_context(err, "copy %s", entry->path);
    return 0;
}

int tree_copy(int from_fd, int to_fd, const struct tree_copy *options, struct error *err)
{
    static const struct tree_visitor visitor = { enter, leave };
    struct copy copy = { .from_fd = from_fd, .to_fd = to_fd, .dir_fd = -1 };

    if (options)
        copy.options = *options;
    int result = tree_walk(from_fd, &visitor, &copy, err);
    if (copy.dir_fd >= 0)
        close(copy.dir_fd);
    free(copy.dir_path);
    map_done(&copy.links);
    return result;
}
