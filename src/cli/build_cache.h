/* build --cache-from and --cache-to: steps of other builds by way of images. */
#ifndef BERTH_CLI_BUILD_CACHE_H
#define BERTH_CLI_BUILD_CACHE_H

#include "base/strv.h"
#include "cli/command.h"

/* One of them: "type=registry,ref=x", "x", "type=local,src=dir" or "dest=dir", "type=inline". */
struct build_cache {
    enum { BUILD_CACHE_INLINE, BUILD_CACHE_LOCAL, BUILD_CACHE_REGISTRY } type;
    char *place; /* reference or directory */
    bool is_max; /* the steps of all stages, not of the image alone */
};
void build_cache_done(struct build_cache *cache);
CLEANUP_VALUE(build_cache_done, struct build_cache)

/* Where to read steps from, or with 'is_target' where to write them to. INVALID, UNSUPPORTED. */
int build_cache_read(const char *text, bool is_target, struct build_cache *out, struct error *err);

/* Is one of those that --cache-from names a directory? It is lent to the build (build_lend.h). */
bool build_cache_is_local(const struct strv *given);
/* Brings the images that --cache-from names to the engine, and lists them for it. One that cannot
 * be had is told on stderr, and left out. INVALID for what cannot be read. 'lender' may be NULL
 * where none is local. */
int build_cache_bring(struct cli *cli, const char *lender, const struct strv *given,
                      struct strv *out, struct error *err);

/* Puts a finished image where it can be read from; with mode=max the images that hold the steps
 * ('cache_ids'), into a directory (the engine sends them to a registry itself). */
int build_cache_write(struct cli *cli, const struct build_cache *cache, const char *image_id,
                      const struct strv *cache_ids, struct error *err);

/* All that --cache-to names. What the engine has to do for them: registries that it sends the steps
 * of all stages to, and whether it makes images of these for a directory here. */
int build_caches_read(const struct strv *given, struct strv *out_registries, bool *out_wants_images,
                      struct error *err);
int build_caches_write(struct cli *cli, const struct strv *given, const char *image_id,
                       const struct strv *cache_ids, struct error *err);

#endif
