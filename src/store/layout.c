/* The blobs as an OCI image layout: oci-layout, index.json, and a manifest for each image whose
 * layers are kept as blobs.
 * https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "spec/descriptor.h"
#include "store/image.h"

#include "base/banned.h"

#define MEDIA_TYPE_LAYER_PREFIX "application/vnd.oci.image.layer."
#define REFERENCE_NAME          "org.opencontainers.image.ref.name"

/* False if a layer has no blob that others could read. */
static bool add_layer(struct store *store, const char *chain_id, struct json_writer *w)
{
    const struct known_layer *layer = map_get(&store->layers, chain_id);
    const struct known_blob *blob = layer ? map_get(&store->blobs, layer->layer.blob_digest) : NULL;

    if (!blob || !blob->media_type || !text_starts(blob->media_type, MEDIA_TYPE_LAYER_PREFIX))
        return false;
    descriptor_add(w, NULL, blob->media_type, layer->layer.blob_digest, blob->size);
    return true;
}

static bool add_layers(struct store *store, const struct strv *chain, struct json_writer *w)
{
    bool all = true;

    json_begin_list(w, "layers");
    mutex_lock(&store->memory);
    for (size_t i = chain->count; i > 0; i--)
        all = all && add_layer(store, chain->items[i - 1], w);
    mutex_unlock(&store->memory);
    json_end_list(w);
    return all;
}

int image_make_manifest(struct store *store, struct known_image *known, int64_t config_size,
                        struct error *err)
{
    CLEANUP(strv_done) struct strv chain = {};
    CLEANUP(str_done) struct str text = {};
    struct json_writer w = { .out = &text };

    if (store_chain(store, known->image.chain_id, &chain, err) < 0)
        return -1;
    json_begin_dict(&w, NULL);
    json_add_int64(&w, "schemaVersion", 2);
    json_add_text(&w, "mediaType", MEDIA_TYPE_OCI_MANIFEST);
    descriptor_add(&w, "config", MEDIA_TYPE_OCI_CONFIG, known->image.id, config_size);
    bool is_whole = chain.count && add_layers(store, &chain, &w);
    json_end_dict(&w);
    if (!is_whole)
        return 0;
    return blob_put(store, text.data, text.length, known->manifest_digest, err);
}

static void add_index_entry(const struct store *store, struct json_writer *w,
                            const struct known_image *known, const char *name)
{
    const struct known_blob *blob = map_get(&store->blobs, known->manifest_digest);

    if (!blob)
        return;
    descriptor_begin(w, NULL, blob->media_type ?: MEDIA_TYPE_OCI_MANIFEST, known->manifest_digest,
                     blob->size);
    if (name) {
        json_begin_dict(w, "annotations");
        json_add_text(w, REFERENCE_NAME, name);
        json_end_dict(w);
    }
    json_end_dict(w);
}

int store_write_index(struct store *store, struct error *err)
{
    static const char layout[] = "{\"imageLayoutVersion\":\"1.0.0\"}";
    CLEANUP(free) char *layout_path = path_join(store->data_path, "oci-layout");
    CLEANUP(free) char *index_path = path_join(store->data_path, "index.json");
    CLEANUP(str_done) struct str text = {};
    struct json_writer w = { .out = &text };

    json_begin_dict(&w, NULL);
    json_add_int64(&w, "schemaVersion", 2);
    json_add_text(&w, "mediaType", MEDIA_TYPE_OCI_INDEX);
    json_begin_list(&w, "manifests");
    mutex_lock(&store->memory);
    MAP_EACH (&store->images, entry) {
        const struct known_image *known = entry->value;

        for (size_t i = 0; i < known->image.tags.count; i++)
            add_index_entry(store, &w, known, known->image.tags.items[i]);
        if (!known->image.tags.count)
            add_index_entry(store, &w, known, NULL);
    }
    mutex_unlock(&store->memory);
    json_end_list(&w);
    json_end_dict(&w);
    if (!file_exists(layout_path) &&
        file_write_atomic(layout_path, layout, sizeof(layout) - 1, 0600, false, err) < 0)
        return -1;
    return file_write_atomic(index_path, text.data, text.length, 0600, false, err);
}
