/* Building images: the context arrives as an archive, the builder does the rest. */
#ifndef BERTH_ENGINE_BUILD_H
#define BERTH_ENGINE_BUILD_H

#include "base/error.h"
#include "base/stream.h"
#include "build/build.h"
#include "engine/engine.h"

/* Unpacks 'context_tar' (plain or compressed, hostile) into a temporary directory, builds there
 * and removes the directory again. 'options->context_fd' is ignored. The other results are those
 * of builder_build: with *out_began false the error came before the first step. */
int engine_build(struct engine *engine, struct stream *context_tar,
                 const struct build_options *options, char out_image_id[72], bool *out_began,
                 int *out_exit_code, struct error *err);

#endif
