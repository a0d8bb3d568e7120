/* Sizes: of layers the store knows them, the rest is measured and kept as long as it holds. What
 * has come to rest is measured before anybody asks. */
#include "engine/usage.h"

#include <dirent.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "engine/internal.h"
#include "engine/usage_cache.h"
#include "engine/volume.h"

#include "base/banned.h"

enum { BLOCK_SIZE = 512, PREPARE_NICENESS = 15 };

int64_t engine_layer_size(struct engine *engine, const char *chain_id)
{
    struct layer layer;
    struct error ignored;

    return store_layer_get(engine->store, chain_id, &layer, &ignored) < 0 ? 0 : layer.size_bytes;
}

int64_t engine_layers_size(struct engine *engine)
{
    return store_layers_size(engine->store);
}

int64_t engine_image_add_layers(struct engine *engine, const struct image *image, struct map *set)
{
    return store_image_add_layers(engine->store, image, set);
}

void engine_images_shared(struct engine *engine, struct image *const *images, size_t count,
                          int64_t *out_bytes)
{
    store_images_shared(engine->store, images, count, out_bytes);
}

/* ---- who is at rest ---- */

static bool is_container_at_rest(struct engine *engine, const struct container_info *info)
{
    CLEANUP(container_unref) struct container *container = container_find_id(engine, info->id);

    if (!container || container_is_up(info))
        return false;
    mutex_lock(&container->lock);
    bool has_views = !list_is_empty(&container->views);
    mutex_unlock(&container->lock);
    return !has_views;
}

static const char *volume_of(const struct mount_point *mount)
{
    return strcmp(mount->type, "volume") == 0 ? mount->name : NULL;
}

/* A container counts once, however often it has the volume. */
static bool is_repeated(const struct mount_point *mounts, size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (text_equal(volume_of(&mounts[i]), mounts[index].name))
            return true;
    return false;
}

static void add_uses(const struct container_info *info, bool is_busy, struct map *uses)
{
    const struct mount_point *mounts = JSON_ITEMS(&info->mounts, struct mount_point);

    for (size_t i = 0; i < info->mounts.count; i++) {
        if (!volume_of(&mounts[i]) || is_repeated(mounts, i))
            continue;
        struct volume_use *use = map_get(uses, mounts[i].name);
        if (!use) {
            use = NEW(struct volume_use);
            map_set(uses, mounts[i].name, use);
        }
        use->count++;
        use->is_busy = use->is_busy || is_busy;
    }
}

void container_volume_uses(struct engine *engine, struct container_info *const *containers,
                           size_t count, struct map *out)
{
    map_init_empty(out, free);
    for (size_t i = 0; i < count; i++)
        if (containers[i]->mounts.count)
            add_uses(containers[i], !is_container_at_rest(engine, containers[i]), out);
}

void engine_volume_uses(struct engine *engine, struct map *out)
{
    struct container_info **list;
    size_t count;

    if (engine_container_list(engine, &list, &count, NULL) < 0) {
        map_init_empty(out, free);
        return;
    }
    container_volume_uses(engine, list, count, out);
    engine_container_list_free(list, count);
}

/* ---- one thing ---- */

int64_t engine_changes_size(struct engine *engine, const struct container_info *info)
{
    struct tree_usage usage = {};

    if (!text_is_empty(info->upper_path))
        usage_cache_measure(engine->usage, info->upper_path, is_container_at_rest(engine, info),
                            &usage);
    return usage.size_bytes;
}

/* What others may change too is never known to be at rest. */
static bool is_volume_at_rest(const struct volume *volume, const struct map *uses)
{
    const struct volume_use *use = map_get(uses, volume->name);

    return !volume_is_mount(volume) && !(use && use->is_busy);
}

int64_t engine_volume_size(struct engine *engine, struct volume *volume, const struct map *uses)
{
    struct tree_usage usage;

    usage_cache_measure(engine->usage, volume->mountpoint, is_volume_at_rest(volume, uses), &usage);
    return usage.size_bytes;
}

void engine_usage_touch_volume(struct engine *engine, const struct volume *volume)
{
    CLEANUP(free)
    char *place = xstrndup(volume->mountpoint, strlen(volume->mountpoint) - strlen("/_data"));

    usage_cache_touch(engine->usage, volume->mountpoint);
    usage_cache_touch(engine->usage, place);
}

void engine_usage_touch_container(struct container *container)
{
    CLEANUP(container_info_unref) struct container_info *info = container_snapshot(container);
    CLEANUP(free) char *directory = container_directory(container->engine, container->id);

    usage_cache_touch(container->engine->usage, info->upper_path);
    usage_cache_touch(container->engine->usage, directory);
}

/* ---- all ---- */

static int64_t disk_of(const char *path)
{
    struct stat status;

    return lstat(path, &status) < 0 ? 0 : status.st_blocks * BLOCK_SIZE;
}

/* The entries of a directory, and itself, by what 'at_rest' says of each. 'prepares': nobody waits
 * for the sum. */
