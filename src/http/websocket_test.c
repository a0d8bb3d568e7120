#include <criterion/criterion.h>
#include <string.h>

#include "base/buf.h"
#include "http/websocket.h"

#include "base/banned.h"

Test(websocket, answers_the_key_of_the_specification)
{
    char accept[WEBSOCKET_ACCEPT_SIZE];

    websocket_accept("dGhlIHNhbXBsZSBub25jZQ==", accept);
    cr_expect_str_eq(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

/* "Hello" as the specification masks it; a ping in the middle of a message in two pieces. */
static const uint8_t hello[] = { 0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58 };
static const uint8_t pieces[] = { 0x02, 0x82, 0, 0,   0,    0,    'a', 'b', 0x89, 0x81, 0,
                                  0,    0,    0, 'p', 0x80, 0x81, 0,   0,   0,    0,    'c' };

/* Fed in pieces of 'step' bytes; data and what came as control frames, in brackets. */
static void read_all(const uint8_t *bytes, size_t size, size_t step, struct buf *out)
{
    struct websocket_reader reader = {};

    for (size_t at = 0; at < size; at += step) {
        uint8_t piece[64];
        size_t left = MIN(step, size - at), used;

        memcpy(piece, bytes + at, left);
        for (uint8_t *next = piece;; next += used, left -= used) {
            struct websocket_part part;
            struct error err = {};

            cr_assert_eq(websocket_read(&reader, next, left, &used, &part, &err), 0, "%s",
                         err.text);
            if (part.event == WEBSOCKET_NOTHING)
                break;
            if (part.event == WEBSOCKET_CONTROL)
                buf_add(out, "[", 1);
            buf_add(out, part.data, part.size);
            if (part.event == WEBSOCKET_CONTROL)
                buf_add(out, "]", 1);
        }
    }
    buf_add(out, "", 1);
}

Test(websocket, reads_messages_however_they_are_cut)
{
    for (size_t step = 1; step <= sizeof(pieces); step++) {
        CLEANUP(buf_done) struct buf first = {}, second = {};

        read_all(hello, sizeof(hello), step, &first);
        cr_expect_str_eq((const char *)buf_bytes(&first), "Hello");
        read_all(pieces, sizeof(pieces), step, &second);
        cr_expect_str_eq((const char *)buf_bytes(&second), "ab[p]c");
    }
}

static const struct {
    const char *what;
    uint8_t head[6];
} refused[] = {
    { "no mask", { 0x82, 0x01 } },          { "reserved bits", { 0xC2, 0x80 } },
    { "unknown kind", { 0x83, 0x80 } },     { "a long ping", { 0x89, 0xFE, 1, 0 } },
    { "a ping in pieces", { 0x09, 0x80 } }, { "a piece of nothing", { 0x80, 0x80 } },
};

Test(websocket, refuses_what_a_client_must_not_send)
{
    for (size_t i = 0; i < COUNT(refused); i++) {
        struct websocket_reader reader = {};
        struct websocket_part part;
        struct error err = {};
        uint8_t bytes[16] = {};
        size_t used;

        memcpy(bytes, refused[i].head, sizeof(refused[i].head));
        cr_expect_eq(websocket_read(&reader, bytes, sizeof(bytes), &used, &part, &err), -1, "%s",
                     refused[i].what);
        cr_expect_eq(err.kind, ERROR_INVALID);
    }
}

Test(websocket, writes_heads_of_all_sizes)
{
    uint8_t head[WEBSOCKET_HEAD_SIZE];

    cr_expect_eq(websocket_head(WEBSOCKET_BINARY, 5, head), 2);
    cr_expect_arr_eq(head, ((uint8_t[]){ 0x82, 5 }), 2);
    cr_expect_eq(websocket_head(WEBSOCKET_TEXT, 300, head), 4);
    cr_expect_arr_eq(head, ((uint8_t[]){ 0x81, 126, 1, 44 }), 4);
    cr_expect_eq(websocket_head(WEBSOCKET_CLOSE, 65536, head), 10);
    cr_expect_arr_eq(head, ((uint8_t[]){ 0x88, 127, 0, 0, 0, 0, 0, 1, 0, 0 }), 10);
}
