/* Images that builds hold. What is said of an image stays until the last of its holders let go of
 * it and, if it is to go then, until it is gone: a build may make it once more in between. */
#include "base/memory.h"
#include "store/internal.h"

#include "base/banned.h"

struct image_hold {
    int count;
    bool is_new, is_wanted;
};

void image_hold(struct store *store, const char *image_id, bool is_new)
{
    mutex_lock(&store->memory);
    struct image_hold *hold = map_get(&store->image_holds, image_id);
    if (!hold) {
        hold = NEW(struct image_hold);
        map_set(&store->image_holds, image_id, hold);
    }
    hold->count++;
    hold->is_new |= is_new;
    mutex_unlock(&store->memory);
}

bool store_image_hold(struct store *store, const char *image_id)
{
    mutex_lock(&store->changes); /* No removal is under way. */
    mutex_lock(&store->memory);
    bool exists = map_has(&store->images, image_id);
    mutex_unlock(&store->memory);
    if (exists)
        image_hold(store, image_id, false);
    mutex_unlock(&store->changes);
    return exists;
}

bool store_image_let_go(struct store *store, const char *image_id, bool is_wanted)
{
    bool is_to_go = false;

    mutex_lock(&store->memory);
    struct image_hold *hold = map_get(&store->image_holds, image_id);
    if (hold) {
        hold->is_wanted |= is_wanted;
        if (--hold->count == 0) {
            is_to_go = hold->is_new && !hold->is_wanted;
            if (!is_to_go)
                map_remove(&store->image_holds, image_id);
        }
    }
    mutex_unlock(&store->memory);
    return is_to_go;
}

bool image_is_held(struct store *store, const char *image_id)
{
    const struct image_hold *hold = map_get(&store->image_holds, image_id);

    return hold && hold->count > 0;
}

bool image_is_unwanted(struct store *store, const char *image_id)
{
    const struct image_hold *hold = map_get(&store->image_holds, image_id);

    return hold && hold->count == 0;
}

bool store_image_is_held(struct store *store, const char *image_id)
{
    mutex_lock(&store->memory);
    bool is_held = image_is_held(store, image_id);
    mutex_unlock(&store->memory);
    return is_held;
}
