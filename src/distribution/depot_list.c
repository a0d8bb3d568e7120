/* Lists, page by page. */
#include <stdio.h>
#include <string.h>

#include "codec/json.h"
#include "distribution/internal.h"

#include "base/banned.h"

enum { REFERRERS_SIZE_LIMIT = 4 * 1024 * 1024, REFERRERS_COUNT_LIMIT = 1000 };

/* Rows of one text, the last of which says only that there is more. */
static int read_page(struct query *query, size_t limit, struct strv *out, bool *out_more,
                     struct problem *problem)
{
    int more;

    *out_more = false;
    while ((more = depot_next(query, problem)) == 1) {
        if (out->count == limit) {
            *out_more = true;
            return 0;
        }
        strv_add(out, query_text(query, 0));
    }
    return more;
}

int depot_tags(struct depot *depot, const char *repository, const char *last, size_t limit,
               struct strv *out, bool *out_more, struct problem *problem)
{
    CLEANUP(query_close) struct query *query = NULL;
    int64_t id = repository_find(depot, repository, problem);

    if (id < 0)
        return -1;
    if (id == 0) {
        problem_set(problem, PROBLEM_NAME_UNKNOWN, repository, NULL);
        return problem_set_detail_key(problem, "name");
    }
    if (DEPOT_QUERY(depot, problem, &query,
                    "SELECT name FROM tag WHERE repository = ? AND name > ? ORDER BY name LIMIT ?",
                    "isi", id, last, (int64_t)limit + 1) < 0)
        return -1;
    return read_page(query, limit, out, out_more, problem);
}

int depot_repositories(struct depot *depot, const char *last, size_t limit, struct strv *out,
                       bool *out_more, struct problem *problem)
{
    CLEANUP(query_close) struct query *query = NULL;

    if (DEPOT_QUERY(depot, problem, &query,
                    "SELECT name FROM repository r WHERE name > ? AND EXISTS"
                    " (SELECT 1 FROM manifest WHERE repository = r.id) ORDER BY name LIMIT ?",
                    "si", last, (int64_t)limit + 1) < 0)
        return -1;
    return read_page(query, limit, out, out_more, problem);
}

static void write_descriptor(const struct query *query, struct json_writer *w)
{
    const char *artifact_type = query_text(query, 3);
    const char *annotations = query_text(query, 4);

    json_begin_dict(w, NULL);
    json_add_text(w, "mediaType", query_text(query, 1));
    json_add_text(w, "digest", query_text(query, 0));
    json_add_int64(w, "size", query_int64(query, 2));
    if (artifact_type)
        json_add_text(w, "artifactType", artifact_type);
    if (annotations)
        json_add_raw(w, "annotations", annotations);
    json_end_dict(w);
}

int depot_referrers(struct depot *depot, const char *repository, const char *digest,
                    const char *artifact_type, const char *last, struct str *out,
                    char out_last[CONTENT_DIGEST_SIZE], bool *out_more, struct problem *problem)
{
    CLEANUP(query_close) struct query *query = NULL;
    struct json_writer w = { .out = out };
    int more, count = 0;

    *out_more = false;
    if (DEPOT_QUERY(depot, problem, &query,
                    "SELECT m.digest, m.media_type, m.size, m.artifact_type, m.annotations"
                    " FROM repository r JOIN manifest m ON m.repository = r.id"
                    " WHERE r.name = ?1 AND m.subject = ?2 AND m.digest > ?3"
                    " AND (?4 IS NULL OR m.artifact_type = ?4) ORDER BY m.digest",
                    "ssss", repository, digest, last, artifact_type) < 0)
        return -1;
    while ((more = depot_next(query, problem)) == 1) {
        if (count == REFERRERS_COUNT_LIMIT || out->length > REFERRERS_SIZE_LIMIT) {
            *out_more = true;
            return 0;
        }
        write_descriptor(query, &w);
        snprintf(out_last, CONTENT_DIGEST_SIZE, "%s", query_text(query, 0));
        count++;
    }
    return more;
}

int depot_measure(struct depot *depot, struct depot_sizes *out, struct error *err)
{
    CLEANUP(query_close) struct query *query = NULL;
    int64_t *const columns[] = { &out->repositories, &out->manifests,  &out->tags,
                                 &out->blobs,        &out->blob_bytes, &out->uploads };

    if (database_query(depot->database, &query, err,
                       "SELECT (SELECT count(*) FROM repository), (SELECT count(*) FROM manifest),"
                       " (SELECT count(*) FROM tag), (SELECT count(*) FROM blob),"
                       " (SELECT ifnull(sum(size), 0) FROM blob), (SELECT count(*) FROM upload)",
                       NULL) < 0 ||
        query_next(query, err) < 0)
        return -1;
    for (size_t i = 0; i < COUNT(columns); i++)
        *columns[i] = query_int64(query, (int)i);
    mutex_lock(&depot->memory);
    out->collections = depot->collections;
    out->collected_bytes = depot->collected_bytes;
    mutex_unlock(&depot->memory);
    return 0;
}
