/* Sending has a thread of its own, which fills a pipe. */
#include "cli/copy_local.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>

#include "archive/collect.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/thread.h"

#include "base/banned.h"

#define PIPE_SIZE  (1 << 20)
#define LINK_LIMIT 10

void local_end_done(struct local_end *local)
{
    free(local->path);
    free(local->shown_name);
    *local = (struct local_end){};
}

/* ---- what is there ---- */

/* Absolute, the ending kept that says "directory". */
static char *absolute(const char *path)
{
    CLEANUP(free) char *clean = path_absolute(path);
    const char *slash = strcmp(clean, "/") == 0 ? "" : "/";

    if (copy_path_is_dot(path))
        return xasprintf("%s%s.", clean, slash);
    return copy_path_asserts_directory(path) ? xasprintf("%s%s", clean, slash) : xstrdup(clean);
}

static int fail(struct error *err, const char *path)
{
    int number = errno;

    error_sys(err, "lstat %s", path);
    if (err && (number == ENOENT || number == ENOTDIR))
        error_set(err, ERROR_NOT_FOUND, "lstat %s: %s", path,
                  number == ENOENT ? "no such file or directory" : "not a directory");
    return -1;
}

/* The last element as it stands (nothing behind a final slash), what is before it without links. */
static char *resolve_parent(const char *path, struct error *err)
{
    const char *base = strrchr(path, '/') + 1;
    CLEANUP(free) char *directory = xstrndup(path, (size_t)(base - path));
    CLEANUP(free) char *real = realpath(directory, NULL);

    if (!real) {
        fail(err, directory);
        return NULL;
    }
    return xasprintf("%s/%s", real, base);
}

int local_source(const char *path, bool follows, struct local_end *out, struct error *err)
{
    CLEANUP(local_end_done) struct local_end local = {};
    CLEANUP(free) char *whole = absolute(path);
    struct stat status;

    if (follows) {
        CLEANUP(free) char *real = realpath(whole, NULL);

        if (!real)
            return fail(err, whole);
        local.path = copy_path_through_link(whole, real, &local.shown_name);
    } else {
        local.path = resolve_parent(whole, err);
        if (!local.path)
            return -1;
        CLEANUP(free) char *name = copy_path_base(whole), *found = copy_path_base(local.path);
        if (strcmp(name, found) != 0)
            local.shown_name = TAKE(name);
    }
    if (lstat(local.path, &status) < 0)
        return fail(err, local.path);
    local.end = (struct copy_end){ local.path, true, S_ISDIR(status.st_mode), local.shown_name };
    *out = local;
    local = (struct local_end){};
    return 0;
}

/* Replaces *path by where it leads if it is a link: 1, else 0. */
static int follow_link(char **path, struct error *err)
{
    char target[PATH_MAX];
    ssize_t length = readlink(*path, target, sizeof(target) - 1);
    CLEANUP(free) char *directory = NULL, *base = NULL;

    if (length < 0)
        return errno == EINVAL || errno == ENOENT || errno == ENOTDIR ? 0 : fail(err, *path);
    target[length] = 0;
    copy_path_split(*path, &directory, &base);
    free(*path);
    *path = target[0] == '/' ? xstrdup(target) : path_join(directory, target);
    return 1;
}

int local_target(const char *path, struct local_end *out, struct error *err)
{
    CLEANUP(local_end_done) struct local_end local = { .path = absolute(path) };
    CLEANUP(free) char *directory = NULL, *base = NULL;
    struct stat status;
    int links = 0, followed;

    while ((followed = follow_link(&local.path, err)) > 0)
        if (++links > LINK_LIMIT)
            return error_set(err, ERROR_INVALID, "too many symlinks in %s", path);
    if (followed < 0)
        return -1;
    bool exists = lstat(local.path, &status) == 0;
    if (!exists && errno != ENOENT)
        return fail(err, local.path);
    local.end = (struct copy_end){ local.path, exists, exists && S_ISDIR(status.st_mode), NULL };
    if (exists && !S_ISDIR(status.st_mode) && !S_ISREG(status.st_mode))
        return error_set(err, ERROR_INVALID,
                         "invalid output path: \"%s\" must be a directory or a regular file", path);
    copy_path_split(local.path, &directory, &base);
    if (!exists && stat(directory, &status) < 0)
        return error_set(err, ERROR_NOT_FOUND,
                         "invalid output path: directory \"%s\" does not exist", directory);
    if (!exists && !S_ISDIR(status.st_mode))
        return error_set(err, ERROR_INVALID, "not a directory");
    *out = local;
    local = (struct local_end){};
    return 0;
}

