/* A short list of open directories, and the times that wait for the end. */
#include "store/unpack_dirs.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/memory.h"
#include "linux/path.h"
#include "linux/tree.h"
#include "store/whiteout.h"

#include "base/banned.h"

void unpack_dirs_add(struct unpack_dirs *dirs, const char *path, int fd)
{
    if (dirs->open_count == OPEN_DIRECTORY_LIMIT) {
        dirs->open_count--;
        close(dirs->open[dirs->open_count].fd);
        free(dirs->open[dirs->open_count].path);
    }
    memmove(dirs->open + 1, dirs->open, dirs->open_count * sizeof(dirs->open[0]));
    dirs->open[0].path = xstrdup(path);
    dirs->open[0].fd = fd;
    dirs->open_count++;
}

void unpack_dirs_forget(struct unpack_dirs *dirs)
{
    for (size_t i = 0; i < dirs->open_count; i++) {
        close(dirs->open[i].fd);
        free(dirs->open[i].path);
    }
    dirs->open_count = 0;
}

static int find_open(struct unpack_dirs *dirs, const char *path)
{
    for (size_t i = 0; i < dirs->open_count; i++) {
        __typeof__(dirs->open[0]) found = dirs->open[i];

        if (strcmp(found.path, path) != 0)
            continue;
        memmove(dirs->open + 1, dirs->open, i * sizeof(dirs->open[0]));
        dirs->open[0] = found;
        return found.fd;
    }
    return -1;
}

static void apply_mtimes(struct unpack_dirs *dirs)
{
    for (size_t i = 0; i < dirs->timed.count; i++) {
        struct timespec times[] = { dirs->mtimes[i], dirs->mtimes[i] };
        CLEANUP(close)
        int fd = path_open(dirs->options->root_fd, dirs->timed.items[i],
                           O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, NULL);

        if (fd >= 0) /* Otherwise something else took its place later. */
            futimens(fd, times);
    }
    strv_done(&dirs->timed);
    dirs->timed = (struct strv){};
}

/* A directory that the archive needs but did not describe looks as it does in the layers below. */
static int copy_from_below(struct unpack_dirs *dirs, const struct strv *lower, const char *path,
                           struct error *err)
{
    CLEANUP(close)
    int fd = path_open(dirs->options->root_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, NULL);
    struct stat status;

    for (size_t i = 0; fd >= 0 && i < lower->count; i++) {
        CLEANUP(close)
        int root_fd = open(lower->items[i], O_PATH | O_DIRECTORY | O_CLOEXEC);
        CLEANUP(close)
        int below_fd = root_fd < 0
                           ? -1
                           : path_open(root_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, NULL);

        if (below_fd < 0)
            continue;
        if (fstat(below_fd, &status) < 0)
            return error_sys(err, "%s", path);
        unpack_dirs_set_mtime(dirs, path, status.st_mtim);
        return tree_copy_attributes(below_fd, fd, layer_keeps_xattr, err);
    }
    return 0;
}

static int dress_bare(struct unpack_dirs *dirs, struct error *err)
{
    CLEANUP(strv_done) struct strv lower = {};
    int result = 0;

    if (dirs->bare.count && dirs->options->lower)
        result = dirs->options->lower(dirs->options->data, &lower, err);
    MAP_EACH (&dirs->bare, entry)
        if (result == 0 && !entry->value)
            result = copy_from_below(dirs, &lower, entry->key, err);
    map_done(&dirs->bare);
    dirs->bare = (struct map){};
    return result;
}

static int add_bare(struct unpack_dirs *dirs, const char *path, struct error *err)
{
    /* Early is better than keeping a hostile number of names. */
    if (dirs->bare.count >= BARE_COUNT_LIMIT && dress_bare(dirs, err) < 0)
        return -1;
    map_set(&dirs->bare, path, NULL);
    unpack_dirs_set_mtime(dirs, path, (struct timespec){});
    return 0;
}

