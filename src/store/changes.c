/* What a writable directory changes: a walk over it, each entry compared with what lies below. A
 * directory is told as modified when something in it is, and before that. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "base/memory.h"
#include "base/str.h"
#include "linux/path.h"
#include "linux/tree.h"
#include "store/internal.h"
#include "store/whiteout.h"

#include "base/banned.h"

#define CAPABILITY_SIZE 64 /* larger than any value of security.capability */

/* A directory on the way to the current entry. */
struct level {
    bool is_told; /* that it changed */
    bool is_new;  /* nothing below it is below */
};

struct comparison {
    int init_fd, lower_fd; /* what lies below, the first over the second; -1: nothing */
    bool is_whole;         /* the directory is a whole tree, not changes only */
    store_change_visitor *visit;
    void *data;
    struct level *levels; /* [0]: the root, which is never told */
    size_t depth, capacity;
};

/* ---- what lies below ---- */

static int open_below(const struct comparison *comparison, const char *path, int flags)
{
    int fd = comparison->init_fd < 0 ? -1 : path_open(comparison->init_fd, path, flags, 0, NULL);

    return fd >= 0 ? fd : path_open(comparison->lower_fd, path, flags, 0, NULL);
}

/* Links on the way cannot be: only below directories that are directories there too is asked. */
static bool find_below(const struct comparison *comparison, const char *path, struct stat *out)
{
    CLEANUP(close) int fd = open_below(comparison, path, O_PATH | O_NOFOLLOW);

    return fd >= 0 && fstat(fd, out) == 0;
}

static ssize_t read_capability(int fd, char out[CAPABILITY_SIZE])
{
    return fd < 0 ? -1 : fgetxattr(fd, "security.capability", out, CAPABILITY_SIZE);
}

static bool has_same_capability(const struct comparison *comparison, const struct tree_entry *entry)
{
    const int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
    CLEANUP(close) int old_fd = open_below(comparison, entry->path, flags);
    CLEANUP(close) int new_fd = openat(entry->dir_fd, entry->name, flags | O_CLOEXEC);
    char old[CAPABILITY_SIZE], new[CAPABILITY_SIZE];
    ssize_t old_size = read_capability(old_fd, old), new_size = read_capability(new_fd, new);

    return old_size == new_size && (old_size <= 0 || memcmp(old, new, (size_t)old_size) == 0);
}

/* Times without a fraction may have lost it on the way through an archive. */
static bool is_same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && (a->tv_nsec == b->tv_nsec || !a->tv_nsec || !b->tv_nsec);
}

static bool is_same(const struct comparison *comparison, const struct tree_entry *entry,
                    const struct stat *old)
{
    const struct stat *new = &entry->status;

    if (old->st_mode != new->st_mode || old->st_uid != new->st_uid || old->st_gid != new->st_gid ||
        old->st_rdev != new->st_rdev)
        return false;
    if (!S_ISDIR(new->st_mode) &&
        (old->st_size != new->st_size || !is_same_time(&old->st_mtim, &new->st_mtim)))
        return false;
    return !S_ISREG(new->st_mode) || has_same_capability(comparison, entry);
}

/* ---- telling ---- */

/* The directories above that are not told yet, then the entry. */
static int tell(struct comparison *comparison, const char *path, enum store_change kind,
                struct error *err)
{
    CLEANUP(str_done) struct str parent = {};
    const char *rest = path;

    for (size_t i = 1; i < comparison->depth; i++) {
        size_t length = strcspn(rest, "/");

        str_add_char(&parent, '/');
        str_add_bytes(&parent, rest, length);
        rest += length + (rest[length] == '/');
        if (comparison->levels[i].is_told)
            continue;
        comparison->levels[i].is_told = true;
        if (comparison->visit(comparison->data, str_text(&parent), CHANGE_MODIFIED, err) < 0)
            return -1;
    }
    CLEANUP(free) char *rooted = xasprintf("/%s", path);
    return comparison->visit(comparison->data, rooted, kind, err);
}

