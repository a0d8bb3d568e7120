/* A measurement counts if nobody touched the directory while it was taken, nor since. A row of the
 * record goes before the directory is changed, so that a crash leaves none that is wrong. */
#include "engine/usage_cache.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "base/memory.h"
#include "base/text.h"
#include "base/thread.h"

#include "base/banned.h"

/* Walking what is in use takes at most this part of the time. */
enum { DUTY = 20 };

struct entry {
    struct tree_usage usage;
    uint64_t version;       /* counts touches */
    uint64_t taken_version; /* at the measurement */
    uint64_t taken_ns, cost_ns;
    bool is_taken, was_at_rest, is_wanted;
    bool is_recorded;
};

/* Locks: the record's writer, then this one. */
struct usage_cache {
    struct database *database;
    char *root_path;
    atomic_bool is_ending;
    struct mutex lock;
    struct map entries GUARDED_BY(lock); /* path → struct entry */
};

const char usage_cache_schema[] =
    "CREATE TABLE usage(path TEXT PRIMARY KEY, size INTEGER NOT NULL, disk INTEGER NOT NULL)"
    " WITHOUT ROWID;";

/* ---- the record: paths below the data root, and which start of the machine they are from ---- */

#define BOOT_PATH    "/proc/sys/kernel/random/boot_id"
#define BOOT_SETTING "usage boot"

/* NULL: not below the data root, and not recorded. */
static const char *recorded_name(const struct usage_cache *cache, const char *path)
{
    size_t length = strlen(cache->root_path);

    return text_starts(path, cache->root_path) && path[length] == '/' ? path + length + 1 : NULL;
}

static int check_boot(struct usage_cache *cache, struct error *err)
{
    CLEANUP(str_done) struct str boot = {};
    CLEANUP(query_close) struct query *query = NULL;

    if (file_read(BOOT_PATH, 64, &boot, err) < 0 ||
        database_query(cache->database, &query, err, "SELECT value FROM setting WHERE name = ?1",
                       "s", BOOT_SETTING) < 0)
        return -1;
    int row = query_next(query, err);
    if (row < 0 || (row > 0 && text_equal(query_text(query, 0), str_text(&boot))))
        return row < 0 ? -1 : 0;
    if (database_run(cache->database, err, "DELETE FROM usage", "") < 0 ||
        database_run(cache->database, err, "INSERT OR REPLACE INTO setting VALUES(?1, ?2)", "ss",
                     BOOT_SETTING, str_text(&boot)) < 0)
        return -1;
    return 0;
}

static int load(struct usage_cache *cache, struct error *err)
{
    CLEANUP(query_close) struct query *query = NULL;
    int row;

    if (check_boot(cache, err) < 0 ||
        database_query(cache->database, &query, err, "SELECT path, size, disk FROM usage", "") < 0)
        return -1;
    while ((row = query_next(query, err)) > 0) {
        struct entry *entry = NEW(struct entry);

        *entry = (struct entry){ .usage = { .size_bytes = query_int64(query, 1),
                                            .disk_bytes = query_int64(query, 2) },
                                 .is_taken = true,
                                 .was_at_rest = true,
                                 .is_wanted = true,
                                 .is_recorded = true };
        CLEANUP(free) char *path = path_join(cache->root_path, query_text(query, 0));
        map_set(&cache->entries, path, entry);
    }
    return row;
}

/* Without the lock, which comes behind that of the record. */
static void remove_row(struct usage_cache *cache, const char *path)
{
    struct error err;

    if (database_run(cache->database, &err, "DELETE FROM usage WHERE path = ?1", "s",
                     recorded_name(cache, path)) < 0)
        log_warn("cannot forget the size of a directory", "path", path, "error", err.text);
}

static bool is_to_be_recorded(const struct usage_cache *cache, const struct map_entry *item)
{
    const struct entry *entry = item->value;

    return !entry->is_recorded && entry->is_taken && entry->was_at_rest &&
           entry->taken_version == entry->version && recorded_name(cache, item->key);
}

static int record_entries(struct usage_cache *cache, struct error *err) REQUIRES(cache->lock)
{
    MAP_EACH (&cache->entries, item) {
        struct entry *entry = item->value;

        if (!is_to_be_recorded(cache, item))
            continue;
        if (database_run(cache->database, err, "INSERT OR REPLACE INTO usage VALUES(?1, ?2, ?3)",
                         "sii", recorded_name(cache, item->key), entry->usage.size_bytes,
                         entry->usage.disk_bytes) < 0)
            return -1;
        entry->is_recorded = true;
    }
    return 0;
}

/* ---- the cache ---- */

int usage_cache_open(struct database *database, const char *root_path, struct usage_cache **out,
                     struct error *err)
{
    struct usage_cache *cache = NEW(struct usage_cache);

