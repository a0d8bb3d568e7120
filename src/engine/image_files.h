/* The files of an image, all layers put together. */
#ifndef BERTH_ENGINE_IMAGE_FILES_H
#define BERTH_ENGINE_IMAGE_FILES_H

#include "base/error.h"
#include "base/map.h"
#include "base/stream.h"
#include "engine/engine.h"
#include "store/store.h"

/* Those of an image, or of images for several platforms. */
struct image_files {
    struct image *const *images;
    size_t count;
    /* Each in a directory of its own ("linux_arm64"). Otherwise CONFLICT if two have a file of one
     * name, and what is attested gets the platform into its name. */
    bool is_split;
    bool attested; /* with the statements that each has, in front ("provenance.json") */
    int cancel_fd;
};
/* Writes them as a plain tar; nothing in it tells of this engine. */
int engine_images_files(struct engine *engine, const struct image_files *files, struct stream *out,
                        struct error *err);
/* CONFLICT unless the images can be in one directory. */
int engine_images_overlap_check(struct engine *engine, struct image *const *images, size_t count,
                                struct error *err);

/* "linux_arm64", as directories and files are called that are for one platform. */
char *image_platform_word(const struct image *image);

/* The statements as files: name → text; 'word' (may be NULL) gets into the names
 * ("provenance.linux_arm64.json"). 'out' is uninitialised. */
int engine_image_statements(struct engine *engine, const struct image *image, const char *word,
                            struct map *out, struct error *err);

/* Lends the files as a directory, mounted read-only, to 'use'. */
int engine_image_lend(struct engine *engine, const struct image *image,
                      int (*use)(void *data, int tree_fd, struct error *err), void *data,
                      struct error *err);

#endif
