/* The build cache in the record. */
#include "build/cache.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"

#include "base/banned.h"

static const char *const steps[] = {
    "CREATE TABLE build_cache ("
    " key TEXT PRIMARY KEY, image_id TEXT NOT NULL, chain_id TEXT NOT NULL, config TEXT NOT NULL,"
    " description TEXT NOT NULL, size INTEGER NOT NULL, created INTEGER NOT NULL,"
    " used INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE INDEX build_cache_chain ON build_cache (chain_id)",
    "CREATE INDEX build_cache_used ON build_cache (used)",
    "CREATE TABLE build_mount (name TEXT PRIMARY KEY, description TEXT NOT NULL,"
    " created INTEGER NOT NULL, used INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE build_remote (url TEXT PRIMARY KEY, etag TEXT, modified TEXT,"
    " digest TEXT NOT NULL) WITHOUT ROWID",
    "ALTER TABLE build_cache ADD COLUMN uses INTEGER NOT NULL DEFAULT 0",
    /* Configurations are large and rarely read: each holds the history of all steps before. */
    "CREATE TABLE build_config (key TEXT PRIMARY KEY, config TEXT NOT NULL) WITHOUT ROWID",
    "INSERT INTO build_config SELECT key, config FROM build_cache",
    "UPDATE build_cache SET config = ''",
    /* A row has what its step adds, not the configuration with the history of all steps before. */
    "DROP TABLE build_config",
    "DROP TABLE build_cache",
    "CREATE TABLE build_cache ("
    " key TEXT PRIMARY KEY, state_id TEXT NOT NULL, chain_id TEXT NOT NULL, diff_id TEXT NOT NULL,"
    " author TEXT, made INTEGER NOT NULL, description TEXT NOT NULL, size INTEGER NOT NULL,"
    " created INTEGER NOT NULL, used INTEGER NOT NULL, uses INTEGER NOT NULL DEFAULT 0)"
    " WITHOUT ROWID",
    "CREATE INDEX build_cache_chain ON build_cache (chain_id)",
    "CREATE INDEX build_cache_used ON build_cache (used)",
};

int cache_migrate(struct database *database, struct error *err)
{
    return database_migrate(database, "build", steps, COUNT(steps), err);
}

/* The form of the keys: another number makes all that was kept unfindable. */
#define KEY_VERSION "3"

struct cache_key {
    struct sha256 *hash;
};

struct cache_key *cache_key_new(void)
{
    struct cache_key *key = NEW(struct cache_key);

    key->hash = sha256_new();
    cache_key_add(key, KEY_VERSION);
    return key;
}

/* With its length in front, so that no two rows of texts give the same bytes. */
void cache_key_add(struct cache_key *key, const char *text)
{
    uint64_t length = text ? strlen(text) : 0;

    sha256_add(key->hash, &length, sizeof(length));
    sha256_add(key->hash, text, length);
}

void cache_key_add_list(struct cache_key *key, const struct strv *list)
{
    uint64_t count = list->count;

    sha256_add(key->hash, &count, sizeof(count));
    for (size_t i = 0; i < list->count; i++)
        cache_key_add(key, list->items[i]);
}

void cache_key_finish(struct cache_key *key, char out[DIGEST_SIZE])
{
    sha256_finish(key->hash, out);
}

void cache_key_free(struct cache_key *key)
{
    if (!key)
        return;
    sha256_free(key->hash);
    free(key);
}

void cache_entry_done(struct cache_entry *entry)
{
    free(entry->created_by);
    free(entry->author);
    *entry = (struct cache_entry){};
}

int cache_find(struct database *database, const char *key, struct cache_entry *out,
               struct error *err)
{
    CLEANUP(query_close) struct query *query = NULL;

    if (database_query(database, &query, err,
                       "SELECT state_id, chain_id, diff_id, author, made, description"
                       " FROM build_cache WHERE key = ?",
                       "s", key) < 0)
        return -1;

