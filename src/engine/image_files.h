/* The files of an image, all layers put together. */
#ifndef BERTH_ENGINE_IMAGE_FILES_H
#define BERTH_ENGINE_IMAGE_FILES_H

#include "base/error.h"
#include "base/stream.h"
#include "engine/engine.h"
#include "store/store.h"

/* Writes them as a plain tar; nothing in it tells of this engine. */
int engine_image_files(struct engine *engine, const struct image *image, int cancel_fd,
                       struct stream *out, struct error *err);

/* Lends the files as a directory, mounted read-only, to 'use'. */
int engine_image_lend(struct engine *engine, const struct image *image,
                      int (*use)(void *data, int tree_fd, struct error *err), void *data,
                      struct error *err);

#endif
