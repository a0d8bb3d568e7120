/* Digests of what COPY and ADD copy: equal trees give equal digests wherever and whenever they were
 * made. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/str.h"
#include "build/source.h"
#include "codec/sha256.h"
#include "linux/path.h"
#include "spec/dockerignore.h"

#include "base/banned.h"

#define BLOCK_SIZE           ((size_t)128 * 1024)
#define ATTRIBUTE_SIZE_LIMIT ((size_t)64 * 1024)
#define LINK_SIZE_LIMIT      4096

struct checksum {
    struct sha256 *hash;
    uint8_t *block;
    const struct dockerignore *excludes;
    int cancel_fd;
};

static void add_bytes(struct checksum *sum, const void *data, size_t size)
{
    uint64_t length = size;

    sha256_add(sum->hash, &length, sizeof(length));
    sha256_add(sum->hash, data, size);
}

static void add_attributes(struct checksum *sum, int fd)
{
    CLEANUP(strv_done) struct strv names = {};
    uint64_t count;

    attribute_names(fd, &names);
    count = names.count;
    sha256_add(sum->hash, &count, sizeof(count));
    for (size_t i = 0; i < names.count; i++) {
        ssize_t size = fgetxattr(fd, names.items[i], sum->block, ATTRIBUTE_SIZE_LIMIT);

        add_bytes(sum, names.items[i], strlen(names.items[i]));
        add_bytes(sum, sum->block, size < 0 ? 0 : (size_t)size);
    }
}

static int add_content(struct checksum *sum, int fd, const struct stat *info, struct error *err)
{
    uint64_t size = (uint64_t)info->st_size;
    ssize_t count;

    sha256_add(sum->hash, &size, sizeof(size));
    while ((count = read(fd, sum->block, BLOCK_SIZE)) != 0) {
        if (count < 0 && errno != EINTR)
            return error_sys(err, "read");
        if (count > 0)
            sha256_add(sum->hash, sum->block, (size_t)count);
        if (check_cancelled(sum->cancel_fd, err) < 0)
            return -1;
    }
    return 0;
}

/* 'path' is relative to the source, "" for itself. */
static int add_entry(struct checksum *sum, int parent_fd, const char *name, const char *path,
                     int depth, struct error *err);

static int add_children(struct checksum *sum, int fd, const char *path, int depth,
                        struct error *err)
{
    CLEANUP(strv_done) struct strv names = {};

    if (depth >= SOURCE_DEPTH_LIMIT)
        return error_set(err, ERROR_INVALID, "directories are nested too deeply");
    if (directory_names(fd, &names, err) < 0 || check_cancelled(sum->cancel_fd, err) < 0)
        return -1;
    for (size_t i = 0; i < names.count; i++) {
        CLEANUP(free)
        char *below = *path ? path_join(path, names.items[i]) : xstrdup(names.items[i]);

        if (add_entry(sum, fd, names.items[i], below, depth + 1, err) < 0)
            return -1;
    }
    return 0;
}

/* Name, kind and mode, and what goes with the kind. */
static int add_opened(struct checksum *sum, int fd, const struct stat *info, const char *shown,
                      const char *path, int depth, struct error *err)
{
    uint64_t mode = info->st_mode, device = S_ISCHR(mode) || S_ISBLK(mode) ? info->st_rdev : 0;

    add_bytes(sum, shown, strlen(shown));
    sha256_add(sum->hash, &mode, sizeof(mode));
    sha256_add(sum->hash, &device, sizeof(device));
    if (S_ISREG(mode)) {
        add_attributes(sum, fd);
        return add_content(sum, fd, info, err);
    }
    if (S_ISDIR(mode)) {
        add_attributes(sum, fd);
        if (add_children(sum, fd, path, depth, err) < 0)
            return -1;
        add_bytes(sum, "", 0); /* the end of the directory: no name is empty */
    }
    return 0;
}

static int add_link(struct checksum *sum, int parent_fd, const char *name, struct error *err)
{
    CLEANUP(free) char *target = xmalloc(LINK_SIZE_LIMIT);
    ssize_t size = readlinkat(parent_fd, name, target, LINK_SIZE_LIMIT);

    if (size < 0)
        return error_sys(err, "read link %s", name);
    add_bytes(sum, name, strlen(name));
    add_bytes(sum, "link", 4);
    add_bytes(sum, target, (size_t)size);
    return 0;
}

static int add_entry(struct checksum *sum, int parent_fd, const char *name, const char *path,
                     int depth, struct error *err)
{
    CLEANUP(close) int fd = -1;
    struct stat info;

    if (fstatat(parent_fd, name, &info, AT_SYMLINK_NOFOLLOW) < 0)
        return error_sys(err, "stat %s", name);
    if (S_ISSOCK(info.st_mode))
        return 0;
    if (source_is_excluded(sum->excludes, path) &&
        (!S_ISDIR(info.st_mode) || !dockerignore_has_exceptions(sum->excludes)))
        return 0;
    if (S_ISLNK(info.st_mode))
        return add_link(sum, parent_fd, name, err);
    if (S_ISREG(info.st_mode) || S_ISDIR(info.st_mode)) {
        fd = openat(parent_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (fd < 0)
            return error_sys(err, "open %s", name);
    }
    return add_opened(sum, fd, &info, name, path, depth, err);
}

/* The source itself: a file counts with its name, of a directory only what is in it. Devices are
 * not opened. */
static int add_source(struct checksum *sum, int root_fd, const struct source *source,
                      struct error *err)
{
    const char *path = *source->path ? source->path : ".";
    CLEANUP(close) int seen_fd = path_open(root_fd, path, O_PATH, 0, err);
    CLEANUP(close) int fd = -1;
    struct stat info;

    if (seen_fd < 0)
        return -1;
    if (fstat(seen_fd, &info) < 0)
        return error_sys(err, "stat %s", path);
    if (S_ISREG(info.st_mode) || S_ISDIR(info.st_mode)) {
        fd = path_open(root_fd, path, O_RDONLY | O_NONBLOCK, 0, err);
        if (fd < 0)
            return -1;
    }
    if (source->is_directory)
        return add_children(sum, fd, "", 0, err);
    return add_opened(sum, fd, &info, source->name, "", 0, err);
}

int source_digest(int root_fd, struct source *source, const struct dockerignore *excludes,
                  int cancel_fd, struct error *err)
{
    CLEANUP(sha256_free) struct sha256 *hash = sha256_new();
    CLEANUP(free) uint8_t *block = xmalloc(BLOCK_SIZE);
    struct checksum sum = { hash, block, excludes, cancel_fd };
    char digest[DIGEST_SIZE];

    if (add_source(&sum, root_fd, source, err) < 0)
        return error_context(err, "checksum of %s", source->path);
    sha256_finish(hash, digest);
    free(source->digest);
    source->digest = xasprintf("%s:%s", source->is_directory ? "dir" : "file", digest_hex(digest));
    return 0;
}

char *sources_digest(const struct sources *sources)
{
    CLEANUP(str_done) struct str all = {};
    char digest[DIGEST_SIZE];

    if (sources->count == 1 && !sources->items[0].kept)
        return xstrdup(sources->items[0].digest);
    for (size_t i = 0; i < sources->count; i++)
        str_add_format(&all, "%s%s%s%s", i > 0 ? "," : "", sources->items[i].digest,
                       sources->items[i].kept ? "/" : "",
                       sources->items[i].kept ? sources->items[i].kept : "");
    sha256_digest(str_text(&all), all.length, digest);
    return xasprintf("multi:%s", digest_hex(digest));
}
