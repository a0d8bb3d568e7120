/* Websockets (RFC 6455), the server's side: the handshake's key, frames in, frames out. Nothing is
 * kept of a message but what its next byte needs, so there is no limit to its size. */
#ifndef BERTH_HTTP_WEBSOCKET_H
#define BERTH_HTTP_WEBSOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define WEBSOCKET_VERSION      "13"
#define WEBSOCKET_ACCEPT_SIZE  29 /* with NUL */
#define WEBSOCKET_HEAD_SIZE    14
#define WEBSOCKET_CONTROL_SIZE 125

/* What answers "Sec-WebSocket-Key". */
void websocket_accept(const char *key, char out[WEBSOCKET_ACCEPT_SIZE]);

enum websocket_opcode {
    WEBSOCKET_CONTINUATION = 0,
    WEBSOCKET_TEXT = 1,
    WEBSOCKET_BINARY = 2,
    WEBSOCKET_CLOSE = 8,
    WEBSOCKET_PING = 9,
    WEBSOCKET_PONG = 10,
};

/* Reading what a client sends. Begin with a zeroed one. */
struct websocket_reader {
    uint8_t head[WEBSOCKET_HEAD_SIZE];
    size_t head_size; /* bytes of it that are there */
    bool in_payload, in_message;
    unsigned opcode;
    bool is_final;
    uint64_t left; /* of the payload */
    uint8_t mask[4];
    unsigned mask_at;
    uint8_t control[WEBSOCKET_CONTROL_SIZE];
    size_t control_size;
};

enum websocket_event {
    WEBSOCKET_NOTHING, /* all was read; more is needed */
    WEBSOCKET_DATA,    /* 'data': a piece of a message */
    WEBSOCKET_CONTROL, /* 'data': all of a close, ping or pong, which 'opcode' says */
};

struct websocket_part {
    enum websocket_event event;
    unsigned opcode;
    const uint8_t *data; /* borrowed, from the reader or what it was fed */
    size_t size;
};

/* Reads from 'bytes' (unmasked in place) up to the next part; *used says how far. INVALID for what
 * a client must not send. */
int websocket_read(struct websocket_reader *reader, uint8_t *bytes, size_t size, size_t *used,
                   struct websocket_part *out, struct error *err);

/* The head of a whole message of 'size' bytes, unmasked as a server's are. Gives its size. */
size_t websocket_head(enum websocket_opcode opcode, size_t size, uint8_t out[WEBSOCKET_HEAD_SIZE]);

#endif
