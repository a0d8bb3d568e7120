/* Volumes are recorded before they are made, and marked before they go. */
#include "volume/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "codec/json.h"
#include "linux/limited_dir.h"
#include "linux/tree.h"
#include "volume/plugin.h"

#include "base/banned.h"

#define ANONYMOUS_LABEL "com.docker.volume.anonymous"

static const char *const tables[] = {
    ("CREATE TABLE volume (name TEXT PRIMARY KEY, driver TEXT NOT NULL, labels TEXT NOT NULL,"
     " options TEXT NOT NULL, created_ns INTEGER NOT NULL, state INTEGER NOT NULL) WITHOUT ROWID"),
    "ALTER TABLE volume ADD COLUMN snapshot_of TEXT",
    "ALTER TABLE volume ADD COLUMN moving_to TEXT", /* the name that it is about to get */
    "ALTER TABLE volume ADD COLUMN scope TEXT",     /* of a plugin's; null: local */
};

static struct known_volume *known_volume(struct volume *volume)
{
    return CONTAINER_OF(volume, struct known_volume, volume);
}

struct volume *volume_ref(struct volume *volume)
{
    atomic_fetch_add(&known_volume(volume)->references, 1);
    return volume;
}

void volume_unref(struct volume *volume)
{
    if (!volume || atomic_fetch_sub(&known_volume(volume)->references, 1) > 1)
        return;
    free(volume->name);
    free(volume->driver);
    free(volume->mountpoint);
    free(volume->scope);
    free(volume->snapshot_of);
    map_done(&volume->labels);
    map_done(&volume->options);
    strv_done(&known_volume(volume)->users);
    mutex_done(&known_volume(volume)->filling);
    mutex_done(&known_volume(volume)->mounting);
    free(known_volume(volume));
}

static void unref_value(void *value)
{
    volume_unref(&((struct known_volume *)value)->volume);
}

char *volume_path(const struct volumes *volumes, const char *name)
{
    return path_join(volumes->path, name);
}

char *volume_data_path(const struct volumes *volumes, const char *name)
{
    return xasprintf("%s/%s/_data", volumes->path, name);
}

struct known_volume *volume_new(struct volumes *volumes, const char *name)
{
    struct known_volume *known = NEW(struct known_volume);

    atomic_init(&known->references, 1);
    known->volumes = volumes;
    mutex_init(&known->filling);
    mutex_init(&known->mounting);
    known->volume.name = xstrdup(name);
    known->volume.driver = xstrdup("local");
    known->volume.scope = xstrdup("local");
    known->volume.mountpoint = volume_data_path(volumes, name);
    known->volume.created_ns = clock_wall_ns();
    return known;
}

void volume_remember(struct volumes *volumes, struct known_volume *known)
{
    known->volume.is_anonymous = map_has(&known->volume.labels, ANONYMOUS_LABEL);
    mutex_lock(&volumes->memory);
    map_set(&volumes->known, known->volume.name, known);
    mutex_unlock(&volumes->memory);
}

int volumes_open(const char *data_path, struct database *database, struct strv *out_trash,
                 struct volumes **out, struct error *err)
{
    CLEANUP(volumes_close) struct volumes *volumes = NEW(struct volumes);
    CLEANUP(free) char *absolute = path_absolute(data_path);

    volumes->path = path_join(absolute, "volumes");
    volumes->database = database;
    mutex_init(&volumes->changes);
    mutex_init(&volumes->memory);
    mutex_init(&volumes->forgetting);
    map_init_empty(&volumes->known, unref_value);
    if (dir_make(volumes->path, 0701, err) < 0)
        return error_context(err, "open volumes");
    tree_spread(volumes->path);
    if (database_migrate(database, "volume", tables, COUNT(tables), err) < 0 ||
        volumes_load(volumes, out_trash, err) < 0)
        return error_context(err, "open volumes");
    *out = TAKE(volumes);
    return 0;
}

