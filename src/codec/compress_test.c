#include "codec/compress.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/memory.h"

#include "base/banned.h"

static const struct inflate_limits no_limits;

/* A stream that gives a few bytes at a time, and one that collects what is written. */
struct trickle {
    struct stream stream;
    const uint8_t *data;
    size_t size, step;
};

static ssize_t trickle_read(struct stream *stream, void *data, size_t size,
                            struct error *err UNUSED)
{
    struct trickle *self = CONTAINER_OF(stream, struct trickle, stream);
    size_t count = MIN(MIN(size, self->size), self->step);

    memcpy(data, self->data, count);
    self->data += count;
    self->size -= count;
    return (ssize_t)count;
}

static void trickle_close(struct stream *stream)
{
    free(CONTAINER_OF(stream, struct trickle, stream));
}

static struct stream *trickle(const void *data, size_t size, size_t step)
{
    struct trickle *self = NEW(struct trickle);

    *self = (struct trickle){ { trickle_read, NULL, trickle_close }, data, size, step };
    return &self->stream;
}

struct collector {
    struct stream stream;
    struct buf bytes;
};

static int collect(struct stream *stream, const void *data, size_t size, struct error *err UNUSED)
{
    buf_add(&CONTAINER_OF(stream, struct collector, stream)->bytes, data, size);
    return 0;
}

static void deflate_into(struct buf *out, enum compression compression, int level, const void *data,
                         size_t size, size_t step)
{
    struct collector collector = { .stream = { .write = collect } };
    CLEANUP(stream_close)
    struct stream *stream = stream_deflate(&collector.stream, compression, level, NULL);

    for (size_t at = 0; at < size; at += step)
        cr_assert_eq(stream_write(stream, (const char *)data + at, MIN(step, size - at), NULL), 0);
    cr_assert_eq(stream_write(stream, NULL, 0, NULL), 0);
    buf_add(out, buf_bytes(&collector.bytes), collector.bytes.size);
    buf_done(&collector.bytes);
}

static int inflate_all(struct stream *inner, struct inflate_limits limits, size_t step,
                       enum compression *detected, struct buf *out, struct error *err)
{
    CLEANUP(stream_close) struct stream *stream = stream_inflate(inner, limits, detected, err);

    if (!stream)
        return -1;
    for (;;) {
        ssize_t count = stream_read(stream, buf_room(out, step), step, err);

        if (count <= 0)
            return (int)count;
        buf_grow(out, (size_t)count);
    }
}

/* Half noise, half runs: neither trivial nor incompressible. */
static uint8_t *sample(size_t size)
{
    uint8_t *data = xmalloc(size);
    uint32_t seed = 1;

    for (size_t i = 0; i < size; i++) {
        seed = seed * 1664525 + 1013904223;
        data[i] = (i >> 6) % 2 ? (uint8_t)(i >> 12) : (uint8_t)(seed >> 24) & 15;
    }
    return data;
}

static const struct {
    enum compression compression;
    int level;
    size_t size, write_step, read_step, trickle_step;
} trips[] = {
    { COMPRESSION_GZIP, 0, 0, 1, 100, 100 },
    { COMPRESSION_GZIP, 0, 1, 1, 100, 1 },
    { COMPRESSION_GZIP, 1, 3000000, 4096, 32768, 65536 },
    { COMPRESSION_GZIP, 2, 300000, 7, 1, 1 },
    { COMPRESSION_GZIP, 9, 3000000, 3000000, 999, 13 },
    { COMPRESSION_ZSTD, 0, 0, 1, 100, 100 },
    { COMPRESSION_ZSTD, 0, 1, 1, 100, 1 },
    { COMPRESSION_ZSTD, 3, 3000000, 4096, 32768, 65536 },
    { COMPRESSION_ZSTD, 99, 300000, 7, 1, 1 },
};

Test(compress, comes_back_as_it_was)
{
    for (size_t i = 0; i < COUNT(trips); i++) {
        CLEANUP(free) uint8_t *data = sample(trips[i].size + 1);
        CLEANUP(buf_done) struct buf packed = {}, plain = {};
        enum compression detected;
        struct error err = {};

        deflate_into(&packed, trips[i].compression, trips[i].level, data, trips[i].size,
                     trips[i].write_step);
        cr_assert_eq(inflate_all(trickle(buf_bytes(&packed), packed.size, trips[i].trickle_step),
                                 no_limits, trips[i].read_step, &detected, &plain, &err),
                     0, "%zu: %s", i, err.text);
        cr_expect_eq(detected, trips[i].compression);
        cr_assert_eq(plain.size, trips[i].size, "%zu: %zu", i, plain.size);
        cr_expect(plain.size == 0 || memcmp(buf_bytes(&plain), data, plain.size) == 0);
        cr_expect(trips[i].size < 1000 || packed.size < trips[i].size);
    }
}

