/* Filters of container lists: values are checked and looked up first, then each container is a
 * question of comparing. */
#include "api/container_filter.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "engine/image.h"
#include "engine/network.h"

#include "base/banned.h"

static const char *const accepted[] = { "ancestor", "before", "exited",    "expose",
                                        "health",   "id",     "isolation", "is-task",
                                        "label",    "name",   "network",   "publish",
                                        "since",    "status", "volume",    NULL };

/* ---- preparation ---- */

static int check_words(const struct filters *filters, const char *key, const char *what,
                       const char *const *words, struct error *err)
{
    const struct strv *given = filters_values(filters, key);
    CLEANUP(strv_done) struct strv known = {};

    for (; *words; words++)
        strv_add(&known, *words);
    for (size_t i = 0; i < given->count; i++)
        if (!strv_contains(&known, given->items[i])) {
            CLEANUP(free) char *all = strv_join(&known, ", ");
            return error_set(err, ERROR_INVALID,
                             "invalid filter '%s=%s': invalid value for %s (%s): must be one of %s",
                             key, given->items[i], what, given->items[i], all);
        }
    return 0;
}

static int check_exited(const struct filters *filters, struct error *err)
{
    const struct strv *given = filters_values(filters, "exited");
    int64_t code;

    for (size_t i = 0; i < given->count; i++)
        if (parse_int64(given->items[i], INT32_MIN, INT32_MAX, &code, NULL) < 0)
            return error_set(err, ERROR_INVALID,
                             "invalid filter 'exited=%s': strconv.Atoi: parsing \"%s\": invalid "
                             "syntax",
                             given->items[i], given->items[i]);
    return 0;
}

static int check_values(const struct filters *filters, struct error *err)
{
    static const char *const states[] = { "created",  "running", "paused", "restarting",
                                          "removing", "exited",  "dead",   NULL };
    static const char *const health[] = { "none", "starting", "healthy", "unhealthy", NULL };

    if (check_words(filters, "status", "state", states, err) < 0 ||
        check_words(filters, "health", "health", health, err) < 0)
        return -1;
    return check_exited(filters, err);
}

static int find_sequence(struct engine *engine, const struct filters *filters, const char *key,
                         uint64_t *out, struct error *err)
{
    const struct strv *given = filters_values(filters, key);

    for (size_t i = 0; i < given->count; i++) {
        CLEANUP(container_info_unref) struct container_info *info = NULL;

        if (engine_container_get(engine, given->items[i], &info, err) < 0)
            return -1;
        *out = info->sequence;
    }
    return 0;
}

/* A prefix that fits more than one container selects none. */
static void find_ids(const struct filters *filters, struct container_info *const *list,
                     size_t count, struct strv *out)
{
    const struct strv *given = filters_values(filters, "id");

    for (size_t i = 0; i < given->count; i++) {
        const char *found = NULL;
        size_t matches = 0;

        for (size_t j = 0; j < count; j++)
            if (text_starts(list[j]->id, given->items[i])) {
                found = list[j]->id;
                matches++;
            }
        if (matches == 1)
            strv_add(out, found);
    }
}

/* The images named, and all that were made of them. Unknown ones select nothing. */
static int find_images(struct engine *engine, const struct filters *filters, struct strv *out,
                       struct error *err)
{
    const struct strv *given = filters_values(filters, "ancestor");
    struct image **images;
    struct error ignored;
    size_t count;

    for (size_t i = 0; i < given->count; i++) {
        CLEANUP(image_unref) struct image *image = NULL;

        if (engine_image_get(engine, given->items[i], &image, &ignored) == 0)
            strv_add(out, image->id);
    }
    if (out->count == 0)
        return 0;
    if (engine_image_list(engine, &images, &count, err) < 0)
        return -1;
    for (size_t before = 0; before != out->count;) { /* Until a round finds no further child. */
        before = out->count;
        for (size_t i = 0; i < count; i++)
            if (strv_contains(out, images[i]->parent_id) && !strv_contains(out, images[i]->id))
                strv_add(out, images[i]->id);
    }
    store_images_free(images, count);
    return 0;
}

int port_filter_parse(const char *key, const char *text, struct strv *out, struct error *err)
{
    const char *slash = strchr(text, '/');
    size_t length = slash ? (size_t)(slash - text) : strlen(text);
    char range[32] = "";
    int64_t first, last;

    if (strchr(text, ':'))
        return error_set(err, ERROR_INVALID, "filter for '%s' should not contain ':': %s", key,
                         text);
    snprintf(range, sizeof(range), "%.*s", (int)MIN(length, sizeof(range) - 1), text);
    char *dash = strchr(range, '-');
    if (dash)
        *dash = 0;
    if (parse_int64(range, 0, 65535, &first, NULL) < 0 ||
        parse_int64(dash ? dash + 1 : range, 0, 65535, &last, NULL) < 0 || last < first)
        return error_set(err, ERROR_INTERNAL,
                         "error while looking up for %s %s: strconv.ParseUint: parsing \"%s\": "
                         "invalid syntax",
                         key, text, range);
    for (int64_t port = first; port <= last; port++)
        strv_add_format(out, "%d/%s", (int)port, slash ? slash + 1 : "tcp");
    return 0;
}

static int find_ports(const struct filters *filters, const char *key, struct strv *out,
                      struct error *err)
{
    const struct strv *given = filters_values(filters, key);

