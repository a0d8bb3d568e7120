/* A row for each predicate; the record removes them together with the image's own row. */
#include "store/attestation.h"

#include "base/memory.h"
#include "store/internal.h"

#include "base/banned.h"

void attestations_add(struct attestations *attestations, const char *predicate_type,
                      struct str *predicate)
{
    attestations->items = xrealloc(attestations->items, attestations->count + 1,
                                   sizeof(*attestations->items));
    attestations->items[attestations->count++] = (struct attestation){ xstrdup(predicate_type),
                                                                       str_take(predicate) };
}

void attestations_done(struct attestations *attestations)
{
    for (size_t i = 0; i < attestations->count; i++) {
        free(attestations->items[i].predicate_type);
        free(attestations->items[i].predicate);
    }
    free(attestations->items);
    *attestations = (struct attestations){};
}

static int replace(struct store *store, const char *image_id,
                   const struct attestations *attestations, struct error *err)
{
    if (database_run(store->database, err, "DELETE FROM attestation WHERE image_id = ?", "s",
                     image_id) < 0)
        return -1;
    for (size_t i = 0; i < attestations->count; i++)
        if (database_run(store->database, err,
                         "INSERT INTO attestation (image_id, place, predicate_type, predicate)"
                         " VALUES (?, ?, ?, ?)",
                         "siss", image_id, (int64_t)i, attestations->items[i].predicate_type,
                         attestations->items[i].predicate) < 0)
            return -1;
    return 0;
}

int store_image_attest(struct store *store, const char *image_id,
                       const struct attestations *attestations, struct error *err)
{
    /* Most builds attest nothing, and there is nothing to replace: that costs no writing. */
    if (attestations->count == 0) {
        CLEANUP(attestations_done) struct attestations before = {};

        if (store_image_attestations(store, image_id, &before, err) < 0)
            return -1;
        if (before.count == 0)
            return 0;
    }
    if (database_begin(store->database, DURABLE, err) < 0)
        return -1;
    if (replace(store, image_id, attestations, err) < 0) {
        database_rollback(store->database);
        return error_context(err, "attest image %s", image_id);
    }
    return database_commit(store->database, err);
}

int store_image_attestations(struct store *store, const char *image_id, struct attestations *out,
                             struct error *err)
{
    CLEANUP(query_close) struct query *query = NULL;
    int more;

    if (database_query(store->database, &query, err,
                       "SELECT predicate_type, predicate FROM attestation WHERE image_id = ?"
                       " ORDER BY place",
                       "s", image_id) < 0)
        return -1;
    while ((more = query_next(query, err)) == 1) {
        struct str predicate = {};

        str_add(&predicate, query_text(query, 1));
        attestations_add(out, query_text(query, 0), &predicate);
    }
    return more;
}
