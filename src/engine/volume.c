/* Volumes and who uses them. */
#include "engine/volume.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "engine/internal.h"

#include "base/banned.h"

int engine_volume_create(struct engine *engine, const char *name, const char *driver,
                         const struct map *options, const struct map *labels, struct volume **out,
                         struct error *err)
{
    bool is_new;

    if (volume_create(engine->volumes, name, driver, options, labels, out, &is_new, err) < 0)
        return -1;
    if (is_new) {
        engine_usage_touch_volume(engine, *out);
        CLEANUP(map_done) struct map attributes = {};

        map_set_text(&attributes, "driver", (*out)->driver);
        engine_event(engine, "volume", "create", (*out)->name, &attributes);
    }
    return 0;
}

int engine_volume_get(struct engine *engine, const char *name, struct volume **out,
                      struct error *err)
{
    return volume_get(engine->volumes, name, out, err);
}

void engine_volume_drivers(struct engine *engine, struct strv *out)
{
    volumes_drivers(engine->volumes, out);
}

int engine_volume_list(struct engine *engine, struct volume ***out, size_t *out_count,
                       struct error *err)
{
    return volume_list(engine->volumes, out, out_count, err);
}

void engine_volume_users(struct engine *engine, const char *name, struct strv *out)
{
    mutex_lock(&engine->lock);
    MAP_EACH (&engine->containers, entry) {
        CLEANUP(container_info_unref)
        struct container_info *info = container_snapshot(entry->value);

        for (size_t i = 0; i < info->mounts.count; i++) {
            const struct mount_point *mount = &JSON_ITEMS(&info->mounts, struct mount_point)[i];

            if (strcmp(mount->type, "volume") == 0 && mount->name &&
                strcmp(mount->name, name) == 0) {
                strv_add(out, info->id);
                break;
            }
        }
    }
    mutex_unlock(&engine->lock);
}

/* CONFLICT "<action> v1: volume is in use - [<id>]" if a container has it, running or not. */
static int check_unused(struct engine *engine, const char *action, const char *name,
                        struct error *err)
{
    CLEANUP(strv_done) struct strv users = {};

    engine_volume_users(engine, name, &users);
    if (!users.count)
        return 0;
    CLEANUP(free) char *ids = strv_join(&users, ", ");
    return error_set(err, ERROR_CONFLICT, "%s %s: volume is in use - [%s]", action, name, ids);
}

#define FORGET_DELAY_NS (50 * NS_PER_MS) /* the next few go with it */

static void forget(void *data)
{
    struct engine *engine = data;
    struct error err = {};

    atomic_flag_clear(&engine->forgets_volumes); /* What comes from now on may not be seen. */
    if (volumes_forget_removed(engine->volumes, &err) < 0)
        log_warn("cannot forget removed volumes yet", "error", err.text);
}

static void forget_later(struct engine *engine)
{
    if (engine->work && !atomic_flag_test_and_set(&engine->forgets_volumes))
        work_submit(engine->work, FORGET_DELAY_NS, forget, NULL, engine);
}

int engine_volume_remove(struct engine *engine, const char *name, bool force, struct error *err)
{
    CLEANUP(volume_unref) struct volume *volume = NULL;

    if (volume_get(engine->volumes, name, &volume, err) < 0)
        return force && err->kind == ERROR_NOT_FOUND ? 0 : -1;
    if (check_unused(engine, "remove", name, err) < 0)
        return -1;
    CLEANUP(strv_done) struct strv trash = {};
    int result = volume_take_away(engine->volumes, name, force, &trash, err);
    engine_discard(engine, &trash);
    if (result < 0)
        return -1;
    forget_later(engine);
    CLEANUP(map_done) struct map attributes = {};
    map_set_text(&attributes, "driver", volume->driver);
    engine_event(engine, "volume", "destroy", name, &attributes);
    return 0;
}

int engine_volume_rename(struct engine *engine, const char *name, const char *new_name,
                         struct error *err)
{
    CLEANUP(volume_unref) struct volume *volume = NULL;
    CLEANUP(map_done) struct map attributes = {};

    if (check_unused(engine, "rename", name, err) < 0 ||
        volume_rename(engine->volumes, name, new_name, &volume, err) < 0)
        return -1;
    engine_usage_touch_volume(engine, volume);
    map_set_text(&attributes, "driver", volume->driver);
    map_set_text(&attributes, "oldName", name);
    engine_event(engine, "volume", "rename", new_name, &attributes);
    return 0;
}
