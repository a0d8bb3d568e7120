/* Finding the sources of COPY and ADD. */
#include "build/source.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/xattr.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "linux/path.h"
#include "spec/dockerignore.h"
#include "spec/pattern.h"

#include "base/banned.h"

#define ATTRIBUTE_LIST_LIMIT ((size_t)64 * 1024)

void sources_done(struct sources *sources)
{
    for (size_t i = 0; i < sources->count; i++) {
        free(sources->items[i].path);
        free(sources->items[i].digest);
        free(sources->items[i].kept);
    }
    free(sources->items);
    *sources = (struct sources){};
}

int check_cancelled(int cancel_fd, struct error *err)
{
    if (fd_is_readable(cancel_fd))
        return error_set(err, ERROR_CANCELLED, "Build cancelled");
    return 0;
}

int directory_names(int fd, struct strv *out, struct error *err)
{
    int own_fd = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = own_fd < 0 ? NULL : fdopendir(own_fd);
    struct dirent *entry;

    if (!directory) {
        error_sys(err, "read directory");
        if (own_fd >= 0)
            close(own_fd);
        return -1;
    }
    for (errno = 0; (entry = readdir(directory)); errno = 0)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            strv_add(out, entry->d_name);
    int failure = errno;
    closedir(directory);
    errno = failure;
    if (failure)
        return error_sys(err, "read directory");
    strv_sort(out);
    return 0;
}

void attribute_names(int fd, struct strv *out)
{
    CLEANUP(free) char *list = NULL;
    ssize_t size = flistxattr(fd, NULL, 0);

    if (size <= 0 || (size_t)size > ATTRIBUTE_LIST_LIMIT)
        return;
    list = xmalloc(ATTRIBUTE_LIST_LIMIT);
    size = flistxattr(fd, list, ATTRIBUTE_LIST_LIMIT);
    for (const char *name = list; size > 0 && name < list + size; name += strlen(name) + 1)
        if (strcmp(name, "security.capability") == 0 || text_starts(name, "user."))
            strv_add(out, name);
    strv_sort(out);
}

static int add(struct sources *out, const char *path, bool is_directory, struct error *err)
{
    if (out->count >= SOURCE_COUNT_LIMIT)
        return error_set(err, ERROR_INVALID, "more than %zu source files", SOURCE_COUNT_LIMIT);
    if ((out->count & (out->count - 1)) == 0) /* full at each power of two */
        out->items = xrealloc(out->items, out->count ? 2 * out->count : 1, sizeof(struct source));

    struct source *source = &out->items[out->count++];
    *source = (struct source){ .path = xstrdup(path), .is_directory = is_directory };
    source->name = path_base(source->path);
    return 0;
}

/* A plain name: links are followed, inside the tree. */
static int find_plain(int root_fd, const char *path, struct sources *out, struct error *err)
{
    struct stat info;
    CLEANUP(close) int fd = path_open(root_fd, *path ? path : ".", O_PATH, 0, err);

    if (fd < 0)
        return err && err->kind == ERROR_NOT_FOUND
                   ? error_set(err, ERROR_NOT_FOUND, "stat %s: file does not exist", path)
                   : -1;
    if (fstat(fd, &info) < 0)
        return error_sys(err, "stat %s", path);
    return add(out, path, S_ISDIR(info.st_mode), err);
}

static bool is_found(const struct sources *out, const char *path)
{
    for (size_t i = 0; i < out->count; i++)
        if (strcmp(out->items[i].path, path) == 0)
            return true;
    return false;
}

static int find_pattern(int root_fd, const char *path, const struct strv *parts, size_t at,
                        struct sources *out, struct error *err);

/* "**": the rest of the pattern here, and in every directory below (links are not followed). */
static int find_deep(int root_fd, const char *path, const struct strv *parts, size_t at,
                     struct sources *out, struct error *err)
{
    CLEANUP(strv_done) struct strv names = {};
    CLEANUP(close) int fd = path_open(root_fd, *path ? path : ".", O_RDONLY | O_DIRECTORY, 0, err);
    struct stat info;

