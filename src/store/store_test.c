#include "store/store.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "base/file.h"
#include "base/memory.h"
#include "codec/compress.h"
#include "codec/sha256.h"
#include "store/test_tools.h"

#define EMPTY_LAYER "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"

static const char *const drivers[] = { "overlay2", "vfs" };
static struct error err;

static void set_up(void)
{
    test_directory_make();
}

static void tear_down(void)
{
    test_store_remove();
}

TestSuite(store, .init = set_up, .fini = tear_down, .timeout = 120);

/* Runs the rest of the test's body with each driver in a directory of its own. */
#define EACH_DRIVER(driver)                                                                        \
    for (size_t driver##_ = 0;                                                                     \
         driver##_ < COUNT(drivers) && (driver##_ == 0 || (test_store_remove(), set_up(), 1)) &&   \
         (test_store_open(drivers[driver##_]), 1);                                                 \
         driver##_++)

static char *describe_mount(const char *chain_id, const struct writable *writable)
{
    CLEANUP(close) int fd = -1;

    cr_assert_eq(store_mount(test_store, chain_id, writable, &fd, &err), 0, "%s", err.text);
    return test_describe(fd);
}

static char *list(const char *name)
{
    CLEANUP(free) char *path = path_join(test_directory, name);
    CLEANUP(close) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return test_describe(fd);
}

static void expect_no_difference(void)
{
    CLEANUP(strv_done) struct strv differences = {};

    cr_assert_eq(store_verify(test_store, &differences, &err), 0, "%s", err.text);
    CLEANUP(free) char *text = strv_join(&differences, "; ");
    cr_expect_str_eq(text, "");
}

/* ---- blobs ---- */

Test(store, keeps_blobs_by_their_digest)
{
    CLEANUP(str_done) struct str content = {};
    char digest[DIGEST_TEXT_SIZE];

    test_store_open(NULL);
    cr_assert_eq(blob_put(test_store, "hello", 5, digest, &err), 0, "%s", err.text);
    cr_expect_str_eq(digest,
                     "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
    cr_assert_eq(blob_put(test_store, "hello", 5, digest, &err), 0, "%s", err.text);
    cr_assert_eq(blob_read(test_store, digest, 5, &content, &err), 0, "%s", err.text);
    cr_expect_str_eq(str_text(&content), "hello");
    cr_expect(blob_exists(test_store, digest));
    cr_expect_eq(blob_read(test_store, EMPTY_LAYER, 5, &content, &err), -1);
    cr_expect_eq(err.kind, ERROR_NOT_FOUND);
    cr_expect_eq(blob_read(test_store, "sha256:../../../etc/passwd", 5, &content, &err), -1);
    cr_expect_eq(err.kind, ERROR_INVALID);
    expect_no_difference();
}

Test(store, keeps_nothing_of_a_wrong_blob)
{
    static const struct {
        const char *digest;
        int64_t size;
    } wrong[] = { { EMPTY_LAYER, -1 }, { NULL, 4 } };
    char digest[DIGEST_TEXT_SIZE];

    test_store_open(NULL);
    for (size_t i = 0; i < COUNT(wrong); i++) {
        struct blob_writer *writer;

        cr_assert_eq(blob_writer_new(test_store, &writer, &err), 0);
        cr_assert_eq(blob_writer_add(writer, "hello", 5, &err), 0);
        cr_expect_eq(blob_writer_finish(writer, wrong[i].digest, wrong[i].size, digest, &err), -1);
        cr_expect_eq(err.kind, ERROR_INVALID);
        blob_writer_free(writer);
    }
    CLEANUP(free) char *blobs = list("blobs");
    CLEANUP(free) char *tmp = list("tmp");
    cr_expect_str_eq(blobs, "sha256");
    cr_expect_str_eq(tmp, "");
}

/* ---- layers ---- */

static const struct {
    const char *lower, *upper, *wanted;
} stacks[] = {
    { "a/, a/b = 1, c = 2", "d = 3", "a a/b=1 c=2 d=3" },
    { "a/, a/b = 1, c = 2", ".wh.a, .wh.nothing", "c=2" },
    { "a/, a/b = 1, a/c = 2", "a/, a/.wh.b", "a a/c=2" },
    { "a/, a/b = 1, a/c = 2", "a/, a/.wh..wh..opq, a/d = 3", "a a/d=3" },
    { "a/, a/b = 1", ".wh.a, a/, a/c = 2", "a a/c=2" },
    { "a/, a/b = 1", "a/, a/c = 2, .wh.a", "a a/c=2" },
    { "a/, a/b = 1", "a = 2", "a=2" },
    { "a = 1", "a/, a/b = 2", "a a/b=2" },
    { "a = 1, b = 2", ".wh..wh..opq, c = 3", "c=3" },
    { "a = 1, b => a", "b = 2", "a=1 b=2" },
    { "-a = 1", ".wh.-a, -a = 2", "-a=2" },
    { "l -> a", "l = 1", "l=1" },
    { "n % 1:3, p |", ".wh.p, n % 1:5", "n%1:5" },
};

Test(store, stacks_layers)
{
    EACH_DRIVER(driver)
    {
        for (size_t i = 0; i < COUNT(stacks); i++) {
            struct layer lower, upper;

            test_unpack("", stacks[i].lower, i % 2, &lower);
            test_unpack(lower.chain_id, stacks[i].upper, i % 2, &upper);
            CLEANUP(free) char *seen = describe_mount(upper.chain_id, NULL);
            cr_expect_str_eq(seen, stacks[i].wanted, "%s over %s, %s: %s", stacks[i].upper,
                             stacks[i].lower, store_driver(test_store), seen);
        }
        expect_no_difference();
    }
}

Test(store, mounts_nothing_over_nothing)
{
    EACH_DRIVER(driver)
    {
        CLEANUP(writable_done) struct writable writable = {};
        CLEANUP(free) char *empty = describe_mount("", NULL);

        cr_expect_str_eq(empty, "");
        cr_assert_eq(store_writable_new(test_store, &writable, &err), 0, "%s", err.text);
        CLEANUP(free) char *still_empty = describe_mount("", &writable);
        cr_expect_str_eq(still_empty, "");
    }
}

Test(store, mounts_read_only)
{
    EACH_DRIVER(driver)
    {
        struct layer layer;
        CLEANUP(close) int fd = -1;

        test_unpack("", "a = 1", true, &layer);
        cr_assert_eq(store_mount(test_store, layer.chain_id, NULL, &fd, &err), 0, "%s", err.text);
        cr_expect_eq(mkdirat(fd, "b", 0755), -1);
        cr_expect_eq(errno, EROFS);
    }
}

/* The digest of a layer is that of what it is written as. */
static void expect_writes_itself(const struct layer *layer)
{
    CLEANUP(str_done) struct str plain = {};
    struct text_sink sink = text_sink(&plain);
    char digest[DIGEST_TEXT_SIZE];

    cr_assert_eq(store_layer_write(test_store, layer->chain_id, &sink.stream, &err), 0, "%s",
                 err.text);
    sha256_digest(plain.data, plain.length, digest);
    cr_expect_str_eq(digest, layer->diff_id);
}

#define ALL_KINDS                                                                                  \
    "z = 1, a/, a/.wh..wh..opq, a/b = 2, h => z, l -> a/b, n % 1:3, p |, .wh.gone, d/.wh.x, d/-y " \
    "= 3"

Test(store, writes_what_it_unpacked)
{
    char canonical_id[DIGEST_TEXT_SIZE] = "";

    EACH_DRIVER(driver)
    {
        struct layer base, kept, canonical, again;

        test_unpack("", "base = 1", true, &base);
        test_unpack(base.chain_id, ALL_KINDS, false, &kept);
        test_unpack(base.chain_id, ALL_KINDS, true, &canonical);
        cr_expect_neq(*kept.blob_digest, 0);
        cr_expect_eq(*canonical.blob_digest, 0);
        cr_expect_eq(canonical.size_bytes, 3);
        cr_expect_str_neq(kept.diff_id, canonical.diff_id);
        expect_writes_itself(&kept);
        expect_writes_itself(&canonical);

        /* What was written unpacks to the same layer. */
        CLEANUP(str_done) struct str plain = {};
        struct text_sink sink = text_sink(&plain);
        cr_assert_eq(store_layer_write(test_store, canonical.chain_id, &sink.stream, &err), 0);
        CLEANUP(stream_close) struct stream *stream = stream_from_memory(plain.data, plain.length);
        cr_assert_eq(store_layer_unpack(test_store, "", stream, false, &again, &err), 0, "%s",
                     err.text);
        cr_expect_str_eq(again.diff_id, canonical.diff_id);

        /* It does not depend on the driver. */
        if (*canonical_id)
            cr_expect_str_eq(canonical.diff_id, canonical_id);
        memcpy(canonical_id, canonical.diff_id, sizeof(canonical_id));
    }
}

Test(store, keeps_compressed_archives_as_they_came)
{
    static const enum compression kinds[] = { COMPRESSION_GZIP, COMPRESSION_ZSTD };
    CLEANUP(str_done) struct str plain = {};
    char plain_digest[DIGEST_TEXT_SIZE], digest[DIGEST_TEXT_SIZE];

    test_store_open(NULL);
    archive_make(&plain, "a = 1, b = 2");
    sha256_digest(plain.data, plain.length, plain_digest);
    for (size_t i = 0; i < COUNT(kinds); i++) {
        CLEANUP(str_done) struct str packed = {};
        struct text_sink sink = text_sink(&packed);
        struct layer parent, layer;

        {
            CLEANUP(stream_close)
            struct stream *deflate = stream_deflate(&sink.stream, kinds[i], 3, &err);
            cr_assert_eq(stream_write(deflate, plain.data, plain.length, &err), 0);
            cr_assert_eq(stream_write(deflate, "", 0, &err), 0);
        }
        test_unpack("", i ? "x = 1" : "y = 1", true, &parent);
        sha256_digest(packed.data, packed.length, digest);
        CLEANUP(stream_close)
        struct stream *stream = stream_from_memory(packed.data, packed.length);
        cr_assert_eq(store_layer_unpack(test_store, parent.chain_id, stream, false, &layer, &err),
                     0, "%s", err.text);
        cr_expect_str_eq(layer.blob_digest, digest);
        cr_expect_str_eq(layer.diff_id, plain_digest);
        expect_writes_itself(&layer);
    }
}

/* An end of archive, and then a gigabyte of nothing from a few bytes. */
Test(store, stops_bombs)
{
    static const enum compression kinds[] = { COMPRESSION_GZIP, COMPRESSION_ZSTD };
    CLEANUP(free) char *zeros = xcalloc(1, 1 << 20);

    test_store_open(NULL);
    for (size_t i = 0; i < COUNT(kinds); i++) {
        CLEANUP(str_done) struct str packed = {};
        struct text_sink sink = text_sink(&packed);
        struct layer layer;

        {
            CLEANUP(stream_close)
            struct stream *deflate = stream_deflate(&sink.stream, kinds[i], 3, &err);
            for (int block = 0; block < 256; block++)
                cr_assert_eq(stream_write(deflate, zeros, 1 << 20, &err), 0);
            cr_assert_eq(stream_write(deflate, "", 0, &err), 0);
        }
        bool is_bomb = packed.length * 1000 < (size_t)256 << 20;
        CLEANUP(stream_close)
        struct stream *stream = stream_from_memory(packed.data, packed.length);
        int result = store_layer_unpack(test_store, "", stream, true, &layer, &err);
        cr_expect_eq(result, is_bomb ? -1 : 0, "%zu bytes: %s", packed.length, err.text);
        if (is_bomb)
            cr_expect_eq(err.kind, ERROR_INVALID, "%s", err.text);
        else
            store_layer_release(test_store, layer.chain_id);
        cr_expect(is_bomb || kinds[i] == COMPRESSION_GZIP);
    }
}

Test(store, leaves_nothing_of_a_bad_archive)
{
    EACH_DRIVER(driver)
    {
        CLEANUP(str_done) struct str archive = {};
        struct layer layer;

        archive_make(&archive, "a = 1, ../b = 2");
        CLEANUP(stream_close)
        struct stream *stream = stream_from_memory(archive.data, archive.length);
        cr_expect_eq(store_layer_unpack(test_store, "", stream, false, &layer, &err), -1);
        cr_expect_eq(err.kind, ERROR_INVALID, "%s", err.text);
        CLEANUP(free) char *layers = list("layers");
        CLEANUP(free) char *blobs = list("blobs");
        CLEANUP(free) char *tmp = list("tmp");
        cr_expect_str_eq(layers, "");
        cr_expect_str_eq(blobs, "sha256");
        cr_expect_str_eq(tmp, "");
    }
}

Test(store, copies_look_of_directories_from_below)
{
    EACH_DRIVER(driver)
    {
        struct tar_entry tmp = { .name = (char *)"tmp",
                                 .type = TAR_DIRECTORY,
                                 .mode = 01777,
                                 .uid = 7,
                                 .gid = 8,
                                 .mtime_s = 5000 };
        struct tar_entry root = { .name = (char *)"./", .type = TAR_DIRECTORY, .mode = 0711 };
        CLEANUP(str_done) struct str archive = {};
        CLEANUP(close) int fd = -1;
        struct layer base, top;
        struct stat status;

        archive_add_entry(&archive, &root, NULL);
        archive_add_entry(&archive, &tmp, NULL);
        archive_finish(&archive);
        CLEANUP(stream_close)
        struct stream *stream = stream_from_memory(archive.data, archive.length);
        cr_assert_eq(store_layer_unpack(test_store, "", stream, true, &base, &err), 0);
        test_unpack(base.chain_id, "tmp/x = 1", true, &top);
        cr_assert_eq(store_mount(test_store, top.chain_id, NULL, &fd, &err), 0, "%s", err.text);
        cr_assert_eq(fstatat(fd, "tmp", &status, 0), 0);
        cr_expect(status.st_mode == (S_IFDIR | 01777) && status.st_uid == 7 && status.st_gid == 8);
        cr_assert_eq(fstat(fd, &status), 0);
        cr_expect_eq(status.st_mode & 07777, 0711);
    }
}

/* ---- changes ---- */

static void change(int fd)
{
    CLEANUP(close) int file_fd = openat(fd, "new", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

    cr_assert_eq(write(file_fd, "n", 1), 1);
    cr_assert_eq(unlinkat(fd, "d/gone", 0), 0);
    cr_assert_eq(unlinkat(fd, "e/x", 0), 0);
    cr_assert_eq(unlinkat(fd, "e", AT_REMOVEDIR), 0);
    cr_assert_eq(fchmodat(fd, "d/mode", 0600, 0), 0);
    cr_assert_eq(unlinkat(fd, "f", 0), 0);
    cr_assert_eq(mkdirat(fd, "f", 0755), 0);
    cr_assert_eq(linkat(fd, "new", fd, "link", 0), 0);
    cr_assert_eq(unlinkat(fd, "o/x", 0), 0);
    cr_assert_eq(unlinkat(fd, "o", AT_REMOVEDIR), 0);
    cr_assert_eq(mkdirat(fd, "o", 0755), 0);
}

#define BEFORE                                                                                     \
    "d/, d/gone = 1, d/kept = 2, d/mode = 3, e/, e/x = 4, f = 5, o/, o/x = 6, quiet/, quiet/x = 7"
#define AFTER "d d/kept=2 d/mode=3 f link=n new=n o quiet quiet/x=7"

Test(store, makes_layers_of_changes)
{
    EACH_DRIVER(driver)
    {
        CLEANUP(writable_done) struct writable writable = {};
        struct layer base, copied, committed;

        test_unpack("", BEFORE, true, &base);
        cr_assert_eq(store_writable_new(test_store, &writable, &err), 0, "%s", err.text);
        {
            CLEANUP(close) int fd = -1;

            cr_assert_eq(store_mount(test_store, base.chain_id, &writable, &fd, &err), 0, "%s",
                         err.text);
            change(fd);
            CLEANUP(free) char *seen = test_describe(fd);
            cr_expect_str_eq(seen, AFTER);
            cr_assert_eq(store_layer_copy(test_store, base.chain_id, &writable, &copied, &err), 0,
                         "%s", err.text);
        }
        cr_assert_eq(
            store_layer_commit(test_store, base.chain_id, &writable, NULL, &committed, &err), 0,
            "%s", err.text);
        cr_expect_null(writable.top_path);
        cr_expect_str_eq(copied.chain_id, committed.chain_id);
        cr_expect_eq(committed.size_bytes, 2);
        expect_writes_itself(&committed);
        CLEANUP(free) char *seen = describe_mount(committed.chain_id, NULL);
        cr_expect_str_eq(seen, AFTER, "%s: %s", store_driver(test_store), seen);
        CLEANUP(free) char *tmp = list("tmp");
        cr_expect_str_eq(tmp, "");
    }
}

Test(store, makes_an_empty_layer_of_no_change)
{
    EACH_DRIVER(driver)
    {
        CLEANUP(writable_done) struct writable writable = {};
        struct layer base, layer;

        test_unpack("", BEFORE, true, &base);
        cr_assert_eq(store_writable_new(test_store, &writable, &err), 0);
        free(describe_mount(base.chain_id, &writable));
        cr_assert_eq(store_layer_commit(test_store, base.chain_id, &writable, NULL, &layer, &err),
                     0, "%s", err.text);
        cr_expect_str_eq(layer.diff_id, EMPTY_LAYER);
        cr_expect_eq(layer.size_bytes, 0);
    }
}

#define LARGE_SIZE ((off_t)20 << 20)

/* A large file with one letter in it. */
static void put_large(const struct writable *writable, const char *name, char letter)
{
    static const struct timespec times[2] = { { .tv_sec = 1 }, { .tv_sec = 1 } };
    CLEANUP(free) char *path = path_join(writable->diff_path, name);
    CLEANUP(close) int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

    cr_assert_geq(fd, 0);
    cr_assert_eq(ftruncate(fd, LARGE_SIZE), 0);
    cr_assert_eq(pwrite(fd, &letter, 1, LARGE_SIZE / 2), 1);
    cr_assert_eq(futimens(fd, times), 0);
}

/* One that writing would take a capability and its time from, without two equal blocks. */
static void put_numbered(const struct writable *writable, const char *name, off_t size)
{
    static const unsigned char capability[20] = { 0, 0, 0, 2, 1 };
    static const struct timespec times[2] = { { .tv_sec = 5 }, { .tv_sec = 6 } };
    CLEANUP(free) char *path = path_join(writable->diff_path, name);
    CLEANUP(free) uint64_t *numbers = xmalloc((size_t)size);
    CLEANUP(close) int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

    for (size_t i = 0; i < (size_t)size / sizeof(*numbers); i++)
        numbers[i] = i;
    cr_assert_eq(fd_write_all(fd, numbers, (size_t)size, &err), 0, "%s", err.text);
    cr_assert_eq(fsetxattr(fd, "security.capability", capability, sizeof(capability), 0), 0);
    cr_assert_eq(fchmod(fd, 04755), 0);
    cr_assert_eq(futimens(fd, times), 0);
}

static void expect_number(int fd, off_t at)
{
    uint64_t number = 0;

    cr_assert_eq(pread(fd, &number, sizeof(number), at), (ssize_t)sizeof(number));
    cr_expect_eq(number, (uint64_t)at / sizeof(number));
}

static void expect_numbered(const struct layer *layer, const char *name, off_t size)
{
    CLEANUP(close) int dir_fd = -1;
    struct stat status;
    char capability[64];

    cr_assert_eq(store_mount(test_store, layer->chain_id, NULL, &dir_fd, &err), 0, "%s", err.text);
    CLEANUP(close) int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
    cr_assert_eq(fstat(fd, &status), 0);
    cr_expect(status.st_size == size && status.st_mtim.tv_sec == 6);
    cr_expect_eq(status.st_mode, S_IFREG | 04755);
    cr_expect_eq(fgetxattr(fd, "security.capability", capability, sizeof(capability)), 20);
    for (off_t at = 0; at < size; at += 4096)
        expect_number(fd, at);
}

Test(store, copies_large_files_as_they_are)
{
    enum { MANY = 2, SIZE = 9 << 20 };

    EACH_DRIVER(driver)
    {
        CLEANUP(writable_done) struct writable writable = {};
        struct layer copied, committed;

        cr_assert_eq(store_writable_new(test_store, &writable, &err), 0, "%s", err.text);
        put_numbered(&writable, "numbers", SIZE + 8);
        put_numbered(&writable, ".wh.no whiteout", SIZE);
        for (int i = 0; i < MANY; i++) {
            char name[16];

            snprintf(name, sizeof(name), "%d", i);
            put_large(&writable, name, 'x');
        }
        CLEANUP(close) int fd = open(writable.diff_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        cr_assert_eq(linkat(fd, "numbers", fd, "link", 0), 0);
        cr_assert_eq(store_layer_copy(test_store, "", &writable, &copied, &err), 0, "%s", err.text);
        expect_numbered(&copied, "link", SIZE + 8);
        if (driver_ == 0)
            expect_numbered(&copied, ".wh.no whiteout", SIZE);
        cr_assert_eq(store_layer_commit(test_store, "", &writable, NULL, &committed, &err), 0, "%s",
                     err.text);
        cr_expect_str_eq(copied.diff_id, committed.diff_id);
        cr_expect_eq(copied.size_bytes, MANY * LARGE_SIZE + SIZE + 8);
    }
}

/* Says the same of every file. */
static bool find_same(void *data, const struct stat *file UNUSED,
                      char out_hex[LAYER_CONTENT_HEX_SIZE])
{
    snprintf(out_hex, LAYER_CONTENT_HEX_SIZE, "%s", (const char *)data);
    return true;
}

static void commit_large(const char *letters, const struct layer_contents *known,
                         char out_diff_id[DIGEST_TEXT_SIZE])
{
    CLEANUP(writable_done) struct writable writable = {};
    struct layer layer;

    cr_assert_eq(store_writable_new(test_store, &writable, &err), 0);
    for (size_t i = 0; letters[i]; i++)
        put_large(&writable, (const char[]){ (char)('a' + i), 0 }, letters[i]);
    cr_assert_eq(store_layer_commit(test_store, "", &writable, known, &layer, &err), 0, "%s",
                 err.text);
    memcpy(out_diff_id, layer.diff_id, DIGEST_TEXT_SIZE);
}

/* Whoever reads the files again would see that they are not what is said of them. */
Test(store, reads_what_was_hashed_before_no_more)
{
    char zeros[LAYER_CONTENT_HEX_SIZE], ones[LAYER_CONTENT_HEX_SIZE];
    char first[DIGEST_TEXT_SIZE], again[DIGEST_TEXT_SIZE], other[DIGEST_TEXT_SIZE];

    snprintf(zeros, sizeof(zeros), "%064d", 0);
    snprintf(ones, sizeof(ones), "%064d", 1);
    const struct layer_contents same = { find_same, zeros, 2 * LARGE_SIZE };
    const struct layer_contents different = { find_same, ones, 2 * LARGE_SIZE };
    const struct layer_contents little = { find_same, zeros, 1 };

    test_store_open("overlay2");
    commit_large("xy", &same, first);
    commit_large("xy", NULL, again);
    cr_expect_str_eq(again, first);
    commit_large("zy", &same, again);
    cr_expect_str_eq(again, first, "nothing was to be read");
    commit_large("zy", &different, other);
    cr_expect_str_neq(other, first, "all was to be read");
    commit_large("zy", &little, again);
    cr_expect_str_eq(again, other, "not worth a look");
}

Test(store, keeps_a_containers_changes)
{
    EACH_DRIVER(driver)
    {
        CLEANUP(free) char *path = path_join(test_directory, "containers/c1");
        struct layer base;

        test_unpack("", "a = 1", true, &base);
        for (int i = 0; i < 2; i++) {
            CLEANUP(writable_done) struct writable writable = {};
            CLEANUP(close) int fd = -1;

            cr_assert_eq(store_writable_at(test_store, path, base.chain_id, &writable, &err), 0,
                         "%s", err.text);
            cr_assert_eq(store_mount(test_store, base.chain_id, &writable, &fd, &err), 0, "%s",
                         err.text);
            CLEANUP(free) char *seen = test_describe(fd);
            cr_expect_str_eq(seen, i ? "b" : "a=1");
            unlinkat(fd, "a", 0);
            mkdirat(fd, "b", 0755);
            if (i)
                cr_assert_eq(store_writable_remove(test_store, &writable, &err), 0, "%s", err.text);
        }
        cr_expect_not(file_exists(path));
    }
}

Test(store, puts_the_init_directory_below_the_changes)
{
    EACH_DRIVER(driver)
    {
        CLEANUP(writable_done) struct writable writable = {};
        CLEANUP(free) char *init_path = path_join(test_directory, "init");
        struct layer base;

        cr_assert_eq(mkdir(init_path, 0755), 0);
        CLEANUP(close) int init_fd = open(init_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        cr_assert_eq(mkdirat(init_fd, "etc", 0755), 0);
        cr_assert_eq(mkdirat(init_fd, "dev", 0755), 0);
        close(openat(init_fd, "etc/hosts", O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
        test_unpack("", "etc/, etc/passwd = root", true, &base);
        cr_assert_eq(store_writable_new(test_store, &writable, &err), 0);
        writable.init_path = init_path;
        CLEANUP(free) char *seen = describe_mount(base.chain_id, &writable);
        cr_expect_str_eq(seen, "dev etc etc/hosts= etc/passwd=root");
    }
}

Test(store, mounts_more_layers_than_docker)
{
    struct layer layer = {};
    CLEANUP(close) int fd = -1;

    test_store_open("overlay2");
    for (int i = 0; i < 200; i++) {
        CLEANUP(free) char *entries = xasprintf("f%d = x", i);

        test_unpack(layer.chain_id, entries, true, &layer);
    }
    cr_assert_eq(store_mount(test_store, layer.chain_id, NULL, &fd, &err), 0, "%s", err.text);
    cr_expect_eq(faccessat(fd, "f0", F_OK, 0), 0);
    cr_expect_eq(faccessat(fd, "f199", F_OK, 0), 0);
}

/* ---- opening ---- */

Test(store, belongs_to_one_engine)
{
    struct store_options options = { .data_path = test_directory };
    struct store *second = NULL;

    test_store_open(NULL);
    cr_expect_eq(store_open(&options, test_database, &second, &err), -1);
    cr_expect_eq(err.kind, ERROR_UNAVAILABLE, "%s", err.text);
}

Test(store, stays_with_its_driver)
{
    struct store_options options = { .data_path = test_directory, .driver = "overlay2" };
    struct store *second = NULL;

    test_store_open("vfs");
    store_close(TAKE(test_store));
    cr_expect_eq(store_open(&options, test_database, &second, &err), -1);
    cr_expect_eq(err.kind, ERROR_CONFLICT, "%s", err.text);
    options.driver = NULL;
    cr_assert_eq(store_open(&options, test_database, &test_store, &err), 0, "%s", err.text);
    cr_expect_str_eq(store_driver(test_store), "vfs");
}

static void write_file(const char *name, const char *text)
{
    CLEANUP(free) char *path = path_join(test_directory, name);

    cr_assert_eq(file_write_atomic(path, text, strlen(text), 0600, false, &err), 0, "%s", err.text);
}

Test(store, clears_up_after_a_crash)
{
    CLEANUP(strv_done) struct strv differences = {};
    char digest[DIGEST_TEXT_SIZE];
    struct layer kept, lost;

    test_store_open(NULL);
    test_unpack("", "a = 1", true, &kept);
    test_unpack("", "b = 1", true, &lost);
    cr_assert_eq(blob_put(test_store, "unfinished pull", 15, digest, &err), 0);
    write_file("tmp/x", "x");
    write_file("blobs/sha256/0123", "x");
    CLEANUP(free) char *stray = path_join(test_directory, "layers/0123/diff/x/y");
    cr_assert_eq(dir_make(stray, 0700, &err), 0);
    CLEANUP(free) char *layers = path_join(test_directory, "layers");
    CLEANUP(free) char *lost_path = path_join(layers, digest_hex(lost.chain_id));
    cr_assert_eq(tree_remove(lost_path, &err), 0);

    cr_assert_eq(store_verify(test_store, &differences, &err), 0);
    cr_expect_eq(differences.count, 3);
    test_store_close();
    test_store_open(NULL);
    expect_no_difference();
    CLEANUP(free) char *tmp = list("tmp");
    CLEANUP(free) char *blobs = list("blobs");
    cr_expect_str_eq(tmp, "");
    cr_expect_str_eq(blobs, "sha256");
    cr_expect_eq(store_layer_get(test_store, kept.chain_id, &kept, &err), 0);
    cr_expect_eq(store_layer_get(test_store, lost.chain_id, &lost, &err), -1);
}

Test(store, mistrusts_layers_that_a_power_cut_caught)
{
    struct layer layer;

    test_store_open(NULL);
    test_unpack("", "a = 1", true, &layer);
    cr_assert_eq(database_run(test_database, &err, "UPDATE layer SET boot = 'earlier'", NULL), 1);
    test_store_close();
    test_store_open(NULL);
    cr_expect_eq(store_layer_get(test_store, layer.chain_id, &layer, &err), -1);
    expect_no_difference();
}
