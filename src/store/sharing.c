/* What images have in common. Layers know the one below them, so whatever two images share is
 * shared with all that is below it. */
#include "base/memory.h"
#include "store/internal.h"

#include "base/banned.h"

static const struct known_layer *below(const struct store *store, const struct known_layer *layer)
    REQUIRES(store->memory)
{
    return map_get(&store->layers, layer->layer.parent_id);
}

int64_t store_image_add_layers(struct store *store, const struct image *image, struct map *set)
{
    int64_t bytes = 0;

    mutex_lock(&store->memory);
    for (const struct known_layer *at = map_get(&store->layers, image->chain_id);
         at && !map_has(set, at->layer.chain_id); at = below(store, at)) {
        map_set(set, at->layer.chain_id, NULL);
        bytes += at->layer.size_bytes;
    }
    mutex_unlock(&store->memory);
    return bytes;
}

/* ---- shared sizes ---- */

struct use {
    int images;    /* that have it: 1, or more */
    int64_t bytes; /* of it and all that is below; -1: not known yet */
};

static struct use *use_of(struct map *uses, const struct known_layer *layer)
{
    struct use *use = map_get(uses, layer->layer.chain_id);

    if (!use) {
        use = NEW(struct use);
        *use = (struct use){ .bytes = -1 };
        map_set(uses, layer->layer.chain_id, use);
    }
    return use;
}

/* Below a layer that was counted twice before, all were. */
static void count(const struct store *store, struct map *uses, const struct image *image)
    REQUIRES(store->memory)
{
    for (const struct known_layer *at = map_get(&store->layers, image->chain_id);
         at && ++use_of(uses, at)->images <= 2; at = below(store, at))
        ;
}

static int64_t bytes_down_from(const struct store *store, struct map *uses,
                               const struct known_layer *first) REQUIRES(store->memory)
{
    int64_t bytes = 0;

    for (const struct known_layer *at = first; at; at = below(store, at)) {
        const struct use *use = use_of(uses, at);

        if (use->bytes >= 0) {
            bytes += use->bytes;
            break;
        }
        bytes += at->layer.size_bytes;
    }
    return use_of(uses, first)->bytes = bytes;
}

static int64_t shared(const struct store *store, struct map *uses, const struct image *image)
    REQUIRES(store->memory)
{
    for (const struct known_layer *at = map_get(&store->layers, image->chain_id); at;
         at = below(store, at))
        if (use_of(uses, at)->images > 1)
            return bytes_down_from(store, uses, at);
    return 0;
}

void store_images_shared(struct store *store, struct image *const *images, size_t image_count,
                         int64_t *out_bytes)
{
    CLEANUP(map_done) struct map uses = {};

    map_init_empty(&uses, free);
    mutex_lock(&store->memory);
    for (size_t i = 0; i < image_count; i++)
        count(store, &uses, images[i]);
    for (size_t i = 0; i < image_count; i++)
        out_bytes[i] = shared(store, &uses, images[i]);
    mutex_unlock(&store->memory);
}