static int64_t measure_entries(struct engine *engine, const char *path, bool prepares,
                               bool (*at_rest)(struct engine *engine, const char *name,
                                               const void *data),
                               const void *data)
{
    int64_t total = disk_of(path);
    DIR *dir = opendir(path);
    struct dirent *entry;

    while (dir && (entry = readdir(dir))) {
        CLEANUP(free) char *inner = path_join(path, entry->d_name);
        struct tree_usage usage = {};

        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        bool is_at_rest = at_rest(engine, entry->d_name, data);
        if (prepares)
            usage_cache_prepare(engine->usage, inner, is_at_rest);
        else
            usage_cache_measure(engine->usage, inner, is_at_rest, &usage);
        total += usage.disk_bytes;
    }
    if (dir)
        closedir(dir);
    return total;
}

static bool layer_at_rest(struct engine *engine UNUSED, const char *name UNUSED,
                          const void *data UNUSED)
{
    return true;
}

static bool container_at_rest(struct engine *engine, const char *id, const void *data UNUSED)
{
    CLEANUP(container_unref) struct container *container = container_find_id(engine, id);

    if (!container)
        return false;
    CLEANUP(container_info_unref) struct container_info *info = container_snapshot(container);
    /* A file system in a file changes when its cache is written back. */
    return !info->host_config.storage_opt.count && is_container_at_rest(engine, info);
}

static bool volume_at_rest(struct engine *engine, const char *name, const void *data)
{
    CLEANUP(volume_unref) struct volume *volume = NULL;

    return volume_get(engine->volumes, name, &volume, NULL) == 0 &&
           is_volume_at_rest(volume, data) && !map_has(&volume->options, "size");
}

static int64_t measure_now(const char *path)
{
    struct tree_usage usage = {};

    return tree_usage(path, &usage, NULL) < 0 ? disk_of(path) : usage.disk_bytes;
}

static int64_t measure_others(struct engine *engine, int64_t *out_blobs)
{
    static const char *const parts[] = { "containers", "layers", "volumes", ".", ".." };
    const char *root = engine->options.data_path;
    int64_t total = disk_of(root);
    DIR *dir = opendir(root);
    struct dirent *entry;

    while (dir && (entry = readdir(dir))) {
        CLEANUP(free) char *path = path_join(root, entry->d_name);
        bool is_part = false;

        for (size_t i = 0; i < COUNT(parts); i++)
            is_part = is_part || strcmp(entry->d_name, parts[i]) == 0;
        if (is_part)
            continue;
        int64_t bytes = measure_now(path);
        if (strcmp(entry->d_name, "blobs") == 0)
            *out_blobs = bytes;
        else
            total += bytes;
    }
    if (dir)
        closedir(dir);
    return total;
}

static void measure_parts(struct engine *engine, bool prepares, struct data_usage *out)
{
    CLEANUP(map_done) struct map uses = {};
    const char *root = engine->options.data_path;
    CLEANUP(free) char *layers_path = path_join(root, "layers");
    CLEANUP(free) char *volumes_path = path_join(root, "volumes");

    engine_volume_uses(engine, &uses);
    out->layers = measure_entries(engine, layers_path, prepares, layer_at_rest, NULL);
    out->containers = measure_entries(engine, engine->containers_path, prepares, container_at_rest,
                                      NULL);
    out->volumes = measure_entries(engine, volumes_path, prepares, volume_at_rest, &uses);
}

void engine_data_usage(struct engine *engine, struct data_usage *out)
{
    *out = (struct data_usage){};
    measure_parts(engine, false, out);
    out->other = measure_others(engine, &out->blobs);
    out->total = out->blobs + out->layers + out->containers + out->volumes + out->other;
    usage_cache_sweep(engine->usage);
}

/* ---- beforehand ---- */

/* Long enough for the next change to come along, short enough for the next question. */
#define PREPARE_DELAY_NS (3 * NS_PER_S)

static void prepare_changes(struct engine *engine)
{
    struct container_info **list;
    size_t count;

    if (engine_container_list(engine, &list, &count, NULL) < 0)
        return;
    for (size_t i = 0; i < count; i++)
        if (!text_is_empty(list[i]->upper_path))
            usage_cache_prepare(engine->usage, list[i]->upper_path,
                                is_container_at_rest(engine, list[i]));
    engine_container_list_free(list, count);
}

static void prepare_volumes(struct engine *engine)
{
    CLEANUP(map_done) struct map uses = {};
    struct volume **list;
    size_t count;

    if (volume_list(engine->volumes, &list, &count, NULL) < 0)
        return;
    engine_volume_uses(engine, &uses);
    for (size_t i = 0; i < count; i++)
        usage_cache_prepare(engine->usage, list[i]->mountpoint, is_volume_at_rest(list[i], &uses));
    volume_list_free(list, count);
}

static void prepare(void *data)
{
    struct engine *engine = data;
    struct data_usage ignored = {};
    id_t thread = (id_t)gettid();
    int before = getpriority(PRIO_PROCESS, thread);

    atomic_flag_clear(&engine->prepares_usage); /* Who changes something now asks anew. */
    setpriority(PRIO_PROCESS, thread, PREPARE_NICENESS);
    prepare_changes(engine);
    prepare_volumes(engine);
    measure_parts(engine, true, &ignored);
    usage_cache_sweep(engine->usage);
    setpriority(PRIO_PROCESS, thread, before);
}

void engine_usage_prepare(struct engine *engine)
{
    if (engine->work && !atomic_flag_test_and_set(&engine->prepares_usage))
        work_submit(engine->work, PREPARE_DELAY_NS, prepare, NULL, engine);
}
