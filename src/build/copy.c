/* Copying a tree into an image. Below the first level nothing is looked up by path: each entry is
 * reached from the descriptor of the directory it is in, links not followed. */
#include "build/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#include "archive/extract.h"
#include "base/file.h"
#include "base/map.h"
#include "base/memory.h"
#include "base/text.h"
#include "build/contents.h"
#include "build/owner.h"
#include "linux/file_copy.h"
#include "linux/path.h"
#include "spec/dockerignore.h"

#include "base/banned.h"

#define ATTRIBUTE_SIZE_LIMIT ((size_t)64 * 1024)
#define LINK_SIZE_LIMIT      4096
#define LINK_COUNT_LIMIT     40
#define SHARED_SIZE_LEAST    4096 /* smaller files are copied: a link would save no room */

static mode_t wanted_mode(const struct copy *copy, mode_t mode)
{
    return copy->mode_change ? mode_apply(copy->mode_change, mode) : mode & 07777;
}

static uid_t wanted_uid(const struct copy *copy, const struct stat *info)
{
    return copy->keeps_owners ? info->st_uid : copy->uid;
}

static gid_t wanted_gid(const struct copy *copy, const struct stat *info)
{
    return copy->keeps_owners ? info->st_gid : copy->gid;
}

static void copy_attributes(int from_fd, int to_fd)
{
    CLEANUP(strv_done) struct strv names = {};
    CLEANUP(free) char *value = NULL;

    attribute_names(from_fd, &names);
    for (size_t i = 0; i < names.count; i++) {
        if (!value)
            value = xmalloc(ATTRIBUTE_SIZE_LIMIT);

        ssize_t size = fgetxattr(from_fd, names.items[i], value, ATTRIBUTE_SIZE_LIMIT);
        /* A target that cannot have attributes does without them, as with every archiver. */
        if (size >= 0)
            (void)!fsetxattr(to_fd, names.items[i], value, (size_t)size, 0);
    }
}

/* In this order: a change of owner drops setuid bits and capabilities. */
static int set_metadata(const struct copy *copy, int from_fd, const struct stat *info, int to_fd,
                        struct error *err)
{
    const struct timespec times[2] = { info->st_atim, info->st_mtim };

    if (fchown(to_fd, wanted_uid(copy, info), wanted_gid(copy, info)) < 0)
        return error_sys(err, "change owner");
    if (fchmod(to_fd, wanted_mode(copy, info->st_mode)) < 0)
        return error_sys(err, "change mode");
    copy_attributes(from_fd, to_fd);
    if (futimens(to_fd, times) < 0)
        return error_sys(err, "set times");
    return 0;
}

