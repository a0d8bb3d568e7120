/* Files of the engine's own. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/memory.h"
#include "base/strv.h"

#include "base/banned.h"

char *path_join(const char *a, const char *b)
{
    size_t length = strlen(a);

    while (length > 1 && a[length - 1] == '/')
        length--;
    while (*b == '/')
        b++;
    if (length == 1 && a[0] == '/')
        length = 0;
    return xasprintf("%.*s/%s", (int)length, a, b);
}

char *path_clean(const char *path)
{
    CLEANUP(strv_done) struct strv parts = {}, kept = {};

    strv_split(&parts, path, '/');
    for (size_t i = 0; i < parts.count; i++) {
        const char *part = parts.items[i];

        if (!*part || strcmp(part, ".") == 0)
            continue;
        bool can_go_up = kept.count && strcmp(kept.items[kept.count - 1], "..") != 0;
        if (strcmp(part, "..") != 0 || (!can_go_up && path[0] != '/'))
            strv_add(&kept, part);
        else if (can_go_up)
            strv_remove(&kept, kept.count - 1);
    }
    CLEANUP(free) char *joined = strv_join(&kept, "/");
    if (path[0] == '/')
        return xasprintf("/%s", joined);
    return xstrdup(*joined ? joined : ".");
}

char *path_absolute(const char *path)
{
    if (path[0] == '/')
        return path_clean(path);
    CLEANUP(free) char *here = getcwd(NULL, 0);
    CLEANUP(free) char *whole = path_join(here ? here : "/", path);
    return path_clean(whole);
}

const char *path_base(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

int file_read_fd(int fd, size_t limit, struct str *out, struct error *err)
{
    for (;;) {
        str_reserve(out, 4096);
        ssize_t count = read(fd, out->data + out->length, out->capacity - out->length - 1);

        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return error_sys(err, "read");
        if (count == 0)
            return 0;
        out->length += (size_t)count;
        out->data[out->length] = 0;
        if (out->length > limit)
            return error_set(err, ERROR_INVALID, "larger than %zu bytes", limit);
    }
}

int file_read(const char *path, size_t limit, struct str *out, struct error *err)
{
    CLEANUP(close) int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0) {
        error_sys(err, "open %s", path);
        if (err && (errno == ENOENT || errno == ENOTDIR))
            err->kind = ERROR_NOT_FOUND;
        return -1;
    }
    if (file_read_fd(fd, limit, out, err) < 0)
        return error_context(err, "%s", path);
    return 0;
}

int fd_write_all(int fd, const void *data, size_t size, struct error *err)
{
    const char *at = data;

    while (size) {
        ssize_t count = write(fd, at, size);

        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return error_sys(err, "write");
        at += count;
        size -= (size_t)count;
    }
    return 0;
}

bool fd_is_readable(int fd)
{
    struct pollfd polled = { .fd = fd, .events = POLLIN };

    return fd >= 0 && poll(&polled, 1, 0) > 0;
}

ssize_t fd_read_full(int fd, void *data, size_t size, struct error *err)
{
    size_t filled = 0;

    while (filled < size) {
        ssize_t count = read(fd, (char *)data + filled, size - filled);

        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return error_sys(err, "read");
        if (count == 0)
            break;
        filled += (size_t)count;
    }
    return (ssize_t)filled;
}

int parent_sync(const char *path, struct error *err)
{
    CLEANUP(free) char *parent = xstrndup(path, (size_t)(path_base(path) - path));
    CLEANUP(close) int fd = open(*parent ? parent : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 || fsync(fd) < 0)
        return error_sys(err, "sync the directory of %s", path);
    return 0;
}

int file_write_atomic(const char *path, const void *data, size_t size, mode_t mode, bool sync,
                      struct error *err)
{
    CLEANUP(free) char *temporary = xasprintf("%s.new", path);
    CLEANUP(close)
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);

    if (fd < 0)
        return error_sys(err, "create %s", temporary);
    if (fchmod(fd, mode) < 0 || fd_write_all(fd, data, size, err) < 0 || (sync && fsync(fd) < 0) ||
        rename(temporary, path) < 0) {
        error_sys(err, "write %s", path);
        unlink(temporary);
        return -1;
    }
    return sync ? parent_sync(path, err) : 0;
}

int file_write_existing(const char *path, const char *text, struct error *err)
{
    CLEANUP(close) int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        return error_sys(err, "open %s", path);
    if (write(fd, text, strlen(text)) < 0)
        return error_sys(err, "write \"%s\" to %s", text, path);
    return 0;
}

bool file_exists(const char *path)
{
    return faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* A directory that is there is fine; anything else of that name is not. */
static int make_one(const char *path, mode_t mode)
{
    struct stat status;

    if (mkdir(path, mode) == 0)
        return 0;
    if (errno == EEXIST && (stat(path, &status) < 0 || !S_ISDIR(status.st_mode)))
        errno = ENOTDIR;
    return errno == EEXIST ? 0 : -1;
}

int dir_make(const char *path, mode_t mode, struct error *err)
{
    CLEANUP(free) char *partial = xstrdup(path);

    if (make_one(path, mode) == 0)
        return 0;
    for (char *slash = strchr(partial + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        if (make_one(partial, mode) < 0)
            return error_sys(err, "make directory %s", partial);
        *slash = '/';
    }
    if (make_one(path, mode) < 0)
        return error_sys(err, "make directory %s", path);
    return 0;
}