void unpack_dirs_described(struct unpack_dirs *dirs, const char *path)
{
    if (map_has(&dirs->bare, path))
        map_set(&dirs->bare, path, dirs);
}

/* Makes 'name', which is not a directory that could be opened. */
static int make_directory(struct unpack_dirs *dirs, int parent_fd, const char *path,
                          const char *name, struct error *err)
{
    struct stat status;
    bool was_hidden = false;

    if (fstatat(parent_fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0) {
        was_hidden = whiteout_is_device(&status);
        if (!was_hidden)
            return error_set(err, ERROR_INVALID, "%s: not a directory", path);
        unlinkat(parent_fd, name, 0);
    }
    if (mkdirat(parent_fd, name, 0755) < 0)
        return error_sys(err, "make directory %s", path);
    CLEANUP(close)
    int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fchmod(fd, 0755) < 0)
        return error_sys(err, "open %s", path);
    if (was_hidden && opaque_make(dirs->options->marks_by_name, fd, err) < 0)
        return -1;
    return add_bare(dirs, path, err) < 0 ? -1 : TAKE_FD(fd);
}

/* Opens what is there of 'path' and makes the rest, component by component. */
static int make_way(struct unpack_dirs *dirs, const char *path, struct error *err)
{
    CLEANUP(close) int fd = openat(dirs->options->root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const char *at = path;

    while (fd >= 0 && *at) {
        size_t length = strcspn(at, "/");
        CLEANUP(free) char *name = xstrndup(at, length);
        CLEANUP(free) char *prefix = xstrndup(path, (size_t)(at - path) + length);
        struct error why = {};
        int next = path_open(dirs->options->root_fd, prefix, O_RDONLY | O_DIRECTORY, 0, &why);

        if (next < 0 && why.kind == ERROR_NOT_FOUND)
            next = make_directory(dirs, fd, prefix, name, err);
        else if (next < 0)
            error_set(err, ERROR_INVALID, "%s", why.text);
        if (next < 0)
            return -1;
        close(fd);
        fd = next;
        at += length + (at[length] == '/');
    }
    return fd < 0 ? error_sys(err, "open %s", path) : TAKE_FD(fd);
}

int unpack_dirs_open(struct unpack_dirs *dirs, const char *path, bool make, struct error *err)
{
    struct error why = {};
    int fd = find_open(dirs, path);

    if (fd >= 0)
        return fd;
    fd = path_open(dirs->options->root_fd, path, O_RDONLY | O_DIRECTORY, 0, &why);
    if (fd < 0 && make && why.kind == ERROR_NOT_FOUND)
        fd = make_way(dirs, path, err);
    else if (fd < 0)
        return error_set(err,
                         why.sys == EMFILE || why.sys == ENFILE ? ERROR_INTERNAL : ERROR_INVALID,
                         "%s", why.text);
    if (fd >= 0)
        unpack_dirs_add(dirs, path, fd);
    return fd;
}

void unpack_dirs_set_mtime(struct unpack_dirs *dirs, const char *path, struct timespec mtime)
{
    if (dirs->timed.count >= TIME_COUNT_LIMIT)
        apply_mtimes(dirs); /* Early is better than keeping a hostile number of names. */
    if (dirs->timed.count == dirs->mtime_capacity) {
        dirs->mtime_capacity = dirs->mtime_capacity ? dirs->mtime_capacity * 2 : 64;
        dirs->mtimes = xrealloc(dirs->mtimes, dirs->mtime_capacity, sizeof(*dirs->mtimes));
    }
    dirs->mtimes[dirs->timed.count] = mtime;
    strv_add(&dirs->timed, path);
}

int unpack_dirs_settle(struct unpack_dirs *dirs, struct error *err)
{
    if (dress_bare(dirs, err) < 0)
        return -1;
    apply_mtimes(dirs);
    return 0;
}

void unpack_dirs_done(struct unpack_dirs *dirs)
{
    unpack_dirs_forget(dirs);
    strv_done(&dirs->timed);
    map_done(&dirs->bare);
    free(dirs->mtimes);
}
