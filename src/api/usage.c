/* Disk usage. */
#include "api/usage.h"

#include <string.h>

#include "api/build_cache_write.h"
#include "api/container_write.h"
#include "api/image_write.h"
#include "api/routes.h"
#include "api/volume_write.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "engine/usage.h"

#include "base/banned.h"

void usage_container_size(struct engine *engine, const struct container_info *info,
                          int64_t *out_changed, int64_t *out_all)
{
    CLEANUP(image_unref) struct image *image = NULL;
    struct error ignored;

    *out_changed = engine_changes_size(engine, info);
    *out_all = *out_changed;
    if (engine_image_get(engine, info->image_id, &image, &ignored) == 0)
        *out_all += image->size_bytes;
}

/* ---- the report ---- */

/* berth's own: with "brief" an entry has only what its kind is summed up by, and the data root is
 * not looked at. */
static bool is_brief(const struct request *req)
{
    return request_query_bool(req, "brief");
}

static void write_brief_image(struct json_writer *w, const struct image *image,
                              const struct image_view *view)
{
    json_begin_dict(w, NULL);
    json_add_int64(w, "Containers", view->container_count);
    json_add_int64(w, "SharedSize", view->shared_size);
    json_add_int64(w, "Size", image->size_bytes);
    json_end_dict(w);
}

static void write_brief_container(struct json_writer *w, struct engine *engine,
                                  const struct container_info *info)
{
    json_begin_dict(w, NULL);
    json_add_int64(w, "SizeRw", engine_changes_size(engine, info));
    json_add_text(w, "State", container_state_name(info->state));
    json_end_dict(w);
}

static int write_images(struct request *req, struct json_writer *w, struct error *err)
{
    CLEANUP(map_done) struct map containers = {};
    struct image **list;
    size_t count;

    if (engine_image_list(req->engine, &list, &count, err) < 0)
        return -1;
    CLEANUP(free) int64_t *shared = xcalloc(count + 1, sizeof(*shared));
    engine_images_shared(req->engine, list, count, shared);
    engine_image_container_counts(req->engine, &containers);
    json_begin_list(w, "Images");
    for (size_t i = 0; i < count; i++) {
        const struct image_view view = {
            .version = req->version,
            .tags = &list[i]->tags,
            .container_count = image_container_count(&containers, list[i]->id),
            .shared_size = shared[i],
            .empty_names_are_null = true,
        };

        (is_brief(req) ? write_brief_image : image_write_item)(w, list[i], &view);
    }
    json_end_list(w);
    store_images_free(list, count);
    return 0;
}

static int write_containers(struct request *req, struct json_writer *w, struct error *err)
{
    struct container_info **list;
    size_t count;

    if (engine_container_list(req->engine, &list, &count, err) < 0)
        return -1;
    json_begin_list(w, "Containers");
    for (size_t i = 0; i < count; i++) {
        struct container_view view = { .version = req->version,
                                       .image = list[i]->image_name ?: "",
                                       .with_size = true };

        if (is_brief(req)) {
            write_brief_container(w, req->engine, list[i]);
            continue;
        }
        usage_container_size(req->engine, list[i], &view.size_rw, &view.size_root_fs);
        container_write_item(w, list[i], &view);
    }
    json_end_list(w);
    engine_container_list_free(list, count);
    return 0;
}

static int write_volumes(struct request *req, struct json_writer *w, struct error *err)
{
    CLEANUP(map_done) struct map uses = {};
    struct volume **list;
    size_t count;

    if (engine_volume_list(req->engine, &list, &count, err) < 0)
        return -1;
    engine_volume_uses(req->engine, &uses);
    json_begin_list(w, "Volumes");
    for (size_t i = 0; i < count; i++)
        volume_write_with_usage(w, req->engine, list[i], &uses);
    json_end_list(w);
    volume_list_free(list, count);
    return 0;
}

/* "type" chooses what is looked at; without it all is. */
static bool is_wanted(const struct request *req, const char *type)
{
    size_t count = http_query_count(req->exchange, "type");

    for (size_t i = 0; i < count; i++)
        if (text_equal(http_query_at(req->exchange, "type", i), type))
            return true;
    return count == 0;
}

static int check_types(const struct request *req, struct error *err)
{
    static const char *const types[] = { "container", "image", "volume", "build-cache" };

    for (size_t i = 0; i < http_query_count(req->exchange, "type"); i++) {
        const char *given = http_query_at(req->exchange, "type", i);
        bool is_known = false;

        for (size_t j = 0; j < COUNT(types); j++)
            is_known = is_known || text_equal(given, types[j]);
        if (!is_known)
            return error_set(err, ERROR_INVALID, "unknown object type: %s", given);
    }
    return 0;
}

/* berth's own: blocks on disk. */
static void write_data_root(struct engine *engine, struct json_writer *w)
{
    struct data_usage usage;

    engine_data_usage(engine, &usage);
    json_begin_dict(w, "DataRoot");
    json_add_int64(w, "Blobs", usage.blobs);
    json_add_int64(w, "Layers", usage.layers);
    json_add_int64(w, "Containers", usage.containers);
    json_add_int64(w, "Volumes", usage.volumes);
    json_add_int64(w, "Other", usage.other);
    json_add_int64(w, "Total", usage.total);
    json_end_dict(w);
}

int api_disk_usage(struct request *req, struct error *err)
{
    CLEANUP(str_done) struct str body = {};
    struct json_writer w = { .out = &body };
    static const struct {
        const char *type, *key;
        int (*write)(struct request *req, struct json_writer *w, struct error *err);
    } parts[] = { { "image", "Images", write_images },
                  { "container", "Containers", write_containers },
                  { "volume", "Volumes", write_volumes } };

    if (check_types(req, err) < 0)
        return -1;
    json_begin_dict(&w, NULL);
    json_add_int64(&w, "LayersSize", is_wanted(req, "image") ? engine_layers_size(req->engine) : 0);
    for (size_t i = 0; i < COUNT(parts); i++)
        if (!is_wanted(req, parts[i].type))
            json_add_null(&w, parts[i].key);
        else if (parts[i].write(req, &w, err) < 0)
            return -1;
    if (!is_wanted(req, "build-cache"))
        json_add_null(&w, "BuildCache");
    else if (build_cache_write(&w, req->engine, err) < 0)
        return -1;
    if (http_query_count(req->exchange, "type") == 0 && !is_brief(req))
        write_data_root(req->engine, &w);
    json_end_dict(&w);
    return reply_json(req, 200, &body, err);
}
