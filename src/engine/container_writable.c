/* Where a container's changes go: right below its directory, or, if they are limited, in a
 * directory of their own that is. */
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "engine/internal.h"
#include "linux/limited_dir.h"

#include "base/banned.h"

#define LIMITED_NAME "changes"

static uint64_t size_limit(const struct host_config *host)
{
    const char *size = map_get(&host->storage_opt, "size");
    int64_t bytes;

    return size && parse_size(size, &bytes, NULL) == 0 ? (uint64_t)bytes : 0;
}

char *container_changes_path(struct engine *engine, const char *id, const struct host_config *host)
{
    CLEANUP(free) char *directory = container_directory(engine, id);

    return size_limit(host) ? path_join(directory, LIMITED_NAME) : TAKE(directory);
}

static int limit_changes(const char *path, const struct container_info *info, struct error *err)
{
    CLEANUP(free) char *image_path = xasprintf("%s.image", path);

    if (dir_make(path, 0700, err) < 0 ||
        limited_dir_make(path, image_path, size_limit(&info->host_config), err) < 0)
        return error_context(err, "limit the size of container %s", info->name);
    return 0;
}

int container_writable(struct container *container, struct writable *out, struct error *err)
{
    CLEANUP(container_info_unref) struct container_info *info = container_snapshot(container);
    CLEANUP(free)
    char *path = container_changes_path(container->engine, container->id, &info->host_config);

    if (size_limit(&info->host_config) && limit_changes(path, info, err) < 0)
        return -1;
    engine_usage_touch_container(container);
    return store_writable_at(container->engine->store, path, info->spec->chain_id, out, err);
}

int container_directory_release(const char *directory, struct error *err)
{
    CLEANUP(free) char *path = path_join(directory, LIMITED_NAME);

    return file_exists(path) ? limited_dir_end(path, err) : 0;
}

bool container_expects_mount(struct engine *engine, const char *path)
{
    size_t length = strlen(engine->containers_path);

    if (strncmp(path, engine->containers_path, length) != 0 || path[length] != '/' ||
        strlen(path) < length + 1 + ID_LENGTH ||
        strcmp(path + length + 1 + ID_LENGTH, "/" LIMITED_NAME) != 0)
        return false;
    CLEANUP(free) char *id = xstrndup(path + length + 1, ID_LENGTH);
    CLEANUP(container_unref) struct container *container = container_find_id(engine, id);
    if (!container)
        return false;
    CLEANUP(container_info_unref) struct container_info *info = container_snapshot(container);
    return size_limit(&info->host_config) > 0;
}

void containers_release_directories(struct engine *engine)
{
    struct container_info **list;
    size_t count;

    engine_container_list(engine, &list, &count, NULL);
    for (size_t i = 0; i < count; i++) {
        CLEANUP(free) char *directory = container_directory(engine, list[i]->id);

        container_directory_release(directory, NULL);
    }
    engine_container_list_free(list, count);
}