void volumes_close(struct volumes *volumes)
{
    if (!volumes)
        return;
    volumes_forget_removed(volumes, NULL); /* else the next one does */
    map_done(&volumes->known);
    strv_done(&volumes->making);
    strv_done(&volumes->removed);
    strv_done(&volumes->plugin_directories);
    mutex_done(&volumes->changes);
    mutex_done(&volumes->memory);
    mutex_done(&volumes->forgetting);
    free(volumes->path);
    free(volumes);
}

/* ---- creating ---- */

static bool is_local(const char *driver)
{
    return text_is_empty(driver) || strcmp(driver, "local") == 0;
}

static int check_driver(const struct volumes *volumes, const char *driver, struct error *err)
{
    if (is_local(driver) || plugin_exists(&volumes->plugin_directories, driver))
        return 0;
    return error_set(err, ERROR_NOT_FOUND,
                     "error looking up volume plugin %.100s: plugin \"%.100s\" not found", driver,
                     driver);
}

void volumes_use_plugins(struct volumes *volumes, const struct strv *directories)
{
    strv_done(&volumes->plugin_directories);
    strv_copy(&volumes->plugin_directories, directories);
}

void volumes_drivers(struct volumes *volumes, struct strv *out)
{
    plugin_list(&volumes->plugin_directories, out);
    if (!strv_contains(out, "local"))
        strv_insert(out, 0, "local");
}

char *volume_image_path(const struct volumes *volumes, const char *name)
{
    return xasprintf("%s/%s/image", volumes->path, name);
}

int volume_make_place(const struct volumes *volumes, const struct volume *volume, struct error *err)
{
    CLEANUP(free) char *path = volume_path(volumes, volume->name);
    CLEANUP(free) char *image_path = volume_image_path(volumes, volume->name);
    const char *data_path = volume->mountpoint;

    if (dir_make(path, 0701, err) < 0)
        return -1;
    bool is_new = mkdir(data_path, 0755) == 0;
    if (!is_new && errno != EEXIST)
        return error_sys(err, "make directory %s", data_path);
    if (is_new && (chmod(path, 0701) < 0 || chmod(data_path, 0755) < 0))
        return error_sys(err, "%s", path);
    return volume_size_limit(volume)
               ? limited_dir_make(data_path, image_path, volume_size_limit(volume), err)
               : 0;
}

static char *encode(const struct map *texts)
{
    CLEANUP(str_done) struct str text = {};
    struct json_writer w = { .out = &text };

    json_add_texts(&w, NULL, texts);
    return str_take(&text);
}

int volume_record(struct volumes *volumes, const struct volume *volume, enum volume_state state,
                  struct error *err)
{
    CLEANUP(free) char *labels = encode(&volume->labels);
    CLEANUP(free) char *options = encode(&volume->options);

    if (volume_free_name(volumes, volume->name, err) < 0)
        return -1;
    return database_run_alone(volumes->database, DURABLE, err,
                              "INSERT INTO volume (name, driver, labels, options, created_ns,"
                              " state, snapshot_of, scope) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                              "ssssiiss", volume->name, volume->driver, labels, options,
                              volume->created_ns, (int64_t)state, volume->snapshot_of,
                              volume->scope) < 0
               ? -1
               : 0;
}

int volume_set_state(struct volumes *volumes, const char *name, enum volume_state state,
                     struct error *err)
{
    return database_run_alone(volumes->database, DURABLE, err,
                              "UPDATE volume SET state = ? WHERE name = ?", "is", (int64_t)state,
                              name) < 0
               ? -1
               : 0;
}

void volume_take_back(struct volumes *volumes, const struct volume *volume)
{
    CLEANUP(free) char *path = volume_path(volumes, volume->name);

    if (limited_dir_end(volume->mountpoint, NULL) == 0 && tree_remove(path, NULL) == 0 &&
        parent_sync(path, NULL) == 0)
        database_run(volumes->database, NULL, "DELETE FROM volume WHERE name = ?", "s",
                     volume->name);
    else
        volume_set_state(volumes, volume->name, VOLUME_REMOVING, NULL);
}

