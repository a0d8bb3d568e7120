/* An empty volume gets what the image has at its place. While that goes on, the record says so:
 * what a crash leaves half filled is emptied when the volumes are opened. */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/strv.h"
#include "linux/path.h"
#include "linux/tree.h"
#include "linux/tree_sync.h"
#include "volume/internal.h"

#include "base/banned.h"

static int list_entries(int fd, struct strv *out, struct error *err)
{
    int own_fd = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = own_fd < 0 ? NULL : fdopendir(own_fd);
    struct dirent *entry;

    if (!dir) {
        if (own_fd >= 0)
            close(own_fd);
        return error_sys(err, "read directory");
    }
    while ((entry = readdir(dir)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            strv_add(out, entry->d_name);
    closedir(dir);
    return 0;
}

static bool is_empty(int fd)
{
    CLEANUP(strv_done) struct strv names = {};

    return list_entries(fd, &names, NULL) == 0 && names.count == 0;
}

static void empty(int fd)
{
    CLEANUP(strv_done) struct strv names = {};

    if (list_entries(fd, &names, NULL) == 0)
        for (size_t i = 0; i < names.count; i++)
            tree_remove_at(fd, names.items[i], NULL);
}

/* The image's directory; *out_fd is -1 if there is none. */
static int open_source(int root_fd, const char *path, int *out_fd, struct error *err)
{
    struct error why = {};
    struct stat status;
    CLEANUP(close) int fd = path_open(root_fd, path, O_PATH, 0, &why);

    *out_fd = -1;
    if (fd < 0 && why.kind == ERROR_NOT_FOUND)
        return 0;
    if (fd < 0 || fstat(fd, &status) < 0)
        return error_set(err, why.kind, "%s", why.text);
    if (!S_ISDIR(status.st_mode))
        return error_set(err, ERROR_INVALID, "source %s is not directory", path);
    *out_fd = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *out_fd < 0 ? error_sys(err, "open %s", path) : 0;
}

static int fill(struct volumes *volumes, const struct volume *volume, int from_fd, int to_fd,
                struct error *err)
{
    if (is_empty(from_fd)) /* Nothing can be half done. */
        return tree_copy_attributes(from_fd, to_fd, NULL, err);
    /* A mount's content is not this engine's alone: nothing of it may be emptied behind a crash. */
    bool is_ours = !volume_is_mount(volume);
    if (is_ours && volume_set_state(volumes, volume->name, VOLUME_FILLING, err) < 0)
        return -1;
    int result = tree_copy(from_fd, to_fd, NULL, err);
    if (result == 0)
        result = tree_copy_attributes(from_fd, to_fd, NULL, err);
    if (result == 0 && is_ours && tree_sync(to_fd, err) < 0)
        result = error_context(err, "%s", volume->mountpoint);
    if (result < 0)
        empty(to_fd);
    if (is_ours &&
        volume_set_state(volumes, volume->name, VOLUME_READY, result < 0 ? NULL : err) < 0)
        return -1;
    return result;
}

/* *out_fd is -1 if there is no such directory in the volume. */
static int open_target(const struct volume *volume, const char *subpath, int *out_fd,
                       struct error *err)
{
    struct error why = {};
    CLEANUP(close)
    int fd = open(volume->mountpoint, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0)
        return error_sys(err, "open %s", volume->mountpoint);
    *out_fd = subpath ? path_open(fd, subpath, O_RDONLY | O_DIRECTORY, 0, &why) : TAKE_FD(fd);
    if (*out_fd < 0 && why.kind != ERROR_NOT_FOUND)
        return error_set(err, why.kind, "%s", why.text);
    return 0;
}

int volume_copy_up(struct volume *volume, const char *subpath, int root_fd, const char *path,
                   struct error *err)
{
    struct known_volume *known = CONTAINER_OF(volume, struct known_volume, volume);
    CLEANUP(close) int from_fd = -1;
    CLEANUP(close) int to_fd = -1;
    int result = 0;

    if (open_target(volume, subpath, &to_fd, err) < 0)
        return -1;
    if (to_fd < 0)
        return 0;
    if (!is_empty(to_fd))
        return 0;
    if (open_source(root_fd, path, &from_fd, err) < 0)
        return -1;
    if (from_fd < 0)
        return 0;
    mutex_lock(&known->filling);
    if (is_empty(to_fd))
        result = fill(known->volumes, volume, from_fd, to_fd, err);
    mutex_unlock(&known->filling);
    return result;
}
