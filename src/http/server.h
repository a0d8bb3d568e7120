/* HTTP/1.1 server: llhttp parses, handlers are plain blocking functions.
 *
 * One thread runs per ACTIVE request (small stacks, threads are reused); connections between
 * requests are parked in one epoll and cost a few hundred bytes. A request's body is pulled by its
 * handler ("100 Continue" goes out on the first read); the answer is either whole (http_reply) or
 * streamed (http_reply_begin, http_reply_write..., end of handler). Unread body is drained up to a
 * limit, or the connection is closed with lingering, so that the client gets the answer.
 *
 * Refused with 400 and closed: two Content-Length, Content-Length with Transfer-Encoding, any
 * Transfer-Encoding but "chunked", bare LF, space before a header's colon, obs-fold, missing or
 * double Host in HTTP/1.1, NUL in headers. */
#ifndef BERTH_HTTP_SERVER_H
#define BERTH_HTTP_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"
#include "http/connection.h"
#include "http/tls.h"

/* Limits; zero in a field stands for the default. Exceeding one is answered 431, 408 or 503 and
 * closes. */
struct http_limits {
    size_t header_size;      /* request line and headers together: 64 KiB */
    size_t header_count;     /* 100 */
    int header_timeout_ms;   /* from the first byte of a request to the end of its headers: 10 s */
    int body_stall_ms;       /* longest wait for further bytes of a body: 60 s */
    int write_stall_ms;      /* longest time a client may take nothing of an answer: 300 s; not for
                                hijacked ones */
    size_t connection_count; /* in all: 4096 */
    size_t uid_connection_count; /* from one user id on unix sockets: 2048 */
    size_t drain_size; /* of an unread body that is read away to keep a connection: 256 KiB */
};

/* One request and its answer, valid during the handler. */
struct http_exchange;
typedef void (*http_handler)(struct http_exchange *exchange, void *data);

struct http_server;
struct http_server *http_server_new(const struct http_limits *limits, http_handler handler,
                                    void *data);

/* Listens on a bound and listening socket (taken). 'tls' (kept by reference until the server ends)
 * may be NULL. */
int http_server_listen(struct http_server *server, int listen_fd, struct tls_context *tls,
                       struct error *err);

/* Serves one already connected socket (taken) like an accepted one: for tests over a socketpair. */
int http_server_adopt(struct http_server *server, int fd, struct error *err);

/* Stops accepting, cancels what runs (http_cancel_fd), waits at most 'timeout_ms' for handlers to
 * end, then shuts their sockets. Frees, unless a handler goes on even so: then the server is left
 * to it, with all that handlers use (false). NULL is fine. */
bool http_server_stop(struct http_server *server, int timeout_ms);

/* Sockets to listen on. unix: the path is replaced if nobody answers there (CONFLICT if somebody
 * does); mode 0660, group of that name if it exists (the first existing of a NULL-ended list), else
 * root's. tcp: "host:port", "[v6]:port". */
int http_listen_unix(const char *path, const char *const *groups, int *out_fd, struct error *err);
int http_listen_tcp(const char *address, int *out_fd, struct error *err);

/* ---- the request ---- */
const char *http_method(const struct http_exchange *exchange);
const char *
http_path(const struct http_exchange *exchange); /* as sent, without the query, not decoded */
const char *http_raw_query(const struct http_exchange *exchange); /* "" if none */
const char *http_header(const struct http_exchange *exchange,
                        const char *name); /* any case; NULL; repeated: joined ", " */
/* Decoded query parameters (and form fields once http_read_form was called; the query wins). First
 * value or NULL. */
const char *http_query(const struct http_exchange *exchange, const char *name);
size_t http_query_count(const struct http_exchange *exchange, const char *name);
const char *http_query_at(const struct http_exchange *exchange, const char *name, size_t index);
bool http_has_body(const struct http_exchange *exchange);
int http_read_form(struct http_exchange *exchange,
                   struct error *err); /* application/x-www-form-urlencoded bodies, ≤ 1 MiB */
/* Next bytes of the body, 0 at its end. */
ssize_t http_read(struct http_exchange *exchange, void *data, size_t size, struct error *err);
/* The whole body; INVALID if it is larger than 'limit'. */
int http_read_all(struct http_exchange *exchange, size_t limit, struct buf *out, struct error *err);
/* The body as a stream (close does not drain). Valid during the handler. */
struct stream *http_body_stream(struct http_exchange *exchange);
/* Becomes readable when the client has gone or the server stops. A client that ends its direction
 * only is still there on unix sockets; on TCP nothing tells it from one that closed, so there the
 * end counts once the body is read. */
int http_cancel_fd(struct http_exchange *exchange);
bool http_is_cancelled(struct http_exchange *exchange);
/* Who is there: user id on unix sockets (-1 otherwise); subject of the client certificate on TLS
 * (NULL otherwise). */
int64_t http_peer_uid(const struct http_exchange *exchange);
const char *http_peer_subject(const struct http_exchange *exchange);
/* "192.0.2.1:4000", "[2001:db8::1]:4000"; yours, NULL on unix sockets. */
char *http_peer_address(const struct http_exchange *exchange);

/* ---- the answer ---- */
/* Headers to send; before the answer begins. Replaces one of the same name. */
void http_set_header(struct http_exchange *exchange, const char *name, const char *value);
/* A whole answer with Content-Length. No body for 204, 304 and HEAD. */
int http_reply(struct http_exchange *exchange, int status, const char *content_type,
               const void *body, size_t size, struct error *err);
/* Sends status and headers AT ONCE; what follows is chunked (or, to HTTP/1.0, ended by closing), or
 * has the size that the handler set as Content-Length. */
int http_reply_begin(struct http_exchange *exchange, int status, const char *content_type,
                     struct error *err);
/* One chunk, sent at once. May be called while another thread reads the body, and by several. */
int http_reply_write(struct http_exchange *exchange, const void *data, size_t size,
                     struct error *err);
/* 'size' bytes of a file from 'offset' on, in one chunk if the answer has no Content-Length:
 * without a copy where the connection is plain; the program must ignore SIGPIPE then. */
int http_reply_file(struct http_exchange *exchange, int fd, int64_t offset, uint64_t size,
                    struct error *err);
/* An answer that has begun and cannot be ended well: the client will see that it is cut. */
void http_reply_break(struct http_exchange *exchange);
bool http_reply_has_begun(const struct http_exchange *exchange);
/* As a stream to write to (each write is one chunk). Valid during the handler. */
struct stream *http_reply_stream(struct http_exchange *exchange);

/* Takes the connection over: writes 'head' (status line, headers, blank line) as it stands, and
 * gives the raw connection, which the handler now owns. Bytes that the client sent behind its
 * request (after its body, if it has a Content-Length) are read first from it. */
int http_hijack(struct http_exchange *exchange, const char *head, struct http_connection **out,
                struct error *err);

/* Percent-decoding of one path segment or value; '+' is a blank only when 'is_form'. NULL for
 * broken escapes or NUL. */
char *http_url_decode(const char *text, size_t length, bool is_form);
char *http_url_encode(const char *text); /* everything but unreserved characters */

#endif
