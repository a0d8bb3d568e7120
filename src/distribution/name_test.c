#include "distribution/name.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/macros.h"

#include "base/banned.h"

static const struct {
    const char *text;
    bool is_name;
} names[] = {
    { "a", true },         { "team/app", true }, { "a.b_c__d---e/f0", true },
    { "0", true },         { "", false },        { "/", false },
    { "a/", false },       { "/a", false },      { "a//b", false },
    { "A", false },        { "a..b", false },    { "a___b", false },
    { ".a", false },       { "a-", false },      { "a_", false },
    { "a/../b", false },   { "a b", false },     { "\xc3\xa9", false },
    { "_catalog", false }, { "a/_b", false },    { "a._b", false },
};

Test(name, follows_the_grammar)
{
    char long_name[NAME_LENGTH_LIMIT + 2];

    for (size_t i = 0; i < COUNT(names); i++)
        cr_expect_eq(name_is_repository(names[i].text), names[i].is_name, "\"%s\"", names[i].text);
    memset(long_name, 'a', sizeof(long_name));
    long_name[NAME_LENGTH_LIMIT + 1] = 0;
    cr_expect_not(name_is_repository(long_name));
    long_name[NAME_LENGTH_LIMIT] = 0;
    cr_expect(name_is_repository(long_name));
    cr_expect_not(name_is_repository(NULL));
}

static const struct {
    const char *text;
    bool is_tag;
} tags[] = {
    { "latest", true }, { "v1.0-rc_1", true }, { "_x", true },   { "A", true },    { "", false },
    { ".x", false },    { "-x", false },       { "a/b", false }, { "a:b", false }, { "a b", false },
};

Test(name, knows_tags)
{
    char long_tag[TAG_LENGTH_LIMIT + 2];

    for (size_t i = 0; i < COUNT(tags); i++)
        cr_expect_eq(name_is_tag(tags[i].text), tags[i].is_tag, "\"%s\"", tags[i].text);
    memset(long_tag, 'a', sizeof(long_tag));
    long_tag[TAG_LENGTH_LIMIT + 1] = 0;
    cr_expect_not(name_is_tag(long_tag));
    long_tag[TAG_LENGTH_LIMIT] = 0;
    cr_expect(name_is_tag(long_tag));
}

static const struct {
    const char *pattern, *name;
    bool matches;
} patterns[] = {
    { "a", "a", true },
    { "a", "ab", false },
    { "*", "a", true },
    { "*", "a/b", false },
    { "**", "a/b", true },
    { "team/*", "team/a", true },
    { "team/*", "team/a/b", false },
    { "team/**", "team/a/b", true },
    { "team/*", "team", false },
    { "*/b", "a/b", true },
    { "a*c", "abbc", true },
    { "a*c", "abbd", false },
};

Test(name, matches_patterns)
{
    for (size_t i = 0; i < COUNT(patterns); i++)
        cr_expect_eq(name_matches(patterns[i].pattern, patterns[i].name), patterns[i].matches,
                     "%s on %s", patterns[i].pattern, patterns[i].name);
}
