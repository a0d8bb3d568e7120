/* `system verify --repair`: what is there and belongs to nobody goes, what is missing and can be
 * made is made. Nothing that the record reaches is removed: a container that is missing its
 * directory, or a layer its files, stays as it is and is told. */
#include <dirent.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "engine/internal.h"
#include "linux/cgroup.h"
#include "linux/mount.h"

#include "base/banned.h"

/* What the comparison has found stable: only that is touched. */
static bool is_found(const struct strv *found, const char *text)
{
    for (size_t i = 0; i < found->count; i++)
        if (strstr(found->items[i], text))
            return true;
    return false;
}

static void warn(const char *what, const struct error *err)
{
    log_warn("repair", "of", what, "error", err->text);
}

static void remove_directory(const char *path)
{
    struct error err = {};

    if (container_directory_release(path, &err) < 0 || tree_remove(path, &err) < 0)
        warn(path, &err);
}

/* A bundle may be that of a start that goes on: the container's operation says. */
static void remove_bundle(struct engine *engine, const char *id, const char *path)
{
    CLEANUP(container_unref) struct container *container = container_find_id(engine, id);

    if (!container) {
        remove_directory(path);
        return;
    }
    if (container_begin_operation(container, NULL))
        return;
    CLEANUP(container_info_unref) struct container_info *info = container_snapshot(container);
    if (!container_is_up(info))
        remove_directory(path);
    mutex_unlock(&container->operation);
}

static void remove_strays(struct engine *engine, const char *path, bool is_bundle,
                          const struct strv *found)
{
    DIR *dir = opendir(path);
    struct dirent *entry;

    while (dir && (entry = readdir(dir))) {
        CLEANUP(free) char *stray = path_join(path, entry->d_name);
        CLEANUP(container_unref)
        struct container *container = container_find_id(engine, entry->d_name);

        if (entry->d_name[0] == '.' || !is_found(found, stray))
            continue;
        if (is_bundle)
            remove_bundle(engine, entry->d_name, stray);
        else if (!container)
            remove_directory(stray);
    }
    if (dir)
        closedir(dir);
}

/* One with processes in it cannot be removed, and is told again. */
static void remove_cgroups(struct engine *engine, const struct strv *found)
{
    CLEANUP(strv_done) struct strv children = {};

    cgroup_children(engine->cgroup_path, &children);
    for (size_t i = 0; i < children.count; i++) {
        CLEANUP(free) char *path = path_join(engine->cgroup_path, children.items[i]);
        CLEANUP(container_unref)
        struct container *container = container_find_id(engine, children.items[i]);
        struct error err = {};

        if (!container && is_found(found, path) && cgroup_remove(path, &err) < 0)
            warn(path, &err);
    }
}

static void remove_mounts(const struct strv *found)
{
    for (size_t i = found->count; i-- > 0;) {
        const char *start = "mount at ", *end = strstr(found->items[i], " is not the engine's");
        struct error err = {};

        if (!text_starts(found->items[i], start) || !end)
            continue;
        const char *path = found->items[i] + strlen(start);
        CLEANUP(free) char *target = xstrndup(path, (size_t)(end - path));
        if (mount_remove(target, &err) < 0)
            warn(target, &err);
    }
}

/* Difference by difference: what was told before and is not any more. */
static void list_repaired(const struct strv *before, const struct strv *after, struct strv *out)
{
    for (size_t i = 0; i < before->count; i++)
        if (!strv_contains(after, before->items[i]))
            strv_add(out, before->items[i]);
}

int engine_repair(struct engine *engine, bool rehash, struct strv *out_repaired, struct strv *out,
                  struct error *err)
{
    CLEANUP(strv_done) struct strv found = {};

    if (engine_verify(engine, rehash, &found, err) < 0)
        return -1;
    if (!found.count)
        return 0;
    remove_mounts(&found);
    remove_strays(engine, engine->containers_path, false, &found);
    remove_strays(engine, engine->bundles_path, true, &found);
    remove_cgroups(engine, &found);
    if (store_repair_running(engine->store, err) < 0 || volumes_repair(engine->volumes, err) < 0 ||
        engine_verify(engine, rehash, out, err) < 0)
        return -1;
    list_repaired(&found, out, out_repaired);
    return 0;
}
