/* Images are kept in memory as snapshots that never change: a new tag makes a new snapshot. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "codec/sha256.h"
#include "store/image.h"

#include "base/banned.h"

static struct known_image *known_image(struct image *image)
{
    return CONTAINER_OF(image, struct known_image, image);
}

void known_image_unref(struct known_image *known)
{
    if (!known || atomic_fetch_sub(&known->references, 1) > 1)
        return;
    json_fields_done(image_config_fields, &known->image.config);
    strv_done(&known->image.tags);
    strv_done(&known->image.digests);
    free(known);
}

void image_unref(struct image *image)
{
    if (image)
        known_image_unref(known_image(image));
}

struct image *image_ref(struct image *image)
{
    atomic_fetch_add(&known_image(image)->references, 1);
    return image;
}

/* ---- snapshots ---- */

/* Collects an image's names from the tags. */
static void fill_names(struct store *store, struct image *image) REQUIRES(store->memory)
{
    MAP_EACH (&store->tags, entry)
        if (strcmp(entry->value, image->id) == 0)
            strv_add(strchr(entry->key, '@') ? &image->digests : &image->tags, entry->key);
    strv_sort(&image->tags);
    strv_sort(&image->digests);
}

void image_refresh(struct store *store, const char *image_id, int64_t tagged_ns)
{
    struct known_image *before = map_get(&store->images, image_id);

    if (!before)
        return;
    struct known_image *now = NEW(struct known_image);
    now->image = before->image;
    memcpy(now->manifest_digest, before->manifest_digest, sizeof(now->manifest_digest));
    atomic_init(&now->references, 1);
    json_fields_copy(image_config_fields, &before->image.config, &now->image.config);
    now->image.tags = now->image.digests = (struct strv){};
    if (tagged_ns)
        now->image.tagged_ns = tagged_ns;
    fill_names(store, &now->image);
    map_set(&store->images, image_id, now);
    known_image_unref(before);
}

static void copy_text(char out[DIGEST_TEXT_SIZE], const char *text)
{
    snprintf(out, DIGEST_TEXT_SIZE, "%s", text ?: "");
}

static int load_image(struct store *store, const struct query *query, struct error *err)
{
    struct known_image *known = NEW(struct known_image);
    const char *config = query_text(query, 6);

    atomic_init(&known->references, 1);
    copy_text(known->image.id, query_text(query, 0));
    copy_text(known->image.parent_id, query_text(query, 1));
    copy_text(known->image.chain_id, query_text(query, 2));
    copy_text(known->manifest_digest, query_text(query, 3));
    known->image.size_bytes = query_int64(query, 4);
    known->image.tagged_ns = query_int64(query, 5);
    if (json_decode(image_config_fields, config, strlen(config), &known->image.config, err) < 0) {
        error_context(err, "image %s", known->image.id);
        free(known);
        return -1;
    }
    known->image.created_ns = known->image.config.created_ns;
    mutex_lock(&store->memory);
    fill_names(store, &known->image);
    map_set(&store->images, known->image.id, known);
    mutex_unlock(&store->memory);
    return 0;
}

int store_load_images(struct store *store, struct error *err)
{
    CLEANUP(query_close) struct query *tags = NULL, *images = NULL;
    int more;

    if (database_query(store->database, &tags, err, "SELECT name, image_id FROM tag", NULL) < 0 ||
        database_query(store->database, &images, err,
                       "SELECT id, parent_id, chain_id, manifest_digest, size, tagged_ns,"
                       " config FROM image",
                       NULL) < 0)
        return -1;
    while ((more = query_next(tags, err)) == 1)
        map_set(&store->tags, query_text(tags, 0), xstrdup(query_text(tags, 1)));
    if (more < 0)
        return -1;
    while ((more = query_next(images, err)) == 1)
        if (load_image(store, images, err) < 0)
            return -1;
    return more;
}

/* ---- creating ---- */

/* A new image on its way into the record. */
struct draft {
    struct known_image *known;
    struct str config;                                                       /* its bytes */
    char config_digest[DIGEST_TEXT_SIZE], manifest_digest[DIGEST_TEXT_SIZE]; /* once they are put */
    struct strv chain;                                                       /* top first */
};

static void draft_done(struct draft *draft)
{
    known_image_unref(draft->known);
    str_done(&draft->config);
    strv_done(&draft->chain);
}
CLEANUP_VALUE(draft_done, struct draft)

static int check_config(const struct image_config *config, struct error *err)
{
    for (size_t i = 0; i < config->rootfs.diff_ids.count; i++)
        if (!digest_is_valid(config->rootfs.diff_ids.items[i]))
            return error_set(err, ERROR_INVALID, "invalid image configuration: diff id %.100s",
                             config->rootfs.diff_ids.items[i]);
    return 0;
}

