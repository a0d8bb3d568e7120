/* openat2 with RESOLVE_IN_ROOT: the kernel keeps the look-up inside, whatever the tree's owner does
 * to it meanwhile. */
#include "linux/path.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#include "base/memory.h"
#include "base/str.h"
#include "base/strv.h"

#include "base/banned.h"

enum {
    LINK_LIMIT = 40,    /* dangling links that are completed on the way to one directory */
    RACE_RETRIES = 128, /* EAGAIN: somebody renames directories while ".." is looked up */
    PROC_ROOT_INODE = 1,
};

static int open_resolved(int dir_fd, const char *path, int flags, mode_t mode, uint64_t resolve)
{
    struct open_how how = { .flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
                            .mode = flags & O_CREAT ? mode : 0,
                            .resolve = resolve };
    int fd = -1;

    for (int i = 0; i < RACE_RETRIES; i++) {
        fd = (int)syscall(SYS_openat2, dir_fd, path, &how, sizeof(how));
        if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
            break;
    }
    return fd;
}

static int open_in_root(int root_fd, const char *path, int flags, mode_t mode)
{
    return open_resolved(root_fd, *path ? path : "/", flags, mode,
                         RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
}

static int fail(struct error *err, const char *what, const char *path)
{
    int number = errno;

    error_sys(err, "%s %s", what, path);
    if (err && (number == ENOENT || number == ENOTDIR))
        err->kind = ERROR_NOT_FOUND;
    else if (err && (number == EACCES || number == EPERM || number == ELOOP))
        err->kind = ERROR_FORBIDDEN;
    else if (err && number == EEXIST)
        err->kind = ERROR_CONFLICT;
    return -1;
}

int path_open(int root_fd, const char *path, int flags, mode_t mode, struct error *err)
{
    int fd = open_in_root(root_fd, path, flags, mode);

    return fd >= 0 ? fd : fail(err, "open", path);
}

static char *read_link_at(int dir_fd, const char *name)
{
    char target[PATH_MAX];
    ssize_t length = readlinkat(dir_fd, name, target, sizeof(target) - 1);

    return length < 0 ? NULL : xstrndup(target, (size_t)length);
}

/* What is left of the way when 'parts' up to 'index' turned out to be a link to 'target'. */
static char *redirected(const struct strv *parts, size_t index, const char *target)
{
    CLEANUP(str_done) struct str path = {};

    for (size_t i = 0; target[0] != '/' && i < index; i++)
        str_add_format(&path, "/%s", parts->items[i]);
    str_add_format(&path, "/%s", target);
    for (size_t i = index + 1; i < parts->count; i++)
        str_add_format(&path, "/%s", parts->items[i]);
    return str_take(&path);
}

/* Makes one missing component. Gives its descriptor; -1 with *out_link set when there is a link
 * (to nowhere, else it would have been found) of that name. */
static int make_component(int parent_fd, const char *name, mode_t mode, char **out_link)
{
    if (mkdirat(parent_fd, name, mode) < 0 && errno != EEXIST)
        return -1;
    int fd = openat(parent_fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        int number = errno;

        *out_link = read_link_at(parent_fd, name);
        errno = number;
    }
    return fd;
}

static int make_dir(int root_fd, const char *path, mode_t mode, int links_left)
{
    CLEANUP(strv_done) struct strv parts = {};
    CLEANUP(str_done) struct str prefix = {};
    CLEANUP(close) int current_fd = open_in_root(root_fd, "/", O_PATH | O_DIRECTORY, 0);

    strv_split(&parts, path, '/');
    for (size_t i = 0; current_fd >= 0 && i < parts.count; i++) {
        CLEANUP(free) char *link = NULL;

        if (!*parts.items[i])
            continue;
        str_add_format(&prefix, "/%s", parts.items[i]);
        int fd = open_in_root(root_fd, str_text(&prefix), O_PATH | O_DIRECTORY, 0);
        if (fd < 0 && errno == ENOENT)
            fd = make_component(current_fd, parts.items[i], mode, &link);
        if (fd < 0 && link) {
            CLEANUP(free) char *rest = redirected(&parts, i, link);

            if (links_left > 0)
                return make_dir(root_fd, rest, mode, links_left - 1);
            errno = ELOOP;
        }
        if (fd < 0)
            return -1;
        close(current_fd);
        current_fd = fd;
    }
    return TAKE_FD(current_fd);
}

int path_make_dir(int root_fd, const char *path, mode_t mode, struct error *err)
{
    int fd = open_in_root(root_fd, path, O_PATH | O_DIRECTORY, 0);

    if (fd < 0 && errno == ENOENT)
        fd = make_dir(root_fd, path, mode, LINK_LIMIT);
    return fd >= 0 ? fd : fail(err, "mkdir", path);
}

int path_open_parent(int root_fd, const char *path, int make, const char **out_name,
                     struct error *err)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    CLEANUP(free) char *parent = xasprintf("/%.*s", slash ? (int)(slash - path) : 0, path);

    if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return error_set(err, ERROR_INVALID, "%s: names no file", path);
    int fd = make ? path_make_dir(root_fd, parent, 0755, err)
                  : path_open(root_fd, parent, O_PATH | O_DIRECTORY, 0, err);
    if (fd >= 0)
        *out_name = name;
    return fd;
}

int path_make_file(int root_fd, const char *path, mode_t mode, struct error *err)
{
    int fd = open_in_root(root_fd, path, O_PATH, 0);

    if (fd >= 0 || errno != ENOENT)
        return fd >= 0 ? fd : fail(err, "open", path);
    const char *name;
    CLEANUP(close) int parent_fd = path_open_parent(root_fd, path, 1, &name, err);
    if (parent_fd < 0)
        return -1;
    CLEANUP(close)
    int file_fd = open_in_root(root_fd, path, O_WRONLY | O_CREAT | O_NOCTTY | O_NONBLOCK, mode);
    if (file_fd < 0)
        return fail(err, "create", path);
    return path_open(root_fd, path, O_PATH, 0, err);
}

int procfs_open(struct error *err)
{
    CLEANUP(close) int fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct statfs filesystem;
    struct stat status;

    if (fd < 0 || fstatfs(fd, &filesystem) < 0 || fstat(fd, &status) < 0)
        return error_sys(err, "open /proc");
    if (filesystem.f_type != PROC_SUPER_MAGIC || status.st_ino != PROC_ROOT_INODE)
        return error_set(err, ERROR_INTERNAL, "/proc is not a procfs");
    return TAKE_FD(fd);
}

int procfs_write(int proc_fd, const char *path, const char *text, struct error *err)
{
    CLEANUP(close)
    int fd = open_resolved(proc_fd, path, O_WRONLY | O_NOCTTY, 0,
                           RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV);

    if (fd < 0)
        return fail(err, "open /proc:", path);
    if (write(fd, text, strlen(text)) < 0)
        return fail(err, "write /proc:", path);
    return 0;
}
