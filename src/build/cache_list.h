/* The build cache for those who look after room on disk: what there is, and letting go of it. */
#ifndef BERTH_BUILD_CACHE_LIST_H
#define BERTH_BUILD_CACHE_LIST_H

#include <stdbool.h>

#include "base/strv.h"
#include "record/database.h"

#define CACHE_TYPE_STEP  "regular"
#define CACHE_TYPE_MOUNT "exec.cachemount"
#define CACHE_TYPE_LOCAL "source.local"

struct cache_item {
    char *key, *description, *chain_id; /* a mount has no chain: "" */
    const char *type;
    bool is_in_use; /* by a build that runs */
    int64_t size_bytes, created_ns, used_ns, use_count;
};

/* Results of steps, directories of cache mounts and kept contexts, those unused the longest first;
 * freed with cache_items_free. */
struct builder;
int builder_cache_list(struct builder *builder, struct cache_item **out, size_t *out_count,
                       struct error *err);
void cache_items_free(struct cache_item *items, size_t count);

/* Forgets entries, but for what is in use; the layers go when the caller collects them. */
int builder_cache_remove(struct builder *builder, const struct strv *keys, struct error *err);

#endif
