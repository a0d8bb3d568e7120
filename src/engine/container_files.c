/* Files of containers, out and in. */
#include "engine/container_files.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>

#include "archive/collect.h"
#include "archive/entry.h"
#include "archive/extract.h"
#include "base/clock.h"
#include "base/descriptor.h"
#include "base/memory.h"
#include "base/text.h"
#include "engine/container_path.h"
#include "engine/container_view.h"
#include "engine/user_map.h"
#include "linux/file_copy.h"
#include "linux/path.h"
#include "runtime/user.h"
#include "spec/passed_file.h"

#include "base/banned.h"

struct container_files {
    struct container_view *view;
    int dir_fd;         /* in which … */
    char *name;         /* … this is what is wanted; "." for dir_fd itself */
    char *archive_name; /* NULL: the content only */
    bool is_export;
};

void path_stat_done(struct path_stat *status)
{
    free(status->name);
    free(status->link_target);
    *status = (struct path_stat){};
}

/* ---- looking up ---- */

/* Docker's words for what 'path_open' found wrong. */
static int blame_path(struct error *err, const char *path, const struct container_info *info)
{
    int number = err ? err->sys : 0;

    if (number == ENOENT)
        return error_set(err, ERROR_NOT_FOUND, "Could not find the file %s in container %s", path,
                         info->name);
    if (number == ENOTDIR)
        return error_set(err, ERROR_INTERNAL, "lstat %s: not a directory", path);
    return -1;
}

/* A file that was found: by the directory that it is in, so that it is looked up only once. */
struct found {
    int dir_fd;
    const char *name; /* in it; "." for itself */
    struct stat status;
};

static int look_up(const struct container_view *view, const struct container_path *path,
                   const char *text, struct found *out, struct error *err)
{
    struct error own = {};
    struct error *why = err ?: &own;
    CLEANUP(close) int fd = -1;

    out->name = ".";
    if (path->is_directory || strcmp(path->path, "/") == 0)
        fd = path_open(view->mounts.root_fd, path->path, O_PATH | O_DIRECTORY, 0, why);
    else
        fd = path_open_parent(view->mounts.root_fd, path->path, 0, &out->name, why);
    if (fd >= 0 && fstatat(fd, out->name, &out->status, AT_SYMLINK_NOFOLLOW) < 0) {
        error_sys(why, "stat %s", text);
        close(fd);
        fd = -1;
    }
    if (fd < 0)
        return blame_path(why, text, view->info);
    out->dir_fd = TAKE_FD(fd);
    return 0;
}

static void fill_stat(const struct container_view *view, const struct container_path *path,
                      const struct stat *status, struct path_stat *out)
{
    *out = (struct path_stat){
        .name = xstrdup(path->name),
        .size = status->st_size,
        .mtime_ns = status->st_mtim.tv_sec * NS_PER_S + status->st_mtim.tv_nsec,
        .mode = go_file_mode(status->st_mode),
        .link_target = S_ISLNK(status->st_mode)
                           ? container_path_resolve(view->mounts.root_fd, path->path)
                           : xstrdup(""),
    };
}

static int open_view(struct engine *engine, const char *text, bool with_mounts,
                     struct container_view **out, struct error *err)
{
    CLEANUP(container_unref) struct container *container = NULL;

    if (container_find(engine, text, &container, err) < 0)
        return -1;
    return container_view_open(container, with_mounts, out, err);
}

int engine_container_stat(struct engine *engine, const char *text, const char *path,
                          struct path_stat *out, struct error *err)
{
    CLEANUP(container_view_close) struct container_view *view = NULL;
    CLEANUP(container_path_done) struct container_path parsed = {};
    struct found found;

    if (container_path_parse(path, &parsed, err) < 0 ||
        open_view(engine, text, true, &view, err) < 0 ||
        look_up(view, &parsed, path, &found, err) < 0)
        return -1;
    close(found.dir_fd);
    fill_stat(view, &parsed, &found.status, out);
    return 0;
}

/* ---- out ---- */

int engine_container_files_open(struct engine *engine, const char *text, const char *path,
                                struct container_files **out, struct path_stat *out_stat,
                                struct error *err)
{
    CLEANUP(container_view_close) struct container_view *view = NULL;
    CLEANUP(container_path_done) struct container_path parsed = {};
    struct found found;

