/* Volumes. */
#include "engine/volume.h"

#include "api/filters.h"
#include "api/routes.h"
#include "api/volume_write.h"
#include "base/text.h"
#include "engine/usage.h"

#include "base/banned.h"

/* ---- list ---- */

static bool volume_matches(const struct filters *filters, bool dangling, const struct map *uses,
                           const struct volume *volume)
{
    return filters_match_pattern(filters, "name", volume->name) &&
           filters_match_exactly(filters, "driver", volume->driver) &&
           filters_match_labels(filters, &volume->labels) &&
           (!filters_has(filters, "dangling") || dangling == !map_has(uses, volume->name));
}

int api_volume_list(struct request *req, struct error *err)
{
    static const char *const accepted[] = { "dangling", "driver", "label", "name", NULL };
    CLEANUP(filters_done) struct filters filters = {};
    CLEANUP(map_done) struct map uses = {};
    CLEANUP(str_done) struct str body = {};
    struct json_writer w = { .out = &body };
    struct volume **list;
    size_t count;
    bool dangling;

    if (filters_parse(request_query(req, "filters"), accepted, &filters, err) < 0 ||
        filters_bool(&filters, "dangling", false, &dangling, err) < 0 ||
        engine_volume_list(req->engine, &list, &count, err) < 0)
        return -1;
    if (filters_has(&filters, "dangling"))
        engine_volume_uses(req->engine, &uses);
    json_begin_dict(&w, NULL);
    json_begin_list(&w, "Volumes");
    for (size_t i = 0; i < count; i++)
        if (volume_matches(&filters, dangling, &uses, list[i]))
            volume_write(&w, list[i]);
    json_end_list(&w);
    json_add_null(&w, "Warnings");
    json_end_dict(&w);
    volume_list_free(list, count);
    return reply_json(req, 200, &body, err);
}

/* ---- create ---- */

struct volume_wish {
    char *name, *driver;
    struct map driver_options, labels;
    char *cluster; /* raw JSON */
};

/* clang-format off */
static const struct json_field volume_wish_fields[] = {
    JSON_STRING(struct volume_wish, name,           "Name"),
    JSON_STRING(struct volume_wish, driver,         "Driver"),
    JSON_TEXTS (struct volume_wish, driver_options, "DriverOpts"),
    JSON_TEXTS (struct volume_wish, labels,         "Labels"),
    JSON_RAW   (struct volume_wish, cluster,        "ClusterVolumeSpec"),
    JSON_END,
};
/* clang-format on */

static int create(struct request *req, const struct volume_wish *wish, struct volume **out,
                  struct error *err)
{
    if (wish->cluster && !text_equal(wish->cluster, "null"))
        return api_no_swarm(req, err);
    return engine_volume_create(req->engine, text_is_empty(wish->name) ? NULL : wish->name,
                                text_is_empty(wish->driver) ? "local" : wish->driver,
                                &wish->driver_options, &wish->labels, out, err);
}

int api_volume_create(struct request *req, struct error *err)
{
    CLEANUP(volume_unref) struct volume *volume = NULL;
    CLEANUP(str_done) struct str body = {};
    struct volume_wish wish = {};

    if (request_decode(req, volume_wish_fields, &wish, err) < 0)
        return -1;

    int result = create(req, &wish, &volume, err);
    json_fields_done(volume_wish_fields, &wish);
    if (result < 0)
        return -1;
    volume_write(&(struct json_writer){ .out = &body }, volume);
    return reply_json(req, 201, &body, err);
}

/* ---- one volume ---- */

int api_volume_inspect(struct request *req, struct error *err)
{
    CLEANUP(volume_unref) struct volume *volume = NULL;
    CLEANUP(str_done) struct str body = {};

    if (engine_volume_get(req->engine, request_parameter(req, 0), &volume, err) < 0)
        return -1;
    volume_write_asked(&(struct json_writer){ .out = &body }, volume);
    return reply_json(req, 200, &body, err);
}

int api_volume_remove(struct request *req, struct error *err)
{
    if (engine_volume_remove(req->engine, request_parameter(req, 0),
                             request_query_bool(req, "force"), err) < 0)
        return -1;
    return reply_empty(req, 204, err);
}