    int more = query_next(query, err);
    if (more <= 0)
        return more;
    snprintf(out->state_id, sizeof(out->state_id), "%s", query_text(query, 0));
    snprintf(out->chain_id, sizeof(out->chain_id), "%s", query_text(query, 1));
    snprintf(out->diff_id, sizeof(out->diff_id), "%s", query_text(query, 2));
    out->author = xstrdup(query_text(query, 3));
    out->made_ns = query_int64(query, 4);
    out->created_by = xstrdup(query_text(query, 5));
    return 1;
}

int cache_put(struct database *database, const char *key, const struct cache_entry *entry,
              int64_t size_bytes, struct error *err)
{
    int64_t now = clock_wall_ns();

    return database_run(database, err,
                        "INSERT OR REPLACE INTO build_cache (key, state_id, chain_id, diff_id,"
                        " author, made, description, size, created, used)"
                        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                        "sssssisiii", key, entry->state_id, entry->chain_id, entry->diff_id,
                        entry->author, entry->made_ns, entry->created_by, size_bytes, now, now) < 0
               ? -1
               : 0;
}

int cache_touch(struct database *database, const struct strv *keys, struct error *err)
{
    int64_t now = clock_wall_ns();

    if (keys->count == 0)
        return 0;
    if (database_begin(database, RELAXED, err) < 0)
        return -1;
    for (size_t i = 0; i < keys->count; i++)
        if (database_run(database, err,
                         "UPDATE build_cache SET used = ?, uses = uses + 1 WHERE key = ?", "is",
                         now, keys->items[i]) < 0) {
            database_rollback(database);
            return -1;
        }
    return database_commit(database, err);
}

bool cache_uses_layer(struct database *database, const char *chain_id)
{
    CLEANUP(query_close) struct query *query = NULL;

    if (database_query(database, &query, NULL,
                       "SELECT 1 FROM build_cache WHERE chain_id = ? LIMIT 1", "s", chain_id) < 0)
        return true; /* Who cannot look says "in use": nothing is lost by keeping. */
    return query_next(query, NULL) != 0;
}

struct victims {
    struct strv keys;
    int64_t bytes;
};

static int choose(struct database *database, int64_t limit_bytes,
                  bool (*keep)(void *data, const char *chain_id), void *data,
                  struct victims *victims, struct error *err)
{
    CLEANUP(query_close) struct query *query = NULL;
    int64_t total = 0;
    int more;

    /* The newest first: what fits stays. */
    if (database_query(database, &query, err,
                       "SELECT key, chain_id, size FROM build_cache ORDER BY used DESC, key",
                       "") < 0)
        return -1;
    while ((more = query_next(query, err)) > 0) {
        int64_t size = query_int64(query, 2);

        if (keep && keep(data, query_text(query, 1)))
            continue;
        total += size;
        if (total <= limit_bytes && limit_bytes > 0)
            continue;
        strv_add(&victims->keys, query_text(query, 0));
        victims->bytes += size;
    }
    return more;
}

int cache_trim(struct database *database, int64_t limit_bytes,
               bool (*keep)(void *data, const char *chain_id), void *data, struct strv *out_keys,
               int64_t *out_bytes, struct error *err)
{
    struct victims victims = {};
    int result = choose(database, limit_bytes, keep, data, &victims, err);

    if (result == 0 && victims.keys.count > 0) {
        result = database_begin(database, RELAXED, err);
        for (size_t i = 0; result == 0 && i < victims.keys.count; i++)
            if (database_run(database, err, "DELETE FROM build_cache WHERE key = ?", "s",
                             victims.keys.items[i]) < 0) {
                database_rollback(database);
                result = -1;
            }
        if (result == 0)
            result = database_commit(database, err);
    }
    if (result == 0) {
        if (out_keys)
            strv_add_all(out_keys, &victims.keys);
        *out_bytes += victims.bytes;
    }
    strv_done(&victims.keys);
    return result;
}
