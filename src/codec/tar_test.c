#include "codec/tar.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/memory.h"
#include "codec/base64.h"
#include "codec/compress.h"
#include "codec/sha256.h"

#include "base/banned.h"

/* Archives made by Python's tarfile and by GNU tar, gzip and base64 over them. */
/* clang-format off */
static const char gnu_archive[] =
    "H4sIAAAAAAACA+3YSw6CMBAG4DlKTyB9Trfu5RIoRokEDer9rZr4IMa4sLWG/2NBN6ym/5Rp3fQFRSYD79zlHQzf"
    "g7UKa7ZsSThK4Lg/VL0QNFKTYlJMy223KptuE7H+L+p+q7lhNdgL/rxdRIn6R1cXv3m6HyFIXv9zqNnaN/3fPKw1"
    "SW2VlyQk8h9dNV8gBCOWw/mvtX95/s+Q/+gOWUIuU2njxf4p/+/P/8HaOO1D/nWKrYb5L8/5z6L/Y/7D/Bfbuurr"
    "7Pq/dlIbEirFRhx5/rtj2yaov2Xmz+uvwgeehPmn/n+/vL5eaPyJXbNbZpd/yS78EgjG+Q8AAAAAAADwFScORLji"
    "ACgAAA==";

static const char pax_archive[] =
    "H4sIAAAAAAACA+3YsW7CMBAGYM88hZ+A2Gf7MlXqyNhXcJtIRI2iKA0Sj18DEqEpQgzYGOX/PNhbhvPd5Vw1QyEi"
    "U0Hp3HEP5vvsrMOZHVkhnUhg9zP6IXxSLNO6WBfvH36/qX1VD/HifyXu55ibkv7eBa1Il0LuEf/oyCnZ+3H7VhXP"
    "Wd2TrAQEKUJ8SGq29kb9NxfnUAvIklFCKuR/dP7zC0mwYDn0f5pqw9T/Hfp/CpqtbJvu+/gPMGYJnTqiQ+xTzH+3"
    "+//sbJwxIf8pxe3C/JfB/Mf/6j8Z1P80899F/ccMuDhbP1TZ1X9yikP+6xR3b+H53+3aNkH8LTPfH38dVimkeaX6"
    "Pz1enx40XkTf9HV2+a+YSQvJ6P8AAAAAAAAAD/ELu2gQgQAoAAA=";

static const char raw_archive[] =
    "H4sIAAAAAAACA+2XvWrDMBSF3Y5+Ci1dHUmWZXvQ0D+SQIbQQqCjHKtY1DHBlsF5jD5Gh+7dS9+kS56iFUl/QyGT"
    "3YDvN0gXIZDgcs6RprIZKZmqsho0TktgC2dsM1t2Z0wp/ao36wRTHjqotQv9pK6MLO3xTj8hHC2lycRc3q4Hzw+u"
    "j9HC6IUSJPzsh0eozwIeRrHLKLo+H40nN14jjSm9Ss3rUpuVN5dLmejcluLIEe6xyzCajM9Or+zu2eXH7rpSpZec"
    "+BeNkMNZlQwj4ZII1ToVjMYs5qEdXQfokC40tk//1gF+6x9zQq3+Mei/dTINGugz0+/8z/9N/1bsu/kfcMj/TvKf"
    "oVwXd5s3wJsbbx8DOYRwX8g7OGN//u/W3MfMQXQF+u+F/5M//D8A/+/E/4Ot5b/cD16fHsH3wf8Pwv8JIfD/64Jl"
    "LnWxPrT+h75Pof8AAABtkqhMFykymUKqSN8BuhXNFQ4aAAA=";

static const char sparse_0_0[] =
    "H4sIAAAAAAACA+3U0U6DMBTG8V7zFDwBOy0thQuu9cp44wPgZMmiE0NZwnx6wUWzzTljoku2/X83JTn9aJr2NJnc"
    "Vv11XT3UbZiEl6oNtfprMsisfR8Hu6PYNP38FtFKtLbOq7hXR7AMXdUOy6vLZPL46uYuWZ98EuavdanF5s5nEpls"
    "s/a8XNw/NdPHUKaRKTYrzWwW6u4jF23/coytujqUVopsf9AZa/JcDgZT+X7FIen2JmWMVd18MWzKF856KZxJvM51"
    "4XLnxur0a9X7zA8XMLqI8/+nlv9F/5utt2Dd/8aYTMVyzP5vm6Y7NO+n+u7mTkQPAAAAAADO3goAAAAAAJw9BQAA"
    "AAAAAAAAAAAAAAAAgJPyBm3J7X4AUAAA";

