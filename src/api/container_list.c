/* Lists of containers, and one in full. */
#include "api/container_filter.h"
#include "api/container_write.h"
#include "api/routes.h"
#include "api/usage.h"
#include "base/memory.h"
#include "base/text.h"
#include "engine/image.h"

#include "base/banned.h"

/* Names of images as containers were given them → the id that the name means now. */
struct image_names {
    struct engine *engine;
    struct map ids;
};

/* The name, or the id of the container's image if the name means another one by now. */
static const char *shown_image(struct image_names *names, const struct container_info *info)
{
    if (text_is_empty(info->image_name))
        return info->image_id ?: "";
    if (!map_has(&names->ids, info->image_name)) {
        CLEANUP(image_unref) struct image *image = NULL;
        struct error ignored;

        engine_image_get(names->engine, info->image_name, &image, &ignored);
        map_set_text(&names->ids, info->image_name, image ? image->id : "");
    }
    return text_equal(map_get(&names->ids, info->image_name), info->image_id) ? info->image_name
                                                                              : info->image_id;
}

static void write_list(struct request *req, struct container_info *const *list, size_t count,
                       const struct container_filter *filter, int64_t limit, struct str *out)
{
    struct image_names names = { .engine = req->engine };
    struct json_writer w = { .out = out };
    int64_t shown = 0;

    json_begin_list(&w, NULL);
    for (size_t i = 0; i < count && (limit <= 0 || shown < limit); i++) {
        struct container_view view = { .version = req->version,
                                       .with_size = request_query_bool(req, "size") };

        if (!container_filter_matches(filter, list[i]))
            continue;
        shown++;
        view.image = shown_image(&names, list[i]);
        if (view.with_size)
            usage_container_size(req->engine, list[i], &view.size_rw, &view.size_root_fs);
        container_write_item(&w, list[i], &view);
    }
    json_end_list(&w);
    map_done(&names.ids);
}

int api_container_list(struct request *req, struct error *err)
{
    CLEANUP(container_filter_done) struct container_filter filter = {};
    CLEANUP(str_done) struct str body = {};
    struct container_info **list;
    size_t count;
    int64_t limit;

    if (request_query_int(req, "limit", 0, &limit, err) < 0 ||
        engine_container_list(req->engine, &list, &count, err) < 0)
        return -1;
    if (container_filter_new(req->engine, request_query(req, "filters"),
                             request_query_bool(req, "all") || limit > 0, list, count, &filter,
                             err) < 0) {
        engine_container_list_free(list, count);
        return -1;
    }
    write_list(req, list, count, &filter, limit, &body);
    engine_container_list_free(list, count);
    return reply_json(req, 200, &body, err);
}

int api_container_inspect(struct request *req, struct error *err)
{
    CLEANUP(container_info_unref) struct container_info *info = NULL;
    CLEANUP(str_done) struct str body = {};
    struct json_writer w = { .out = &body };
    struct container_view view = { .version = req->version,
                                   .with_size = request_query_bool(req, "size") };
    struct engine_info engine = {};

    if (engine_container_get(req->engine, request_parameter(req, 0), &info, err) < 0)
        return -1;
    engine_info(req->engine, &engine);
    view.driver = engine.driver;
    if (view.with_size)
        usage_container_size(req->engine, info, &view.size_rw, &view.size_root_fs);
    container_write_full(&w, info, &view);
    return reply_json(req, 200, &body, err);
}
