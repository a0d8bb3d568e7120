/* Removing what nothing uses any more: decided on what is in memory, recorded, and then done. What
 * goes is moved to tmp/ while nobody can make it anew; the files themselves may go later. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "codec/sha256.h"
#include "store/image.h"

#include "base/banned.h"

struct collection {
    struct store *store;
    bool (*in_use)(void *data, const char *chain_id);
    void *data;
    struct map leaving; /* ids of images that go */
    struct map used;    /* chain ids and digests that stay */
    struct strv layers; /* that go, top ones first */
    struct strv blobs;  /* that go */
    struct strv trash;  /* paths under tmp/ */
};

static void collection_done(struct collection *collection)
{
    map_done(&collection->leaving);
    map_done(&collection->used);
    strv_done(&collection->layers);
    strv_done(&collection->blobs);
    strv_done(&collection->trash);
}
CLEANUP_VALUE(collection_done, struct collection)

/* ---- deciding ---- */

/* A layer that stays keeps all below it, and their blobs. */
static void mark_chain(struct collection *collection, const char *chain_id)
    REQUIRES(collection->store->memory)
{
    const struct known_layer *known;

    for (const char *at = chain_id; *at && !map_has(&collection->used, at);
         at = known->layer.parent_id) {
        known = map_get(&collection->store->layers, at);
        if (!known)
            return;
        map_set(&collection->used, at, collection);
        if (*known->layer.blob_digest)
            map_set(&collection->used, known->layer.blob_digest, collection);
    }
}

static void mark_known(struct collection *collection) REQUIRES(collection->store->memory)
{
    struct store *store = collection->store;

    MAP_EACH (&store->images, entry) {
        const struct known_image *known = entry->value;

        if (map_has(&collection->leaving, known->image.id))
            continue;
        mark_chain(collection, known->image.chain_id);
        map_set(&collection->used, known->image.id, collection);
        map_set(&collection->used, known->manifest_digest, collection);
    }
    MAP_EACH (&store->holds, entry)
        mark_chain(collection, entry->key);
    MAP_EACH (&store->young, entry) {
        mark_chain(collection, entry->key);
        map_set(&collection->used, entry->key, collection);
    }
}

static void list_unmarked(struct collection *collection, const struct map *known, struct strv *out)
    REQUIRES(collection->store->memory)
{
    MAP_EACH (known, entry)
        if (!map_has(&collection->used, entry->key))
            strv_add(out, entry->key);
}

/* The engine is asked without the lock of memory, so that it may read from the store. */
static void mark_in_use(struct collection *collection)
{
    CLEANUP(strv_done) struct strv candidates = {};

    mutex_lock(&collection->store->memory);
    list_unmarked(collection, &collection->store->layers, &candidates);
    mutex_unlock(&collection->store->memory);
    for (size_t i = 0; collection->in_use && i < candidates.count; i++) {
        if (!collection->in_use(collection->data, candidates.items[i]))
            continue;
        mutex_lock(&collection->store->memory);
        mark_chain(collection, candidates.items[i]);
        mutex_unlock(&collection->store->memory);
    }
}

static size_t depth_of(struct store *store, const char *chain_id) REQUIRES(store->memory)
{
    size_t depth = 0;
    const struct known_layer *known;

    for (; (known = map_get(&store->layers, chain_id)); chain_id = known->layer.parent_id)
        depth++;
    return depth;
}

struct ranked {
    size_t depth;
    char *chain_id;
};

static int compare_depth(const void *a, const void *b)
{
    const struct ranked *first = a, *second = b;

    if (first->depth != second->depth)
        return first->depth < second->depth ? 1 : -1;
    return strcmp(first->chain_id, second->chain_id);
}

/* Layers go before those that they are built on. */
static void sort_top_first(struct collection *collection) REQUIRES(collection->store->memory)
{
    struct strv *layers = &collection->layers;
    CLEANUP(free) struct ranked *ranked = xcalloc(layers->count + 1, sizeof(*ranked));

    for (size_t i = 0; i < layers->count; i++)
        ranked[i] = (struct ranked){ depth_of(collection->store, layers->items[i]),
                                     layers->items[i] };
    qsort(ranked, layers->count, sizeof(*ranked), compare_depth);
    for (size_t i = 0; i < layers->count; i++)
        layers->items[i] = ranked[i].chain_id;
}

