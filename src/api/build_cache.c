/* The build cache on the wire: in the report of disk usage, and its prune. */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "api/build_cache_write.h"
#include "api/filters.h"
#include "api/prune.h"
#include "api/routes.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"
#include "engine/build_cache.h"
#include "engine/events.h"

#include "base/banned.h"

/* A key without the name of its hash. */
static const char *shown_id(const char *key)
{
    return text_starts(key, "sha256:") ? key + 7 : key;
}

static void write_item(struct json_writer *w, const struct cache_item *item, bool is_shared)
{
    bool was_used = item->used_ns > item->created_ns;

    json_begin_dict(w, NULL);
    json_add_text(w, "ID", shown_id(item->key));
    json_add_text(w, "Type", item->type);
    json_add_text(w, "Description", item->description);
    json_add_bool(w, "InUse", item->is_in_use);
    json_add_bool(w, "Shared", is_shared);
    json_add_int64(w, "Size", item->size_bytes);
    json_add_time(w, "CreatedAt", item->created_ns);
    if (was_used)
        json_add_time(w, "LastUsedAt", item->used_ns);
    else
        json_add_null(w, "LastUsedAt");
    json_add_int64(w, "UsageCount", item->use_count);
    json_end_dict(w);
}

int build_cache_write(struct json_writer *w, struct engine *engine, struct error *err)
{
    CLEANUP(free) bool *is_shared = NULL;
    struct cache_item *items;
    size_t count;

    if (engine_build_cache_list(engine, &items, &is_shared, &count, err) < 0)
        return -1;
    json_begin_list(w, "BuildCache");
    for (size_t i = 0; i < count; i++)
        write_item(w, &items[i], is_shared[i]);
    json_end_list(w);
    cache_items_free(items, count);
    return 0;
}

/* ---- prune ---- */

struct choice {
    struct filters filters;
    int64_t until_ns, keep_bytes;
    bool all;
};

/* "unused-for" is another word for "until"; the labels of a prune of everything say nothing of
 * cache entries. */
static int read_choice(struct request *req, struct choice *out, struct error *err)
{
    const char *const sizes[] = { "reserved-space", "keep-storage" };

    static const char *const accepted[] = { "description", "id",     "inuse",      "label",
                                            "label!",      "parent", "private",    "shared",
                                            "type",        "until",  "unused-for", NULL };

    if (filters_parse(request_query(req, "filters"), accepted, &out->filters, err) < 0)
        return error_context(err, "failed to prune build cache");
    if (filters_until(&out->filters, &out->until_ns, err) < 0)
        return -1;
    const struct strv *unused = filters_values(&out->filters, "unused-for");
    if (unused->count &&
        time_parse_human(unused->items[0], clock_wall_ns(), &out->until_ns, err) < 0)
        return -1;
    for (size_t i = 0; i < COUNT(sizes); i++)
        if (!out->keep_bytes && request_query_int(req, sizes[i], 0, &out->keep_bytes, err) < 0)
            return -1;
    out->all = request_query_bool(req, "all");
    return 0;
}

static bool is_chosen(const struct choice *choice, const struct cache_item *item, bool is_shared)
{
    return !item->is_in_use && (choice->all || !is_shared) &&
           (!choice->until_ns || item->used_ns < choice->until_ns) &&
           filters_match_prefix(&choice->filters, "id", shown_id(item->key)) &&
           filters_match_exactly(&choice->filters, "type", item->type) &&
           filters_match_pattern(&choice->filters, "description", item->description) &&
           filters_match_exactly(&choice->filters, "inuse", "0") &&
           filters_match_exactly(&choice->filters, "shared", is_shared ? "1" : "0") &&
           filters_match_exactly(&choice->filters, "private", is_shared ? "0" : "1");
}

