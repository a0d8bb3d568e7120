/* Many images at once: one change of the record, whose write to disk all of them share. */
#include <string.h>

#include "base/memory.h"
#include "engine/image.h"
#include "engine/internal.h"

#include "base/banned.h"

/* Those that are to go, each once. */
struct leaving {
    struct engine *engine;
    struct map images; /* id → struct image, a reference */
};

static void unref_image(void *image)
{
    image_unref(image);
}

static bool add(struct leaving *leaving, struct image *image)
{
    if (map_has(&leaving->images, image->id) ||
        engine_image_container_count(leaving->engine, image->id) > 0)
        return false;
    map_set(&leaving->images, image->id, image_ref(image));
    return true;
}

/* Parents without a name go along. Whether they have another child, the store sees. */
static void add_with_parents(struct leaving *leaving, struct image *image)
{
    CLEANUP(image_unref) struct image *at = image_ref(image);

    while (add(leaving, at) && at->parent_id[0]) {
        struct image *parent;
        struct error ignored;

        if (store_image_find(leaving->engine->store, at->parent_id, &parent, &ignored) < 0)
            break;
        image_unref(at);
        at = parent;
        if (at->tags.count || at->digests.count)
            break;
    }
}

static int remove_all(struct leaving *leaving, struct strv *out_removed, struct strv *out_layers,
                      struct error *err)
{
    size_t count = 0;
    CLEANUP(free)
    struct image **list = xcalloc(leaving->images.count + 1, sizeof(struct image *));

    MAP_EACH (&leaving->images, entry)
        list[count++] = entry->value;
    return store_images_remove(leaving->engine->store, list, count, engine_layer_is_used,
                               leaving->engine, out_removed, out_layers, err);
}

static void add_removals(struct json_list *out, bool is_untagged, const struct strv *names)
{
    for (size_t i = 0; i < names->count; i++)
        image_add_removal(out, is_untagged, names->items[i]);
}

static void tell(struct leaving *leaving, const char *image_id, struct json_list *out)
{
    const struct image *image = map_get(&leaving->images, image_id);

    add_removals(out, true, &image->tags);
    add_removals(out, true, &image->digests);
    for (size_t i = 0; i < image->tags.count + image->digests.count; i++)
        image_event(leaving->engine, image, "untag", image_id);
    image_add_removal(out, false, image_id);
    image_event(leaving->engine, image, "delete", image_id);
}

int engine_images_remove(struct engine *engine, struct image *const *images, size_t count,
                         struct json_list *out, struct error *err)
{
    CLEANUP(strv_done) struct strv removed = {}, layers = {};
    struct leaving leaving = { .engine = engine };

    map_init_empty(&leaving.images, unref_image);
    for (size_t i = 0; i < count; i++)
        add_with_parents(&leaving, images[i]);
    int result = remove_all(&leaving, &removed, &layers, err);
    for (size_t i = 0; i < removed.count; i++)
        tell(&leaving, removed.items[i], out);
    add_removals(out, false, &layers);
    map_done(&leaving.images);
    return result;
}
