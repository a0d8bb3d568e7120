#include "distribution/token.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/memory.h"
#include "distribution/access.h"

#include "base/banned.h"

/* Two keys, and a token of each: {"iss":"i","aud":"s","sub":"alice","exp":4000000000,"access":…} */
#define KEYS                                                                                       \
    "{\"keys\":[{\"kty\":\"RSA\",\"use\":\"sig\",\"kid\":\"r\",\"n\":\"oBl9Axi1xLaW_CDd733_"       \
    "XxpE57ya7"                                                                                    \
    "-qas-7m4JLsbMyswJq7pFUMZXeavawoJ2S8UxZI3YbmN62BkW8ec73BSVs2KGKyibESh_5S0RL8eYZ"               \
    "91TcBFaDkTNjhBIfi-H0y_Bc9taxi4nPiCSOfiGy0_PkGOJUZMeMjXDOZbKp4PShrnTYP9vi5usOR6"               \
    "Wl82BnXN-UkDW6cG3rqygAbKaZOcDGyR1nb9C3PnWTjiCTYUA1v1Mc2x-QOXvc62hS2dsdidOwcwup"               \
    "e9_Z75HpiLVIpR8mB2il9AbgGxueSfavYq3rx5Zc-GLvenBY_w3kvF4-VG8A-EQY8qhP_EZerueXD5"               \
    "w\",\"e\":\"AQAB\"},{\"kty\":\"EC\",\"crv\":\"P-256\",\"use\":\"sig\",\"kid\":\"e\",\"x\":"   \
    "\"mYAApBwfzh"                                                                                 \
    "TZNgrsU8g2CcwMGHERsky_bFadONrgs98\",\"y\":\"D1f6vcyi4ywGfjzAC6ppqOK__26WXUbJBd11-_"           \
    "zZKvM\"}]}"

#define RSA_TOKEN                                                                                  \
    "eyJ0eXAiOiAiSldUIiwgImFsZyI6ICJSUzI1NiIsICJraWQiOiAiciJ9.eyJpc3MiOiAiaSIsICJhd"               \
    "WQiOiAicyIsICJzdWIiOiAiYWxpY2UiLCAiZXhwIjogNDAwMDAwMDAwMCwgImFjY2VzcyI6IFt7InR"               \
    "5cGUiOiAicmVwb3NpdG9yeSIsICJuYW1lIjogImEvYiIsICJhY3Rpb25zIjogWyJwdWxsIiwgInB1c"               \
    "2giXX0sIHsidHlwZSI6ICJyZWdpc3RyeSIsICJuYW1lIjogImNhdGFsb2ciLCAiYWN0aW9ucyI6IFs"               \
    "iKiJdfV19.XhhxErE-gxGJQ7hhNo5tz7O6TjMMXg4nkGNJGcigQLl1gVsUqFEnfcNUZXSF_GpPSmgl"               \
    "Nd4iHIMRSp_aLZou7XlvfsXUCYNiNtcTA-Gv62SUgQSUuA_hGElDBFB5o79jzskxBCMrNaBjUpNiym"               \
    "gx7gf_taB921Jj8ij3Ed9f-u8wXfY0aF5TKtzRRLGAG7hhR8DY7QYXeWoHSAOq3enbrTGBfx7wobH7"               \
    "nOxzOwXyGNphbAxLZoSmdu13EECf1FapOauhj-5veTZJ_wZFaQLfpwwbjgWKkmMoxr93xUtXmjdzAk"               \
    "EUqiK-YExZMZ57z7xInWWhNFTQUba1KjorbMqgyw"

#define EC_TOKEN                                                                                   \
    "eyJ0eXAiOiAiSldUIiwgImFsZyI6ICJFUzI1NiIsICJraWQiOiAiZSJ9.eyJpc3MiOiAiaSIsICJhd"               \
    "WQiOiBbIngiLCAicyJdLCAic3ViIjogImFsaWNlIiwgImV4cCI6IDQwMDAwMDAwMDAsICJhY2Nlc3M"               \
    "iOiBbeyJ0eXBlIjogInJlcG9zaXRvcnkiLCAibmFtZSI6ICJhL2IiLCAiYWN0aW9ucyI6IFsicHVsb"               \
    "CIsICJwdXNoIl19LCB7InR5cGUiOiAicmVnaXN0cnkiLCAibmFtZSI6ICJjYXRhbG9nIiwgImFjdGl"               \
    "vbnMiOiBbIioiXX1dfQ.r4xdDAAVULASBV-uQHtOaMJ7UXOlOFwiga7IaMsgIdSpm-6oNtGK8YH_HU"               \
    "kCIS1ZNcsOyIa4FBA4Dztl9O9hKQ"

