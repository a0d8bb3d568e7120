/* One entry after the other: find its directory, clear its place, create it, dress it. Everything
 * is done with a directory's descriptor and one name without '/', following no link there. */
#include "store/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/str.h"
#include "base/text.h"
#include "codec/crc.h"
#include "codec/tar.h"
#include "store/outline.h"
#include "store/unpack_dirs.h"
#include "store/whiteout.h"

#include "base/banned.h"

#define ID_LIMIT INT64_C(0xfffffffe) /* -1 means "as it is" to chown */

struct unpacker {
    const struct unpack *options;
    struct unpack_dirs dirs;
    struct tar_reader *reader;
    struct str path;  /* of the entry, cleaned */
    struct str other; /* of a hard link's target, or of a parent */
    uint64_t entry_count, size;
    bool has_stale_directories, has_replaced, has_root;
};

/* What is wrong with the archive, as opposed to our disk. */
static int blame(struct error *err, const char *what, const char *path)
{
    int number = errno;

    error_sys(err, "%s %s", what, path);
    if (err && number != ENOSPC && number != EDQUOT && number != EIO && number != EMFILE &&
        number != ENFILE && number != EROFS && number != ENOMEM)
        err->kind = ERROR_INVALID;
    return -1;
}

/* Makes a name relative to the root, without ".", ".." and doubled slashes; "" is the root. */
static int clean_name(const char *name, struct str *out, struct error *err)
{
    str_clear(out);
    while (*name) {
        size_t length = strcspn(name, "/");

        if (length == 2 && name[0] == '.' && name[1] == '.') {
            const char *slash = out->length ? strrchr(out->data, '/') : NULL;

            if (!out->length)
                return error_set(err, ERROR_INVALID, "name leads out of the archive");
            str_cut(out, slash ? (size_t)(slash - out->data) : 0);
        } else if (length > NAME_MAX) {
            return error_set(err, ERROR_INVALID, "a part of the name is longer than %d bytes",
                             NAME_MAX);
        } else if (length && !(length == 1 && name[0] == '.')) {
            if (out->length)
                str_add_char(out, '/');
            str_add_bytes(out, name, length);
        }
        name += length + (name[length] == '/');
    }
    return 0;
}

/* The directory that holds 'path', and the last component in *out_name. */
static int open_parent(struct unpacker *unpacker, const char *path, bool make,
                       const char **out_name, struct error *err)
{
    const char *slash = strrchr(path, '/');

    *out_name = slash ? slash + 1 : path;
    CLEANUP(free) char *parent = xstrndup(path, slash ? (size_t)(slash - path) : 0);
    return unpack_dirs_open(&unpacker->dirs, parent, make, err);
}

static int count_bytes(struct unpacker *unpacker, int64_t size, struct error *err)
{
    uint64_t limit = unpacker->options->size_limit;

    if (size < 0 || (uint64_t)size > limit || unpacker->size > limit - (uint64_t)size)
        return error_set(err, ERROR_INVALID, "layer is larger than the limit of %" PRIu64 " bytes",
                         limit);
    unpacker->size += (uint64_t)size;
    return 0;
}

/* ---- attributes ---- */

static int check_owner(const struct tar_entry *entry, struct error *err)
{
    if (entry->uid < 0 || entry->uid > ID_LIMIT || entry->gid < 0 || entry->gid > ID_LIMIT)
        return error_set(err, ERROR_INVALID, "owner %" PRId64 ":%" PRId64 " is out of range",
                         entry->uid, entry->gid);
    return 0;
}

static struct timespec entry_mtime(const struct tar_entry *entry)
{
    bool has_fraction = entry->mtime_ns > 0 && entry->mtime_ns < 1000000000;

    return (struct timespec){ entry->mtime_s, has_fraction ? (long)entry->mtime_ns : 0 };
}

static int set_xattrs(int fd, const struct tar_entry *entry, struct error *err)
{
    for (size_t i = 0; i < entry->xattr_count; i++) {
        const struct tar_xattr *xattr = &entry->xattrs[i];

        if (layer_keeps_xattr(xattr->name) &&
            fsetxattr(fd, xattr->name, xattr->value, xattr->size, 0) < 0 && errno != ENOTSUP)
            return blame(err, "set attribute", xattr->name);
    }
    return 0;
}