/* Makes room for something that is no directory. */
static int remove_old(int parent_fd, const char *name, struct error *err)
{
    if (unlinkat(parent_fd, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno == EISDIR)
        return error_set(err, ERROR_INVALID, "cannot replace the directory %s with a file", name);
    return error_sys(err, "remove %s", name);
}

/* Files of the source that have several names, which may be in it too. */
struct copy_links {
    const char *target_path;
    struct map first; /* device and inode → the path that was copied, below the source */
};

static void copy_links_done(struct copy_links *links)
{
    map_done(&links->first);
}
CLEANUP_VALUE(copy_links_done, struct copy_links)

/* Another name of what was copied already. */
static bool link_again(const struct copy *copy, const struct stat *info, const char *path,
                       int parent_fd, const char *name)
{
    char key[48];

    if (!copy->links || !S_ISREG(info->st_mode) || info->st_nlink < 2)
        return false;
    snprintf(key, sizeof(key), "%llx:%llx", (unsigned long long)info->st_dev,
             (unsigned long long)info->st_ino);

    const char *first = map_get(&copy->links->first, key), *first_name;
    if (!first) {
        map_set_text(&copy->links->first, key, path);
        return false;
    }
    CLEANUP(free) char *first_path = path_join(copy->links->target_path, first);
    CLEANUP(close)
    int first_fd = path_open_parent(copy->target_root_fd, first_path, 0, &first_name, NULL);
    return first_fd >= 0 && linkat(first_fd, first_name, parent_fd, name, 0) == 0;
}

/* The same inode is as good as a copy if owner, mode and place allow it. */
static bool share_file(const struct copy *copy, int from_parent_fd, const char *from_name,
                       const struct stat *info, int share_fd, const char *name)
{
    return share_fd >= 0 && S_ISREG(info->st_mode) && info->st_size >= SHARED_SIZE_LEAST &&
           info->st_uid == wanted_uid(copy, info) && info->st_gid == wanted_gid(copy, info) &&
           wanted_mode(copy, info->st_mode) == (info->st_mode & 07777) &&
           linkat(from_parent_fd, from_name, share_fd, name, 0) == 0;
}

/* 'path' is relative to the source. */
static void note_content(const struct copy *copy, const struct stat *info, const char *path)
{
    CLEANUP(free) char *in_tree = NULL;
    char hex[LAYER_CONTENT_HEX_SIZE];

    if (!copy->known || info->st_size < CONTENT_SIZE_LEAST)
        return;
    in_tree = *copy->source_path ? path_join(copy->source_path, path) : xstrdup(path);
    if (copy->known->find(copy->known->data, in_tree, hex))
        contents_note(copy->contents, info, hex);
}

static int copy_file(const struct copy *copy, int from_fd, const struct stat *info, int parent_fd,
                     const char *name, struct error *err)
{
    const struct file_copy content = { .name = name, .cancel_fd = copy->cancel_fd };
    CLEANUP(close) int to_fd = -1;

    to_fd = openat(parent_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (to_fd < 0)
        return error_sys(err, "create %s", name);
    if (file_copy_content(from_fd, to_fd, info->st_size, &content, err) < 0)
        return -1;
    return set_metadata(copy, from_fd, info, to_fd, err);
}

static int copy_link(const struct copy *copy, int from_parent_fd, const char *from_name,
                     const struct stat *info, int parent_fd, const char *name, struct error *err)
{
    const struct timespec times[2] = { info->st_atim, info->st_mtim };
    CLEANUP(free) char *target = xcalloc(1, LINK_SIZE_LIMIT + 1);

    if (readlinkat(from_parent_fd, from_name, target, LINK_SIZE_LIMIT) < 0)
        return error_sys(err, "read link %s", from_name);
    if (symlinkat(target, parent_fd, name) < 0)
        return error_sys(err, "create link %s", name);
    if (fchownat(parent_fd, name, wanted_uid(copy, info), wanted_gid(copy, info),
                 AT_SYMLINK_NOFOLLOW) < 0 ||
        utimensat(parent_fd, name, times, AT_SYMLINK_NOFOLLOW) < 0)
        return error_sys(err, "link %s", name);
    return 0;
}

/* A device or a named pipe. */
static int copy_node(const struct copy *copy, const struct stat *info, int parent_fd,
                     const char *name, struct error *err)
{
    const struct timespec times[2] = { info->st_atim, info->st_mtim };

    if (mknodat(parent_fd, name, (info->st_mode & (mode_t)S_IFMT) | 0600, info->st_rdev) < 0 ||
        fchownat(parent_fd, name, wanted_uid(copy, info), wanted_gid(copy, info),
                 AT_SYMLINK_NOFOLLOW) < 0 ||
        fchmodat(parent_fd, name, wanted_mode(copy, info->st_mode), 0) < 0 ||
        utimensat(parent_fd, name, times, AT_SYMLINK_NOFOLLOW) < 0)
        return error_sys(err, "create node %s", name);
    return 0;
}

/* A directory to copy into, made if it is missing. */
static int open_directory(int parent_fd, const char *name, struct error *err)
{
    struct stat info;
    int fd;

    if (mkdirat(parent_fd, name, 0755) < 0 && errno != EEXIST)
        return error_sys(err, "create directory %s", name);
    if (fstatat(parent_fd, name, &info, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(info.st_mode))
        return error_set(err, ERROR_INVALID, "cannot copy to non-directory: %s", name);
    fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? error_sys(err, "open directory %s", name) : fd;
}

/* A directory to copy into: as it is seen through the mount, and in the changes (-1: not shared
 * with). Both are one where nothing lies below. */
struct place {
    int fd, share_fd;
};

static void place_done(struct place *place)
{
    if (place->share_fd >= 0 && place->share_fd != place->fd)
        close(place->share_fd);
    if (place->fd >= 0)
        close(place->fd);
}
CLEANUP_VALUE(place_done, struct place)

/* Where the changes of a directory go: a change that changes nothing makes the overlay hold them.
 */
static int open_share(int fd, int share_parent_fd, const char *name)
{
    const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_nsec = UTIME_NOW } };
    struct stat info;

    if (share_parent_fd < 0 || fstat(fd, &info) < 0 || futimens(fd, times) < 0)
        return -1;
    const struct timespec old[2] = { info.st_atim, info.st_mtim };
    if (futimens(fd, old) < 0)
        return -1;
    return openat(share_parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* What is new need not be made through the mount: all below it is new too. */
static int open_place(const struct place *parent, const char *name, struct place *out,
                      struct error *err)
{
    struct stat info;

    if (parent->share_fd >= 0 && fstatat(parent->fd, name, &info, AT_SYMLINK_NOFOLLOW) < 0 &&
        errno == ENOENT) {
        out->fd = out->share_fd = open_directory(parent->share_fd, name, err);
        return out->fd < 0 ? -1 : 0;
    }
    out->fd = open_directory(parent->fd, name, err);
    if (out->fd < 0)
        return -1;
    out->share_fd = parent->share_fd == parent->fd ? out->fd
                                                   : open_share(out->fd, parent->share_fd, name);
    return 0;
}

static int copy_children(const struct copy *copy, int from_fd, const char *path,
                         const struct place *to, int depth, struct error *err);

static int copy_directory(const struct copy *copy, int from_fd, const struct stat *info,
                          const char *path, const struct place *parent, const char *name, int depth,
                          struct error *err)
{
    CLEANUP(place_done) struct place to = { -1, -1 };

    if (open_place(parent, name, &to, err) < 0 ||
        copy_children(copy, from_fd, path, &to, depth + 1, err) < 0)
        return -1;
    return set_metadata(copy, from_fd, info, to.fd, err);
}

/* Is the entry left out? A directory may hold something that is not. */
static bool is_left_out(const struct copy *copy, const char *path, const struct stat *info)
{
    return source_is_excluded(copy->excludes, path) &&
           (!S_ISDIR(info->st_mode) || !dockerignore_has_exceptions(copy->excludes));
}

/* 'path' is relative to the source. */
static int copy_entry(const struct copy *copy, int from_parent_fd, const char *name,
                      const char *path, const struct place *parent, int depth, struct error *err)
{
    int parent_fd = parent->fd;
    CLEANUP(close) int from_fd = -1;
    struct stat info;

    if (fstatat(from_parent_fd, name, &info, AT_SYMLINK_NOFOLLOW) < 0)
        return error_sys(err, "stat %s", name);
    if (S_ISSOCK(info.st_mode) || is_left_out(copy, path, &info))
        return 0;
    if (!S_ISDIR(info.st_mode) && remove_old(parent_fd, name, err) < 0)
        return -1;
    if (S_ISLNK(info.st_mode))
        return copy_link(copy, from_parent_fd, name, &info, parent_fd, name, err);
    if (share_file(copy, from_parent_fd, name, &info, parent->share_fd, name)) {
        note_content(copy, &info, path);
        return 0;
    }
    if (link_again(copy, &info, path, parent_fd, name))
        return 0;
    if (!S_ISDIR(info.st_mode) && !S_ISREG(info.st_mode))
        return copy_node(copy, &info, parent_fd, name, err);

    from_fd = openat(from_parent_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (from_fd < 0)
        return error_sys(err, "open %s", name);
    return S_ISDIR(info.st_mode)
               ? copy_directory(copy, from_fd, &info, path, parent, name, depth, err)
               : copy_file(copy, from_fd, &info, parent_fd, name, err);
}

static int copy_children(const struct copy *copy, int from_fd, const char *path,
                         const struct place *to, int depth, struct error *err)
{
    CLEANUP(strv_done) struct strv names = {};

    if (depth >= SOURCE_DEPTH_LIMIT)
        return error_set(err, ERROR_INVALID, "directories are nested too deeply");
    if (directory_names(from_fd, &names, err) < 0)
        return -1;
    for (size_t i = 0; i < names.count; i++) {
        CLEANUP(free)
        char *below = *path ? path_join(path, names.items[i]) : xstrdup(names.items[i]);

        if (check_cancelled(copy->cancel_fd, err) < 0 ||
            copy_entry(copy, from_fd, names.items[i], below, to, depth, err) < 0)
            return -1;
    }
    return 0;
}

/* ---- the first level: paths ---- */

/* One directory of a path; 0755 and the owner only if it is new. */
static int make_one(const struct copy *copy, const char *path, struct error *err)
{
    struct error missing = {};
    int fd = path_open(copy->target_root_fd, path, O_RDONLY | O_DIRECTORY, 0, &missing);

    if (fd >= 0)
        return fd;
    fd = path_open(copy->target_root_fd, path, O_PATH, 0, NULL);
    if (fd >= 0) {
        close(fd);
        return error_set(err, ERROR_INVALID, "cannot copy to non-directory: %s", path);
    }
    fd = path_make_dir(copy->target_root_fd, path, 0755, err);
    if (fd < 0)
        return -1;
    close(fd);
    fd = path_open(copy->target_root_fd, path, O_RDONLY | O_DIRECTORY, 0, err);
    if (fd >= 0 && (fchown(fd, copy->uid, copy->gid) < 0 || fchmod(fd, 0755) < 0)) {
        error_sys(err, "create %s", path);
        close(fd);
        return -1;
    }
    return fd;
}

int copy_make_directory(const struct copy *copy, const char *path, struct error *err)
{
    CLEANUP(free) char *part = xstrdup(path);
    int fd = path_open(copy->target_root_fd, path, O_RDONLY | O_DIRECTORY, 0, NULL);

    if (fd >= 0)
        return fd;
    for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        fd = make_one(copy, part, err);
        if (fd < 0)
            return -1;
        close(fd);
        *slash = '/';
    }
    return make_one(copy, path, err);
}

/* Is there a directory, links followed? */
static bool is_directory_there(const struct copy *copy, const char *path)
{
    int fd = path_open(copy->target_root_fd, path, O_PATH | O_DIRECTORY, 0, NULL);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* The directory and the name in it that 'path' stands for, links at its end followed, also those
 * that lead nowhere yet. */
static int open_target(const struct copy *copy, const char *path, char **out_name,
                       struct error *err)
{
    CLEANUP(free) char *current = xstrdup(path);
    CLEANUP(free) char *target = xcalloc(1, LINK_SIZE_LIMIT + 1);

    for (int i = 0; i < LINK_COUNT_LIMIT; i++) {
        const char *name = path_base(current);
        CLEANUP(free) char *parent = xstrndup(current, (size_t)(name - current));
        int fd = copy_make_directory(copy, *parent ? parent : "/", err);

        if (fd < 0)
            return -1;

        ssize_t size = readlinkat(fd, name, target, LINK_SIZE_LIMIT);
        if (size < 0) {
            *out_name = xstrdup(name);
            return fd;
        }
        close(fd);
        target[size] = 0;

        char *next = target[0] == '/' ? xstrdup(target) : path_join(parent, target);
        free(current);
        current = next;
    }
    return error_set(err, ERROR_INVALID, "too many links: %s", path);
}

static int copy_top_file(const struct copy *copy, const struct source *source,
                         const struct stat *info, const char *target_path, struct error *err)
{
    CLEANUP(free) char *name = NULL;
    CLEANUP(close) int parent_fd = open_target(copy, target_path, &name, err);
    CLEANUP(close) int from_fd = -1;

    if (parent_fd < 0)
        return -1;
    if (is_directory_there(copy, target_path))
        return error_set(err, ERROR_INVALID, "cannot copy to directory: %s", target_path);
    if (remove_old(parent_fd, name, err) < 0)
        return -1;
    if (!S_ISREG(info->st_mode))
        return copy_node(copy, info, parent_fd, name, err);
    from_fd = path_open(copy->source_root_fd, source->path, O_RDONLY | O_NONBLOCK, 0, err);
    return from_fd < 0 ? -1 : copy_file(copy, from_fd, info, parent_fd, name, err);
}

/* 1: it was an archive and is unpacked; 0: it is none. */
static int unpack_source(const struct copy *copy, const struct source *source,
                         const char *target_path, struct error *err)
{
    const struct extract_options options = {
        .keeps_owners = true,
        .is_owner_given = copy->is_owner_given,
        .uid = copy->uid,
        .gid = copy->gid,
        .cancel_fd = copy->cancel_fd,
    };
    CLEANUP(close) int fd = -1, target_fd = -1;

    fd = path_open(copy->source_root_fd, source->path, O_RDONLY | O_NONBLOCK, 0, err);
    if (fd < 0)
        return -1;
    if (!extract_is_archive(fd))
        return 0;
    target_fd = copy_make_directory(copy, target_path, err);
    if (target_fd < 0)
        return -1;

    CLEANUP(stream_close) struct stream *archive = stream_from_fd(fd, false);
    return extract_archive(archive, target_fd, &options, err) < 0 ? -1 : 1;
}

/* A target that is reached through links is not looked for in the changes. */
static int open_top_share(const struct copy *copy, int fd, const char *path)
{
    CLEANUP(close)
    int root_fd = copy->share_root_fd >= 0 ? fcntl(copy->share_root_fd, F_DUPFD_CLOEXEC, 0) : -1;

    if (root_fd < 0)
        return -1;
    while (*path == '/')
        path++;
    if (!*path)
        return TAKE_FD(root_fd);
    /* Every part that is there already has to be held by the changes too. */
    int found_fd = open_share(fd, root_fd, ".");
    if (found_fd < 0)
        return -1;
    close(found_fd);
    struct open_how how = { .flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
                            .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS };
    return (int)syscall(SYS_openat2, root_fd, path, &how, sizeof(how));
}

/* A new directory stands for the source, so a mode in digits is its mode too; those in front of it
 * stay open, and so does one that was there. */
static int make_top_directory(const struct copy *copy, const char *path, struct error *err)
{
    bool has_mode = copy->mode_change && strchr("01234567", *copy->mode_change);
    bool is_new = has_mode && !is_directory_there(copy, path);
    int fd = copy_make_directory(copy, path, err);

    if (fd >= 0 && is_new && fchmod(fd, mode_apply(copy->mode_change, 0) & 0777) < 0) {
        error_sys(err, "create %s", path);
        close(fd);
        return -1;
    }
    return fd;
}

static int copy_top_directory(const struct copy *copy, const struct source *source,
                              const char *target_path, struct error *err)
{
    CLEANUP(close)
    int from_fd = path_open(copy->source_root_fd, *source->path ? source->path : ".",
                            O_RDONLY | O_DIRECTORY, 0, err);
    CLEANUP(place_done) struct place to = { -1, -1 };
    struct copy within = *copy;

    if (from_fd < 0)
        return -1;
    within.source_path = source->path;
    to.fd = make_top_directory(copy, target_path, err);
    if (to.fd < 0)
        return -1;
    to.share_fd = open_top_share(copy, to.fd, target_path);
    /* Files that are shared are other names of what a client has, not of one another. */
    if (to.share_fd >= 0)
        return copy_children(&within, from_fd, "", &to, 0, err);

    CLEANUP(copy_links_done) struct copy_links links = { .target_path = target_path };
    map_init_empty(&links.first, free);
    within.links = &links;
    return copy_children(&within, from_fd, "", &to, 0, err);
}

int copy_source(const struct copy *copy, const struct source *source, const char *target_path,
                bool is_directory, struct error *err)
{
    CLEANUP(close) int seen_fd = -1;
    struct stat info;

    if (source_itself_is_excluded(copy->excludes, source))
        return 0;
    if (source->is_directory)
        return copy_top_directory(copy, source, target_path, err);
    seen_fd = path_open(copy->source_root_fd, source->path, O_PATH, 0, err);
    if (seen_fd < 0)
        return -1;
    if (fstat(seen_fd, &info) < 0)
        return error_sys(err, "stat %s", source->path);
    if (copy->unpacks && S_ISREG(info.st_mode)) {
        int unpacked = unpack_source(copy, source, target_path, err);

        if (unpacked != 0)
            return MIN(unpacked, 0);
    }
    if (!is_directory && !is_directory_there(copy, target_path))
        return copy_top_file(copy, source, &info, target_path, err);

    CLEANUP(free) char *below = path_join(target_path, source->name);
    return copy_top_file(copy, source, &info, below, err);
}
