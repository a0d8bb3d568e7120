/* HTTP/1.1 client for the Docker API: unix sockets, TCP, TLS and ssh; streaming answers and
 * upgrades. (Registries are spoken to through libcurl in registry/.) */
#ifndef BERTH_HTTP_CLIENT_H
#define BERTH_HTTP_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/map.h"
#include "base/str.h"
#include "base/stream.h"
#include "http/connection.h"
#include "http/tls.h"

/* Where a server is. Keeps one idle connection for reuse. Safe to use from several threads. */
struct http_client;

/* 'url': unix:///path, tcp://host:port, http://host:port, https://host:port,
 * ssh://[user@]host[:port][/socket] (runs ssh with "docker system dial-stdio"). 'tls' is used for
 * tcp:// when given (kept by reference). INVALID for other schemes. */
int http_client_new(const char *url, struct tls_context *tls, struct http_client **out,
                    struct error *err);
void http_client_free(struct http_client *client);
CLEANUP_POINTER(http_client_free, struct http_client)

/* An answer that pauses for longer than that is UNAVAILABLE, and so is a server that takes no
 * connection meanwhile; as long as it takes otherwise. To be called before the first request. */
void http_client_limit_silence(struct http_client *client, int limit_ms);

/* A fresh connection without a request: for those who pass bytes on. */
int http_client_dial(struct http_client *client, struct http_connection **out, struct error *err);

struct http_request {
    const char *method;
    const char *target;        /* path with query, encoded */
    const struct map *headers; /* texts; may be NULL */
    const void *body; /* sent with Content-Length when 'body_size' or 'content_type' is set */
    size_t body_size;
    struct stream *body_stream; /* sent chunked instead; borrowed */
    const char *content_type;
    bool upgrade; /* adds Connection: Upgrade, Upgrade: tcp */
};

struct http_response;
/* Sends the request and reads the head of the answer. While a body_stream is being sent an early
 * answer is accepted. UNAVAILABLE when nobody answers there. */
int http_client_send(struct http_client *client, const struct http_request *request,
                     struct http_response **out, struct error *err);

int http_response_status(const struct http_response *response);
const char *http_response_header(const struct http_response *response, const char *name);
/* Body bytes as they come, 0 at the end. */
ssize_t http_response_read(struct http_response *response, void *data, size_t size,
                           struct error *err);
int http_response_read_all(struct http_response *response, size_t limit, struct str *out,
                           struct error *err);
/* The body as a stream (borrowed from the response). */
struct stream *http_response_stream(struct http_response *response);
/* Descriptor to poll together with http_response_has_pending() before a read. */
int http_response_fd(const struct http_response *response);
bool http_response_has_pending(const struct http_response *response);
/* After 101, or 200 to an upgrade request: the connection is yours; the response remains to be
 * freed. */
struct http_connection *http_response_take_connection(struct http_response *response);
void http_response_free(struct http_response *response);
CLEANUP_POINTER(http_response_free, struct http_response)

#endif