static int describe(struct store *store, struct draft *draft, struct error *err)
{
    struct image *image = &draft->known->image;
    const struct strv *diff_ids = &image->config.rootfs.diff_ids;

    if (check_config(&image->config, err) < 0)
        return -1;
    sha256_digest(draft->config.data, draft->config.length, image->id);
    image_chain_id(diff_ids, diff_ids->count, image->chain_id);
    image->created_ns = image->config.created_ns;
    if (store_chain(store, image->chain_id, &draft->chain, err) < 0)
        return -1;
    for (size_t i = 0; i < draft->chain.count; i++) {
        struct layer layer;

        if (store_layer_get(store, draft->chain.items[i], &layer, err) < 0)
            return -1;
        image->size_bytes += layer.size_bytes;
    }
    return 0;
}

/* One sync for all if there are layers that are not on disk for good yet; else what else is new. */
static int sync_content(struct store *store, const struct draft *draft, struct error *err)
{
    bool is_synced = true;

    mutex_lock(&store->memory);
    for (size_t i = 0; i < draft->chain.count; i++) {
        const struct known_layer *known = map_get(&store->layers, draft->chain.items[i]);

        is_synced = is_synced && known && known->is_synced;
    }
    mutex_unlock(&store->memory);
    if (!is_synced)
        return syncfs(store->data_fd) < 0 ? error_sys(err, "write layers to disk") : 0;
    if (blob_sync(store, draft->config_digest, err) < 0)
        return -1;
    return blob_sync(store, draft->known->manifest_digest, err);
}

static int record_image(struct store *store, const struct draft *draft, struct error *err)
{
    const struct image *image = &draft->known->image;

    if (database_run(store->database, err,
                     "INSERT INTO image (id, parent_id, chain_id, manifest_digest, created_ns,"
                     " size, tagged_ns, config) VALUES (?, ?, ?, ?, ?, ?, 0, ?)",
                     "ssssiis", image->id, image->parent_id, image->chain_id,
                     draft->known->manifest_digest, image->created_ns, image->size_bytes,
                     draft->config.data) < 0)
        return -1;
    for (size_t i = 0; i < draft->chain.count; i++)
        if (database_run(store->database, err,
                         "UPDATE layer SET boot = '' WHERE chain_id = ? AND boot != ''", "s",
                         draft->chain.items[i]) < 0)
            return -1;
    return 0;
}

/* Now that an image names them, they need no other reason to stay. */
static void grow_up(struct store *store, const struct draft *draft) REQUIRES(store->memory)
{
    for (size_t i = 0; i < draft->chain.count; i++) {
        struct known_layer *known = map_get(&store->layers, draft->chain.items[i]);

        young_drop(store, draft->chain.items[i]);
        if (!known)
            continue;
        known->is_synced = true;
        young_drop(store, known->layer.blob_digest);
    }
}

/* The layers cannot go meanwhile: whatever removes them holds 'changes' too. */
static int publish(struct store *store, struct draft *draft, struct image **out, struct error *err)
    REQUIRES(store->changes)
{
    CLEANUP(strv_done) struct strv still_there = {};

    if (store_chain(store, draft->known->image.chain_id, &still_there, err) < 0 ||
        database_begin(store->database, DURABLE, err) < 0)
        return -1;
    if (record_image(store, draft, err) < 0) {
        database_rollback(store->database);
        return -1;
    }
    if (database_commit(store->database, err) < 0)
        return -1;
    mutex_lock(&store->memory);
    struct known_image *known = TAKE(draft->known);
    *out = image_ref(&known->image);
    map_set(&store->images, known->image.id, known);
    mutex_unlock(&store->memory);
    store_write_index(store, NULL); /* For other tools; it is rewritten when the store is opened. */
    return 0;
}

static struct image *get(struct store *store, const char *image_id)
{
    mutex_lock(&store->memory);
    struct known_image *known = map_get(&store->images, image_id);
    struct image *image = known ? image_ref(&known->image) : NULL;
    mutex_unlock(&store->memory);
    return image;
}

/* Its own blobs. They stay young until the image is recorded, or has failed to be. */
static int put_blobs(struct store *store, struct draft *draft, struct error *err)
{
    char digest[DIGEST_TEXT_SIZE];

    if (blob_put(store, draft->config.data, draft->config.length, digest, err) < 0)
        return -1;
    snprintf(draft->config_digest, sizeof(draft->config_digest), "%s", digest);
    if (*draft->known->manifest_digest)
        return 0; /* It came with one. */
    if (image_make_manifest(store, draft->known, (int64_t)draft->config.length, err) < 0)
        return -1;
    snprintf(draft->manifest_digest, sizeof(draft->manifest_digest), "%s",
             draft->known->manifest_digest);
    return 0;
}

static bool came_with_manifest(struct store *store, const struct known_image *known)
    REQUIRES(store->memory)
{
    const struct known_blob *blob = map_get(&store->blobs, known->manifest_digest);

    return blob && blob->media_type;
}

