#include "spec/reference.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

#define HEX    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define DIGEST "sha256:" HEX
#define LONG8  "aaaaaaaa"
#define LONG64 LONG8 LONG8 LONG8 LONG8 LONG8 LONG8 LONG8 LONG8

static const struct {
    const char *text, *domain, *path, *tag, *digest, *familiar;
} spellings[] = {
    /* clang-format off */
    { "alpine",                      "docker.io",      "library/alpine",  "latest", NULL,   "alpine:latest" },
    { "team/app:v1",                 "docker.io",      "team/app",        "v1",     NULL,   "team/app:v1" },
    { "localhost/app",               "localhost",      "app",             "latest", NULL,   "localhost/app:latest" },
    { "localhost:5000/app",          "localhost:5000", "app",             "latest", NULL,   "localhost:5000/app:latest" },
    { "index.docker.io/alpine",      "docker.io",      "library/alpine",  "latest", NULL,   "alpine:latest" },
    { "docker.io/a/b",               "docker.io",      "a/b",             "latest", NULL,   "a/b:latest" },
    { "docker.io/library/a/b",       "docker.io",      "library/a/b",     "latest", NULL,   "library/a/b:latest" },
    { "quay.io/a/b/c:X_1.-y",        "quay.io",        "a/b/c",           "X_1.-y", NULL,   "quay.io/a/b/c:X_1.-y" },
    { "UPPER/app",                   "UPPER",          "app",             "latest", NULL,   "UPPER/app:latest" },
    { "[::1]:5000/app:1",            "[::1]:5000",     "app",             "1",      NULL,   "[::1]:5000/app:1" },
    { "a@" DIGEST,                   "docker.io",      "library/a",       NULL,     DIGEST, "a@" DIGEST },
    { "a:1@" DIGEST,                 "docker.io",      "library/a",       "1",      DIGEST, "a:1@" DIGEST },
    { "a__b.c---d_e",                "docker.io",      "library/a__b.c---d_e", "latest", NULL, "a__b.c---d_e:latest" },
    { "a.b",                         "docker.io",      "library/a.b",     "latest", NULL,   "a.b:latest" },
    { "1",                           "docker.io",      "library/1",       "latest", NULL,   "1:latest" },
    /* clang-format on */
};

Test(reference, fills_in_what_the_user_left_out)
{
    for (size_t i = 0; i < COUNT(spellings); i++) {
        CLEANUP(reference_done) struct reference ref = {};
        struct error err = {};

        cr_assert_eq(reference_parse(spellings[i].text, &ref, &err), 0, "%s: %s", spellings[i].text,
                     err.text);
        CLEANUP(free) char *familiar = reference_familiar(&ref);
        cr_expect_str_eq(ref.domain, spellings[i].domain);
        cr_expect_str_eq(ref.path, spellings[i].path);
        cr_expect(text_equal(ref.tag, spellings[i].tag), "%s: tag %s", spellings[i].text, ref.tag);
        cr_expect(text_equal(ref.digest, spellings[i].digest), "%s", spellings[i].text);
        cr_expect_str_eq(familiar, spellings[i].familiar);
    }
}

#define PLAIN "invalid reference format"
static const struct {
    const char *text, *error;
} refused[] = {
    { "", PLAIN },
    { "/", PLAIN },
    { "a/", PLAIN },
    { "a//b", PLAIN },
    { ":tag", PLAIN },
    { "a:", PLAIN },
    { "a:.x", PLAIN },
    { "a:b:c", PLAIN },
    { "a b", PLAIN },
    { "-a", PLAIN },
    { "a-", PLAIN },
    { "a___b", PLAIN },
    { "a..b", PLAIN },
    { "../a", PLAIN },
    { "a/../b", PLAIN },
    { "ex ample.com/a", PLAIN },
    { "-x.com/a", PLAIN },
    { "x.com:/a", PLAIN },
    { "x.com:9a/a", PLAIN },
    { "[x]:1/a", PLAIN },
    { "a@", PLAIN },
    { "nope@sha256:12", PLAIN },
    { "a@sha256:" HEX "/../x", PLAIN },
    { "a@sha256:" HEX "0", "invalid checksum digest length" },
    { "a@md5:" HEX, "unsupported digest algorithm" },
    { "a:" LONG64 LONG64 "b", PLAIN },
    { LONG64 LONG64 LONG64 LONG64, "repository name must not be more than 255 characters" },
    { "Bad", "invalid reference format: repository name (library/Bad) must be lowercase" },
    { "x.com/a/B:c", "invalid reference format: repository name (a/B) must be lowercase" },
    { HEX, "invalid repository name (" HEX "), cannot specify 64-byte hexadecimal strings" },
};

Test(reference, says_what_is_wrong)
{
    for (size_t i = 0; i < COUNT(refused); i++) {
        struct reference ref = {};
        struct error err = {};

        cr_expect_eq(reference_parse(refused[i].text, &ref, &err), -1, "%s", refused[i].text);
        cr_expect_eq(err.kind, ERROR_INVALID);
        cr_expect_str_eq(err.text, refused[i].error, "%s: %s", refused[i].text, err.text);
        cr_expect_null(ref.domain);
    }
}

Test(reference, leaves_the_tag_open_when_asked)
{
    CLEANUP(reference_done) struct reference ref = {};
    struct error err = {};

    cr_assert_eq(reference_parse_exact("app", &ref, &err), 0);
    CLEANUP(free) char *canonical = reference_canonical(&ref);
    CLEANUP(free) char *name = reference_familiar_name(&ref);
    cr_expect_null(ref.tag);
    cr_expect_str_eq(canonical, "docker.io/library/app");
    cr_expect_str_eq(name, "app");
}

Test(reference, takes_no_name_for_an_id)
{
    static const struct {
        const char *text;
        int result;
    } names[] = {
        { "sha256:1", -1 },  { "sha256", -1 },          { "docker.io/library/sha256:x", -1 },
        { "sha256/a:1", 0 }, { "localhost/sha256", 0 }, { "sha512:1", 0 },
    };

    for (size_t i = 0; i < COUNT(names); i++) {
        CLEANUP(reference_done) struct reference ref = {};
        struct error err = {};

        cr_assert_eq(reference_parse(names[i].text, &ref, &err), 0, "%s", err.text);
        cr_expect_eq(reference_name_check(&ref, &err), names[i].result, "%s", names[i].text);
    }
}

Test(reference, checks_a_tag_alone)
{
    struct error err = {};

    cr_expect_eq(reference_tag_check("v1.2-rc_3", &err), 0);
    cr_expect_eq(reference_tag_check(NULL, &err), 0);
    cr_expect_eq(reference_tag_check("a:b", &err), -1);
    cr_expect_str_eq(err.text, "invalid tag format");
    cr_expect_eq(reference_tag_check("-a", &err), -1);
}
