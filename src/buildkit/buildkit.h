/* BuildKit's protocol over the builder of this engine: what buildx and compose speak to a Docker
 * engine. Two kinds of connections, both HTTP/2 after an upgrade: /grpc, on which the engine
 * serves, and /session, on which the client does. */
#ifndef BERTH_BUILDKIT_BUILDKIT_H
#define BERTH_BUILDKIT_BUILDKIT_H

#include "base/strv.h"
#include "engine/engine.h"
#include "http/connection.h"

struct buildkit;

/* Borrows the engine. */
struct buildkit *buildkit_new(struct engine *engine);
void buildkit_free(struct buildkit *buildkit); /* no connection is served any more; NULL is fine */
CLEANUP_POINTER(buildkit_free, struct buildkit)

/* Serves calls on a connection (taken) until the client closes it or 'cancel_fd' is readable. */
int buildkit_serve(struct buildkit *buildkit, struct http_connection *connection, int cancel_fd,
                   struct error *err);

/* What the headers of a session say. */
struct buildkit_session {
    const char *id, *name, *shared_key; /* name and key may be NULL */
    const struct strv *methods;         /* that the client serves */
};
/* Keeps a connection (taken) for the builds that name the session, as long as buildkit_serve does.
 */
int buildkit_serve_session(struct buildkit *buildkit, struct http_connection *connection,
                           const struct buildkit_session *offer, int cancel_fd, struct error *err);

#endif
