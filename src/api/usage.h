/* Room on disk: of containers with their images, and what images share. */
#ifndef BERTH_API_USAGE_H
#define BERTH_API_USAGE_H

#include "engine/container.h"
#include "engine/image.h"

/* What the container changed, and that with its image. 0 for what cannot be read. Walks the
 * container's directory: takes as long as that takes. */
void usage_container_size(struct engine *engine, const struct container_info *info,
                          int64_t *out_changed, int64_t *out_all);

#endif
