/* Manifests and tags. Those that are asked for often are kept in memory; whoever changes any
 * forgets them all, which is rare beside reading. */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "distribution/internal.h"

#include "base/banned.h"

enum { CACHE_SIZE_LIMIT = 8 * 1024 * 1024, CACHE_COUNT_LIMIT = 4096, KEY_SIZE = 512 };

struct manifest *manifest_ref(struct manifest *manifest)
{
    __atomic_add_fetch(&manifest->references, 1, __ATOMIC_RELAXED);
    return manifest;
}

void manifest_unref(struct manifest *manifest)
{
    if (!manifest || __atomic_sub_fetch(&manifest->references, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    free(manifest->media_type);
    free(manifest);
}

/* ---- what is kept in memory ---- */

static void forget_locked(struct depot *depot) REQUIRES(depot->memory)
{
    void (*free_value)(void *value) = depot->manifests.free_value;

    map_done(&depot->manifests);
    map_init_empty(&depot->manifests, free_value);
    depot->manifests_size = 0;
}

void manifests_changed(struct depot *depot)
{
    mutex_lock(&depot->memory);
    depot->generation++;
    forget_locked(depot);
    mutex_unlock(&depot->memory);
}

static struct manifest *recall(struct depot *depot, const char *key, uint64_t *out_generation)
{
    mutex_lock(&depot->memory);
    struct manifest *found = map_get(&depot->manifests, key);
    if (found)
        manifest_ref(found);
    *out_generation = depot->generation;
    mutex_unlock(&depot->memory);
    return found;
}

static void keep_locked(struct depot *depot, const char *key, struct manifest *manifest)
    REQUIRES(depot->memory)
{
    if (manifest->size > CACHE_SIZE_LIMIT / 8)
        return;
    if (depot->manifests_size + manifest->size > CACHE_SIZE_LIMIT ||
        depot->manifests.count >= CACHE_COUNT_LIMIT)
        forget_locked(depot);
    depot->manifests_size += manifest->size;
    map_set(&depot->manifests, key, manifest_ref(manifest));
}

/* Not if the record changed since it was read: it could be the old state. */
static void keep(struct depot *depot, const char *key, struct manifest *manifest,
                 uint64_t generation)
{
    mutex_lock(&depot->memory);
    if (depot->generation == generation && !map_has(&depot->manifests, key))
        keep_locked(depot, key, manifest);
    mutex_unlock(&depot->memory);
}

/* ---- reading ---- */

static int unknown(const char *reference, struct problem *problem)
{
    problem_set(problem, PROBLEM_MANIFEST_UNKNOWN, reference, NULL);
    return problem_set_detail_key(problem, strchr(reference, ':') ? "Digest" : "Tag");
}

static int query_manifest(struct depot *depot, const char *repository, const char *reference,
                          struct query **out, struct problem *problem)
{
    if (strchr(reference, ':'))
        return DEPOT_QUERY(depot, problem, out,
                           "SELECT m.digest, m.media_type, m.content FROM repository r"
                           " JOIN manifest m ON m.repository = r.id AND m.digest = ?"
                           " WHERE r.name = ?",
                           "ss", reference, repository);
    return DEPOT_QUERY(depot, problem, out,
                       "SELECT m.digest, m.media_type, m.content FROM repository r"
                       " JOIN tag t ON t.repository = r.id AND t.name = ?"
                       " JOIN manifest m ON m.repository = r.id AND m.digest = t.digest"
                       " WHERE r.name = ?",
                       "ss", reference, repository);
}

static int read_manifest(struct depot *depot, const char *repository, const char *reference,
                         struct manifest **out, struct problem *problem)
{
    CLEANUP(query_close) struct query *query = NULL;
    size_t size;

    if (query_manifest(depot, repository, reference, &query, problem) < 0)
        return -1;
    int found = depot_next(query, problem);
    if (found < 0)
        return -1;
    if (!found)
        return unknown(reference, problem);
    const void *bytes = query_bytes(query, 2, &size);
    struct manifest *manifest = xcalloc(1, sizeof(*manifest) + size);
    snprintf(manifest->digest, sizeof(manifest->digest), "%s", query_text(query, 0));
    manifest->media_type = xstrdup(query_text(query, 1));
    manifest->size = size;
    manifest->references = 1;
    memcpy(manifest->bytes, bytes, size);
    *out = manifest;
    return 0;
}

int depot_manifest_get(struct depot *depot, const char *repository, const char *reference,
                       struct manifest **out, struct problem *problem)
{
    char key[KEY_SIZE];
    uint64_t generation;

    snprintf(key, sizeof(key), "%s\n%s", repository, reference);
    struct manifest *manifest = recall(depot, key, &generation);
    if (!manifest) {
        if (read_manifest(depot, repository, reference, &manifest, problem) < 0)
            return -1;
        keep(depot, key, manifest, generation);
    }
    *out = manifest;
    return 0;
}

/* ---- writing ---- */

static int has_manifest(struct depot *depot, int64_t repository, const char *digest,
                        int64_t *out_size, struct problem *problem)
{
    CLEANUP(query_close) struct query *query = NULL;

    if (DEPOT_QUERY(depot, problem, &query,
                    "SELECT size FROM manifest WHERE repository = ? AND digest = ?", "is",
                    repository, digest) < 0)
        return -1;
    int found = depot_next(query, problem);
    if (found == 1)
        *out_size = query_int64(query, 0);
    return found;
}

static int check_target(struct depot *depot, int64_t repository,
                        const struct document_target *target, bool is_optional,
                        struct problem *problem)
{
    int64_t size = target->size, touched;
    int found = target->is_manifest
                    ? has_manifest(depot, repository, target->digest, &size, problem)
                    : link_find(depot, repository, target->digest, &size, &touched, problem);

    if (found < 0)
        return -1;
    if (!found && !is_optional)
        return problem_set(problem, PROBLEM_MANIFEST_BLOB_UNKNOWN, target->digest, NULL);
    if (size != target->size)
        return problem_set(problem, PROBLEM_MANIFEST_INVALID, target->digest,
                           "a size is given as %lld, but %lld bytes are here",
                           (long long)target->size, (long long)size);
    return 0;
}

static int add_references(struct depot *depot, int64_t repository, const struct manifest_push *push,
                          struct problem *problem)
{
    const struct document *document = push->document;

    for (size_t i = 0; i < document->target_count; i++) {
        const struct document_target *target = &document->targets[i];
        bool is_optional = push->is_partial || target->is_foreign ||
                           (target->is_manifest && depot->options.allows_sparse);

        if (check_target(depot, repository, target, is_optional, problem) < 0 ||
            DEPOT_RUN(depot, problem, "INSERT OR IGNORE INTO reference VALUES (?, ?, ?, ?, ?)",
                      "issii", repository, push->digest, target->digest,
                      (int64_t)target->is_manifest, (int64_t)is_optional) < 0)
            return -1;
    }
    return 0;
}

static int add_manifest(struct depot *depot, int64_t repository, const struct manifest_push *push,
                        struct problem *problem)
{
    const struct document *document = push->document;

    if (repository_check_quota(depot, repository, (int64_t)push->size, push->quota, problem) < 0 ||
        add_references(depot, repository, push, problem) < 0)
        return -1;
    return DEPOT_RUN(depot, problem,
                     "INSERT INTO manifest (repository, digest, media_type, size, artifact_type,"
                     " subject, annotations, pushed, content) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                     "ississsib", repository, push->digest, document->media_type,
                     (int64_t)push->size, document->artifact_type, document->subject,
                     document->annotations, depot_now_ms(), push->bytes, push->size) < 0
               ? -1
               : 0;
}

/* The same bytes again: another type may be claimed for them, and their grace begins anew. */
static int renew_manifest(struct depot *depot, int64_t repository, const struct manifest_push *push,
                          struct problem *problem)
{
    return DEPOT_RUN(depot, problem,
                     "UPDATE manifest SET pushed = ?, media_type = ?"
                     " WHERE repository = ? AND digest = ?",
                     "isis", depot_now_ms(), push->document->media_type, repository,
                     push->digest) < 0
               ? -1
               : 0;
}

static int put_inside(struct depot *depot, const struct manifest_push *push,
                      struct problem *problem)
{
    int64_t repository = repository_make(depot, push->repository, problem), size;

    if (repository < 0)
        return -1;
    int known = has_manifest(depot, repository, push->digest, &size, problem);
    if (known < 0 || (known ? renew_manifest : add_manifest)(depot, repository, push, problem) < 0)
        return -1;
    for (size_t i = 0; i < push->tags->count; i++)
        if (DEPOT_RUN(depot, problem, "INSERT OR REPLACE INTO tag VALUES (?, ?, ?)", "iss",
                      repository, push->tags->items[i], push->digest) < 0)
            return -1;
    return 0;
}

/* Runs a change in a transaction, and forgets what was kept in memory behind it. */
static int end_change(struct depot *depot, int result, struct problem *problem)
{
    if (result < 0)
        database_rollback(depot->database);
    else
        result = depot_commit(depot, problem);
    manifests_changed(depot);
    return result;
}

int depot_manifest_put(struct depot *depot, const struct manifest_push *push,
                       struct problem *problem)
{
    if (depot_begin(depot, DURABLE, problem) < 0)
        return -1;
    return end_change(depot, put_inside(depot, push, problem), problem);
}

/* Only now and then, as for blobs. */
int depot_manifest_use(struct depot *depot, const char *repository, const char *digest,
                       struct problem *problem)
{
    int64_t now = depot_now_ms(), age = depot->options.manifest_age_ms;
    CLEANUP(query_close) struct query *query = NULL;

    if (age <= 0)
        return 0;
    if (DEPOT_QUERY(depot, problem, &query,
                    "SELECT m.repository FROM repository r JOIN manifest m ON m.repository = r.id"
                    " AND m.digest = ? WHERE r.name = ? AND m.pushed < ?",
                    "ssi", digest, repository, now - age / 8) < 0)
        return -1;
    int found = depot_next(query, problem);
    if (found <= 0)
        return found;
    return DEPOT_RUN(depot, problem,
                     "UPDATE manifest SET pushed = ? WHERE repository = ? AND digest = ?", "iis",
                     now, query_int64(query, 0), digest) < 0
               ? -1
               : 0;
}

/* ---- deleting ---- */

static int delete_manifest(struct depot *depot, int64_t repository, const char *digest,
                           struct problem *problem)
{
    if (reference_check(depot, repository, digest, true, problem) < 0)
        return -1;
    int64_t changed = DEPOT_RUN(depot, problem,
                                "DELETE FROM manifest WHERE repository = ? AND digest = ?", "is",
                                repository, digest);
    if (changed == 0)
        return unknown(digest, problem);
    if (changed < 0 ||
        DEPOT_RUN(depot, problem, "DELETE FROM reference WHERE repository = ? AND manifest = ?",
                  "is", repository, digest) < 0 ||
        DEPOT_RUN(depot, problem, "DELETE FROM tag WHERE repository = ? AND digest = ?", "is",
                  repository, digest) < 0)
        return -1;
    return 0;
}

static int delete_inside(struct depot *depot, const char *repository, const char *reference,
                         struct problem *problem)
{
    int64_t id = repository_find(depot, repository, problem);

    if (id < 0)
        return -1;
    if (strchr(reference, ':'))
        return delete_manifest(depot, id, reference, problem);
    int64_t changed = DEPOT_RUN(depot, problem, "DELETE FROM tag WHERE repository = ? AND name = ?",
                                "is", id, reference);
    if (changed == 0)
        return unknown(reference, problem);
    return changed < 0 ? -1 : 0;
}

int depot_manifest_delete(struct depot *depot, const char *repository, const char *reference,
                          struct problem *problem)
{
    if (depot_begin(depot, DURABLE, problem) < 0)
        return -1;
    return end_change(depot, delete_inside(depot, repository, reference, problem), problem);
}
