/* What directories of the engine take on disk, kept as long as nobody can have changed them. What
 * is at rest is walked once; what is in use is walked when asked for, but a large one not all the
 * time: then the answer may be some moments old. */
#ifndef BERTH_ENGINE_USAGE_CACHE_H
#define BERTH_ENGINE_USAGE_CACHE_H

#include <stdbool.h>

#include "base/file.h"

struct usage_cache;
struct usage_cache *usage_cache_new(void);
void usage_cache_free(struct usage_cache *cache);

/* Somebody begins to change, or has ended to change, what is below 'path'. */
void usage_cache_touch(struct usage_cache *cache, const char *path);

/* 'at_rest': nobody changes it now. A directory that is gone takes nothing. */
void usage_cache_measure(struct usage_cache *cache, const char *path, bool at_rest,
                         struct tree_usage *out);

/* Forgets directories that were not asked for since the last call. */
void usage_cache_sweep(struct usage_cache *cache);

#endif
