/* A pass is a job of the work queue that asks for the next one. An image goes only if a pass before
 * has seen it unused already: one that was just built is about to get its name. */
#include "engine/collector.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "engine/build_cache.h"
#include "engine/image.h"
#include "engine/internal.h"
#include "engine/usage.h"

#include "base/banned.h"

/* After a start of the engine, whose users have more urgent things to do. */
#define FIRST_PASS_NS (10 * 60 * NS_PER_S)

const char collector_schema[] =
    "CREATE TABLE unused_image(id TEXT PRIMARY KEY, since_ns INTEGER NOT NULL) WITHOUT ROWID;";

struct collector {
    struct engine *engine;
    struct mutex lock;
    struct collection_limits limits GUARDED_BY(lock);
    uint64_t turn GUARDED_BY(lock); /* of the job that is the next pass; others are stale */
    atomic_bool is_ending;
};

struct pass {
    struct collector *collector;
    uint64_t turn;
    struct collection_limits limits;
    int64_t now_ns;
};

/* ---- images ---- */

/* Without a name and a container; newest first. */
struct unused {
    struct image *image; /* borrowed */
    int64_t since_ns;
    bool is_new; /* seen for the first time */
};

static bool is_unused(struct engine *engine, const struct image *image)
{
    return image->tags.count == 0 && image->digests.count == 0 &&
           engine_image_container_count(engine, image->id) == 0 &&
           !store_image_has_children(engine->store, image->id);
}

static int read_times(struct database *database, struct map *out, struct error *err)
{
    CLEANUP(query_close) struct query *query = NULL;
    int row;

    map_init_empty(out, free);
    if (database_query(database, &query, err, "SELECT id, since_ns FROM unused_image", "") < 0)
        return -1;
    while ((row = query_next(query, err)) > 0) {
        int64_t *since_ns = NEW(int64_t);

        *since_ns = query_int64(query, 1);
        map_set(out, query_text(query, 0), since_ns);
    }
    return row;
}

/* Those that are named, used or gone since are forgotten. */
static int write_times(struct database *database, const struct map *before,
                       const struct unused *list, size_t count, struct error *err)
{
    CLEANUP(map_done) struct map seen = {};

    map_init_empty(&seen, NULL);
    if (database_begin(database, RELAXED, err) < 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        map_set(&seen, list[i].image->id, NULL);
        if (list[i].is_new && database_run(database, err, "INSERT INTO unused_image VALUES(?1, ?2)",
                                           "si", list[i].image->id, list[i].since_ns) < 0)
            goto failed;
    }
    MAP_EACH (before, entry)
        if (!map_has(&seen, entry->key) &&
            database_run(database, err, "DELETE FROM unused_image WHERE id = ?1", "s", entry->key) <
                0)
            goto failed;
    return database_commit(database, err);

failed:
    database_rollback(database);
    return -1;
}

/* Finds the unused ones, and notes since when they are; what the others are made of goes into
 * 'kept_chains'. */
static int list_unused(const struct pass *pass, struct image *const *images, size_t image_count,
                       struct map *kept_chains, struct unused *out, size_t *out_count,
                       struct error *err)
{
    struct engine *engine = pass->collector->engine;
    CLEANUP(map_done) struct map times = {};
    size_t count = 0;

    if (read_times(engine->database, &times, err) < 0)
        return -1;
    for (size_t i = 0; i < image_count; i++) {
        if (!is_unused(engine, images[i])) {
            store_image_add_layers(engine->store, images[i], kept_chains);
            continue;
        }
        const int64_t *since_ns = map_get(&times, images[i]->id);
        out[count++] = (struct unused){ .image = images[i],
                                        .since_ns = since_ns ? *since_ns : pass->now_ns,
                                        .is_new = !since_ns };
    }
    *out_count = count;
    return write_times(engine->database, &times, out, count, err);
}

static int compare_newest_first(const void *a, const void *b)
{
    const struct unused *first = a, *second = b;

    return (first->since_ns < second->since_ns) - (first->since_ns > second->since_ns);
}

static void remove_image(struct engine *engine, const struct image *image, int64_t *count)
{
    struct json_list removals = {};
    struct error err;

    if (engine_image_remove_nameless(engine, image->id, &removals, &err) == 0)
        ++*count;
    else if (err.kind != ERROR_CONFLICT && err.kind != ERROR_NOT_FOUND)
        log_warn("cannot collect an image", "image", image->id, "error", err.text);
    image_removals_free(&removals);
}

