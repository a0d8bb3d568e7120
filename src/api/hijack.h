/* Connections that become raw byte streams: attach and exec. The socket of a plain connection is
 * handed on as it is; one with TLS, or of a websocket, gets a socket pair whose far end is handed
 * on, and is relayed by the thread that serves it. */
#ifndef BERTH_API_HIJACK_H
#define BERTH_API_HIJACK_H

#include <stdbool.h>
#include <stddef.h>

#include "api/request.h"

struct hijack {
    struct http_connection *connection; /* NULL once its socket was handed on */
    int fd;                             /* for the one who serves the stream; -1 once taken */
    int near_fd;                        /* our end of the socket pair; -1: nothing to relay */
    void *pending;                      /* what the client sent already */
    size_t pending_size;
    bool is_websocket; /* relayed as messages */
    bool is_text;      /* of text, to clients of old versions */
};

/* "Connection: Upgrade" and "Upgrade: …" in the request. */
bool hijack_is_upgrade(const struct request *req);

/* Answers 101 (if upgrade was asked for) or 200, with 'content_type' and 'extra_headers' (lines
 * with CRLF, may be ""), and takes the connection over. */
int hijack_begin(struct request *req, const char *content_type, const char *extra_headers,
                 struct hijack *out, struct error *err);

/* The same for a websocket: the handshake. INVALID if the client did not ask for one as it should.
 */
int hijack_begin_websocket(struct request *req, struct hijack *out, struct error *err);

/* The descriptor to hand on; the hijack forgets it. */
int hijack_take_fd(struct hijack *hijack);

/* Relays, if there is something to relay (else *out is NULL, which end accepts): output from
 * 'begin' on, so that whoever got the descriptor may write as much as he likes; input within 'end',
 * which comes back when output has ended, the client is gone or the server stops. The hijack
 * outlives the relay. */
struct relay;
int hijack_relay_begin(struct request *req, const struct hijack *hijack, struct relay **out,
                       struct error *err);
void hijack_relay_end(struct relay *relay);

void hijack_done(struct hijack *hijack);
CLEANUP_VALUE(hijack_done, struct hijack)

/* Takes the connection over to tell an error the way attach does it: a head that says raw stream,
 * then the text. */
void hijack_refuse(struct request *req, const struct error *failure);

#endif
