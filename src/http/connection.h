/* A byte connection, plain or TLS: what a server accepted, what a client opened, or what is left of
 * either after an upgrade. Reads and writes block; half-closing works in both forms (shutdown, or
 * close_notify on TLS). One thread may read while another writes. */
#ifndef BERTH_HTTP_CONNECTION_H
#define BERTH_HTTP_CONNECTION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

struct http_connection;
struct tls_context; /* http/tls.h */

/* Over a connected socket, which it takes. */
struct http_connection *http_connection_new(int fd);

/* Up to 'size' bytes, 0 when the peer ended its direction. Bytes that were read ahead come first.
 */
ssize_t http_connection_read(struct http_connection *connection, void *data, size_t size,
                             struct error *err);
int http_connection_write(struct http_connection *connection, const void *data, size_t size,
                          struct error *err);

/* Waits until reading would not block. 1 readable (or ended), 0 when 'timeout_ms' (-1: none) passed
 * or 'cancel_fd' (-1: none) became readable. Knows about bytes that TLS or the parser hold already.
 */
int http_connection_wait(struct http_connection *connection, int timeout_ms, int cancel_fd,
                         struct error *err);

int http_connection_shutdown_write(struct http_connection *connection, struct error *err);

/* True for a connection whose socket carries the bytes as they are (no TLS): only then may its
 * descriptor be handed on. */
bool http_connection_is_plain(const struct http_connection *connection);
int http_connection_fd(const struct http_connection *connection);

/* Gives the socket away and ends the connection object: plain connections only (-1 otherwise).
 * Bytes that were read ahead (stdin that came together with the request) are copied to *out_pending
 * (free it), their count to *out_pending_size. */
int http_connection_take_fd(struct http_connection *connection, void **out_pending,
                            size_t *out_pending_size);

/* Puts bytes back in front of what is read next. */
void http_connection_unread(struct http_connection *connection, const void *data, size_t size);

void http_connection_close(struct http_connection *connection); /* NULL is fine */
CLEANUP_POINTER(http_connection_close, struct http_connection)

#endif
