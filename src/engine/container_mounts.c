/* The mounts of a container at its start and its end: what must be there is made, volumes that are
 * mounts are mounted, and what cannot be named by a path is opened. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "engine/internal.h"
#include "engine/mount_probe.h"
#include "engine/user_map.h"
#include "linux/mount.h"
#include "linux/mount_find.h"
#include "linux/path.h"
#include "linux/user_namespace.h"

#include "base/banned.h"

/* A wish to pass mounts on, or to get them, needs a source that does. */
static int check_propagation(const struct container_mount *mount, struct error *err)
{
    const char *wish = mount->propagation ? mount->propagation : "";
    CLEANUP(mount_place_done) struct mount_place place = {};
    bool wants_shared = text_ends(wish, "shared"), wants_slave = text_ends(wish, "slave");
    char real[PATH_MAX];

    if (!wants_shared && !wants_slave)
        return 0;
    if (!realpath(mount->source, real) || mount_find(real, &place, err) < 0)
        return error_sys(err, "bind %s", mount->source);
    if (place.is_shared || (wants_slave && place.is_slave))
        return 0;
    return error_set(err, ERROR_INTERNAL, "path %s is mounted on %s but it is not a shared%s mount",
                     mount->source, place.target, wants_slave ? " or slave" : "");
}

static int prepare_bind(const struct container_mount *mount, struct error *err)
{
    bool exists;

    if (mount_probe(mount->source, &exists, err) < 0)
        return error_context(err, "bind source path");
    if (!exists && mount->create_source && dir_make(mount->source, 0755, err) < 0)
        return error_context(err, "error while creating mount source path '%s'", mount->source);
    return check_propagation(mount, err);
}

static int acquire(struct engine *engine, const char *user, const struct container_mount *mount,
                   struct error *err)
{
    CLEANUP(volume_unref) struct volume *volume = NULL;

    if (volume_get(engine->volumes, mount->name, &volume, err) < 0)
        return -1;
    engine_usage_touch_volume(engine, volume);
    return volume_acquire(volume, user, err);
}

/* Links in a volume lead nowhere else, whoever put them there. */
static int open_subpath(int root_fd, const char *root_path, const char *subpath, struct error *err)
{
    struct error why = {};
    CLEANUP(close) int fd = path_open(root_fd, subpath, O_PATH, 0, &why);

    if (fd < 0) {
        errno = why.sys;
        return error_sys(err, "cannot access path %s/%s: lstat %s/%s", root_path, subpath,
                         root_path, subpath);
    }
    return mount_clone(fd, "", true, err);
}

static int open_volume(const struct container_mount *mount, struct error *err)
{
    CLEANUP(close)
    int fd = open(mount->source, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0)
        return error_sys(err, "open %s", mount->source);
    return open_subpath(fd, mount->source, mount->subpath, err);
}

/* A part of a mount that is attached nowhere can be copied since Linux 6.15 only. Before, it has to
 * be in the mount namespace of whoever copies: a thread makes itself one, in which nobody else sees
 * it, and which is gone with the thread. */
struct part {
    int root_fd;
    const struct container_mount *mount;
    int fd;
    struct error err;
};

static void *copy_part(void *data)
{
    struct part *part = data;
    const char *name = part->mount->name;

    if (unshare(CLONE_FS | CLONE_NEWNS) < 0) {
        error_sys(&part->err, "mount namespace of a thread");
        return NULL;
    }
    if (mount_change_at("/", true, 0, 0, MS_PRIVATE, &part->err) < 0 ||
        mount_place_at(part->root_fd, "/", &part->err) < 0)
        return NULL;
    part->fd = open_subpath(part->root_fd, name, part->mount->subpath, &part->err);
    return NULL;
}

static int open_image(struct engine *engine, const struct container_mount *mount,
                      int user_namespace_fd, struct error *err)
{
    CLEANUP(close) int fd = -1;
    pthread_t thread;

    if (store_mount_mapped(engine->store, mount->chain_id, NULL, user_namespace_fd, &fd, err) < 0)
        return error_context(err, "image %s", mount->name);
    if (text_is_empty(mount->subpath))
        return TAKE_FD(fd);
    struct part part = { .root_fd = fd, .mount = mount, .fd = -1 };
    if (thread_start("image-part", copy_part, &part, &thread, err) < 0)
        return -1;
    pthread_join(thread, NULL);
    if (part.fd < 0 && err)
        *err = part.err;
    return part.fd;
}

/* Who the container's command runs as, in numbers. */
static int find_user(const struct container_info *info, struct user_identity *out,
                     struct error *err)
{
    const char *user = text_is_empty(info->config.user) ? "0:0" : info->config.user;
    int found = container_user_look_up(info, user, out, err);

    if (found == 0)
        return error_set(err, ERROR_INVALID,
                         "the numbers of user %s are not known before the start; give them as "
                         "uid:gid",
                         user);
    return found < 0 ? -1 : 0;
}

/* The owner of what is bound and the container's user change places: what either makes there is
 * the other's on the other side. */
static int open_matched_bind(const struct container_info *info, const struct container_mount *mount,
                             struct error *err)
{
    CLEANUP(user_identity_done) struct user_identity user = {};
    CLEANUP(close) int fd = mount_clone(AT_FDCWD, mount->source, !mount->non_recursive, err);
    struct id_map map;
    struct stat status;

