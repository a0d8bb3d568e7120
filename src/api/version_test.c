#include "api/version.h"

#include <criterion/criterion.h>

#include "base/macros.h"

#include "base/banned.h"

static const struct {
    const char *text;
    int version;
} versions[] = {
    { "1.51", API_VERSION(51) },
    { "1.24", API_VERSION(24) },
    { "1.5", API_VERSION(5) },
    { "1.51.3", API_VERSION(51) },
    { "9", 90000 },
    { "", 0 },
    { "1..5", API_VERSION(0) },
    { "1.99999999999999999999", 10000 + 9999 },
};

Test(version, grows_with_the_version)
{
    for (size_t i = 0; i < COUNT(versions); i++)
        cr_expect_eq(api_version_parse(versions[i].text), versions[i].version, "%s",
                     versions[i].text);
    cr_expect_lt(api_version_parse("1.9"), api_version_parse("1.10"));
    cr_expect_gt(api_version_parse("9"), API_VERSION_CURRENT);
}

static const struct {
    const char *path, *version, *rest; /* version NULL: there is none */
} paths[] = {
    { "/v1.51/containers/json", "1.51", "/containers/json" },
    { "/v9/_ping", "9", "/_ping" },
    { "/v1.51/", "1.51", "/" },
    { "/v1.51", NULL, NULL },
    { "/version", NULL, NULL },
    { "/v/x", NULL, NULL },
    { "/volumes", NULL, NULL },
    { "/v1.5x/info", NULL, NULL },
    { "/v1111111111111111111111111111111111111/info", NULL, NULL },
};

Test(version, is_split_off_the_path)
{
    for (size_t i = 0; i < COUNT(paths); i++) {
        char text[API_VERSION_TEXT_SIZE];
        const char *rest = NULL;
        bool found = api_version_split(paths[i].path, text, &rest);

        cr_assert_eq(found, paths[i].version != NULL, "%s", paths[i].path);
        if (found) {
            cr_expect_str_eq(text, paths[i].version);
            cr_expect_str_eq(rest, paths[i].rest);
        }
    }
}
