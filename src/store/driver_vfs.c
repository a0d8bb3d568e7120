/* Layers without help from the kernel: a whole tree is made of them once per chain (vfs-<boot>
 * beside "diff") and copied for everybody who writes. What was changed is found by comparing. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "linux/mount.h"
#include "linux/path.h"
#include "linux/tree.h"
#include "store/internal.h"
#include "store/whiteout.h"

#include "base/banned.h"

static int open_directory(int dir_fd, const char *name)
{
    return openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* ---- layers into one tree ---- */

struct application {
    int to_fd;
};

/* Removes from the target directory what the whiteouts in 'dir_fd' hide. */
static int apply_whiteouts(int dir_fd, int target_fd, struct error *err)
{
    int own_fd = open_directory(dir_fd, ".");
    DIR *dir = own_fd < 0 ? NULL : fdopendir(own_fd);
    struct dirent *entry;
    struct stat status;
    int result = 0;

    if (!dir) {
        if (own_fd >= 0)
            close(own_fd);
        return error_sys(err, "read directory");
    }
    while (result == 0 && (entry = readdir(dir))) {
        const char *hidden = NULL;

        if (whiteout_is_name(entry->d_name) && strcmp(entry->d_name, OPAQUE_NAME) != 0)
            hidden = entry->d_name + strlen(WHITEOUT_PREFIX);
        else if (fstatat(dir_fd, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
                 whiteout_is_device(&status))
            hidden = entry->d_name;
        if (hidden)
            result = tree_remove_at(target_fd, hidden, err);
    }
    closedir(dir);
    return result;
}

static int apply_directory(struct application *application, const struct tree_entry *entry,
                           struct error *err)
{
    const char *name;
    CLEANUP(close) int dir_fd = open_directory(entry->dir_fd, entry->name);
    CLEANUP(close) int parent_fd = path_open_parent(application->to_fd, entry->path, 0, &name, err);

    if (parent_fd < 0)
        return -1;
    if (dir_fd < 0)
        return error_sys(err, "open %s", entry->path);
    if (opaque_is(dir_fd))
        return tree_remove_at(parent_fd, name, err);
    CLEANUP(close) int target_fd = open_directory(parent_fd, name);
    return target_fd < 0 ? 0 : apply_whiteouts(dir_fd, target_fd, err);
}

static int apply_entry(void *data, const struct tree_entry *entry, struct error *err)
{
    if (whiteout_is_name(entry->name) || whiteout_is_device(&entry->status))
        return 1;
    return S_ISDIR(entry->status.st_mode) ? apply_directory(data, entry, err) : 0;
}

static int apply_layer(struct store *store, const char *chain_id, int to_fd, struct error *err)
{
    struct application application = { to_fd };
    const struct tree_copy options = { .enter = apply_entry, .data = &application };
    CLEANUP(free) char *path = store_layer_path(store, chain_id, "diff");
    CLEANUP(close) int from_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (from_fd < 0)
        return error_sys(err, "open %s", path);
    if (apply_whiteouts(from_fd, to_fd, err) < 0 || tree_copy(from_fd, to_fd, &options, err) < 0)
        return -1;
    return tree_copy_attributes(from_fd, to_fd, NULL, err);
}

static char *whole_path(const struct store *store, const char *chain_id)
{
    CLEANUP(free) char *name = xasprintf("vfs-%s", store->boot_id);

    return store_layer_path(store, chain_id, *chain_id ? name : "");
}

static int make_whole(struct store *store, const char *chain_id, const char *path,
                      struct error *err)
{
    CLEANUP(strv_done) struct strv chain = {};
    CLEANUP(free) char *unfinished = store_tmp_name(store, "whole");
    size_t seen = 0;
    int result = 0;

    if (store_chain(store, chain_id, &chain, err) < 0)
        return -1;
    while (seen < chain.count) {
        CLEANUP(free) char *diff_path = store_layer_path(store, chain.items[seen++], "diff");
        CLEANUP(close) int diff_fd = open(diff_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (diff_fd >= 0 && opaque_is(diff_fd))
            break;
    }
    if (mkdir(unfinished, 0755) < 0)
        return error_sys(err, "make directory %s", unfinished);
    CLEANUP(close) int fd = open(unfinished, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_sys(err, "open %s", unfinished);
    while (result == 0 && seen)
        result = apply_layer(store, chain.items[--seen], fd, err);
    if (result == 0 && rename(unfinished, path) < 0)
        result = error_sys(err, "rename %s", unfinished);
    if (result < 0)
        tree_remove(unfinished, NULL);
    return result;
}

static int open_whole(struct store *store, const char *chain_id, char **out_path, struct error *err)
{
    CLEANUP(free) char *path = whole_path(store, chain_id);
    int result = 0;

    mutex_lock(&store->flatten);
    if (!file_exists(path))
        result = make_whole(store, chain_id, path, err);
    mutex_unlock(&store->flatten);
    if (result < 0)
        return error_context(err, "put layers of %.80s together", chain_id);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_sys(err, "open %s", path);
    if (out_path)
        *out_path = TAKE(path);
    return fd;
}

static int vfs_fill(struct store *store, const char *chain_id, int dir_fd, struct error *err)
{
    CLEANUP(close) int from_fd = open_whole(store, chain_id, NULL, err);

    if (from_fd < 0 || tree_copy(from_fd, dir_fd, NULL, err) < 0)
        return -1;
    return tree_copy_attributes(from_fd, dir_fd, NULL, err);
}

/* What the container needs between image and changes is put into its copy, where nothing is in the
 * way. */
static int skip_what_is_there(void *data, const struct tree_entry *entry, struct error *err UNUSED)
{
    const char *name;
    CLEANUP(close) int dir_fd = path_open_parent(*(const int *)data, entry->path, 0, &name, NULL);

    return !S_ISDIR(entry->status.st_mode) && dir_fd >= 0 &&
           faccessat(dir_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static int keep_directory(void *data, const struct tree_entry *entry, struct error *err UNUSED)
{
    struct stat status;
    const char *name;
    CLEANUP(close) int dir_fd = path_open_parent(*(const int *)data, entry->path, 0, &name, NULL);

    /* Made a moment ago with mode 0700, or the image's own. */
    return dir_fd < 0 || fstatat(dir_fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0 ||
           (status.st_mode & 07777) != 0700;
}

static int add_init(const struct writable *writable, struct error *err)
{
    CLEANUP(close) int from_fd = open(writable->init_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CLEANUP(close) int to_fd = open(writable->diff_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const struct tree_copy options = { .enter = skip_what_is_there,
                                       .leave = keep_directory,
                                       .data = &to_fd };

    if (from_fd < 0 || to_fd < 0)
        return error_sys(err, "open %s", writable->init_path);
    return tree_copy(from_fd, to_fd, &options, err);
}

static int vfs_mount(struct store *store, const char *chain_id, const struct writable *writable,
                     int user_namespace_fd, int *out_fd, struct error *err)
{
    CLEANUP(free) char *path = writable ? xstrdup(writable->diff_path) : NULL;

    if (!writable) {
        CLEANUP(close) int whole_fd = open_whole(store, chain_id, &path, err);

        if (whole_fd < 0)
            return -1;
    }
    if (writable && writable->init_path && add_init(writable, err) < 0)
        return error_context(err, "writable layer");
    CLEANUP(close) int fd = mount_clone(AT_FDCWD, path, false, err);
    if (fd < 0 ||
        mount_change(fd, false, writable ? 0 : MOUNT_ATTR_RDONLY, 0, MS_PRIVATE, err) < 0 ||
        (user_namespace_fd >= 0 && mount_map_owners(fd, false, user_namespace_fd, err) < 0))
        return -1;
    *out_fd = TAKE_FD(fd);
    return 0;
}

/* ---- one tree into a layer ---- */

struct comparison {
    int old_fd, diff_fd;
};

static bool is_same(const struct stat *a, const struct stat *b)
{
    if (a->st_mode != b->st_mode || a->st_uid != b->st_uid || a->st_gid != b->st_gid ||
        a->st_rdev != b->st_rdev)
        return false;
    if (S_ISDIR(a->st_mode))
        return true; /* What happened inside is seen inside. */
    return a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static bool look_up(int root_fd, const char *path, struct stat *out)
{
    const char *name;
    CLEANUP(close) int parent_fd = path_open_parent(root_fd, path, 0, &name, NULL);

    return parent_fd >= 0 && fstatat(parent_fd, name, out, AT_SYMLINK_NOFOLLOW) == 0;
}

static int compare_entry(void *data, const struct tree_entry *entry, struct error *err UNUSED)
{
    struct comparison *comparison = data;
    struct stat old;

    if (S_ISDIR(entry->status.st_mode) || whiteout_is_name(entry->name))
        return whiteout_is_name(entry->name);
    return look_up(comparison->old_fd, entry->path, &old) && is_same(&old, &entry->status);
}

/* Marks in the layer what was there before and is not any more. */
static int mark_removed(int old_fd, int new_fd, int diff_fd, struct error *err)
{
    int own_fd = open_directory(old_fd, ".");
    DIR *dir = own_fd < 0 ? NULL : fdopendir(own_fd);
    struct dirent *entry;
    int result = 0;

    if (!dir) {
        if (own_fd >= 0)
            close(own_fd);
        return error_sys(err, "read directory");
    }
    while (result == 0 && (entry = readdir(dir)))
        if (faccessat(new_fd, entry->d_name, F_OK, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
            result = whiteout_make(true, diff_fd, entry->d_name, err);
    closedir(dir);
    return result;
}

/* After a directory's content: 1 if nothing in it was changed, then it is no part of the layer. */
static int compare_directory(void *data, const struct tree_entry *entry, struct error *err)
{
    struct comparison *comparison = data;
    const char *name;
    CLEANUP(close) int new_fd = open_directory(entry->dir_fd, entry->name);
    CLEANUP(close)
    int old_fd = path_open(comparison->old_fd, entry->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0,
                           NULL);
    CLEANUP(close)
    int parent_fd = path_open_parent(comparison->diff_fd, entry->path, 0, &name, err);
    CLEANUP(close) int diff_fd = parent_fd < 0 ? -1 : open_directory(parent_fd, name);
    struct stat old;

    if (parent_fd < 0)
        return -1;
    if (new_fd < 0 || diff_fd < 0)
        return error_sys(err, "open %s", entry->path);
    if (old_fd < 0)
        return 0;
    if (fstat(old_fd, &old) < 0)
        return error_sys(err, "%s", entry->path);
    if (mark_removed(old_fd, new_fd, diff_fd, err) < 0)
        return -1;
    return is_same(&old, &entry->status) && unlinkat(parent_fd, name, AT_REMOVEDIR) == 0;
}

static int vfs_take(struct store *store, const char *parent_id, const struct writable *writable,
                    bool use_up UNUSED, const char *diff_path, struct late_copies *late UNUSED,
                    struct error *err)
{
    CLEANUP(close) int old_fd = open_whole(store, parent_id, NULL, err);
    CLEANUP(close) int new_fd = open(writable->diff_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (old_fd < 0)
        return -1;
    if (mkdir(diff_path, 0755) < 0)
        return error_sys(err, "make directory %s", diff_path);
    CLEANUP(close) int diff_fd = open(diff_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (new_fd < 0 || diff_fd < 0)
        return error_sys(err, "open %s", writable->diff_path);
    struct comparison comparison = { old_fd, diff_fd };
    const struct tree_copy options = { .enter = compare_entry,
                                       .leave = compare_directory,
                                       .data = &comparison };
    if (tree_copy(new_fd, diff_fd, &options, err) < 0 ||
        mark_removed(old_fd, new_fd, diff_fd, err) < 0)
        return -1;
    return tree_copy_attributes(new_fd, diff_fd, NULL, err);
}

static int vfs_probe(struct store *store UNUSED, struct error *err UNUSED)
{
    return 0;
}

const struct driver driver_vfs = {
    .name = "vfs",
    .marks_by_name = true,
    .probe = vfs_probe,
    .mount = vfs_mount,
    .fill = vfs_fill,
    .take_changes = vfs_take,
};
