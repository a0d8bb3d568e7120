/* The wire format of Protocol Buffers: fields with a number, in any order. What the numbers mean is
 * the business of those who know the messages. Fields of groups (deprecated) are refused. */
#ifndef BERTH_CODEC_PROTOBUF_H
#define BERTH_CODEC_PROTOBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/map.h"

/* ---- reading ---- */

enum protobuf_type { PROTOBUF_NUMBER, PROTOBUF_FIXED64, PROTOBUF_BYTES, PROTOBUF_FIXED32 };

struct protobuf_field {
    uint32_t number;
    enum protobuf_type type;
    uint64_t value;       /* of all but bytes */
    const uint8_t *bytes; /* borrowed from the message; of bytes, texts and messages */
    size_t size;
};

struct protobuf_reader {
    const uint8_t *at;
    size_t left;
};
struct protobuf_reader protobuf_read(const void *data, size_t size);
/* The message in a field; empty if the field is none. */
struct protobuf_reader protobuf_inside(const struct protobuf_field *field);

/* 1: a field, 0: the end, -1: INVALID. */
int protobuf_next(struct protobuf_reader *reader, struct protobuf_field *out, struct error *err);

/* The text of a field; yours. A NUL in it ends it. */
char *protobuf_text(const struct protobuf_field *field);

/* One entry of a map from text to text: sets it, if there is room for it among 'limit' entries. The
 * values are freed by the map. INVALID. */
int protobuf_map_entry(const struct protobuf_field *field, struct map *map, size_t limit,
                       struct error *err);

/* ---- writing: to the end of a buffer ---- */

/* As in proto3, what is zero or empty is left out. */
void protobuf_add_number(struct buf *out, uint32_t number, uint64_t value);
void protobuf_add_bytes(struct buf *out, uint32_t number, const void *data, size_t size);
void protobuf_add_text(struct buf *out, uint32_t number, const char *text); /* NULL is "" */
/* A message in a message, there even if it is empty. 'message' is emptied for the next one. */
void protobuf_add_message(struct buf *out, uint32_t number, struct buf *message);
/* An entry of a repeated field of texts, or of a map: there even if it is empty. */
void protobuf_add_item(struct buf *out, uint32_t number, const char *text);
void protobuf_add_entry(struct buf *out, uint32_t number, const char *key, const char *value);
/* google.protobuf.Timestamp; 0 (never) is left out. */
void protobuf_add_time(struct buf *out, uint32_t number, int64_t wall_ns);

#endif
