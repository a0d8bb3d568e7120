/* Compressed bytes to plain ones and back. What the bytes are is told from their content, never
 * from a name. */
#ifndef BERTH_CODEC_COMPRESS_H
#define BERTH_CODEC_COMPRESS_H

#include <stdint.h>

#include "base/stream.h"

enum compression {
    COMPRESSION_NONE,
    COMPRESSION_GZIP,
    COMPRESSION_ZSTD,
    COMPRESSION_XZ,
    COMPRESSION_BZIP2
};

/* A bomb is stopped: INVALID once more than 'output_bytes' came out, or once the output exceeds
 * RATIO_FREE_BYTES and is more than 'ratio' times the input. 0 means no limit. */
struct inflate_limits {
    uint64_t output_bytes;
    uint64_t ratio;
};
#define INFLATE_RATIO_FREE_BYTES (UINT64_C(64) << 20)

/* A readable stream of the plain bytes of 'inner' (taken). Detects gzip (ISA-L; several members),
 * zstd (libzstd), xz and bzip2 (libarchive's filters, liblzma, libbz2); anything else is passed
 * through. Errors in the data are INVALID. */
struct stream *stream_inflate(struct stream *inner, struct inflate_limits limits,
                              enum compression *out_detected, struct error *err);

/* A writable stream; what is written goes compressed to 'inner' (borrowed, not closed). Finish by
 * stream_write with size 0, then close. GZIP and ZSTD only. */
struct stream *stream_deflate(struct stream *inner, enum compression compression, int level,
                              struct error *err);

#endif
