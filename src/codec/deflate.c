/* Compression. Input is gathered into blocks of one size before it is compressed, so that the
 * result depends on the bytes alone and not on how they were cut into writes. */
#include <isa-l/igzip_lib.h>
#include <stdbool.h>
#include <string.h>
#include <zstd.h>

#include "base/memory.h"
#include "codec/compress.h"

#include "base/banned.h"

enum { BLOCK_SIZE = 256 * 1024, OUTPUT_SIZE = 128 * 1024 };

struct deflate_stream {
    struct stream stream;
    struct stream *inner;
    uint8_t *block, *output;
    size_t filled;
    bool is_finished;
    int (*compress)(struct deflate_stream *self, bool is_last, struct error *err);
    struct isal_zstream *gzip;
    uint8_t *gzip_memory;
    ZSTD_CCtx *zstd;
};

static int gzip_compress(struct deflate_stream *self, bool is_last, struct error *err)
{
    struct isal_zstream *gzip = self->gzip;

    gzip->next_in = self->block;
    gzip->avail_in = (uint32_t)self->filled;
    gzip->end_of_stream = is_last;
    do {
        gzip->next_out = self->output;
        gzip->avail_out = OUTPUT_SIZE;
        if (isal_deflate(gzip) != COMP_OK)
            return error_set(err, ERROR_INTERNAL, "gzip: cannot compress");
        size_t size = OUTPUT_SIZE - gzip->avail_out;
        if (size && stream_write(self->inner, self->output, size, err) < 0)
            return -1;
    } while (gzip->avail_out == 0 || gzip->avail_in ||
             (is_last && gzip->internal_state.state != ZSTATE_END));
    return 0;
}

static int zstd_compress(struct deflate_stream *self, bool is_last, struct error *err)
{
    ZSTD_inBuffer in = { self->block, self->filled, 0 };
    size_t left;

    do {
        ZSTD_outBuffer out = { self->output, OUTPUT_SIZE, 0 };

        left = ZSTD_compressStream2(self->zstd, &out, &in, is_last ? ZSTD_e_end : ZSTD_e_continue);
        if (ZSTD_isError(left))
            return error_set(err, ERROR_INTERNAL, "zstd: %s", ZSTD_getErrorName(left));
        if (out.pos && stream_write(self->inner, self->output, out.pos, err) < 0)
            return -1;
    } while (in.pos < in.size || (is_last && left));
    return 0;
}

static int deflate_write(struct stream *stream, const void *data, size_t size, struct error *err)
{
    struct deflate_stream *self = CONTAINER_OF(stream, struct deflate_stream, stream);
    const uint8_t *from = data;

    if (self->is_finished)
        return size ? error_set(err, ERROR_INTERNAL, "the compressed stream is finished") : 0;
    if (size == 0) {
        self->is_finished = true;
        return self->compress(self, true, err);
    }
    while (size) {
        size_t part = MIN(size, BLOCK_SIZE - self->filled);

        memcpy(self->block + self->filled, from, part);
        self->filled += part;
        from += part;
        size -= part;
        if (self->filled < BLOCK_SIZE)
            break;
        if (self->compress(self, false, err) < 0)
            return -1;
        self->filled = 0;
    }
    return 0;
}

static void deflate_close(struct stream *stream)
{
    struct deflate_stream *self = CONTAINER_OF(stream, struct deflate_stream, stream);

    ZSTD_freeCCtx(self->zstd);
    free(self->gzip);
    free(self->gzip_memory);
    free(self->block);
    free(self->output);
    free(self);
}

/* ISA-L knows levels 0 to 3; its best is about what zlib reaches at 4. */
static void start_gzip(struct deflate_stream *self, int level)
{
    static const uint32_t sizes[] = {
        [1] = ISAL_DEF_LVL1_DEFAULT, [2] = ISAL_DEF_LVL2_DEFAULT, [3] = ISAL_DEF_LVL3_DEFAULT
    };
    uint32_t used = level <= 0 || level > 3 ? 3 : (uint32_t)level;

    self->compress = gzip_compress;
    self->gzip = NEW(struct isal_zstream);
    self->gzip_memory = xmalloc(sizes[used]);
    isal_deflate_init(self->gzip);
    self->gzip->level = used;
    self->gzip->level_buf = self->gzip_memory;
    self->gzip->level_buf_size = sizes[used];
    self->gzip->gzip_flag = IGZIP_GZIP;
}

static void start_zstd(struct deflate_stream *self, int level)
{
    self->compress = zstd_compress;
    self->zstd = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(self->zstd, ZSTD_c_compressionLevel, MIN(level, ZSTD_maxCLevel()));
    ZSTD_CCtx_setParameter(self->zstd, ZSTD_c_checksumFlag, 1);
}

struct stream *stream_deflate(struct stream *inner, enum compression compression, int level,
                              struct error *err)
{
    if (compression != COMPRESSION_GZIP && compression != COMPRESSION_ZSTD) {
        error_set(err, ERROR_UNSUPPORTED, "only gzip and zstd can be written");
        return NULL;
    }
    struct deflate_stream *self = NEW(struct deflate_stream);
    self->stream = (struct stream){ .write = deflate_write, .close = deflate_close };
    self->inner = inner;
    self->block = xmalloc(BLOCK_SIZE);
    self->output = xmalloc(OUTPUT_SIZE);
    if (compression == COMPRESSION_GZIP)
        start_gzip(self, level);
    else
        start_zstd(self, level);
    return &self->stream;
}
