/* Parts of images that several files of this folder work on. */
#ifndef BERTH_STORE_IMAGE_H
#define BERTH_STORE_IMAGE_H

#include "store/internal.h"

/* Makes a new snapshot of an image whose names changed; 'tagged_ns' 0 leaves that time. */
void image_refresh(struct store *store, const char *image_id, int64_t tagged_ns)
    REQUIRES(store->memory);

/* Writes the manifest of a new image, if all its layers are kept as blobs, and fills in its
 * digest. */
int image_make_manifest(struct store *store, struct known_image *known, int64_t config_size,
                        struct error *err);

#endif
