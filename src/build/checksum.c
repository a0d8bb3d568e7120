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
    bool counts_owners;
    const struct known_digests *known; /* NULL: none */
    const char *source_path;
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

static int content_digest(struct checksum *sum, int fd, char out_hex[65], struct error *err)
{
    CLEANUP(sha256_free) struct sha256 *hash = sha256_new();
    char digest[DIGEST_SIZE];
    ssize_t count;

    while ((count = read(fd, sum->block, BLOCK_SIZE)) != 0) {
        if (count < 0 && errno != EINTR)
            return error_sys(err, "read");
        if (count > 0)
            sha256_add(hash, sum->block, (size_t)count);
        if (check_cancelled(sum->cancel_fd, err) < 0)
            return -1;
    }
    sha256_finish(hash, digest);
    memcpy(out_hex, digest_hex(digest), 65);
    return 0;
}

static void add_content(struct checksum *sum, const struct stat *info, const char *hex)
{
    uint64_t size = (uint64_t)info->st_size;

    sha256_add(sum->hash, &size, sizeof(size));
    add_bytes(sum, hex, strlen(hex));
}

/* The path in the tree of what is at 'path' in the source. */
static char *tree_path(const struct checksum *sum, const char *path)
{
    return *sum->source_path && *path ? path_join(sum->source_path, path)
           : *path                    ? xstrdup(path)
                                      : xstrdup(sum->source_path);
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

static void add_owner(struct checksum *sum, const struct stat *info)
{
    const uint64_t owner[2] = { info->st_uid, info->st_gid };

    if (sum->counts_owners)
        sha256_add(sum->hash, owner, sizeof(owner));
}

static void add_head(struct checksum *sum, const struct stat *info, const char *shown)
{
    uint64_t mode = info->st_mode, device = S_ISCHR(mode) || S_ISBLK(mode) ? info->st_rdev : 0;

    add_bytes(sum, shown, strlen(shown));
    sha256_add(sum->hash, &mode, sizeof(mode));
    sha256_add(sum->hash, &device, sizeof(device));
    add_owner(sum, info);
}

/* Name, kind and mode, and what goes with the kind. */
static int add_opened(struct checksum *sum, int fd, const struct stat *info, const char *shown,
                      const char *path, int depth, struct error *err)
{
    mode_t mode = info->st_mode;
    char hex[65];

    add_head(sum, info, shown);
    if (S_ISREG(mode)) {
        add_attributes(sum, fd);
        if (content_digest(sum, fd, hex, err) < 0)
            return -1;
        add_content(sum, info, hex);
        if (sum->known) {
            CLEANUP(free) char *in_tree = tree_path(sum, path);

            sum->known->learn(sum->known->data, in_tree, hex);
        }
        return 0;
    }
    if (S_ISDIR(mode)) {
        add_attributes(sum, fd);
        if (add_children(sum, fd, path, depth, err) < 0)
            return -1;
        add_bytes(sum, "", 0); /* the end of the directory: no name is empty */
    }
    return 0;
}

/* A file whose content is known is not opened. */
static bool add_known(struct checksum *sum, const struct stat *info, const char *shown,
                      const char *path)
{
    CLEANUP(free)
    char *in_tree = sum->known && S_ISREG(info->st_mode) ? tree_path(sum, path) : NULL;
    const uint64_t attribute_count = 0;
    char hex[65];

    if (!in_tree || !sum->known->find(sum->known->data, in_tree, hex))
        return false;
    add_head(sum, info, shown);
    sha256_add(sum->hash, &attribute_count, sizeof(attribute_count));
    add_content(sum, info, hex);
    return true;
}

static int add_link(struct checksum *sum, int parent_fd, const char *name, const struct stat *info,
                    struct error *err)
{
    CLEANUP(free) char *target = xmalloc(LINK_SIZE_LIMIT);
    ssize_t size = readlinkat(parent_fd, name, target, LINK_SIZE_LIMIT);

    if (size < 0)
        return error_sys(err, "read link %s", name);
    add_bytes(sum, name, strlen(name));
    add_bytes(sum, "link", 4);
    add_bytes(sum, target, (size_t)size);
    add_owner(sum, info);
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
        return add_link(sum, parent_fd, name, &info, err);
    if (add_known(sum, &info, name, path))
        return 0;
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
    if (add_known(sum, &info, source->name, ""))
        return 0;
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
                  bool counts_owners, const struct known_digests *known, int cancel_fd,
                  struct error *err)
{
    CLEANUP(sha256_free) struct sha256 *hash = sha256_new();
    CLEANUP(free) uint8_t *block = xmalloc(BLOCK_SIZE);
    struct checksum sum = { hash, block, excludes, counts_owners, known, source->path, cancel_fd };
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
