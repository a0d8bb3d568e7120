/* What is recorded of one kept context, in its directory 'path': an index of its files, where the
 * engine compares with one, and what lists of the cache say about it. */
#ifndef BERTH_BUILD_CONTEXT_INDEX_H
#define BERTH_BUILD_CONTEXT_INDEX_H

#include "spec/context_manifest.h"

struct context_index {
    const struct context_manifest *manifest;
    const bool *is_present;    /* per entry: it is in the tree */
    const struct map *digests; /* path → 64 hex, of those that are known */
};
int context_index_write(const char *path, const struct context_index *index, struct error *err);
/* False if there is none that can be used. Digests are added to 'out_digests'. */
bool context_index_read(const char *path, struct context_manifest *out, struct map *out_digests);
void context_index_drop(const char *path);

struct context_about {
    int64_t size_bytes, created_ns;
    int64_t used_ns;   /* of the last write or touch; not written */
    char *description; /* one line */
};
int context_about_write(const char *path, const struct context_about *about, struct error *err);
/* The description is the caller's. False if there is nothing that can be read. */
bool context_about_read(const char *path, struct context_about *out);
void context_about_touch(const char *path);

#endif