enum { NOW_S = 2000000000 };

static struct jwk_set *keys;

static void set_up(void)
{
    struct error err = {};

    cr_assert_eq(jwk_set_parse(KEYS, strlen(KEYS), &keys, &err), 0, "%s", err.text);
}

static void tear_down(void)
{
    jwk_set_free(keys);
}

TestSuite(token, .init = set_up, .fini = tear_down);

static int read_token(const char *text, const char *issuer, const char *service, int64_t now_s,
                      struct error *err)
{
    CLEANUP(token_done) struct token token = {};
    const struct token_trust trust = { keys, issuer, service };

    return token_read(text, &trust, now_s, &token, err);
}

static const char *const tokens[] = { RSA_TOKEN, EC_TOKEN };

Test(token, says_who_and_what)
{
    for (size_t i = 0; i < COUNT(tokens); i++) {
        CLEANUP(token_done) struct token token = {};
        const struct token_trust trust = { keys, "i", "s" };
        struct error err = {};

        cr_assert_eq(token_read(tokens[i], &trust, NOW_S, &token, &err), 0, "%s", err.text);
        cr_expect_str_eq(token.subject, "alice");
        cr_assert_eq(token.grant_count, 2);
        cr_expect_str_eq(token.grants[0].name, "a/b");
        cr_expect_eq(token.grants[0].actions, 1U << ACTION_PULL | 1U << ACTION_PUSH);
        cr_expect(token.grants[1].actions & 1U << ACTION_CATALOG);
    }
}

Test(token, must_be_for_us_and_in_time)
{
    for (size_t i = 0; i < COUNT(tokens); i++) {
        struct error err = {};

        cr_expect_eq(read_token(tokens[i], "i", "s", 4000000059, &err), 0, "%s", err.text);
        cr_expect_eq(read_token(tokens[i], "i", "s", 4000000060, &err), -1);
        cr_expect_eq(read_token(tokens[i], "other", "s", NOW_S, &err), -1);
        cr_expect_eq(read_token(tokens[i], "i", "other", NOW_S, &err), -1);
        cr_expect_eq(err.kind, ERROR_UNAUTHORIZED);
    }
}

/* Any character changed is another token; the last ones of a part may have bits without meaning. */
Test(token, cannot_be_changed)
{
    for (size_t i = 0; i < COUNT(tokens); i++) {
        size_t length = strlen(tokens[i]);

        for (size_t at = 0; at < length; at += 7) {
            CLEANUP(free) char *text = xstrdup(tokens[i]);
            struct error err = {};

            if (at + 1 == length || text[at + 1] == '.')
                continue;
            text[at] = text[at] == 'A' ? 'B' : 'A';
            cr_expect_eq(read_token(text, "i", "s", NOW_S, &err), -1, "%zu: %s", at, text);
        }
    }
}

/* "alg":"none", an empty signature, and the public key's bytes as a secret are the classics. */
static const char *const forged[] = {
    "",
    ".",
    "..",
    "a.b.c",
    "eyJhbGciOiJub25lIn0.eyJpc3MiOiJpIiwiYXVkIjoicyIsImV4cCI6NDAwMDAwMDAwMH0.",
    "eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJpIiwiYXVkIjoicyIsImV4cCI6NDAwMDAwMDAwMH0.AAAA",
    ("eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJpIiwiYXVkIjoicyIsImV4cCI6NDAwMDAwMDAwMH0."
     "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
};

Test(token, cannot_be_forged)
{
    for (size_t i = 0; i < COUNT(forged); i++) {
        struct error err = {};

        cr_expect_eq(read_token(forged[i], "i", "s", NOW_S, &err), -1, "%s", forged[i]);
        cr_expect_eq(err.kind, ERROR_UNAUTHORIZED);
    }
}

static const char *const broken_keys[] = {
    "{}",
    "{\"keys\":[]}",
    "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}]}",
    "{\"keys\":[{\"kty\":\"RSA\",\"e\":\"AQAB\"}]}",
    "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AQAB\",\"y\":\"AQAB\"}]}",
    "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AQAB\"}]}",
    "[",
};

Test(token, needs_whole_keys)
{
    for (size_t i = 0; i < COUNT(broken_keys); i++) {
        struct jwk_set *set = NULL;
        struct error err = {};

        cr_expect_eq(jwk_set_parse(broken_keys[i], strlen(broken_keys[i]), &set, &err), -1, "%s",
                     broken_keys[i]);
        cr_expect_eq(err.kind, ERROR_INVALID);
    }
}
