/* All mounts of a container to be: collected from every source of them, checked against each other,
 * sorted so that parents come before what lies in them, and volumes made for those that name none
 * yet. */
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "engine/internal.h"
#include "engine/mount_probe.h"
#include "engine/volume.h"

#include "base/banned.h"

static struct container_mount *find(struct json_list *mounts, const char *destination)
{
    for (size_t i = 0; i < mounts->count; i++)
        if (strcmp(JSON_ITEMS(mounts, struct container_mount)[i].destination, destination) == 0)
            return &JSON_ITEMS(mounts, struct container_mount)[i];
    return NULL;
}

static void add(struct json_list *mounts, struct container_mount *mount)
{
    *(struct container_mount *)json_list_add(mounts, sizeof(*mount)) = *mount;
    *mount = (struct container_mount){};
}

/* --volumes-from X[:mode] */
static int add_from(struct engine *engine, const char *text, struct json_list *out,
                    struct error *err)
{
    CLEANUP(strv_done) struct strv parts = {};
    CLEANUP(container_unref) struct container *other = NULL;
    bool read_only = false;

    strv_split(&parts, text, ':');
    if (!parts.count)
        return error_set(err, ERROR_INVALID,
                         "volumes-from specification cannot be an empty string");
    if (parts.count > 2 || !*parts.items[0])
        return error_set(err, ERROR_INVALID, "invalid volumes-from specification: %s", text);
    if (parts.count == 2 && !mount_check_mode(parts.items[1], &read_only))
        return error_set(err, ERROR_INVALID, "invalid mode: %s", parts.items[1]);
    if (container_find(engine, parts.items[0], &other, err) < 0) {
        err->kind = ERROR_INVALID;
        return -1;
    }
    CLEANUP(container_info_unref) struct container_info *info = container_snapshot(other);
    for (size_t i = 0; i < info->spec->mounts.count; i++) {
        const struct container_mount *theirs = &JSON_ITEMS(&info->spec->mounts,
                                                           struct container_mount)[i];
        CLEANUP(container_mount_done) struct container_mount mount = {};

        if (theirs->is_legacy_tmpfs || find(out, theirs->destination))
            continue;
        json_fields_copy(container_mount_fields, theirs, &mount);
        mount.rw = theirs->rw && !read_only;
        mount.no_copy = true;
        add(out, &mount);
    }
    return 0;
}

/* --volume-driver is for volumes that are not asked for with a driver of their own. */
static void use_driver(struct container_mount *mount, const struct host_config *host_config)
{
    if (strcmp(mount->type, "volume") != 0 || text_is_empty(host_config->volume_driver))
        return;
    free(mount->driver);
    mount->driver = xstrdup(host_config->volume_driver);
}

static int add_binds(const struct host_config *host_config, struct json_list *out,
                     struct error *err)
{
    for (size_t i = 0; i < host_config->binds.count; i++) {
        CLEANUP(container_mount_done) struct container_mount mount = {};

        if (mount_parse_bind(host_config->binds.items[i], &mount, err) < 0)
            return -1;
        use_driver(&mount, host_config);
        if (find(out, mount.destination))
            return error_set(err, ERROR_INVALID, "Duplicate mount point: %s", mount.destination);
        add(out, &mount);
    }
    return 0;
}

static int add_requests(const struct host_config *host_config, struct json_list *out,
                        struct error *err)
{
    for (size_t i = 0; i < host_config->mounts.count; i++) {
        CLEANUP(container_mount_done) struct container_mount mount = {};

        if (mount_parse_request(&JSON_ITEMS(&host_config->mounts, struct mount_request)[i], &mount,
                                err) < 0)
            return -1;
        if (find(out, mount.destination))
            return error_set(err, ERROR_INVALID, "Duplicate mount point: %s", mount.destination);
        add(out, &mount);
    }
    return 0;
}

static int add_tmpfs(const struct host_config *host_config, struct json_list *out,
                     struct error *err)
{
    MAP_EACH (&host_config->tmpfs, entry) {
        CLEANUP(container_mount_done) struct container_mount mount = {};

        if (entry->key[0] != '/')
            return error_set(err, ERROR_INVALID,
                             "invalid mount path: '%s' mount path must be absolute", entry->key);
        mount.destination = path_clean(entry->key);
        if (strcmp(mount.destination, "/") == 0)
            return error_set(err, ERROR_INVALID, "invalid specification: destination can't be '/'");
        if (find(out, mount.destination))
            return error_set(err, ERROR_INVALID, "Duplicate mount point: %s", mount.destination);
        mount.type = xstrdup("tmpfs");
        mount.options = xstrdup(entry->value);
        mount.rw = true;
        mount.is_legacy_tmpfs = true;
        add(out, &mount);
    }
    return 0;
}

/* VOLUME of the image and -v /path without a name. */
static int add_anonymous(const struct container_config *config,
                         const struct host_config *host_config, struct json_list *out,
                         struct error *err)
{
    for (size_t i = 0; i < config->volumes.count; i++) {
        CLEANUP(container_mount_done) struct container_mount mount = {};
        /* Images and old clients have relative ones too. */
        CLEANUP(free) char *path = xasprintf("/%s", config->volumes.items[i]);

        mount.destination = path_clean(path);
        if (strcmp(mount.destination, "/") == 0)
            return error_set(err, ERROR_INVALID, "invalid specification: destination can't be '/'");
        if (find(out, mount.destination))
            continue;
        mount.type = xstrdup("volume");
        mount.driver = xstrdup("local");
        mount.mode = xstrdup("");
        mount.rw = true;
        mount.is_anonymous = true;
        use_driver(&mount, host_config);
        add(out, &mount);
    }
    return 0;
}

