/* Removing what nothing reaches, beside everything else that goes on. Candidates are looked for
 * without holding anybody up; each is then removed, if it still is one, in a short transaction
 * together with a few others. A push that names a blob and the removal of that blob are two
 * transactions one behind the other: the manifest is refused, or the blob stays. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/memory.h"
#include "distribution/internal.h"

#include "base/banned.h"

enum { BATCH = 64, CANDIDATE_LIMIT = 10000 };

/* What is done in one go, and whether to stop between two. */
struct collector {
    struct depot *depot;
    int64_t before; /* older is old enough */
    bool (*is_ending)(void);
    struct collection_report report;
};

static bool is_ending(const struct collector *collector)
{
    return collector->is_ending && collector->is_ending();
}

struct candidate {
    int64_t repository;
    char digest[CONTENT_DIGEST_SIZE];
};

struct candidates {
    struct candidate *items;
    size_t count;
};

static void candidates_done(struct candidates *candidates)
{
    free(candidates->items);
}
CLEANUP_VALUE(candidates_done, struct candidates)

/* Rows of repository and digest. */
static int read_candidates(struct query *query, struct candidates *out, struct error *err)
{
    int more;

    while ((more = query_next(query, err)) == 1) {
        out->items = xrealloc(out->items, out->count + 1, sizeof(*out->items));
        struct candidate *candidate = &out->items[out->count++];
        candidate->repository = query_int64(query, 0);
        snprintf(candidate->digest, sizeof(candidate->digest), "%s", query_text(query, 1));
    }
    return more;
}

/* ---- manifests that no tag reaches ---- */

/* Tags, and what is too young to judge, are where reaching begins; it goes on to the manifests of
 * an index, and from a manifest to what has it as subject. */
#define UNREACHED                                                                                  \
    "WITH RECURSIVE reached (digest) AS ("                                                         \
    " SELECT digest FROM tag WHERE repository = ?1"                                                \
    " UNION SELECT digest FROM manifest WHERE repository = ?1 AND pushed >= ?2"                    \
    " UNION SELECT target FROM reached JOIN reference"                                             \
    "  ON repository = ?1 AND manifest = reached.digest AND is_manifest = 1"                       \
    " UNION SELECT m.digest FROM reached JOIN manifest m"                                          \
    "  ON m.repository = ?1 AND m.subject = reached.digest)"                                       \
    " SELECT digest FROM manifest WHERE repository = ?1 AND digest NOT IN"                         \
    " (SELECT digest FROM reached)"

static int delete_unreached(struct depot *depot, int64_t repository, int64_t before,
                            int64_t *out_count, struct error *err)
{
    /* Listed once, before anything goes that the reaching leads over. */
    if (database_run(depot->database, err,
                     "CREATE TEMP TABLE IF NOT EXISTS leaving (digest TEXT PRIMARY KEY)",
                     NULL) < 0 ||
        database_run(depot->database, err, "DELETE FROM leaving", NULL) < 0 ||
        database_run(depot->database, err, "INSERT INTO leaving " UNREACHED, "ii", repository,
                     before) < 0)
        return -1;
    int64_t gone = database_run(depot->database, err,
                                "DELETE FROM manifest WHERE repository = ? AND digest IN"
                                " (SELECT digest FROM leaving)",
                                "i", repository);
    if (gone < 0 || database_run(depot->database, err,
                                 "DELETE FROM reference WHERE repository = ? AND manifest IN"
                                 " (SELECT digest FROM leaving)",
                                 "i", repository) < 0)
        return -1;
    *out_count += gone;
    return 0;
}

static int collect_manifests_of(struct depot *depot, int64_t repository, int64_t before,
                                int64_t *out_count, struct error *err)
{
    if (database_begin(depot->database, RELAXED, err) < 0)
        return -1;
    int result = delete_unreached(depot, repository, before, out_count, err);
    if (result < 0)
        database_rollback(depot->database);
    else
        result = database_commit(depot->database, err);
    manifests_changed(depot);
    return result;
}

static int collect_manifests(struct depot *depot, int64_t before, int64_t *out_count,
                             struct error *err)
{
    CLEANUP(candidates_done) struct candidates found = {};
    CLEANUP(query_close) struct query *query = NULL;

    if (database_query(depot->database, &query, err,
                       "SELECT DISTINCT repository, '' FROM manifest m WHERE pushed < ? AND"
                       " NOT EXISTS (SELECT 1 FROM tag t WHERE t.repository = m.repository"
                       " AND t.digest = m.digest)",
                       "i", before) < 0 ||
        read_candidates(query, &found, err) < 0)
        return -1;
    query_close(TAKE(query));
    for (size_t i = 0; i < found.count; i++)
        if (collect_manifests_of(depot, found.items[i].repository, before, out_count, err) < 0)
            return -1;
    return 0;
}

/* ---- manifests of a cache that nobody asked for ---- */

