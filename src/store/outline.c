/* The archive is read ahead of the unpacker: records wait until it says where a file went. */
#include "store/outline.h"

#include <endian.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/memory.h"
#include "codec/crc.h"
#include "linux/path.h"

#include "base/banned.h"

#define MAGIC       "berth-outline-1\n"
#define AHEAD_LIMIT ((size_t)4096)     /* files that are read and not yet unpacked */
#define PAX_LIMIT   ((int64_t)1 << 20) /* of extended headers, which may change sizes */
#define SIZE_LIMIT  ((int64_t)1 << 33) /* what a plain header can say */
enum { BLOCK = 512, SIZE_AT = 124, SIZE_LENGTH = 12, SUM_AT = 148, SUM_LENGTH = 8, TYPE_AT = 156 };

enum part { PART_HEADER, PART_CONTENT, PART_DATA, PART_PADDING, PART_END };

/* A file's content that went by. */
struct passed {
    size_t at; /* where its record belongs among those that wait */
    int64_t size;
    uint32_t crc;
};

struct outline {
    struct stream *out;
    bool has_failed;
    int64_t archive_size;
    uint32_t archive_crc;

    enum part part;
    int64_t left, padding; /* of the part, and behind it */
    uint8_t header[BLOCK];
    struct buf pax; /* an extended header */
    bool is_pax;

    struct passed *ahead; /* from 'first' on */
    size_t first, count, capacity;
    struct buf waiting; /* records behind the first file that waits */
    size_t waiting_at;  /* where that begins, counting all that ever waited */
};

struct outline *outline_new(struct stream *out)
{
    struct outline *outline = NEW(struct outline);

    outline->out = out;
    outline->left = BLOCK;
    outline->has_failed = stream_write(out, MAGIC, strlen(MAGIC), NULL) < 0;
    return outline;
}

void outline_free(struct outline *outline)
{
    if (!outline)
        return;
    buf_done(&outline->pax);
    buf_done(&outline->waiting);
    free(outline->ahead);
    free(outline);
}

void outline_give_up(struct outline *outline)
{
    outline->has_failed = true;
}

struct plain_form outline_archive_form(const struct outline *outline)
{
    return (struct plain_form){ outline->archive_size, outline->archive_crc };
}

/* ---- records ---- */

static void put(struct outline *outline, const void *data, size_t size)
{
    if (outline->first < outline->count)
        buf_add(&outline->waiting, data, size);
    else if (stream_write(outline->out, data, size, NULL) < 0)
        outline_give_up(outline);
}

static void put_raw(struct outline *outline, const void *data, size_t size)
{
    uint32_t length = htole32((uint32_t)size);

    if (!size)
        return;
    put(outline, "R", 1);
    put(outline, &length, sizeof(length));
    put(outline, data, size);
}

static void write_file(struct outline *outline, const char *path, int64_t size)
{
    uint64_t le_size = htole64((uint64_t)size);
    uint16_t length = htole16((uint16_t)strlen(path));
    struct stream *out = outline->out;

    if (strlen(path) > UINT16_MAX || stream_write(out, "F", 1, NULL) < 0 ||
        stream_write(out, &le_size, sizeof(le_size), NULL) < 0 ||
        stream_write(out, &length, sizeof(length), NULL) < 0 ||
        stream_write(out, path, strlen(path), NULL) < 0)
        outline_give_up(outline);
}

/* Lets go what waits in front of the next file. */
static void flush(struct outline *outline)
{
    bool has_next = outline->first < outline->count;
    size_t size = has_next ? outline->ahead[outline->first].at - outline->waiting_at
                           : outline->waiting.size;

    if (size && stream_write(outline->out, buf_bytes(&outline->waiting), size, NULL) < 0)
        outline_give_up(outline);
    buf_consume(&outline->waiting, size);
    outline->waiting_at += size;
    if (!has_next)
        outline->first = outline->count = 0;
}

void outline_file(struct outline *outline, const char *path, int64_t size, uint32_t crc)
{
    if (outline->has_failed)
        return;
    const struct passed *passed = outline->first < outline->count ? &outline->ahead[outline->first]
                                                                  : NULL;
    bool is_over = passed && (outline->first + 1 < outline->count || outline->part != PART_CONTENT);
    if (!is_over || passed->size != size || passed->crc != crc) {
        outline_give_up(outline);
        return;
    }
    outline->first++;
    write_file(outline, path, size);
    flush(outline);
}

