#include <criterion/criterion.h>
#include <string.h>

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

Test(layer_blob, compresses_to_the_same_bytes)
{
    char first[DIGEST_TEXT_SIZE], second[DIGEST_TEXT_SIZE], remembered[DIGEST_TEXT_SIZE];
    struct layer layer;
    int64_t size, again;
    int fd;

    test_unpack("", "a = one, b = two", true, &layer);
    cr_expect_not(store_layer_compressed(test_store, layer.diff_id, remembered, &size));
    cr_assert_eq(store_layer_compress(test_store, layer.chain_id, &fd, first, &size, &err), 0, "%s",
                 err.text);
    close(fd);
    cr_assert_eq(store_layer_compress(test_store, layer.chain_id, &fd, second, &again, &err), 0);
    close(fd);
    cr_expect_str_eq(first, second);
    cr_assert(store_layer_compressed(test_store, layer.diff_id, remembered, &again));
    cr_expect_str_eq(remembered, first);
    cr_expect_eq(again, size);
}