static const char sparse_0_1[] =
    "H4sIAAAAAAACA+3awWqDMBzHcc8+RR9A7D+aGD30uu00BmMPkHUeZLUtxkK3p19W6egcdDBKod33c0nkJwn695+T"
    "6fTBbe9q91J3furXrvN1dGoSFFrvxmA8Si7511xERaKUNnk02UZnsPG968L20f+UlZPb+6d0qHzqm/d6pkSXxhYS"
    "Z8Vhtty0z4vV/NXP8nHi2no2zGNjDpPWrffLJVqqIjGZzspShov9RonEuUxc34RllK2MtlKZLLWqVJUpjflM5z9T"
    "awsbPpQ4wt+l01Cux121bppFnYZXrk59Dhzv/+zbWTD0v8lt6H85Z/93q1V/7L7f8vHDXYgtAAAAAAC4em8AAAAA"
    "AODq8QcMAAAAAAAAAAAAAAAAAADAZfkAuTpWCQBQAAA=";

static const char sparse_1_0[] =
    "H4sIAAAAAAACA+3avU7DMBSG4cy+ilxBeuzYcTJkBSaEhLgACzwE9QclRQpcPaZBVSlSWUqllvdZ7NiWrOjkO1OK"
    "2V0Yb2J4iv0wG15CP8Ts2CSprN2Myf4oxprtXERnorV1LsvH7AReh3Xo0/XZ/2RMfn37UEyVLxbhedW3Wu2tdsu0"
    "KspUu6vLsIjtNFflt/N9DPOhe4+tFls7X4kqJQ/rLp3XvnHWS+NM4XWtG1c797n7+HPX+8qn70Bl+EPFLBXuflO3"
    "q24ei1QTc+w+cDj/Ru/2gin/rvQp/3LK/Per1frQud/291/uTJTqK6TKSlMpl3pxXcv0sI2vEMJLNQIAAAAAgIv3"
    "BgAAAAAALh5/QAAAAAAAAAAAAAAAAAAAcH4+ADoFvIYAUAAA";

static const char sparse_gnu[] =
    "H4sIAAAAAAACA+3QQQqAIBCF4TmKR0ixPEgnaNHa0IK6fRIEJVSLqEX932aG54DwYteE2MqjiqSydplJNs02S7Sk"
    "SDsnqpYXDLFvglISvO/P7q7eb7Vjd43odTcHeZk1uexnH5SHRyMAAAAAAPi8CQAAAAAAfJ4AAH5pBvoj3CcAKAAA";
/* clang-format on */

#define TEN(x)      x x x x x x x x x x
#define LONG_NAME   TEN("d/d/d/d/d/d/") TEN("nnnnnnnnnnnn")
#define LONG_TARGET TEN("ttttttttttttttt")

static void unpack(const char *fixture, struct buf *out)
{
    CLEANUP(buf_done) struct buf packed = {};
    struct error err = {};

    cr_assert_eq(base64_decode(fixture, &packed, &err), 0, "%s", err.text);
    CLEANUP(stream_close)
    struct stream *stream = stream_inflate(stream_from_memory(buf_bytes(&packed), packed.size),
                                           (struct inflate_limits){}, NULL, &err);
    for (ssize_t count = 1; count > 0; buf_grow(out, (size_t)count)) {
        count = stream_read(stream, buf_room(out, 65536), 65536, &err);
        cr_assert_geq(count, 0, "%s", err.text);
    }
}

static struct tar_reader *read_bytes(const void *data, size_t size)
{
    struct error err = {};
    struct tar_reader *reader = tar_reader_new(stream_from_memory(data, size), &err);

    cr_assert_not_null(reader, "%s", err.text);
    return reader;
}

/* Reads all entries and their content; the result of the call that ended it. */
static int read_all(const void *data, size_t size, size_t *count, struct error *err)
{
    CLEANUP(tar_reader_free)
    struct tar_reader *reader = tar_reader_new(stream_from_memory(data, size), err);
    CLEANUP(tar_entry_done) struct tar_entry entry = {};
    int result = reader ? 1 : -1;

    for (*count = 0; result > 0; ++*count) {
        const void *block;
        size_t block_size;
        int64_t offset;

        result = tar_reader_next(reader, &entry, err);
        if (result <= 0)
            break;
        while ((result = tar_reader_block(reader, &block, &block_size, &offset, err)) > 0)
            ;
        if (result < 0)
            break;
        result = 1;
    }
    return result;
}

