/* What the depot's files share. Order of locks: files, then the record's writer, then memory. */
#ifndef BERTH_DISTRIBUTION_INTERNAL_H
#define BERTH_DISTRIBUTION_INTERNAL_H

#include "base/map.h"
#include "base/thread.h"
#include "distribution/depot.h"
#include "record/database.h"

struct depot {
    struct depot_options options;
    char *root_path;
    int lock_fd;
    struct database *database;

    struct mutex files;   /* between a file in blobs/ and the record's word about it */
    struct mutex memory;  /* guards what follows */
    struct map uploads;   /* id → struct upload, as far as they are known in this process */
    struct map manifests; /* "repository\nreference" → struct manifest */
    size_t manifests_size;
    int64_t collections, collected_bytes;
    uint64_t generation; /* of the record: counts changes to manifests and tags */
};

/* blobs/<algorithm>/<ab>/<hex>; yours. */
char *depot_blob_path(const struct depot *depot, const char *digest);
char *depot_upload_path(const struct depot *depot, const char *id);
char *depot_trash_path(const struct depot *depot);
int64_t depot_now_ms(void);

/* The repository's number; 0 if there is none, -1. */
int64_t repository_find(struct depot *depot, const char *name, struct problem *problem);
/* The same, made if it is missing. Inside a transaction. */
int64_t repository_make(struct depot *depot, const char *name, struct problem *problem);
/* PROBLEM_DENIED if the repository's blobs and 'more' bytes exceed 'quota'. */
int repository_check_quota(struct depot *depot, int64_t repository, int64_t more, int64_t quota,
                           struct problem *problem);

/* A transaction whose failures are problems. End with depot_commit or database_rollback. */
int depot_begin(struct depot *depot, enum durability durability, struct problem *problem);
int depot_commit(struct depot *depot, struct problem *problem);
/* database_run and database_query, told as problems. */
#define DEPOT_RUN(depot, problem, ...)                                                             \
    ({                                                                                             \
        struct error run_err_ = {};                                                                \
        int64_t changed_ = database_run((depot)->database, &run_err_, __VA_ARGS__);                \
        changed_ < 0 ? problem_from_error((problem), &run_err_, "record") : changed_;              \
    })
#define DEPOT_QUERY(depot, problem, out, ...)                                                      \
    ({                                                                                             \
        struct error query_err_ = {};                                                              \
        database_query((depot)->database, (out), &query_err_, __VA_ARGS__) < 0                     \
            ? problem_from_error((problem), &query_err_, "record")                                 \
            : 0;                                                                                   \
    })
int depot_next(struct query *query, struct problem *problem);

/* Whether the repository has the blob. 1, 0, -1. */
int link_find(struct depot *depot, int64_t repository, const char *digest, int64_t *out_size,
              int64_t *out_touched, struct problem *problem);
/* Gives the repository a blob that the record has, unless its quota forbids; if it has it already,
 * its grace begins anew. */
int link_make(struct depot *depot, int64_t repository, const char *digest, int64_t size,
              int64_t quota, struct problem *problem);

/* PROBLEM_DENIED, status 405, if a manifest of the repository names the blob or an index the
 * manifest: what is named cannot be deleted. */
int reference_check(struct depot *depot, int64_t repository, const char *digest, bool is_manifest,
                    struct problem *problem);

/* Forgets what was cached of manifests: after each change to manifests or tags. */
void manifests_changed(struct depot *depot);

/* Upload sessions. */
void upload_free(void *upload);
/* Removes those that are abandoned, and files that belong to none. */
int uploads_collect(struct depot *depot, int64_t *out_count, struct error *err);

#endif
