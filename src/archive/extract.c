/* One entry after the other: find its directory, make room, create it, dress it. All of it is done
 * with a directory's descriptor and one name without '/', following no link there. */
#include "archive/extract.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "base/descriptor.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "codec/compress.h"
#include "codec/tar.h"
#include "linux/file_copy.h"
#include "linux/path.h"

#include "base/banned.h"

#define LATE_TIME_LIMIT ((size_t)65536)  /* directories whose times wait */
#define LARGE_SIZE      ((off_t)8 << 20) /* of a file that somebody else removes */

/* A directory's time, set when all is in it. */
struct late_time {
    char *name;
    struct timespec mtime;
};

struct extraction {
    int root_fd;
    const struct extract_options *options;
    int content_fd; /* of the one file, when there is no archive */
    uint64_t size, count;
    struct late_time *times;
    size_t time_count;
};

static void extraction_done(struct extraction *extraction)
{
    for (size_t i = 0; i < extraction->time_count; i++)
        free(extraction->times[i].name);
    free(extraction->times);
}
CLEANUP_VALUE(extraction_done, struct extraction)

/* ---- a stream that leaves the one behind it open ---- */

struct borrowed {
    struct stream stream;
    struct stream *inner;
};

static ssize_t borrowed_read(struct stream *stream, void *data, size_t size, struct error *err)
{
    return stream_read(CONTAINER_OF(stream, struct borrowed, stream)->inner, data, size, err);
}

static void borrowed_close(struct stream *stream)
{
    free(CONTAINER_OF(stream, struct borrowed, stream));
}

/* A reader of the plain tar in 'archive', which stays the caller's. */
static struct tar_reader *open_reader(struct stream *archive, struct error *err)
{
    const struct inflate_limits limits = { EXTRACT_SIZE_LIMIT, EXTRACT_RATIO_LIMIT };
    struct borrowed *borrowed = NEW(struct borrowed);
    enum compression detected;

    borrowed->stream.read = borrowed_read;
    borrowed->stream.close = borrowed_close;
    borrowed->inner = archive;

    struct stream *plain = stream_inflate(&borrowed->stream, limits, &detected, err);
    return plain ? tar_reader_new(plain, err) : NULL;
}

static int check_cancelled(int cancel_fd, struct error *err)
{
    if (fd_is_readable(cancel_fd))
        return error_set(err, ERROR_CANCELLED, "unpacking was called off");
    return 0;
}

/* Where an entry's name is in the tree. */
static char *name_in_tree(const struct extraction *extraction, const char *name)
{
    const char *top = extraction->options->path;

    return top ? path_join(top, name) : xstrdup(name);
}

/* ---- entries ---- */

static bool keeps_by_default(const char *name)
{
    return strcmp(name, "security.capability") == 0 || text_starts(name, "user.");
}

static void set_attributes(const struct extraction *extraction, int fd,
                           const struct tar_entry *entry)
{
    bool (*keeps)(const char *) = extraction->options->keeps_xattr ?: keeps_by_default;

    for (size_t i = 0; i < entry->xattr_count; i++) {
        const struct tar_xattr *xattr = &entry->xattrs[i];

        if (keeps(xattr->name))
            (void)!fsetxattr(fd, xattr->name, xattr->value, xattr->size, 0);
    }
}

/* The owner that an entry gets; -1 leaves it to its maker. */
static int wanted_owner(const struct extraction *extraction, const struct tar_entry *entry,
                        uid_t *out_uid, gid_t *out_gid, struct error *err)
{
    const struct extract_options *options = extraction->options;

    bool is_caller = !options->is_owner_given && !options->keeps_owners;
    int64_t uid = options->is_owner_given ? options->uid : is_caller ? 0 : entry->uid;
    int64_t gid = options->is_owner_given ? options->gid : is_caller ? 0 : entry->gid;

    *out_uid = (uid_t)-1;
    *out_gid = (gid_t)-1;
    if (is_caller && !options->seen_in)
        return 0;
    if (options->seen_in && uid >= 0 && uid < UINT32_MAX && gid >= 0 && gid < UINT32_MAX) {
        uid = id_table_outside(&options->seen_in->uids, (uint32_t)uid);
        gid = id_table_outside(&options->seen_in->gids, (uint32_t)gid);
    }
    if (uid < 0 || uid >= UINT32_MAX || gid < 0 || gid >= UINT32_MAX)
        return error_set(err, ERROR_INVALID, "impossible owner of %s", entry->name);
    *out_uid = (uid_t)uid;
    *out_gid = (gid_t)gid;
    return 0;
}

/* Owner before mode and attributes: a change of owner drops set-user-id and capabilities. */
static int dress_opened(const struct extraction *extraction, const struct tar_entry *entry, int fd,
                        struct error *err)
{
    uid_t uid;
    gid_t gid;

