/* Sync packets, and Go's file modes. */
#include "buildkit/packet.h"

#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"
#include "codec/protobuf.h"

#include "base/banned.h"

/* clang-format off */
static const struct {
    uint32_t go;
    mode_t mode;
} kinds[] = {
    { UINT32_C(1) << 31,                     S_IFDIR  },
    { UINT32_C(1) << 27,                     S_IFLNK  },
    { UINT32_C(1) << 26 | UINT32_C(1) << 21, S_IFCHR  },
    { UINT32_C(1) << 26,                     S_IFBLK  },
    { UINT32_C(1) << 25,                     S_IFIFO  },
    { UINT32_C(1) << 24,                     S_IFSOCK },
    { 0,                                     S_IFREG  },
}, bits[] = {
    { UINT32_C(1) << 23, S_ISUID },
    { UINT32_C(1) << 22, S_ISGID },
    { UINT32_C(1) << 20, S_ISVTX },
};
/* clang-format on */

#define KIND_BITS                                                                                  \
    (UINT32_C(1) << 31 | UINT32_C(1) << 27 | UINT32_C(1) << 26 | UINT32_C(1) << 25 |               \
     UINT32_C(1) << 24 | UINT32_C(1) << 21 | UINT32_C(1) << 19)

static int mode_from_go(uint32_t go, mode_t *out, struct error *err)
{
    mode_t mode = go & 0777;

    for (size_t i = 0; i < COUNT(bits); i++)
        if (go & bits[i].go)
            mode |= bits[i].mode;
    for (size_t i = 0; i < COUNT(kinds); i++)
        if ((go & KIND_BITS) == kinds[i].go) {
            *out = mode | kinds[i].mode;
            return 0;
        }
    return error_set(err, ERROR_INVALID, "a file has the unknown mode %#x", go);
}

static uint32_t mode_to_go(mode_t mode)
{
    uint32_t go = mode & 0777;

    for (size_t i = 0; i < COUNT(bits); i++)
        if (mode & bits[i].mode)
            go |= bits[i].go;
    for (size_t i = 0; i < COUNT(kinds); i++)
        if ((mode & S_IFMT) == kinds[i].mode)
            return go | kinds[i].go;
    return go;
}

void packet_stat_done(struct packet_stat *stat)
{
    free(stat->path);
    free(stat->linkname);
    for (size_t i = 0; i < stat->attribute_count; i++)
        free(stat->attributes[i].name);
    free(stat->attributes);
    *stat = (struct packet_stat){};
}

/* "a/b": no empty component, ".", "..", and no leading or trailing slash. */
static bool is_clean(const char *path)
{
    if (text_is_empty(path) || strlen(path) > PACKET_PATH_LIMIT)
        return false;
    for (;;) {
        size_t length = strcspn(path, "/");

        if (length == 0 || length > 255 || (length == 1 && path[0] == '.') ||
            (length == 2 && path[0] == '.' && path[1] == '.'))
            return false;
        if (!path[length])
            return true;
        path += length + 1;
    }
}

static int read_attribute(const struct protobuf_field *field, struct packet_stat *out,
                          struct error *err)
{
    struct protobuf_reader inside = protobuf_inside(field);
    struct packet_attribute *attribute;
    struct protobuf_field part;
    int found;

    if (out->attribute_count >= PACKET_ATTRIBUTE_LIMIT)
        return error_set(err, ERROR_INVALID, "a file has more than %d extended attributes",
                         PACKET_ATTRIBUTE_LIMIT);
    out->attributes = xrealloc(out->attributes, out->attribute_count + 1, sizeof(*attribute));
    attribute = &out->attributes[out->attribute_count++];
    *attribute = (struct packet_attribute){ .name = xstrdup("") };
    while ((found = protobuf_next(&inside, &part, err)) > 0) {
        if (part.type != PROTOBUF_BYTES)
            continue;
        if (part.number == 1) {
            free(attribute->name);
            attribute->name = protobuf_text(&part);
        } else if (part.number == 2) {
            attribute->value = part.bytes;
            attribute->size = part.size;
        }
    }
    return found;
}

