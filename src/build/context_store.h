/* Directories that keep what clients have sent of build contexts, so that the next build is sent
 * only what has changed; counted, limited and given up together. One per context:
 *
 *   build-contexts/<name>/tree    its files, owned by root
 *   build-contexts/<name>/about   size, birth and description; its time is that of the last use
 *   build-contexts/<name>/index   which files those are (context_index.h), of a context that the
 *                                 client keeps by a manifest (context_sync.h); not there while the
 *                                 tree is being changed. Trees that BuildKit's file transfer fills
 *                                 (context_kept.h) are compared themselves and have none.
 *
 * A file of a tree is never changed in place: layers may share it by hard links. Safe to use from
 * any thread. */
#ifndef BERTH_BUILD_CONTEXT_STORE_H
#define BERTH_BUILD_CONTEXT_STORE_H

#include "base/error.h"
#include "base/map.h"
#include "base/thread.h"

#define CONTEXT_STORE_COUNT_LIMIT 64
#define CONTEXT_NAME_LENGTH       40
#define CONTEXT_KEPT_PREFIX       's' /* names of kept ones; no hex digit, as all others begin */

struct context_sync;

struct context_store {
    char *path;
    int64_t limit_bytes;
    struct mutex lock;
    /* By name, those that are in use: a struct context_sync, or NULL. */
    struct map busy GUARDED_BY(lock);
    struct map by_id GUARDED_BY(lock); /* struct context_sync that are complete */
};

/* 'limit_bytes': what all trees may take together; those unused the longest go first. */
int context_store_open(const char *data_path, int64_t limit_bytes, struct context_store **out,
                       struct error *err);
void context_store_close(struct context_store *store);

/* Nobody uses 'name' any more: gives up what is beyond the limits. */
void context_store_release(struct context_store *store, const char *name);

struct context_info {
    char *name, *description;
    int64_t size_bytes, created_ns, used_ns;
    bool is_in_use;
};
/* The one unused the longest comes first. */
int context_store_list(struct context_store *store, struct context_info **out, size_t *out_count,
                       struct error *err);
void context_infos_free(struct context_info *infos, size_t count);
/* 1, or 0 if it is in use or no name of a context. */
int context_store_remove(struct context_store *store, const char *name, struct error *err);

#endif
