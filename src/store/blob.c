/* Content-addressed files. A blob is written under tmp/ and gets its name when its digest is known
 * and recorded. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/memory.h"
#include "codec/sha256.h"
#include "store/internal.h"

#include "base/banned.h"

_Static_assert(DIGEST_TEXT_SIZE == DIGEST_SIZE, "a digest is a digest");

struct blob_writer {
    struct store *store;
    struct sha256 *hash;
    char *path; /* NULL when it has its name, or is gone */
    int fd;
    int64_t size;
};

void known_blob_free(void *pointer)
{
    struct known_blob *blob = pointer;

    free(blob->media_type);
    free(blob);
}

static struct known_blob *remember(struct store *store, const char *digest, int64_t size,
                                   const char *media_type)
{
    struct known_blob *blob = NEW(struct known_blob);

    blob->size = size;
    blob->media_type = xstrdup(media_type);
    map_set(&store->blobs, digest, blob);
    return blob;
}

int store_load_blobs(struct store *store, struct error *err)
{
    CLEANUP(query_close) struct query *query = NULL;
    int more;

    if (database_query(store->database, &query, err, "SELECT digest, size, media_type FROM blob",
                       NULL) < 0)
        return -1;
    while ((more = query_next(query, err)) == 1)
        if (digest_is_valid(query_text(query, 0)))
            /* What an image names was synced before; the rest goes. */
            remember(store, query_text(query, 0), query_int64(query, 1), query_text(query, 2))
                ->is_synced = true;
    return more;
}

int blob_writer_new(struct store *store, struct blob_writer **out, struct error *err)
{
    CLEANUP(blob_writer_free) struct blob_writer *writer = NEW(struct blob_writer);
    CLEANUP(free) char *path = store_tmp_name(store, "blob");

    writer->store = store;
    writer->hash = sha256_new();
    writer->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (writer->fd < 0)
        return error_sys(err, "create %s", path);
    writer->path = TAKE(path);
    *out = TAKE(writer);
    return 0;
}

int blob_writer_add(struct blob_writer *writer, const void *data, size_t size, struct error *err)
{
    sha256_add(writer->hash, data, size);
    writer->size += (int64_t)size;
    return fd_write_all(writer->fd, data, size, err) < 0 ? error_context(err, "write blob") : 0;
}

/* Recorded first; then the file gets its name. */
static int publish(struct blob_writer *writer, const char *digest, const char *media_type,
                   struct error *err) REQUIRES(writer->store->changes)
{
    struct store *store = writer->store;
    CLEANUP(free) char *path = store_blob_path(store, digest);

    if (database_run(store->database, err,
                     "INSERT OR REPLACE INTO blob (digest, size, media_type) VALUES (?, ?, ?)",
                     "sis", digest, writer->size, media_type) < 0)
        return -1;
    if (rename(writer->path, path) < 0) {
        error_sys(err, "rename %s to %s", writer->path, path);
        database_run(store->database, NULL, "DELETE FROM blob WHERE digest = ?", "s", digest);
        return -1;
    }
    free(TAKE(writer->path));
    mutex_lock(&store->memory);
    remember(store, digest, writer->size, media_type);
    mutex_unlock(&store->memory);
    return 0;
}

int blob_writer_finish_as(struct blob_writer *writer, const char *expected_digest,
                          int64_t expected_size, const char *media_type,
                          char out_digest[DIGEST_TEXT_SIZE], struct error *err)
{
    struct store *store = writer->store;
    char digest[DIGEST_SIZE];
    int result = 0;

    sha256_finish(writer->hash, digest);
    if (expected_size >= 0 && expected_size != writer->size)
        return error_set(err, ERROR_INVALID, "blob has %" PRId64 " bytes instead of %" PRId64,
                         writer->size, expected_size);
    if (expected_digest && strcmp(digest, expected_digest) != 0)
        return error_set(err, ERROR_INVALID, "blob has digest %s instead of %.80s", digest,
                         expected_digest);
    mutex_lock(&store->changes);
    mutex_lock(&store->memory);
    const struct known_blob *known = map_get(&store->blobs, digest);
    bool is_known = known && (known->media_type || !media_type);
    young_add(store, digest);
    mutex_unlock(&store->memory);
    if (!is_known)
        result = publish(writer, digest, media_type, err);
    if (result < 0) {
        mutex_lock(&store->memory);
        young_drop(store, digest);
        mutex_unlock(&store->memory);
    }
    mutex_unlock(&store->changes);
    if (result == 0)
        memcpy(out_digest, digest, DIGEST_SIZE);
    return result;
}

int blob_writer_finish(struct blob_writer *writer, const char *expected_digest,
                       int64_t expected_size, char out_digest[DIGEST_TEXT_SIZE], struct error *err)
{
    return blob_writer_finish_as(writer, expected_digest, expected_size, NULL, out_digest, err);
}

void blob_writer_free(struct blob_writer *writer)
{
    if (!writer)
        return;
    if (writer->path)
        unlink(writer->path);
    if (writer->fd >= 0)
        close(writer->fd);
    sha256_free(writer->hash);
    free(writer->path);
    free(writer);
}