static int create(struct volumes *volumes, const char *name, const struct map *options,
                  const struct map *labels, bool is_anonymous, struct volume **out,
                  struct error *err)
{
    struct known_volume *known = volume_new(volumes, name);
    CLEANUP(volume_unref) struct volume *volume = &known->volume;

    if (labels)
        map_copy_texts(&volume->labels, labels);
    if (options)
        map_copy_texts(&volume->options, options);
    if (is_anonymous)
        map_set_text(&volume->labels, ANONYMOUS_LABEL, "");
    if (volume_record(volumes, volume, VOLUME_READY, err) < 0)
        return -1;
    if (volume_make_place(volumes, volume, err) < 0) {
        volume_take_back(volumes, volume);
        return -1;
    }
    *out = volume_ref(volume);
    volume = NULL;
    volume_remember(volumes, known);
    return 0;
}

int volume_check(struct volumes *volumes, const char *name, const char *driver, struct error *err)
{
    if (check_driver(volumes, driver, err) < 0 || volume_check_name(name, err) < 0)
        return error_context(err, "create %.300s", name);
    return 0;
}

char *volume_mountpoint(const struct volumes *volumes, const char *name)
{
    return volume_data_path(volumes, name);
}

struct volume *volume_find(struct volumes *volumes, const char *name)
{
    mutex_lock(&volumes->memory);
    struct known_volume *known = map_get(&volumes->known, name);
    struct volume *volume = known ? volume_ref(&known->volume) : NULL;
    mutex_unlock(&volumes->memory);
    return volume;
}

/* The plugin may take its time: meanwhile only the name is taken. A crash in between leaves it to
 * the plugin whether there is something; to make it again is no error there. */
static int make_by_plugin(struct volumes *volumes, struct known_volume *known, struct error *err)
{
    struct volume *volume = &known->volume;

    if (volume_plugin_create(volume, err) < 0 ||
        volume_record(volumes, volume, VOLUME_READY, err) < 0)
        return -1;
    if (volume_make_place(volumes, volume, err) == 0)
        return 0;
    volume_take_back(volumes, volume);
    return -1;
}

static int create_by_plugin(struct volumes *volumes, const char *name, const char *driver,
                            const struct map *options, const struct map *labels, bool is_anonymous,
                            struct volume **out, struct error *err)
{
    if (volume_reserve(volumes, name, err) < 0)
        return -1;
    struct known_volume *known = volume_new(volumes, name);
    free(known->volume.driver);
    known->volume.driver = xstrdup(driver);
    if (labels)
        map_copy_texts(&known->volume.labels, labels);
    if (options)
        map_copy_texts(&known->volume.options, options);
    if (is_anonymous)
        map_set_text(&known->volume.labels, ANONYMOUS_LABEL, "");
    int result = make_by_plugin(volumes, known, err);
    if (result == 0) {
        *out = volume_ref(&known->volume);
        volume_remember(volumes, known);
    } else {
        volume_unref(&known->volume);
    }
    volume_give_back(volumes, name);
    return result;
}

static int create_new(struct volumes *volumes, const char *name, const char *driver,
                      const struct map *options, const struct map *labels, bool is_anonymous,
                      struct volume **out, bool *out_created, struct error *err)
{
    int result = 0;

    if (check_driver(volumes, driver, err) < 0 || volume_check_name(name, err) < 0)
        return -1;
    if (!is_local(driver)) {
        *out_created = true;
        return create_by_plugin(volumes, name, driver, options, labels, is_anonymous, out, err);
    }
    if (volume_check_options(options, err) < 0)
        return -1;
    mutex_lock(&volumes->changes);
    struct volume *volume = volume_find(volumes, name);
    *out_created = !volume;
    mutex_lock(&volumes->memory);
    bool is_making = strv_contains(&volumes->making, name);
    mutex_unlock(&volumes->memory);
    if (is_making)
        result = error_set(err, ERROR_CONFLICT, "volume %s is being made", name);
    else if (!volume)
        result = create(volumes, name, options, labels, is_anonymous, &volume, err);
    mutex_unlock(&volumes->changes);
    if (result == 0)
        *out = volume;
    return result;
}

