#include <criterion/criterion.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "codec/compress.h"
#include "codec/sha256.h"
#include "store/test_tools.h"

static struct error err;

static void set_up(void)
{
    test_directory_make();
    test_store_open(NULL);
}

static void tear_down(void)
{
    test_store_remove();
}

TestSuite(layer_blob, .init = set_up, .fini = tear_down, .timeout = 120);

static void put(const struct str *bytes, char out_digest[DIGEST_TEXT_SIZE])
{
    cr_assert_eq(blob_put(test_store, bytes->data, bytes->length, out_digest, &err), 0, "%s",
                 err.text);
}

static int unpack(const char *blob_digest, const char *diff_id, struct layer *out)
{
    struct layer_source source = { .blob_digest = blob_digest, .diff_id = diff_id };

    if (store_layer_unpack_blob(test_store, "", &source, out, &err) < 0)
        return -1;
    store_layer_hold(test_store, out->chain_id); /* takes over what unpacking claimed */
    return 0;
}

static void write_out(const struct layer *layer, struct str *out)
{
    struct text_sink sink = text_sink(out);

    cr_assert_eq(store_layer_write(test_store, layer->chain_id, &sink.stream, &err), 0, "%s",
                 err.text);
}

static void compress(const struct str *plain, struct str *out)
{
    struct text_sink sink = text_sink(out);
    CLEANUP(stream_close)
    struct stream *gzip = stream_deflate(&sink.stream, COMPRESSION_GZIP, 1, &err);

    cr_assert_eq(stream_write(gzip, plain->data, plain->length, &err), 0);
    cr_assert_eq(stream_write(gzip, "", 0, &err), 0);
}

static int64_t blob_size(const char *digest)
{
    int64_t size = -1;
    int fd = -1;

    cr_assert_eq(blob_open(test_store, digest, &fd, &size, &err), 0, "%s", err.text);
    close(fd);
    return size;
}

/* Unpacks a plain archive, lets its blob go, and expects it back. */
static void expect_again(const struct str *archive, struct layer *out)
{
    CLEANUP(str_done) struct str again = {};
    char digest[DIGEST_TEXT_SIZE];

    put(archive, digest);
    cr_assert_eq(unpack(digest, digest, out), 0, "%s", err.text);
    blob_discard(test_store, digest);
    cr_expect_not(blob_exists(test_store, digest));
    write_out(out, &again);
    cr_assert_eq(again.length, archive->length);
    cr_expect_eq(memcmp(again.data, archive->data, archive->length), 0);
}

Test(layer_blob, keeps_an_outline_of_what_was_plain)
{
    CLEANUP(str_done) struct str archive = {}, content = {};
    struct tar_entry big = { .name = (char *)"big", .type = TAR_FILE, .mode = 0644 };
    struct tar_entry in_link = {
        .name = (char *)"link/inside", .type = TAR_FILE, .mode = 0644, .size = 3
    };
    struct layer layer;
    int64_t size;

    for (uint32_t random = 1; content.length < 300000; random = random * 1664525 + 1013904223)
        str_add_char(&content, (char)(random >> 24));
    big.size = (int64_t)content.length;
    archive_add_entry(&archive, &big, content.data);
    archive_add(&archive, "b = two");
    archive_add(&archive, "d/");
    archive_add(&archive, "d/a = one");
    archive_add(&archive, "link -> d");
    archive_add(&archive, "hard => b");
    archive_add(&archive, "d/empty = ");
    archive_add_entry(&archive, &in_link, "abc");
    archive_finish(&archive);
    str_add(&archive, "behind the end");
    expect_again(&archive, &layer);
    cr_expect_lt(blob_size(layer.blob_digest), 2000);
    cr_assert_eq(store_layer_plain_size(test_store, layer.chain_id, &size, &err), 0);
    cr_expect_eq(size, (int64_t)archive.length);
}

/* Archives whose files are not all found again where they say: they are kept whole. */
Test(layer_blob, keeps_archives_that_have_no_outline)
{
    static const char *const all[] = { "a = one, a = two", "a = one, a -> b", "a -> d, a/",
                                       "d/, d/a = one, d = file", ".wh..wh.plnk/x = skipped" };

    for (size_t i = 0; i < COUNT(all); i++) {
        CLEANUP(str_done) struct str archive = {};
        struct layer layer;

        archive_make(&archive, all[i]);
        expect_again(&archive, &layer);
        cr_expect(blob_exists(test_store, layer.blob_digest), "%s", all[i]);
    }
}

Test(layer_blob, keeps_compressed_blobs_as_they_are)
{
    CLEANUP(str_done) struct str archive = {}, packed = {};
    struct layer layer;
    char diff_id[DIGEST_TEXT_SIZE], digest[DIGEST_TEXT_SIZE];

    archive_make(&archive, "a = one");
    sha256_digest(archive.data, archive.length, diff_id);
    compress(&archive, &packed);
    put(&packed, digest);
    cr_assert_eq(unpack(digest, diff_id, &layer), 0, "%s", err.text);
    cr_expect_str_eq(layer.blob_digest, digest);
    blob_discard(test_store, digest);
    cr_expect(blob_exists(test_store, digest)); /* The layer names it. */
}

