/* Each layer that is there is held until the image names it. */
#include "registry/install.h"

#include <string.h>

#include "base/memory.h"
#include "registry/manifest.h"

#include "base/banned.h"

int install_begin(struct install *install, struct store *store, const char *config_digest,
                  size_t layer_count, struct error *err)
{
    const struct strv *diff_ids = &install->config.rootfs.diff_ids;

    install->store = store;
    if (blob_read(store, config_digest, (size_t)CONFIG_SIZE_LIMIT, &install->config_text, err) < 0)
        return -1;
    if (json_decode(image_config_fields, str_text(&install->config_text),
                    install->config_text.length, &install->config, err) < 0) {
        err->kind = ERROR_INVALID;
        return error_context(err, "invalid image configuration");
    }
    if (diff_ids->count != layer_count)
        return error_set(err, ERROR_INVALID,
                         "invalid manifest, layers length mismatch: expected %zu, got %zu",
                         diff_ids->count, layer_count);
    image_chain_ids(diff_ids, &install->chain_ids);
    install->is_held = xcalloc(diff_ids->count + 1, sizeof(*install->is_held));
    return 0;
}

bool install_hold(struct install *install, size_t index)
{
    const char *chain_id = install->chain_ids.items[index];
    struct layer layer;

    store_layer_hold(install->store, chain_id);
    if (store_layer_get(install->store, chain_id, &layer, NULL) == 0) {
        install->is_held[index] = true;
        return true;
    }
    store_layer_release(install->store, chain_id);
    return false;
}

int install_unpack(struct install *install, size_t index, const struct layer_source *source,
                   struct error *err)
{
    struct layer_source own = *source;
    const char *parent_id = index ? install->chain_ids.items[index - 1] : "";
    struct layer layer;

    own.diff_id = install->config.rootfs.diff_ids.items[index];
    if (store_layer_unpack_blob(install->store, parent_id, &own, &layer, err) < 0)
        return -1;
    store_layer_hold(install->store, layer.chain_id); /* Takes over what unpacking claimed. */
    install->is_held[index] = true;
    return 0;
}

int install_finish(struct install *install, const char *manifest_digest, struct image **out,
                   struct error *err)
{
    return store_image_create_from(install->store, install->config_text.data,
                                   install->config_text.length, manifest_digest,
                                   install->holds_image, out, err);
}

void install_done(struct install *install)
{
    for (size_t i = 0; install->is_held && i < install->chain_ids.count; i++)
        if (install->is_held[i])
            store_layer_release(install->store, install->chain_ids.items[i]);
    free(install->is_held);
    json_fields_done(image_config_fields, &install->config);
    str_done(&install->config_text);
    strv_done(&install->chain_ids);
}
