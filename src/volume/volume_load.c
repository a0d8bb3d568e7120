/* Volumes of an earlier run: what the record says, what a crash interrupted, and directories that
 * are there without a record. Those hold somebody's data: they become volumes. */
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "codec/json.h"
#include "linux/limited_dir.h"
#include "volume/internal.h"

#include "base/banned.h"

struct texts {
    struct map texts;
};

static int decode(const char *json, struct map *out, struct error *err)
{
    static const struct json_field fields[] = { JSON_TEXTS(struct texts, texts, "texts"),
                                                JSON_END };
    CLEANUP(free) char *whole = xasprintf("{\"texts\":%s}", json ?: "null");
    struct texts texts = {};

    if (json_decode(fields, whole, strlen(whole), &texts, err) < 0)
        return -1;
    *out = texts.texts;
    return 0;
}

static int load(struct volumes *volumes, const struct query *query, struct error *err)
{
    const char *name = query_text(query, 0);
    struct known_volume *known = volume_new(volumes, name);
    CLEANUP(volume_unref) struct volume *volume = &known->volume;

    if (volume_check_name(name, err) < 0 ||
        decode(query_text(query, 1), &volume->labels, err) < 0 ||
        decode(query_text(query, 2), &volume->options, err) < 0)
        return error_context(err, "volume %.300s", name);
    volume->created_ns = query_int64(query, 3);
    volume->snapshot_of = query_text(query, 4) ? xstrdup(query_text(query, 4)) : NULL;
    if (strcmp(query_text(query, 5), "local") != 0) {
        free(volume->driver);
        volume->driver = xstrdup(query_text(query, 5));
    }
    if (query_text(query, 6)) {
        free(volume->scope);
        volume->scope = xstrdup(query_text(query, 6));
    }
    volume = NULL;
    volume_remember(volumes, known);
    return 0;
}

/* Ends what was begun. What is not to be there loses its row when all of it is gone. */
static int settle(struct volumes *volumes, const char *name, enum volume_state state,
                  struct error *err)
{
    CLEANUP(free) char *path = volume_path(volumes, name);
    CLEANUP(free) char *data_path = volume_data_path(volumes, name);
    CLEANUP(strv_done) struct strv trash = {}; /* found again among the names */

    /* The files of a mount are not ours to remove. */
    if (limited_dir_end(data_path, err) < 0 || volume_move_away(volumes, name, &trash, err) < 0)
        return -1;
    if (state == VOLUME_FILLING)
        return parent_sync(path, err) < 0 ? -1 : volume_set_state(volumes, name, VOLUME_READY, err);
    strv_add(&volumes->removed, name);
    return 0;
}

static int settle_all(struct volumes *volumes, struct error *err)
{
    CLEANUP(query_close) struct query *query = NULL;
    int more;

    if (database_query(volumes->database, &query, err,
                       "SELECT name, state FROM volume WHERE state != 0", NULL) < 0)
        return -1;
    while ((more = query_next(query, err)) == 1) {
        if (volume_check_name(query_text(query, 0), err) < 0 ||
            settle(volumes, query_text(query, 0), (enum volume_state)query_int64(query, 1), err) <
                0)
            return -1;
    }
    return more < 0 ? -1 : volumes_forget_removed(volumes, err);
}

static int load_all(struct volumes *volumes, struct error *err)
{
    CLEANUP(query_close) struct query *query = NULL;
    int more;

    if (database_query(volumes->database, &query, err,
                       "SELECT name, labels, options, created_ns, snapshot_of, driver, scope"
                       " FROM volume",
                       NULL) < 0)
        return -1;
    while ((more = query_next(query, err)) == 1)
        if (load(volumes, query, err) < 0)
            return -1;
    return more;
}

/* One whose file system cannot be mounted keeps no engine from starting: whoever wants to use it is
 * told. */
static int make_places(struct volumes *volumes, struct error *err)
{
    MAP_EACH (&volumes->known, entry) {
        const struct volume *volume = &((const struct known_volume *)entry->value)->volume;

        if (volume_make_place(volumes, volume, err) < 0 && !volume_size_limit(volume))
            return -1;
    }
    return 0;
}