    for (size_t i = 0; i < given->count; i++)
        if (port_filter_parse(key, given->items[i], out, err) < 0)
            return -1;
    return 0;
}

static int prepare(struct engine *engine, struct container_filter *filter, struct error *err)
{
    const struct filters *filters = &filter->filters;

    if (check_values(filters, err) < 0 ||
        filters_bool(filters, "is-task", false, &filter->is_task, err) < 0 ||
        find_sequence(engine, filters, "before", &filter->before_sequence, err) < 0 ||
        find_sequence(engine, filters, "since", &filter->since_sequence, err) < 0 ||
        find_ports(filters, "publish", &filter->published, err) < 0 ||
        find_ports(filters, "expose", &filter->exposed, err) < 0)
        return -1;
    return find_images(engine, filters, &filter->images, err);
}

int container_filter_new(struct engine *engine, const char *text, bool all,
                         struct container_info *const *list, size_t count,
                         struct container_filter *out, struct error *err)
{
    CLEANUP(container_filter_done) struct container_filter filter = {};

    if (filters_parse(text, accepted, &filter.filters, err) < 0 ||
        prepare(engine, &filter, err) < 0)
        return -1;
    filter.all = all || filters_values(&filter.filters, "status")->count > 0;
    find_ids(&filter.filters, list, count, &filter.ids);
    *out = filter;
    filter = (struct container_filter){};
    return 0;
}

void container_filter_done(struct container_filter *filter)
{
    filters_done(&filter->filters);
    strv_done(&filter->ids);
    strv_done(&filter->images);
    strv_done(&filter->published);
    strv_done(&filter->exposed);
}

/* ---- comparison ---- */

static bool counts_as_running(const struct container_info *info)
{
    return info->state == CONTAINER_RUNNING || info->state == CONTAINER_PAUSED ||
           info->state == CONTAINER_RESTARTING;
}

static bool name_matches(const struct filters *filters, const char *name)
{
    char with_slash[300];

    snprintf(with_slash, sizeof(with_slash), "/%s", name);
    return filters_match_pattern(filters, "name", name) ||
           filters_match_pattern(filters, "name", with_slash);
}

static bool exit_matches(const struct filters *filters, const struct container_info *info)
{
    char code[16];

    if (!filters_has(filters, "exited"))
        return true;
    snprintf(code, sizeof(code), "%d", info->exit_code);
    return !counts_as_running(info) && info->started_ns != 0 &&
           filters_match_exactly(filters, "exited", code);
}

static bool network_matches(const struct filters *filters, const struct container_info *info)
{
    if (!filters_has(filters, "network"))
        return true;
    MAP_EACH (&info->endpoints, entry) {
        const struct endpoint_settings *endpoint = entry->value;

        if (filters_match_exactly(filters, "network", entry->key) ||
            (endpoint && !text_is_empty(endpoint->network_id) &&
             filters_match_prefix(filters, "network", endpoint->network_id)))
            return true;
    }
    return false;
}

static bool volume_matches(const struct filters *filters, const struct container_info *info)
{
    const struct mount_point *mounts = JSON_ITEMS(&info->mounts, struct mount_point);

    if (!filters_has(filters, "volume"))
        return true;
    for (size_t i = 0; i < info->mounts.count; i++) {
        const char *source = text_is_empty(mounts[i].name) ? mounts[i].source : mounts[i].name;

        if (filters_match_exactly(filters, "volume", mounts[i].destination ?: "") ||
            filters_match_exactly(filters, "volume", source ?: ""))
            return true;
    }
    return false;
}

static bool port_matches(const struct container_filter *filter, const struct container_info *info)
{
    const struct port_mapping *ports = JSON_ITEMS(&info->ports, struct port_mapping);
    char text[32];

    if (!filters_has(&filter->filters, "publish") && !filters_has(&filter->filters, "expose"))
        return true;
    for (size_t i = 0; i < info->ports.count; i++) {
        snprintf(text, sizeof(text), "%u/%s", ports[i].host_port, ports[i].protocol);
        if (strv_contains(&filter->published, text))
            return true;
        snprintf(text, sizeof(text), "%u/%s", ports[i].container_port, ports[i].protocol);
        if (strv_contains(&filter->exposed, text))
            return true;
    }
    for (size_t i = 0; counts_as_running(info) && i < info->config.exposed_ports.count; i++)
        if (strv_contains(&filter->exposed, info->config.exposed_ports.items[i]))
            return true;
    return false;
}

static bool order_matches(const struct container_filter *filter, const struct container_info *info)
{
    return (filter->before_sequence == 0 || info->sequence < filter->before_sequence) &&
           (filter->since_sequence == 0 || info->sequence > filter->since_sequence);
}

bool container_filter_matches(const struct container_filter *filter,
                              const struct container_info *info)
{
    const struct filters *filters = &filter->filters;

    return (filter->all || counts_as_running(info)) && !filter->is_task &&
           (!filters_has(filters, "id") || strv_contains(&filter->ids, info->id)) &&
           (!filters_has(filters, "ancestor") || strv_contains(&filter->images, info->image_id)) &&
           filters_match_exactly(filters, "status", container_state_name(info->state)) &&
           filters_match_exactly(filters, "health", health_status(info->health)) &&
           filters_match_labels(filters, &info->config.labels) && order_matches(filter, info) &&
           exit_matches(filters, info) && name_matches(filters, info->name) &&
           network_matches(filters, info) && volume_matches(filters, info) &&
           port_matches(filter, info);
}