bool store_image_manifest(struct store *store, const char *image_id,
                          char out_digest[DIGEST_TEXT_SIZE])
{
    mutex_lock(&store->memory);
    const struct known_image *known = map_get(&store->images, image_id);
    bool came = known && came_with_manifest(store, known);
    if (came)
        copy_text(out_digest, known->manifest_digest);
    mutex_unlock(&store->memory);
    return came;
}

/* An image that was known comes again, now with the manifest that others know it by. */
static int take_manifest(struct store *store, const struct draft *draft, struct error *err)
    REQUIRES(store->changes)
{
    const char *image_id = draft->known->image.id;

    mutex_lock(&store->memory);
    struct known_image *known = map_get(&store->images, image_id);
    bool has_one = !known || came_with_manifest(store, known);
    bool brings_one = came_with_manifest(store, draft->known);
    mutex_unlock(&store->memory);
    if (has_one || !brings_one)
        return 0;
    if (database_run(store->database, err, "UPDATE image SET manifest_digest = ? WHERE id = ?",
                     "ss", draft->known->manifest_digest, image_id) < 0)
        return -1;
    mutex_lock(&store->memory);
    copy_text(known->manifest_digest, draft->known->manifest_digest);
    mutex_unlock(&store->memory);
    return 0;
}

static int create_locked(struct store *store, struct draft *draft, bool is_held, struct image **out,
                         struct error *err) REQUIRES(store->changes)
{
    CLEANUP(image_unref) struct image *image = get(store, draft->known->image.id);
    bool is_new = !image;

    if ((is_new ? publish(store, draft, &image, err) : take_manifest(store, draft, err)) < 0)
        return -1;
    if (is_held)
        image_hold(store, image->id, is_new);
    *out = TAKE(image);
    return 0;
}

static int create(struct store *store, struct draft *draft, const char *parent_id, bool is_held,
                  struct image **out, struct error *err)
{
    struct image *image = NULL;

    copy_text(draft->known->image.parent_id, parent_id);
    int result = describe(store, draft, err);
    if (result == 0)
        result = put_blobs(store, draft, err);
    if (result == 0)
        result = sync_content(store, draft, err);
    if (result == 0) {
        mutex_lock(&store->changes);
        result = create_locked(store, draft, is_held, &image, err);
        mutex_unlock(&store->changes);
    }
    mutex_lock(&store->memory);
    young_drop(store, draft->config_digest);
    young_drop(store, draft->manifest_digest);
    if (result == 0)
        grow_up(store, draft);
    mutex_unlock(&store->memory);
    if (result == 0)
        *out = image;
    return result;
}

static struct known_image *new_image(void)
{
    struct known_image *known = NEW(struct known_image);

    atomic_init(&known->references, 1);
    return known;
}

static int create_of(struct store *store, const struct image_config *config, const char *parent_id,
                     bool is_held, struct image **out, struct error *err)
{
    CLEANUP(draft_done) struct draft draft = { .known = new_image() };

    json_encode(image_config_fields, config, &draft.config);
    json_fields_copy(image_config_fields, config, &draft.known->image.config);
    if (create(store, &draft, parent_id, is_held, out, err) < 0)
        return error_context(err, "create image");
    return 0;
}

int store_image_create(struct store *store, const struct image_config *config,
                       const char *parent_id, struct image **out, struct error *err)
{
    return create_of(store, config, parent_id, false, out, err);
}

int store_image_create_held(struct store *store, const struct image_config *config,
                            const char *parent_id, struct image **out, struct error *err)
{
    return create_of(store, config, parent_id, true, out, err);
}

int store_image_create_from(struct store *store, const void *config, size_t size,
                            const char *manifest_digest, bool is_held, struct image **out,
                            struct error *err)
{
    CLEANUP(draft_done) struct draft draft = { .known = new_image() };

    copy_text(draft.known->manifest_digest, manifest_digest);
    if (memchr(config, 0, size))
        return error_set(err, ERROR_INVALID, "invalid image configuration: it contains a NUL");
    str_add_bytes(&draft.config, config, size);
    if (json_decode(image_config_fields, str_text(&draft.config), size, &draft.known->image.config,
                    err) < 0)
        return error_context(err, "invalid image configuration");
    if (create(store, &draft, "", is_held, out, err) < 0)
        return error_context(err, "create image");
    return 0;
}

int store_image_create_raw(struct store *store, const void *config, size_t size, struct image **out,
                           struct error *err)
{
    return store_image_create_from(store, config, size, NULL, false, out, err);
}

bool store_image_has_children(struct store *store, const char *image_id)
{
    bool has_children = false;

    mutex_lock(&store->memory);
    MAP_EACH (&store->images, entry)
        if (strcmp(((const struct known_image *)entry->value)->image.parent_id, image_id) == 0)
            has_children = true;
    mutex_unlock(&store->memory);
    return has_children;
}
