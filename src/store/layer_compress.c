/* Layers as gzip, for registries. The compressed form of a layer that was made here is not kept: it
 * is the same each time, so that its digest and size are all that needs to be remembered. */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/pump.h"
#include "codec/compress.h"
#include "codec/sha256.h"
#include "store/layer.h"

#include "base/banned.h"

#define PUSH_LEVEL 1 /* of ISA-L: twice as fast as its best, a few percent larger */

int store_temporary_file(struct store *store, struct error *err)
{
    int fd = open(store->tmp_path, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    return fd < 0 ? error_sys(err, "create a file in %s", store->tmp_path) : fd;
}

/* ---- compressing ---- */

/* Plain bytes are read and compressed by the pump's thread; what comes of them is hashed and passed
 * on by the reader's. */
enum { TRAILER_SIZE = 8 }; /* of gzip: CRC and size of the plain bytes */

struct compressing {
    struct stream reading; /* what is read; */
    struct stream plain;   /* between the layer and its compression; */
    struct stream *deflate, *pump;
    struct store *store;
    struct layer layer;
    struct layer_compressed *out;
    struct plain_form known;
    struct sha256 *plain_hash; /* of bytes whose CRC is not known yet; NULL else */
    struct sha256 *hash;
    uint8_t trailer[TRAILER_SIZE]; /* the last bytes so far */
    int64_t size;
    bool is_finished;
};

static int plain_write(struct stream *stream, const void *data, size_t size, struct error *err)
{
    struct compressing *self = CONTAINER_OF(stream, struct compressing, plain);

    if (self->plain_hash)
        sha256_add(self->plain_hash, data, size);
    self->out->plain_size += (int64_t)size;
    return stream_write(self->deflate, data, size, err);
}

static int write_compressed(void *data, struct stream *out, struct error *err)
{
    struct compressing *self = data;
    CLEANUP(stream_close)
    struct stream *deflate = stream_deflate(out, COMPRESSION_GZIP, PUSH_LEVEL, err);

    self->deflate = deflate;
    if (!deflate || store_layer_write(self->store, self->layer.chain_id, &self->plain, err) < 0)
        return error_context(err, "compress layer %s", self->layer.diff_id);
    return stream_write(deflate, "", 0, err);
}

static void keep_trailer(struct compressing *self, const uint8_t *data, size_t size)
{
    size_t part = MIN(size, TRAILER_SIZE);

    memmove(self->trailer, self->trailer + part, TRAILER_SIZE - part);
    memcpy(self->trailer + TRAILER_SIZE - part, data + size - part, part);
}

static int64_t trailing_crc(const struct compressing *self)
{
    uint32_t crc;

    memcpy(&crc, self->trailer, sizeof(crc));
    return le32toh(crc);
}

static int is_damaged(const struct compressing *self, struct error *err)
{
    return error_set(err, ERROR_INTERNAL, "layer %s: its files were changed or damaged",
                     self->layer.diff_id);
}

/* Of a layer that was damaged on disk nobody could use what is pushed. A digest proves the bytes,
 * and the CRC that the same bytes must have the next time, which costs a fraction of it. */
static int check_plain(struct compressing *self, struct error *err)
{
    struct plain_form found = { self->out->plain_size, trailing_crc(self) };
    char digest[DIGEST_TEXT_SIZE];

    if (!self->plain_hash)
        return found.size == self->known.size && found.crc == self->known.crc
                   ? 0
                   : is_damaged(self, err);
    sha256_finish(self->plain_hash, digest);
    if (strcmp(digest, self->layer.diff_id) != 0)
        return is_damaged(self, err);
    return layer_note_plain_form(self->store, self->layer.diff_id, found, err);
}

static int finish(struct compressing *self, struct error *err)
{
    if (check_plain(self, err) < 0)
        return -1;
    self->is_finished = true;
    sha256_finish(self->hash, self->out->digest);
    self->out->size = self->size;
    return database_run(self->store->database, err,
                        "INSERT OR REPLACE INTO compressed (diff_id, digest, size)"
                        " VALUES (?, ?, ?)",
                        "ssi", self->layer.diff_id, self->out->digest, self->size) < 0
               ? -1
               : 0;
}

static ssize_t compressing_read(struct stream *stream, void *data, size_t size, struct error *err)
{
    struct compressing *self = CONTAINER_OF(stream, struct compressing, reading);
    ssize_t count = stream_read(self->pump, data, size, err);

    if (count > 0) {
        sha256_add(self->hash, data, (size_t)count);
        keep_trailer(self, data, (size_t)count);
        self->size += count;
    } else if (count == 0 && !self->is_finished && finish(self, err) < 0) {
        return -1;
    }
    return count;
}

static void compressing_close(struct stream *stream)
{
    struct compressing *self = CONTAINER_OF(stream, struct compressing, reading);

    if (self->pump)
        stream_close(self->pump);
    sha256_free(self->plain_hash);
    sha256_free(self->hash);
    free(self);
}

int store_layer_compress(struct store *store, const char *chain_id, struct layer_compressed *out,
                         struct stream **out_stream, struct error *err)
{
    struct compressing *self = NEW(struct compressing);
    CLEANUP(stream_close) struct stream *stream = &self->reading;

    self->reading = (struct stream){ .read = compressing_read, .close = compressing_close };
    self->plain = (struct stream){ .write = plain_write };
    self->store = store;
    self->out = out;
    self->hash = sha256_new();
    if (store_layer_get(store, chain_id, &self->layer, err) < 0)
        return -1;
    if (!layer_plain_form(store, self->layer.diff_id, &self->known) || self->known.crc < 0)
        self->plain_hash = sha256_new();
    out->plain_size = 0;
    self->pump = pump_start(write_compressed, self, err);
    if (!self->pump)
        return -1;
    *out_stream = TAKE(stream);
    return 0;
}

/* ---- the plain form ---- */

struct counting_sink {
    struct stream stream;
    int64_t size;
};

static int count_write(struct stream *stream, const void *data UNUSED, size_t size,
                       struct error *err UNUSED)
{
    CONTAINER_OF(stream, struct counting_sink, stream)->size += (int64_t)size;
    return 0;
}

bool layer_plain_form(struct store *store, const char *diff_id, struct plain_form *out)
{
    CLEANUP(query_close) struct query *query = NULL;

    if (database_query(store->database, &query, NULL,
                       "SELECT size, coalesce(crc, -1) FROM plain WHERE diff_id = ?", "s",
                       diff_id) < 0 ||
        query_next(query, NULL) <= 0)
        return false;
    *out = (struct plain_form){ query_int64(query, 0), query_int64(query, 1) };
    return true;
}

int layer_note_plain_form(struct store *store, const char *diff_id, struct plain_form form,
                          struct error *err)
{
    return database_run(store->database, err,
                        "INSERT OR REPLACE INTO plain (diff_id, size, crc)"
                        " VALUES (?, ?, nullif(?, -1))",
                        "sii", diff_id, form.size, form.crc) < 0
               ? -1
               : 0;
}

int store_layer_plain_size(struct store *store, const char *chain_id, int64_t *out_size,
                           struct error *err)
{
    struct counting_sink sink = { .stream = { .write = count_write } };
    struct plain_form known;
    struct layer layer;

    if (store_layer_get(store, chain_id, &layer, err) < 0)
        return -1;
    if (layer_plain_form(store, layer.diff_id, &known)) {
        *out_size = known.size;
        return 0;
    }
    if (store_layer_write(store, chain_id, &sink.stream, err) < 0)
        return -1;
    /* On a full disk it is counted anew the next time. */
    layer_note_plain_form(store, layer.diff_id, (struct plain_form){ sink.size, -1 }, NULL);
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
