/* Directories that changes go to, and mounting them over layers. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "store/internal.h"

#include "base/banned.h"

void writable_done(struct writable *writable)
{
    free(writable->diff_path);
    free(writable->work_path);
    free(writable->top_path);
    *writable = (struct writable){};
}

static void name_paths(const struct store *store, const char *path, struct writable *out)
{
    out->top_path = xstrdup(path);
    out->diff_path = path_join(path, "diff");
    out->work_path = store->driver->marks_by_name ? NULL : path_join(path, "work");
}

static int make_missing(const char *path, mode_t mode, struct error *err)
{
    if (mkdir(path, mode) == 0)
        return chmod(path, mode) < 0 ? error_sys(err, "%s", path) : 0;
    return errno == EEXIST ? 0 : error_sys(err, "make directory %s", path);
}

static int fill(struct store *store, const char *chain_id, int fd, struct error *err)
{
    if (store_copy_root_attributes(store, chain_id, fd, err) < 0)
        return -1;
    return store->driver->fill ? store->driver->fill(store, chain_id, fd, err) : 0;
}

/* Filled under another name first: half a copy is never taken for a whole one. */
static int make_filled(struct store *store, const char *chain_id, const char *path,
                       struct error *err)
{
    CLEANUP(free) char *unfinished = xasprintf("%s.new", path);

    if (file_exists(path))
        return 0;
    if (tree_remove(unfinished, err) < 0 || make_missing(unfinished, 0755, err) < 0)
        return -1;
    CLEANUP(close) int fd = open(unfinished, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_sys(err, "open %s", unfinished);
    if (fill(store, chain_id, fd, err) < 0)
        return -1;
    return rename(unfinished, path) < 0 ? error_sys(err, "rename %s", unfinished) : 0;
}

int store_writable_at(struct store *store, const char *path, const char *chain_id,
                      struct writable *out, struct error *err)
{
    CLEANUP(writable_done) struct writable writable = {};

    name_paths(store, path, &writable);
    if (dir_make(path, 0700, err) < 0 ||
        (writable.work_path && make_missing(writable.work_path, 0700, err) < 0) ||
        make_filled(store, chain_id, writable.diff_path, err) < 0)
        return error_context(err, "writable layer");
    *out = writable;
    writable = (struct writable){};
    return 0;
}

int store_writable_new(struct store *store, struct writable *out, struct error *err)
{
    CLEANUP(writable_done) struct writable writable = {};
    CLEANUP(free) char *path = store_tmp_name(store, "writable");

    name_paths(store, path, &writable);
    if (dir_make(path, 0700, err) < 0 ||
        (writable.work_path && make_missing(writable.work_path, 0700, err) < 0) ||
        make_missing(writable.diff_path, 0755, err) < 0)
        return error_context(err, "writable layer");
    *out = writable;
    writable = (struct writable){};
    return 0;
}

int store_writable_remove(struct store *store UNUSED, struct writable *writable, struct error *err)
{
    if (writable->top_path && tree_remove(writable->top_path, err) < 0)
        return error_context(err, "remove writable layer");
    writable_done(writable);
    return 0;
}

static bool is_empty(int fd)
{
    CLEANUP(close) int own_fd = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char block[1024];
    /* Two entries of every directory are "." and "..". */
    ssize_t size = own_fd < 0 ? 0 : getdents64(own_fd, block, sizeof(block));

    for (ssize_t at = 0; at < size;) {
        const struct dirent64 *entry = (const void *)(block + at);

        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            return false;
        at += entry->d_reclen;
    }
    return true;
}

/* What a directory from store_writable_new is over is known only now. */
static int prepare_new(struct store *store, const char *chain_id, const struct writable *writable,
                       struct error *err)
{
    if (!text_starts(writable->top_path, store->tmp_path))
        return 0;
    CLEANUP(close) int fd = open(writable->diff_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_sys(err, "open %s", writable->diff_path);
    return is_empty(fd) ? fill(store, chain_id, fd, err) : 0;
}

int store_mount(struct store *store, const char *chain_id, const struct writable *writable,
                int *out_mount_fd, struct error *err)
{
    return store_mount_mapped(store, chain_id, writable, -1, out_mount_fd, err);
}

int store_mount_mapped(struct store *store, const char *chain_id, const struct writable *writable,
                       int user_namespace_fd, int *out_mount_fd, struct error *err)
{
    if (writable && prepare_new(store, chain_id, writable, err) < 0)
        return error_context(err, "writable layer");
    return store->driver->mount(store, chain_id, writable, user_namespace_fd, out_mount_fd, err);
}
