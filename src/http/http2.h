/* HTTP/2 on a connection that was upgraded, in either role: requests as streams of bytes in both
 * directions, with headers in front and behind. The bytes of all streams wait in memory until they
 * are read, bounded by the windows that the peer is given. A stream may be read by one thread while
 * another writes it; different streams are independent. */
#ifndef BERTH_HTTP_HTTP2_H
#define BERTH_HTTP_HTTP2_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/strv.h"
#include "http/connection.h"

enum {
    HTTP2_STREAM_WINDOW = 1 << 20,     /* bytes of a stream that are not read yet */
    HTTP2_CONNECTION_WINDOW = 4 << 20, /* of all streams together */
    HTTP2_STREAM_LIMIT = 128,          /* requests at once that a peer may make */
    HTTP2_HEADERS_LIMIT = 64 << 10,    /* bytes of all headers of a stream */
};

struct http2;
struct http2_stream;

struct http2_header {
    const char *name, *value; /* names in lower case */
};

/* Serves a request in a thread of its own; the stream is the connection's, ended behind it. */
typedef void (*http2_handler)(void *data, struct http2_stream *stream);

/* Takes the connection. With a handler it is the server of it, else the client. UNAVAILABLE if
 * libnghttp2 is not installed. */
int http2_new(struct http_connection *connection, http2_handler handler, void *data,
              struct http2 **out, struct error *err);
struct http2 *http2_ref(struct http2 *http2);
void http2_unref(struct http2 *http2);
CLEANUP_POINTER(http2_unref, struct http2)

/* Reads until the peer closes, something is broken, or 'cancel_fd' (-1: none) becomes readable;
 * then nothing is left of the streams, and all handlers have returned. */
void http2_run(struct http2 *http2, int cancel_fd);
/* Makes http2_run return. */
void http2_stop(struct http2 *http2);

/* Begins a request. The stream is the caller's. UNAVAILABLE once the connection is over. */
int http2_request(struct http2 *http2, const struct http2_header *headers, size_t count,
                  struct http2_stream **out, struct error *err);
/* Resets the stream unless both sides have ended it. */
void http2_stream_free(struct http2_stream *stream);
CLEANUP_POINTER(http2_stream_free, struct http2_stream)

/* The headers of an answer. */
int http2_respond(struct http2_stream *stream, const struct http2_header *headers, size_t count,
                  struct error *err);

/* Up to 'size' bytes; 0 at the end of the peer's side; UNAVAILABLE if the stream was reset or the
 * connection is over, CANCELLED. */
ssize_t http2_read(struct http2_stream *stream, void *data, size_t size, struct error *err);
/* Blocks while too much is waiting for the peer. */
int http2_write(struct http2_stream *stream, const void *data, size_t size, struct error *err);
/* Ends this side, with trailers (a copy is made; 'count' may be 0). */
int http2_end(struct http2_stream *stream, const struct http2_header *trailers, size_t count,
              struct error *err);

/* Ends both sides at once: reads and writes of other threads fail. */
void http2_reset(struct http2_stream *stream);

/* Reads and writes of the stream end with CANCELLED when the descriptor (borrowed) is readable. */
void http2_set_cancel(struct http2_stream *stream, int cancel_fd);
/* Readable once the peer has reset the stream, or the connection is over; the stream's. */
int http2_cancel_fd(struct http2_stream *stream);

/* What the peer has sent so far, trailers included; NULL: nothing. Borrowed from the stream. */
const char *http2_header_get(struct http2_stream *stream, const char *name);
/* All values of that name, in the order in which they came. */
void http2_header_list(struct http2_stream *stream, const char *name, struct strv *out);
/* Waits for the headers of an answer. */
int http2_wait_headers(struct http2_stream *stream, struct error *err);

#endif
