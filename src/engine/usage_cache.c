/* A measurement counts if nobody touched the directory while it was taken, nor since. */
#include "engine/usage_cache.h"

#include <string.h>

#include "base/clock.h"
#include "base/map.h"
#include "base/memory.h"
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
};

struct usage_cache {
    struct mutex lock;
    struct map entries GUARDED_BY(lock); /* path → struct entry */
};

struct usage_cache *usage_cache_new(void)
{
    struct usage_cache *cache = NEW(struct usage_cache);

    mutex_init(&cache->lock);
    map_init_empty(&cache->entries, free);
    return cache;
}

void usage_cache_free(struct usage_cache *cache)
{
    if (!cache)
        return;
    map_done(&cache->entries);
    mutex_done(&cache->lock);
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
    mutex_lock(&cache->lock);
    struct entry *entry = map_get(&cache->entries, path);
    if (entry)
        entry->version++;
    mutex_unlock(&cache->lock);
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
    if (tree_usage(path, out, NULL) < 0)
        *out = (struct tree_usage){};
    mutex_lock(&cache->lock);
    entry = find(cache, path); /* It may have been swept meanwhile. */
    uint64_t now_ns = clock_monotonic_ns();
    *entry = (struct entry){ .usage = *out,
                             .version = entry->version,
                             .taken_version = version,
                             .taken_ns = now_ns,
                             .cost_ns = now_ns - began_ns,
                             .is_taken = true,
                             .was_at_rest = at_rest,
                             .is_wanted = true };
    mutex_unlock(&cache->lock);
}

void usage_cache_sweep(struct usage_cache *cache)
{
    mutex_lock(&cache->lock);
    struct map kept = {};

    map_init_empty(&kept, free);
    MAP_EACH (&cache->entries, item) {
        struct entry *entry = item->value;

        if (!entry->is_wanted)
            continue;
        entry->is_wanted = false;
        item->value = NULL;
        map_set(&kept, item->key, entry);
    }
    map_done(&cache->entries);
    cache->entries = kept;
    mutex_unlock(&cache->lock);
}
