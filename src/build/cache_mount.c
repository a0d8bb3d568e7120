/* Cache mounts. A name is the digest of the id, and a number behind it for the private copies. */
#include "build/cache_mount.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "build/source.h"
#include "codec/sha256.h"

#include "base/banned.h"

#define COPIES_LIMIT 256
#define WAIT_STEP_NS (100 * NS_PER_MS)

static bool has_row(struct cache_mounts *mounts, const char *name)
{
    CLEANUP(query_close) struct query *query = NULL;

    return database_query(mounts->database, &query, NULL,
                          "SELECT 1 FROM build_mount WHERE name = ?", "s", name) == 0 &&
           query_next(query, NULL) == 1;
}

static void remove_strays(struct cache_mounts *mounts)
{
    DIR *dir = opendir(mounts->path);
    struct dirent *entry;

    while (dir && (entry = readdir(dir))) {
        CLEANUP(free) char *path = path_join(mounts->path, entry->d_name);

        if (entry->d_name[0] != '.' && !has_row(mounts, entry->d_name))
            tree_remove(path, NULL);
    }
    if (dir)
        closedir(dir);
}

static int remove_lost_rows(struct cache_mounts *mounts, struct error *err)
{
    CLEANUP(strv_done) struct strv lost = {};
    CLEANUP(query_close) struct query *query = NULL;
    int more;

    if (database_query(mounts->database, &query, err, "SELECT name FROM build_mount", "") < 0)
        return -1;
    while ((more = query_next(query, err)) > 0) {
        CLEANUP(free) char *path = path_join(mounts->path, query_text(query, 0));

        if (!file_exists(path))
            strv_add(&lost, query_text(query, 0));
    }
    for (size_t i = 0; more == 0 && i < lost.count; i++)
        if (database_run(mounts->database, err, "DELETE FROM build_mount WHERE name = ?", "s",
                         lost.items[i]) < 0)
            return -1;
    return more;
}

int cache_mounts_open(struct cache_mounts *mounts, struct database *database, const char *data_path,
                      struct error *err)
{
    *mounts = (struct cache_mounts){ .database = database,
                                     .path = path_join(data_path, "build-cache") };
    mutex_init(&mounts->lock);
    condition_init(&mounts->changed);
    map_init_empty(&mounts->users, NULL);
    if (dir_make(mounts->path, 0700, err) < 0)
        return -1;
    remove_strays(mounts);
    return remove_lost_rows(mounts, err);
}

void cache_mounts_close(struct cache_mounts *mounts)
{
    free(mounts->path);
    map_done(&mounts->users);
    mutex_done(&mounts->lock);
    condition_done(&mounts->changed);
}

/* ---- taking ---- */

static intptr_t users_of(struct cache_mounts *mounts, const char *name) REQUIRES(mounts->lock)
{
    return (intptr_t)map_get(&mounts->users, name);
}

static void set_users(struct cache_mounts *mounts, const char *name, intptr_t count)
    REQUIRES(mounts->lock)
{
    if (count)
        map_set(&mounts->users, name, (void *)count);
    else
        map_remove(&mounts->users, name);
}

/* Takes the name if its users allow it. */
static bool try_take(struct cache_mounts *mounts, const char *name, bool is_exclusive)
    REQUIRES(mounts->lock)
{
    intptr_t count = users_of(mounts, name);

    if (count < 0 || (is_exclusive && count > 0))
        return false;
    set_users(mounts, name, is_exclusive ? -1 : count + 1);
    return true;
}

static int take_name(struct cache_mounts *mounts, const struct mount_rule *rule, const char *base,
                     int cancel_fd, char out[CACHE_MOUNT_NAME_SIZE], struct error *err)
{
    bool is_exclusive = rule->sharing != SHARING_SHARED;
    int copies = rule->sharing == SHARING_PRIVATE ? COPIES_LIMIT : 1, result = -1;

    mutex_lock(&mounts->lock);
    while (result < 0) {
        for (int i = 0; result < 0 && i < copies; i++) {
            snprintf(out, CACHE_MOUNT_NAME_SIZE, i ? "%s.%d" : "%s", base, i);
            if (try_take(mounts, out, is_exclusive))
                result = 0;
        }
        if (result == 0)
            break;
        condition_wait_until(&mounts->changed, &mounts->lock, clock_monotonic_ns() + WAIT_STEP_NS);
        if (check_cancelled(cancel_fd, err) < 0)
            break;
    }
    mutex_unlock(&mounts->lock);
    return result;
}

