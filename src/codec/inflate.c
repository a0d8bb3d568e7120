/* Decompression: the first bytes choose a decoder, and what comes out is measured against what went
 * in. */
#include <string.h>

#include "base/memory.h"
#include "codec/compress.h"
#include "codec/decoder.h"

#include "base/banned.h"

struct inflate_stream {
    struct stream stream;
    struct decoder_input input;
    struct decoder *decoder; /* NULL: the bytes are plain */
    struct inflate_limits limits;
    uint64_t output_bytes;
};

/* clang-format off */
static const struct {
    const char *bytes;
    size_t size;
    enum compression compression;
    struct decoder *(*new_decoder)(void);
} magics[] = {
    { "\x1f\x8b\x08",             3, COMPRESSION_GZIP,  decoder_gzip_new    },
    { "\x28\xb5\x2f\xfd",         4, COMPRESSION_ZSTD,  decoder_zstd_new    },
    { "\xfd" "7zXZ\0",            6, COMPRESSION_XZ,    decoder_archive_new },
    { "BZh",                      3, COMPRESSION_BZIP2, decoder_archive_new },
};
enum { MAGIC_SIZE = 10 };
/* clang-format on */

int decoder_input_fill(struct decoder_input *input, struct error *err)
{
    if (input->start < input->end)
        return 1;
    if (input->is_over)
        return 0;
    ssize_t count = stream_read(input->stream, input->bytes, DECODER_INPUT_SIZE, err);
    if (count < 0)
        return -1;
    input->start = 0;
    input->end = (size_t)count;
    input->total += (uint64_t)count;
    input->is_over = count == 0;
    return count > 0;
}

/* Reads until the first bytes are there or nothing more comes. */
static int peek(struct decoder_input *input, struct error *err)
{
    while (input->end < MAGIC_SIZE) {
        ssize_t count = stream_read(input->stream, input->bytes + input->end,
                                    DECODER_INPUT_SIZE - input->end, err);

        if (count < 0)
            return -1;
        if (count == 0)
            break;
        input->end += (size_t)count;
        input->total += (uint64_t)count;
    }
    return 0;
}

static bool is_magic(const struct decoder_input *input, size_t index)
{
    if (input->end < magics[index].size ||
        memcmp(input->bytes, magics[index].bytes, magics[index].size) != 0)
        return false;
    if (magics[index].compression != COMPRESSION_BZIP2)
        return true;
    /* Level, then the magic of the first block or of the end: three letters alone are a text. */
    return input->end >= 10 && input->bytes[3] >= '1' && input->bytes[3] <= '9' &&
           (memcmp(input->bytes + 4, "\x31\x41\x59\x26\x53\x59", 6) == 0 ||
            memcmp(input->bytes + 4, "\x17\x72\x45\x38\x50\x90", 6) == 0);
}

static enum compression choose_decoder(struct inflate_stream *self)
{
    for (size_t i = 0; i < COUNT(magics); i++) {
        if (!is_magic(&self->input, i))
            continue;
        self->decoder = magics[i].new_decoder();
        return magics[i].compression;
    }
    return COMPRESSION_NONE;
}

/* Plain bytes: what was peeked at first, then straight into the reader's memory. */
static ssize_t pass_through(struct decoder_input *input, void *data, size_t size, struct error *err)
{
    size_t left = MIN(size, input->end - input->start);

    if (!left) {
        ssize_t count = input->is_over ? 0 : stream_read(input->stream, data, size, err);

        input->is_over |= count == 0;
        return count;
    }
    memcpy(data, input->bytes + input->start, left);
    input->start += left;
    return (ssize_t)left;
}

static int check_limits(const struct inflate_stream *self, struct error *err)
{
    uint64_t ratio = self->limits.ratio;

    if (self->limits.output_bytes && self->output_bytes > self->limits.output_bytes)
        return error_set(err, ERROR_INVALID, "decompressed data exceed %llu bytes",
                         (unsigned long long)self->limits.output_bytes);
    if (ratio && self->decoder && self->output_bytes > INFLATE_RATIO_FREE_BYTES &&
        self->output_bytes / ratio > self->input.total)
        return error_set(err, ERROR_INVALID,
                         "decompressed data exceed %llu times the compressed size",
                         (unsigned long long)ratio);
    return 0;
}

static ssize_t inflate_read(struct stream *stream, void *data, size_t size, struct error *err)
{
    struct inflate_stream *self = CONTAINER_OF(stream, struct inflate_stream, stream);
    ssize_t count;

    if (size == 0)
        return 0;
    if (self->decoder)
        count = self->decoder->decode(self->decoder, &self->input, data, size, err);
    else
        count = pass_through(&self->input, data, size, err);
    if (count <= 0)
        return count;
    self->output_bytes += (uint64_t)count;
    return check_limits(self, err) < 0 ? -1 : count;
}

static void inflate_close(struct stream *stream)
{
    struct inflate_stream *self = CONTAINER_OF(stream, struct inflate_stream, stream);

    if (self->decoder)
        self->decoder->free(self->decoder);
    stream_close(self->input.stream);
    free(self->input.bytes);
    free(self);
}

struct stream *stream_inflate(struct stream *inner, struct inflate_limits limits,
                              enum compression *out_detected, struct error *err)
{
    struct inflate_stream *self = NEW(struct inflate_stream);

    self->stream = (struct stream){ .read = inflate_read, .close = inflate_close };
    self->limits = limits;
    self->input.stream = inner;
    self->input.bytes = xmalloc(DECODER_INPUT_SIZE);
    if (peek(&self->input, err) < 0) {
        inflate_close(&self->stream);
        return NULL;
    }
    enum compression detected = choose_decoder(self);
    if (out_detected)
        *out_detected = detected;
    return &self->stream;
}
