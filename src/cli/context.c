/* The directory is walked by descriptors; what cannot be read ends the archive with an error, so
 * that no build goes on with half a context. */
#include "cli/context.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/memory.h"
#include "base/strv.h"
#include "base/text.h"
#include "base/thread.h"
#include "codec/tar.h"

#include "base/banned.h"

struct packed_part {
    int directory_fd;
    char *name;
};

struct packer {
    struct packed_part *parts;
    size_t count;
    int pipe_fd;
    struct str extra;
    char *extra_name;
};

static enum tar_type type_of(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG:
        return TAR_FILE;
    case S_IFDIR:
        return TAR_DIRECTORY;
    case S_IFLNK:
        return TAR_SYMLINK;
    case S_IFCHR:
        return TAR_CHARACTER_DEVICE;
    case S_IFBLK:
        return TAR_BLOCK_DEVICE;
    case S_IFIFO:
        return TAR_FIFO;
    default:
        return TAR_OTHER;
    }
}

static int add_content(struct tar_writer *writer, int fd, int64_t size, const char *name,
                       struct error *err)
{
    char block[64 * 1024];

    while (size > 0) {
        ssize_t count = read(fd, block, MIN((size_t)size, sizeof(block)));

        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return error_sys(err, "read %s", name);
        if (count == 0)
            return error_set(err, ERROR_CONFLICT, "%s became shorter while it was sent", name);
        if (tar_writer_data(writer, block, (size_t)count, err) < 0)
            return -1;
        size -= count;
    }
    return 0;
}

