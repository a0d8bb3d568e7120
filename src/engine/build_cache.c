/* Which layers of the build cache images have too is worked out from their configurations. */
#include "engine/build_cache.h"

#include "base/memory.h"
#include "base/text.h"
#include "engine/image.h"
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
        image_add_chains(images[i], &chains);
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