/* Those unused the longest first, until what stays takes no more than is to be kept. */
static void choose(const struct choice *choice, const struct cache_item *items,
                   const bool *is_shared, size_t count, struct strv *out_keys, int64_t *out_bytes)
{
    int64_t left = 0;

    for (size_t i = 0; i < count; i++)
        left += items[i].size_bytes;
    for (size_t i = 0; i < count; i++) {
        if ((choice->keep_bytes && left <= choice->keep_bytes) ||
            !is_chosen(choice, &items[i], is_shared[i]))
            continue;
        strv_add(out_keys, items[i].key);
        left -= items[i].size_bytes;
        if (!is_shared[i])
            *out_bytes += items[i].size_bytes;
    }
}

/* berth's own: what api_build_prune would remove. */
int api_prune_preview_build(struct request *req, struct error *err)
{
    CLEANUP(str_done) struct str body = {};
    CLEANUP(free) bool *is_shared = NULL;
    CLEANUP(strv_done) struct strv keys = {};
    struct json_writer w = { .out = &body };
    struct choice choice = {};
    struct cache_item *items;
    int64_t bytes = 0;
    size_t count;

    if (read_choice(req, &choice, err) < 0 ||
        engine_build_cache_list(req->engine, &items, &is_shared, &count, err) < 0) {
        filters_done(&choice.filters);
        return -1;
    }
    choose(&choice, items, is_shared, count, &keys, &bytes);
    filters_done(&choice.filters);
    json_begin_list(&w, NULL);
    for (size_t i = 0; i < count; i++)
        if (strv_contains(&keys, items[i].key))
            prune_tell(&w, shown_id(items[i].key), items[i].description,
                       is_shared[i] ? 0 : items[i].size_bytes);
    json_end_list(&w);
    cache_items_free(items, count);
    return reply_json(req, 200, &body, err);
}

static int remove_chosen(struct request *req, const struct choice *choice, struct strv *out_keys,
                         int64_t *out_bytes, struct error *err)
{
    CLEANUP(free) bool *is_shared = NULL;
    struct cache_item *items;
    size_t count;

    if (engine_build_cache_list(req->engine, &items, &is_shared, &count, err) < 0)
        return -1;
    choose(choice, items, is_shared, count, out_keys, out_bytes);
    cache_items_free(items, count);
    return out_keys->count ? engine_build_cache_remove(req->engine, out_keys, err) : 0;
}

int api_build_prune(struct request *req, struct error *err)
{
    static atomic_flag turn = ATOMIC_FLAG_INIT;
    CLEANUP(strv_done) struct strv keys = {};
    CLEANUP(map_done) struct map attributes = {};
    CLEANUP(str_done) struct str body = {};
    struct json_writer w = { .out = &body };
    struct choice choice = {};
    int64_t bytes = 0;
    char reclaimed[24];

    if (read_choice(req, &choice, err) < 0) {
        filters_done(&choice.filters);
        return -1;
    }
    if (atomic_flag_test_and_set(&turn)) {
        filters_done(&choice.filters);
        return error_set(err, ERROR_CONFLICT, "a prune operation is already running");
    }
    int result = remove_chosen(req, &choice, &keys, &bytes, err);
    filters_done(&choice.filters);
    atomic_flag_clear(&turn);
    if (result < 0)
        return -1;
    snprintf(reclaimed, sizeof(reclaimed), "%lld", (long long)bytes);
    map_set_text(&attributes, "reclaimed", reclaimed);
    engine_event(req->engine, "builder", "prune", "", &attributes);
    json_begin_dict(&w, NULL);
    if (keys.count) {
        json_begin_list(&w, "CachesDeleted");
        for (size_t i = 0; i < keys.count; i++)
            json_add_text(&w, NULL, shown_id(keys.items[i]));
        json_end_list(&w);
    } else {
        json_add_null(&w, "CachesDeleted");
    }
    json_add_int64(&w, "SpaceReclaimed", bytes);
    json_end_dict(&w);
    return reply_json(req, 200, &body, err);
}
