/* Mounts that come and go while a container is there. The configuration is changed first, in the
 * record, so that the next start does as the running container does; a mount that is made detached
 * is then placed in the namespace of the running one, looked up inside its root. */
#include <fcntl.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "engine/container_view.h"
#include "engine/internal.h"
#include "engine/runtime_config.h"
#include "engine/user_map.h"
#include "linux/mount.h"
#include "linux/mount_options.h"
#include "linux/mount_view.h"

#include "base/banned.h"

enum { SETTING_LIMIT = 64 };

/* ---- the configuration ---- */

static bool is_below(const char *path, const char *parent)
{
    size_t length = strlen(parent);

    return strncmp(path, parent, length) == 0 && path[length] == '/';
}

/* What is mounted below 'destination'; NULL: nothing. */
static const char *find_below(const struct json_list *mounts, const char *destination)
{
    for (size_t i = 0; i < mounts->count; i++) {
        const char *other = JSON_ITEMS(mounts, struct container_mount)[i].destination;

        if (is_below(other, destination))
            return other;
    }
    return NULL;
}

static struct container_mount *find(const struct json_list *mounts, const char *destination)
{
    for (size_t i = 0; i < mounts->count; i++)
        if (strcmp(JSON_ITEMS(mounts, struct container_mount)[i].destination, destination) == 0)
            return &JSON_ITEMS(mounts, struct container_mount)[i];
    return NULL;
}

static void append(struct json_list *mounts, struct container_mount *mount)
{
    *(struct container_mount *)json_list_add(mounts, sizeof(*mount)) = *mount;
    *mount = (struct container_mount){};
}

static void free_mounts(struct json_list *mounts)
{
    for (size_t i = 0; i < mounts->count; i++)
        container_mount_done(&JSON_ITEMS(mounts, struct container_mount)[i]);
    free(mounts->items);
    *mounts = (struct json_list){};
}
CLEANUP_VALUE(free_mounts, struct json_list)

/* However it was asked for: nobody asks for it any more. */
static void forget_wish(struct host_config *host, const char *destination)
{
    struct mount_request *requests = JSON_ITEMS(&host->mounts, struct mount_request);
    CLEANUP(strv_done) struct strv tmpfs = {};

    for (size_t i = host->mounts.count; i-- > 0;) {
        CLEANUP(free) char *target = path_clean(requests[i].target);

        if (strcmp(target, destination) != 0)
            continue;
        json_fields_done(mount_request_fields, &requests[i]);
        memmove(&requests[i], &requests[i + 1],
                (--host->mounts.count - i) * sizeof(struct mount_request));
    }
    for (size_t i = host->binds.count; i-- > 0;) {
        CLEANUP(container_mount_done) struct container_mount mount = {};

        if (mount_parse_bind(host->binds.items[i], &mount, NULL) == 0 &&
            strcmp(mount.destination, destination) == 0)
            strv_remove(&host->binds, i);
    }
    MAP_EACH (&host->tmpfs, entry) {
        CLEANUP(free) char *target = path_clean(entry->key);

        if (strcmp(target, destination) == 0)
            strv_add(&tmpfs, entry->key);
    }
    for (size_t i = 0; i < tmpfs.count; i++)
        map_remove(&host->tmpfs, tmpfs.items[i]);
}

/* Moves the mounts from the specification to 'out', the deepest first. */
static int take_removed(struct container_spec *spec, const struct strv *targets,
                        struct json_list *out, struct error *err)
{
    for (size_t i = 0; i < targets->count; i++) {
        CLEANUP(free) char *target = path_clean(targets->items[i]);
        struct container_mount *mount = find(&spec->mounts, target);

        if (!mount)
            return error_set(err, ERROR_INVALID, "nothing is mounted on %s", targets->items[i]);
        size_t index = (size_t)(mount - JSON_ITEMS(&spec->mounts, struct container_mount));
        append(out, mount);
        memmove(mount, mount + 1, (--spec->mounts.count - index) * sizeof(*mount));
        forget_wish(&spec->host_config, target);
    }
    container_mounts_sort(out);
    for (size_t i = 0; i < out->count; i++) {
        const char *target = JSON_ITEMS(out, struct container_mount)[i].destination;
        const char *below = find_below(&spec->mounts, target);

        if (below)
            return error_set(err, ERROR_CONFLICT, "%s is in use: something is mounted on %s",
                             target, below);
    }
    return 0;
}

