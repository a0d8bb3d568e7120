/* What directories of the engine take on disk, kept as long as nobody can have changed them. What
 * is at rest is walked once, and remembered in the record; what is in use is walked when asked for,
 * but a large one not all the time: then the answer may be some moments old. */
#ifndef BERTH_ENGINE_USAGE_CACHE_H
#define BERTH_ENGINE_USAGE_CACHE_H

#include <stdbool.h>

#include "base/file.h"
#include "record/database.h"

/* Its rows of the record. */
extern const char usage_cache_schema[];

struct usage_cache;
/* Begins with what the record knows of directories below 'root_path', if the machine has not been
 * started anew since: what was written last may be missing then. */
int usage_cache_open(struct database *database, const char *root_path, struct usage_cache **out,
                     struct error *err);
/* Measurements that go on are called off. */
void usage_cache_end(struct usage_cache *cache);
void usage_cache_free(struct usage_cache *cache);

/* Somebody begins to change, or has ended to change, what is below 'path'. */
void usage_cache_touch(struct usage_cache *cache, const char *path);

/* 'at_rest': nobody changes it now. A directory that is gone takes nothing. */
void usage_cache_measure(struct usage_cache *cache, const char *path, bool at_rest,
                         struct tree_usage *out);
/* The same beforehand, for whoever asks later: what is not at rest is only kept in mind. */
void usage_cache_prepare(struct usage_cache *cache, const char *path, bool at_rest);

/* Forgets directories that were not asked for since the last call, and notes in the record what was
 * measured at rest. */
void usage_cache_sweep(struct usage_cache *cache);

#endif