static int make(struct cache_mounts *mounts, const struct mount_rule *rule, const char *name,
                const char *path, const char *description, struct error *err)
{
    int64_t now = clock_wall_ns();
    mode_t mode = rule->is_mode_given ? rule->mode : 0755;

    if (database_run(mounts->database, err,
                     "INSERT OR REPLACE INTO build_mount (name, description, created, used)"
                     " VALUES (?, ?, ?, ?)",
                     "ssii", name, description, now, now) < 0 ||
        dir_make(path, 0755, err) < 0)
        return -1;
    if (chown(path, rule->uid, rule->gid) < 0 || chmod(path, mode) < 0)
        return error_sys(err, "set owner and mode of a cache mount");
    return 0;
}

int cache_mount_take(struct cache_mounts *mounts, const struct mount_rule *rule, const char *target,
                     int cancel_fd, char out_name[CACHE_MOUNT_NAME_SIZE], char **out_path,
                     bool *out_is_new, struct error *err)
{
    const char *id = text_is_empty(rule->id) ? target : rule->id;
    CLEANUP(free)
    char *description = xasprintf("mount / from exec with id \"%s\"", id);
    char digest[DIGEST_SIZE], base[33];

    sha256_digest(id, strlen(id), digest);
    snprintf(base, sizeof(base), "%.32s", digest_hex(digest));
    if (take_name(mounts, rule, base, cancel_fd, out_name, err) < 0)
        return -1;
    CLEANUP(free) char *path = path_join(mounts->path, out_name);
    *out_is_new = !file_exists(path);
    if (*out_is_new
            ? make(mounts, rule, out_name, path, description, err) < 0
            : database_run(mounts->database, err, "UPDATE build_mount SET used = ? WHERE name = ?",
                           "is", clock_wall_ns(), out_name) < 0) {
        cache_mount_give_back(mounts, out_name, rule->sharing != SHARING_SHARED);
        return error_context(err, "cache mount %s", id);
    }
    *out_path = TAKE(path);
    return 0;
}

void cache_mount_give_back(struct cache_mounts *mounts, const char *name, bool is_exclusive)
{
    mutex_lock(&mounts->lock);
    set_users(mounts, name, is_exclusive ? 0 : users_of(mounts, name) - 1);
    condition_broadcast(&mounts->changed);
    mutex_unlock(&mounts->lock);
}

/* ---- looking and removing ---- */

int cache_mounts_list(struct cache_mounts *mounts, struct cache_mount_info **out, size_t *out_count,
                      struct error *err)
{
    CLEANUP(query_close) struct query *query = NULL;
    struct cache_mount_info *infos = NULL;
    size_t count = 0;
    int more;

    if (database_query(mounts->database, &query, err,
                       "SELECT name, description, created, used FROM build_mount ORDER BY used",
                       "") < 0)
        return -1;
    while ((more = query_next(query, err)) > 0) {
        infos = xrealloc(infos, count + 1, sizeof(*infos));
        infos[count++] = (struct cache_mount_info){ .name = xstrdup(query_text(query, 0)),
                                                    .description = xstrdup(query_text(query, 1)),
                                                    .created_ns = query_int64(query, 2),
                                                    .used_ns = query_int64(query, 3) };
    }
    for (size_t i = 0; i < count; i++) {
        CLEANUP(free) char *path = path_join(mounts->path, infos[i].name);

        tree_size(path, &infos[i].size_bytes, NULL);
        mutex_lock(&mounts->lock);
        infos[i].in_use = users_of(mounts, infos[i].name) != 0;
        mutex_unlock(&mounts->lock);
    }
    if (more < 0) {
        cache_mounts_free(infos, count);
        return -1;
    }
    *out = infos;
    *out_count = count;
    return 0;
}

void cache_mounts_free(struct cache_mount_info *infos, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(infos[i].name);
        free(infos[i].description);
    }
    free(infos);
}

int cache_mount_remove(struct cache_mounts *mounts, const char *name, struct error *err)
{
    CLEANUP(free) char *path = path_join(mounts->path, name);

    mutex_lock(&mounts->lock);
    bool is_taken = try_take(mounts, name, true);
    mutex_unlock(&mounts->lock);
    if (!is_taken)
        return 0;
    int result = tree_remove(path, err);
    if (result == 0 && database_run(mounts->database, err, "DELETE FROM build_mount WHERE name = ?",
                                    "s", name) < 0)
        result = -1;
    cache_mount_give_back(mounts, name, true);
    return result < 0 ? -1 : 1;
}
