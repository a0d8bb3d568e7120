/* Every look-up stays in the tree. */
#include "build/context_tree.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/memory.h"
#include "linux/path.h"

#include "base/banned.h"

void context_place_done(struct context_place *place)
{
    if (place->fd >= 0)
        close(place->fd);
    free(place->path);
}

static int context_place_open(struct context_place *place, const char *path, const char **out_name,
                              struct error *err)
{
    const char *name = path_base(path);
    CLEANUP(free) char *directory = xstrndup(path, (size_t)(name - path));

    *out_name = name;
    if (place->path && strcmp(place->path, directory) == 0)
        return place->fd;
    if (place->fd >= 0)
        close(TAKE_FD(place->fd));
    free(TAKE(place->path));
    place->fd = path_open(place->root_fd, *directory ? directory : ".", O_PATH | O_DIRECTORY, 0,
                          err);
    if (place->fd >= 0)
        place->path = TAKE(directory);
    return place->fd;
}

int context_remove_entry(struct context_place *place, const struct context_entry *entry,
                         struct error *err)
{
    const char *name;
    int fd = context_place_open(place, entry->path, &name, err);

    if (fd < 0)
        return -1;
    if (unlinkat(fd, name, entry->type == CONTEXT_DIRECTORY ? AT_REMOVEDIR : 0) < 0 &&
        errno != ENOENT)
        return error_sys(err, "remove %s", entry->path);
    return 0;
}

int context_make_link(struct context_place *place, const struct context_entry *entry,
                      struct error *err)
{
    const struct timespec times[2] = { { entry->modified_s, 0 }, { entry->modified_s, 0 } };
    const char *name;
    int fd = context_place_open(place, entry->path, &name, err);

    if (fd < 0)
        return -1;
    if (symlinkat(entry->target, fd, name) < 0 ||
        utimensat(fd, name, times, AT_SYMLINK_NOFOLLOW) < 0)
        return error_sys(err, "create link %s", entry->path);
    return 0;
}

int context_make_directory(struct context_place *place, const struct context_entry *entry,
                           struct error *err)
{
    const char *name;
    int fd = context_place_open(place, entry->path, &name, err);

    if (fd < 0)
        return -1;
    if (mkdirat(fd, name, 0755) < 0 && errno != EEXIST)
        return error_sys(err, "create directory %s", entry->path);
    return 0;
}

bool context_link_file(struct context_place *from, struct context_place *to,
                       const struct context_entry *entry)
{
    const char *name;
    int from_fd = context_place_open(from, entry->path, &name, NULL);
    int to_fd = context_place_open(to, entry->path, &name, NULL);

    return from_fd >= 0 && to_fd >= 0 && linkat(from_fd, name, to_fd, name, 0) == 0;
}

int context_receive_file(struct context_place *place, const struct context_entry *entry,
                         struct stream *content, char *block, struct error *err)
{
    const struct timespec times[2] = { { entry->modified_s, 0 }, { entry->modified_s, 0 } };
    CLEANUP(close) int fd = -1;
    const char *name;
    int place_fd = context_place_open(place, entry->path, &name, err);

    if (place_fd < 0)
        return -1;
    fd = openat(place_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_sys(err, "create %s", entry->path);
    for (int64_t left = entry->size; left > 0;) {
        ssize_t count = stream_read(content, block, MIN((size_t)left, CONTEXT_BLOCK_SIZE), err);

        if (count == 0)
            return error_set(err, ERROR_INVALID, "the content of %s ends early", entry->path);
        if (count < 0 || fd_write_all(fd, block, (size_t)count, err) < 0)
            return -1;
        left -= count;
    }
    if (fchmod(fd, entry->mode) < 0 || futimens(fd, times) < 0)
        return error_sys(err, "set mode of %s", entry->path);
    return 0;
}

/* The innermost first. */
int context_settle_directories(int tree_fd, const struct context_manifest *manifest,
                               struct error *err)
{
    for (size_t i = manifest->count; i-- > 0;) {
        const struct context_entry *entry = &manifest->entries[i];
        const struct timespec times[2] = { { entry->modified_s, 0 }, { entry->modified_s, 0 } };

        if (entry->type != CONTEXT_DIRECTORY)
            continue;
        CLEANUP(close)
        int fd = path_open(tree_fd, entry->path, O_RDONLY | O_DIRECTORY, 0, err);
        if (fd < 0)
            return -1;
        if (fchmod(fd, entry->mode) < 0 || futimens(fd, times) < 0)
            return error_sys(err, "set mode of %s", entry->path);
    }
    return 0;
}
