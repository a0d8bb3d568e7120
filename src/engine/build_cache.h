/* The build cache: what it holds, and letting go of it. */
#ifndef BERTH_ENGINE_BUILD_CACHE_H
#define BERTH_ENGINE_BUILD_CACHE_H

#include "build/cache_list.h"
#include "engine/engine.h"
#include "registry/archive.h"

/* Entries, those unused the longest first (freed with cache_items_free); 'out_is_shared' says of
 * each whether its layer is part of an image too, so that removing it frees nothing. */
int engine_build_cache_list(struct engine *engine, struct cache_item **out, bool **out_is_shared,
                            size_t *out_count, struct error *err);

/* Forgets these entries and removes layers that nothing else uses. */
int engine_build_cache_remove(struct engine *engine, const struct strv *keys, struct error *err);

/* What a build left in build_result.cache_images goes to a registry under that name, as an index of
 * all of them; and then away. */
struct build_pulls;
int engine_build_cache_push(struct engine *engine, const char *name, const struct strv *image_ids,
                            const struct build_pulls *pulls, int cancel_fd, struct error *err);
/* The same for a place that takes blobs; 'out_index' names what was put there. */
int engine_build_cache_save(struct engine *engine, const struct strv *image_ids,
                            const struct archive_place *place, struct archive_index *out_index,
                            struct error *err);
/* Images that hold steps, out of what engine_build_cache_save put under that digest: added to
 * 'out_ids', also after a failure, and held (engine_image_let_go). UNSUPPORTED if it is something
 * else. */
int engine_build_cache_load(struct engine *engine, const char *digest,
                            const struct archive_source *source, int cancel_fd,
                            struct strv *out_ids, struct error *err);
/* The same out of an archive of images (--cache-to type=local, docker save). */
int engine_build_cache_read(struct engine *engine, struct stream *archive, int cancel_fd,
                            struct strv *out_ids, struct error *err);
void engine_build_cache_drop(struct engine *engine, const struct strv *image_ids);

#endif
