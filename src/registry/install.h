/* An image on its way into the store: its configuration is a blob already, its layers become
 * directories one after the other, and then it is recorded. What was begun and not finished leaves
 * nothing that counts: layers that no image names go with the next collection. */
#ifndef BERTH_REGISTRY_INSTALL_H
#define BERTH_REGISTRY_INSTALL_H

#include "store/store.h"

struct install {
    struct store *store;
    struct str config_text;
    struct image_config config;
    struct strv chain_ids; /* base first */
    size_t held;           /* layers from the base on that are there and stay */
};

/* Reads the configuration and compares it with the number of layers that came with it. */
int install_begin(struct install *install, struct store *store, const char *config_digest,
                  size_t layer_count, struct error *err);
/* Takes hold of layer 'install->held' if it is there already. */
bool install_has_next(struct install *install);
/* Unpacks it out of a blob. A layer that came to be meanwhile is fine too. */
int install_next(struct install *install, const char *blob_digest,
                 int (*progress)(void *data, int64_t done, int64_t total), void *data,
                 struct error *err);
/* Records the image. 'manifest_digest': a blob, or NULL. */
int install_finish(struct install *install, const char *manifest_digest, struct image **out,
                   struct error *err);
void install_done(struct install *install);
CLEANUP_VALUE(install_done, struct install)

#endif