    if (container_path_parse(path, &parsed, err) < 0 ||
        open_view(engine, text, true, &view, err) < 0 ||
        look_up(view, &parsed, path, &found, err) < 0)
        return -1;
    fill_stat(view, &parsed, &found.status, out_stat);
    container_event(view->container, view->info, "archive-path", NULL);
    struct container_files *files = NEW(struct container_files);
    *files = (struct container_files){ TAKE(view), found.dir_fd, xstrdup(found.name),
                                       xstrdup(parsed.name), false };
    *out = files;
    return 0;
}

int engine_container_export_open(struct engine *engine, const char *text,
                                 struct container_files **out, struct error *err)
{
    CLEANUP(container_view_close) struct container_view *view = NULL;

    if (open_view(engine, text, false, &view, err) < 0)
        return -1;
    int fd = fcntl(view->mounts.root_fd, F_DUPFD_CLOEXEC, 3);
    if (fd < 0)
        return error_sys(err, "open the root of container %s", view->info->name);
    struct container_files *files = NEW(struct container_files);
    *files = (struct container_files){ TAKE(view), fd, xstrdup("."), NULL, true };
    *out = files;
    return 0;
}

int container_files_write(struct container_files *files, struct stream *out, struct error *err)
{
    struct id_map map;
    const struct collect_options options = {
        .name = files->archive_name,
        .seen_in = user_map_get(files->view->info->spec, &map) ? &map : NULL,
        .cancel_fd = files->view->cancel_fd,
    };

    if (collect_tree(files->dir_fd, files->name, &options, out, err) < 0)
        return -1;
    if (files->is_export)
        container_event(files->view->container, files->view->info, "export", NULL);
    return 0;
}

int container_files_share(const struct container_files *files)
{
    struct stat status;

    if (fstatat(files->dir_fd, files->name, &status, AT_SYMLINK_NOFOLLOW) < 0 ||
        !S_ISREG(status.st_mode) || status.st_size < PASSED_FILE_LEAST)
        return -1;
    CLEANUP(close) int fd = entry_open(files->dir_fd, files->name, &status, NULL);
    if (fd < 0 || fstat(fd, &status) < 0 || status.st_mode & (S_ISUID | S_ISGID) ||
        fgetxattr(fd, "security.capability", NULL, 0) >= 0)
        return -1;
    return TAKE_FD(fd);
}

int container_files_cancel_fd(const struct container_files *files)
{
    return files->view->cancel_fd;
}

void container_files_close(struct container_files *files)
{
    if (!files)
        return;
    close(files->dir_fd);
    container_view_close(files->view);
    free(files->name);
    free(files->archive_name);
    free(files);
}

/* ---- in ---- */

/* What is written where the kernel's own file systems are would never be seen. */
static int check_visible(const struct container_view *view, const char *path, int dir_fd,
                         struct error *err)
{
    static const char *const hidden[] = { "/dev", "/proc", "/sys" };

    if (mount_id_of(dir_fd) != view->root_mount_id)
        return 0; /* On a mount of its own, a volume for one. */
    CLEANUP(free) char *resolved = container_path_resolve(view->mounts.root_fd, path);
    for (size_t i = 0; i < COUNT(hidden); i++)
        if (container_path_is_below(resolved, hidden[i]))
            return error_set(err, ERROR_INVALID,
                             "cannot copy to %s: what is below %s is made by the kernel", path,
                             hidden[i]);
    return 0;
}

static int check_target(const struct container_view *view, const char *path, int dir_fd,
                        struct error *err)
{
    struct statvfs filesystem;
    struct stat status;

    if (fstat(dir_fd, &status) < 0 || fstatvfs(dir_fd, &filesystem) < 0)
        return error_sys(err, "look at %s", path);
    if (!S_ISDIR(status.st_mode))
        return error_set(err, ERROR_INVALID, "extraction point is not a directory");
    if (filesystem.f_flag & ST_RDONLY)
        return error_set(err, ERROR_INVALID,
                         mount_id_of(dir_fd) == view->root_mount_id
                             ? "container rootfs is marked read-only"
                             : "mounted volume is marked read-only");
    return check_visible(view, path, dir_fd, err);
}

/* The owner that the container's command has, by its own files. */
static int give_owner(const struct container_view *view, struct extract_options *options,
                      struct error *err)
{
    CLEANUP(user_identity_done) struct user_identity identity = {};
    const struct runtime_user user = { .username = view->info->config.user };