static void decide(struct collection *collection) REQUIRES(collection->store->changes)
{
    struct store *store = collection->store;

    map_init_empty(&collection->used, NULL);
    mutex_lock(&store->memory);
    mark_known(collection);
    mutex_unlock(&store->memory);
    mark_in_use(collection);
    mutex_lock(&store->memory);
    /* Once more: somebody may have taken hold of a layer while the engine was asked. */
    mark_known(collection);
    list_unmarked(collection, &store->layers, &collection->layers);
    sort_top_first(collection);
    list_unmarked(collection, &store->blobs, &collection->blobs);
    mutex_unlock(&store->memory);
}

/* ---- doing ---- */

static int record_removal(struct collection *collection, struct error *err)
{
    struct database *database = collection->store->database;

    MAP_EACH (&collection->leaving, entry)
        if (database_run(database, err, "DELETE FROM tag WHERE image_id = ?", "s", entry->key) <
                0 ||
            database_run(database, err, "DELETE FROM image WHERE id = ?", "s", entry->key) < 0)
            return -1;
    for (size_t i = 0; i < collection->layers.count; i++)
        if (database_run(database, err, "DELETE FROM layer WHERE chain_id = ?", "s",
                         collection->layers.items[i]) < 0)
            return -1;
    for (size_t i = 0; i < collection->blobs.count; i++)
        if (database_run(database, err, "DELETE FROM blob WHERE digest = ?", "s",
                         collection->blobs.items[i]) < 0)
            return -1;
    return 0;
}

static void forget_image(struct store *store, const char *image_id) REQUIRES(store->memory)
{
    CLEANUP(strv_done) struct strv names = {};

    MAP_EACH (&store->tags, entry)
        if (strcmp(entry->value, image_id) == 0)
            strv_add(&names, entry->key);
    for (size_t i = 0; i < names.count; i++)
        map_remove(&store->tags, names.items[i]);
    map_remove(&store->image_holds, image_id);
    known_image_unref(map_take(&store->images, image_id));
}

static void forget(struct collection *collection)
{
    struct store *store = collection->store;

    mutex_lock(&store->memory);
    MAP_EACH (&collection->leaving, entry)
        forget_image(store, entry->key);
    for (size_t i = 0; i < collection->layers.count; i++)
        map_remove(&store->layers, collection->layers.items[i]);
    for (size_t i = 0; i < collection->blobs.count; i++)
        map_remove(&store->blobs, collection->blobs.items[i]);
    mutex_unlock(&store->memory);
}

/* Failures leave files that no record names: the next opening removes them. */
static void move_away(struct collection *collection)
{
    struct store *store = collection->store;

    for (size_t i = 0; i < collection->layers.count; i++) {
        CLEANUP(free) char *path = store_layer_path(store, collection->layers.items[i], "");
        CLEANUP(free) char *trash = store_tmp_name(store, "gone");

        if (rename(path, trash) == 0)
            strv_add_take(&collection->trash, TAKE(trash));
    }
    for (size_t i = 0; i < collection->blobs.count; i++) {
        CLEANUP(free) char *path = store_blob_path(store, collection->blobs.items[i]);

        unlink(path);
    }
}

static int run(struct collection *collection, struct error *err)
    REQUIRES(collection->store->changes)
{
    struct database *database = collection->store->database;
    bool is_asked_for = collection->leaving.count;

    decide(collection);
    if (!is_asked_for && !collection->layers.count && !collection->blobs.count)
        return 0;
    if (database_begin(database, is_asked_for ? DURABLE : RELAXED, err) < 0)
        return -1;
    if (record_removal(collection, err) < 0) {
        database_rollback(database);
        return -1;
    }
    if (database_commit(database, err) < 0)
        return -1;
    forget(collection);
    move_away(collection);
    store_write_index(collection->store, NULL);
    return 0;
}

static bool has_name(struct store *store, const char *image_id) REQUIRES(store->memory)
{
    const struct known_image *known = map_get(&store->images, image_id);

    return known && (known->image.tags.count || known->image.digests.count);
}

static int run_for(struct collection *collection, const char *image_id, struct error *err)
    REQUIRES(collection->store->changes)
{
    map_set(&collection->leaving, image_id, NULL);
    return run(collection, err);
}

enum removal { REMOVE_ANY, REMOVE_NAMELESS, REMOVE_UNWANTED };

/* Why an image may not go. */
static int check_removal(struct store *store, const char *image_id, enum removal removal,
                         struct error *err) REQUIRES(store->memory)
{
    if (!map_has(&store->images, image_id))
        return error_set(err, ERROR_NOT_FOUND, "No such image: %.80s", image_id);
    if (image_is_held(store, image_id))
        return error_set(err, ERROR_CONFLICT, "the image is being used by a build");
    if (removal != REMOVE_ANY && has_name(store, image_id))
        return error_set(err, ERROR_CONFLICT, "the image has a name");
    if (removal == REMOVE_UNWANTED && !image_is_unwanted(store, image_id))
        return error_set(err, ERROR_CONFLICT, "the image is wanted");
    return 0;
}

