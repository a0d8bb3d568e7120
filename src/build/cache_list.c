/* Rows of the build cache, read and removed. */
#include "build/cache_list.h"

#include <string.h>

#include "base/memory.h"
#include "build/context_store.h"
#include "build/job.h"

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

static struct cache_item *add(struct cache_item **items, size_t *count)
{
    if ((*count & (*count - 1)) == 0) /* full at each power of two */
        *items = xrealloc(*items, *count ? 2 * *count : 1, sizeof(**items));
    return &(*items)[(*count)++];
}

static int add_steps(struct builder *builder, struct cache_item **items, size_t *count,
                     struct error *err)
{
    CLEANUP(query_close) struct query *query = NULL;
    int row;

    if (database_query(builder->database, &query, err,
                       "SELECT key, description, chain_id, size, created, used, uses"
                       " FROM build_cache",
                       "") < 0)
        return -1;
    while ((row = query_next(query, err)) > 0) {
        const char *key = query_text(query, 0);

        mutex_lock(&builder->lock);
        bool is_in_use = map_has(&builder->in_flight, key);
        mutex_unlock(&builder->lock);
        *add(items, count) = (struct cache_item){ .key = xstrdup(key),
                                                  .description = xstrdup(query_text(query, 1)),
                                                  .chain_id = xstrdup(query_text(query, 2)),
                                                  .type = CACHE_TYPE_STEP,
                                                  .is_in_use = is_in_use,
                                                  .size_bytes = query_int64(query, 3),
                                                  .created_ns = query_int64(query, 4),
                                                  .used_ns = query_int64(query, 5),
                                                  .use_count = query_int64(query, 6) };
    }
    return row;
}

static int add_mounts(struct builder *builder, struct cache_item **items, size_t *count,
                      struct error *err)
{
    struct cache_mount_info *infos;
    size_t info_count;

    if (cache_mounts_list(&builder->cache_mounts, &infos, &info_count, err) < 0)
        return -1;
    for (size_t i = 0; i < info_count; i++)
        *add(items,
             count) = (struct cache_item){ .key = xstrdup(infos[i].name),
                                           .description = xstrdup(infos[i].description),
                                           .chain_id = xstrdup(""),
                                           .type = CACHE_TYPE_MOUNT,
                                           .is_in_use = infos[i].in_use,
                                           .size_bytes = infos[i].size_bytes,
                                           .created_ns = infos[i].created_ns,
                                           .used_ns = infos[i].used_ns,
                                           .use_count = infos[i].used_ns > infos[i].created_ns };
    cache_mounts_free(infos, info_count);
    return 0;
}

static int add_contexts(struct builder *builder, struct cache_item **items, size_t *count,
                        struct error *err)
{
    struct context_info *infos;
    size_t info_count;

    if (context_store_list(builder->contexts, &infos, &info_count, err) < 0)
        return -1;
    for (size_t i = 0; i < info_count; i++)
        *add(items,
             count) = (struct cache_item){ .key = xstrdup(infos[i].name),
                                           .description = xstrdup(infos[i].description ?: ""),
                                           .chain_id = xstrdup(""),
                                           .type = CACHE_TYPE_LOCAL,
                                           .is_in_use = infos[i].is_in_use,
                                           .size_bytes = infos[i].size_bytes,
                                           .created_ns = infos[i].created_ns,
                                           .used_ns = infos[i].used_ns,
                                           .use_count = infos[i].used_ns > infos[i].created_ns };
    context_infos_free(infos, info_count);
    return 0;
}

static int by_use(const void *a, const void *b)
{
    const struct cache_item *left = a, *right = b;

    if (left->used_ns != right->used_ns)
        return left->used_ns < right->used_ns ? -1 : 1;
    return strcmp(left->key, right->key);
}

int builder_cache_list(struct builder *builder, struct cache_item **out, size_t *out_count,
                       struct error *err)
{
    struct cache_item *items = NULL;
    size_t count = 0;

    if (add_steps(builder, &items, &count, err) < 0 ||
        add_mounts(builder, &items, &count, err) < 0 ||
        add_contexts(builder, &items, &count, err) < 0) {
        cache_items_free(items, count);
        return -1;
    }
    if (count > 0)
        qsort(items, count, sizeof(*items), by_use);
    *out = items;
    *out_count = count;
    return 0;
}

static int forget_steps(struct database *database, const struct strv *keys, struct error *err)
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

int builder_cache_remove(struct builder *builder, const struct strv *keys, struct error *err)
{
    if (forget_steps(builder->database, keys, err) < 0)
        return -1;
    for (size_t i = 0; i < keys->count; i++)
        if (!digest_is_valid(keys->items[i]) &&
            (cache_mount_remove(&builder->cache_mounts, keys->items[i], err) < 0 ||
             context_store_remove(builder->contexts, keys->items[i], err) < 0))
            return -1;
    return 0;
}
