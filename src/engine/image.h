/* Images as clients see them: look-up, removal with Docker's rules, import. */
#ifndef BERTH_ENGINE_IMAGE_H
#define BERTH_ENGINE_IMAGE_H

#include "base/error.h"
#include "base/stream.h"
#include "engine/engine.h"
#include "store/store.h"

int engine_image_get(struct engine *engine, const char *text, struct image **out,
                     struct error *err);
int engine_image_list(struct engine *engine, struct image ***out, size_t *out_count,
                      struct error *err);
/* Containers that were made from it. */
int engine_image_container_count(struct engine *engine, const char *image_id);
/* The same for all images at once: what image_container_count finds them in. */
void engine_image_container_counts(struct engine *engine, struct map *out);
int image_container_count(const struct map *counts, const char *image_id);
int engine_image_tag(struct engine *engine, const char *text, const char *repository,
                     const char *tag, struct error *err);

/* One line of the answer of a removal. */
struct image_removal {
    bool is_untagged; /* otherwise deleted */
    char *name;
};
/* Rules and texts: spec/api.md section 4 "Delete". 'out' is a list of struct image_removal
 * (image_removals_free). */
int engine_image_remove(struct engine *engine, const char *text, bool force, bool no_prune,
                        struct json_list *out, struct error *err);

/* Removes an image, and parents of it, that nobody has named or used until then. CONFLICT. */
int engine_image_remove_nameless(struct engine *engine, const char *image_id, struct json_list *out,
                                 struct error *err);
/* A build that held an image (build_options.holds_image) lets go of it; 'is_wanted': it stays. What
 * builds made for an output alone goes with the last of them, unless something uses it. */
void engine_image_let_go(struct engine *engine, const char *image_id, bool is_wanted);
/* Removes those that no container was made from, with their names, and parents of theirs that have
 * none, all as one change. Those that were named meanwhile, or have children that stay, stay. */
int engine_images_remove(struct engine *engine, struct image *const *images, size_t count,
                         struct json_list *out, struct error *err);
void image_removals_free(struct json_list *removals);

/* A file without a name below the data root; -1 on error. */
int engine_temporary_file(struct engine *engine, struct error *err);
/* A directory below the data root, for the caller to remove; what a crash leaves goes at the next
 * start. NULL on error. */
char *engine_temporary_directory(struct engine *engine, struct error *err);

/* docker import: an archive becomes a one-layer image. 'changes' are Dockerfile lines
 * (build_apply_changes). */
int engine_image_import(struct engine *engine, struct stream *archive, const char *repository,
                        const char *tag, const char *message, const struct strv *changes,
                        const char *platform, char out_id[72], struct error *err);

#endif