/* A volume that is there keeps its driver, and what a snapshot shows stays as it is. */
static void fit_volume(struct engine *engine, struct container_mount *mount)
{
    CLEANUP(volume_unref) struct volume *volume = NULL;

    if (volume_get(engine->volumes, mount->name, &volume, NULL) < 0)
        return;
    if (text_is_empty(mount->driver) || strcmp(mount->driver, "local") == 0) {
        free(mount->driver);
        mount->driver = xstrdup(volume->driver);
    }
    if (volume->snapshot_of) {
        mount->rw = false;
        mount->no_copy = true;
    }
}

/* Names volumes that have none, and says where everything is. */
static int locate(struct engine *engine, struct container_mount *mount, struct error *err)
{
    char id[ID_LENGTH + 1];

    bool is_made = strcmp(mount->type, "bind") == 0 && mount->create_source, exists = true;
    if (is_made && mount_probe(mount->source, &exists, err) < 0)
        return error_context(err, "bind source path");
    if (!exists && dir_make(mount->source, 0755, err) < 0)
        return error_context(err, "error while creating mount source path '%s'", mount->source);
    if (strcmp(mount->type, "image") == 0) {
        CLEANUP(image_unref) struct image *image = NULL;

        if (store_image_find(engine->store, mount->name, &image, err) < 0)
            return -1;
        mount->source = xstrdup(image->id);
        mount->chain_id = xstrdup(image->chain_id);
    }
    if (strcmp(mount->type, "volume") != 0 || mount->source)
        return 0;
    if (!mount->name) {
        id_generate(id);
        mount->name = xstrdup(id);
    }
    fit_volume(engine, mount);
    if (volume_check(engine->volumes, mount->name, mount->driver, err) < 0)
        return -1;
    mount->source = volume_mountpoint(engine->volumes, mount->name);
    return 0;
}

static int locate_all(struct engine *engine, struct json_list *mounts, struct error *err)
{
    for (size_t i = 0; i < mounts->count; i++)
        if (locate(engine, &JSON_ITEMS(mounts, struct container_mount)[i], err) < 0)
            return -1;
    return 0;
}

static int make_volume(struct engine *engine, const struct container_mount *mount,
                       struct strv *out_created, struct error *err)
{
    const struct volume_options *wish = mount->wish;
    const struct map *options = wish && wish->driver_config ? &wish->driver_config->options : NULL;
    CLEANUP(volume_unref) struct volume *volume = NULL;
    CLEANUP(map_done) struct map labels = {};
    bool created;

    if (wish && wish->labels.count)
        map_copy_texts(&labels, &wish->labels);
    if (mount->is_anonymous)
        map_set_text(&labels, "com.docker.volume.anonymous", "");
    if (volume_create(engine->volumes, mount->name, mount->driver,
                      options && options->count ? options : NULL, labels.count ? &labels : NULL,
                      &volume, &created, err) < 0)
        return -1;
    if (created) {
        CLEANUP(map_done) struct map attributes = {};

        strv_add(out_created, volume->name);
        map_set_text(&attributes, "driver", volume->driver);
        engine_event(engine, "volume", "create", volume->name, &attributes);
    }
    return 0;
}

int container_volumes_make(struct engine *engine, const struct json_list *mounts,
                           struct strv *out_created, struct error *err)
{
    for (size_t i = 0; i < mounts->count; i++) {
        const struct container_mount *mount = &JSON_ITEMS(mounts, struct container_mount)[i];

        if (strcmp(mount->type, "volume") == 0 && make_volume(engine, mount, out_created, err) < 0)
            return -1;
    }
    return 0;
}

static int depth(const char *path)
{
    int slashes = 0;

    for (; *path; path++)
        slashes += *path == '/';
    return slashes;
}

static int by_depth(const void *a, const void *b)
{
    const char *left = ((const struct container_mount *)a)->destination;
    const char *right = ((const struct container_mount *)b)->destination;
    int difference = depth(left) - depth(right);

    return difference ? difference : strcmp(left, right);
}

void container_mounts_sort(struct json_list *mounts)
{
    if (mounts->count > 1)
        qsort(mounts->items, mounts->count, sizeof(struct container_mount), by_depth);
}

static void free_mounts(struct json_list *mounts)
{
    for (size_t i = 0; i < mounts->count; i++)
        container_mount_done(&JSON_ITEMS(mounts, struct container_mount)[i]);
    free(mounts->items);
    *mounts = (struct json_list){};
}

int container_mounts_resolve(struct engine *engine, const struct container_config *config,
                             const struct host_config *host_config, struct json_list *out,
                             struct error *err)
{
    struct json_list mounts = {};
    int result = add_binds(host_config, &mounts, err);

    if (result == 0)
        result = add_requests(host_config, &mounts, err);
    if (result == 0)
        result = add_tmpfs(host_config, &mounts, err);
    for (size_t i = 0; result == 0 && i < host_config->volumes_from.count; i++)
        result = add_from(engine, host_config->volumes_from.items[i], &mounts, err);
    if (result == 0)
        result = add_anonymous(config, host_config, &mounts, err);
    if (result == 0)
        result = locate_all(engine, &mounts, err);
    if (result < 0) {
        free_mounts(&mounts);
        return -1;
    }
    container_mounts_sort(&mounts);
    *out = mounts;
    return 0;
}

int container_mount_resolve(struct engine *engine, const struct mount_request *request,
                            struct container_mount *out, struct error *err)
{
    CLEANUP(container_mount_done) struct container_mount mount = {};

    if (mount_parse_request(request, &mount, err) < 0 || locate(engine, &mount, err) < 0)
        return -1;
    *out = mount;
    mount = (struct container_mount){};
    return 0;
}
