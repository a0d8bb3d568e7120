/* The record says that a volume goes, and that is what an answer waits for. Whoever finds its row
 * after a crash ends the removal. The row itself goes later, together with others: a directory that
 * is found without a record becomes a volume, so its directory has to have left its place for good
 * before. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "linux/limited_dir.h"
#include "volume/internal.h"

#include "base/banned.h"

/* Rows of removed volumes that the record keeps at most. */
#define REMOVED_LIMIT 64

/* ---- forgetting ---- */

static int delete_rows(struct volumes *volumes, const struct strv *names, struct error *err)
{
    if (database_begin(volumes->database, RELAXED, err) < 0)
        return -1;
    for (size_t i = 0; i < names->count; i++)
        if (database_run(volumes->database, err, "DELETE FROM volume WHERE name = ? AND state != ?",
                         "si", names->items[i], (int64_t)VOLUME_READY) < 0) {
            database_rollback(volumes->database);
            return -1;
        }
    return database_commit(volumes->database, err);
}

static int forget_removed_locked(struct volumes *volumes, struct error *err)
    REQUIRES(volumes->forgetting)
{
    CLEANUP(strv_done) struct strv names = {};

    mutex_lock(&volumes->memory);
    strv_copy(&names, &volumes->removed);
    mutex_unlock(&volumes->memory);
    if (!names.count)
        return 0;
    CLEANUP(free) char *any_path = volume_path(volumes, names.items[0]);
    if (parent_sync(any_path, err) < 0 || delete_rows(volumes, &names, err) < 0)
        return error_context(err, "forget removed volumes");
    mutex_lock(&volumes->memory);
    for (size_t i = 0; i < names.count; i++)
        strv_remove(&volumes->removed, 0); /* Others may have been added behind them. */
    mutex_unlock(&volumes->memory);
    return 0;
}

int volumes_forget_removed(struct volumes *volumes, struct error *err)
{
    mutex_lock(&volumes->forgetting);
    int result = forget_removed_locked(volumes, err);
    mutex_unlock(&volumes->forgetting);
    return result;
}

int volume_free_name(struct volumes *volumes, const char *name, struct error *err)
{
    mutex_lock(&volumes->memory);
    bool is_free = !strv_contains(&volumes->removed, name);
    mutex_unlock(&volumes->memory);
    return is_free ? 0 : volumes_forget_removed(volumes, err);
}

/* ---- removing ---- */

/* Out of the way first: while a large volume is being removed, its name is free again. */
int volume_move_away(struct volumes *volumes, const char *name, struct strv *out_trash,
                     struct error *err)
{
    CLEANUP(free) char *path = volume_path(volumes, name);
    char id[ID_LENGTH + 1];

    id_generate(id);
    CLEANUP(free) char *trash = xasprintf("%s/" REMOVED_PREFIX "%.24s", volumes->path, id);
    if (rename(path, trash) == 0)
        strv_add_take(out_trash, TAKE(trash));
    else if (errno != ENOENT)
        return error_sys(err, "rename %s", path);
    return 0;
}

/* One without content has nothing to be removed later. */
static bool remove_empty(struct volumes *volumes, const struct volume *volume)
{
    CLEANUP(free) char *path = volume_path(volumes, volume->name);

    return rmdir(volume->mountpoint) == 0 && rmdir(path) == 0;
}

/* The record says that it goes; then it is out of the way. */
static int take_out(struct volumes *volumes, const struct volume *volume, struct strv *out_trash,
                    struct error *err)
{
    if (volume_set_state(volumes, volume->name, VOLUME_REMOVING, err) < 0)
        return -1;
    /* What is mounted there is not the volume's to remove. */
    if ((volume_is_mount(volume) && volume_unmount(volume, err) < 0) ||
        (volume_size_limit(volume) && limited_dir_end(volume->mountpoint, err) < 0) ||
        (!remove_empty(volumes, volume) &&
         volume_move_away(volumes, volume->name, out_trash, err) < 0)) {
        volume_make_place(volumes, volume, NULL);
        volume_set_state(volumes, volume->name, VOLUME_READY, NULL);
        return -1;
    }
    return 0;
}

static int remove_locked(struct volumes *volumes, const char *name, struct strv *out_trash,
                         struct error *err) REQUIRES(volumes->changes)
{
    CLEANUP(volume_unref) struct volume *volume = volume_find(volumes, name);

    if (!volume)
        return error_set(err, ERROR_NOT_FOUND, "get %.300s: no such volume", name);
    if (volume_begin_leaving(volume, "remove", err) < 0)
        return -1;
    if (take_out(volumes, volume, out_trash, err) < 0) {
        volume_end_leaving(volume);
        return -1;
    }
    mutex_lock(&volumes->memory);
    strv_add(&volumes->removed, name);
    bool are_many = volumes->removed.count >= REMOVED_LIMIT;
    map_remove(&volumes->known, name);
    mutex_unlock(&volumes->memory);
    if (are_many)
        volumes_forget_removed(volumes, NULL); /* What fails is tried again. */
    return 0;
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

int volume_take_away(struct volumes *volumes, const char *name, bool forgets,
                     struct strv *out_trash, struct error *err)
{
    if (remove_by_plugin(volumes, name, forgets, err) < 0)
        return -1;
    mutex_lock(&volumes->changes);
    int result = remove_locked(volumes, name, out_trash, err);
    mutex_unlock(&volumes->changes);
    return result;
}

int volume_remove(struct volumes *volumes, const char *name, bool forgets, struct error *err)
{
    CLEANUP(strv_done) struct strv trash = {};
    int result = volume_take_away(volumes, name, forgets, &trash, err);

    if (trash.count && tree_remove(trash.items[0], err) < 0)
        return error_context(err, "remove volume %s", name);
    return result;
}
