#include "codec/sha256.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/banned.h"

#define EMPTY "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define ABC   "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

Test(sha256, knows_the_standard_answers)
{
    char digest[DIGEST_SIZE];

    sha256_digest("", 0, digest);
    cr_expect_str_eq(digest, EMPTY);
    sha256_digest("abc", 3, digest);
    cr_expect_str_eq(digest, ABC);
    cr_expect_str_eq(digest_hex(digest), &ABC[7]);
}

static const struct {
    const char *text;
    bool is_valid;
} digests[] = {
    { ABC, true },
    { NULL, false },
    { "", false },
    { "sha256:", false },
    { ABC "0", false },
    { "sha256:BA7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", false },
    { "sha512:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", false },
    { "sha256:../16bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", false },
    { "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015a\n", false },
};

Test(sha256, lets_only_whole_digests_through)
{
    for (size_t i = 0; i < COUNT(digests); i++)
        cr_expect_eq(digest_is_valid(digests[i].text), digests[i].is_valid, "%s", digests[i].text);
}

Test(sha256, goes_on_from_a_state)
{
    static const char text[3 * SHA256_BLOCK_LENGTH + 5] = "some blocks and a rest";
    char whole[DIGEST_SIZE], resumed[DIGEST_SIZE];

    sha256_digest(text, sizeof(text), whole);
    for (size_t blocks = 0; blocks <= 3; blocks++) {
        CLEANUP(sha256_free) struct sha256 *first = sha256_new(), *second = sha256_new();
        size_t size = blocks * SHA256_BLOCK_LENGTH;
        struct sha256_state state;

        sha256_add(first, text, size);
        cr_assert(sha256_save(first, &state));
        cr_expect_eq(state.size, size);
        sha256_add(second, "forgotten", 9);
        cr_expect_not(sha256_save(second, &(struct sha256_state){}));
        sha256_resume(second, &state);
        sha256_add(second, &text[size], sizeof(text) - size);
        sha256_finish(second, resumed);
        cr_expect_str_eq(resumed, whole);
    }
}

Test(sha256, hashes_what_is_read)
{
    CLEANUP(sha256_free) struct sha256 *hash = sha256_new();
    CLEANUP(stream_close)
    struct stream *stream = stream_hash_read(stream_from_memory("abc", 3), hash);
    char digest[DIGEST_SIZE], byte;

    while (stream_read(stream, &byte, 1, NULL) > 0)
        ;
    sha256_finish(hash, digest);
    cr_expect_str_eq(digest, ABC);
}
