/* How much room things take on disk. */
#ifndef BERTH_ENGINE_USAGE_H
#define BERTH_ENGINE_USAGE_H

#include <stdint.h>

#include "engine/container.h"
#include "engine/engine.h"
#include "store/store.h"
#include "volume/volume.h"

/* Bytes of one layer's files; 0 if there is no such layer. */
int64_t engine_layer_size(struct engine *engine, const char *chain_id);

/* Bytes of all layers together, each once. */
int64_t engine_layers_size(struct engine *engine);
/* store_image_add_layers, store_images_shared. */
int64_t engine_image_add_layers(struct engine *engine, const struct image *image, struct map *set);
void engine_images_shared(struct engine *engine, struct image *const *images, size_t count,
                          int64_t *out_bytes);

/* Of a volume that containers have. */
struct volume_use {
    int count;    /* containers */
    bool is_busy; /* one of them may be writing */
};
/* By name: struct volume_use. By these containers; engine_volume_uses: by all. */
void container_volume_uses(struct engine *engine, struct container_info *const *containers,
                           size_t count, struct map *out);
void engine_volume_uses(struct engine *engine, struct map *out);

/* Bytes of the files that a container changed, and of those in a volume ('uses': by all). */
int64_t engine_changes_size(struct engine *engine, const struct container_info *info);
int64_t engine_volume_size(struct engine *engine, struct volume *volume, const struct map *uses);

/* The data root by what is in it: what the blocks of files and directories take, as du counts it
 * ("du -x -B1"). Containers are with their logs. */
struct data_usage {
    int64_t blobs, layers, containers, volumes, other, total;
};
void engine_data_usage(struct engine *engine, struct data_usage *out);

#endif
