/* Lists of images. */
#include <fnmatch.h>
#include <string.h>

#include "api/filters.h"
#include "api/image_write.h"
#include "api/routes.h"
#include "base/memory.h"
#include "base/text.h"
#include "engine/image.h"
#include "engine/usage.h"

#include "base/banned.h"

static const char *const accepted[] = { "before",    "dangling", "label", "label!",
                                        "reference", "since",    "until", NULL };

struct image_filter {
    struct filters filters;
    bool all;
    bool dangling; /* only those without a name, or only those with one… */
    bool dangling_given;
    int64_t before_ns, since_ns; /* where 'filters' has them */
    int64_t until_ns;            /* 0: no bound */
};

/* path.Match of Go: '*' stops at a slash. Its only fault is an open bracket. */
static int check_pattern(const char *pattern, struct error *err)
{
    for (const char *at = pattern; (at = strchr(at, '[')); at++)
        if (!strchr(at, ']'))
            return error_set(err, ERROR_INTERNAL, "syntax error in pattern");
    return 0;
}

static int find_created(struct engine *engine, const struct filters *filters, const char *key,
                        int64_t *out_ns, struct error *err)
{
    const struct strv *given = filters_values(filters, key);

    for (size_t i = 0; i < given->count; i++) {
        CLEANUP(image_unref) struct image *image = NULL;

        if (engine_image_get(engine, given->items[i], &image, err) < 0)
            return -1;
        *out_ns = image->created_ns;
    }
    return 0;
}

static int image_filter_new(struct request *req, struct image_filter *out, struct error *err)
{
    const struct filters *filters = &out->filters;

    if (filters_parse(request_query(req, "filters"), accepted, &out->filters, err) < 0 ||
        filters_bool(filters, "dangling", false, &out->dangling, err) < 0 ||
        find_created(req->engine, filters, "before", &out->before_ns, err) < 0 ||
        find_created(req->engine, filters, "since", &out->since_ns, err) < 0 ||
        filters_until(filters, &out->until_ns, err) < 0)
        return -1;
    for (size_t i = 0; i < filters_values(filters, "reference")->count; i++)
        if (check_pattern(filters_values(filters, "reference")->items[i], err) < 0)
            return -1;
    out->dangling_given = filters_has(filters, "dangling");
    out->all = request_query_bool(req, "all");
    return 0;
}

/* True if one of the patterns fits "name:tag", "name@digest" or "name". */
static bool reference_matches(const struct filters *filters, const char *tagged)
{
    const struct strv *patterns = filters_values(filters, "reference");
    const char *colon = strchr(tagged, '@') ?: strrchr(tagged, ':');
    char name[512] = "";

    if (colon && (size_t)(colon - tagged) < sizeof(name))
        memcpy(name, tagged, (size_t)(colon - tagged));
    for (size_t i = 0; i < patterns->count; i++)
        if (fnmatch(patterns->items[i], tagged, FNM_PATHNAME) == 0 ||
            fnmatch(patterns->items[i], name, FNM_PATHNAME) == 0)
            return true;
    return patterns->count == 0;
}

/* Intermediate images, which builds leave behind: they show only when all are asked for. */
static void find_parents(struct image *const *list, size_t count, struct map *out)
{
    map_init_empty(out, NULL);
    for (size_t i = 0; i < count; i++)
        if (*list[i]->parent_id)
            map_set(out, list[i]->parent_id, NULL);
}

static bool image_matches(const struct image_filter *filter, const struct image *image)
{
    const struct filters *filters = &filter->filters;

    return (!filters_has(filters, "before") || image->created_ns < filter->before_ns) &&
           (!filters_has(filters, "since") || image->created_ns > filter->since_ns) &&
           (filter->until_ns == 0 || image->created_ns < filter->until_ns) &&
           filters_match_labels(&filter->filters, &image->config.config.labels);
}

/* Decides on the names that show; false if the image does not. */
static bool choose_names(const struct image_filter *filter, const struct image *image,
                         const struct map *parents, struct strv *out_tags, struct strv *out_digests)
{
    bool is_nameless = image->tags.count == 0 && image->digests.count == 0;

    strv_init_empty(out_tags);
    for (size_t i = 0; i < image->tags.count; i++)
        if (reference_matches(&filter->filters, image->tags.items[i]))
            strv_add(out_tags, image->tags.items[i]);
    strv_init_empty(out_digests);
    for (size_t i = 0; i < image->digests.count; i++)
        if (reference_matches(&filter->filters, image->digests.items[i]))
            strv_add(out_digests, image->digests.items[i]);
    if (filters_has(&filter->filters, "reference") && !out_tags->count && !out_digests->count)
        return false;
    if (filter->dangling_given && filter->dangling != is_nameless)
        return false;
    return filter->all || !is_nameless || !map_has(parents, image->id);
}

static void write_list(struct request *req, const struct image_filter *filter,
                       struct image *const *list, size_t count, struct str *out)
{
    struct json_writer w = { .out = out };
    CLEANUP(map_done) struct map containers = {}, parents = {};
    CLEANUP(free) int64_t *shared = xcalloc(count + 1, sizeof(*shared));
    bool has_counts = req->version >= API_VERSION(51);
    bool has_shared = request_query_bool(req, "shared-size");

    if (has_counts)
        engine_image_container_counts(req->engine, &containers);
    if (has_shared)
        engine_images_shared(req->engine, list, count, shared);
    find_parents(list, count, &parents);
    json_begin_list(&w, NULL);
    for (size_t i = 0; i < count; i++) {
        CLEANUP(strv_done) struct strv tags = {}, digests = {};
        struct image_view view = { .version = req->version,
                                   .tags = &tags,
                                   .digests = &digests,
                                   .container_count = -1,
                                   .shared_size = -1 };

        if (!image_matches(filter, list[i]) ||
            !choose_names(filter, list[i], &parents, &tags, &digests))
            continue;
        if (has_counts)
            view.container_count = image_container_count(&containers, list[i]->id);
        if (has_shared)
            view.shared_size = shared[i];
        image_write_item(&w, list[i], &view);
    }
    json_end_list(&w);
}

int api_image_list(struct request *req, struct error *err)
{
    CLEANUP(str_done) struct str body = {};
    struct image_filter filter = {};
    struct image **list;
    size_t count;
    int result = -1;

    if (image_filter_new(req, &filter, err) == 0 &&
        engine_image_list(req->engine, &list, &count, err) == 0) {
        write_list(req, &filter, list, count, &body);
        store_images_free(list, count);
        result = reply_json(req, 200, &body, err);
    }
    filters_done(&filter.filters);
    return result;
}