int context_add_file(struct tar_writer *writer, int parent_fd, const char *file, const char *name,
                     const struct stat *status, struct error *err)
{
    CLEANUP(tar_entry_done) struct tar_entry entry = {};
    CLEANUP(close) int fd = -1;
    char target[TAR_NAME_LIMIT];

    entry.name = xstrdup(name);
    entry.type = type_of(status->st_mode);
    entry.mode = status->st_mode & 07777;
    entry.mtime_s = status->st_mtim.tv_sec;
    entry.device_major = major(status->st_rdev);
    entry.device_minor = minor(status->st_rdev);
    if (entry.type == TAR_OTHER)
        return 0; /* sockets */
    if (entry.type == TAR_SYMLINK) {
        ssize_t length = readlinkat(parent_fd, file, target, sizeof(target) - 1);

        if (length < 0)
            return error_sys(err, "read link %s", name);
        target[length] = 0;
        entry.link_target = xstrdup(target);
    }
    if (entry.type == TAR_FILE) {
        fd = openat(parent_fd, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
            return error_sys(err, "open %s", name);
        entry.size = status->st_size;
    }
    if (tar_writer_entry(writer, &entry, err) < 0)
        return -1;
    return entry.type == TAR_FILE ? add_content(writer, fd, entry.size, name, err) : 0;
}

/* 'fd' is taken. */
static int add_directory(struct tar_writer *writer, int fd, const char *prefix, struct error *err)
{
    CLEANUP(strv_done) struct strv names = {};
    DIR *dir = fdopendir(fd);
    struct dirent *entry;
    int result = 0;

    if (!dir) {
        close(fd);
        return error_sys(err, "read %s", prefix);
    }
    while ((entry = readdir(dir)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            strv_add(&names, entry->d_name);
    strv_sort(&names);
    for (size_t i = 0; result == 0 && i < names.count; i++) {
        struct stat status;
        CLEANUP(free) char *name = xasprintf("%s%s%s", prefix, *prefix ? "/" : "", names.items[i]);

        if (fstatat(fd, names.items[i], &status, AT_SYMLINK_NOFOLLOW) < 0) {
            result = error_sys(err, "%s", name);
            break;
        }
        result = context_add_file(writer, fd, names.items[i], name, &status, err);
        if (result == 0 && S_ISDIR(status.st_mode)) {
            int child = openat(fd, names.items[i], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

            result = child < 0 ? error_sys(err, "open %s", name)
                               : add_directory(writer, child, name, err);
        }
    }
    closedir(dir);
    return result;
}

static int add_text(struct tar_writer *writer, const char *name, const struct str *text,
                    struct error *err)
{
    CLEANUP(tar_entry_done)
    struct tar_entry entry = {
        .name = xstrdup(name), .type = TAR_FILE, .mode = 0644, .size = (int64_t)text->length
    };

    if (tar_writer_entry(writer, &entry, err) < 0)
        return -1;
    return tar_writer_data(writer, str_text(text), text->length, err);
}

static int pack_all(struct packer *packer, struct stream *out, struct error *err)
{
    CLEANUP(tar_writer_free) struct tar_writer *writer = tar_writer_new(out, false, err);

    if (!writer)
        return -1;
    for (size_t i = 0; i < packer->count; i++)
        if (add_directory(writer, TAKE_FD(packer->parts[i].directory_fd), packer->parts[i].name,
                          err) < 0)
            return -1;
    if (packer->extra_name && add_text(writer, packer->extra_name, &packer->extra, err) < 0)
        return -1;
    return tar_writer_finish(writer, err);
}

static void packer_free(struct packer *packer)
{
    for (size_t i = 0; i < packer->count; i++) {
        if (packer->parts[i].directory_fd >= 0)
            close(packer->parts[i].directory_fd);
        free(packer->parts[i].name);
    }
    free(packer->parts);
    str_done(&packer->extra);
    free(packer->extra_name);
    free(packer);
}
CLEANUP_POINTER(packer_free, struct packer)

static void *pack(void *data)
{
    struct packer *packer = data;
    struct error err = {};
    struct stream *out = stream_from_fd(packer->pipe_fd, 1);

    if (pack_all(packer, out, &err) < 0)
        fprintf(stderr, "error while sending the build context: %s\n", err.text);
    stream_close(out);
    packer_free(packer);
    return NULL;
}

int context_no_directory(const char *path, struct error *err)
{
    if (errno == ENOTDIR)
        return error_set(err, ERROR_INVALID,
                         "unable to prepare context: context must be a directory: %s", path);
    if (errno != ENOENT)
        return error_sys(err, "unable to prepare context: %s", path);
    return error_set(err, ERROR_NOT_FOUND, "unable to prepare context: path \"%s\" not found",
                     path);
}

int context_stream(const struct context_part *parts, size_t count, const struct str *extra,
                   const char *extra_name, struct stream **out, struct error *err)
{
    CLEANUP(packer_free) struct packer *packer = NEW(struct packer);
    CLEANUP(close) int read_fd = -1;
    int pipe_fds[2];

    packer->parts = xcalloc(count + 1, sizeof(*packer->parts));
    for (size_t i = 0; i < count; i++) {
        int fd = open(parts[i].directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (fd < 0)
            return context_no_directory(parts[i].directory, err);
        packer->parts[packer->count++] = (struct packed_part){ fd, xstrdup(parts[i].name) };
    }
    if (extra_name)
        str_add_bytes(&packer->extra, str_text(extra), extra->length);
    packer->extra_name = xstrdup(extra_name);
    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return error_sys(err, "make a pipe");
    read_fd = pipe_fds[0];
    packer->pipe_fd = pipe_fds[1];
    if (thread_start_detached("context", pack, packer, err) < 0) {
        close(packer->pipe_fd);
        return -1;
    }
    TAKE(packer);
    *out = stream_from_fd(TAKE_FD(read_fd), 1);
    return 0;
}

struct memory_sink {
    struct stream stream;
    struct str *out;
};

static int sink_write(struct stream *stream, const void *data, size_t size,
                      struct error *err UNUSED)
{
    str_add_bytes(CONTAINER_OF(stream, struct memory_sink, stream)->out, data, size);
    return 0;
}

int context_of_dockerfile(const struct str *text, struct str *out, struct error *err)
{
    struct memory_sink sink = { .stream = { .write = sink_write }, .out = out };
    CLEANUP(tar_writer_free)
    struct tar_writer *writer = tar_writer_new(&sink.stream, false, err);

    if (!writer || add_text(writer, "Dockerfile", text, err) < 0)
        return -1;
    return tar_writer_finish(writer, err);
}
