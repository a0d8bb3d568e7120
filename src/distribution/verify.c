/* Record against disk, byte by byte. May run beside a server: what seems to be missing is asked for
 * again before it is told. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/memory.h"
#include "distribution/internal.h"

#include "base/banned.h"

enum { BLOCK_SIZE = 256 * 1024, PAGE = 1000 };

static bool is_recorded(struct depot *depot, const char *digest)
{
    CLEANUP(query_close) struct query *query = NULL;

    if (database_query(depot->database, &query, NULL, "SELECT 1 FROM blob WHERE digest = ?", "s",
                       digest) < 0)
        return true;
    return query_next(query, NULL) != 0;
}

static int hash_fd(int fd, const char *like, char out[CONTENT_DIGEST_SIZE])
{
    CLEANUP(hash_free) struct hash *hash = hash_new(like);
    CLEANUP(free) char *block = xmalloc(BLOCK_SIZE);
    ssize_t count;

    while ((count = read(fd, block, BLOCK_SIZE)) > 0)
        hash_add(hash, block, (size_t)count);
    if (count < 0)
        return -1;
    hash_finish(hash, out);
    return 0;
}

static void verify_blob(struct depot *depot, const char *digest, int64_t size, struct strv *out)
{
    CLEANUP(free) char *path = depot_blob_path(depot, digest);
    CLEANUP(close) int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    char found[CONTENT_DIGEST_SIZE];
    struct stat status;

    if (fd < 0) {
        if (is_recorded(depot, digest))
            strv_add_format(out, "blob %s: %s", digest, strerror(errno));
    } else if (fstat(fd, &status) < 0 || status.st_size != size) {
        strv_add_format(out, "blob %s has another size than the record says", digest);
    } else if (hash_fd(fd, digest, found) < 0 || strcmp(found, digest) != 0) {
        strv_add_format(out, "blob %s has other bytes than its name says", digest);
    }
}

/* One page of blobs behind 'last', which moves on. The number of them, -1. */
static int verify_blob_page(struct depot *depot, char last[CONTENT_DIGEST_SIZE], struct strv *out,
                            struct error *err)
{
    CLEANUP(query_close) struct query *query = NULL;
    int more, count = 0;

    if (database_query(depot->database, &query, err,
                       "SELECT digest, size FROM blob WHERE digest > ? ORDER BY digest LIMIT ?",
                       "si", last, (int64_t)PAGE) < 0)
        return -1;
    while ((more = query_next(query, err)) == 1) {
        count++;
        if (!content_digest_is_valid(query_text(query, 0))) {
            strv_add_format(out, "the record names a blob %.80s", query_text(query, 0));
            continue;
        }
        snprintf(last, CONTENT_DIGEST_SIZE, "%s", query_text(query, 0));
        verify_blob(depot, last, query_int64(query, 1), out);
    }
    return more < 0 ? -1 : count;
}

static int verify_blobs(struct depot *depot, struct strv *out, int64_t *out_count,
                        struct error *err)
{
    char last[CONTENT_DIGEST_SIZE] = "";
    int count;

    do {
        count = verify_blob_page(depot, last, out, err);
        if (count < 0)
            return -1;
        *out_count += count;
    } while (count == PAGE);
    return 0;
}

static int verify_manifests(struct depot *depot, struct strv *out, struct error *err)
{
    CLEANUP(query_close) struct query *query = NULL;
    int more;

    if (database_query(depot->database, &query, err, "SELECT digest, content FROM manifest", NULL) <
        0)
        return -1;
    while ((more = query_next(query, err)) == 1) {
        const char *digest = query_text(query, 0);
        char found[CONTENT_DIGEST_SIZE];
        size_t size;
        const void *bytes = query_bytes(query, 1, &size);

        if (!content_digest_is_valid(digest))
            strv_add_format(out, "the record names a manifest %.80s", digest);
        else if (hash_digest(digest, bytes, size, found), strcmp(found, digest) != 0)
            strv_add_format(out, "manifest %s has other bytes than its name says", digest);
    }
    return more;
}

/* Each says with its first column whose it is, with the second what is missing. */
static const struct {
    const char *sql, *what;
} relations[] = {
    { "SELECT r.name, f.target FROM reference f JOIN repository r ON r.id = f.repository"
      " WHERE is_manifest = 0 AND is_optional = 0 AND NOT EXISTS (SELECT 1 FROM link l"
      " WHERE l.repository = f.repository AND l.digest = f.target)",
      "a manifest names a blob that the repository has not" },
    { "SELECT r.name, f.target FROM reference f JOIN repository r ON r.id = f.repository"
      " WHERE is_manifest = 1 AND is_optional = 0 AND NOT EXISTS (SELECT 1 FROM manifest m"
      " WHERE m.repository = f.repository AND m.digest = f.target)",
      "an index names a manifest that the repository has not" },
    { "SELECT ifnull(r.name, '?'), f.manifest FROM reference f LEFT JOIN repository r"
      " ON r.id = f.repository WHERE NOT EXISTS (SELECT 1 FROM manifest m"
      " WHERE m.repository = f.repository AND m.digest = f.manifest)",
      "references of a manifest that is not there" },
    { "SELECT r.name, t.digest FROM tag t JOIN repository r ON r.id = t.repository"
      " WHERE NOT EXISTS (SELECT 1 FROM manifest m WHERE m.repository = t.repository"
      " AND m.digest = t.digest)",
      "a tag points at a manifest that is not there" },
    { "SELECT ifnull(r.name, '?'), l.digest FROM link l LEFT JOIN repository r"
      " ON r.id = l.repository WHERE r.id IS NULL OR NOT EXISTS (SELECT 1 FROM blob b"
      " WHERE b.digest = l.digest)",
      "a repository holds a blob that is not there" },
};

static int verify_relations(struct depot *depot, struct strv *out, struct error *err)
{
    for (size_t i = 0; i < COUNT(relations); i++) {
        CLEANUP(query_close) struct query *query = NULL;
        int more;

        if (database_query(depot->database, &query, err, relations[i].sql, NULL) < 0)
            return -1;
        while ((more = query_next(query, err)) == 1)
            strv_add_format(out, "%s: %s: %s", query_text(query, 0), relations[i].what,
                            query_text(query, 1));
        if (more < 0)
            return -1;
    }
    return 0;
}

int depot_verify(struct depot *depot, struct strv *out, int64_t *out_blobs, struct error *err)
{
    *out_blobs = 0;
    if (verify_blobs(depot, out, out_blobs, err) < 0 || verify_manifests(depot, out, err) < 0 ||
        verify_relations(depot, out, err) < 0)
        return error_context(err, "verify");
    return 0;
}