    if (fd < 0 || find_user(info, &user, err) < 0)
        return -1;
    if (fstat(fd, &status) < 0)
        return error_sys(err, "%s", mount->source);
    if (user_map_of_owner(info->spec, &user, &status, &map, err) < 0)
        return -1;
    CLEANUP(close) int namespace_fd = user_namespace_make(&map, NULL, err);
    if (namespace_fd < 0 || mount_map_owners(fd, !mount->non_recursive, namespace_fd, err) < 0)
        return error_context(err, "idmap of %s", mount->source);
    return TAKE_FD(fd);
}

static void add_source(struct container_sources *out, const char *destination, int fd)
{
    out->mounts = xrealloc(out->mounts, out->count + 1, sizeof(*out->mounts));
    out->mounts[out->count++] = (struct shim_mount){ destination, fd };
}

bool container_sources_have(const struct container_sources *sources, const char *destination)
{
    for (size_t i = 0; i < sources->count; i++)
        if (strcmp(sources->mounts[i].destination, destination) == 0)
            return true;
    return false;
}

int container_sources_add(struct container_sources *sources, const char *path,
                          const char *destination, int user_namespace_fd, struct error *err)
{
    CLEANUP(close) int fd = mount_clone(AT_FDCWD, path, false, err);

    if (fd < 0 || mount_map_owners(fd, false, user_namespace_fd, err) < 0)
        return error_context(err, "%s", path);
    add_source(sources, destination, TAKE_FD(fd));
    return 0;
}

/* A volume or an image shows its own numbers to the container, whatever those are on the host. */
static int open_mapped(struct engine *engine, const struct container_mount *mount,
                       int user_namespace_fd, struct error *err)
{
    CLEANUP(close) int fd = -1;

    if (strcmp(mount->type, "image") == 0)
        fd = open_image(engine, mount, user_namespace_fd, err);
    else
        fd = text_is_empty(mount->subpath) ? mount_clone(AT_FDCWD, mount->source, true, err)
                                           : open_volume(mount, err);
    if (fd < 0)
        return -1;
    if (strcmp(mount->type, "volume") == 0 &&
        mount_map_owners(fd, true, user_namespace_fd, err) < 0)
        return error_context(err, "volume %s", mount->name);
    return TAKE_FD(fd);
}

/* Adds the descriptor that a mount needs, if it does. */
static int open_source(struct engine *engine, const struct container_info *info,
                       const struct container_mount *mount, int user_namespace_fd,
                       struct container_sources *out, struct error *err)
{
    int fd = -1;

    if (mount->match_user)
        fd = open_matched_bind(info, mount, err);
    else if (user_namespace_fd >= 0 && strcmp(mount->type, "bind") != 0)
        fd = open_mapped(engine, mount, user_namespace_fd, err);
    else if (strcmp(mount->type, "image") == 0)
        fd = open_image(engine, mount, -1, err);
    else if (strcmp(mount->type, "volume") == 0 && !text_is_empty(mount->subpath))
        fd = open_volume(mount, err);
    else
        return 0;
    if (fd < 0)
        return -1;
    add_source(out, mount->destination, fd);
    return 0;
}

static int prepare(struct engine *engine, const char *user, const struct container_info *info,
                   const struct container_mount *mount, int user_namespace_fd,
                   struct container_sources *out, struct error *err)
{
    if (strcmp(mount->type, "bind") == 0 && prepare_bind(mount, err) < 0)
        return -1;
    if (strcmp(mount->type, "tmpfs") == 0)
        return mount_check_tmpfs(mount->options ? mount->options : "", err);
    if (strcmp(mount->type, "volume") == 0 && acquire(engine, user, mount, err) < 0)
        return -1;
    return open_source(engine, info, mount, user_namespace_fd, out, err);
}

int container_mounts_begin(struct engine *engine, const char *user,
                           const struct container_info *info, int user_namespace_fd,
                           struct container_sources *out, struct error *err)
{
    CLEANUP(container_sources_done) struct container_sources sources = {};
    const struct container_spec *spec = info->spec;

    for (size_t i = 0; i < spec->mounts.count; i++)
        if (prepare(engine, user, info, &JSON_ITEMS(&spec->mounts, struct container_mount)[i],
                    user_namespace_fd, &sources, err) < 0) {
            container_mounts_end(engine, user, spec);
            return -1;
        }
    *out = sources;
    sources = (struct container_sources){};
    return 0;
}

void container_sources_done(struct container_sources *sources)
{
    for (size_t i = 0; i < sources->count; i++)
        close(sources->mounts[i].fd);
    free(sources->mounts);
    *sources = (struct container_sources){};
}

void container_mounts_take_over(struct container *container, const struct container_spec *spec)
{
    for (size_t i = 0; i < spec->mounts.count; i++) {
        const struct container_mount *mount = &JSON_ITEMS(&spec->mounts, struct container_mount)[i];
        struct error err = {};

        if (strcmp(mount->type, "volume") == 0 &&
            acquire(container->engine, container->id, mount, &err) < 0)
            log_warn("a volume in use is not mounted", "volume", mount->name, "error", err.text);
    }
}

void container_mounts_end(struct engine *engine, const char *user,
                          const struct container_spec *spec)
{
    for (size_t i = 0; i < spec->mounts.count; i++) {
        const struct container_mount *mount = &JSON_ITEMS(&spec->mounts, struct container_mount)[i];
        CLEANUP(volume_unref) struct volume *volume = NULL;
        struct error err = {};

        if (strcmp(mount->type, "volume") != 0 ||
            volume_get(engine->volumes, mount->name, &volume, &err) < 0)
            continue;
        engine_usage_touch_volume(engine, volume);
        if (volume_release(volume, user, &err) < 0)
            log_warn("cannot unmount a volume", "volume", mount->name, "error", err.text);
    }
}
