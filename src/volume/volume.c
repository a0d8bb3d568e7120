/* Volumes: a row in the record, committed before the directory is made and deleted before the
 * directory goes. */
#include "volume/volume.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "base/thread.h"
#include "codec/json.h"

#include "base/banned.h"

#define ANONYMOUS_LABEL "com.docker.volume.anonymous"

struct volumes {
    char *path; /* <data>/volumes */
    struct database *database;
    struct mutex lock; /* makes look-up and creation one step */
};

static const char *const schema[] = {
    "CREATE TABLE volume(name TEXT PRIMARY KEY, created_ns INTEGER NOT NULL, labels TEXT, options "
    "TEXT) WITHOUT ROWID;",
};

struct texts {
    struct map map;
};

static const struct json_field texts_fields[] = {
    JSON_TEXTS(struct texts, map, "m"),
    JSON_END,
};

struct counted_volume {
    struct volume volume;
    int reference_count;
};

static struct counted_volume *counted(struct volume *volume)
{
    return CONTAINER_OF(volume, struct counted_volume, volume);
}

struct volume *volume_ref(struct volume *volume)
{
    __atomic_add_fetch(&counted(volume)->reference_count, 1, __ATOMIC_RELAXED);
    return volume;
}

void volume_unref(struct volume *volume)
{
    if (!volume || __atomic_sub_fetch(&counted(volume)->reference_count, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    free(volume->name);
    free(volume->driver);
    free(volume->mountpoint);
    free(volume->scope);
    map_done(&volume->labels);
    map_done(&volume->options);
    free(counted(volume));
}

static struct volume *make(struct volumes *volumes, const char *name, int64_t created_ns)
{
    struct counted_volume *made = NEW(struct counted_volume);

    made->reference_count = 1;
    made->volume.name = xstrdup(name);
    made->volume.driver = xstrdup("local");
    made->volume.scope = xstrdup("local");
    made->volume.mountpoint = xasprintf("%s/%s/_data", volumes->path, name);
    made->volume.created_ns = created_ns;
    return &made->volume;
}

static char *texts_text(const struct map *map)
{
    struct texts texts = { .map = *map };
    struct str text = {};

    json_encode(texts_fields, &texts, &text);
    return str_take(&text);
}

static int read_texts(const char *text, struct map *out, struct error *err)
{
    struct texts texts = {};

    if (text && json_decode(texts_fields, text, strlen(text), &texts, err) < 0)
        return -1;
    *out = texts.map;
    return 0;
}

static int from_row(struct volumes *volumes, const struct query *query, struct volume **out,
                    struct error *err)
{
    CLEANUP(volume_unref)
    struct volume *volume = make(volumes, query_text(query, 0), query_int64(query, 1));

    if (read_texts(query_text(query, 2), &volume->labels, err) < 0 ||
        read_texts(query_text(query, 3), &volume->options, err) < 0)
        return error_context(err, "record of volume %s", volume->name);
    volume->is_anonymous = map_has(&volume->labels, ANONYMOUS_LABEL);
    *out = TAKE(volume);
    return 0;
}

static int make_directories(const struct volume *volume, struct error *err)
{
    CLEANUP(free)
    char *parent = xstrndup(volume->mountpoint, strlen(volume->mountpoint) - strlen("/_data"));

    if (mkdir(parent, 0701) < 0 && errno != EEXIST)
        return error_sys(err, "make directory %s", parent);
    if (mkdir(volume->mountpoint, 0755) < 0 && errno != EEXIST)
        return error_sys(err, "make directory %s", volume->mountpoint);
    return 0;
}

static bool is_known(struct volumes *volumes, const char *name)
{
    CLEANUP(query_close) struct query *query = NULL;

    return database_query(volumes->database, &query, NULL, "SELECT 1 FROM volume WHERE name = ?1",
                          "s", name) == 0 &&
           query_next(query, NULL) > 0;
}

/* What a crash left: directories without a row go, rows without a directory get one again. */
static int repair(struct volumes *volumes, struct error *err)
{
    DIR *dir = opendir(volumes->path);
    struct volume **list = NULL;
    size_t count = 0;
    struct dirent *entry;
    int result = 0;

    if (!dir)
        return error_sys(err, "open %s", volumes->path);
    while (result == 0 && (entry = readdir(dir)))
        if (entry->d_name[0] != '.' && !is_known(volumes, entry->d_name))
            result = tree_remove_at(dirfd(dir), entry->d_name, err);
    closedir(dir);
    if (result == 0)
        result = volume_list(volumes, &list, &count, err);
    for (size_t i = 0; result == 0 && i < count; i++)
        result = make_directories(list[i], err);
    volume_list_free(list, count);
    return result;
}

int volumes_open(const char *data_path, struct database *database, struct volumes **out,
                 struct error *err)
{
    CLEANUP(volumes_close) struct volumes *volumes = NEW(struct volumes);

    mutex_init(&volumes->lock);
    volumes->path = path_join(data_path, "volumes");
    volumes->database = database;
    if (dir_make(volumes->path, 0701, err) < 0 ||
        database_migrate(database, "volume", schema, COUNT(schema), err) < 0 ||
        repair(volumes, err) < 0)
        return -1;
    *out = TAKE(volumes);
    return 0;
}

void volumes_close(struct volumes *volumes)
{
    if (!volumes)
        return;
    mutex_done(&volumes->lock);
    free(volumes->path);
    free(volumes);
}

int volume_get(struct volumes *volumes, const char *name, struct volume **out, struct error *err)
{
    CLEANUP(query_close) struct query *query = NULL;

    if (database_query(volumes->database, &query, err,
                       "SELECT name, created_ns, labels, options FROM volume WHERE name = ?1", "s",
                       name) < 0)
        return -1;
    int row = query_next(query, err);
    if (row < 0)
        return -1;
    if (row == 0)
        return error_set(err, ERROR_NOT_FOUND, "get %s: no such volume", name);
    return from_row(volumes, query, out, err);
}

int volume_list(struct volumes *volumes, struct volume ***out, size_t *out_count, struct error *err)
{
    CLEANUP(query_close) struct query *query = NULL;
    struct volume **list = NULL;
    size_t count = 0;
    int row;

    if (database_query(volumes->database, &query, err,
                       "SELECT name, created_ns, labels, options FROM volume ORDER BY name",
                       "") < 0)
        return -1;
    while ((row = query_next(query, err)) > 0) {
        list = xrealloc(list, count + 1, sizeof(*list));
        if (from_row(volumes, query, &list[count], err) < 0)
            break;
        count++;
    }
    if (row != 0) {
        volume_list_free(list, count);
        return -1;
    }
    *out = list;
    *out_count = count;
    return 0;
}

void volume_list_free(struct volume **list, size_t count)
{
    for (size_t i = 0; list && i < count; i++)
        volume_unref(list[i]);
    free(list);
}

/* ---- creation ---- */

static bool is_valid_name(const char *name)
{
    if (!isalnum((unsigned char)name[0]) || !name[1] || strlen(name) > 255)
        return false;
    for (const char *at = name; *at; at++)
        if (!isalnum((unsigned char)*at) && !strchr("_.-", *at))
            return false;
    return true;
}

static int check_wish(const char *name, const char *driver, const struct map *options,
                      struct error *err)
{
    static const char *const known[] = { "type", "o", "device", "size" };

    if (!text_is_empty(driver) && strcmp(driver, "local") != 0)
        return error_set(err, ERROR_NOT_FOUND, "create %s: plugin \"%s\" not found", name, driver);
    if (!is_valid_name(name))
        return error_set(
            err, ERROR_INVALID,
            "create %s: \"%s\" includes invalid characters for a local volume name, only "
            "\"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, "
            "use absolute path",
            name, name);
    if (!options)
        return 0;
    MAP_EACH (options, entry) {
        bool found = false;

        for (size_t i = 0; i < COUNT(known); i++)
            found |= strcmp(known[i], entry->key) == 0;
        if (!found)
            return error_set(err, ERROR_INVALID, "create %s: invalid option: \"%s\"", name,
                             entry->key);
    }
    if (options->count)
        return error_set(err, ERROR_UNSUPPORTED,
                         "create %s: options of the local driver are not supported yet", name);
    return 0;
}

static int record(struct volumes *volumes, const struct volume *volume, struct error *err)
{
    CLEANUP(free) char *labels = texts_text(&volume->labels);
    CLEANUP(free) char *options = texts_text(&volume->options);

    if (database_begin(volumes->database, DURABLE, err) < 0)
        return -1;
    if (database_run(volumes->database, err,
                     "INSERT INTO volume(name, created_ns, labels, options) VALUES(?1, ?2, ?3, ?4)",
                     "siss", volume->name, volume->created_ns, labels, options) < 0) {
        database_rollback(volumes->database);
        return -1;
    }
    return database_commit(volumes->database, err);
}

static int create_locked(struct volumes *volumes, const char *name, bool is_anonymous,
                         const struct map *options, const struct map *labels, struct volume **out,
                         bool *out_created, struct error *err)
{
    *out_created = false;
    if (volume_get(volumes, name, out, err) == 0)
        return 0;
    if (err->kind != ERROR_NOT_FOUND)
        return -1;
    CLEANUP(volume_unref) struct volume *volume = make(volumes, name, clock_wall_ns());
    if (labels)
        map_copy_texts(&volume->labels, labels);
    if (options)
        map_copy_texts(&volume->options, options);
    if (is_anonymous)
        map_set_text(&volume->labels, ANONYMOUS_LABEL, "");
    volume->is_anonymous = map_has(&volume->labels, ANONYMOUS_LABEL);
    if (record(volumes, volume, err) < 0)
        return -1;
    if (make_directories(volume, err) < 0) {
        struct error ignored;

        database_run(volumes->database, &ignored, "DELETE FROM volume WHERE name = ?1", "s", name);
        return -1;
    }
    *out = TAKE(volume);
    *out_created = true;
    return 0;
}

int volume_create(struct volumes *volumes, const char *name, const char *driver,
                  const struct map *options, const struct map *labels, struct volume **out,
                  bool *out_created, struct error *err)
{
    char generated[ID_LENGTH + 1];
    bool is_anonymous = text_is_empty(name);
    struct error local;

    if (!err)
        err = &local;
    if (is_anonymous) {
        id_generate(generated);
        name = generated;
    }
    if (check_wish(name, driver, options, err) < 0)
        return -1;
    mutex_lock(&volumes->lock);
    int result = create_locked(volumes, name, is_anonymous, options, labels, out, out_created, err);
    mutex_unlock(&volumes->lock);
    return result;
}

int volume_remove(struct volumes *volumes, const char *name, struct error *err)
{
    CLEANUP(volume_unref) struct volume *volume = NULL;
    int result;

    if (volume_get(volumes, name, &volume, err) < 0)
        return -1;
    mutex_lock(&volumes->lock);
    result = database_begin(volumes->database, DURABLE, err);
    if (result == 0 &&
        database_run(volumes->database, err, "DELETE FROM volume WHERE name = ?1", "s", name) < 0) {
        database_rollback(volumes->database);
        result = -1;
    } else if (result == 0) {
        result = database_commit(volumes->database, err);
    }
    CLEANUP(free) char *path = path_join(volumes->path, name);
    if (result == 0)
        result = tree_remove(path, err);
    mutex_unlock(&volumes->lock);
    return result;
}

int volume_size(struct volume *volume, int64_t *out_bytes, struct error *err)
{
    return tree_size(volume->mountpoint, out_bytes, err);
}

int volumes_verify(struct volumes *volumes, struct strv *out, struct error *err)
{
    struct volume **list;
    size_t count;
    DIR *dir = opendir(volumes->path);
    struct dirent *entry;

    if (!dir)
        return error_sys(err, "open %s", volumes->path);
    while ((entry = readdir(dir)))
        if (entry->d_name[0] != '.' && !is_known(volumes, entry->d_name))
            strv_add_format(out, "directory %s/%s belongs to no volume", volumes->path,
                            entry->d_name);
    closedir(dir);
    if (volume_list(volumes, &list, &count, err) < 0)
        return -1;
    for (size_t i = 0; i < count; i++)
        if (!file_exists(list[i]->mountpoint))
            strv_add_format(out, "volume %s has no directory %s", list[i]->name,
                            list[i]->mountpoint);
    volume_list_free(list, count);
    return 0;
}
