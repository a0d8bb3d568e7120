#include "codec/password.h"

#include <criterion/criterion.h>

#include "base/macros.h"

#include "base/banned.h"

/* of "secret" */
static const char *const hashes[] = {
    "$2a$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW",
    "$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW",
    "$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW",
};

Test(password, is_the_one_that_was_hashed)
{
    for (size_t i = 0; i < COUNT(hashes); i++) {
        cr_expect(password_hash_is_valid(hashes[i]));
        cr_expect(password_verify(hashes[i], "secret"), "%s", hashes[i]);
        cr_expect_not(password_verify(hashes[i], "secre"));
        cr_expect_not(password_verify(hashes[i], ""));
    }
}

static const char *const others[] = {
    "",
    "secret",
    "$apr1$abcdefgh$xxxxxxxxxxxxxxxxxxxxxx",
    "$2y$04$short",
    "$2x$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW",
    "$2y$31$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW",
    "$2y$xx$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW",
};

Test(password, takes_no_other_hashes)
{
    for (size_t i = 0; i < COUNT(others); i++) {
        cr_expect_not(password_hash_is_valid(others[i]), "%s", others[i]);
        cr_expect_not(password_verify(others[i], "secret"), "%s", others[i]);
    }
}