static const struct {
    const char *name, *target, *content;
    enum tar_type type;
    mode_t mode;
    int64_t mtime_s;
    unsigned major, minor;
} expected[] = {
    { "dir/", NULL, "", TAR_DIRECTORY, 0755, 1, 0, 0 },
    { LONG_NAME, NULL, "abc", TAR_FILE, 0644, 2, 0, 0 },
    { "link", LONG_TARGET, "", TAR_SYMLINK, 0644, 0, 0, 0 },
    { "hard", LONG_NAME, "", TAR_HARDLINK, 0644, 0, 0, 0 },
    { "null", NULL, "", TAR_CHARACTER_DEVICE, 04666, 0, 1, 3 },
    { "pipe", NULL, "", TAR_FIFO, 0644, 0, 0, 0 },
};

static void expect_entry(size_t i, struct tar_reader *reader)
{
    CLEANUP(tar_entry_done) struct tar_entry entry = {};
    struct error err = {};
    const void *block;
    size_t size;
    int64_t offset;

    cr_assert_eq(tar_reader_next(reader, &entry, &err), 1, "%zu: %s", i, err.text);
    cr_expect_str_eq(entry.name, expected[i].name);
    cr_expect_eq(entry.type, expected[i].type, "%zu: %d", i, entry.type);
    cr_expect_eq(entry.mode, expected[i].mode);
    cr_expect_eq(entry.mtime_s, expected[i].mtime_s);
    cr_expect_eq((size_t)entry.size, strlen(expected[i].content));
    if (expected[i].target)
        cr_expect_str_eq(entry.link_target, expected[i].target);
    else
        cr_expect_null(entry.link_target);
    if (entry.type == TAR_CHARACTER_DEVICE) {
        cr_expect_eq(entry.device_major, expected[i].major);
        cr_expect_eq(entry.device_minor, expected[i].minor);
    }
    if (!entry.size)
        return;
    cr_assert_eq(tar_reader_block(reader, &block, &size, &offset, &err), 1, "%s", err.text);
    cr_expect_eq(offset, 0);
    cr_assert_eq(size, strlen(expected[i].content));
    cr_expect_eq(memcmp(block, expected[i].content, size), 0);
    cr_expect_eq(tar_reader_block(reader, &block, &size, &offset, &err), 0);
}

Test(tar, reads_gnu_and_pax_alike)
{
    static const char *const archives[] = { gnu_archive, pax_archive };

    for (size_t a = 0; a < COUNT(archives); a++) {
        CLEANUP(buf_done) struct buf bytes = {};
        CLEANUP(tar_entry_done) struct tar_entry entry = {};

        unpack(archives[a], &bytes);
        CLEANUP(tar_reader_free)
        struct tar_reader *reader = read_bytes(buf_bytes(&bytes), bytes.size);
        for (size_t i = 0; i < COUNT(expected); i++)
            expect_entry(i, reader);
        cr_expect_eq(tar_reader_next(reader, &entry, NULL), 0);
        cr_expect_eq(tar_reader_next(reader, &entry, NULL), 0);
    }
}

Test(tar, keeps_names_attributes_and_times_as_they_are)
{
    CLEANUP(buf_done) struct buf bytes = {};
    CLEANUP(tar_entry_done) struct tar_entry entry = {};
    struct error err = {};

    unpack(raw_archive, &bytes);
    CLEANUP(tar_reader_free)
    struct tar_reader *reader = read_bytes(buf_bytes(&bytes), bytes.size);
    cr_assert_eq(tar_reader_next(reader, &entry, &err), 1, "%s", err.text);
    cr_expect_str_eq(entry.name, "caf\xe9/\xc3\xa9");
    cr_expect_eq(entry.mtime_s, 1700000000);
    cr_expect_eq(entry.mtime_ns, 123456789);
    cr_expect_eq(entry.uid, 4294967294);
    cr_assert_eq(entry.xattr_count, 2);
    for (size_t i = 0; i < entry.xattr_count; i++) {
        bool is_capability = strcmp(entry.xattrs[i].name, "security.capability") == 0;

        cr_expect(is_capability || strcmp(entry.xattrs[i].name, "user.b=x") == 0, "%s",
                  entry.xattrs[i].name);
        cr_assert_eq(entry.xattrs[i].size, 5);
        cr_expect_eq(memcmp(entry.xattrs[i].value, is_capability ? "\1\0=\n\2" : "hello", 5), 0);
    }
    cr_assert_eq(tar_reader_next(reader, &entry, &err), 1, "%s", err.text);
    cr_expect_str_eq(entry.name, "l");
    cr_expect_str_eq(entry.link_target, "\xff");
    cr_assert_eq(tar_reader_next(reader, &entry, &err), 1, "%s", err.text);
    cr_expect_str_eq(entry.name, "\xc5\x91/\xe4\xb8\xad");
    cr_assert_eq(tar_reader_next(reader, &entry, &err), 1, "%s", err.text);
    cr_expect_str_eq(entry.name, "plain\xe9");
    cr_expect_eq(tar_reader_next(reader, &entry, &err), 0);
}