    if (wanted_owner(extraction, entry, &uid, &gid, err) < 0)
        return -1;
    if (fchown(fd, uid, gid) < 0)
        return error_sys(err, "change owner of %s", entry->name);
    if (fchmod(fd, entry->mode & 07777) < 0)
        return error_sys(err, "mode of %s", entry->name);
    set_attributes(extraction, fd, entry);
    return 0;
}

static int set_owner(const struct extraction *extraction, const struct tar_entry *entry,
                     int parent_fd, const char *name, struct error *err)
{
    uid_t uid;
    gid_t gid;

    if (wanted_owner(extraction, entry, &uid, &gid, err) < 0)
        return -1;
    if (fchownat(parent_fd, name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0)
        return error_sys(err, "change owner of %s", entry->name);
    return 0;
}

static void set_times(const struct tar_entry *entry, int parent_fd, const char *name)
{
    const struct timespec mtime = { entry->mtime_s, entry->mtime_ns };

    (void)utimensat(parent_fd, name, (const struct timespec[]){ mtime, mtime },
                    AT_SYMLINK_NOFOLLOW);
}

/* Whether there is room for a new file beside the old one. A quota, which does not show here,
 * counts for others than root. */
static bool fits_beside(int dir_fd, const struct stat *old, const struct tar_entry *entry)
{
    struct statvfs filesystem;

    return geteuid() == 0 && fstatvfs(dir_fd, &filesystem) == 0 &&
           filesystem.f_bavail * filesystem.f_frsize / 2 >
               (uint64_t)old->st_size + (uint64_t)entry->size;
}

/* The blocks of a large file take about as long to give back as a new one takes to write: another
 * thread holds the old file over the end of its name, and lets it go while we go on. */
static int make_room(const struct tar_entry *entry, int parent_fd, const char *name,
                     struct error *err)
{
    struct stat old = {};
    int old_fd = -1;

    if (fstatat(parent_fd, name, &old, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
        return 0;
    if (S_ISREG(old.st_mode) && old.st_size >= LARGE_SIZE && fits_beside(parent_fd, &old, entry))
        old_fd = openat(parent_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    bool is_gone = unlinkat(parent_fd, name, 0) == 0 || errno == ENOENT;
    if (old_fd >= 0)
        descriptor_discard(old_fd);
    return is_gone ? 0 : tree_remove_at(parent_fd, name, err);
}

static int write_content(struct extraction *extraction, struct tar_reader *reader, int fd,
                         const struct tar_entry *entry, struct error *err)
{
    const void *data;
    size_t size;
    int64_t offset;
    int more;

    while ((more = tar_reader_block(reader, &data, &size, &offset, err)) > 0) {
        for (size_t done = 0; done < size;) {
            ssize_t count = pwrite(fd, (const char *)data + done, size - done,
                                   (off_t)(offset + (int64_t)done));

            if (count < 0 && errno != EINTR)
                return error_sys(err, "write %s", entry->name);
            done += count > 0 ? (size_t)count : 0;
        }
        extraction->size += size;
        if (extraction->size > EXTRACT_SIZE_LIMIT)
            return error_set(err, ERROR_INVALID, "the archive holds more than %llu bytes",
                             (unsigned long long)EXTRACT_SIZE_LIMIT);
        if (check_cancelled(extraction->options->cancel_fd, err) < 0)
            return -1;
    }
    return more;
}

static int copy_content(const struct extraction *extraction, int fd, const struct tar_entry *entry,
                        struct error *err)
{
    const struct file_copy content = { .name = entry->name,
                                       .cancel_fd = extraction->options->cancel_fd };
    struct stat status;

    if (file_copy_content(extraction->content_fd, fd, (off_t)entry->size, &content, err) < 0)
        return -1;
    if (fstat(extraction->content_fd, &status) < 0 || status.st_size < entry->size)
        return error_set(err, ERROR_CONFLICT, "%s became shorter while it was read", entry->name);
    return 0;
}

static int make_file(struct extraction *extraction, struct tar_reader *reader,
                     const struct tar_entry *entry, int parent_fd, const char *name,
                     struct error *err)
{
    CLEANUP(close) int fd = -1;

    if (entry->size < 0 || (uint64_t)entry->size > EXTRACT_SIZE_LIMIT)
        return error_set(err, ERROR_INVALID, "%s is too large", entry->name);
    fd = openat(parent_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_sys(err, "create %s", entry->name);
    if ((reader ? write_content(extraction, reader, fd, entry, err)
                : copy_content(extraction, fd, entry, err)) < 0)
        return -1;
    if (ftruncate(fd, entry->size) < 0)
        return error_sys(err, "size of %s", entry->name);
    if (dress_opened(extraction, entry, fd, err) < 0)
        return -1;

    const struct timespec mtime = { entry->mtime_s, entry->mtime_ns };
    (void)futimens(fd, (const struct timespec[]){ mtime, mtime });
    return 0;
}

static void set_late_times(struct extraction *extraction)
{
    for (size_t i = extraction->time_count; i-- > 0;) {
        const struct timespec times[2] = { extraction->times[i].mtime, extraction->times[i].mtime };
        CLEANUP(free) char *path = name_in_tree(extraction, extraction->times[i].name);
        CLEANUP(close)
        int fd = path_open(extraction->root_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, NULL);

        if (fd >= 0) /* Otherwise something else took its place later. */
            (void)futimens(fd, times);
        free(extraction->times[i].name);
    }
    extraction->time_count = 0;
}

static void remember_time(struct extraction *extraction, const struct tar_entry *entry)
{
    if (extraction->time_count == LATE_TIME_LIMIT)
        set_late_times(extraction); /* Early is better than keeping any number of names. */
    if (!extraction->times)
        extraction->times = xcalloc(LATE_TIME_LIMIT, sizeof(*extraction->times));
    extraction->times[extraction->time_count++] = (struct late_time){
        xstrdup(*entry->name ? entry->name : "."), { entry->mtime_s, entry->mtime_ns }
    };
}

static int make_directory(struct extraction *extraction, const struct tar_entry *entry,
                          int parent_fd, const char *name, struct error *err)
{
    CLEANUP(close) int fd = -1;
    struct stat info;

    if (fstatat(parent_fd, name, &info, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(info.st_mode) &&
        unlinkat(parent_fd, name, 0) < 0)
        return error_sys(err, "replace %s", entry->name);
    if (mkdirat(parent_fd, name, 0700) < 0 && errno != EEXIST)
        return error_sys(err, "create directory %s", entry->name);
    fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return error_sys(err, "open directory %s", entry->name);
    if (dress_opened(extraction, entry, fd, err) < 0)
        return -1;
    remember_time(extraction, entry);
    return 0;
}

static int make_hard_link(struct extraction *extraction, const struct tar_entry *entry,
                          int parent_fd, const char *name, struct error *err)
{
    const char *target_name;
    CLEANUP(free) char *rooted = xasprintf("/%s", entry->link_target ?: "");
    CLEANUP(free) char *cleaned = path_clean(rooted);
    CLEANUP(free) char *target = name_in_tree(extraction, cleaned + 1);
    CLEANUP(close)
    int target_fd = path_open_parent(extraction->root_fd, target, 0, &target_name, err);

    if (target_fd < 0)
        return error_context(err, "hard link %s", entry->name);
    if (linkat(target_fd, target_name, parent_fd, name, 0) < 0)
        return error_sys(err, "hard link %s", entry->name);
    return 0;
}

static int make_node(struct extraction *extraction, const struct tar_entry *entry, int parent_fd,
                     const char *name, struct error *err)
{
    mode_t type = entry->type == TAR_FIFO               ? S_IFIFO
                  : entry->type == TAR_CHARACTER_DEVICE ? S_IFCHR
                                                        : S_IFBLK;

    if (type != S_IFIFO && extraction->options->skips_devices)
        return 0;
    if (mknodat(parent_fd, name, type | 0600, makedev(entry->device_major, entry->device_minor)) <
            0 ||
        set_owner(extraction, entry, parent_fd, name, NULL) < 0 ||
        fchmodat(parent_fd, name, entry->mode & 07777, AT_SYMLINK_NOFOLLOW) < 0)
        return error_sys(err, "create %s", entry->name);
    set_times(entry, parent_fd, name);
    return 0;
}

static int check_kind(const struct tar_entry *entry, int parent_fd, const char *name,
                      struct error *err)
{
    struct stat info;

    if (fstatat(parent_fd, name, &info, AT_SYMLINK_NOFOLLOW) < 0)
        return 0; /* Whatever is wrong shows up when it is made. */
    if (S_ISDIR(info.st_mode) && entry->type != TAR_DIRECTORY)
        return error_set(err, ERROR_INVALID, "cannot overwrite directory \"%s\" with non-directory",
                         entry->name);
    if (!S_ISDIR(info.st_mode) && entry->type == TAR_DIRECTORY)
        return error_set(err, ERROR_INVALID, "cannot overwrite non-directory \"%s\" with directory",
                         entry->name);
    return 0;
}

static int make_entry(struct extraction *extraction, struct tar_reader *reader,
                      const struct tar_entry *entry, int parent_fd, const char *name,
                      struct error *err)
{
    if (extraction->options->keeps_kinds && check_kind(entry, parent_fd, name, err) < 0)
        return -1;
    if (entry->type != TAR_DIRECTORY && make_room(entry, parent_fd, name, err) < 0)
        return -1;
    switch (entry->type) {
    case TAR_FILE:
        return make_file(extraction, reader, entry, parent_fd, name, err);
    case TAR_DIRECTORY:
        return make_directory(extraction, entry, parent_fd, name, err);
    case TAR_SYMLINK:
        if (symlinkat(entry->link_target ? entry->link_target : "", parent_fd, name) < 0)
            return error_sys(err, "create link %s", entry->name);
        set_times(entry, parent_fd, name);
        return set_owner(extraction, entry, parent_fd, name, err);
    case TAR_HARDLINK:
        return make_hard_link(extraction, entry, parent_fd, name, err);
    case TAR_CHARACTER_DEVICE:
    case TAR_BLOCK_DEVICE:
    case TAR_FIFO:
        return make_node(extraction, entry, parent_fd, name, err);
    case TAR_OTHER:
        return 0;
    }
    return 0;
}

/* Gives the first element of a name (taken) its other name. */
static char *rename_top(char *name, const char *from, const char *to)
{
    size_t length = strcmp(from, "/") == 0 ? 0 : strlen(from);

    if (strncmp(name, from, length) != 0 || (name[length] && name[length] != '/'))
        return name;
    char *renamed = xasprintf("%s%s", to, name + length);
    free(name);
    return renamed;
}

static void rename_entry(const struct extract_options *options, struct tar_entry *entry)
{
    if (!options->new_name || !entry->name)
        return;
    entry->name = rename_top(entry->name, options->old_name, options->new_name);
    if (entry->type == TAR_HARDLINK && entry->link_target)
        entry->link_target = rename_top(entry->link_target, options->old_name, options->new_name);
}

/* "./a/b/" → "a/b"; "" for the directory itself. */
static void clean_name(struct tar_entry *entry)
{
    CLEANUP(free) char *rooted = xasprintf("/%s", entry->name ? entry->name : "");
    char *cleaned = path_clean(rooted);

    free(entry->name);
    entry->name = xstrdup(cleaned + 1);
    free(cleaned);
}

static int dress_root(struct extraction *extraction, const struct tar_entry *entry,
                      struct error *err)
{
    if (!extraction->options->dresses_root || entry->type != TAR_DIRECTORY)
        return 0;
    remember_time(extraction, entry);
    return dress_opened(extraction, entry, extraction->root_fd, err);
}

static int extract_entry(struct extraction *extraction, struct tar_reader *reader,
                         struct tar_entry *entry, struct error *err)
{
    const char *name;
    CLEANUP(close) int parent_fd = -1;

    if (++extraction->count > EXTRACT_COUNT_LIMIT)
        return error_set(err, ERROR_INVALID, "the archive has more than %d entries",
                         EXTRACT_COUNT_LIMIT);
    rename_entry(extraction->options, entry);
    clean_name(entry);
    if (*entry->name == 0)
        return dress_root(extraction, entry, err);
    CLEANUP(free) char *path = name_in_tree(extraction, entry->name);
    parent_fd = path_open_parent(extraction->root_fd, path, 1, &name, err);
    if (parent_fd < 0)
        return error_context(err, "unpack %s", entry->name);
    return make_entry(extraction, reader, entry, parent_fd, name, err);
}

int extract_archive(struct stream *archive, int root_fd, const struct extract_options *options,
                    struct error *err)
{
    CLEANUP(extraction_done)
    struct extraction extraction = { .root_fd = root_fd, .options = options };
    CLEANUP(tar_entry_done) struct tar_entry entry = {};
    CLEANUP(tar_reader_free) struct tar_reader *reader = open_reader(archive, err);
    int more;

    if (!reader)
        return -1;
    while ((more = tar_reader_next(reader, &entry, err)) > 0)
        if (check_cancelled(options->cancel_fd, err) < 0 ||
            extract_entry(&extraction, reader, &entry, err) < 0)
            return -1;
    if (more == 0)
        set_late_times(&extraction);
    return more;
}

int extract_file(int from_fd, struct tar_entry *entry, int root_fd,
                 const struct extract_options *options, struct error *err)
{
    CLEANUP(extraction_done)
    struct extraction extraction = { .root_fd = root_fd,
                                     .options = options,
                                     .content_fd = from_fd };

    if (entry->type != TAR_FILE)
        return error_set(err, ERROR_INVALID, "%s is no regular file", entry->name);
    return extract_entry(&extraction, NULL, entry, err);
}

bool extract_is_archive(int fd)
{
    CLEANUP(stream_close) struct stream *file = stream_from_fd(fd, false);
    CLEANUP(tar_reader_free) struct tar_reader *reader = open_reader(file, NULL);
    CLEANUP(tar_entry_done) struct tar_entry entry = {};
    bool is_archive = reader && tar_reader_next(reader, &entry, NULL) > 0;

    (void)lseek(fd, 0, SEEK_SET);
    return is_archive;
}
