/* Removes by itself what is neither named nor used: images without a name and a container, the
 * build cache beyond its limits, layers and blobs that nothing reaches. Never volumes, containers,
 * or an image with a name. */
#ifndef BERTH_ENGINE_COLLECTOR_H
#define BERTH_ENGINE_COLLECTOR_H

#include "engine/engine.h"

/* Its rows of the record: since when images are without a name and a user. */
extern const char collector_schema[];

struct collector;
/* Collects from time to time as the limits say, on the engine's work queue. */
struct collector *collector_new(struct engine *engine, const struct collection_limits *limits);
/* Other limits from now on; the time to the next pass begins anew. */
void collector_set(struct collector *collector, const struct collection_limits *limits);
/* A pass that runs stops at its next step. Call this before the work queue is ended. */
void collector_end(struct collector *collector);
void collector_free(struct collector *collector); /* after that */

#endif
