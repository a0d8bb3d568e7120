/* BuildKit's protocol over the builder of this engine: what buildx and compose speak to a Docker
 * engine. Two kinds of connections, both HTTP/2 after an upgrade: /grpc, on which the engine
 * serves, and /session, on which the client does. */
#ifndef BERTH_BUILDKIT_BUILDKIT_H
#define BERTH_BUILDKIT_BUILDKIT_H

#include "base/map.h"
#include "base/stream.h"
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

/* A build that is asked for by POST /build, as clients before 23.0 do: the context and all else
 * still comes over a session. */
struct buildkit_build {
    const char *ref; /* the client's name for it; NULL: none */
    const char *session_id;
    const struct map *attributes; /* of the Dockerfile frontend: texts */
    const struct strv *entitlements;
    const char *exporter; /* "image", "local", …; NULL: nothing but the cache */
    const struct map *exporter_attributes;
    bool is_uploaded; /* the context comes by buildkit_upload with the same ref */
    int cancel_fd;
    /* Each message (StatusResponse) of its progress, from the calling thread. */
    void (*status)(void *data, const void *message, size_t size);
    void *data;
};
/* 'image_id' is "" if no image was kept. */
int buildkit_build(struct buildkit *buildkit, const struct buildkit_build *build, char image_id[72],
                   struct error *err);

/* Waits until the session is there. NOT_FOUND, CANCELLED. */
int buildkit_session_wait(struct buildkit *buildkit, const char *session_id, int cancel_fd,
                          struct error *err);

/* Ends a session from this end; none of that id is fine. */
void buildkit_session_end(struct buildkit *buildkit, const char *session_id);

/* Hands a context (tar, borrowed) to the build named 'ref', and returns when that has read it.
 * NOT_FOUND if no such build wants it within UPLOAD_WAIT_MS. */
int buildkit_upload(struct buildkit *buildkit, const char *ref, struct stream *archive,
                    int cancel_fd, struct error *err);

/* Calls a build off; none of that name is fine. */
void buildkit_cancel(struct buildkit *buildkit, const char *ref);

#endif
