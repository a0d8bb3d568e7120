/* The files of an image, all layers put together. */
#ifndef BERTH_ENGINE_IMAGE_FILES_H
#define BERTH_ENGINE_IMAGE_FILES_H

#include "base/error.h"
#include "base/map.h"
#include "base/stream.h"
#include "engine/engine.h"
#include "store/store.h"

/* Writes them as a plain tar; nothing in it tells of this engine. With 'attested' the statements
 * that the image has are files in front of the others ("provenance.json"). */
int engine_image_files(struct engine *engine, const struct image *image, bool attested,
                       int cancel_fd, struct stream *out, struct error *err);

/* The statements as files: name → text. 'out' is uninitialised. */
int engine_image_statements(struct engine *engine, const struct image *image, struct map *out,
                            struct error *err);

/* Lends the files as a directory, mounted read-only, to 'use'. */
int engine_image_lend(struct engine *engine, const struct image *image,
                      int (*use)(void *data, int tree_fd, struct error *err), void *data,
                      struct error *err);

#endif
