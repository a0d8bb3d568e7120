/* Bytes that come or go, whatever is behind them. An implementation embeds struct stream and fills
 * the functions. */
#ifndef BERTH_BASE_STREAM_H
#define BERTH_BASE_STREAM_H

#include <sys/types.h>

#include "base/error.h"

struct stream {
    /* Up to 'size' bytes, 0 at the end. NULL: not readable. */
    ssize_t (*read)(struct stream *stream, void *data, size_t size, struct error *err);
    /* All of them, or -1. NULL: not writable. */
    int (*write)(struct stream *stream, const void *data, size_t size, struct error *err);
    /* Frees the stream. Errors that matter (a checksum at the end) have been told by read or write
     * before. */
    void (*close)(struct stream *stream);
    /* 'size' bytes of a file, from its offset on, which moves; without going through memory of ours
     * where the kernel can. NULL: they are read and written. */
    int (*write_file)(struct stream *stream, int fd, size_t size, struct error *err);
};

ssize_t stream_read(struct stream *stream, void *data, size_t size, struct error *err);
int stream_write(struct stream *stream, const void *data, size_t size, struct error *err);
/* CONFLICT if the file is shorter. */
int stream_write_file(struct stream *stream, int fd, size_t size, struct error *err);
void stream_close(struct stream *stream); /* NULL is fine */
CLEANUP_POINTER(stream_close, struct stream)

/* Over a descriptor, which the stream closes at its end if 'owns' is set. */
struct stream *stream_from_fd(int fd, int owns);

/* Over bytes in memory, which must outlive it. */
struct stream *stream_from_memory(const void *data, size_t size);

/* Moves everything from one to the other; returns the count, -1 on error. */
ssize_t stream_copy(struct stream *from, struct stream *to, struct error *err);

#endif
