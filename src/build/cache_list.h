/* The build cache for those who look after room on disk: what there is, and letting go of it. */
#ifndef BERTH_BUILD_CACHE_LIST_H
#define BERTH_BUILD_CACHE_LIST_H

#include "base/strv.h"
#include "record/database.h"

struct cache_item {
    char *key, *description, *chain_id;
    int64_t size_bytes, created_ns, used_ns;
};

/* All entries, those unused the longest first; freed with cache_items_free. */
int cache_list(struct database *database, struct cache_item **out, size_t *out_count,
               struct error *err);
void cache_items_free(struct cache_item *items, size_t count);

/* Forgets entries; the layers go when the caller collects them. */
int cache_remove(struct database *database, const struct strv *keys, struct error *err);

#endif