static int add_wished(struct engine *engine, struct container_spec *spec,
                      const struct json_list *requests, struct json_list *out, struct error *err)
{
    for (size_t i = 0; i < requests->count; i++) {
        const struct mount_request *request = &JSON_ITEMS(requests, struct mount_request)[i];
        CLEANUP(container_mount_done) struct container_mount mount = {}, copy = {};

        if (container_mount_resolve(engine, request, &mount, err) < 0)
            return -1;
        if (find(&spec->mounts, mount.destination))
            return error_set(err, ERROR_CONFLICT, "Duplicate mount point: %s", mount.destination);
        const char *below = find_below(&spec->mounts, mount.destination);
        if (below)
            return error_set(err, ERROR_CONFLICT, "a mount on %s would hide the one on %s",
                             mount.destination, below);
        json_fields_copy(container_mount_fields, &mount, &copy);
        append(&spec->mounts, &copy);
        append(out, &mount);
        json_fields_copy(mount_request_fields, request,
                         json_list_add(&spec->host_config.mounts, sizeof(*request)));
    }
    container_mounts_sort(&spec->mounts);
    container_mounts_sort(out);
    return 0;
}

/* ---- a container that runs ---- */

static int make_tmpfs(const struct mount_options *options, struct error *err)
{
    struct mount_setting settings[SETTING_LIMIT + 1] = { { "source", "tmpfs" } };
    CLEANUP(strv_done) struct strv words = {};

    if (options->data.count > SETTING_LIMIT)
        return error_set(err, ERROR_INVALID, "too many mount options");
    strv_copy(&words, &options->data);
    for (size_t i = 0; i < words.count; i++) {
        char *value = strchr(words.items[i], '=');

        if (value)
            *value++ = 0;
        settings[i + 1] = (struct mount_setting){ words.items[i], value };
    }
    return mount_create("tmpfs", settings, words.count + 1, (unsigned)options->set, err);
}

/* The detached mount, with all that was wished. */
static int make_mount(const struct container_mount *mount, int source_fd, struct error *err)
{
    CLEANUP(free) char *text = mount_config_options(mount);
    CLEANUP(strv_done) struct strv words = {};
    CLEANUP(mount_options_done) struct mount_options options = {};
    CLEANUP(close) int fd = -1;

    strv_split(&words, text, ',');
    if (mount_options_parse(&words, &options, err) < 0)
        return -1;
    if (strcmp(mount->type, "tmpfs") == 0)
        fd = make_tmpfs(&options, err);
    else if (source_fd >= 0)
        fd = fcntl(source_fd, F_DUPFD_CLOEXEC, 3);
    else
        fd = mount_clone(AT_FDCWD, mount->source, options.is_recursive, err);
    if (fd < 0) /* The duplicate's reason is not told yet. */
        return source_fd >= 0 ? error_sys(err, "keep a mount") : -1;
    if ((options.recursive_set &&
         mount_change(fd, true, options.recursive_set, options.recursive_clear, 0, err) < 0) ||
        ((options.set || options.clear) &&
         mount_change(fd, false, options.set, options.clear, 0, err) < 0) ||
        (options.propagation &&
         mount_change(fd, options.propagation_recursive, 0, 0, options.propagation, err) < 0))
        return -1;
    return TAKE_FD(fd);
}

static int source_of(const struct container_sources *sources, const char *destination)
{
    for (size_t i = 0; i < sources->count; i++)
        if (strcmp(sources->mounts[i].destination, destination) == 0)
            return sources->mounts[i].fd;
    return -1;
}

static int place(const struct mount_view *view, const struct container_mount *mount, int source_fd,
                 struct error *err)
{
    CLEANUP(close) int fd = make_mount(mount, source_fd, err);
    struct mount_part part = {
        .mount_fd = fd, .target = mount->destination, .makes_target = true, .avoids_kernel = true
    };

    return fd < 0 ? -1 : mount_view_add(view, &part, 1, err);
}

static void remove_placed(const struct mount_view *view, const struct json_list *mounts,
                          size_t count)
{
    for (size_t i = count; i-- > 0;) {
        const char *target = JSON_ITEMS(mounts, struct container_mount)[i].destination;
        struct error err = {};

        if (mount_view_remove(view, target, &err) < 0)
            log_warn("cannot take a mount back", "target", target, "error", err.text);
    }
}

