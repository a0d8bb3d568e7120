/* Sessions: connections on which the client serves (POST /session): its files, secrets, agents,
 * credentials, and places for what is built. They are found by an id that a build names. */
#ifndef BERTH_BUILDKIT_PEER_H
#define BERTH_BUILDKIT_PEER_H

#include <stdatomic.h>

#include "base/map.h"
#include "base/strv.h"
#include "base/thread.h"
#include "http/http2.h"

enum {
    SESSION_LIMIT = 1024,       /* at once */
    SESSION_METHOD_LIMIT = 256, /* that one may offer */
    SESSION_WAIT_MS = 10000,    /* for a session that a build names and that is not there yet */
};

struct peer {
    atomic_int reference_count;
    char *id, *name, *shared_key; /* the key is "" if there is none */
    struct strv methods;          /* "/package.Service/Method" that the client serves */
    struct http2 *channel;
};
struct peer *peer_ref(struct peer *session);
void peer_unref(struct peer *session);
CLEANUP_POINTER(peer_unref, struct peer)

bool peer_offers(const struct peer *session, const char *method);
/* UNSUPPORTED unless the client serves the method; 'what' says what is missing then. */
int peer_need(const struct peer *session, const char *method, const char *what, struct error *err);

struct peers {
    struct mutex lock;
    struct condition changed;
    struct map items; /* id → struct peer, a reference; guarded by lock */
};
void peers_init(struct peers *sessions);
void peers_done(struct peers *sessions);

/* Serves a connection (taken) until the client closes it or 'cancel_fd' is readable: others find
 * it under 'id' meanwhile. CONFLICT if there is one of that id. */
int peers_run(struct peers *sessions, struct http_connection *connection, const char *id,
              const char *name, const char *shared_key, const struct strv *methods, int cancel_fd,
              struct error *err);

/* Finds a session; one that is on its way is waited for. NOT_FOUND, CANCELLED. */
int peers_find(struct peers *sessions, const char *id, int cancel_fd, struct peer **out,
               struct error *err);

#endif
