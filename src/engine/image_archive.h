/* Images leaving and coming as one tar (docker save, docker load). */
#ifndef BERTH_ENGINE_IMAGE_ARCHIVE_H
#define BERTH_ENGINE_IMAGE_ARCHIVE_H

#include "base/stream.h"
#include "engine/engine.h"
#include "registry/archive.h"

/* Images to be saved; they stay whole until the selection is freed. */
struct image_selection {
    struct engine *engine;
    struct archive_item *items;
    size_t count;
};
/* Each name is a tag, a repository (all its tags) or an id (no name). NOT_FOUND "No such image: x",
 * also when an image is not for 'platform' (may be NULL). */
int engine_images_select(struct engine *engine, const struct strv *names,
                         const struct platform *platform, struct image_selection *out,
                         struct error *err);
/* The one image of this id, under names that it need not have. */
int engine_images_select_as(struct engine *engine, const char *id, const struct strv *names,
                            struct image_selection *out, struct error *err);
int engine_images_save(struct image_selection *selection, struct stream *out, struct error *err);
/* The selected ones as one image for several platforms, under 'names'. */
int engine_images_save_index(struct image_selection *selection, const struct strv *names,
                             const struct archive_target *target, struct error *err);
void image_selection_done(struct image_selection *selection);
CLEANUP_VALUE(image_selection_done, struct image_selection)

/* archive_load with names and events. */
struct load_watcher {
    void *data;
    int (*layer)(void *data, const char *diff_id, int64_t done, int64_t total);
    /* Lines for the user: "Loaded image: x:1\n". */
    void (*say)(void *data, const char *text);
};
int engine_images_load(struct engine *engine, struct stream *archive,
                       const struct archive_choice *choice, const struct load_watcher *watcher,
                       struct error *err);

#endif