Test(layer_blob, refuses_other_content)
{
    CLEANUP(str_done) struct str archive = {};
    CLEANUP(strv_done) struct strv differences = {};
    struct layer layer;
    char digest[DIGEST_TEXT_SIZE], other[DIGEST_TEXT_SIZE];

    archive_make(&archive, "a = one");
    put(&archive, digest);
    sha256_digest("other", 5, other);
    cr_expect_eq(unpack(digest, other, &layer), -1);
    cr_expect_eq(err.kind, ERROR_INVALID);
    cr_expect(strstr(err.text, "instead of sha256:"), "%s", err.text);
    blob_discard(test_store, digest);
    cr_expect_eq(store_verify(test_store, &differences, &err), 0);
    cr_expect_eq(differences.count, 0);
    cr_expect_not(blob_exists(test_store, digest));
}

Test(layer_blob, claims_hold_against_a_collection)
{
    CLEANUP(str_done) struct str bytes = {};
    char digest[DIGEST_TEXT_SIZE];

    str_add(&bytes, "something");
    put(&bytes, digest);
    cr_expect(blob_claim(test_store, digest));
    blob_release(test_store, digest); /* one of two */
    cr_assert_eq(store_collect(test_store, NULL, NULL, &err), 0);
    cr_expect(blob_exists(test_store, digest));
    blob_release(test_store, digest);
    cr_expect(blob_exists(test_store, digest));
    cr_assert_eq(store_collect(test_store, NULL, NULL, &err), 0);
    cr_expect_not(blob_exists(test_store, digest));
    cr_expect_not(blob_claim(test_store, digest));
}

/* 0 with the compressed bytes, or -1. */
static int compress_layer(const struct layer *layer, struct layer_compressed *out,
                          struct str *bytes)
{
    CLEANUP(stream_close) struct stream *stream = NULL;
    char block[1000];
    ssize_t count;

    err = (struct error){};
    if (store_layer_compress(test_store, layer->chain_id, out, &stream, &err) < 0)
        return -1;
    while ((count = stream_read(stream, block, sizeof(block), &err)) > 0)
        str_add_bytes(bytes, block, (size_t)count);
    return (int)count;
}

Test(layer_blob, compresses_to_the_same_bytes)
{
    CLEANUP(str_done) struct str bytes = {}, again = {}, plain = {};
    struct layer_compressed first = {}, second = {};
    char digest[DIGEST_TEXT_SIZE];
    struct layer layer;
    int64_t size;

    test_unpack("", "a = one, b = two", true, &layer);
    write_out(&layer, &plain);
    cr_expect_not(store_layer_compressed(test_store, layer.diff_id, digest, &size));
    cr_assert_eq(compress_layer(&layer, &first, &bytes), 0, "%s", err.text);
    cr_assert_eq(compress_layer(&layer, &second, &again), 0, "%s", err.text);
    sha256_digest(str_text(&bytes), bytes.length, digest);
    cr_expect_str_eq(first.digest, digest);
    cr_expect_str_eq(second.digest, digest);
    cr_expect_eq(first.size, (int64_t)bytes.length);
    cr_expect_eq(first.plain_size, (int64_t)plain.length);
    cr_assert(store_layer_compressed(test_store, layer.diff_id, digest, &size));
    cr_expect_str_eq(digest, first.digest);
    cr_expect_eq(size, first.size);
}

/* Known by its CRC (archives that were unpacked, layers that were compressed before), or by its
 * digest alone. */
Test(layer_blob, compresses_only_what_it_was)
{
    static const struct {
        bool canonical, is_known;
    } ways[] = { { true, false }, { true, true }, { false, true } };

    for (size_t i = 0; i < COUNT(ways); i++) {
        CLEANUP(str_done) struct str bytes = {};
        CLEANUP(free) char *path = NULL, *entries = xasprintf("a = %zune, b = two", i);
        struct layer_compressed compressed = {};
        struct layer layer;

        test_unpack("", entries, ways[i].canonical, &layer);
        if (ways[i].is_known)
            cr_assert_eq(compress_layer(&layer, &compressed, &bytes), 0, "%s", err.text);
        path = xasprintf("%s/layers/%s/diff/a", test_directory, digest_hex(layer.chain_id));
        cr_assert_eq(file_write_existing(path, "xne", &err), 0, "%s", err.text);
        cr_expect_eq(compress_layer(&layer, &compressed, &bytes), -1, "way %zu", i);
        cr_expect_eq(err.kind, ERROR_INTERNAL);
        cr_expect(strstr(err.text, "changed or damaged"), "%s", err.text);
    }
}

Test(layer_blob, a_compression_can_be_left)
{
    CLEANUP(stream_close) struct stream *stream = NULL;
    struct layer_compressed compressed = {};
    char digest[DIGEST_TEXT_SIZE], byte;
    struct layer layer;
    int64_t size;

    test_unpack("", "a = one, b = two", true, &layer);
    cr_assert_eq(store_layer_compress(test_store, layer.chain_id, &compressed, &stream, &err), 0);
    cr_expect_eq(stream_read(stream, &byte, 1, &err), 1);
    stream_close(TAKE(stream));
    cr_expect_not(store_layer_compressed(test_store, layer.diff_id, digest, &size));
}