static void push(struct comparison *comparison, bool is_told, bool is_new)
{
    if (comparison->depth == comparison->capacity) {
        comparison->capacity = comparison->capacity ? comparison->capacity * 2 : 16;
        comparison->levels = xrealloc(comparison->levels, comparison->capacity,
                                      sizeof(*comparison->levels));
    }
    comparison->levels[comparison->depth++] = (struct level){ is_told, is_new };
}

/* Names that lie below a directory and are not in it. */
static int tell_missing(struct comparison *comparison, int dir_fd, const char *path,
                        struct error *err)
{
    const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
    int fd = path_open(comparison->lower_fd, path, flags, 0, NULL);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;
    struct stat status;
    int result = 0;

    if (!dir && fd >= 0)
        close(fd);
    while (dir && result == 0 && (entry = readdir(dir))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            fstatat(dir_fd, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT)
            continue;
        CLEANUP(free) char *missing = xasprintf("%s%s%s", path, *path ? "/" : "", entry->d_name);
        result = tell(comparison, missing, CHANGE_DELETED, err);
    }
    if (dir)
        closedir(dir);
    return result;
}

/* In a directory of changes alone only what hides all that is below leaves names out. */
static int tell_all_missing(struct comparison *comparison, int dir_fd, const char *path,
                            struct error *err)
{
    if (!comparison->is_whole && !opaque_is(dir_fd))
        return 0;
    return tell_missing(comparison, dir_fd, path, err);
}

static int enter_directory(struct comparison *comparison, const struct tree_entry *entry,
                           bool is_told, bool is_new, struct error *err)
{
    push(comparison, is_told, is_new);
    if (is_new)
        return 0;
    CLEANUP(close)
    int fd = openat(entry->dir_fd, entry->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : error_sys(err, "open %s", entry->path);
    return tell_all_missing(comparison, fd, entry->path, err);
}

static int enter(void *data, const struct tree_entry *entry, struct error *err)
{
    struct comparison *comparison = data;
    bool is_directory = S_ISDIR(entry->status.st_mode), is_told = true;
    bool is_in_new = comparison->levels[comparison->depth - 1].is_new;
    struct stat old;
    bool was_there = !is_in_new && find_below(comparison, entry->path, &old);

    if (!comparison->is_whole && whiteout_is_device(&entry->status))
        return was_there && tell(comparison, entry->path, CHANGE_DELETED, err) < 0 ? -1 : 1;
    if (!was_there) {
        if (tell(comparison, entry->path, CHANGE_ADDED, err) < 0)
            return -1;
    } else if (!is_same(comparison, entry, &old)) {
        if (tell(comparison, entry->path, CHANGE_MODIFIED, err) < 0)
            return -1;
    } else {
        is_told = false;
    }
    if (!is_directory)
        return 0;
    return enter_directory(comparison, entry, is_told, !was_there || !S_ISDIR(old.st_mode), err);
}

static int leave(void *data, const struct tree_entry *entry UNUSED, struct error *err UNUSED)
{
    ((struct comparison *)data)->depth--;
    return 0;
}

int store_changes(struct store *store, const char *chain_id, const struct writable *writable,
                  store_change_visitor *visit, void *data, struct error *err)
{
    static const struct tree_visitor visitor = { enter, leave };
    CLEANUP(close) int lower_fd = -1, init_fd = -1;
    CLEANUP(close) int fd = open(writable->diff_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return error_sys(err, "open %s", writable->diff_path);
    if (store_mount(store, chain_id, NULL, &lower_fd, err) < 0)
        return -1;
    if (writable->init_path) {
        init_fd = open(writable->init_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (init_fd < 0)
            return error_sys(err, "open %s", writable->init_path);
    }
    struct comparison comparison = { .init_fd = init_fd,
                                     .lower_fd = lower_fd,
                                     .is_whole = store->driver->marks_by_name,
                                     .visit = visit,
                                     .data = data };
    push(&comparison, true, false);
    int result = tell_all_missing(&comparison, fd, "", err);
    if (result == 0)
        result = tree_walk(fd, &visitor, &comparison, err);
    free(comparison.levels);
    return result;
}