/* ---- counting ---- */

struct counter {
    struct stream stream;
    struct stream *inner; /* borrowed */
    int64_t bytes;
};

static ssize_t counter_read(struct stream *stream, void *data, size_t size, struct error *err)
{
    struct counter *counter = CONTAINER_OF(stream, struct counter, stream);
    ssize_t count = stream_read(counter->inner, data, size, err);

    counter->bytes += count > 0 ? count : 0;
    return count;
}

static int counter_write(struct stream *stream, const void *data, size_t size, struct error *err)
{
    struct counter *counter = CONTAINER_OF(stream, struct counter, stream);

    counter->bytes += (int64_t)size;
    return stream_write(counter->inner, data, size, err);
}

static int counter_write_file(struct stream *stream, int fd, size_t size, struct error *err)
{
    struct counter *counter = CONTAINER_OF(stream, struct counter, stream);

    counter->bytes += (int64_t)size;
    return stream_write_file(counter->inner, fd, size, err);
}

/* ---- sending ---- */

struct sending {
    pthread_t thread;
    struct stream *reading;
    int writing_fd, dir_fd;
    char *name, *archive_name;
    int64_t bytes;
    int result;
    struct error err;
};

static void *send_archive(void *data)
{
    struct sending *sending = data;
    const struct collect_options options = { .name = sending->archive_name, .cancel_fd = -1 };
    CLEANUP(stream_close) struct stream *pipe = stream_from_fd(TAKE_FD(sending->writing_fd), 1);
    struct counter counter = { { .write = counter_write, .write_file = counter_write_file },
                               pipe,
                               0 };

    sending->result = collect_tree(sending->dir_fd, sending->name, &options, &counter.stream,
                                   &sending->err);
    sending->bytes = counter.bytes;
    return NULL;
}

static void sending_free(struct sending *sending)
{
    stream_close(sending->reading);
    if (sending->writing_fd >= 0)
        close(sending->writing_fd);
    if (sending->dir_fd >= 0)
        close(sending->dir_fd);
    free(sending->name);
    free(sending->archive_name);
    free(sending);
}
CLEANUP_POINTER(sending_free, struct sending)

int sending_begin(const struct local_end *source, const struct copy_plan *plan,
                  struct sending **out, struct error *err)
{
    CLEANUP(sending_free) struct sending *sending = NEW(struct sending);
    CLEANUP(free) char *directory = NULL;
    int fds[2];

    sending->writing_fd = -1;
    copy_path_split(source->path, &directory, &sending->name);
    sending->archive_name = xstrdup(plan->new_name ?: sending->name);
    if (strcmp(sending->name, "/") == 0) {
        free(sending->name);
        sending->name = xstrdup(".");
    }
    sending->dir_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (sending->dir_fd < 0)
        return error_sys(err, "open %s", directory);
    if (pipe2(fds, O_CLOEXEC) < 0)
        return error_sys(err, "make a pipe");
    (void)fcntl(fds[1], F_SETPIPE_SZ, PIPE_SIZE);
    sending->reading = stream_from_fd(fds[0], 1);
    sending->writing_fd = fds[1];
    if (thread_start("archive", send_archive, sending, &sending->thread, err) < 0)
        return -1;
    *out = TAKE(sending);
    return 0;
}

struct stream *sending_stream(struct sending *sending)
{
    return sending->reading;
}

int sending_end(struct sending *sending, int64_t *out_bytes, struct error *err)
{
    /* A thread that still writes sees that nobody reads. */
    stream_close(sending->reading);
    sending->reading = NULL;
    pthread_join(sending->thread, NULL);
    int result = sending->result;
    *out_bytes = sending->bytes;
    if (result < 0 && sending->err.sys != EPIPE && err)
        *err = sending->err;
    sending_free(sending);
    return result;
}

/* ---- receiving ---- */

struct extract_options local_extraction(const struct copy_plan *plan)
{
    return (struct extract_options){ .old_name = plan->new_name ? plan->old_name : NULL,
                                     .new_name = plan->new_name,
                                     .keeps_kinds = true,
                                     .cancel_fd = -1 };
}

int receive(struct stream *archive, const struct copy_plan *plan, int64_t *out_bytes,
            struct error *err)
{
    const struct extract_options options = local_extraction(plan);
    struct counter counter = { { .read = counter_read }, archive, 0 };
    CLEANUP(close) int fd = open(plan->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return error_sys(err, "open %s", plan->directory);
    int result = extract_archive(&counter.stream, fd, &options, err);
    *out_bytes = counter.bytes;
    return result;
}
