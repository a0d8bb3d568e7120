/* One repository at one endpoint, and who we are there. The first refusal (401) tells what the
 * server wants to see; the session gets it and asks again. Safe to use from several threads. */
#ifndef BERTH_REGISTRY_AUTH_H
#define BERTH_REGISTRY_AUTH_H

#include "registry/endpoint.h"
#include "registry/transport.h"

enum session_action { SESSION_PULL, SESSION_PUSH, SESSION_CATALOG };

struct session;
/* 'repository' may be "" (login). Credentials are copied; a mirror gets none. */
struct session *session_new(struct transport *transport, const struct endpoint *endpoint,
                            const char *repository, enum session_action action,
                            const struct credentials *credentials);
struct session *session_ref(struct session *session);
void session_unref(struct session *session);
CLEANUP_POINTER(session_unref, struct session)

/* "<base>/v2/<repository><format>"; yours. */
char *session_url(const struct session *session, const char *format, ...) PRINTF(2, 3);
const char *session_base(const struct session *session);
const char *session_repository(const struct session *session);
/* The same text for the same credentials, another one for others; it gives nothing away. */
void session_identity(const struct session *session, char out[DIGEST_TEXT_SIZE]);
/* How often to try; 0: nothing was said. */
int session_attempt_limit(const struct session *session);
/* Further repositories to be read from (mounting blobs); before the first call. */
void session_add_source(struct session *session, const char *repository);
/* A refresh token that the token server gave; NULL if none. Yours. */
char *session_identity_token(struct session *session);
/* Asks token servers for a refresh token (login). */
void session_want_identity_token(struct session *session);

/* transport_call with what the server wants to see. Credentials go along only to the session's own
 * origin. UNAUTHORIZED "unauthorized: authentication required" if that is not enough; INTERNAL
 * "… no basic auth credentials" if there are none. Other statuses are left to the caller. */
int session_call(struct session *session, struct call *call, struct answer *out, struct error *err);

/* The error of an answer that is no success: the registry's own words as Docker has them
 * ("manifest unknown: manifest unknown"), and a kind. UNAVAILABLE: trying again may help. */
int answer_error(const struct answer *answer, const char *what, struct error *err);

#endif
