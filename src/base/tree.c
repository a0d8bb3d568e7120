/* Removing and measuring trees of any depth: no recursion, and only the upper levels keep their
 * descriptors. From below those the way back is "..", checked against where it should lead. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/memory.h"

#include "base/banned.h"

#define OPEN_LEVELS 48

struct level {
    DIR *dir; /* NULL: closed meanwhile */
    long place;
    dev_t device;
    ino_t inode;
    char *name; /* in the level above; the top one's is NULL */
};

struct descent {
    struct level *levels;
    size_t depth, capacity;
    bool keeps_place; /* entries that were read are there still, and not to be read again */
};

static struct level *deepest(struct descent *descent)
{
    return &descent->levels[descent->depth - 1];
}

static void descent_done(struct descent *descent)
{
    for (size_t i = 0; i < descent->depth; i++) {
        if (descent->levels[i].dir)
            closedir(descent->levels[i].dir);
        free(descent->levels[i].name);
    }
    free(descent->levels);
}
CLEANUP_VALUE(descent_done, struct descent)

/* Goes down into 'fd', which is taken. 'name' is copied. */
static int descend(struct descent *descent, int fd, const char *name, struct error *err)
{
    struct stat status;
    DIR *dir = fdopendir(fd);
    CLEANUP(free) char *copy = xstrdup(name); /* it lies in the level above, which may close */

    if (!dir || fstat(fd, &status) < 0) {
        error_sys(err, "read directory");
        if (dir)
            closedir(dir);
        else
            close(fd);
        return -1;
    }
    if (descent->depth >= OPEN_LEVELS) {
        struct level *above = deepest(descent);

        above->place = telldir(above->dir);
        closedir(TAKE(above->dir));
    }
    if (descent->depth == descent->capacity) {
        descent->capacity = descent->capacity ? descent->capacity * 2 : 16;
        descent->levels = xrealloc(descent->levels, descent->capacity, sizeof(struct level));
    }
    descent->levels[descent->depth++] = (struct level){ dir, 0, status.st_dev, status.st_ino,
                                                        TAKE(copy) };
    return 0;
}

/* Without a trace, if the directory is ours: its time of access is somebody's, and would have to be
 * written. */
static int open_unnoticed(int dir_fd, const char *name)
{
    const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    int fd = openat(dir_fd, name, flags | O_NOATIME);

    return fd < 0 && errno == EPERM ? openat(dir_fd, name, flags) : fd;
}

static int reopen(struct level *level, int below_fd, bool keeps_place, struct error *err)
{
    struct stat status;
    int fd = open_unnoticed(below_fd, "..");

    if (fd < 0 || fstat(fd, &status) < 0) {
        error_sys(err, "go back up");
        if (fd >= 0)
            close(fd);
        return -1;
    }
    if (status.st_dev != level->device || status.st_ino != level->inode) {
        close(fd);
        return error_set(err, ERROR_CONFLICT, "the directory was moved");
    }
    level->dir = fdopendir(fd);
    if (!level->dir) {
        close(fd);
        return error_sys(err, "read directory");
    }
    if (keeps_place)
        seekdir(level->dir, level->place);
    return 0;
}

/* Leaves the deepest level; its name is the caller's (NULL for the top). */
static int ascend(struct descent *descent, char **out_name, struct error *err)
{
    struct level *level = deepest(descent);
    int result = 0;

    descent->depth--;
    if (descent->depth && !deepest(descent)->dir)
        result = reopen(deepest(descent), dirfd(level->dir), descent->keeps_place, err);
    closedir(level->dir);
    *out_name = level->name;
    return result;
}