/* Writes of random sizes, small ones and such as go over several blocks. */
static void deflate_in_pieces(struct buf *out, enum compression compression, int level,
                              const uint8_t *data, size_t size, unsigned seed)
{
    struct collector collector = { .stream = { .write = collect } };
    CLEANUP(stream_close)
    struct stream *stream = stream_deflate(&collector.stream, compression, level, NULL);

    for (size_t at = 0; at < size;) {
        size_t limit = rand_r(&seed) % 8 ? 700 : 600000;
        size_t wanted = 1 + (size_t)rand_r(&seed) % limit, part = MIN(size - at, wanted);

        cr_assert_eq(stream_write(stream, data + at, part, NULL), 0);
        at += part;
    }
    cr_assert_eq(stream_write(stream, NULL, 0, NULL), 0);
    buf_add(out, buf_bytes(&collector.bytes), collector.bytes.size);
    buf_done(&collector.bytes);
}

Test(compress, gives_equal_bytes_however_it_is_written)
{
    static const struct {
        enum compression compression;
        int level;
    } ways[] = { { COMPRESSION_GZIP, 1 },
                 { COMPRESSION_GZIP, 2 },
                 { COMPRESSION_GZIP, 3 },
                 { COMPRESSION_ZSTD, 3 } };
    enum { SIZE = 1500000, ROUNDS = 8 };
    CLEANUP(free) uint8_t *data = sample(SIZE);

    for (unsigned i = 0; i < COUNT(ways) * ROUNDS; i++) {
        CLEANUP(buf_done) struct buf a = {}, b = {};
        enum compression compression = ways[i / ROUNDS].compression;
        int level = ways[i / ROUNDS].level;

        deflate_into(&a, compression, level, data, SIZE, SIZE);
        deflate_in_pieces(&b, compression, level, data, SIZE, i);
        cr_assert_eq(a.size, b.size, "seed %u", i);
        cr_expect_eq(memcmp(buf_bytes(&a), buf_bytes(&b), a.size), 0, "seed %u", i);
    }
}

#define HELLO_GZIP_NAMED                                                                           \
    "\x1f\x8b\x08\x08\x00\x00\x00\x00\x02\xff"                                                     \
    "f.txt\0"                                                                                      \
    "\xcb\x48\xcd\xc9\xc9\x07\x00\x86\xa6\x10\x36\x05\x00\x00\x00"
#define HELLO_GZIP                                                                                 \
    "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff\xcb\x48\xcd\xc9\xc9\x07\x00\x86\xa6\x10\x36\x05\x00" \
    "\x00\x00"
#define EMPTY_GZIP                                                                                 \
    "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00"
#define HELLO_XZ                                                                                   \
    "\xfd\x37\x7a\x58\x5a\x00\x00\x04\xe6\xd6\xb4\x46\x02\x00\x21\x01\x16\x00\x00\x00\x74\x2f\xe5" \
    "\xa3\x01\x00\x04\x68\x65\x6c\x6c\x6f\x00\x00\x00\x00\xb1\x37\xb9\xdb\xe5\xda\x1e\x9b\x00\x01" \
    "\x1d\x05\xb8\x2d\x80\xaf\x1f\xb6\xf3\x7d\x01\x00\x00\x00\x00\x04\x59\x5a"
#define HELLO_BZIP2                                                                                \
    "\x42\x5a\x68\x39\x31\x41\x59\x26\x53\x59\x19\x31\x65\x3d\x00\x00\x00\x81\x00\x02\x44\xa0\x00" \
    "\x21\x9a\x68\x33\x4d\x07\x33\x8b\xb9\x22\x9c\x28\x48\x0c\x98\xb2\x9e\x80"
#define HELLO_ZSTD "\x28\xb5\x2f\xfd\x04\x58\x29\x00\x00hello\xa3\x6d\x9f\x88"
#define SKIPPED    "\x50\x2a\x4d\x18\x03\x00\x00\x00xyz"