    mutex_init(&cache->lock);
    map_init_empty(&cache->entries, free);
    cache->database = database;
    cache->root_path = xstrdup(root_path);
    if (load(cache, err) < 0) {
        usage_cache_free(cache);
        return -1;
    }
    *out = cache;
    return 0;
}

void usage_cache_end(struct usage_cache *cache)
{
    if (cache)
        cache->is_ending = true;
}

void usage_cache_free(struct usage_cache *cache)
{
    if (!cache)
        return;
    map_done(&cache->entries);
    mutex_done(&cache->lock);
    free(cache->root_path);
    free(cache);
}

static struct entry *find(struct usage_cache *cache, const char *path) REQUIRES(cache->lock)
{
    struct entry *entry = map_get(&cache->entries, path);

    if (!entry) {
        entry = NEW(struct entry);
        map_set(&cache->entries, path, entry);
    }
    return entry;
}

void usage_cache_touch(struct usage_cache *cache, const char *path)
{
    bool has_row = false;

    mutex_lock(&cache->lock);
    struct entry *entry = map_get(&cache->entries, path);
    if (entry) {
        entry->version++;
        has_row = entry->is_recorded;
        entry->is_recorded = false;
    }
    mutex_unlock(&cache->lock);
    if (has_row)
        remove_row(cache, path);
}

static bool is_good(const struct entry *entry, bool at_rest, uint64_t now_ns)
{
    if (!entry->is_taken)
        return false;
    if (at_rest)
        return entry->was_at_rest && entry->taken_version == entry->version;
    return now_ns - entry->taken_ns < entry->cost_ns * DUTY;
}

void usage_cache_measure(struct usage_cache *cache, const char *path, bool at_rest,
                         struct tree_usage *out)
{
    uint64_t began_ns = clock_monotonic_ns();

    mutex_lock(&cache->lock);
    struct entry *entry = find(cache, path);
    bool good = is_good(entry, at_rest, began_ns);
    uint64_t version = entry->version;
    entry->is_wanted = true;
    *out = entry->usage;
    mutex_unlock(&cache->lock);
    if (good)
        return;
    *out = (struct tree_usage){};
    if (tree_usage_until(path, &cache->is_ending, out, NULL) < 0)
        *out = (struct tree_usage){};
    if (cache->is_ending)
        return;
    mutex_lock(&cache->lock);
    entry = find(cache, path); /* It may have been swept meanwhile. */
    uint64_t now_ns = clock_monotonic_ns();
    bool has_row = entry->is_recorded;
    *entry = (struct entry){ .usage = *out,
                             .version = entry->version,
                             .taken_version = version,
                             .taken_ns = now_ns,
                             .cost_ns = now_ns - began_ns,
                             .is_taken = true,
                             .was_at_rest = at_rest,
                             .is_wanted = true };
    mutex_unlock(&cache->lock);
    if (has_row)
        remove_row(cache, path);
}

void usage_cache_prepare(struct usage_cache *cache, const char *path, bool at_rest)
{
    struct tree_usage ignored;

    if (at_rest) {
        usage_cache_measure(cache, path, true, &ignored);
        return;
    }
    mutex_lock(&cache->lock);
    struct entry *entry = map_get(&cache->entries, path);
    if (entry)
        entry->is_wanted = true;
    mutex_unlock(&cache->lock);
}

static bool has_news(struct usage_cache *cache)
{
    bool found = false;

    mutex_lock(&cache->lock);
    MAP_EACH (&cache->entries, item)
        found = found || is_to_be_recorded(cache, item) ||
                !((const struct entry *)item->value)->is_wanted;
    if (!found)
        MAP_EACH (&cache->entries, item)
            ((struct entry *)item->value)->is_wanted = false;
    mutex_unlock(&cache->lock);
    return found;
}

/* In a transaction, as what follows. */
static void forget_unwanted(struct usage_cache *cache) REQUIRES(cache->lock)
{
    struct map kept = {};

    map_init_empty(&kept, free);
    MAP_EACH (&cache->entries, item) {
        struct entry *entry = item->value;

        if (!entry->is_wanted) {
            if (entry->is_recorded)
                remove_row(cache, item->key);
            continue;
        }
        entry->is_wanted = false;
        item->value = NULL;
        map_set(&kept, item->key, entry);
    }
    map_done(&cache->entries);
    cache->entries = kept;
}

void usage_cache_sweep(struct usage_cache *cache)
{
    struct error err;

    if (!has_news(cache) || database_begin(cache->database, RELAXED, &err) < 0)
        return;
    mutex_lock(&cache->lock);
    forget_unwanted(cache);
    int result = record_entries(cache, &err);
    mutex_unlock(&cache->lock);
    /* What was not written is measured once more by the next engine. */
    if (result < 0)
        database_rollback(cache->database);
    else if (database_commit(cache->database, &err) < 0)
        log_warn("cannot note the sizes of directories", "error", err.text);
}