static int delete_stale(struct depot *depot, int64_t before, int64_t *out_count, struct error *err)
{
    static const char *const dependents[] = {
        "DELETE FROM reference WHERE NOT EXISTS (SELECT 1 FROM manifest m"
        " WHERE m.repository = reference.repository AND m.digest = reference.manifest)",
        "DELETE FROM tag WHERE NOT EXISTS (SELECT 1 FROM manifest m"
        " WHERE m.repository = tag.repository AND m.digest = tag.digest)",
    };
    int64_t gone = database_run(depot->database, err, "DELETE FROM manifest WHERE pushed < ?", "i",
                                before);

    if (gone < 0)
        return -1;
    for (size_t i = 0; gone > 0 && i < COUNT(dependents); i++)
        if (database_run(depot->database, err, dependents[i], NULL) < 0)
            return -1;
    *out_count += gone;
    return 0;
}

static int collect_stale(struct depot *depot, int64_t *out_count, struct error *err)
{
    if (database_begin(depot->database, RELAXED, err) < 0)
        return -1;
    int result = delete_stale(depot, depot_now_ms() - depot->options.manifest_age_ms, out_count,
                              err);
    if (result < 0)
        database_rollback(depot->database);
    else
        result = database_commit(depot->database, err);
    manifests_changed(depot);
    return result;
}

/* ---- blobs of a repository that no manifest in it names ---- */

static int remove_links(struct depot *depot, const struct candidate *items, size_t count,
                        int64_t before, int64_t *out_count, struct error *err)
{
    for (size_t i = 0; i < count; i++) {
        int64_t gone = database_run(
            depot->database, err,
            "DELETE FROM link WHERE repository = ?1 AND digest = ?2 AND touched < ?3 AND NOT EXISTS"
            " (SELECT 1 FROM reference WHERE repository = ?1 AND target = ?2 AND is_manifest = 0)",
            "isi", items[i].repository, items[i].digest, before);

        if (gone < 0)
            return -1;
        *out_count += gone;
    }
    return 0;
}

static int remove_link_batch(struct depot *depot, const struct candidate *items, size_t count,
                             int64_t before, int64_t *out_count, struct error *err)
{
    if (database_begin(depot->database, RELAXED, err) < 0)
        return -1;
    if (remove_links(depot, items, count, before, out_count, err) < 0) {
        database_rollback(depot->database);
        return -1;
    }
    return database_commit(depot->database, err);
}

static int find_links(struct depot *depot, int64_t before, struct candidates *out,
                      struct error *err)
{
    CLEANUP(query_close) struct query *query = NULL;

    if (database_query(depot->database, &query, err,
                       "SELECT repository, digest FROM link WHERE touched < ? AND NOT EXISTS"
                       " (SELECT 1 FROM reference WHERE repository = link.repository"
                       " AND target = link.digest AND is_manifest = 0) LIMIT ?",
                       "ii", before, (int64_t)CANDIDATE_LIMIT) < 0)
        return -1;
    return read_candidates(query, out, err);
}

static int collect_links(struct collector *collector, struct error *err)
{
    for (;;) {
        CLEANUP(candidates_done) struct candidates found = {};

        if (find_links(collector->depot, collector->before, &found, err) < 0)
            return -1;
        for (size_t i = 0; i < found.count && !is_ending(collector); i += BATCH)
            if (remove_link_batch(collector->depot, found.items + i, MIN(found.count - i, BATCH),
                                  collector->before, &collector->report.links, err) < 0)
                return -1;
        if (found.count < CANDIDATE_LIMIT || is_ending(collector))
            return 0;
    }
}

/* ---- blobs that no repository holds ---- */

/* Out of reach at once; its bytes are freed later, for that may take long. */
static void move_to_trash(struct depot *depot, const char *digest, int64_t *freed)
{
    CLEANUP(free) char *path = depot_blob_path(depot, digest);
    CLEANUP(free) char *trash = depot_trash_path(depot);
    struct stat status;

    if (lstat(path, &status) == 0 && rename(path, trash) == 0)
        *freed += status.st_size;
}

static int forget_blob(struct depot *depot, const char *digest, struct error *err)
{
    return database_run(depot->database, err,
                        "DELETE FROM blob WHERE digest = ?1 AND NOT EXISTS"
                        " (SELECT 1 FROM link WHERE digest = ?1)",
                        "s", digest) < 0
               ? -1
               : 0;
}

static int list_unheld(struct depot *depot, struct candidates *out, struct error *err)
{
    CLEANUP(query_close) struct query *query = NULL;

    if (database_query(depot->database, &query, err,
                       "SELECT 0, digest FROM blob WHERE NOT EXISTS"
                       " (SELECT 1 FROM link WHERE link.digest = blob.digest) LIMIT ?",
                       "i", (int64_t)BATCH) < 0)
        return -1;
    return read_candidates(query, out, err);
}

static int forget_blobs(struct depot *depot, struct candidates *out, struct error *err)
{
    if (list_unheld(depot, out, err) < 0)
        return -1;
    for (size_t i = 0; i < out->count; i++)
        if (forget_blob(depot, out->items[i].digest, err) < 0)
            return -1;
    return 0;
}

