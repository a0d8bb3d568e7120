/* An image on its way into the store: its configuration is a blob already, its layers become
 * directories, several at once, and then it is recorded. What was begun and not finished leaves
 * nothing that counts: layers that no image names go with the next collection. */
#ifndef BERTH_REGISTRY_INSTALL_H
#define BERTH_REGISTRY_INSTALL_H

#include "store/store.h"

struct install {
    struct store *store;
    struct str config_text;
    struct image_config config;
    struct strv chain_ids; /* base first */
    bool *is_held;         /* layers that are there and stay */
    bool holds_image;      /* install_finish shall hold the image (store_image_create_held) */
};

/* Reads the configuration and compares it with the number of layers that came with it. */
int install_begin(struct install *install, struct store *store, const char *config_digest,
                  size_t layer_count, struct error *err);
/* Takes hold of a layer if it is there already. */
bool install_hold(struct install *install, size_t index);
/* Unpacks a layer out of a blob and takes hold of it. Different layers may be unpacked at the same
 * time: 'source' (without its diff id) says how to wait for the one below. */
int install_unpack(struct install *install, size_t index, const struct layer_source *source,
                   struct error *err);
/* Records the image. 'manifest_digest': a blob, or NULL. */
int install_finish(struct install *install, const char *manifest_digest, struct image **out,
                   struct error *err);
void install_done(struct install *install);
CLEANUP_VALUE(install_done, struct install)

#endif
