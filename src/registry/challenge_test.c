#include <criterion/criterion.h>
#include <stdio.h>

#include "registry/challenge.h"

static const char *value_of(const char *text, const char *scheme, const char *name)
{
    static char out[256];
    CLEANUP(challenges_done) struct challenges challenges = {};
    struct error err = {};

    cr_assert_eq(challenges_parse(text, &challenges, &err), 0, "%s: %s", text, err.text);
    const struct challenge *challenge = challenges_find(&challenges, scheme);
    cr_assert_not_null(challenge, "%s has no %s", text, scheme);
    snprintf(out, sizeof(out), "%s", challenge_get(challenge, name));
    return out;
}

Test(challenge, keeps_commas_that_are_quoted)
{
    static const char text[] =
        "Bearer "
        "realm=\"https://auth.example/token\",service=\"s\",scope=\"repository:a/b:pull,push\"";

    cr_expect_str_eq(value_of(text, "bearer", "realm"), "https://auth.example/token");
    cr_expect_str_eq(value_of(text, "bearer", "scope"), "repository:a/b:pull,push");
}

Test(challenge, tells_several_schemes_apart)
{
    static const char text[] =
        "Negotiate, basic Realm = \"a \\\"b\\\"\" , BEARER realm=x,error=\"e\"";

    cr_expect_str_eq(value_of(text, "basic", "realm"), "a \"b\"");
    cr_expect_str_eq(value_of(text, "bearer", "realm"), "x");
    cr_expect_str_eq(value_of(text, "bearer", "error"), "e");
    cr_expect_str_eq(value_of(text, "negotiate", "realm"), "");
}

Test(challenge, refuses_what_is_none)
{
    static const char *const wrong[] = {
        "realm=\"x\"", "Bearer realm=\"x",     "Bearer realm=a,realm=b", "Bearer \"x\"",
        "=",           "Bearer realm=\"a\" \""
    };

    for (size_t i = 0; i < COUNT(wrong); i++) {
        CLEANUP(challenges_done) struct challenges challenges = {};
        struct error err = {};

        cr_expect_eq(challenges_parse(wrong[i], &challenges, &err), -1, "%s", wrong[i]);
        cr_expect_eq(err.kind, ERROR_INVALID);
    }
}