Test(tar, reads_the_stream_to_its_end)
{
    CLEANUP(buf_done) struct buf bytes = {};
    CLEANUP(sha256_free) struct sha256 *hash = sha256_new();
    CLEANUP(tar_entry_done) struct tar_entry entry = {};
    char read[DIGEST_SIZE], whole[DIGEST_SIZE];

    unpack(raw_archive, &bytes);
    buf_add(&bytes, xcalloc(1, 300000), 300000);
    CLEANUP(tar_reader_free)
    struct tar_reader *reader = tar_reader_new(
        stream_hash_read(stream_from_memory(buf_bytes(&bytes), bytes.size), hash), NULL);
    while (tar_reader_next(reader, &entry, NULL) > 0)
        ;
    sha256_finish(hash, read);
    sha256_digest(buf_bytes(&bytes), bytes.size, whole);
    cr_expect_str_eq(read, whole);
}

Test(tar, skips_the_holes_of_sparse_files)
{
    static const char *const archives[] = { sparse_0_0, sparse_0_1, sparse_1_0, sparse_gnu };

    for (size_t a = 0; a < COUNT(archives); a++) {
        CLEANUP(buf_done) struct buf bytes = {};
        CLEANUP(tar_entry_done) struct tar_entry entry = {};
        struct error err = {};
        const void *block;
        size_t size, total = 0;
        int64_t offset;

        unpack(archives[a], &bytes);
        cr_assert_lt(bytes.size, 50000);
        CLEANUP(tar_reader_free)
        struct tar_reader *reader = read_bytes(buf_bytes(&bytes), bytes.size);
        cr_assert_eq(tar_reader_next(reader, &entry, &err), 1, "%zu: %s", a, err.text);
        cr_expect_str_eq(entry.name, "sparse");
        cr_expect_eq(entry.size, 10 << 20);
        while (tar_reader_block(reader, &block, &size, &offset, &err) > 0) {
            total += size;
            for (size_t i = 0; i < size; i++) {
                int64_t at = offset + (int64_t)i, x = 1 << 20, y = 5 << 20;
                char wanted = at >= x && at < x + 4096 ? 'x' : at >= y && at < y + 4096 ? 'y' : 0;

                cr_assert_eq(((const char *)block)[i], wanted, "%zu at %zd", a, (ssize_t)at);
            }
        }
        cr_expect_geq(total, 8192);
        cr_expect_lt(total, 50000);
        cr_expect_eq(tar_reader_next(reader, &entry, &err), 0, "%s", err.text);
    }
}

static const struct {
    const char *text;
    size_t size;
    int result;
    const char *error;
} broken[] = {
    { "", 0, 0, "" },
    { "notatar", 7, -1, "unexpected EOF" },
    { NULL, 1024, 0, "" }, /* zeros: an empty archive */
    { "x", 1024, -1, "archive/tar: invalid tar header" },
    { "not a tar", 700, -1, "archive/tar: invalid tar header" },
};

Test(tar, refuses_what_is_no_archive)
{
    for (size_t i = 0; i < COUNT(broken); i++) {
        char bytes[1024] = {};
        struct error err = {};
        size_t count;

        if (broken[i].text)
            for (size_t at = 0; at < sizeof(bytes) && *broken[i].text; at++)
                bytes[at] = broken[i].text[at % strlen(broken[i].text)];
        cr_expect_eq(read_all(bytes, broken[i].size, &count, &err), broken[i].result, "%zu", i);
        cr_expect_str_eq(err.text, broken[i].error);
        cr_expect_eq(count, 0);
    }
}

