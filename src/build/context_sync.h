/* Contexts that clients keep up to date by manifests (spec/context_manifest.h): of each the files
 * as the last build had them, so that the next build is sent only what has changed and what it
 * needs. */
#ifndef BERTH_BUILD_CONTEXT_SYNC_H
#define BERTH_BUILD_CONTEXT_SYNC_H

#include "base/stream.h"
#include "base/strv.h"
#include "build/source.h"
#include "spec/context_manifest.h"

struct context_store;

/* One context while a client brings it up to date and builds use it. While that lasts, another one
 * of the same key works on a tree of its own, made of links. */
struct context_sync;

/* Compares with what is here under 'key'. The manifest is taken, also when it fails. 'needed' lists
 * paths: files that are neither one of them nor below one need not come; NULL: all are needed. */
int context_sync_begin(struct context_store *store, const char *key,
                       struct context_manifest *manifest, const struct strv *needed,
                       struct context_sync **out, struct error *err);
/* Numbers of the manifest's entries whose content has to come. */
const size_t *context_sync_missing(const struct context_sync *sync, size_t *out_count);
/* Reads the content of those, one behind the other, each as long as its entry says. */
int context_sync_receive(struct context_sync *sync, struct stream *content, struct error *err);

const char *context_sync_id(const struct context_sync *sync);
/* One that is complete, by its id; the caller gets a reference. NOT_FOUND. */
int context_sync_find(struct context_store *store, const char *id, struct context_sync **out,
                      struct error *err);
/* It is found no more. Drops the reference that begin gave. */
void context_sync_end(struct context_sync *sync);
void context_sync_unref(struct context_sync *sync);
CLEANUP_POINTER(context_sync_unref, struct context_sync)

/* All that the client has, whether it came or not; borrowed. */
const struct context_manifest *context_sync_manifest(const struct context_sync *sync);
/* The files; borrowed. */
int context_sync_fd(const struct context_sync *sync);
/* Digests of their content, by path: those that are known, and those that are found out. */
struct known_digests context_sync_digests(struct context_sync *sync);

#endif