static void add_ahead(struct outline *outline, int64_t size)
{
    if (outline->count - outline->first >= AHEAD_LIMIT) {
        outline_give_up(outline);
        return;
    }
    if (outline->count == outline->capacity && outline->first) {
        memmove(outline->ahead, outline->ahead + outline->first,
                (outline->count - outline->first) * sizeof(*outline->ahead));
        outline->count -= outline->first;
        outline->first = 0;
    }
    if (outline->count == outline->capacity) {
        outline->capacity = outline->capacity ? outline->capacity * 2 : 64;
        outline->ahead = xrealloc(outline->ahead, outline->capacity, sizeof(*outline->ahead));
    }
    outline->ahead[outline->count++] =
        (struct passed){ .at = outline->waiting_at + outline->waiting.size, .size = size };
}

/* ---- headers ---- */

/* Octal digits, then spaces or NUL. Larger numbers have another form, and are left to others. */
static bool read_number(const uint8_t *field, size_t length, int64_t *out)
{
    size_t at = 0;
    int64_t value = 0;

    while (at < length && field[at] == ' ')
        at++;
    while (at < length && field[at] >= '0' && field[at] <= '7')
        value = value * 8 + (field[at++] - '0');
    while (at < length && (field[at] == ' ' || !field[at]))
        at++;
    *out = value;
    return at == length && value <= SIZE_LIMIT;
}

static bool has_right_sum(const uint8_t *header)
{
    int64_t said, sum = 0;

    for (size_t i = 0; i < BLOCK; i++)
        sum += i >= SUM_AT && i < SUM_AT + SUM_LENGTH ? ' ' : header[i];
    return read_number(header + SUM_AT, SUM_LENGTH, &said) && said == sum;
}

static bool is_zero(const uint8_t *block)
{
    return !block[0] && memcmp(block, block + 1, BLOCK - 1) == 0;
}

static void begin_part(struct outline *outline, enum part part, int64_t size)
{
    outline->part = part;
    outline->left = size;
    outline->padding = (BLOCK - size % BLOCK) % BLOCK;
}

static void begin_header(struct outline *outline)
{
    begin_part(outline, PART_HEADER, BLOCK);
}

static void read_header(struct outline *outline)
{
    const uint8_t *header = outline->header;
    int64_t size;
    char type = (char)header[TYPE_AT];

    put_raw(outline, header, BLOCK);
    if (is_zero(header)) {
        begin_part(outline, PART_END, INT64_MAX);
        return;
    }
    if (!has_right_sum(header) || !read_number(header + SIZE_AT, SIZE_LENGTH, &size)) {
        outline_give_up(outline);
        return;
    }
    outline->is_pax = type == 'x' || type == 'g';
    if (outline->is_pax && size > PAX_LIMIT)
        outline_give_up(outline);
    if (size && (type == '0' || type == '7' || !type)) {
        add_ahead(outline, size);
        begin_part(outline, PART_CONTENT, size);
    } else if (size && (outline->is_pax || type == 'L' || type == 'K')) {
        begin_part(outline, PART_DATA, size);
    } else if (size) {
        outline_give_up(outline); /* readers differ in what that means */
    } else {
        begin_header(outline);
    }
}

/* ---- what goes by ---- */

/* An extended header that changes the size of the next entry, or makes it a sparse one. */
static void end_pax(struct outline *outline)
{
    if (memmem(buf_bytes(&outline->pax), outline->pax.size, "size=", 5) ||
        memmem(buf_bytes(&outline->pax), outline->pax.size, "GNU.sparse", 10))
        outline_give_up(outline);
    buf_clear(&outline->pax);
}

static void end_part(struct outline *outline)
{
    int64_t padding = outline->padding;

    if (outline->part == PART_HEADER) {
        read_header(outline);
        return;
    }
    if (outline->part == PART_DATA && outline->is_pax)
        end_pax(outline);
    if (outline->part != PART_PADDING && padding)
        begin_part(outline, PART_PADDING, padding);
    else
        begin_header(outline);
}

static void take(struct outline *outline, const uint8_t *data, size_t size)
{
    switch (outline->part) {
    case PART_HEADER:
        memcpy(outline->header + (BLOCK - outline->left), data, size);
        break;
    case PART_CONTENT: {
        struct passed *passed = &outline->ahead[outline->count - 1];

        passed->crc = crc_add(passed->crc, data, size);
        break;
    }
    case PART_DATA:
        if (outline->is_pax)
            buf_add(&outline->pax, data, size);
        put_raw(outline, data, size);
        break;
    default:
        put_raw(outline, data, size);
    }
}

static void note(struct outline *outline, const uint8_t *data, size_t size)
{
    outline->archive_size += (int64_t)size;
    if (!outline->has_failed)
        outline->archive_crc = crc_add(outline->archive_crc, data, size);
    while (size && !outline->has_failed) {
        size_t part = (size_t)MIN((int64_t)size, outline->left);

        take(outline, data, part);
        data += part;
        size -= part;
        outline->left -= (int64_t)part;
        if (!outline->left)
            end_part(outline);
    }
}

