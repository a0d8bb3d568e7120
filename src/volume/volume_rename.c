/* A volume's name is the name of its directory: the record says first where that is going, so that
 * whoever finds it half way knows whose it is. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "volume/internal.h"

#include "base/banned.h"

static int record_move(struct volumes *volumes, const char *name, const char *new_name,
                       struct error *err)
{
    return database_run_alone(volumes->database, DURABLE, err,
                              "UPDATE volume SET moving_to = ? WHERE name = ?", "ss", new_name,
                              name) < 0
               ? -1
               : 0;
}

static int record_name(struct volumes *volumes, const char *name, const char *new_name,
                       struct error *err)
{
    return database_run_alone(volumes->database, DURABLE, err,
                              "UPDATE volume SET name = ?, moving_to = NULL WHERE name = ?", "ss",
                              new_name, name) < 0
               ? -1
               : 0;
}

static int move_directory(const struct volumes *volumes, const char *name, const char *new_name,
                          struct error *err)
{
    CLEANUP(free) char *from = volume_path(volumes, name);
    CLEANUP(free) char *to = volume_path(volumes, new_name);

    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) < 0)
        return error_sys(err, "rename %s to %s", from, to);
    if (parent_sync(to, err) < 0) {
        if (rename(to, from) < 0)
            return error_context(err, "and %s stays", to);
        return -1;
    }
    return 0;
}

/* The record and the directory; 'changes' held. */
static int move_volume(struct volumes *volumes, const char *name, const char *new_name,
                       struct error *err)
{
    if (record_move(volumes, name, new_name, err) < 0)
        return -1;
    if (move_directory(volumes, name, new_name, err) < 0) {
        record_move(volumes, name, NULL, NULL);
        return -1;
    }
    if (record_name(volumes, name, new_name, err) == 0)
        return 0;
    if (move_directory(volumes, new_name, name, NULL) == 0)
        record_move(volumes, name, NULL, NULL);
    return -1;
}

static struct known_volume *copy_as(struct volumes *volumes, const struct volume *volume,
                                    const char *name)
{
    struct known_volume *copy = volume_new(volumes, name);

    map_copy_texts(&copy->volume.labels, &volume->labels);
    map_copy_texts(&copy->volume.options, &volume->options);
    free(copy->volume.driver);
    copy->volume.driver = xstrdup(volume->driver);
    copy->volume.created_ns = volume->created_ns;
    if (volume->snapshot_of)
        copy->volume.snapshot_of = xstrdup(volume->snapshot_of);
    return copy;
}

static int rename_locked(struct volumes *volumes, const char *name, const char *new_name,
                         struct volume **out, struct error *err) REQUIRES(volumes->changes)
{
    CLEANUP(volume_unref) struct volume *volume = volume_find(volumes, name);
    CLEANUP(volume_unref) struct volume *other = volume_find(volumes, new_name);

    if (!volume)
        return error_set(err, ERROR_NOT_FOUND, "get %.300s: no such volume", name);
    mutex_lock(&volumes->memory);
    bool is_making = strv_contains(&volumes->making, new_name);
    mutex_unlock(&volumes->memory);
    if (other || is_making)
        return error_set(err, ERROR_CONFLICT, "a volume with name %s exists already", new_name);
    if (volume_has_plugin(volume))
        return error_set(err, ERROR_UNSUPPORTED,
                         "rename %.300s: plugins cannot rename their volumes", name);
    if (volume_free_name(volumes, new_name, err) < 0 ||
        volume_begin_leaving(volume, "rename", err) < 0)
        return -1;
    if (move_volume(volumes, name, new_name, err) < 0) {
        volume_end_leaving(volume);
        return -1;
    }
    struct known_volume *renamed = copy_as(volumes, volume, new_name);
    *out = volume_ref(&renamed->volume);
    mutex_lock(&volumes->memory);
    map_remove(&volumes->known, name);
    mutex_unlock(&volumes->memory);
    volume_remember(volumes, renamed);
    return 0;
}

int volume_rename(struct volumes *volumes, const char *name, const char *new_name,
                  struct volume **out, struct error *err)
{
    if (volume_check_name(new_name, err) < 0)
        return error_context(err, "rename %.300s", name);
    mutex_lock(&volumes->changes);
    int result = rename_locked(volumes, name, new_name, out, err);
    mutex_unlock(&volumes->changes);
    return result;
}

/* Where the directory is decides. */
static int settle_name(struct volumes *volumes, const char *name, const char *new_name,
                       struct error *err)
{
    if (volume_check_name(name, err) < 0 || volume_check_name(new_name, err) < 0)
        return -1;
    CLEANUP(free) char *from = volume_path(volumes, name);
    CLEANUP(free) char *to = volume_path(volumes, new_name);
    return !file_exists(from) && file_exists(to) ? record_name(volumes, name, new_name, err)
                                                 : record_move(volumes, name, NULL, err);
}

int volumes_settle_names(struct volumes *volumes, struct error *err)
{
    CLEANUP(strv_done) struct strv moves = {};
    CLEANUP(query_close) struct query *query = NULL;
    int more;

    if (database_query(volumes->database, &query, err,
                       "SELECT name, moving_to FROM volume WHERE moving_to IS NOT NULL", NULL) < 0)
        return -1;
    while ((more = query_next(query, err)) == 1) {
        strv_add(&moves, query_text(query, 0));
        strv_add(&moves, query_text(query, 1));
    }
    for (size_t i = 0; more == 0 && i < moves.count; i += 2)
        if (settle_name(volumes, moves.items[i], moves.items[i + 1], err) < 0)
            return -1;
    return more;
}
