#include "codec/hash.h"

#include <criterion/criterion.h>

#define EMPTY_256 "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define EMPTY_512                                                                                  \
    "sha512:cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce"                      \
    "47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e"

Test(hash, knows_both_algorithms)
{
    char digest[CONTENT_DIGEST_SIZE];

    hash_digest("sha256", "", 0, digest);
    cr_expect_str_eq(digest, EMPTY_256);
    hash_digest(EMPTY_512, "", 0, digest);
    cr_expect_str_eq(digest, EMPTY_512);
    cr_expect_null(hash_new("md5"));
    cr_expect_null(hash_new("sha25"));
    cr_expect_null(hash_new(""));
}

Test(hash, accepts_whole_digests_only)
{
    cr_expect(content_digest_is_valid(EMPTY_256));
    cr_expect(content_digest_is_valid(EMPTY_512));
    cr_expect_not(content_digest_is_valid(NULL));
    cr_expect_not(content_digest_is_valid("sha256"));
    cr_expect_not(content_digest_is_valid("sha256:"));
    cr_expect_not(content_digest_is_valid(EMPTY_256 "0"));
    cr_expect_not(content_digest_is_valid(
        "sha256:E3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));
    cr_expect_not(content_digest_is_valid(
        "sha512:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));
}