static int adopt(struct volumes *volumes, const char *name, struct strv *out_trash,
                 struct error *err)
{
    CLEANUP(free) char *path = volume_path(volumes, name);
    CLEANUP(free) char *data_path = volume_data_path(volumes, name);
    struct stat status;

    if (text_starts(name, REMOVED_PREFIX)) {
        strv_add_take(out_trash, TAKE(path));
        return 0;
    }
    if (map_has(&volumes->known, name))
        return 0;
    if (rmdir(path) == 0) /* An empty shell: btrfs may bring one back after a power cut. */
        return 0;
    if (volume_check_name(name, NULL) < 0 || lstat(data_path, &status) < 0 ||
        !S_ISDIR(status.st_mode))
        return 0;
    struct known_volume *known = volume_new(volumes, name);
    known->volume.created_ns = status.st_ctim.tv_sec * INT64_C(1000000000) + status.st_ctim.tv_nsec;
    if (volume_record(volumes, &known->volume, VOLUME_READY, err) < 0) {
        volume_unref(&known->volume);
        return -1;
    }
    volume_remember(volumes, known);
    return 0;
}

static int repair_stray(struct volumes *volumes, const char *name, struct error *err)
{
    mutex_lock(&volumes->memory);
    bool is_known = map_has(&volumes->known, name);
    mutex_unlock(&volumes->memory);
    if (is_known)
        return 0;
    return adopt(volumes, name, NULL, err); /* none of what is removed */
}

static int list_names(const struct volumes *volumes, struct strv *out, struct error *err)
{
    DIR *dir = opendir(volumes->path);
    struct dirent *entry;

    if (!dir)
        return error_sys(err, "open %s", volumes->path);
    while ((entry = readdir(dir)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            strv_add(out, entry->d_name);
    closedir(dir);
    strv_sort(out);
    return 0;
}

int volumes_load(struct volumes *volumes, struct strv *out_trash, struct error *err)
{
    CLEANUP(strv_done) struct strv names = {};

    if (volumes_settle_names(volumes, err) < 0 || settle_all(volumes, err) < 0 ||
        load_all(volumes, err) < 0 || make_places(volumes, err) < 0 ||
        list_names(volumes, &names, err) < 0)
        return -1;
    for (size_t i = 0; i < names.count; i++)
        if (adopt(volumes, names.items[i], out_trash, err) < 0)
            return -1;
    return 0;
}

int volumes_repair(struct volumes *volumes, struct error *err)
{
    CLEANUP(strv_done) struct strv names = {};
    struct volume **list;
    size_t count;
    int result = 0;

    mutex_lock(&volumes->changes);
    volume_list(volumes, &list, &count, NULL);
    for (size_t i = 0; i < count && result == 0; i++)
        result = volume_make_place(volumes, list[i], err);
    volume_list_free(list, count);
    if (result == 0)
        result = list_names(volumes, &names, err);
    for (size_t i = 0; i < names.count && result == 0; i++) {
        mutex_lock(&volumes->memory);
        bool is_making = strv_contains(&volumes->making, names.items[i]);
        mutex_unlock(&volumes->memory);
        /* What is being removed is not left behind yet. */
        if (!is_making && !text_starts(names.items[i], REMOVED_PREFIX))
            result = repair_stray(volumes, names.items[i], err);
    }
    mutex_unlock(&volumes->changes);
    return result;
}

int volumes_verify(struct volumes *volumes, struct strv *out, struct error *err)
{
    CLEANUP(strv_done) struct strv names = {};
    int result;

    mutex_lock(&volumes->changes);
    result = list_names(volumes, &names, err);
    mutex_lock(&volumes->memory);
    MAP_EACH (&volumes->known, entry) {
        CLEANUP(free) char *path = volume_data_path(volumes, entry->key);

        if (result == 0 && !file_exists(path))
            strv_add_format(out, "volume %s is recorded, but not on disk", entry->key);
    }
    for (size_t i = 0; result == 0 && i < names.count; i++)
        if (!map_has(&volumes->known, names.items[i]) &&
            !strv_contains(&volumes->making, names.items[i]) &&
            !text_starts(names.items[i], REMOVED_PREFIX))
            strv_add_format(out, "%s/%s is on disk, but not recorded", volumes->path,
                            names.items[i]);
    mutex_unlock(&volumes->memory);
    mutex_unlock(&volumes->changes);
    return result;
}
