/* The context of a build. */
#include "build/context.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "archive/extract.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "build/build.h"
#include "build/parse.h"
#include "build/source.h"
#include "linux/path.h"
#include "spec/dockerignore.h"

#include "base/banned.h"

/* 1, or 0 if there is no such file. */
static int read_file(int context_fd, const char *path, size_t limit, struct str *out,
                     struct error *err)
{
    struct error missing = {};
    CLEANUP(close) int fd = path_open(context_fd, path, O_RDONLY | O_NONBLOCK, 0, &missing);
    struct stat info;

    if (fd < 0) {
        if (missing.kind == ERROR_NOT_FOUND)
            return 0;
        return error_set(err, missing.kind, "%s", missing.text);
    }
    if (fstat(fd, &info) < 0)
        return error_sys(err, "stat %s", path);
    if (!S_ISREG(info.st_mode))
        return error_set(err, ERROR_INVALID, "%s is no regular file", path);
    if (file_read_fd(fd, limit, out, err) < 0)
        return error_context(err, "read %s", path);
    return 1;
}

int context_read_dockerfile(int context_fd, const char *path, struct str *out, char **out_name,
                            struct error *err)
{
    const char *names[] = { path, NULL };

    if (text_is_empty(path)) {
        names[0] = "Dockerfile";
        names[1] = "dockerfile";
    }
    for (size_t i = 0; i < COUNT(names) && names[i]; i++) {
        int found = read_file(context_fd, names[i], DOCKERFILE_SIZE_LIMIT, out, err);

        if (found < 0)
            return -1;
        if (found) {
            *out_name = xstrdup(names[i]);
            return 0;
        }
    }
    return error_set(err, ERROR_INTERNAL, "Cannot locate specified Dockerfile: %s%s", names[0],
                     text_is_empty(path) ? " (--file names another one)" : "");
}

int context_read_file(int context_fd, const char *path, struct str *out, struct error *err)
{
    int found = read_file(context_fd, path, DOCKERFILE_SIZE_LIMIT, out, err);

    if (found == 0)
        return error_set(err, ERROR_INVALID, "there is no file %s in the build context", path);
    return found < 0 ? -1 : 0;
}

/* Removes excluded entries of a directory; gives whether anything is left in it. */
static int filter_directory(const struct dockerignore *ignore, int directory_fd, const char *path,
                            int depth, bool *out_has_entries, struct error *err);

/* Gives whether the entry stays. */
static int filter_entry(const struct dockerignore *ignore, int parent_fd, const char *name,
                        const char *path, int depth, bool *out_stays, struct error *err)
{
    bool excluded = dockerignore_excludes(ignore, path), has_entries = false;
    struct stat info;

    if (fstatat(parent_fd, name, &info, AT_SYMLINK_NOFOLLOW) < 0)
        return error_sys(err, "stat %s", path);
    *out_stays = !excluded;
    if (S_ISDIR(info.st_mode) && (!excluded || dockerignore_has_exceptions(ignore))) {
        CLEANUP(close)
        int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

        if (fd < 0)
            return error_sys(err, "open %s", path);
        if (filter_directory(ignore, fd, path, depth + 1, &has_entries, err) < 0)
            return -1;
        *out_stays |= has_entries;
    }
    return *out_stays ? 0 : tree_remove_at(parent_fd, name, err);
}

static int filter_directory(const struct dockerignore *ignore, int directory_fd, const char *path,
                            int depth, bool *out_has_entries, struct error *err)
{
    CLEANUP(strv_done) struct strv names = {};

    if (depth >= SOURCE_DEPTH_LIMIT)
        return error_set(err, ERROR_INVALID, "directories are nested too deeply");
    if (directory_names(directory_fd, &names, err) < 0)
        return -1;
    for (size_t i = 0; i < names.count; i++) {
        CLEANUP(free)
        char *below = *path ? path_join(path, names.items[i]) : xstrdup(names.items[i]);
        bool stays = false;

        if (filter_entry(ignore, directory_fd, names.items[i], below, depth, &stays, err) < 0)
            return -1;
        *out_has_entries |= stays;
    }
    return 0;
}

int context_read_ignore(int context_fd, const char *dockerfile_path, struct dockerignore **out,
                        struct error *err)
{
    CLEANUP(free) char *own_path = xasprintf("%s.dockerignore", dockerfile_path);
    CLEANUP(str_done) struct str text = {};
    int found = read_file(context_fd, own_path, DOCKERIGNORE_SIZE_LIMIT, &text, err);

    if (found == 0)
        found = read_file(context_fd, ".dockerignore", DOCKERIGNORE_SIZE_LIMIT, &text, err);
    if (found < 0)
        return -1;
    *out = NULL;
    return found > 0 && dockerignore_parse(str_text(&text), out, err) < 0
               ? error_context(err, "checking context")
               : 0;
}

int context_apply_ignore(int context_fd, const struct dockerignore *ignore, struct error *err)
{
    bool has_entries = false;

    return ignore ? filter_directory(ignore, context_fd, "", 0, &has_entries, err) : 0;
}

int build_context_unpack(struct stream *archive, int directory_fd, struct error *err)
{
    const struct extract_options options = { .skips_devices = true, .cancel_fd = -1 };

    if (extract_archive(archive, directory_fd, &options, err) < 0)
        return error_context(err, "unpack the build context");
    return 0;
}