    if (text_is_empty(view->info->config.user))
        return 0;
    if (user_look_up(view->mounts.root_fd, &user, &identity, err) < 0)
        return -1;
    options->is_owner_given = true;
    options->uid = identity.uid;
    options->gid = identity.gid;
    return 0;
}

static int open_target(const struct container_view *view, const char *path, const char *text,
                       struct error *err)
{
    struct error why = {};
    int fd = path_open(view->mounts.root_fd, path, O_PATH, 0, &why);

    if (fd >= 0)
        return fd;
    if (why.sys == ENOTDIR)
        return error_set(err, ERROR_INVALID, "extraction point is not a directory");
    if (err)
        *err = why;
    return blame_path(err, text, view->info);
}

/* On its way into a container. */
struct entrance {
    struct container_view *view;
    struct container_path path;
    struct id_map map;
    struct extract_options options;
};

static void entrance_done(struct entrance *entrance)
{
    container_view_close(entrance->view);
    container_path_done(&entrance->path);
}
CLEANUP_VALUE(entrance_done, struct entrance)

static int entrance_open(struct entrance *entrance, struct engine *engine, const char *text,
                         const char *path, const struct extract_wish *wish, struct error *err)
{
    struct container_view *view;

    if (container_path_parse(path, &entrance->path, err) < 0 ||
        open_view(engine, text, true, &entrance->view, err) < 0)
        return -1;
    view = entrance->view;
    CLEANUP(close) int dir_fd = open_target(view, entrance->path.path, path, err);
    if (dir_fd < 0 || check_target(view, entrance->path.path, dir_fd, err) < 0)
        return -1;
    bool is_mapped = user_map_get(view->info->spec, &entrance->map);
    entrance->options = (struct extract_options){ .path = entrance->path.path,
                                                  .keeps_owners = true,
                                                  .seen_in = is_mapped ? &entrance->map : NULL,
                                                  .keeps_kinds = wish->keeps_kinds,
                                                  .cancel_fd = view->cancel_fd };
    return wish->is_owned_by_user ? give_owner(view, &entrance->options, err) : 0;
}

/* As the container's root, whose number on the host may be another than ours. */
static int enter(const struct entrance *entrance,
                 int (*put)(void *data, int root_fd, const struct extract_options *options,
                            struct error *err),
                 void *data, struct error *err)
{
    const struct container_view *view = entrance->view;
    uint32_t uid, gid;

    user_map_root(view->info->spec, &uid, &gid);
    if ((uid || gid) && user_make_files_as(uid, gid, err) < 0)
        return -1;
    int result = put(data, view->mounts.root_fd, &entrance->options, err);
    if ((uid || gid) && user_make_files_as(0, 0, NULL) < 0)
        abort();
    if (result == 0)
        container_event(view->container, view->info, "extract-to-dir", NULL);
    return result;
}

static int put_archive(void *data, int root_fd, const struct extract_options *options,
                       struct error *err)
{
    return extract_archive(data, root_fd, options, err);
}

int engine_container_extract(struct engine *engine, const char *text, const char *path,
                             const struct extract_wish *wish, struct stream *archive,
                             struct error *err)
{
    CLEANUP(entrance_done) struct entrance entrance = {};

    if (entrance_open(&entrance, engine, text, path, wish, err) < 0)
        return -1;
    return enter(&entrance, put_archive, archive, err);
}

struct described_file {
    int fd;
    struct tar_entry entry;
};

static int put_file(void *data, int root_fd, const struct extract_options *options,
                    struct error *err)
{
    struct described_file *file = data;

    return extract_file(file->fd, &file->entry, root_fd, options, err);
}

int engine_container_put_file(struct engine *engine, const char *text, const char *path,
                              const struct extract_wish *wish, const struct file_source *source,
                              struct error *err)
{
    CLEANUP(entrance_done) struct entrance entrance = {};
    struct described_file file = { .fd = source->fd };

    if (!file_copy_is_fit(source->fd))
        return error_set(err, ERROR_UNSUPPORTED, "no such descriptor can be copied from");
    if (entrance_open(&entrance, engine, text, path, wish, err) < 0)
        return -1;
    CLEANUP(close)
    int cancel_fd = descriptor_either(entrance.view->cancel_fd, source->cancel_fd, err);
    if (cancel_fd < 0 || collect_describe(source->fd, source->name, &file.entry, err) < 0)
        return -1;
    entrance.options.cancel_fd = cancel_fd;
    int result = enter(&entrance, put_file, &file, err);
    tar_entry_done(&file.entry);
    return result;
}
