/* The builder and its cache, from the outside. */
#include <string.h>
#include <sys/statvfs.h>

#include "base/clock.h"
#include "base/memory.h"
#include "build/context_store.h"
#include "build/job.h"
#include "build/source.h"

#include "base/banned.h"

#define CACHE_LIMIT_LOWEST  ((int64_t)2 << 30)
#define DIGEST_COUNT_LIMIT  4096
#define CACHE_DISK_FRACTION 10

/* A tenth of the disk. */
static int64_t cache_limit(const char *data_path)
{
    struct statvfs disk;

    if (statvfs(data_path, &disk) < 0)
        return CACHE_LIMIT_LOWEST;
    return MAX(CACHE_LIMIT_LOWEST, (int64_t)(disk.f_blocks * disk.f_frsize / CACHE_DISK_FRACTION));
}

int builder_open(struct store *store, struct database *database, const char *data_path,
                 const struct build_worker *worker, struct builder **out, struct error *err)
{
    struct builder *builder;

    if (cache_migrate(database, err) < 0)
        return -1;
    builder = NEW(struct builder);
    builder->store = store;
    builder->database = database;
    builder->worker = *worker;
    builder->cache_limit_bytes = cache_limit(data_path);
    mutex_init(&builder->lock);
    condition_init(&builder->changed);
    map_init_empty(&builder->digests, free);
    map_init_empty(&builder->in_flight, NULL);
    if (cache_mounts_open(&builder->cache_mounts, database, data_path, err) < 0 ||
        context_store_open(data_path, builder->cache_limit_bytes / 2, &builder->contexts, err) <
            0) {
        builder_close(builder);
        return -1;
    }
    *out = builder;
    return 0;
}

void builder_close(struct builder *builder)
{
    if (!builder)
        return;
    mutex_done(&builder->lock);
    condition_done(&builder->changed);
    map_done(&builder->digests);
    map_done(&builder->in_flight);
    cache_mounts_close(&builder->cache_mounts);
    context_store_close(builder->contexts);
    free(builder);
}

struct context_store *builder_contexts(struct builder *builder)
{
    return builder->contexts;
}

static char *digest_key(const char *chain_id, const struct strv *arguments)
{
    CLEANUP(free) char *joined = strv_join(arguments, "\n");

    return xasprintf("%s\n%s", chain_id, joined);
}

char *builder_digest_get(struct builder *builder, const char *chain_id,
                         const struct strv *arguments)
{
    CLEANUP(free) char *key = digest_key(chain_id, arguments);

    mutex_lock(&builder->lock);
    char *digest = xstrdup(map_get(&builder->digests, key));
    mutex_unlock(&builder->lock);
    return digest;
}

void builder_digest_set(struct builder *builder, const char *chain_id, const struct strv *arguments,
                        const char *digest)
{
    CLEANUP(free) char *key = digest_key(chain_id, arguments);

    mutex_lock(&builder->lock);
    if (builder->digests.count >= DIGEST_COUNT_LIMIT) {
        map_done(&builder->digests);
        map_init_empty(&builder->digests, free);
    }
    map_set(&builder->digests, key, xstrdup(digest));
    mutex_unlock(&builder->lock);
}

/* ---- a step is carried out once, however many builds want it ---- */

#define CLAIM_STEP_NS (50 * NS_PER_MS)

int builder_claim(struct builder *builder, const char *key, int cancel_fd, struct error *err)
{
    bool has_waited = false;
    int result = 0;

    mutex_lock(&builder->lock);
    while (result == 0 && map_has(&builder->in_flight, key)) {
        has_waited = true;
        condition_wait_until(&builder->changed, &builder->lock,
                             clock_monotonic_ns() + CLAIM_STEP_NS);
        result = check_cancelled(cancel_fd, err);
    }
    if (result == 0 && !has_waited) {
        map_set(&builder->in_flight, key, NULL);
        result = 1;
    }
    mutex_unlock(&builder->lock);
    return result;
}

void builder_release(struct builder *builder, const char *key)
{
    mutex_lock(&builder->lock);
    map_remove(&builder->in_flight, key);
    condition_broadcast(&builder->changed);
    mutex_unlock(&builder->lock);
}

bool builder_uses_layer(struct builder *builder, const char *chain_id)
{
    return cache_uses_layer(builder->database, chain_id);
}

/* ---- prune ---- */

static bool is_in_image(void *data, const char *chain_id)
{
    return map_has(data, chain_id);
}

int builder_prune(struct builder *builder, bool all, struct strv *out_ids, int64_t *out_bytes,
                  struct error *err)
{
    CLEANUP(map_done) struct map chains = {};
    struct image **images;
    size_t count;

    map_init_empty(&chains, NULL);
    if (!all) {
        if (store_image_list(builder->store, &images, &count, err) < 0)
            return -1;
        for (size_t i = 0; i < count; i++)
            store_image_add_layers(builder->store, images[i], &chains);
        store_images_free(images, count);
    }
    *out_bytes = 0;
    return cache_trim(builder->database, 0, all ? NULL : is_in_image, &chains, out_ids, out_bytes,
                      err);
}
