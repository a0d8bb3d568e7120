#include "codec/base64.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

static const struct {
    const char *plain;
    size_t size;
    const char *standard, *url;
} pairs[] = {
    { "", 0, "", "" },
    { "f", 1, "Zg==", "Zg==" },
    { "fo", 2, "Zm8=", "Zm8=" },
    { "foo", 3, "Zm9v", "Zm9v" },
    { "\xfb\xff\xfe", 3, "+//+", "-__-" },
    { "\0\0", 2, "AAA=", "AAA=" },
};

Test(base64, writes_both_alphabets)
{
    for (size_t i = 0; i < COUNT(pairs); i++) {
        CLEANUP(free) char *standard = base64_encode(pairs[i].plain, pairs[i].size);
        CLEANUP(free) char *url = base64_encode_url(pairs[i].plain, pairs[i].size);

        cr_expect_str_eq(standard, pairs[i].standard);
        cr_expect_str_eq(url, pairs[i].url);
    }
}

static void expect_decoded(const char *text, const char *plain, size_t size)
{
    CLEANUP(buf_done) struct buf out = {};
    struct error err = {};

    cr_assert_eq(base64_decode(text, &out, &err), 0, "%s: %s", text, err.text);
    cr_expect_eq(out.size, size, "%s", text);
    cr_expect(!size || memcmp(buf_bytes(&out), plain, size) == 0);
}

Test(base64, reads_both_alphabets)
{
    for (size_t i = 0; i < COUNT(pairs); i++) {
        expect_decoded(pairs[i].standard, pairs[i].plain, pairs[i].size);
        expect_decoded(pairs[i].url, pairs[i].plain, pairs[i].size);
    }
    expect_decoded("Zg", "f", 1);
    expect_decoded("Zm8", "fo", 2);
}

static const char *const refused[] = { "Z",    "Zg=",    "Zg===", "Zg==Zg==", "Zm9v=", "Zm9v====",
                                       "Zm 9", "Zm9v\n", "Zm=v",  "=",        "==",    "Zm9\xff" };

Test(base64, refuses_anything_else_and_leaves_nothing)
{
    for (size_t i = 0; i < COUNT(refused); i++) {
        CLEANUP(buf_done) struct buf out = {};
        struct error err = {};

        buf_add(&out, "x", 1);
        cr_expect_eq(base64_decode(refused[i], &out, &err), -1, "%s", refused[i]);
        cr_expect_eq(err.kind, ERROR_INVALID);
        cr_expect_eq(out.size, 1, "%s left something", refused[i]);
    }
}
