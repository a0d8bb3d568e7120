#include <criterion/criterion.h>

#include "registry/endpoint.h"

/* clang-format off */
static const struct { const char *host, *rule; bool is_insecure; } rules[] = {
    { "127.0.0.1:5000",        NULL,                 true  },
    { "127.9.8.7",             NULL,                 true  },
    { "[::1]:5000",            NULL,                 true  },
    { "localhost:5000",        NULL,                 true  },
    { "localhost.example",     NULL,                 false },
    { "127.0.0.1.example",     NULL,                 false },
    { "128.0.0.1",             NULL,                 false },
    { "[::2]",                 NULL,                 false },
    { "registry.example",      NULL,                 false },
    { "registry.example:5000", "registry.example:5000", true },
    { "registry.example",      "registry.example:5000", false },
    { "registry.example:5000", "registry.example",   false },
    { "a.registry.example",    "registry.example",   false },
    { "Registry.Example",      "registry.example",   true  },
    { "10.1.2.3:5000",         "10.0.0.0/8",         true  },
    { "11.1.2.3:5000",         "10.0.0.0/8",         false },
    { "10.1.2.3.example",      "10.0.0.0/8",         false },
    { "[fd00::5]:80",          "fd00::/8",           true  },
    { "10.1.2.3",              "10.1.2.0/30",        true  },
    { "10.1.2.4",              "10.1.2.0/30",        false },
};
/* clang-format on */

Test(endpoint, is_insecure_by_rule_only)
{
    for (size_t i = 0; i < COUNT(rules); i++) {
        CLEANUP(strv_done) struct strv insecure = {};

        if (rules[i].rule)
            strv_add(&insecure, rules[i].rule);
        cr_expect_eq(host_is_insecure(rules[i].host, &insecure), rules[i].is_insecure, "%s with %s",
                     rules[i].host, rules[i].rule ? rules[i].rule : "no rule");
    }
}

static void expect_bases(const char *domain, const char *mirror, bool with_mirrors,
                         const char *const *wanted)
{
    CLEANUP(endpoints_done) struct endpoints found = {};
    CLEANUP(strv_done) struct strv mirrors = {};
    struct error err = {};
    size_t i = 0;

    strv_add(&mirrors, mirror);
    cr_assert_eq(endpoints_find(domain, NULL, &mirrors, with_mirrors, &found, &err), 0, "%s",
                 err.text);
    for (; wanted[i]; i++) {
        cr_assert_lt(i, found.count);
        cr_expect_str_eq(found.items[i].base, wanted[i]);
    }
    cr_expect_eq(i, found.count);
}

Test(endpoint, asks_mirrors_first)
{
    expect_bases(
        "docker.io", "https://m.example/", true,
        (const char *const[]){ "https://m.example", "https://registry-1.docker.io", NULL });
    expect_bases("docker.io", "https://m.example/", false,
                 (const char *const[]){ "https://registry-1.docker.io", NULL });
    expect_bases("ghcr.io", "https://m.example/", true,
                 (const char *const[]){ "https://ghcr.io", NULL });
    expect_bases("ghcr.io", "ghcr.io=https://m.example/x", true,
                 (const char *const[]){ "https://m.example/x", "https://ghcr.io", NULL });
    expect_bases("127.0.0.1:5000", "https://m.example", true,
                 (const char *const[]){ "https://127.0.0.1:5000", "http://127.0.0.1:5000", NULL });
}

Test(endpoint, tells_origins_apart)
{
    static const struct {
        const char *a, *b;
        bool is_same;
    } pairs[] = {
        { "https://x.example/a", "https://X.example:443/b", true },
        { "https://x.example", "http://x.example", false },
        { "https://x.example", "https://x.example:444", false },
        { "https://x.example", "https://y.x.example", false },
    };

    for (size_t i = 0; i < COUNT(pairs); i++) {
        CLEANUP(url_done) struct url a = {}, b = {};
        struct error err = {};

        cr_assert_eq(url_split(pairs[i].a, &a, &err), 0, "%s", err.text);
        cr_assert_eq(url_split(pairs[i].b, &b, &err), 0, "%s", err.text);
        cr_expect_eq(url_same_origin(&a, &b), pairs[i].is_same, "%s %s", pairs[i].a, pairs[i].b);
    }
}

Test(endpoint, refuses_other_urls)
{
    static const char *const wrong[] = { "file:///etc/passwd", "ftp://x", "https://user@x.example",
                                         "https://",           "x",       "https://x:99999/" };

    for (size_t i = 0; i < COUNT(wrong); i++) {
        CLEANUP(url_done) struct url url = {};
        struct error err = {};

        cr_expect_eq(url_split(wrong[i], &url, &err), -1, "%s", wrong[i]);
    }
}