bool outline_finish(struct outline *outline)
{
    if (outline->first < outline->count || outline->part != PART_END)
        outline_give_up(outline);
    if (!outline->has_failed)
        put(outline, "E", 1);
    return !outline->has_failed;
}

struct outline_stream {
    struct stream stream;
    struct stream *inner;
    struct outline *outline;
};

static ssize_t noting_read(struct stream *stream, void *data, size_t size, struct error *err)
{
    struct outline_stream *self = CONTAINER_OF(stream, struct outline_stream, stream);
    ssize_t count = stream_read(self->inner, data, size, err);

    if (count > 0)
        note(self->outline, data, (size_t)count);
    return count;
}

static void noting_close(struct stream *stream)
{
    struct outline_stream *self = CONTAINER_OF(stream, struct outline_stream, stream);

    stream_close(self->inner);
    free(self);
}

struct stream *outline_read(struct outline *outline, struct stream *archive)
{
    struct outline_stream *self = NEW(struct outline_stream);

    *self = (struct outline_stream){ { noting_read, NULL, noting_close }, archive, outline };
    return &self->stream;
}

/* ---- making the archive again ---- */

#define COPY_SIZE ((size_t)256 * 1024)

struct writer {
    struct stream *outline, *out;
    int dir_fd;
    char *block;
};

static int damaged(struct error *err)
{
    return error_set(err, ERROR_INTERNAL, "the outline of the layer is damaged");
}

static int read_whole(struct stream *stream, void *data, size_t size, struct error *err)
{
    for (size_t done = 0; done < size;) {
        ssize_t count = stream_read(stream, (char *)data + done, size - done, err);

        if (count <= 0)
            return count < 0 ? -1 : damaged(err);
        done += (size_t)count;
    }
    return 0;
}

static int write_raw(struct writer *writer, struct error *err)
{
    uint32_t length;

    if (read_whole(writer->outline, &length, sizeof(length), err) < 0)
        return -1;
    for (size_t left = le32toh(length); left;) {
        size_t part = MIN(left, COPY_SIZE);

        if (read_whole(writer->outline, writer->block, part, err) < 0 ||
            stream_write(writer->out, writer->block, part, err) < 0)
            return -1;
        left -= part;
    }
    return 0;
}

static int copy_file(struct writer *writer, const char *path, uint64_t size, struct error *err)
{
    CLEANUP(close) int fd = path_open(writer->dir_fd, path, O_RDONLY | O_NOFOLLOW, 0, err);
    struct stat status;

    if (fd < 0)
        return -1;
    if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode) || (uint64_t)status.st_size != size)
        return error_set(err, ERROR_INTERNAL, "%s is not what it was", path);
    while (size) {
        ssize_t count = read(fd, writer->block, (size_t)MIN(size, COPY_SIZE));

        if (count <= 0)
            return count < 0 ? error_sys(err, "read %s", path)
                             : error_set(err, ERROR_INTERNAL, "%s is not what it was", path);
        if (stream_write(writer->out, writer->block, (size_t)count, err) < 0)
            return -1;
        size -= (uint64_t)count;
    }
    return 0;
}

static int write_content(struct writer *writer, struct error *err)
{
    uint64_t size;
    uint16_t length;

    if (read_whole(writer->outline, &size, sizeof(size), err) < 0 ||
        read_whole(writer->outline, &length, sizeof(length), err) < 0)
        return -1;
    CLEANUP(free) char *path = xcalloc((size_t)le16toh(length) + 1, 1);
    if (read_whole(writer->outline, path, le16toh(length), err) < 0)
        return -1;
    return copy_file(writer, path, le64toh(size), err);
}

int outline_write(struct stream *outline, int dir_fd, struct stream *out, struct error *err)
{
    CLEANUP(free) char *block = xmalloc(COPY_SIZE);
    struct writer writer = { outline, out, dir_fd, block };
    char magic[sizeof(MAGIC) - 1];

    if (read_whole(outline, magic, sizeof(magic), err) < 0)
        return -1;
    if (memcmp(magic, MAGIC, sizeof(magic)) != 0)
        return damaged(err);
    for (;;) {
        char kind;

        if (read_whole(outline, &kind, 1, err) < 0)
            return -1;
        if (kind == 'E')
            return 0;
        if (kind != 'R' && kind != 'F')
            return damaged(err);
        if ((kind == 'R' ? write_raw(&writer, err) : write_content(&writer, err)) < 0)
            return -1;
    }
}