static bool is_dot(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* ---- removing ---- */

static int remove_entry(struct descent *descent, const char *name, struct error *err)
{
    struct level *level = deepest(descent);
    int dir_fd = dirfd(level->dir);
    struct stat status;

    if (unlinkat(dir_fd, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM && errno != EBUSY)
        return error_sys(err, "remove %s", name);
    int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return error_sys(err, "remove %s", name);
    if (fstat(fd, &status) < 0 || status.st_dev != level->device) {
        close(fd);
        return error_set(err, ERROR_CONFLICT, "remove %s: something is mounted there", name);
    }
    return descend(descent, fd, name, err);
}

static int remove_left(struct descent *descent, struct error *err)
{
    CLEANUP(free) char *name = NULL;

    if (ascend(descent, &name, err) < 0)
        return -1;
    if (name && unlinkat(dirfd(deepest(descent)->dir), name, AT_REMOVEDIR) < 0 && errno != ENOENT)
        return error_sys(err, "remove directory %s", name);
    return 0;
}

/* Removes what is in 'fd', which is taken. */
static int empty_directory(int fd, const atomic_bool *is_called_off, struct error *err)
{
    CLEANUP(descent_done) struct descent descent = {};
    int result = descend(&descent, fd, NULL, err);

    while (result == 0 && descent.depth) {
        struct dirent *entry = readdir(deepest(&descent)->dir);

        if (is_called_off && *is_called_off)
            result = error_set(err, ERROR_CANCELLED, "the removal was called off");
        else if (!entry)
            result = remove_left(&descent, err);
        else if (!is_dot(entry->d_name))
            result = remove_entry(&descent, entry->d_name, err);
    }
    return result;
}

static int remove_until(int dir_fd, const char *name, const atomic_bool *is_called_off,
                        struct error *err)
{
    if (unlinkat(dir_fd, name, 0) == 0 || errno == ENOENT || errno == ENOTDIR)
        return 0;
    int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return error_sys(err, "remove %s", name);
    if (empty_directory(fd, is_called_off, err) < 0)
        return error_context(err, "%s", name);
    if (unlinkat(dir_fd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
        return error_sys(err, "remove %s", name);
    return 0;
}

int tree_remove_at(int dir_fd, const char *name, struct error *err)
{
    return remove_until(dir_fd, name, NULL, err);
}

int tree_remove(const char *path, struct error *err)
{
    return remove_until(AT_FDCWD, path, NULL, err);
}

int tree_remove_until(const char *path, const atomic_bool *is_called_off, struct error *err)
{
    return remove_until(AT_FDCWD, path, is_called_off, err);
}

/* ---- measuring ---- */

/* Inodes with several names, so that each is counted once: open addressing, 0 is free. */
struct seen {
    ino_t *slots;
    size_t count, capacity;
};

static bool seen_add(struct seen *seen, ino_t inode)
{
    size_t at = seen->capacity ? (size_t)(inode * 11400714819323198485u) & (seen->capacity - 1) : 0;

    while (seen->capacity && seen->slots[at]) {
        if (seen->slots[at] == inode)
            return false;
        at = (at + 1) & (seen->capacity - 1);
    }
    if (seen->count * 2 < seen->capacity) {
        seen->slots[at] = inode;
        seen->count++;
        return true;
    }
    struct seen larger = { .capacity = seen->capacity ? seen->capacity * 2 : 64 };
    larger.slots = xcalloc(larger.capacity, sizeof(ino_t));
    for (size_t i = 0; i < seen->capacity; i++)
        if (seen->slots[i])
            seen_add(&larger, seen->slots[i]);
    free(seen->slots);
    *seen = larger;
    return seen_add(seen, inode);
}

enum { BLOCK_SIZE = 512 };

/* The text of a symbolic link counts, as in what Docker tells. */
static bool has_bytes(const struct stat *status)
{
    return S_ISREG(status->st_mode) || S_ISLNK(status->st_mode);
}

static int measure_entry(struct descent *descent, const char *name, struct seen *seen,
                         struct tree_usage *usage, struct error *err)
{
    int dir_fd = dirfd(deepest(descent)->dir);
    struct stat status;

    if (fstatat(dir_fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0 ||
        status.st_dev != deepest(descent)->device)
        return 0;
    bool is_directory = S_ISDIR(status.st_mode);
    if (is_directory || status.st_nlink == 1 || seen_add(seen, status.st_ino)) {
        usage->disk_bytes += status.st_blocks * BLOCK_SIZE;
        usage->size_bytes += has_bytes(&status) ? status.st_size : 0;
    }
    if (!is_directory)
        return 0;
    int fd = open_unnoticed(dir_fd, name);
    return fd < 0 ? 0 : descend(descent, fd, name, err);
}

static int measure_tree(int fd, const atomic_bool *is_called_off, struct tree_usage *usage,
                        struct error *err)
{
    CLEANUP(descent_done) struct descent descent = { .keeps_place = true };
    struct seen seen = {};
    int result = descend(&descent, fd, NULL, err);

    while (result == 0 && descent.depth) {
        struct dirent *entry = readdir(deepest(&descent)->dir);
        CLEANUP(free) char *name = NULL;

        if (is_called_off && *is_called_off)
            result = error_set(err, ERROR_CANCELLED, "the measurement was called off");
        else if (!entry)
            result = ascend(&descent, &name, err);
        else if (!is_dot(entry->d_name))
            result = measure_entry(&descent, entry->d_name, &seen, usage, err);
    }
    free(seen.slots);
    return result;
}

int tree_usage_until(const char *path, const atomic_bool *is_called_off, struct tree_usage *out,
                     struct error *err)
{
    struct tree_usage usage = {};
    struct stat status;

    if (lstat(path, &status) < 0)
        return error_sys(err, "look at %s", path);
    usage.disk_bytes = status.st_blocks * BLOCK_SIZE;
    if (S_ISDIR(status.st_mode)) {
        int fd = open_unnoticed(AT_FDCWD, path);

        if (fd < 0)
            return error_sys(err, "open %s", path);
        if (measure_tree(fd, is_called_off, &usage, err) < 0)
            return -1;
    } else if (has_bytes(&status)) {
        usage.size_bytes = status.st_size;
    }
    *out = usage;
    return 0;
}

int tree_usage(const char *path, struct tree_usage *out, struct error *err)
{
    return tree_usage_until(path, NULL, out, err);
}

int tree_size(const char *path, int64_t *out_bytes, struct error *err)
{
    struct tree_usage usage;

    if (tree_usage(path, &usage, err) < 0)
        return -1;
    *out_bytes = usage.size_bytes;
    return 0;
}
