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

Test(layer_blob, keeps_nothing_of_what_can_be_made_again)
{
    CLEANUP(str_done) struct str canonical = {}, again = {};
    struct layer made, layer;
    char digest[DIGEST_TEXT_SIZE];

    test_unpack("", "etc/, etc/a = one", true, &made);
    write_out(&made, &canonical);
    store_layer_release(test_store, made.chain_id);
    cr_assert_eq(store_collect(test_store, NULL, NULL, &err), 0, "%s", err.text);
    put(&canonical, digest);
    cr_expect_str_eq(digest, made.diff_id);
    cr_assert_eq(unpack(digest, digest, &layer), 0, "%s", err.text);
    cr_expect_str_eq(layer.blob_digest, "");
    blob_discard(test_store, digest);
    cr_expect_not(blob_exists(test_store, digest));
    write_out(&layer, &again);
    cr_expect_str_eq(layer.diff_id, made.diff_id);
    cr_expect_eq(again.length, canonical.length);
}

Test(layer_blob, keeps_the_bytes_of_others)
{
    CLEANUP(str_done) struct str archive = {}, again = {};
    struct layer layer;
    char digest[DIGEST_TEXT_SIZE];

    archive_make(&archive, "b = two, a = one"); /* not in order */
    put(&archive, digest);
    cr_assert_eq(unpack(digest, digest, &layer), 0, "%s", err.text);
    blob_discard(test_store, digest);
    cr_expect_not(blob_exists(test_store, digest));
    cr_expect(blob_exists(test_store, layer.blob_digest));
    write_out(&layer, &again);
    cr_assert_eq(again.length, archive.length);
    cr_expect_eq(memcmp(again.data, archive.data, archive.length), 0);
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
