/* The inside of http_connection, for server and client: reading without blocking, limits in time,
 * and what TLS has to offer. Not for users of http/. */
#ifndef BERTH_HTTP_TRANSPORT_H
#define BERTH_HTTP_TRANSPORT_H

#include <sys/types.h>
#include <sys/uio.h>

#include "base/buf.h"
#include "base/error.h"
#include "http/connection.h"

struct tls_session;

struct http_connection {
    int fd;
    struct tls_session *tls; /* NULL: plain */
    struct buf ahead;        /* read, but not yet asked for */
    int read_timeout_ms;     /* longest silence in a read, -1: none */
    int write_timeout_ms;    /* longest time that nothing could be written, -1: none */
    int cancel_fd;           /* readable: reads end with CANCELLED; -1: none (borrowed) */
    bool read_timed_out;
    pid_t helper; /* the process at the other end (ssh), ended and waited for on close; 0: none */
};

enum { WOULD_BLOCK = -2 };

/* One read of what is there: a count, 0 at the end, -1, or WOULD_BLOCK with the poll events to wait
 * for. Does not look at 'ahead'. */
ssize_t http_connection_try_read(struct http_connection *connection, void *data, size_t size,
                                 short *out_events, struct error *err);
ssize_t http_connection_try_write(struct http_connection *connection, const void *data, size_t size,
                                  short *out_events, struct error *err);

/* Reads what is there behind 'ahead', until that holds 'limit' bytes. 1: something may still come,
 * 0: the peer ended its direction, -1. */
int http_connection_fill(struct http_connection *connection, size_t limit, struct error *err);

/* Writes all parts, in as few packets as possible. The parts are changed. */
int http_connection_write_parts(struct http_connection *connection, struct iovec *parts,
                                size_t count, struct error *err);

/* Writes 'size' bytes of a file from 'offset' on; through the kernel alone on a plain connection.
 */
int http_connection_write_file(struct http_connection *connection, int fd, int64_t offset,
                               uint64_t size, struct error *err);

/* Waits for poll events. 1, 0 after 'timeout_ms', WAS_CANCELLED when 'cancel_fd' is readable. */
enum { WAS_CANCELLED = 2 };
int http_connection_poll(struct http_connection *connection, short events, int timeout_ms,
                         int cancel_fd, struct error *err);

/* Shakes hands on a plain connection, as the server of it; the connection is TLS then, or, on
 * failure, fit for closing only (tls.c). */
int tls_serve(struct tls_context *context, struct http_connection *connection, int timeout_ms,
              struct error *err);

/* ---- TLS (tls_session.c); all of them never block and lock for themselves ---- */
ssize_t tls_session_read(struct tls_session *session, void *data, size_t size, short *out_events,
                         struct error *err);
ssize_t tls_session_write(struct tls_session *session, const void *data, size_t size,
                          short *out_events, struct error *err);
/* Sends close_notify. 0, -1 or WOULD_BLOCK. */
int tls_session_shutdown(struct tls_session *session, short *out_events, struct error *err);
const char *tls_session_subject(const struct tls_session *session); /* of the peer, or NULL */
void tls_session_free(struct tls_session *session);
CLEANUP_POINTER(tls_session_free, struct tls_session)

#endif
