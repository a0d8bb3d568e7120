/* A volume is marked before it goes, and out of its place before it is forgotten. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "linux/limited_dir.h"
#include "volume/internal.h"

#include "base/banned.h"

/* Out of the way first: while a large volume is being removed, its name is free again. A directory
 * that is found without a record becomes a volume: it has left its place for good before the record
 * lets go of it. */
static int move_away(struct volumes *volumes, const char *name, char **out_path, struct error *err)
{
    CLEANUP(free) char *path = volume_path(volumes, name);
    char id[ID_LENGTH + 1];

    id_generate(id);
    CLEANUP(free) char *trash = xasprintf("%s/" REMOVED_PREFIX "%.24s", volumes->path, id);
    if (rename(path, trash) < 0) {
        if (errno != ENOENT)
            return error_sys(err, "rename %s", path);
        return 0;
    }
    if (parent_sync(path, err) < 0) {
        if (rename(trash, path) < 0)
            return error_context(err, "and %s stays", trash);
        return -1;
    }
    *out_path = TAKE(trash);
    return 0;
}

/* The record says that it goes; then it is out of the way. */
static int take_out(struct volumes *volumes, const struct volume *volume, char **out_path,
                    struct error *err)
{
    if (volume_set_state(volumes, volume->name, VOLUME_REMOVING, err) < 0)
        return -1;
    /* What is mounted there is not the volume's to remove. */
    if ((volume_is_mount(volume) && volume_unmount(volume, err) < 0) ||
        (volume_size_limit(volume) && limited_dir_end(volume->mountpoint, err) < 0) ||
        move_away(volumes, volume->name, out_path, err) < 0) {
        volume_set_state(volumes, volume->name, VOLUME_READY, NULL);
        return -1;
    }
    return 0;
}

static int remove_locked(struct volumes *volumes, const char *name, char **out_path,
                         struct error *err) REQUIRES(volumes->changes)
{
    CLEANUP(volume_unref) struct volume *volume = volume_find(volumes, name);

    if (!volume)
        return error_set(err, ERROR_NOT_FOUND, "get %.300s: no such volume", name);
    if (volume_begin_leaving(volume, "remove", err) < 0)
        return -1;
    if (take_out(volumes, volume, out_path, err) < 0) {
        volume_end_leaving(volume);
        return -1;
    }
    mutex_lock(&volumes->memory);
    map_remove(&volumes->known, name);
    mutex_unlock(&volumes->memory);
    return database_run(volumes->database, err, "DELETE FROM volume WHERE name = ?", "s", name) < 0
               ? -1
               : 0;
}

/* The plugin is asked without a lock: nobody else can begin to use the volume meanwhile. */
static int remove_by_plugin(struct volumes *volumes, const char *name, bool forgets,
                            struct error *err)
{
    CLEANUP(volume_unref) struct volume *volume = volume_find(volumes, name);

    if (!volume || !volume_has_plugin(volume))
        return 0; /* What is missing is told by the removal itself. */
    if (volume_begin_leaving(volume, "remove", err) < 0)
        return -1;
    if (volume_plugin_remove(volume, forgets ? NULL : err) == 0 || forgets)
        return 0;
    volume_end_leaving(volume);
    return error_context(err, "remove %.300s", name);
}

int volume_take_away(struct volumes *volumes, const char *name, bool forgets, char **out_trash,
                     struct error *err)
{
    *out_trash = NULL;
    if (remove_by_plugin(volumes, name, forgets, err) < 0)
        return -1;
    mutex_lock(&volumes->changes);
    int result = remove_locked(volumes, name, out_trash, err);
    mutex_unlock(&volumes->changes);
    return result;
}

int volume_remove(struct volumes *volumes, const char *name, bool forgets, struct error *err)
{
    CLEANUP(free) char *trash = NULL;
    int result = volume_take_away(volumes, name, forgets, &trash, err);

    if (trash && tree_remove(trash, err) < 0)
        return error_context(err, "remove volume %s", name);
    return result;
}