/* Owner before mode and attributes: a change of owner drops set-user-id and capabilities. */
static int dress_fd(int fd, const struct tar_entry *entry, struct error *err)
{
    if (fchown(fd, (uid_t)entry->uid, (gid_t)entry->gid) < 0 || fchmod(fd, entry->mode & 07777) < 0)
        return blame(err, "set owner and mode of", entry->name);
    return set_xattrs(fd, entry, err);
}

static int dress_special(int dir_fd, const char *name, const struct tar_entry *entry,
                         struct error *err)
{
    struct timespec times[] = { entry_mtime(entry), entry_mtime(entry) };

    if (fchownat(dir_fd, name, (uid_t)entry->uid, (gid_t)entry->gid, AT_SYMLINK_NOFOLLOW) < 0)
        return blame(err, "set owner of", entry->name);
    if (entry->type != TAR_SYMLINK &&
        fchmodat(dir_fd, name, entry->mode & 07777, AT_SYMLINK_NOFOLLOW) < 0)
        return blame(err, "set mode of", entry->name);
    if (utimensat(dir_fd, name, times, AT_SYMLINK_NOFOLLOW) < 0)
        return blame(err, "set time of", entry->name);
    return 0;
}

/* ---- kinds of entries ---- */

/* Takes away what has the name already. */
static int clear_place(struct unpacker *unpacker, int dir_fd, const char *name, struct error *err)
{
    struct stat status;

    if (fstatat(dir_fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : blame(err, "look at", name);
    if (S_ISDIR(status.st_mode) || S_ISLNK(status.st_mode))
        unpacker->has_stale_directories = true;
    if (S_ISDIR(status.st_mode) || S_ISREG(status.st_mode))
        unpacker->has_replaced = true;
    if (unpacker->options->outline)
        outline_give_up(unpacker->options->outline);
    return tree_remove_at(dir_fd, name, err);
}

static int write_content(struct unpacker *unpacker, int fd, const struct tar_entry *entry,
                         struct error *err)
{
    struct outline *outline = unpacker->options->outline;
    uint32_t crc = 0;
    const void *data;
    size_t size;
    int64_t offset, end = 0;
    int more;

    while ((more = tar_reader_block(unpacker->reader, &data, &size, &offset, err)) == 1) {
        if (offset < 0 || offset > entry->size || (int64_t)size > entry->size - offset)
            return error_set(err, ERROR_INVALID, "%s has more content than it says", entry->name);
        if (outline)
            crc = crc_add(crc, data, size);
        for (size_t done = 0; done < size;) {
            ssize_t count = pwrite(fd, (const char *)data + done, size - done,
                                   offset + (int64_t)done);

            if (count < 0 && errno != EINTR)
                return blame(err, "write", entry->name);
            done += count > 0 ? (size_t)count : 0;
        }
        end = MAX(end, offset + (int64_t)size);
    }
    if (more < 0)
        return -1;
    if (end < entry->size && ftruncate(fd, entry->size) < 0)
        return blame(err, "set size of", entry->name);
    if (outline && entry->size)
        outline_file(outline, str_text(&unpacker->path), entry->size, crc);
    return 0;
}

static int unpack_file(struct unpacker *unpacker, int dir_fd, const char *name,
                       const struct tar_entry *entry, struct error *err)
{
    const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    struct timespec times[] = { entry_mtime(entry), entry_mtime(entry) };

    if (count_bytes(unpacker, entry->size, err) < 0)
        return -1;
    CLEANUP(close) int fd = openat(dir_fd, name, flags, 0600);
    if (fd < 0 && errno == EEXIST) {
        if (clear_place(unpacker, dir_fd, name, err) < 0)
            return -1;
        fd = openat(dir_fd, name, flags, 0600);
    }
    if (fd < 0)
        return blame(err, "create", entry->name);
    if (write_content(unpacker, fd, entry, err) < 0 || dress_fd(fd, entry, err) < 0)
        return -1;
    return futimens(fd, times) < 0 ? blame(err, "set time of", entry->name) : 0;
}

/* A directory that is there already keeps its content; one that takes the place of a whiteout hides
 * what is below it. */
static int make_or_keep(struct unpacker *unpacker, int dir_fd, const char *name, bool *out_hides,
                        struct error *err)
{
    struct stat status;

    if (mkdirat(dir_fd, name, 0700) == 0)
        return 0;
    if (errno != EEXIST || fstatat(dir_fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return blame(err, "make directory", name);
    if (S_ISDIR(status.st_mode))
        return 0;
    *out_hides = whiteout_is_device(&status);
    if (clear_place(unpacker, dir_fd, name, err) < 0)
        return -1;
    return mkdirat(dir_fd, name, 0700) < 0 ? blame(err, "make directory", name) : 0;
}

static int unpack_directory(struct unpacker *unpacker, int dir_fd, const char *name,
                            const struct tar_entry *entry, struct error *err)
{
    bool hides = false;

    if (make_or_keep(unpacker, dir_fd, name, &hides, err) < 0)
        return -1;
    CLEANUP(close)
    int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return blame(err, "open", entry->name);
    if (hides && opaque_make(unpacker->options->marks_by_name, fd, err) < 0)
        return -1;
    if (dress_fd(fd, entry, err) < 0)
        return -1;
    unpack_dirs_described(&unpacker->dirs, str_text(&unpacker->path));
    unpack_dirs_set_mtime(&unpacker->dirs, str_text(&unpacker->path), entry_mtime(entry));
    if (!unpacker->has_stale_directories)
        unpack_dirs_add(&unpacker->dirs, str_text(&unpacker->path), TAKE_FD(fd));
    return 0;
}

static int unpack_hardlink(struct unpacker *unpacker, const struct tar_entry *entry,
                           struct error *err)
{
    const char *name, *target_name;
    struct stat target, here;

    if (clean_name(entry->link_target, &unpacker->other, err) < 0)
        return error_context(err, "target %s", entry->link_target);
    int target_fd = open_parent(unpacker, str_text(&unpacker->other), false, &target_name, err);
    if (target_fd < 0)
        return -1;
    int dir_fd = open_parent(unpacker, str_text(&unpacker->path), true, &name, err);
    if (dir_fd < 0)
        return -1;
    if (fstatat(target_fd, target_name, &target, AT_SYMLINK_NOFOLLOW) < 0)
        return blame(err, "link to", entry->link_target);
    if (S_ISDIR(target.st_mode) || whiteout_is_device(&target))
        return error_set(err, ERROR_INVALID, "hard link to %s, which is no file",
                         entry->link_target);
    if (fstatat(dir_fd, name, &here, AT_SYMLINK_NOFOLLOW) == 0) {
        if (here.st_ino == target.st_ino && here.st_dev == target.st_dev)
            return 0; /* To itself. */
        if (clear_place(unpacker, dir_fd, name, err) < 0)
            return -1;
    }
    if (linkat(target_fd, target_name, dir_fd, name, 0) < 0)
        return blame(err, "link to", entry->link_target);
    return 0;
}

static mode_t node_type(enum tar_type type)
{
    return type == TAR_FIFO ? S_IFIFO : type == TAR_BLOCK_DEVICE ? S_IFBLK : S_IFCHR;
}

static int make_special(int dir_fd, const char *name, const struct tar_entry *entry)
{
    if (entry->type == TAR_SYMLINK)
        return symlinkat(entry->link_target, dir_fd, name);
    return mknodat(dir_fd, name, node_type(entry->type) | 0600,
                   makedev(entry->device_major, entry->device_minor));
}

static int unpack_special(struct unpacker *unpacker, int dir_fd, const char *name,
                          const struct tar_entry *entry, struct error *err)
{
    /* On disk this would be a whiteout, so it is one. */
    if (entry->type == TAR_CHARACTER_DEVICE && !entry->device_major && !entry->device_minor)
        return whiteout_make(unpacker->options->marks_by_name, dir_fd, name, err);
    if (make_special(dir_fd, name, entry) < 0) {
        if (errno != EEXIST)
            return blame(err, "create", entry->name);
        if (clear_place(unpacker, dir_fd, name, err) < 0)
            return -1;
        if (make_special(dir_fd, name, entry) < 0)
            return blame(err, "create", entry->name);
    }
    return dress_special(dir_fd, name, entry, err);
}

/* ---- whiteouts ---- */

/* Whether a component of the path is of AUFS' own (.wh..wh.plnk and the like): nothing of ours. */
static bool is_foreign(const char *path)
{
    for (const char *at = path; at; at = strchr(at, '/') ? strchr(at, '/') + 1 : NULL)
        if (text_starts(at, WHITEOUT_META_PREFIX) && strcmp(at, OPAQUE_NAME) != 0)
            return true;
    return false;
}

static int unpack_whiteout(struct unpacker *unpacker, int dir_fd, const char *name,
                           struct error *err)
{
    const char *hidden = name + strlen(WHITEOUT_PREFIX);

    if (strcmp(name, OPAQUE_NAME) == 0)
        return opaque_make(unpacker->options->marks_by_name, dir_fd, err);
    if (!*hidden || strcmp(hidden, ".") == 0 || strcmp(hidden, "..") == 0)
        return error_set(err, ERROR_INVALID, "whiteout that hides nothing");
    return whiteout_make(unpacker->options->marks_by_name, dir_fd, hidden, err);
}

/* A whiteout hides; nothing can be inside. */
static int check_parents(const char *path, struct error *err)
{
    const char *slash = strrchr(path, '/');

    for (const char *at = path; slash && at < slash; at = strchr(at, '/') + 1)
        if (whiteout_is_name(at))
            return error_set(err, ERROR_INVALID, "entry inside a whiteout");
    return 0;
}

/* ---- the archive ---- */

static int unpack_root(struct unpacker *unpacker, const struct tar_entry *entry, struct error *err)
{
    if (entry->type != TAR_DIRECTORY)
        return error_set(err, ERROR_INVALID, "the root is no directory");
    unpacker->has_root = true;
    return dress_fd(unpacker->options->root_fd, entry, err);
}

static int unpack_entry(struct unpacker *unpacker, const struct tar_entry *entry, struct error *err)
{
    const char *name;

    if (clean_name(entry->name, &unpacker->path, err) < 0 || check_owner(entry, err) < 0)
        return -1;
    const char *path = str_text(&unpacker->path);
    if (!*path)
        return unpack_root(unpacker, entry, err);
    if (strstr(path, WHITEOUT_PREFIX)) {
        if (is_foreign(path))
            return 0;
        if (check_parents(path, err) < 0)
            return -1;
    }
    if (entry->type == TAR_OTHER)
        return error_set(err, ERROR_INVALID, "entry of an unknown type");
    int dir_fd = open_parent(unpacker, path, true, &name, err);
    if (dir_fd < 0)
        return -1;
    if (whiteout_is_name(name))
        return unpack_whiteout(unpacker, dir_fd, name, err);
    if (entry->type == TAR_FILE)
        return unpack_file(unpacker, dir_fd, name, entry, err);
    if (entry->type == TAR_DIRECTORY)
        return unpack_directory(unpacker, dir_fd, name, entry, err);
    if (entry->type == TAR_HARDLINK)
        return unpack_hardlink(unpacker, entry, err);
    return unpack_special(unpacker, dir_fd, name, entry, err);
}

static int unpack_entries(struct unpacker *unpacker, struct error *err)
{
    CLEANUP(tar_entry_done) struct tar_entry entry = {};
    int more;

    while ((more = tar_reader_next(unpacker->reader, &entry, err)) == 1) {
        if (++unpacker->entry_count > unpacker->options->entry_limit)
            return error_set(err, ERROR_INVALID,
                             "archive has more than the limit of %" PRIu64 " entries",
                             unpacker->options->entry_limit);
        if (unpack_entry(unpacker, &entry, err) < 0)
            return error_context(err, "%.200s", entry.name);
        if (unpacker->has_stale_directories)
            unpack_dirs_forget(&unpacker->dirs);
        unpacker->has_stale_directories = false;
    }
    return more;
}

/* What is behind the archive's end counts for its digest. */
static int drain(struct stream *stream, struct error *err)
{
    CLEANUP(free) char *block = xmalloc(64 * 1024);
    ssize_t count;

    while ((count = stream_read(stream, block, 64 * 1024, err)) > 0)
        ;
    return (int)count;
}

static int measure(const struct unpacker *unpacker, int64_t *out_size, struct error *err)
{
    CLEANUP(free) char *path = xasprintf("/proc/self/fd/%d", unpacker->options->root_fd);

    if (unpacker->has_replaced)
        return tree_size(path, out_size, err);
    *out_size = (int64_t)unpacker->size;
    return 0;
}

int unpack_archive(const struct unpack *options, struct stream *archive, struct unpacked *out,
                   struct error *err)
{
    CLEANUP(tar_reader_free) struct tar_reader *reader = tar_reader_new(archive, err);
    struct unpacker unpacker = { .options = options, .reader = reader };

    if (!reader)
        return -1;
    unpacker.dirs.options = options;
    int result = unpack_entries(&unpacker, err);
    if (result == 0)
        result = drain(archive, err);
    if (result == 0)
        result = unpack_dirs_settle(&unpacker.dirs, err);
    if (result == 0)
        result = measure(&unpacker, &out->size_bytes, err);
    out->has_root = unpacker.has_root;
    unpack_dirs_done(&unpacker.dirs);
    str_done(&unpacker.path);
    str_done(&unpacker.other);
    return result;
}