int volume_create(struct volumes *volumes, const char *name, const char *driver,
                  const struct map *options, const struct map *labels, struct volume **out,
                  bool *out_created, struct error *err)
{
    char id[ID_LENGTH + 1];
    bool is_anonymous = text_is_empty(name), created = false;

    if (is_anonymous)
        id_generate(id);
    name = is_anonymous ? id : name;
    /* One that is there already is given whatever else was asked for. */
    CLEANUP(volume_unref) struct volume *there = volume_find(volumes, name);
    if (there && !text_is_empty(driver) && strcmp(there->driver, driver) != 0)
        return check_driver(volumes, driver, err) < 0
                   ? error_context(err, "create %.300s", name)
                   : error_set(err, ERROR_CONFLICT,
                               "create %.300s: conflict: volume name must be unique", name);
    if (there)
        *out = TAKE(there);
    else if (create_new(volumes, name, driver, options, labels, is_anonymous, out, &created, err) <
             0)
        return error_context(err, "create %.300s", name);
    if (out_created)
        *out_created = created;
    return 0;
}

/* ---- asking ---- */

int volume_get(struct volumes *volumes, const char *name, struct volume **out, struct error *err)
{
    struct volume *volume = volume_find(volumes, name);

    if (!volume)
        return error_set(err, ERROR_NOT_FOUND, "get %.300s: no such volume", name);
    *out = volume;
    return 0;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp((*(struct volume *const *)a)->name, (*(struct volume *const *)b)->name);
}

int volume_list(struct volumes *volumes, struct volume ***out, size_t *out_count,
                struct error *err UNUSED)
{
    size_t count = 0;

    mutex_lock(&volumes->memory);
    struct volume **list = xcalloc(volumes->known.count + 1, sizeof(*list));
    MAP_EACH (&volumes->known, entry)
        list[count++] = volume_ref(&((struct known_volume *)entry->value)->volume);
    mutex_unlock(&volumes->memory);
    qsort(list, count, sizeof(*list), compare_names);
    *out = list;
    *out_count = count;
    return 0;
}

void volume_list_free(struct volume **list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        volume_unref(list[i]);
    free(list);
}

/* ---- holding ---- */

int volume_hold(struct volume *volume, struct error *err)
{
    struct volumes *volumes = known_volume(volume)->volumes;

    mutex_lock(&volumes->memory);
    bool is_known = map_get(&volumes->known, volume->name) == known_volume(volume) &&
                    !known_volume(volume)->is_leaving;
    known_volume(volume)->holds += is_known;
    mutex_unlock(&volumes->memory);
    return is_known ? 0
                    : error_set(err, ERROR_NOT_FOUND, "get %.300s: no such volume", volume->name);
}

void volume_let_go(struct volume *volume)
{
    struct volumes *volumes = known_volume(volume)->volumes;

    mutex_lock(&volumes->memory);
    known_volume(volume)->holds--;
    mutex_unlock(&volumes->memory);
}

int volume_begin_leaving(struct volume *volume, const char *action, struct error *err)
{
    struct volumes *volumes = known_volume(volume)->volumes;
    bool has_users = volume_has_users(volume);

    mutex_lock(&volumes->memory);
    bool is_free = !has_users && known_volume(volume)->holds == 0;
    known_volume(volume)->is_leaving = is_free;
    mutex_unlock(&volumes->memory);
    return is_free ? 0
                   : error_set(err, ERROR_CONFLICT, "%s %.300s: volume is in use", action,
                               volume->name);
}

void volume_end_leaving(struct volume *volume)
{
    struct volumes *volumes = known_volume(volume)->volumes;

    mutex_lock(&volumes->memory);
    known_volume(volume)->is_leaving = false;
    mutex_unlock(&volumes->memory);
}
