/* What is to be sent, and how: with the manifest that the image came with, or with one of our own.
 */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "codec/sha256.h"
#include "registry/push.h"

#include "base/banned.h"

void push_name_layers(struct push *push)
{
    const struct strv *diff_ids = &push->image->config.rootfs.diff_ids;
    CLEANUP(strv_done) struct strv chain_ids = {};

    image_chain_ids(diff_ids, &chain_ids);
    push->count = diff_ids->count;
    push->layers = xcalloc(push->count + 1, sizeof(*push->layers));
    for (size_t i = 0; i < push->count; i++) {
        struct push_layer *layer = &push->layers[i];

        snprintf(layer->chain_id, sizeof(layer->chain_id), "%s", chain_ids.items[i]);
        snprintf(layer->diff_id, sizeof(layer->diff_id), "%s", diff_ids->items[i]);
        memcpy(layer->id, digest_hex(diff_ids->items[i]), LAYER_ID_LENGTH);
    }
}

static int64_t size_of(struct store *store, const char *digest)
{
    CLEANUP(close) int fd = -1;
    int64_t size = -1;

    if (*digest)
        blob_open(store, digest, &fd, &size, NULL);
    return size;
}

/* What was compressed here before becomes the same again. */
static bool can_be_compressed(struct store *store, const struct push_layer *layer)
{
    char digest[DIGEST_TEXT_SIZE];
    int64_t size;

    return store_layer_compressed(store, layer->diff_id, digest, &size) &&
           strcmp(digest, layer->digest) == 0;
}

/* As the manifest says. */
static void plan_layers(struct push *push, const struct manifest *manifest)
{
    for (size_t i = 0; i < push->count; i++) {
        struct push_layer *layer = &push->layers[i];
        const struct descriptor *descriptor = &manifest->children[i];

        memcpy(layer->digest, descriptor->digest, sizeof(layer->digest));
        layer->size = descriptor->size;
        layer->has_digest = true;
        if (size_of(push->registry->store, layer->digest) == layer->size)
            layer->form = LAYER_BLOB;
        else if (strcmp(layer->digest, layer->diff_id) == 0)
            layer->form = LAYER_PLAIN;
        else
            layer->form = can_be_compressed(push->registry->store, layer) ? LAYER_GZIP
                                                                          : LAYER_REMOTE;
    }
}

bool push_plan_original(struct push *push)
{
    CLEANUP(manifest_done) struct manifest manifest = {};
    struct store *store = push->registry->store;
    char digest[DIGEST_TEXT_SIZE];

    if (!store_image_manifest(store, push->image->id, digest) ||
        blob_read(store, digest, MANIFEST_SIZE_LIMIT, &push->manifest, NULL) < 0)
        return false;
    if (manifest_parse(str_text(&push->manifest), push->manifest.length, NULL, &manifest, NULL) <
            0 ||
        manifest.is_index || manifest.child_count != push->count) {
        str_done(&push->manifest);
        return false;
    }
    push->manifest_type = blob_media_type(store, digest);
    plan_layers(push, &manifest);
    return true;
}

/* Gzip that came from elsewhere is sent as it came: the registry may have it already. */
static bool is_gzip(struct store *store, const char *digest)
{
    CLEANUP(free) char *type = *digest ? blob_media_type(store, digest) : NULL;

    return type && (text_ends(type, "+gzip") || text_ends(type, ".gzip"));
}

int push_plan_own(struct push *push, struct error *err)
{
    struct store *store = push->registry->store;

    str_done(&push->manifest);
    free(TAKE(push->manifest_type));
    for (size_t i = 0; i < push->count; i++) {
        struct push_layer *layer = &push->layers[i];
        struct layer known;

        if (store_layer_get(store, layer->chain_id, &known, err) < 0)
            return -1;
        if (is_gzip(store, known.blob_digest)) {
            layer->form = LAYER_BLOB;
            memcpy(layer->digest, known.blob_digest, sizeof(layer->digest));
            layer->size = size_of(store, known.blob_digest);
            layer->has_digest = true;
        } else {
            layer->form = LAYER_GZIP;
            layer->has_digest = store_layer_compressed(store, layer->diff_id, layer->digest,
                                                       &layer->size);
        }
    }
    return 0;
}