static int collect_images(const struct pass *pass, int64_t *out_count, struct error *err)
{
    struct engine *engine = pass->collector->engine;
    const struct collection_limits *limits = &pass->limits;
    CLEANUP(map_done) struct map counted = {};
    struct image **images;
    size_t image_count, count = 0;
    int64_t bytes = 0;

    if (store_image_list(engine->store, &images, &image_count, err) < 0)
        return -1;
    map_init_empty(&counted, NULL);
    CLEANUP(free) struct unused *list = xcalloc(image_count + 1, sizeof(*list));
    int result = list_unused(pass, images, image_count, &counted, list, &count, err);
    qsort(list, count, sizeof(*list), compare_newest_first);
    for (size_t i = 0; result == 0 && i < count && !pass->collector->is_ending; i++) {
        bytes += store_image_add_layers(engine->store, list[i].image, &counted);
        bool is_over = limits->image_bytes > 0 && bytes > limits->image_bytes;
        bool is_old = limits->image_age_ns > 0 &&
                      pass->now_ns - list[i].since_ns >= limits->image_age_ns;
        if (!list[i].is_new && (is_over || is_old))
            remove_image(engine, list[i].image, out_count);
    }
    store_images_free(images, image_count);
    return result;
}

/* ---- build cache ---- */

static int collect_cache(const struct pass *pass, int64_t *out_count, struct error *err)
{
    struct engine *engine = pass->collector->engine;
    const struct collection_limits *limits = &pass->limits;
    CLEANUP(strv_done) struct strv keys = {};
    CLEANUP(free) bool *is_shared = NULL;
    struct cache_item *items;
    size_t count;
    int64_t left = 0;

    if (!limits->cache_age_ns && !limits->cache_bytes)
        return 0;
    if (engine_build_cache_list(engine, &items, &is_shared, &count, err) < 0)
        return -1;
    for (size_t i = 0; i < count; i++)
        left += items[i].size_bytes;
    for (size_t i = 0; i < count; i++) {
        bool is_over = limits->cache_bytes > 0 && left > limits->cache_bytes;
        bool is_old = limits->cache_age_ns > 0 &&
                      pass->now_ns - items[i].used_ns >= limits->cache_age_ns;

        if (items[i].is_in_use || (!is_over && !is_old))
            continue;
        strv_add(&keys, items[i].key);
        left -= items[i].size_bytes;
    }
    cache_items_free(items, count);
    *out_count = (int64_t)keys.count;
    return keys.count ? engine_build_cache_remove(engine, &keys, err) : 0;
}

/* ---- passes ---- */

static void run_pass(const struct pass *pass)
{
    struct engine *engine = pass->collector->engine;
    int64_t before = engine_layers_size(engine), images = 0, entries = 0;
    struct error err;

    if (collect_images(pass, &images, &err) < 0)
        log_warn("cannot collect images", "error", err.text);
    if (!pass->collector->is_ending && collect_cache(pass, &entries, &err) < 0)
        log_warn("cannot collect build cache", "error", err.text);
    if (!pass->collector->is_ending &&
        store_collect(engine->store, engine_layer_is_used, engine, &err) < 0)
        log_warn("cannot collect layers", "error", err.text);

    int64_t freed = before - engine_layers_size(engine);
    if (images == 0 && entries == 0 && freed <= 0)
        return;
    char image_text[24], entry_text[24], freed_text[24];
    snprintf(image_text, sizeof(image_text), "%" PRId64, images);
    snprintf(entry_text, sizeof(entry_text), "%" PRId64, entries);
    snprintf(freed_text, sizeof(freed_text), "%" PRId64, MAX(freed, 0));
    log_info("collected what nothing uses", "images", image_text, "cache entries", entry_text,
             "bytes of layers", freed_text);
}

static void submit(struct collector *collector, int64_t delay_ns) REQUIRES(collector->lock);

static void pass_run(void *data)
{
    CLEANUP(free) struct pass *pass = data;
    struct collector *collector = pass->collector;

    mutex_lock(&collector->lock);
    bool is_stale = pass->turn != collector->turn;
    pass->limits = collector->limits;
    mutex_unlock(&collector->lock);
    if (is_stale || collector->is_ending)
        return;
    pass->now_ns = clock_wall_ns();
    run_pass(pass);
    mutex_lock(&collector->lock);
    if (pass->turn == collector->turn)
        submit(collector, collector->limits.interval_ns);
    mutex_unlock(&collector->lock);
}

static void submit(struct collector *collector, int64_t delay_ns)
{
    struct pass *pass = NEW(struct pass);

    *pass = (struct pass){ .collector = collector, .turn = ++collector->turn };
    work_submit(collector->engine->work, delay_ns, pass_run, free, pass);
}

struct collector *collector_new(struct engine *engine, const struct collection_limits *limits)
{
    struct collector *collector = NEW(struct collector);

    collector->engine = engine;
    mutex_init(&collector->lock);
    collector_set(collector, limits);
    return collector;
}

void collector_set(struct collector *collector, const struct collection_limits *limits)
{
    mutex_lock(&collector->lock);
    collector->limits = *limits;
    if (limits->interval_ns > 0)
        submit(collector, MIN(limits->interval_ns, FIRST_PASS_NS));
    else
        collector->turn++; /* Nobody is the next. */
    mutex_unlock(&collector->lock);
}

void collector_end(struct collector *collector)
{
    if (collector)
        collector->is_ending = true;
}

void collector_free(struct collector *collector)
{
    if (!collector)
        return;
    mutex_done(&collector->lock);
    free(collector);
}