/* The record forgets them for good, then their files go; nobody publishes the same meanwhile. */
static int remove_blob_batch(struct depot *depot, struct collection_report *report,
                             size_t *out_count, struct error *err) REQUIRES(depot->files)
{
    CLEANUP(candidates_done) struct candidates gone = {};

    if (database_begin(depot->database, DURABLE, err) < 0)
        return -1;
    if (forget_blobs(depot, &gone, err) < 0) {
        database_rollback(depot->database);
        return -1;
    }
    if (database_commit(depot->database, err) < 0)
        return -1;
    for (size_t i = 0; i < gone.count; i++)
        move_to_trash(depot, gone.items[i].digest, &report->freed_bytes);
    report->blobs += (int64_t)gone.count;
    *out_count = gone.count;
    return 0;
}

static void empty_trash(struct depot *depot)
{
    CLEANUP(free) char *path = path_join(depot->root_path, "trash");
    DIR *directory = opendir(path);
    struct dirent *entry;

    if (!directory)
        return;
    while ((entry = readdir(directory)))
        if (entry->d_name[0] != '.')
            unlinkat(dirfd(directory), entry->d_name, 0);
    closedir(directory);
}

static int collect_blobs(struct collector *collector, struct error *err)
{
    struct depot *depot = collector->depot;
    size_t count = 0;

    do {
        mutex_lock(&depot->files);
        int result = remove_blob_batch(depot, &collector->report, &count, err);
        mutex_unlock(&depot->files);
        empty_trash(depot);
        if (result < 0)
            return -1;
    } while (count == BATCH && !is_ending(collector));
    return 0;
}

/* ---- files that no record names ---- */

static bool is_recorded(struct depot *depot, const char *digest)
{
    CLEANUP(query_close) struct query *query = NULL;

    if (database_query(depot->database, &query, NULL, "SELECT 1 FROM blob WHERE digest = ?", "s",
                       digest) < 0)
        return true;
    return query_next(query, NULL) != 0;
}

/* Whoever publishes has the lock between the file's name and the record's word. */
static void sweep_file(struct depot *depot, const char *digest, struct collection_report *report)
{
    if (is_recorded(depot, digest))
        return;
    mutex_lock(&depot->files);
    if (!is_recorded(depot, digest)) {
        move_to_trash(depot, digest, &report->freed_bytes);
        report->orphans++;
    }
    mutex_unlock(&depot->files);
}

static void sweep_directory(struct depot *depot, const char *algorithm, int first,
                            struct collection_report *report)
{
    CLEANUP(free)
    char *path = xasprintf("%s/blobs/%s/%02x", depot->root_path, algorithm, (unsigned int)first);
    DIR *directory = opendir(path);
    struct dirent *entry;

    if (!directory)
        return;
    while ((entry = readdir(directory))) {
        CLEANUP(free) char *digest = xasprintf("%s:%s", algorithm, entry->d_name);

        if (content_digest_is_valid(digest))
            sweep_file(depot, digest, report);
    }
    closedir(directory);
}

static void sweep_files(struct collector *collector)
{
    for (int first = 0; first < 256 && !is_ending(collector); first++) {
        sweep_directory(collector->depot, "sha256", first, &collector->report);
        sweep_directory(collector->depot, "sha512", first, &collector->report);
    }
    empty_trash(collector->depot);
}

/* ---- repositories with nothing in them ---- */

static int collect_repositories(struct depot *depot, int64_t *out_count, struct error *err)
{
    int64_t gone =
        database_run(depot->database, err,
                     "DELETE FROM repository WHERE"
                     " NOT EXISTS (SELECT 1 FROM manifest WHERE repository = repository.id) AND"
                     " NOT EXISTS (SELECT 1 FROM link WHERE repository = repository.id) AND"
                     " NOT EXISTS (SELECT 1 FROM upload WHERE repository = repository.id)",
                     NULL);

    *out_count = gone;
    return gone < 0 ? -1 : 0;
}

static int collect(struct collector *collector, struct error *err)
{
    struct depot *depot = collector->depot;
    struct collection_report *report = &collector->report;
    const struct depot_options *options = &depot->options;

    if (uploads_collect(depot, &report->uploads, err) < 0 ||
        (options->manifest_age_ms > 0 && collect_stale(depot, &report->manifests, err) < 0) ||
        (options->collects_untagged &&
         collect_manifests(depot, collector->before, &report->manifests, err) < 0) ||
        collect_links(collector, err) < 0 || collect_blobs(collector, err) < 0)
        return -1;
    sweep_files(collector);
    return collect_repositories(depot, &report->repositories, err);
}

int depot_collect(struct depot *depot, bool (*is_ending_now)(void), struct collection_report *out,
                  struct error *err)
{
    struct collector collector = { .depot = depot,
                                   .before = depot_now_ms() - depot->options.grace_ms,
                                   .is_ending = is_ending_now };

    if (collect(&collector, err) < 0)
        return error_context(err, "collect garbage");
    mutex_lock(&depot->memory);
    depot->collections++;
    depot->collected_bytes += collector.report.freed_bytes;
    mutex_unlock(&depot->memory);
    *out = collector.report;
    return 0;
}
