/* What a registry has, on disk:
 *
 *   registry.db              the record: repositories, their blobs, manifests and tags, uploads
 *   blobs/<algorithm>/<ab>/  content-addressed files
 *   uploads/<id>             what has come of a blob so far
 *   trash/                   files on their way out; emptied on open
 *
 * Manifests live in the record, so that a manifest, what it names and its tags change in one
 * transaction. A blob's file is verified and on disk before the record names it, and the record
 * forgets it before its file goes: whatever the record names is there, at any moment and after any
 * crash. Files that no record names are swept by the collection.
 *
 * A blob is seen through the repositories that hold it. All functions may be called from any
 * thread; those that fail tell the protocol's problem. */
#ifndef BERTH_DISTRIBUTION_DEPOT_H
#define BERTH_DISTRIBUTION_DEPOT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/strv.h"
#include "codec/hash.h"
#include "distribution/document.h"
#include "distribution/problem.h"

struct depot;

struct depot_options {
    const char *root_path;
    int64_t upload_age_ms;   /* an upload that nothing was done to for so long is abandoned */
    int64_t grace_ms;        /* a blob that nothing names stays so long after its last use */
    int64_t manifest_age_ms; /* a cache's: manifests that nobody asked for so long go; 0: never */
    int64_t upload_count;    /* that may be open at a time; 0: 10000 */
    int64_t blob_size_limit; /* 0: none */
    bool collects_untagged;  /* manifests that no tag reaches go after the grace as well */
    bool allows_sparse;      /* an index may name manifests that are not here */
    bool is_shared;          /* beside a running server: look, do not lock or change */
};

/* CONFLICT if another process has the root. */
int depot_open(const struct depot_options *options, struct depot **out, struct error *err);
void depot_close(struct depot *depot);
CLEANUP_POINTER(depot_close, struct depot)

/* ---- blobs ---- */

/* NOT FOUND is BLOB_UNKNOWN. 'uses' puts the end of the grace off: a client that asks whether a
 * blob is here means to name it. */
int depot_blob_stat(struct depot *depot, const char *repository, const char *digest, bool uses,
                    int64_t *out_size, struct problem *problem);
int depot_blob_open(struct depot *depot, const char *repository, const char *digest, int *out_fd,
                    int64_t *out_size, struct problem *problem);
/* Takes it from the repository. DENIED while a manifest there names it. */
int depot_blob_delete(struct depot *depot, const char *repository, const char *digest,
                      struct problem *problem);
/* Gives a blob of 'from' to 'repository' too. */
int depot_blob_mount(struct depot *depot, const char *repository, const char *digest,
                     const char *from, int64_t quota, struct problem *problem);
/* Repositories that hold it, at most 'limit'. */
int depot_blob_holders(struct depot *depot, const char *digest, size_t limit, struct strv *out,
                       struct problem *problem);

/* ---- uploads: one writer at a time ---- */

struct upload;
#define UPLOAD_ID_SIZE 37

/* 'algorithm' is the digest's that will probably be asked for. TOOMANYREQUESTS. */
int depot_upload_begin(struct depot *depot, const char *repository, const char *algorithm,
                       struct upload **out, struct problem *problem);
/* BLOB_UPLOAD_UNKNOWN; BLOB_UPLOAD_INVALID (409) while another request writes it. */
int depot_upload_take(struct depot *depot, const char *repository, const char *id,
                      struct upload **out, struct problem *problem);
const char *upload_id(const struct upload *upload);
int64_t upload_size(const struct upload *upload);
int upload_write(struct upload *upload, const void *data, size_t size, struct problem *problem);
/* Gives back the room of what is behind 'size'. */
void upload_cut(struct upload *upload, int64_t size);
/* Verifies and publishes: the repository has the blob then, and the upload is gone. After
 * DIGEST_INVALID it is still there. 'quota' 0: none. */
int upload_finish(struct upload *upload, const char *digest, int64_t quota,
                  struct problem *problem);
int upload_cancel(struct upload *upload, struct problem *problem);
/* Lets the next writer in. */
void upload_release(struct upload *upload);
CLEANUP_POINTER(upload_release, struct upload)

/* ---- manifests ---- */

struct manifest {
    char digest[CONTENT_DIGEST_SIZE];
    char *media_type;
    size_t size;
    int references;
    char bytes[];
};
/* By tag or digest. Immutable and shared. */
int depot_manifest_get(struct depot *depot, const char *repository, const char *reference,
                       struct manifest **out, struct problem *problem);
struct manifest *manifest_ref(struct manifest *manifest);
void manifest_unref(struct manifest *manifest);
CLEANUP_POINTER(manifest_unref, struct manifest)

struct manifest_push {
    const char *repository;
    const char *digest; /* of the bytes */
    const void *bytes;
    size_t size;
    const struct document *document;
    const struct strv *tags; /* to point at it; may be empty */
    bool is_partial;         /* what it names may be missing: a cache's */
    int64_t quota;           /* bytes that the repository may hold, 0: none */
};
/* MANIFEST_BLOB_UNKNOWN if what it names is not in the repository, MANIFEST_INVALID if a size is
 * wrong. */
int depot_manifest_put(struct depot *depot, const struct manifest_push *push,
                       struct problem *problem);
/* Puts its end off (depot_options.manifest_age_ms). */
int depot_manifest_use(struct depot *depot, const char *repository, const char *digest,
                       struct problem *problem);
/* A tag only, or a manifest with its tags. DENIED while an index names it. */
int depot_manifest_delete(struct depot *depot, const char *repository, const char *reference,
                          struct problem *problem);

/* ---- lists, sorted by byte; what is behind 'last' ("": from the start), at most 'limit' ---- */

int depot_tags(struct depot *depot, const char *repository, const char *last, size_t limit,
               struct strv *out, bool *out_more, struct problem *problem);
int depot_repositories(struct depot *depot, const char *last, size_t limit, struct strv *out,
                       bool *out_more, struct problem *problem);
/* The descriptors of what has 'digest' as its subject, as members of a JSON list. 'artifact_type'
 * NULL: all. '*out_last' (when there is more): the digest of the last one listed. */
int depot_referrers(struct depot *depot, const char *repository, const char *digest,
                    const char *artifact_type, const char *last, struct str *out,
                    char out_last[CONTENT_DIGEST_SIZE], bool *out_more, struct problem *problem);

/* ---- upkeep ---- */

struct collection_report {
    int64_t uploads, manifests, links, blobs, orphans, repositories;
    int64_t freed_bytes;
};
/* Removes what nothing reaches and whose grace is over, while everything else goes on. 'is_ending'
 * (may be NULL) is asked now and then whether to leave the rest for the next time. */
int depot_collect(struct depot *depot, bool (*is_ending)(void), struct collection_report *out,
                  struct error *err);
struct depot_sizes {
    int64_t repositories, manifests, tags, blobs, blob_bytes, uploads;
    int64_t collections, collected_bytes; /* since it was opened */
};
int depot_measure(struct depot *depot, struct depot_sizes *out, struct error *err);
/* Compares record and disk, every byte of it: one line per difference is added to 'out'. */
int depot_verify(struct depot *depot, struct strv *out, int64_t *out_blobs, struct error *err);

#endif
