/* New layers: from archives, from what a build step changed, from a container. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/memory.h"
#include "codec/compress.h"
#include "codec/sha256.h"
#include "store/late_copy.h"
#include "store/layer.h"
#include "store/outline.h"
#include "store/unpack.h"

#include "base/banned.h"

/* Of zstd: for archives that came plain and must be kept, and for outlines, which shrink by any. */
#define KEEP_LEVEL    3
#define OUTLINE_LEVEL 1

/* A directory under tmp/ with "diff" in it; discarded unless it became a layer. */
struct draft {
    struct store *store;
    char *path, *diff_path;
    int diff_fd;
};

static void draft_done(struct draft *draft)
{
    CLEANUP(strv_done) struct strv paths = {};

    if (draft->path && access(draft->path, F_OK) == 0) {
        strv_add(&paths, draft->path);
        store_discard(draft->store, &paths, NULL);
    }
    if (draft->diff_fd >= 0)
        close(draft->diff_fd);
    free(draft->path);
    free(draft->diff_path);
}
CLEANUP_VALUE(draft_done, struct draft)

static int draft_open(struct draft *draft, struct error *err)
{
    draft->diff_fd = open(draft->diff_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return draft->diff_fd < 0 ? error_sys(err, "open %s", draft->diff_path) : 0;
}

static int draft_make(struct draft *draft, struct store *store, struct error *err)
{
    draft->store = store;
    draft->path = store_tmp_name(store, "layer");
    draft->diff_path = path_join(draft->path, "diff");
    if (mkdir(draft->path, 0700) < 0)
        return error_sys(err, "make directory %s", draft->path);
    return 0;
}

/* The same with an empty "diff". */
static int draft_begin(struct draft *draft, struct store *store, struct error *err)
{
    if (draft_make(draft, store, err) < 0)
        return -1;
    if (mkdir(draft->diff_path, 0755) < 0 || chmod(draft->diff_path, 0755) < 0)
        return error_sys(err, "make directory %s", draft->diff_path);
    return draft_open(draft, err);
}

/* ---- outlines ---- */

/* An outline on its way into a blob. */
struct drawing {
    struct stream writing;
    struct blob_writer *blob;
    struct stream *deflate;
    struct outline *outline;
};

static int drawing_write(struct stream *stream, const void *data, size_t size, struct error *err)
{
    return blob_writer_add(CONTAINER_OF(stream, struct drawing, writing)->blob, data, size, err);
}

static int drawing_begin(struct drawing *drawing, struct store *store, struct error *err)
{
    drawing->writing.write = drawing_write;
    if (blob_writer_new(store, &drawing->blob, err) < 0)
        return -1;
    drawing->deflate = stream_deflate(&drawing->writing, COMPRESSION_ZSTD, OUTLINE_LEVEL, err);
    if (!drawing->deflate)
        return -1;
    drawing->outline = outline_new(drawing->deflate);
    return 0;
}

/* 1: it is a blob; 0: the archive has no outline. */
static int drawing_finish(struct drawing *drawing, char out_digest[DIGEST_TEXT_SIZE],
                          struct error *err)
{
    if (!drawing->outline || !outline_finish(drawing->outline))
        return 0;
    if (stream_write(drawing->deflate, "", 0, err) < 0 ||
        blob_writer_finish_as(drawing->blob, NULL, -1, MEDIA_TYPE_OUTLINE, out_digest, err) < 0)
        return -1;
    return 1;
}

static void drawing_done(struct drawing *drawing)
{
    outline_free(drawing->outline);
    stream_close(drawing->deflate);
    blob_writer_free(drawing->blob);
}
CLEANUP_VALUE(drawing_done, struct drawing)

/* ---- archives ---- */

/* Reads on, and keeps what was read: as it is if it is compressed, compressed if it is not. While
 * that is not known, the bytes wait in 'pending'. */
struct keeper {
    struct stream reading, writing; /* reading: for the unpacker; writing: into the blob */
    struct stream *inner;           /* borrowed */
    struct blob_writer *blob;       /* NULL: nothing is kept */
    struct stream *deflate;
    struct buf pending;
    bool is_decided;
};

static int keep(struct keeper *keeper, const void *data, size_t size, struct error *err)
{
    if (!keeper->blob)
        return 0;
    if (keeper->deflate)
        return stream_write(keeper->deflate, data, size, err);
    return blob_writer_add(keeper->blob, data, size, err);
}

static ssize_t keeper_read(struct stream *stream, void *data, size_t size, struct error *err)
{
    struct keeper *keeper = CONTAINER_OF(stream, struct keeper, reading);
    ssize_t count = stream_read(keeper->inner, data, size, err);

    if (count <= 0)
        return count;
    if (!keeper->is_decided)
        buf_add(&keeper->pending, data, (size_t)count);
    else if (keep(keeper, data, (size_t)count, err) < 0)
        return -1;
    return count;
}

static int keeper_write(struct stream *stream, const void *data, size_t size, struct error *err)
{
    return blob_writer_add(CONTAINER_OF(stream, struct keeper, writing)->blob, data, size, err);
}

static void keeper_close(struct stream *stream UNUSED)
{
}

static int keeper_decide(struct keeper *keeper, enum compression compression, struct error *err)
{
    keeper->is_decided = true;
    if (keeper->blob && compression == COMPRESSION_NONE) {
        keeper->deflate = stream_deflate(&keeper->writing, COMPRESSION_ZSTD, KEEP_LEVEL, err);
        if (!keeper->deflate)
            return -1;
    }
    int result = keeper->pending.size
                     ? keep(keeper, buf_bytes(&keeper->pending), keeper->pending.size, err)
                     : 0;
    buf_done(&keeper->pending);
    return result;
}

/* The rest of the archive belongs to the blob, even what is behind the compressed bytes. */
static int keeper_finish(struct keeper *keeper, const char *media_type,
                         char out_digest[DIGEST_TEXT_SIZE], struct error *err)
{
    CLEANUP(free) char *block = xmalloc(64 * 1024);
    ssize_t count;

    if (!keeper->blob)
        return 0;
    while ((count = stream_read(&keeper->reading, block, 64 * 1024, err)) > 0)
        ;
    if (count < 0 || (keeper->deflate && stream_write(keeper->deflate, "", 0, err) < 0))
        return -1;
    return blob_writer_finish_as(keeper->blob, NULL, -1, media_type, out_digest, err);
}

static void keeper_done(struct keeper *keeper)
{
    stream_close(keeper->deflate);
    blob_writer_free(keeper->blob);
    buf_done(&keeper->pending);
}
CLEANUP_VALUE(keeper_done, struct keeper)

static const char *media_type(enum compression compression)
{
    switch (compression) {
    case COMPRESSION_GZIP:
        return MEDIA_TYPE_OCI_LAYER_GZIP;
    case COMPRESSION_NONE: /* Kept as zstd. */
    case COMPRESSION_ZSTD:
        return MEDIA_TYPE_OCI_LAYER_ZSTD;
    default:
        return "application/octet-stream";
    }
}

static struct inflate_limits inflate_limits(const struct store *store)
{
    /* Headers and padding come on top of the files. */
    uint64_t limit = store->layer_size_limit;

    return (struct inflate_limits){ limit + limit / 2 + (UINT64_C(64) << 20), store->ratio_limit };
}

/* What a layer is unpacked over: it may be on its way itself. */
struct ground {
    struct store *store;
    const char *parent_id;
    const struct layer_source *source; /* NULL: the parent is there */
};

static int ground_await(const struct ground *ground, struct error *err)
{
    const struct layer_source *source = ground->source;

    return source && source->await_parent ? source->await_parent(source->data, err) : 0;
}

static int ground_list(void *data, struct strv *out, struct error *err)
{
    const struct ground *ground = data;

    if (ground_await(ground, err) < 0)
        return -1;
    return store_lower(ground->store, ground->parent_id, out, err);
}

/* One archive on its way into a draft. */
struct unpacking {
    struct ground ground;
    struct keeper *keeper;
    struct draft *draft;
    struct drawing *drawing; /* of archives that are plain; NULL: none is wanted */
    struct layer *layer;     /* what comes of it */
    enum compression compression;
};

/* The bytes of a plain blob are known by their digest already. */
static bool has_known_digest(const struct unpacking *unpacking)
{
    return unpacking->ground.source && unpacking->compression == COMPRESSION_NONE;
}

/* The plain bytes, noted and hashed while they are read. */
static struct stream *watch(struct unpacking *unpacking, struct stream *plain, struct sha256 *hash,
                            struct error *err)
{
    struct keeper *keeper = unpacking->keeper;
    struct drawing *drawing = unpacking->drawing;
    bool draws = drawing && unpacking->compression == COMPRESSION_NONE;

    if (draws)
        blob_writer_free(TAKE(keeper->blob));
    if (keeper_decide(keeper, unpacking->compression, err) < 0 ||
        (draws && drawing_begin(drawing, unpacking->ground.store, err) < 0)) {
        stream_close(plain);
        return NULL;
    }
    if (draws)
        plain = outline_read(drawing->outline, plain);
    return has_known_digest(unpacking) ? plain : stream_hash_read(plain, hash);
}

static int settle_root(struct unpacking *unpacking, const struct unpacked *unpacked,
                       struct error *err)
{
    const struct ground *ground = &unpacking->ground;

    if (ground_await(ground, err) < 0)
        return -1;
    return unpacked->has_root ? 0
                              : store_copy_root_attributes(ground->store, ground->parent_id,
                                                           unpacking->draft->diff_fd, err);
}

static int unpack(struct unpacking *unpacking, struct error *err)
{
    struct store *store = unpacking->ground.store;
    struct layer *layer = unpacking->layer;
    struct keeper *keeper = unpacking->keeper;
    CLEANUP(sha256_free) struct sha256 *hash = sha256_new();
    struct unpack options = { .root_fd = unpacking->draft->diff_fd,
                              .marks_by_name = store->driver->marks_by_name,
                              .size_limit = store->layer_size_limit,
                              .entry_limit = store->entry_count_limit,
                              .lower = ground_list,
                              .data = &unpacking->ground };
    struct unpacked unpacked;
    struct stream *plain = stream_inflate(&keeper->reading, inflate_limits(store),
                                          &unpacking->compression, err);

    if (!plain)
        return -1;
    plain = watch(unpacking, plain, hash, err);
    if (!plain)
        return -1;
    options.outline = unpacking->drawing ? unpacking->drawing->outline : NULL;
    if (unpack_archive(&options, plain, &unpacked, err) < 0 ||
        settle_root(unpacking, &unpacked, err) < 0)
        return -1;
    layer->size_bytes = unpacked.size_bytes;
    if (has_known_digest(unpacking))
        snprintf(layer->diff_id, sizeof(layer->diff_id), "%s",
                 unpacking->ground.source->blob_digest);
    else
        sha256_finish(hash, layer->diff_id);
    return keeper_finish(keeper, media_type(unpacking->compression), layer->blob_digest, err);
}

/* What is kept of an archive besides its files. Without an outline, and without the archive, the
 * layer's own form is what counts. */
static int settle_form(struct unpacking *unpacking, struct error *err)
{
    struct layer *layer = unpacking->layer;
    int drawn = 0;

    if (unpacking->drawing && unpacking->compression == COMPRESSION_NONE)
        drawn = drawing_finish(unpacking->drawing, layer->blob_digest, err);
    if (drawn < 0)
        return -1;
    if (drawn)
        return layer_note_plain_form(unpacking->ground.store, layer->diff_id,
                                     outline_archive_form(unpacking->drawing->outline), err);
    return *layer->blob_digest ? 0
                               : layer_digest(unpacking->ground.store, unpacking->draft->diff_fd,
                                              NULL, NULL, layer->diff_id, &layer->size_bytes, err);
}

int store_layer_unpack(struct store *store, const char *parent_id, struct stream *archive,
                       bool canonical, struct layer *out, struct error *err)
{
    CLEANUP(draft_done) struct draft draft = { .diff_fd = -1 };
    CLEANUP(drawing_done) struct drawing drawing = {};
    CLEANUP(keeper_done)
    struct keeper keeper = { .reading = { keeper_read, NULL, keeper_close },
                             .writing = { NULL, keeper_write, keeper_close },
                             .inner = archive };
    struct layer layer = {};
    struct unpacking unpacking = { .ground = { store, parent_id, NULL },
                                   .keeper = &keeper,
                                   .draft = &draft,
                                   .drawing = canonical ? NULL : &drawing,
                                   .layer = &layer };

    snprintf(layer.parent_id, sizeof(layer.parent_id), "%s", parent_id);
    if (draft_begin(&draft, store, err) < 0)
        return -1;
    if (!canonical && blob_writer_new(store, &keeper.blob, err) < 0)
        return -1;
    if (unpack(&unpacking, err) < 0)
        return error_context(err, "unpack layer");
    if (settle_form(&unpacking, err) < 0)
        return -1;
    char kept_digest[DIGEST_TEXT_SIZE];
    memcpy(kept_digest, layer.blob_digest, sizeof(kept_digest));
    int result = layer_publish(store, draft.path, &layer, err);
    if (result < 0 || strcmp(kept_digest, layer.blob_digest) != 0)
        blob_release(store, kept_digest); /* The layer was there already, with another one. */
    if (result == 0)
        *out = layer;
    return result;
}

/* ---- archives that are blobs ---- */

/* Reads a blob and tells how far it is. */
struct blob_reader {
    struct stream stream;
    const struct layer_source *source;
    int fd;
    int64_t done, told, size;
};
#define TELL_SIZE (512 * 1024) /* between two reports */

static ssize_t blob_reader_read(struct stream *stream, void *data, size_t size, struct error *err)
{
    struct blob_reader *reader = CONTAINER_OF(stream, struct blob_reader, stream);
    const struct layer_source *source = reader->source;
    ssize_t count = read(reader->fd, data, size);

    if (count < 0)
        return error_sys(err, "read blob %s", source->blob_digest);
    reader->done += count;
    if (!source->progress || (count && reader->done - reader->told < TELL_SIZE))
        return count;
    reader->told = reader->done;
    if (source->progress(source->data, reader->done, reader->size))
        return error_set(err, ERROR_CANCELLED, "cancelled");
    return count;
}

/* The plain bytes of an archive that cannot be made again from the layer's files. */
static int keep_plain(struct store *store, struct blob_reader *reader, struct layer *layer,
                      struct error *err)
{
    CLEANUP(keeper_done)
    struct keeper keeper = { .reading = { keeper_read, NULL, keeper_close },
                             .writing = { NULL, keeper_write, keeper_close },
                             .inner = &reader->stream };

    if (lseek(reader->fd, 0, SEEK_SET) < 0)
        return error_sys(err, "read blob again");
    reader->done = reader->told = 0;
    if (blob_writer_new(store, &keeper.blob, err) < 0 ||
        keeper_decide(&keeper, COMPRESSION_NONE, err) < 0)
        return -1;
    return keeper_finish(&keeper, media_type(COMPRESSION_NONE), layer->blob_digest, err);
}

static int settle_blob(struct unpacking *unpacking, struct blob_reader *reader, struct error *err)
{
    struct layer *layer = unpacking->layer;
    char wanted_id[DIGEST_TEXT_SIZE];

    memcpy(wanted_id, layer->diff_id, sizeof(wanted_id));
    if (unpacking->compression != COMPRESSION_NONE) {
        snprintf(layer->blob_digest, sizeof(layer->blob_digest), "%s", reader->source->blob_digest);
        return 0;
    }
    if (settle_form(unpacking, err) < 0)
        return -1;
    if (strcmp(wanted_id, layer->diff_id) == 0)
        return 0;
    memcpy(layer->diff_id, wanted_id, sizeof(wanted_id));
    return keep_plain(unpacking->ground.store, reader, layer, err);
}

static int unpack_blob(struct store *store, struct blob_reader *reader, struct draft *draft,
                       struct layer *layer, struct error *err)
{
    CLEANUP(drawing_done) struct drawing drawing = {};
    struct keeper keeper = { .reading = { keeper_read, NULL, keeper_close },
                             .inner = &reader->stream };
    struct unpacking unpacking = { .ground = { store, layer->parent_id, reader->source },
                                   .keeper = &keeper,
                                   .draft = draft,
                                   .drawing = &drawing,
                                   .layer = layer };

    if (unpack(&unpacking, err) < 0)
        return -1;
    if (strcmp(layer->diff_id, reader->source->diff_id) != 0)
        return error_set(err, ERROR_INVALID, "layer %s unpacks to %s instead of %.80s",
                         reader->source->blob_digest, layer->diff_id, reader->source->diff_id);
    return settle_blob(&unpacking, reader, err);
}

int store_layer_unpack_blob(struct store *store, const char *parent_id,
                            const struct layer_source *source, struct layer *out, struct error *err)
{
    CLEANUP(draft_done) struct draft draft = { .diff_fd = -1 };
    CLEANUP(close) int fd = -1;
    struct blob_reader reader = { .stream = { .read = blob_reader_read }, .source = source };
    struct layer layer = {};

    snprintf(layer.parent_id, sizeof(layer.parent_id), "%s", parent_id);
    if (blob_open(store, source->blob_digest, &fd, &reader.size, err) < 0 ||
        draft_begin(&draft, store, err) < 0)
        return -1;
    reader.fd = fd;
    if (unpack_blob(store, &reader, &draft, &layer, err) < 0)
        return error_context(err, "unpack layer");
    char kept_digest[DIGEST_TEXT_SIZE];
    memcpy(kept_digest, layer.blob_digest, sizeof(kept_digest));
    bool is_new_blob = *kept_digest && strcmp(kept_digest, source->blob_digest) != 0;
    int result = layer_publish(store, draft.path, &layer, err);
    if (is_new_blob) /* The layer names it now, or nothing does. */
        blob_release(store, kept_digest);
    if (result == 0)
        *out = layer;
    return result;
}

/* ---- changes ---- */

/* Digests of a tar without entries: the end of an archive, and the end filled up to a record. */
#define EMPTY_TAR_DIGEST "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"
#define EMPTY_RECORD_DIGEST                                                                        \
    "sha256:84ff92691f909a05b224e1c56abb4864f01b4f8e3c854e4bb4c7baf1d3f6d652"

bool store_layer_is_empty(const struct layer *layer)
{
    return strcmp(layer->diff_id, EMPTY_TAR_DIGEST) == 0 ||
           strcmp(layer->diff_id, EMPTY_RECORD_DIGEST) == 0;
}

static int make_of_changes(struct store *store, const char *parent_id,
                           const struct writable *writable, bool use_up,
                           const struct layer_contents *known, struct late_copies *late,
                           struct layer *out, struct error *err)
{
    CLEANUP(draft_done) struct draft draft = { .diff_fd = -1 };
    struct layer layer = {};

    snprintf(layer.parent_id, sizeof(layer.parent_id), "%s", parent_id);
    if (draft_make(&draft, store, err) < 0 ||
        store->driver->take_changes(store, parent_id, writable, use_up, draft.diff_path, late,
                                    err) < 0 ||
        draft_open(&draft, err) < 0 ||
        layer_digest(store, draft.diff_fd, known, late, layer.diff_id, &layer.size_bytes, err) <
            0 ||
        layer_publish(store, draft.path, &layer, err) < 0)
        return -1;
    *out = layer;
    return 0;
}

int store_layer_commit(struct store *store, const char *parent_id, struct writable *writable,
                       const struct layer_contents *known, struct layer *out, struct error *err)
{
    if (make_of_changes(store, parent_id, writable, true, known, NULL, out, err) < 0)
        return error_context(err, "commit layer");
    return store_writable_remove(store, writable, err);
}

int store_layer_copy(struct store *store, const char *parent_id, const struct writable *writable,
                     struct layer *out, struct error *err)
{
    CLEANUP(late_copies_done) struct late_copies late = {};

    if (make_of_changes(store, parent_id, writable, false, NULL, &late, out, err) < 0)
        return error_context(err, "copy layer");
    return 0;
}
