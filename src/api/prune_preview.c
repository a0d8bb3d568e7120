/* berth's own: what a prune would remove, asked for before it. With "after-containers" the stopped
 * containers that the same filters take count as gone. */
#include "api/prune.h"

#include "api/routes.h"
#include "api/usage.h"
#include "base/text.h"
#include "engine/image.h"
#include "engine/usage.h"
#include "engine/volume.h"

#include "base/banned.h"

struct preview {
    struct prune prune;
    struct container_info **containers; /* those that stay */
    size_t container_count;
    struct image **images;
    size_t image_count;
};

static void preview_done(struct preview *preview)
{
    engine_container_list_free(preview->containers, preview->container_count);
    store_images_free(preview->images, preview->image_count);
    prune_done(&preview->prune);
}
CLEANUP_VALUE(preview_done, struct preview)

/* The list keeps who stays; who goes is told if 'is_told'. */
static int look_at_containers(struct preview *preview, bool is_told, struct error *err)
{
    struct prune *prune = &preview->prune;
    struct request *req = prune->req;
    bool are_gone = is_told || request_query_bool(req, "after-containers");
    size_t count = 0;

    if (engine_container_list(req->engine, &preview->containers, &preview->container_count, err) <
        0)
        return -1;
    for (size_t i = 0; i < preview->container_count; i++) {
        struct container_info *info = preview->containers[i];
        int64_t changed, all;

        if (!are_gone || !prune_takes_container(prune, info)) {
            preview->containers[count++] = info;
            continue;
        }
        if (is_told) {
            usage_container_size(req->engine, info, &changed, &all);
            prune_tell(&prune->writer, info->id, info->name, changed);
        }
        container_info_unref(info);
    }
    preview->container_count = count;
    return 0;
}

void prune_tell(struct json_writer *w, const char *id, const char *name, int64_t size_bytes)
{
    json_begin_dict(w, NULL);
    json_add_text(w, "ID", id);
    json_add_text(w, "Name", name);
    json_add_int64(w, "Size", size_bytes);
    json_end_dict(w);
}

static int reply(struct preview *preview, struct error *err)
{
    CLEANUP(str_done) struct str body = {};

    str_add_format(&body, "[%s]", str_text(&preview->prune.removed));
    return reply_json(preview->prune.req, 200, &body, err);
}

int api_prune_preview_containers(struct request *req, struct error *err)
{
    CLEANUP(preview_done) struct preview preview = {};

    if (prune_begin_containers(&preview.prune, req, err) < 0 ||
        look_at_containers(&preview, true, err) < 0)
        return -1;
    return reply(&preview, err);
}

/* ---- images ---- */

/* One that an image is built on which stays may lose its names, but no more. */
static bool goes(const struct preview *preview, const struct image *image)
{
    if (!prune_takes_image(&preview->prune, image))
        return false;
    for (size_t i = 0; i < preview->container_count; i++)
        if (text_equal(preview->containers[i]->image_id, image->id))
            return false;
    for (size_t i = 0; prune_is_nameless(image) && i < preview->image_count; i++)
        if (text_equal(preview->images[i]->parent_id, image->id) &&
            !goes(preview, preview->images[i]))
            return false;
    return true;
}

int api_prune_preview_images(struct request *req, struct error *err)
{
    CLEANUP(preview_done) struct preview preview = {};
    CLEANUP(map_done) struct map counted = {};

    if (prune_begin_images(&preview.prune, req, err) < 0 ||
        look_at_containers(&preview, false, err) < 0 ||
        engine_image_list(req->engine, &preview.images, &preview.image_count, err) < 0)
        return -1;
    map_init_empty(&counted, NULL);
    for (size_t i = 0; i < preview.image_count; i++)
        if (!goes(&preview, preview.images[i]))
            engine_image_add_layers(req->engine, preview.images[i], &counted);
    for (size_t i = 0; i < preview.image_count; i++) {
        const struct image *image = preview.images[i];
        CLEANUP(free)
        char *names = strv_join(image->tags.count ? &image->tags : &image->digests, " ");

        if (goes(&preview, image))
            prune_tell(&preview.prune.writer, image->id, names,
                       engine_image_add_layers(req->engine, image, &counted));
    }
    return reply(&preview, err);
}

/* ---- volumes ---- */

int api_prune_preview_volumes(struct request *req, struct error *err)
{
    CLEANUP(preview_done) struct preview preview = {};
    CLEANUP(map_done) struct map uses = {}, uses_that_stay = {};
    struct volume **list;
    size_t count;

    if (prune_begin_volumes(&preview.prune, req, err) < 0 ||
        look_at_containers(&preview, false, err) < 0 ||
        engine_volume_list(req->engine, &list, &count, err) < 0)
        return -1;
    engine_volume_uses(req->engine, &uses);
    container_volume_uses(req->engine, preview.containers, preview.container_count,
                          &uses_that_stay);
    for (size_t i = 0; i < count; i++)
        if (prune_takes_volume(&preview.prune, list[i]) && !map_has(&uses_that_stay, list[i]->name))
            prune_tell(&preview.prune.writer, list[i]->name, list[i]->name,
                       engine_volume_size(req->engine, list[i], &uses));
    volume_list_free(list, count);
    return reply(&preview, err);
}

/* ---- networks ---- */

int api_prune_preview_networks(struct request *req, struct error *err)
{
    CLEANUP(preview_done) struct preview preview = {};
    struct network **list;
    size_t count;

    if (prune_begin_networks(&preview.prune, req, err) < 0 ||
        engine_network_list(req->engine, &list, &count, err) < 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        struct endpoint *endpoints;
        size_t endpoint_count;

        if (!prune_takes_network(&preview.prune, list[i]) ||
            engine_network_endpoints(req->engine, list[i]->id, &endpoints, &endpoint_count, err) <
                0)
            continue;
        endpoint_list_free(endpoints, endpoint_count);
        if (endpoint_count == 0)
            prune_tell(&preview.prune.writer, list[i]->id, list[i]->name, 0);
    }
    network_list_free(list, count);
    return reply(&preview, err);
}
