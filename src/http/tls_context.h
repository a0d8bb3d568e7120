/* What tls.c makes and tls_session.c uses: the only two files that see OpenSSL. */
#ifndef BERTH_HTTP_TLS_CONTEXT_H
#define BERTH_HTTP_TLS_CONTEXT_H

#include <openssl/ssl.h>

#include "base/error.h"
#include "http/transport.h"

/* A session over a connected socket (borrowed), before its handshake. */
struct tls_session *tls_session_new(SSL_CTX *context, int fd, struct error *err);
SSL *tls_session_ssl(struct tls_session *session);

/* One step of the handshake. 0, -1 or WOULD_BLOCK. UNAUTHORIZED when a certificate was refused. */
int tls_session_handshake(struct tls_session *session, short *out_events, struct error *err);

/* Describes the failure that OpenSSL remembers for this thread; returns -1. */
int tls_error(struct error *err, const char *what);

#endif