Test(tar, says_when_an_archive_is_cut)
{
    CLEANUP(buf_done) struct buf bytes = {};
    size_t count;

    unpack(pax_archive, &bytes);
    for (size_t size = 1; size < 5000; size += 97) {
        struct error err = {};
        int result = read_all(buf_bytes(&bytes), size, &count, &err);

        /* A cut between two entries is no cut. */
        if (result < 0)
            cr_expect_str_eq(err.text, "unexpected EOF", "%zu: %s", size, err.text);
        else
            cr_expect_eq(size % 512, 0, "%zu", size);
    }
}

Test(tar, refuses_a_damaged_header)
{
    CLEANUP(buf_done) struct buf bytes = {};
    struct error err = {};
    size_t count;

    unpack(pax_archive, &bytes);
    bytes.memory[bytes.start + 512 + 10] ^= 1;
    cr_expect_eq(read_all(buf_bytes(&bytes), bytes.size, &count, &err), -1);
    cr_expect_eq(err.kind, ERROR_INVALID);
    cr_expect_str_eq(err.text, "archive/tar: invalid tar header");
    cr_expect_eq(count, 1);
}

/* ---- writing */

struct collector {
    struct stream stream;
    struct buf bytes;
};

static int collect(struct stream *stream, const void *data, size_t size, struct error *err UNUSED)
{
    buf_add(&CONTAINER_OF(stream, struct collector, stream)->bytes, data, size);
    return 0;
}

static void write_one(struct collector *collector, const struct tar_entry *entry, bool with_ns)
{
    struct error err = {};
    CLEANUP(tar_writer_free)
    struct tar_writer *writer = tar_writer_new(&collector->stream, with_ns, &err);
    CLEANUP(free) char *content = xcalloc(1, (size_t)entry->size + 1);

    collector->stream.write = collect;
    cr_assert_eq(tar_writer_entry(writer, entry, &err), 0, "%s", err.text);
    cr_assert_eq(tar_writer_data(writer, content, (size_t)entry->size, &err), 0);
    cr_assert_eq(tar_writer_finish(writer, &err), 0, "%s", err.text);
    cr_expect_eq(collector->bytes.size % 512, 0);
}

static struct tar_xattr some_xattrs[] = { { "user.z", "\0\n=", 3 }, { "user.a", "", 0 } };
#define NAME_100 TEN("0123456789")
#define DEEP_255 TEN("abcdefghijklmn/") "abcd/" NAME_100 /* 155, a slash, 100: less one */

static const struct {
    struct tar_entry entry;
    bool with_ns;
    size_t records; /* of 512 bytes, the two at the end included */
} written[] = {
    { { .name = "f", .type = TAR_FILE, .mode = 04755, .size = 513, .mtime_s = 1700000000 },
      true,
      5 },
    { { .name = "f", .type = TAR_FILE, .mtime_s = 5, .mtime_ns = 120000000 }, true, 5 },
    { { .name = "f", .type = TAR_FILE, .mtime_s = -2, .mtime_ns = 250000000 }, true, 5 },
    { { .name = "d/", .type = TAR_DIRECTORY, .mode = 01777, .uid = 2097151 }, false, 3 },
    { { .name = "d/", .type = TAR_DIRECTORY, .uid = 2097152, .gid = INT32_MAX }, false, 5 },
    { { .name = NAME_100, .type = TAR_FILE }, false, 3 },
    { { .name = NAME_100 "x", .type = TAR_FILE }, false, 5 },
    { { .name = "a/" NAME_100, .type = TAR_FILE }, false, 3 },
    { { .name = "a/" NAME_100 "/", .type = TAR_DIRECTORY }, false, 5 },
    { { .name = DEEP_255, .type = TAR_FILE }, false, 3 },
    { { .name = "x" DEEP_255 "x", .type = TAR_FILE }, false, 5 },
    { { .name = "\xc3\xa9", .type = TAR_FILE }, false, 5 },
    { { .name = "caf\xe9", .type = TAR_FILE }, false, 5 },
    { { .name = "l", .type = TAR_SYMLINK, .link_target = "/etc/passwd" }, false, 3 },
    { { .name = "l", .type = TAR_HARDLINK, .link_target = LONG_NAME }, false, 5 },
    { { .name = "l", .type = TAR_HARDLINK, .link_target = "\xff" }, false, 5 },
    { { .name = "l\xff", .type = TAR_SYMLINK, .link_target = "\xff\xfe" }, false, 5 },
    { { .name = "b", .type = TAR_BLOCK_DEVICE, .device_major = 259, .device_minor = 70000 },
      false,
      3 },
    { { .name = "p", .type = TAR_FIFO }, false, 3 },
    { { .name = "x", .type = TAR_FILE, .xattrs = some_xattrs, .xattr_count = 2 }, false, 5 },
};

