/* One way of decompressing, behind stream_inflate. Private to inflate.c and decoder_*.c. */
#ifndef BERTH_CODEC_DECODER_H
#define BERTH_CODEC_DECODER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/stream.h"
#include "codec/compress.h"

/* Compressed bytes on their way from a stream: those between 'start' and 'end' are read and unused.
 */
struct decoder_input {
    struct stream *stream;
    uint8_t *bytes;
    size_t start, end;
    uint64_t total; /* bytes read so far */
    bool is_over;
};
#define DECODER_INPUT_SIZE ((size_t)128 * 1024)

/* 1: at least one byte is there; 0: the stream is over and all is used. */
int decoder_input_fill(struct decoder_input *input, struct error *err);

struct decoder {
    /* Up to 'size' plain bytes, 0 at the end of the last member, frame or stream. INVALID for data
     * that are broken, cut ("unexpected EOF") or followed by something else. */
    ssize_t (*decode)(struct decoder *decoder, struct decoder_input *input, void *data, size_t size,
                      struct error *err);
    void (*free)(struct decoder *decoder);
};

struct decoder *decoder_gzip_new(void);
struct decoder *decoder_zstd_new(void);
struct decoder *decoder_archive_new(void); /* xz and bzip2 */

#endif
