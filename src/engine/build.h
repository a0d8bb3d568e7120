/* Building images: the context arrives as an archive, the builder does the rest. */
#ifndef BERTH_ENGINE_BUILD_H
#define BERTH_ENGINE_BUILD_H

#include "base/error.h"
#include "base/stream.h"
#include "build/build.h"
#include "engine/engine.h"

/* Unpacks 'context_tar' (plain or compressed, hostile) into a temporary directory, builds there
 * and removes the directory again. 'options->context_fd' is ignored. The results are those of
 * builder_build. */
int engine_build(struct engine *engine, struct stream *context_tar,
                 const struct build_options *options, struct build_result *out, struct error *err);

#endif