static int read_stat_field(const struct protobuf_field *field, struct packet_stat *out,
                           uint32_t *mode, struct error *err)
{
    switch (field->number) {
    case 1:
        free(out->path);
        out->path = protobuf_text(field);
        break;
    case 2:
        *mode = (uint32_t)field->value;
        break;
    case 3:
        out->uid = (uint32_t)field->value;
        break;
    case 4:
        out->gid = (uint32_t)field->value;
        break;
    case 5:
        out->size = (int64_t)field->value;
        break;
    case 6:
        out->mtime_ns = (int64_t)field->value;
        break;
    case 7:
        free(out->linkname);
        out->linkname = protobuf_text(field);
        break;
    case 8:
        out->device_major = (int64_t)field->value;
        break;
    case 9:
        out->device_minor = (int64_t)field->value;
        break;
    case 10:
        return read_attribute(field, out, err);
    }
    return 0;
}

static int read_stat(const struct protobuf_field *field, struct packet_stat *out, struct error *err)
{
    struct protobuf_reader inside = protobuf_inside(field);
    struct protobuf_field part;
    uint32_t mode = 0;
    int found;

    while ((found = protobuf_next(&inside, &part, err)) > 0)
        if (read_stat_field(&part, out, &mode, err) < 0)
            return -1;
    if (found < 0 || mode_from_go(mode, &out->mode, err) < 0)
        return -1;
    if (!out->linkname)
        out->linkname = xstrdup("");
    if (!is_clean(out->path) || (S_ISREG(out->mode) && *out->linkname && !is_clean(out->linkname)))
        return error_set(err, ERROR_INVALID, "a file has the bad path \"%.200s\"",
                         out->path ? out->path : "");
    if (out->size < 0)
        return error_set(err, ERROR_INVALID, "%.200s has a negative size", out->path);
    return 0;
}

static int read_packet(const void *message, size_t size, struct packet *out, struct error *err)
{
    struct protobuf_reader reader = protobuf_read(message, size);
    struct protobuf_field field;
    int found;

    while ((found = protobuf_next(&reader, &field, err)) > 0)
        switch (field.number) {
        case 1:
            if (field.value > PACKET_ERROR)
                return error_set(err, ERROR_INVALID, "a packet of an unknown type");
            out->type = (enum packet_type)field.value;
            break;
        case 2:
            packet_stat_done(&out->stat);
            out->has_stat = true;
            if (read_stat(&field, &out->stat, err) < 0)
                return -1;
            break;
        case 3:
            out->id = (uint32_t)field.value;
            break;
        case 4:
            out->data = field.bytes;
            out->size = field.size;
            break;
        }
    return found;
}

int packet_read(const void *message, size_t size, struct packet *out, struct error *err)
{
    struct packet packet = {};

    if (read_packet(message, size, &packet, err) < 0) {
        packet_stat_done(&packet.stat);
        return -1;
    }
    *out = packet;
    return 0;
}

void packet_write(struct buf *out, enum packet_type type, uint32_t id, const void *data,
                  size_t size)
{
    protobuf_add_number(out, 1, type);
    protobuf_add_number(out, 3, id);
    protobuf_add_bytes(out, 4, data, size);
}

void packet_write_stat(struct buf *out, const struct packet_stat *stat)
{
    CLEANUP(buf_done) struct buf inside = {}, attribute = {};

    if (!stat)
        return; /* a packet of type 0 without anything is the empty message */
    protobuf_add_text(&inside, 1, stat->path);
    protobuf_add_number(&inside, 2, mode_to_go(stat->mode));
    protobuf_add_number(&inside, 3, stat->uid);
    protobuf_add_number(&inside, 4, stat->gid);
    protobuf_add_number(&inside, 5, (uint64_t)stat->size);
    protobuf_add_number(&inside, 6, (uint64_t)stat->mtime_ns);
    protobuf_add_text(&inside, 7, stat->linkname);
    protobuf_add_number(&inside, 8, (uint64_t)stat->device_major);
    protobuf_add_number(&inside, 9, (uint64_t)stat->device_minor);
    for (size_t i = 0; i < stat->attribute_count; i++) {
        protobuf_add_text(&attribute, 1, stat->attributes[i].name);
        protobuf_add_bytes(&attribute, 2, stat->attributes[i].value, stat->attributes[i].size);
        protobuf_add_message(&inside, 10, &attribute);
    }
    protobuf_add_message(out, 2, &inside);
}
