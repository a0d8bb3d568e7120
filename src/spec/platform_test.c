#include <criterion/criterion.h>
#include <string.h>

#include "spec/platform.h"

static const struct {
    const char *text, *shown;
} spellings[] = {
    { "linux/amd64", "linux/amd64" },    { "linux/x86_64", "linux/amd64" },
    { "linux/arm64/v8", "linux/arm64" }, { "aarch64", "linux/arm64" },
    { "armhf", "linux/arm/v7" },         { "linux/arm/6", "linux/arm/v6" },
    { "Linux/ARM64", "linux/arm64" },    { "windows/amd64", "windows/amd64" },
};

Test(platform, is_normalised)
{
    for (size_t i = 0; i < COUNT(spellings); i++) {
        CLEANUP(platform_done) struct platform platform = {};
        struct error err = {};

        cr_assert_eq(platform_parse(spellings[i].text, &platform, &err), 0, "%s", err.text);
        CLEANUP(free) char *shown = platform_format(&platform);
        cr_expect_str_eq(shown, spellings[i].shown);
    }
}

Test(platform, refuses_nonsense)
{
    static const char *const wrong[] = { "", "foo", "a/b/c/d", "linux//v7", "linux/a b", "/" };

    for (size_t i = 0; i < COUNT(wrong); i++) {
        struct platform platform = {};
        struct error err = {};

        cr_expect_eq(platform_parse(wrong[i], &platform, &err), -1, "%s", wrong[i]);
        cr_expect_eq(err.kind, ERROR_INVALID);
    }
}

static int match(const char *wanted_text, const char *offered_text)
{
    CLEANUP(platform_done) struct platform wanted = {}, offered = {};

    platform_parse(wanted_text, &wanted, NULL);
    platform_parse(offered_text, &offered, NULL);
    return platform_match(&wanted, &offered);
}

Test(platform, takes_older_variants_but_prefers_its_own)
{
    cr_expect_gt(match("linux/arm/v7", "linux/arm/v7"), match("linux/arm/v7", "linux/arm/v6"));
    cr_expect_gt(match("linux/arm/v7", "linux/arm/v6"), match("linux/arm/v7", "linux/arm/v5"));
    cr_expect_gt(match("linux/amd64/v3", "linux/amd64/v2"), match("linux/amd64/v3", "linux/amd64"));
    cr_expect_eq(match("linux/arm/v6", "linux/arm/v7"), 0);
    cr_expect_eq(match("linux/amd64", "linux/amd64/v2"), 0);
    cr_expect_eq(match("linux/amd64", "linux/arm64"), 0);
    cr_expect_eq(match("linux/amd64", "windows/amd64"), 0);
}
