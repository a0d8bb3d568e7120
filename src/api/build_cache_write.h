/* The build cache in JSON. */
#ifndef BERTH_API_BUILD_CACHE_WRITE_H
#define BERTH_API_BUILD_CACHE_WRITE_H

#include "codec/json.h"
#include "engine/engine.h"

/* The member "BuildCache" of a report of disk usage. */
int build_cache_write(struct json_writer *w, struct engine *engine, struct error *err);

#endif
