/* Layers as gzip, for registries. The compressed form of a layer that was made here is not kept: it
 * is the same each time, so that its digest and size are all that needs to be remembered. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/file.h"
#include "codec/compress.h"
#include "codec/sha256.h"
#include "store/layer.h"

#include "base/banned.h"

#define PUSH_LEVEL 1 /* of ISA-L: twice as fast as its best, a few percent larger */

struct file_sink {
    struct stream stream;
    struct sha256 *hash;
    int fd;
    int64_t size;
};

static int sink_write(struct stream *stream, const void *data, size_t size, struct error *err)
{
    struct file_sink *sink = CONTAINER_OF(stream, struct file_sink, stream);

    sha256_add(sink->hash, data, size);
    sink->size += (int64_t)size;
    return fd_write_all(sink->fd, data, size, err);
}

int store_temporary_file(struct store *store, struct error *err)
{
    int fd = open(store->tmp_path, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    return fd < 0 ? error_sys(err, "create a file in %s", store->tmp_path) : fd;
}

static int compress(struct store *store, const char *chain_id, struct file_sink *sink,
                    struct error *err)
{
    CLEANUP(stream_close)
    struct stream *deflate = stream_deflate(&sink->stream, COMPRESSION_GZIP, PUSH_LEVEL, err);

    if (!deflate || store_layer_write(store, chain_id, deflate, err) < 0)
        return -1;
    return stream_write(deflate, "", 0, err);
}

int store_layer_compress(struct store *store, const char *chain_id, int *out_fd,
                         char out_digest[DIGEST_TEXT_SIZE], int64_t *out_size, struct error *err)
{
    CLEANUP(sha256_free) struct sha256 *hash = sha256_new();
    CLEANUP(close) int fd = store_temporary_file(store, err);
    struct file_sink sink = { .stream = { .write = sink_write }, .hash = hash, .fd = fd };
    struct layer layer;

    if (fd < 0 || store_layer_get(store, chain_id, &layer, err) < 0)
        return -1;
    if (compress(store, chain_id, &sink, err) < 0)
        return error_context(err, "compress layer %s", chain_id);
    if (lseek(fd, 0, SEEK_SET) < 0)
        return error_sys(err, "read compressed layer");
    sha256_finish(hash, out_digest);
    if (database_run(store->database, err,
                     "INSERT OR REPLACE INTO compressed (diff_id, digest, size) VALUES (?, ?, ?)",
                     "ssi", layer.diff_id, out_digest, sink.size) < 0)
        return -1;
    *out_size = sink.size;
    *out_fd = TAKE_FD(fd);
    return 0;
}

/* ---- the plain form ---- */

static int count_write(struct stream *stream, const void *data UNUSED, size_t size,
                       struct error *err UNUSED)
{
    CONTAINER_OF(stream, struct file_sink, stream)->size += (int64_t)size;
    return 0;
}

static bool remembered_size(struct store *store, const char *diff_id, int64_t *out_size)
{
    CLEANUP(query_close) struct query *query = NULL;

    if (database_query(store->database, &query, NULL, "SELECT size FROM plain WHERE diff_id = ?",
                       "s", diff_id) < 0 ||
        query_next(query, NULL) <= 0)
        return false;
    *out_size = query_int64(query, 0);
    return true;
}

int store_layer_note_plain_size(struct store *store, const char *diff_id, int64_t size,
                                struct error *err)
{
    return database_run(store->database, err,
                        "INSERT OR REPLACE INTO plain (diff_id, size) VALUES (?, ?)", "si", diff_id,
                        size) < 0
               ? -1
               : 0;
}

int store_layer_plain_size(struct store *store, const char *chain_id, int64_t *out_size,
                           struct error *err)
{
    struct file_sink sink = { .stream = { .write = count_write } };
    struct layer layer;

    if (store_layer_get(store, chain_id, &layer, err) < 0)
        return -1;
    if (remembered_size(store, layer.diff_id, out_size))
        return 0;
    if (store_layer_write(store, chain_id, &sink.stream, err) < 0)
        return -1;
    /* On a full disk it is counted anew the next time. */
    store_layer_note_plain_size(store, layer.diff_id, sink.size, NULL);
    *out_size = sink.size;
    return 0;
}

/* ---- the compressed form ---- */

bool store_layer_compressed(struct store *store, const char *diff_id,
                            char out_digest[DIGEST_TEXT_SIZE], int64_t *out_size)
{
    CLEANUP(query_close) struct query *query = NULL;

    if (database_query(store->database, &query, NULL,
                       "SELECT digest, size FROM compressed WHERE diff_id = ?", "s", diff_id) < 0 ||
        query_next(query, NULL) <= 0 || !digest_is_valid(query_text(query, 0)))
        return false;
    snprintf(out_digest, DIGEST_TEXT_SIZE, "%s", query_text(query, 0));
    *out_size = query_int64(query, 1);
    return true;
}