/* All of them or none; their volumes are in use by the container then. */
static int place_all(struct container *container, const struct container_info *info,
                     const struct mount_view *view, const struct json_list *mounts,
                     struct error *err)
{
    struct container_spec partial = { .mounts = *mounts, .users = info->spec->users };
    struct container_info borrowed = *info;
    CLEANUP(container_sources_done) struct container_sources sources = {};
    CLEANUP(close) int users_fd = -1;

    borrowed.spec = &partial;
    if (user_map_open(&partial, &users_fd, NULL, err) < 0 ||
        container_mounts_begin(container->engine, container->id, &borrowed, users_fd, &sources,
                               err) < 0)
        return -1;
    for (size_t i = 0; i < mounts->count; i++) {
        const struct container_mount *mount = &JSON_ITEMS(mounts, struct container_mount)[i];

        if (place(view, mount, source_of(&sources, mount->destination), err) < 0) {
            remove_placed(view, mounts, i);
            container_mounts_end(container->engine, container->id, &partial);
            return -1;
        }
    }
    return 0;
}

/* What the container itself has taken off already is fine. */
static int take_off(struct container *container, const struct mount_view *view,
                    const struct json_list *mounts, struct error *err)
{
    for (size_t i = mounts->count; i-- > 0;) {
        struct container_mount *mount = &JSON_ITEMS(mounts, struct container_mount)[i];
        const struct container_spec partial = { .mounts = { mount, 1 } };
        struct error why = {};

        if (mount_view_remove(view, mount->destination, &why) < 0 && why.kind != ERROR_NOT_FOUND) {
            if (err)
                *err = why;
            return -1;
        }
        container_mounts_end(container->engine, container->id, &partial);
    }
    return 0;
}

static int change_running(struct container *container, const struct container_info *info,
                          const struct json_list *removed, const struct json_list *added,
                          struct error *err)
{
    CLEANUP(close) int namespace_fd = container_mount_namespace(info, err);
    CLEANUP(mount_view_done) struct mount_view view = {};
    struct error failed = {};

    if (namespace_fd < 0 || mount_view_of(namespace_fd, &view, err) < 0 ||
        take_off(container, &view, removed, err) < 0)
        return -1;
    user_map_root(info->spec, &view.maker_uid, &view.maker_gid);
    if (place_all(container, info, &view, added, err) == 0)
        return 0;
    if (removed->count && place_all(container, info, &view, removed, &failed) < 0)
        log_error("cannot put a mount back", "container", container->id, "error", failed.text);
    return -1;
}

/* ---- both ---- */

static void take_back_volumes(struct container *container, const struct strv *volumes)
{
    struct error err = {};

    for (size_t i = 0; i < volumes->count; i++)
        if (volume_remove(container->engine->volumes, volumes->items[i], false, &err) < 0)
            log_warn("cannot take back a volume", "volume", volumes->items[i], "error", err.text);
}

struct mounts_wish {
    const struct strv *removed;
    const struct json_list *added;
};

/* Operation held. */
static int change(struct container *container, const void *data, struct error *err)
{
    const struct mounts_wish *wish = data;
    CLEANUP(container_info_unref) struct container_info *info = container_snapshot(container);
    CLEANUP(container_spec_unref) struct container_spec *spec = NULL;
    CLEANUP(strv_done) struct strv volumes = {};
    CLEANUP(free_mounts) struct json_list removed = {}, added = {};

    if (container_change_begin(info, &spec, err) < 0 ||
        take_removed(spec, wish->removed, &removed, err) < 0 ||
        add_wished(container->engine, spec, wish->added, &added, err) < 0 ||
        container_set_spec(container, spec, err) < 0)
        return -1;
    const struct container_spec partial = { .mounts = added, .chain_id = spec->chain_id };
    if (container_volumes_make(container->engine, &added, &volumes, err) < 0 ||
        container_volumes_fill(container, &partial, err) < 0 ||
        (container_is_up(info) && change_running(container, info, &removed, &added, err) < 0)) {
        container_change_end(container, info->spec, -1);
        take_back_volumes(container, &volumes);
        return -1;
    }
    return container_change_end(container, info->spec, 0);
}

int engine_container_change_mounts(struct engine *engine, const char *text,
                                   const struct strv *removed, const struct json_list *added,
                                   struct error *err)
{
    const struct mounts_wish wish = { removed, added };

    return container_change(engine, text, change, &wish, err);
}