int blob_put(struct store *store, const void *data, size_t size, char out_digest[DIGEST_TEXT_SIZE],
             struct error *err)
{
    CLEANUP(blob_writer_free) struct blob_writer *writer = NULL;

    if (blob_writer_new(store, &writer, err) < 0 || blob_writer_add(writer, data, size, err) < 0)
        return -1;
    return blob_writer_finish(writer, NULL, -1, out_digest, err);
}

int blob_sync(struct store *store, const char *digest, struct error *err)
{
    struct known_blob *known;

    mutex_lock(&store->memory);
    known = map_get(&store->blobs, digest);
    bool is_synced = !known || known->is_synced;
    mutex_unlock(&store->memory);
    if (is_synced)
        return 0;
    CLEANUP(free) char *path = store_blob_path(store, digest);
    CLEANUP(close) int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fsync(fd) < 0)
        return error_sys(err, "write blob %s to disk", digest);
    if (parent_sync(path, err) < 0)
        return -1;
    mutex_lock(&store->memory);
    known = map_get(&store->blobs, digest);
    if (known)
        known->is_synced = true;
    mutex_unlock(&store->memory);
    return 0;
}

bool blob_exists(struct store *store, const char *digest)
{
    mutex_lock(&store->memory);
    bool exists = map_has(&store->blobs, digest);
    mutex_unlock(&store->memory);
    return exists;
}

int blob_describe(struct store *store, const char *digest, const char *media_type,
                  struct error *err)
{
    mutex_lock(&store->changes);
    int64_t changed = database_run(store->database, err,
                                   "UPDATE blob SET media_type = ? WHERE digest = ?", "ss",
                                   media_type, digest);
    mutex_lock(&store->memory);
    struct known_blob *known = changed < 0 ? NULL : map_get(&store->blobs, digest);
    if (known) {
        free(known->media_type);
        known->media_type = xstrdup(media_type);
    }
    mutex_unlock(&store->memory);
    mutex_unlock(&store->changes);
    return changed < 0 ? -1 : 0;
}

char *blob_media_type(struct store *store, const char *digest)
{
    mutex_lock(&store->memory);
    const struct known_blob *known = map_get(&store->blobs, digest);
    char *media_type = known ? xstrdup(known->media_type) : NULL;
    mutex_unlock(&store->memory);
    return media_type;
}

/* ---- claims ---- */

bool blob_claim(struct store *store, const char *digest)
{
    mutex_lock(&store->memory);
    bool exists = map_has(&store->blobs, digest);
    if (exists)
        young_add(store, digest);
    mutex_unlock(&store->memory);
    return exists;
}

void blob_release(struct store *store, const char *digest)
{
    mutex_lock(&store->memory);
    young_drop(store, digest);
    mutex_unlock(&store->memory);
}

static bool is_named(struct store *store, const char *digest) REQUIRES(store->memory)
{
    if (map_has(&store->young, digest) || map_has(&store->images, digest))
        return true;
    MAP_EACH (&store->images, entry)
        if (strcmp(((const struct known_image *)entry->value)->manifest_digest, digest) == 0)
            return true;
    MAP_EACH (&store->layers, entry)
        if (strcmp(((const struct known_layer *)entry->value)->layer.blob_digest, digest) == 0)
            return true;
    return false;
}

void blob_discard(struct store *store, const char *digest)
{
    CLEANUP(free) char *path = store_blob_path(store, digest);

    mutex_lock(&store->changes);
    mutex_lock(&store->memory);
    young_drop(store, digest);
    bool goes = map_has(&store->blobs, digest) && !is_named(store, digest);
    mutex_unlock(&store->memory);
    /* What cannot be removed now is left to the next collection. */
    if (goes && database_run(store->database, NULL, "DELETE FROM blob WHERE digest = ?", "s",
                             digest) >= 0) {
        mutex_lock(&store->memory);
        map_remove(&store->blobs, digest);
        mutex_unlock(&store->memory);
        unlink(path);
    }
    mutex_unlock(&store->changes);
}

/* ---- reading ---- */

int blob_open(struct store *store, const char *digest, int *out_fd, int64_t *out_size,
              struct error *err)
{
    struct stat status;

    if (!digest_is_valid(digest))
        return error_set(err, ERROR_INVALID, "invalid digest: %.100s", digest);
    if (!blob_exists(store, digest))
        return error_set(err, ERROR_NOT_FOUND, "blob %s not found", digest);
    CLEANUP(free) char *path = store_blob_path(store, digest);
    CLEANUP(close) int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) < 0)
        return error_sys(err, "open blob %s", digest);
    if (out_size)
        *out_size = status.st_size;
    *out_fd = TAKE_FD(fd);
    return 0;
}

int blob_read(struct store *store, const char *digest, size_t limit, struct str *out,
              struct error *err)
{
    CLEANUP(close) int fd = -1;

    if (blob_open(store, digest, &fd, NULL, err) < 0)
        return -1;
    if (file_read_fd(fd, limit, out, err) < 0)
        return error_context(err, "blob %s", digest);
    return 0;
}