Test(tar, reads_what_it_wrote)
{
    for (size_t i = 0; i < COUNT(written); i++) {
        const struct tar_entry *given = &written[i].entry;
        struct collector collector = {};
        struct tar_entry entry = {};
        struct error err = {};

        write_one(&collector, given, written[i].with_ns);
        cr_expect_eq(collector.bytes.size, written[i].records * 512, "%zu: %zu records", i,
                     collector.bytes.size / 512);
        struct tar_reader *reader = read_bytes(buf_bytes(&collector.bytes), collector.bytes.size);
        cr_assert_eq(tar_reader_next(reader, &entry, &err), 1, "%zu: %s", i, err.text);
        cr_expect_str_eq(entry.name, given->name);
        cr_expect_eq(entry.type, given->type);
        cr_expect_eq(entry.mode, given->mode);
        cr_expect_eq(entry.uid, given->uid);
        cr_expect_eq(entry.gid, given->gid);
        cr_expect_eq(entry.size, given->size);
        cr_expect_eq(entry.mtime_s, given->mtime_s, "%zu: %zd", i, (ssize_t)entry.mtime_s);
        cr_expect_eq(entry.mtime_ns, given->mtime_ns, "%zu: %zd", i, (ssize_t)entry.mtime_ns);
        cr_expect_str_eq(entry.link_target ? entry.link_target : "",
                         given->link_target ? given->link_target : "");
        cr_expect_eq(entry.device_major, given->device_major);
        cr_expect_eq(entry.device_minor, given->device_minor);
        cr_assert_eq(entry.xattr_count, given->xattr_count);
        for (size_t x = 0; x < entry.xattr_count; x++)
            cr_expect_eq(entry.xattrs[x].size, strcmp(entry.xattrs[x].name, "user.z") == 0 ? 3 : 0);
        cr_expect_eq(tar_reader_next(reader, &entry, &err), 0);
        tar_reader_free(reader);
        buf_done(&collector.bytes);
    }
}

Test(tar, writes_no_fraction_unless_asked)
{
    struct tar_entry entry = { .name = "f", .mtime_s = 1, .mtime_ns = 5 };
    struct collector collector = {};

    write_one(&collector, &entry, false);
    cr_expect_eq(collector.bytes.size, 3 * 512);
    buf_done(&collector.bytes);
}

Test(tar, wants_what_it_was_promised)
{
    struct collector collector = { .stream = { .write = collect } };
    struct tar_entry entry = { .name = "f", .size = 2 }, other = { .name = "o", .type = TAR_OTHER };
    struct error err = {};
    CLEANUP(tar_writer_free)
    struct tar_writer *writer = tar_writer_new(&collector.stream, false, &err);

    cr_expect_eq(tar_writer_entry(writer, &other, &err), -1);
    cr_expect_eq(err.kind, ERROR_UNSUPPORTED);
    cr_assert_eq(tar_writer_entry(writer, &entry, &err), 0);
    cr_expect_eq(tar_writer_data(writer, "abc", 3, &err), -1);
    cr_expect_eq(tar_writer_data(writer, "a", 1, &err), 0);
    cr_expect_eq(tar_writer_entry(writer, &entry, &err), -1);
    cr_expect_eq(tar_writer_finish(writer, &err), -1);
    buf_done(&collector.bytes);
}

Test(tar, refuses_endless_names_and_attributes)
{
    CLEANUP(free) char *name = xcalloc(1, TAR_NAME_LIMIT + 2);
    CLEANUP(free) char *value = xcalloc(1, TAR_XATTR_LIMIT);
    struct tar_xattr xattr = { "user.x", value, TAR_XATTR_LIMIT };
    struct tar_entry entries[] = {
        { .name = memset(name, 'n', TAR_NAME_LIMIT + 1) },
        { .name = "x", .xattrs = &xattr, .xattr_count = 1 },
    };

    for (size_t i = 0; i < COUNT(entries); i++) {
        struct collector collector = {};
        struct error err = {};
        size_t count;

        write_one(&collector, &entries[i], false);
        cr_expect_eq(read_all(buf_bytes(&collector.bytes), collector.bytes.size, &count, &err), -1);
        cr_expect_eq(err.kind, ERROR_INVALID);
        buf_done(&collector.bytes);
    }
}
