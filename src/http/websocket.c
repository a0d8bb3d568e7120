/* A frame: FIN, three reserved bits, opcode; MASK and a length of 7, 16 or 64 bits; four bytes of
 * mask; the payload. */
#include "http/websocket.h"

#include <nettle/base64.h>
#include <nettle/sha1.h>
#include <string.h>

#include "base/memory.h"

#include "base/banned.h"

#define KEY_SUFFIX "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

enum { FINAL = 0x80, RESERVED = 0x70, MASKED = 0x80, SHORT = 126, LONG = 127 };

void websocket_accept(const char *key, char out[WEBSOCKET_ACCEPT_SIZE])
{
    CLEANUP(free) char *text = xasprintf("%s" KEY_SUFFIX, key);
    unsigned char digest[SHA1_DIGEST_SIZE];
    struct sha1_ctx hash;

    sha1_init(&hash);
    sha1_update(&hash, strlen(text), (const uint8_t *)text);
    sha1_digest(&hash, sizeof(digest), digest);
    base64_encode_raw(out, sizeof(digest), digest);
    out[WEBSOCKET_ACCEPT_SIZE - 1] = '\0';
}

/* ---- reading */

static bool is_control(unsigned opcode)
{
    return opcode >= WEBSOCKET_CLOSE;
}

/* How long the head is, as far as its beginning says. */
static size_t head_length(const struct websocket_reader *reader)
{
    unsigned length = reader->head_size >= 2 ? reader->head[1] & (SHORT | 1) : 0;

    if (reader->head_size < 2 || !(reader->head[1] & MASKED)) /* which is refused */
        return 2;
    return 2 + (length == SHORT ? 2u : length == LONG ? 8u : 0u) + sizeof(reader->mask);
}

static int check_head(const struct websocket_reader *reader, unsigned opcode, bool is_final,
                      uint64_t size, struct error *err)
{
    bool is_known = opcode <= WEBSOCKET_BINARY ||
                    (opcode >= WEBSOCKET_CLOSE && opcode <= WEBSOCKET_PONG);

    if (reader->head[0] & RESERVED)
        return error_set(err, ERROR_INVALID, "a frame with reserved bits");
    if (!is_known)
        return error_set(err, ERROR_INVALID, "a frame of unknown kind %u", opcode);
    if (is_control(opcode) && (!is_final || size > WEBSOCKET_CONTROL_SIZE))
        return error_set(err, ERROR_INVALID, "a control frame that is too long or in pieces");
    if (!is_control(opcode) && (opcode == WEBSOCKET_CONTINUATION) != reader->in_message)
        return error_set(err, ERROR_INVALID, "a piece of a message out of order");
    return 0;
}

static int take_head(struct websocket_reader *reader, struct error *err)
{
    const uint8_t *head = reader->head, *at = head + 2;
    unsigned length = head[1] & (SHORT | 1), opcode = head[0] & 0xF;
    bool is_final = head[0] & FINAL;
    size_t count = length == SHORT ? 2 : length == LONG ? 8 : 0;
    uint64_t size = count ? 0 : length;

    if (!(head[1] & MASKED))
        return error_set(err, ERROR_INVALID, "a frame without a mask");
    for (size_t i = 0; i < count; i++)
        size = size << 8 | *at++;
    if (size > INT64_MAX)
        return error_set(err, ERROR_INVALID, "a frame that is too long");
    if (check_head(reader, opcode, is_final, size, err) < 0)
        return -1;
    memcpy(reader->mask, at, sizeof(reader->mask));
    reader->mask_at = 0;
    reader->opcode = opcode;
    reader->is_final = is_final;
    reader->left = size;
    reader->control_size = 0;
    reader->in_payload = true;
    if (!is_control(opcode))
        reader->in_message = !is_final;
    return 0;
}

static void end_frame(struct websocket_reader *reader)
{
    reader->in_payload = false;
    reader->head_size = 0;
}

static void unmask(struct websocket_reader *reader, uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] ^= reader->mask[reader->mask_at++ & 3];
}

/* A piece of the payload. */
static void take_payload(struct websocket_reader *reader, uint8_t *bytes, size_t size,
                         struct websocket_part *out)
{
    unmask(reader, bytes, size);
    reader->left -= size;
    if (is_control(reader->opcode)) {
        memcpy(reader->control + reader->control_size, bytes, size);
        reader->control_size += size;
    } else if (size > 0)
        *out = (struct websocket_part){ WEBSOCKET_DATA, reader->opcode, bytes, size };
    if (reader->left > 0)
        return;
    if (is_control(reader->opcode))
        *out = (struct websocket_part){ WEBSOCKET_CONTROL, reader->opcode, reader->control,
                                        reader->control_size };
    end_frame(reader);
}

int websocket_read(struct websocket_reader *reader, uint8_t *bytes, size_t size, size_t *used,
                   struct websocket_part *out, struct error *err)
{
    size_t at = 0;

    *out = (struct websocket_part){};
    while (out->event == WEBSOCKET_NOTHING &&
           (at < size || (reader->in_payload && !reader->left))) {
        if (reader->in_payload) {
            size_t part = (size_t)MIN(reader->left, (uint64_t)(size - at));

            take_payload(reader, bytes + at, part, out);
            at += part;
            continue;
        }
        reader->head[reader->head_size++] = bytes[at++];
        if (reader->head_size == head_length(reader) && take_head(reader, err) < 0)
            return -1;
    }
    *used = at;
    return 0;
}

/* ---- writing */

size_t websocket_head(enum websocket_opcode opcode, size_t size, uint8_t out[WEBSOCKET_HEAD_SIZE])
{
    size_t count = size < SHORT ? 0 : size <= UINT16_MAX ? 2 : 8;

    out[0] = FINAL | (uint8_t)opcode;
    out[1] = count == 0 ? (uint8_t)size : count == 2 ? SHORT : LONG;
    for (size_t i = 0; i < count; i++)
        out[2 + i] = (uint8_t)((uint64_t)size >> (8 * (count - 1 - i)));
    return 2 + count;
}
