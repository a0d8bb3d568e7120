/* What the client of a session offers a build besides files: credentials, secrets, agents, an
 * archive on its standard input, and places for results. */
#ifndef BERTH_BUILDKIT_OFFER_H
#define BERTH_BUILDKIT_OFFER_H

#include "base/stream.h"
#include "build/secrets.h"
#include "buildkit/peer.h"
#include "engine/image_registry.h"

/* Functions of build_secrets and build_pulls; their data is the session. */
struct build_secrets offer_secrets(struct peer *session);
int offer_credentials(void *session, const char *registry, int cancel_fd, struct credentials *out,
                      struct error *err);

/* The archive that the client sends as "http://buildkit-session/<name>"; the stream is yours, and
 * must not outlive the session. */
int offer_upload(struct peer *session, const char *name, int cancel_fd, struct stream **out,
                 struct error *err);

/* A file of the client's that a result goes into, as a stream to write to. 'exporter' is the place
 * of the exporter among those of the build. What is written is whole once offer_file_finish said
 * so; closing without it calls the transfer off. */
struct offer_file;
int offer_file_new(struct peer *session, size_t exporter, int cancel_fd, struct offer_file **out,
                   struct error *err);
struct stream *offer_file_stream(struct offer_file *file);
int offer_file_finish(struct offer_file *file, struct error *err);
void offer_file_free(struct offer_file *file);
CLEANUP_POINTER(offer_file_free, struct offer_file)

#endif
