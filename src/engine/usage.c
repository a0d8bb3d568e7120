/* Sizes, asked of the store. */
#include "engine/usage.h"

#include "engine/internal.h"

#include "base/banned.h"

int64_t engine_layer_size(struct engine *engine, const char *chain_id)
{
    struct layer layer;
    struct error ignored;

    return store_layer_get(engine->store, chain_id, &layer, &ignored) < 0 ? 0 : layer.size_bytes;
}

int64_t engine_layers_size(struct engine *engine)
{
    return store_layers_size(engine->store);
}
