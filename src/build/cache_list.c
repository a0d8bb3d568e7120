/* Rows of the build cache, read and removed. */
#include "build/cache_list.h"

#include "base/memory.h"

#include "base/banned.h"

void cache_items_free(struct cache_item *items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(items[i].key);
        free(items[i].description);
        free(items[i].chain_id);
    }
    free(items);
}

int cache_list(struct database *database, struct cache_item **out, size_t *out_count,
               struct error *err)
{
    CLEANUP(query_close) struct query *query = NULL;
    struct cache_item *items = NULL;
    size_t count = 0;
    int row;

    if (database_query(database, &query, err,
                       "SELECT key, description, chain_id, size, created, used FROM build_cache "
                       "ORDER BY used, key",
                       "") < 0)
        return -1;
    while ((row = query_next(query, err)) > 0) {
        items = xrealloc(items, count + 1, sizeof(*items));
        items[count++] = (struct cache_item){ .key = xstrdup(query_text(query, 0)),
                                              .description = xstrdup(query_text(query, 1)),
                                              .chain_id = xstrdup(query_text(query, 2)),
                                              .size_bytes = query_int64(query, 3),
                                              .created_ns = query_int64(query, 4),
                                              .used_ns = query_int64(query, 5) };
    }
    if (row < 0) {
        cache_items_free(items, count);
        return -1;
    }
    *out = items;
    *out_count = count;
    return 0;
}

int cache_remove(struct database *database, const struct strv *keys, struct error *err)
{
    if (database_begin(database, RELAXED, err) < 0)
        return -1;
    for (size_t i = 0; i < keys->count; i++)
        if (database_run(database, err, "DELETE FROM build_cache WHERE key = ?1", "s",
                         keys->items[i]) < 0) {
            database_rollback(database);
            return -1;
        }
    return database_commit(database, err);
}
