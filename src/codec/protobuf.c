/* Protocol Buffers' wire format: a varint of number and type, then the value. */
#include "codec/protobuf.h"

#include <string.h>

#include "base/clock.h"
#include "base/memory.h"

#include "base/banned.h"

enum { WIRE_VARINT, WIRE_FIXED64, WIRE_BYTES, WIRE_GROUP, WIRE_GROUP_END, WIRE_FIXED32 };
enum { VARINT_SIZE = 10, NUMBER_LIMIT = 1 << 29 };

struct protobuf_reader protobuf_read(const void *data, size_t size)
{
    return (struct protobuf_reader){ data, size };
}

struct protobuf_reader protobuf_inside(const struct protobuf_field *field)
{
    return field->type == PROTOBUF_BYTES ? protobuf_read(field->bytes, field->size)
                                         : protobuf_read(NULL, 0);
}

static int fail(struct error *err, const char *what)
{
    return error_set(err, ERROR_INVALID, "invalid protobuf message: %s", what);
}

static int read_varint(struct protobuf_reader *reader, uint64_t *out, struct error *err)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < VARINT_SIZE; i++) {
        if (i >= reader->left)
            return fail(err, "it is cut in a number");
        value |= (uint64_t)(reader->at[i] & 0x7f) << (7 * i);
        if (reader->at[i] & 0x80)
            continue;
        reader->at += i + 1;
        reader->left -= i + 1;
        *out = value;
        return 0;
    }
    return fail(err, "a number is too long");
}

/* Little-endian. */
static int read_fixed(struct protobuf_reader *reader, size_t size, uint64_t *out, struct error *err)
{
    if (reader->left < size)
        return fail(err, "it is cut in a number");
    *out = 0;
    for (size_t i = 0; i < size; i++)
        *out |= (uint64_t)reader->at[i] << (8 * i);
    reader->at += size;
    reader->left -= size;
    return 0;
}

static int read_bytes(struct protobuf_reader *reader, struct protobuf_field *out, struct error *err)
{
    uint64_t size;

    if (read_varint(reader, &size, err) < 0)
        return -1;
    if (size > reader->left)
        return fail(err, "a field is longer than the rest");
    out->bytes = reader->at;
    out->size = (size_t)size;
    reader->at += size;
    reader->left -= (size_t)size;
    return 0;
}

int protobuf_next(struct protobuf_reader *reader, struct protobuf_field *out, struct error *err)
{
    uint64_t key;
    int result = 0;

    if (reader->left == 0)
        return 0;
    if (read_varint(reader, &key, err) < 0)
        return -1;
    *out = (struct protobuf_field){ .number = (uint32_t)(key >> 3) };
    if (key >> 3 == 0 || key >> 3 >= NUMBER_LIMIT)
        return fail(err, "a field has an impossible number");
    switch (key & 7) {
    case WIRE_VARINT:
        out->type = PROTOBUF_NUMBER;
        result = read_varint(reader, &out->value, err);
        break;
    case WIRE_FIXED64:
        out->type = PROTOBUF_FIXED64;
        result = read_fixed(reader, 8, &out->value, err);
        break;
    case WIRE_FIXED32:
        out->type = PROTOBUF_FIXED32;
        result = read_fixed(reader, 4, &out->value, err);
        break;
    case WIRE_BYTES:
        out->type = PROTOBUF_BYTES;
        result = read_bytes(reader, out, err);
        break;
    default:
        return fail(err, "a field has an unknown type");
    }
    return result < 0 ? -1 : 1;
}

char *protobuf_text(const struct protobuf_field *field)
{
    return xstrndup(field->size ? (const char *)field->bytes : "", field->size);
}

int protobuf_map_entry(const struct protobuf_field *field, struct map *map, size_t limit,
                       struct error *err)
{
    CLEANUP(free) char *key = xstrdup(""), *value = xstrdup("");
    struct protobuf_reader inside = protobuf_inside(field);
    struct protobuf_field part;
    int found;

    while ((found = protobuf_next(&inside, &part, err)) > 0) {
        if (part.type != PROTOBUF_BYTES || part.number > 2)
            continue;
        char **target = part.number == 1 ? &key : &value;
        free(*target);
        *target = protobuf_text(&part);
    }
    if (found < 0)
        return -1;
    if (map->count >= limit && !map_has(map, key))
        return error_set(err, ERROR_INVALID, "a map of more than %zu entries", limit);
    map_set_text(map, key, value);
    return 0;
}

/* ---- writing ---- */

static void add_varint(struct buf *out, uint64_t value)
{
    uint8_t bytes[VARINT_SIZE];
    size_t count = 0;

    do {
        bytes[count++] = (uint8_t)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        value >>= 7;
    } while (value > 0);
    buf_add(out, bytes, count);
}

void protobuf_add_number(struct buf *out, uint32_t number, uint64_t value)
{
    if (value == 0)
        return;
    add_varint(out, (uint64_t)number << 3 | WIRE_VARINT);
    add_varint(out, value);
}

static void add_bytes(struct buf *out, uint32_t number, const void *data, size_t size)
{
    add_varint(out, (uint64_t)number << 3 | WIRE_BYTES);
    add_varint(out, size);
    buf_add(out, data, size);
}

void protobuf_add_bytes(struct buf *out, uint32_t number, const void *data, size_t size)
{
    if (size > 0)
        add_bytes(out, number, data, size);
}

void protobuf_add_text(struct buf *out, uint32_t number, const char *text)
{
    if (text)
        protobuf_add_bytes(out, number, text, strlen(text));
}

void protobuf_add_item(struct buf *out, uint32_t number, const char *text)
{
    add_bytes(out, number, text, strlen(text));
}

void protobuf_add_message(struct buf *out, uint32_t number, struct buf *message)
{
    add_bytes(out, number, buf_bytes(message), message->size);
    buf_clear(message);
}

void protobuf_add_entry(struct buf *out, uint32_t number, const char *key, const char *value)
{
    CLEANUP(buf_done) struct buf entry = {};

    protobuf_add_text(&entry, 1, key);
    protobuf_add_text(&entry, 2, value);
    protobuf_add_message(out, number, &entry);
}

void protobuf_add_time(struct buf *out, uint32_t number, int64_t wall_ns)
{
    CLEANUP(buf_done) struct buf time = {};

    if (wall_ns == 0)
        return;
    protobuf_add_number(&time, 1, (uint64_t)(wall_ns / NS_PER_S));
    protobuf_add_number(&time, 2, (uint64_t)(wall_ns % NS_PER_S));
    protobuf_add_message(out, number, &time);
}
