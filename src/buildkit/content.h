/* A directory of the client's as a store of blobs (an OCI layout that it offers over its session):
 * the service containerd.services.content.v1.Content. Who reads checks digests; who writes says
 * them, and the client checks.
 * https://github.com/containerd/containerd/blob/v2.0.0/api/services/content/v1/content.proto */
#ifndef BERTH_BUILDKIT_CONTENT_H
#define BERTH_BUILDKIT_CONTENT_H

#include "base/stream.h"
#include "buildkit/peer.h"

struct content_store {
    struct peer *session;
    const char *id; /* "local:" and the directory as the client named it */
    int cancel_fd;
};

/* A blob as a stream, which must not outlive the session. NOT_FOUND comes with the first read. */
int content_open(const struct content_store *store, const char *digest, struct stream **out,
                 struct error *err);

/* A blob on its way there. 1: it is to be written; 0: the client has it already. What is not
 * finished does not count, and the client is told to forget it. */
struct content_writer;
int content_writer_new(const struct content_store *store, const char *digest, int64_t size,
                       struct content_writer **out, struct error *err);
struct stream *content_writer_stream(struct content_writer *writer);
/* All bytes were written. */
int content_writer_finish(struct content_writer *writer, struct error *err);
void content_writer_free(struct content_writer *writer);
CLEANUP_POINTER(content_writer_free, struct content_writer)

/* ---- messages ---- */

/* A part of a blob, borrowed from the message. */
struct content_block {
    int64_t offset;
    const uint8_t *bytes;
    size_t size;
};
int content_block_read(const void *message, size_t size, struct content_block *out,
                       struct error *err);

#endif
