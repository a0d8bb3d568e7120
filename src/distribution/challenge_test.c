#include "distribution/challenge.h"

#include <criterion/criterion.h>

#include "base/text.h"

#include "base/banned.h"

static const struct {
    const char *text;
    bool wants_basic, wants_bearer;
    const char *realm, *service, *scope;
} challenges[] = {
    { "", false, false, NULL, NULL, NULL },
    { "Basic realm=\"x\"", true, false, NULL, NULL, NULL },
    { "Bearer realm=\"https://a/t\",service=\"s\",scope=\"repository:a/b:pull,push\"", false, true,
      "https://a/t", "s", "repository:a/b:pull,push" },
    { "bearer Realm=https://a/t , SERVICE = s", false, true, "https://a/t", NULL, NULL },
    { "Basic realm=\"x\", Bearer realm=\"y\"", true, true, "y", NULL, NULL },
    { "Bearer realm=\"y\", Basic realm=\"x\"", true, true, "y", NULL, NULL },
    { "Negotiate, Basic", true, false, NULL, NULL, NULL },
    { "Bearer service=\"s\"", false, false, NULL, "s", NULL },
    { "Bearer realm=\"a\\\"b", false, true, "a\"b", NULL, NULL },
    { "Bearer realm=", false, true, "", NULL, NULL },
};

Test(challenge, says_what_is_wanted)
{
    for (size_t i = 0; i < COUNT(challenges); i++) {
        CLEANUP(challenge_done) struct challenge challenge = {};

        challenge_parse(challenges[i].text, &challenge);
        cr_expect_eq(challenge.wants_basic, challenges[i].wants_basic, "%s", challenges[i].text);
        cr_expect_eq(challenge.wants_bearer, challenges[i].wants_bearer, "%s", challenges[i].text);
        cr_expect(text_equal(challenge.realm, challenges[i].realm), "%s", challenges[i].text);
        cr_expect(text_equal(challenge.service, challenges[i].service), "%s", challenges[i].text);
        cr_expect(text_equal(challenge.scope, challenges[i].scope), "%s", challenges[i].text);
    }
}
