/* How much room images take on disk. */
#ifndef BERTH_ENGINE_USAGE_H
#define BERTH_ENGINE_USAGE_H

#include <stdint.h>

#include "engine/engine.h"

/* Bytes of one layer's files; 0 if there is no such layer. */
int64_t engine_layer_size(struct engine *engine, const char *chain_id);

/* Bytes of all layers together, each once. */
int64_t engine_layers_size(struct engine *engine);

#endif
