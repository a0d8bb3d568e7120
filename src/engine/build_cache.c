/* Which layers of the build cache images have too is worked out from their configurations. */
#include "engine/build_cache.h"

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "engine/image.h"
#include "engine/image_archive.h"
#include "engine/internal.h"

#include "base/banned.h"

int engine_build_cache_list(struct engine *engine, struct cache_item **out, bool **out_is_shared,
                            size_t *out_count, struct error *err)
{
    CLEANUP(map_done) struct map chains = {};
    struct image **images;
    size_t image_count;

    map_init_empty(&chains, NULL);
    if (store_image_list(engine->store, &images, &image_count, err) < 0)
        return -1;
    for (size_t i = 0; i < image_count; i++)
        store_image_add_layers(engine->store, images[i], &chains);
    store_images_free(images, image_count);
    if (builder_cache_list(engine->builder, out, out_count, err) < 0)
        return -1;
    *out_is_shared = xcalloc(*out_count + 1, sizeof(**out_is_shared));
    for (size_t i = 0; i < *out_count; i++)
        (*out_is_shared)[i] = map_has(&chains, (*out)[i].chain_id);
    return 0;
}

int engine_build_cache_remove(struct engine *engine, const struct strv *keys, struct error *err)
{
    if (builder_cache_remove(engine->builder, keys, err) < 0)
        return -1;
    return store_collect(engine->store, engine_layer_is_used, engine, err);
}

/* ---- steps as blobs ---- */

int engine_build_cache_save(struct engine *engine, const struct strv *image_ids,
                            const struct archive_place *place, struct archive_index *out_index,
                            struct error *err)
{
    CLEANUP(image_selection_done) struct image_selection selection = {};

    if (engine_images_select(engine, image_ids, NULL, &selection, err) < 0)
        return -1;
    return archive_save_blobs(engine->store, selection.items, selection.count, place, out_index,
                              err);
}

struct cache_load {
    int cancel_fd;
    struct strv *ids;
};

static int on_layer(void *data, const char *diff_id UNUSED, int64_t done UNUSED,
                    int64_t total UNUSED)
{
    return fd_is_readable(((struct cache_load *)data)->cancel_fd);
}

static int on_loaded(void *data, struct image *image, const char *name UNUSED,
                     struct error *err UNUSED)
{
    strv_add(((struct cache_load *)data)->ids, image->id);
    return 0;
}

/* What a load that failed left is of no use. */
static int clear_up(struct engine *engine, int result)
{
    struct error why = {};

    if (result < 0 && store_collect(engine->store, engine_layer_is_used, engine, &why) < 0)
        log_warn("cannot remove what a cache left that could not be read", "error", why.text);
    return result;
}

int engine_build_cache_load(struct engine *engine, const char *digest,
                            const struct archive_source *source, int cancel_fd,
                            struct strv *out_ids, struct error *err)
{
    struct cache_load load = { cancel_fd, out_ids };
    const struct archive_watcher watcher = { &load, on_layer, on_loaded };

    return clear_up(engine, archive_load_blobs(engine->store, source, digest, &watcher, err));
}

int engine_build_cache_read(struct engine *engine, struct stream *archive, int cancel_fd,
                            struct strv *out_ids, struct error *err)
{
    struct cache_load load = { cancel_fd, out_ids };
    const struct archive_watcher watcher = { &load, on_layer, on_loaded };
    const struct archive_choice choice = { .is_cache = true };

    return clear_up(engine, archive_load(engine->store, archive, &choice, &watcher, err));
}
