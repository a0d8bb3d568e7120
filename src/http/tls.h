/* TLS settings of a server or a client (OpenSSL, TLS 1.2 and later). */
#ifndef BERTH_HTTP_TLS_H
#define BERTH_HTTP_TLS_H

#include <stdbool.h>

#include "base/error.h"
#include "http/connection.h"

struct tls_options {
    const char *ca_path; /* certificates that the peer's must chain to; NULL: the system's (client),
                            none (server) */
    const char *cert_path; /* ours, PEM; NULL: none (client only) */
    const char *key_path;
    bool verify_peer; /* server: demand a client certificate; client: check the server's certificate
                         and name */
};

struct tls_context;
int tls_server_new(const struct tls_options *options, struct tls_context **out, struct error *err);
int tls_client_new(const struct tls_options *options, struct tls_context **out, struct error *err);
void tls_context_free(struct tls_context *context);
CLEANUP_POINTER(tls_context_free, struct tls_context)

/* Handshakes on a connected socket (taken). 'host' is the name to verify (client). 'timeout_ms'
 * bounds the handshake. */
int tls_accept(struct tls_context *context, int fd, int timeout_ms, struct http_connection **out,
               struct error *err);
int tls_connect(struct tls_context *context, int fd, const char *host, struct http_connection **out,
                struct error *err);

#endif