static const struct {
    const char *data;
    size_t size;
    enum compression detected;
    const char *plain, *error;
} inputs[] = {
#define BYTES(text) text, sizeof(text) - 1
    { BYTES(""), COMPRESSION_NONE, "", NULL },
    { BYTES("x"), COMPRESSION_NONE, "x", NULL },
    { BYTES("plain text is passed on"), COMPRESSION_NONE, "plain text is passed on", NULL },
    { BYTES("BZh is no magic"), COMPRESSION_NONE, "BZh is no magic", NULL },
    { BYTES(HELLO_GZIP), COMPRESSION_GZIP, "hello", NULL },
    { BYTES(HELLO_GZIP_NAMED), COMPRESSION_GZIP, "hello", NULL },
    { BYTES(HELLO_GZIP HELLO_GZIP_NAMED), COMPRESSION_GZIP, "hellohello", NULL },
    { BYTES(EMPTY_GZIP), COMPRESSION_GZIP, "", NULL },
    { BYTES(EMPTY_GZIP EMPTY_GZIP HELLO_GZIP EMPTY_GZIP), COMPRESSION_GZIP, "hello", NULL },
    { BYTES(HELLO_GZIP "some garbage"), COMPRESSION_GZIP, "hello", "gzip: invalid header" },
    { BYTES(HELLO_GZIP "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"), COMPRESSION_GZIP, "hello",
      "gzip: invalid header" },
    { BYTES("\x1f\x8b\x08"), COMPRESSION_GZIP, "", "unexpected EOF" },
    { HELLO_GZIP, sizeof(HELLO_GZIP) - 2, COMPRESSION_GZIP, "hello", "unexpected EOF" },
    { HELLO_GZIP, sizeof(HELLO_GZIP) - 10, COMPRESSION_GZIP, "hello", "unexpected EOF" },
    { BYTES("\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff\xcb\x48\xcd\xc9\xc9\x07\x00\x86\xa6\x10\x37"
            "\x05\x00\x00\x00"),
      COMPRESSION_GZIP, "hello", "gzip: invalid checksum" },
    { BYTES("\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff\xff\xff\xff\xff"), COMPRESSION_GZIP, "",
      "gzip: corrupt input" },
    { BYTES(HELLO_ZSTD), COMPRESSION_ZSTD, "hello", NULL },
    { BYTES(HELLO_ZSTD SKIPPED HELLO_ZSTD), COMPRESSION_ZSTD, "hellohello", NULL },
    { HELLO_ZSTD, sizeof(HELLO_ZSTD) - 2, COMPRESSION_ZSTD, "hello", "unexpected EOF" },
    { BYTES(HELLO_ZSTD "garbage"), COMPRESSION_ZSTD, "hello", "zstd: Unknown frame descriptor" },
    { BYTES(HELLO_XZ), COMPRESSION_XZ, "hello", NULL },
    { BYTES(HELLO_XZ HELLO_XZ), COMPRESSION_XZ, "hellohello", NULL },
    { HELLO_XZ, sizeof(HELLO_XZ) - 20, COMPRESSION_XZ, "hello", "unexpected EOF" },
    { BYTES(HELLO_BZIP2), COMPRESSION_BZIP2, "hello", NULL },
    { BYTES(HELLO_BZIP2 HELLO_BZIP2), COMPRESSION_BZIP2, "hellohello", NULL },
    { HELLO_BZIP2, sizeof(HELLO_BZIP2) - 10, COMPRESSION_BZIP2, "", "unexpected EOF" },
#undef BYTES
};

Test(compress, tells_from_the_bytes_what_they_are)
{
    for (size_t i = 0; i < COUNT(inputs) * 2; i++) {
        size_t which = i / 2;
        CLEANUP(buf_done) struct buf plain = {};
        enum compression detected;
        struct error err = {};
        int result = inflate_all(trickle(inputs[which].data, inputs[which].size, i % 2 ? 1 : 4096),
                                 no_limits, 4096, &detected, &plain, &err);

        cr_expect_eq(detected, inputs[which].detected, "%zu: %d", which, detected);
        if (inputs[which].error) {
            cr_expect_eq(result, -1, "%zu", which);
            cr_expect_eq(err.kind, ERROR_INVALID);
            cr_expect_str_eq(err.text, inputs[which].error, "%zu: %s", which, err.text);
            cr_expect_leq(plain.size, strlen(inputs[which].plain));
        } else {
            cr_expect_eq(result, 0, "%zu: %s", which, err.text);
            cr_expect_eq(plain.size, strlen(inputs[which].plain), "%zu", which);
        }
        cr_expect(!plain.size || memcmp(buf_bytes(&plain), inputs[which].plain, plain.size) == 0);
    }
}

Test(compress, stops_bombs)
{
    enum { SIZE = 100 << 20 };
    static const struct {
        struct inflate_limits limits;
        int result;
    } cases[] = {
        { { 0, 0 }, 0 },   { { SIZE, 0 }, 0 },       { { SIZE - 1, 0 }, -1 },
        { { 0, 10 }, -1 }, { { 0, UINT32_MAX }, 0 },
    };
    CLEANUP(free) uint8_t *zeros = xcalloc(1, SIZE);
    CLEANUP(buf_done) struct buf packed = {};

    deflate_into(&packed, COMPRESSION_ZSTD, 1, zeros, SIZE, SIZE);
    for (size_t i = 0; i < COUNT(cases); i++) {
        CLEANUP(buf_done) struct buf plain = {};
        struct error err = {};

        cr_expect_eq(inflate_all(stream_from_memory(buf_bytes(&packed), packed.size),
                                 cases[i].limits, 1 << 20, NULL, &plain, &err),
                     cases[i].result, "%zu: %s", i, err.text);
        cr_expect_eq(err.kind, cases[i].result ? ERROR_INVALID : ERROR_NONE);
    }
}

Test(compress, writes_gzip_and_zstd_only)
{
    struct error err = {};

    cr_expect_null(stream_deflate(NULL, COMPRESSION_XZ, 0, &err));
    cr_expect_eq(err.kind, ERROR_UNSUPPORTED);
}
