#include "codec/regex.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/memory.h"
#include "base/str.h"

#include "base/banned.h"

static const struct {
    const char *pattern, *text;
    bool is_valid, matches;
} patterns[] = {
    { "", "anything", true, true },
    { "w.b", "my-web", true, true },
    { "^web$", "my-web", true, false },
    { "web-\\d+$", "web-12", true, true },
    { "(?i)WEB", "web", true, true },
    { "(?:a|web)1", "web1", true, true },
    { "\\p{L}+", "\xc3\xa9", true, true },
    { "b",
      "\xff"
      "b",
      true, true }, /* Text that is no UTF-8 is looked at all the same. */
    { "\xff", "\xff", false, false },
    { "[", "[", false, false },
    { "e+++", "eee", false, false },
    { "(e)\\1", "ee", false, false },
    { "((a{1,999}){1,999}){1,999}", "a", false, false }, /* too large when compiled */
    { "^(a|a|a)*$", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", true, false }, /* 3^41 ways */
};

Test(regex, matches_and_refuses)
{
    for (size_t i = 0; i < COUNT(patterns); i++) {
        struct error err = {};
        CLEANUP(regex_free) struct regex *regex = regex_new(patterns[i].pattern, &err);

        cr_expect_eq(regex != NULL, patterns[i].is_valid, "%s: %s", patterns[i].pattern, err.text);
        if (regex)
            cr_expect_eq(regex_matches(regex, patterns[i].text), patterns[i].matches, "%s",
                         patterns[i].pattern);
        else
            cr_expect_eq(err.kind, ERROR_INVALID);
    }
}

Test(regex, is_not_longer_than_its_limit)
{
    CLEANUP(str_done) struct str pattern = {};
    struct error err = {};

    for (int i = 0; i < REGEX_LENGTH_LIMIT; i++)
        str_add_char(&pattern, 'a');
    CLEANUP(regex_free) struct regex *longest = regex_new(pattern.data, &err);
    cr_expect(longest, "%s", err.text);
    str_add_char(&pattern, 'a');
    cr_expect_null(regex_new(pattern.data, &err));
}