    if (fd < 0)
        return -1;
    if (at + 1 < parts->count && find_pattern(root_fd, path, parts, at + 1, out, err) < 0)
        return -1;
    if (directory_names(fd, &names, err) < 0)
        return -1;
    for (size_t i = 0; i < names.count; i++) {
        CLEANUP(free)
        char *below = *path ? path_join(path, names.items[i]) : xstrdup(names.items[i]);
        CLEANUP(strv_done) struct strv depth = {};

        if (fstatat(fd, names.items[i], &info, AT_SYMLINK_NOFOLLOW) < 0)
            return error_sys(err, "stat %s", below);
        if (at + 1 == parts->count && !is_found(out, below) &&
            find_plain(root_fd, below, out, err) < 0)
            return -1;
        strv_split(&depth, below, '/');
        if (depth.count >= SOURCE_DEPTH_LIMIT)
            return error_set(err, ERROR_INVALID, "directories are nested too deeply");
        if (S_ISDIR(info.st_mode) && at + 1 < parts->count &&
            find_deep(root_fd, below, parts, at, out, err) < 0)
            return -1;
    }
    return 0;
}

/* Matches the components of a pattern, from number 'at' on, in the directory 'path'. */
static int find_pattern(int root_fd, const char *path, const struct strv *parts, size_t at,
                        struct sources *out, struct error *err)
{
    if (strcmp(parts->items[at], "**") == 0)
        return find_deep(root_fd, path, parts, at, out, err);

    CLEANUP(strv_done) struct strv names = {};
    CLEANUP(close) int fd = path_open(root_fd, *path ? path : ".", O_RDONLY | O_DIRECTORY, 0, err);

    if (fd < 0)
        return err && (err->kind == ERROR_NOT_FOUND || err->kind == ERROR_FORBIDDEN) ? 0 : -1;
    if (directory_names(fd, &names, err) < 0)
        return -1;
    for (size_t i = 0; i < names.count; i++) {
        CLEANUP(free)
        char *below = *path ? path_join(path, names.items[i]) : xstrdup(names.items[i]);
        bool matches;

        if (pattern_match(parts->items[at], names.items[i], &matches, err) < 0)
            return -1;
        if (!matches)
            continue;
        if (at + 1 < parts->count
                ? find_pattern(root_fd, below, parts, at + 1, out, err) < 0
                : !is_found(out, below) && find_plain(root_fd, below, out, err) < 0)
            return -1;
    }
    return 0;
}

int source_find(int root_fd, const char *argument, struct sources *out, struct error *err)
{
    CLEANUP(strv_done) struct strv parts = {};
    struct error local = {};
    CLEANUP(free) char *rooted = xasprintf("/%s", argument);
    CLEANUP(free) char *cleaned = path_clean(rooted);
    const char *path = cleaned + 1;

    if (!err)
        err = &local;
    if (!pattern_has_wildcard(path)) {
        CLEANUP(free) char *plain = pattern_plain(path);

        return find_plain(root_fd, plain, out, err);
    }
    strv_split(&parts, path, '/');
    if (parts.count > SOURCE_DEPTH_LIMIT)
        return error_set(err, ERROR_INVALID, "the pattern %s is too deep", argument);
    return find_pattern(root_fd, "", &parts, 0, out, err);
}

int source_find_plain(int root_fd, const char *name, struct sources *out, struct error *err)
{
    CLEANUP(free) char *rooted = xasprintf("/%s", name);
    CLEANUP(free) char *cleaned = path_clean(rooted);

    return find_plain(root_fd, cleaned + 1, out, err);
}

/* The path without its first 'count' components. */
static const char *skip_components(const char *path, size_t count)
{
    while (count-- > 0 && *path) {
        path += strcspn(path, "/");
        path += *path == '/';
    }
    return path;
}

int source_find_kept(int root_fd, const char *argument, struct sources *out, struct error *err)
{
    const char *pivot = strstr(argument, "/./");
    CLEANUP(free) char *front = xstrndup(argument, pivot ? (size_t)(pivot - argument) : 0);
    CLEANUP(free) char *rooted = xasprintf("/%s", front);
    CLEANUP(free) char *cleaned = path_clean(rooted);
    CLEANUP(strv_done) struct strv parts = {};
    size_t before = out->count;

    if (cleaned[1])
        strv_split(&parts, cleaned + 1, '/');
    if (source_find(root_fd, argument, out, err) < 0)
        return -1;
    for (size_t i = before; i < out->count; i++) {
        struct source *source = &out->items[i];
        const char *rest = skip_components(source->path, parts.count);
        const char *name = path_base(rest);

        source->kept = source->is_directory ? xstrdup(rest) : xstrndup(rest, (size_t)(name - rest));
    }
    return 0;
}

bool source_is_excluded(const struct dockerignore *excludes, const char *path)
{
    return excludes && dockerignore_excludes(excludes, path);
}

bool source_itself_is_excluded(const struct dockerignore *excludes, const struct source *source)
{
    return excludes && !source->is_directory &&
           (dockerignore_excludes(excludes, source->name) ||
            dockerignore_excludes(excludes, source->path));
}