static int remove_image(struct store *store, const char *image_id, enum removal removal,
                        bool (*in_use)(void *data, const char *chain_id), void *data,
                        struct strv *out_removed_layers, struct error *err)
{
    CLEANUP(collection_done)
    struct collection collection = { .store = store, .in_use = in_use, .data = data };

    mutex_lock(&store->changes);
    mutex_lock(&store->memory);
    int result = check_removal(store, image_id, removal, err);
    mutex_unlock(&store->memory);
    if (result == 0)
        result = run_for(&collection, image_id, err);
    mutex_unlock(&store->changes);
    store_discard(store, &collection.trash, NULL);
    if (result == 0 && out_removed_layers)
        strv_add_all(out_removed_layers, &collection.layers);
    return result < 0 ? error_context(err, "remove image") : 0;
}

int store_image_remove(struct store *store, const char *image_id,
                       bool (*in_use)(void *data, const char *chain_id), void *data,
                       struct strv *out_removed_layers, struct error *err)
{
    return remove_image(store, image_id, REMOVE_ANY, in_use, data, out_removed_layers, err);
}

int store_image_remove_nameless(struct store *store, const char *image_id,
                                bool (*in_use)(void *data, const char *chain_id), void *data,
                                struct strv *out_removed_layers, struct error *err)
{
    return remove_image(store, image_id, REMOVE_NAMELESS, in_use, data, out_removed_layers, err);
}

int store_image_remove_unwanted(struct store *store, const char *image_id,
                                bool (*in_use)(void *data, const char *chain_id), void *data,
                                struct strv *out_removed_layers, struct error *err)
{
    return remove_image(store, image_id, REMOVE_UNWANTED, in_use, data, out_removed_layers, err);
}

/* An image that stays needs its parent. */
static bool keep_parents(struct collection *collection) REQUIRES(collection->store->memory)
{
    bool has_changed = false;

    MAP_EACH (&collection->store->images, entry) {
        const struct known_image *known = entry->value;

        if (map_has(&collection->leaving, known->image.id) ||
            !map_has(&collection->leaving, known->image.parent_id))
            continue;
        map_remove(&collection->leaving, known->image.parent_id);
        has_changed = true;
    }
    return has_changed;
}

/* A snapshot that is not the latest one any more: the image was named, or is gone. */
static void choose_leaving(struct collection *collection, struct image *const *images, size_t count)
    REQUIRES(collection->store->memory)
{
    for (size_t i = 0; i < count; i++) {
        const struct known_image *known = map_get(&collection->store->images, images[i]->id);

        if (known && &known->image == images[i] && !image_is_held(collection->store, images[i]->id))
            map_set(&collection->leaving, images[i]->id, NULL);
    }
    while (keep_parents(collection))
        ;
}

int store_images_remove(struct store *store, struct image *const *images, size_t count,
                        bool (*in_use)(void *data, const char *chain_id), void *data,
                        struct strv *out_removed, struct strv *out_removed_layers,
                        struct error *err)
{
    CLEANUP(collection_done)
    struct collection collection = { .store = store, .in_use = in_use, .data = data };
    int result = 0;

    mutex_lock(&store->changes);
    mutex_lock(&store->memory);
    choose_leaving(&collection, images, count);
    mutex_unlock(&store->memory);
    if (collection.leaving.count)
        result = run(&collection, err);
    mutex_unlock(&store->changes);
    store_discard(store, &collection.trash, NULL);
    if (result < 0)
        return error_context(err, "remove images");
    for (size_t i = 0; i < count; i++)
        if (map_has(&collection.leaving, images[i]->id))
            strv_add(out_removed, images[i]->id);
    strv_add_all(out_removed_layers, &collection.layers);
    return 0;
}

int store_collect(struct store *store, bool (*in_use)(void *data, const char *chain_id), void *data,
                  struct error *err)
{
    CLEANUP(collection_done)
    struct collection collection = { .store = store, .in_use = in_use, .data = data };

    mutex_lock(&store->changes);
    int result = run(&collection, err);
    mutex_unlock(&store->changes);
    store_discard(store, &collection.trash, NULL);
    return result < 0 ? error_context(err, "remove what nothing uses") : 0;
}
