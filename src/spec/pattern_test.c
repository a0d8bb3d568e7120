/* Go's filepath.Match: the cases of its own documentation and some more. */
#include "spec/pattern.h"

#include <criterion/criterion.h>

#include "base/macros.h"

static const struct {
    const char *pattern, *name;
    int result; /* 1, 0, -1: syntax error */
} cases[] = {
    { "abc", "abc", 1 },
    { "*", "abc", 1 },
    { "*c", "abc", 1 },
    { "a*", "a", 1 },
    { "a*", "abc", 1 },
    { "a*", "ab/c", 0 },
    { "a*/b", "abc/b", 1 },
    { "a*/b", "a/c/b", 0 },
    { "a*b*c*d*e*/f", "axbxcxdxe/f", 1 },
    { "a*b*c*d*e*/f", "axbxcxdxexxx/f", 1 },
    { "a*b*c*d*e*/f", "axbxcxdxe/xxx/f", 0 },
    { "a*b*c*d*e*/f", "axbxcxdxexxx/fff", 0 },
    { "a*b?c*x", "abxbbxdbxebxczzx", 1 },
    { "a*b?c*x", "abxbbxdbxebxczzy", 0 },
    { "ab[c]", "abc", 1 },
    { "ab[b-d]", "abc", 1 },
    { "ab[e-g]", "abc", 0 },
    { "ab[^c]", "abc", 0 },
    { "ab[^b-d]", "abc", 0 },
    { "ab[^e-g]", "abc", 1 },
    { "a\\*b", "a*b", 1 },
    { "a\\*b", "ab", 0 },
    { "a?b", "a☺b", 1 },
    { "a[^a]b", "a☺b", 1 },
    { "a???b", "a☺b", 0 },
    { "a[^a][^a][^a]b", "a☺b", 0 },
    { "[a-ζ]*", "α", 1 },
    { "*[a-ζ]", "A", 0 },
    { "a?b", "a/b", 0 },
    { "a*b", "a/b", 0 },
    { "[\\]a]", "]", 1 },
    { "[\\-]", "-", 1 },
    { "[x\\-]", "x", 1 },
    { "[x\\-]", "-", 1 },
    { "[x\\-]", "z", 0 },
    { "[\\-x]", "x", 1 },
    { "[\\-x]", "a", 0 },
    { "[]a]", "]", -1 },
    { "[-]", "-", -1 },
    { "[x-]", "x", -1 },
    { "[x-]", "z", -1 },
    { "[-x]", "x", -1 },
    { "\\", "a", -1 },
    { "[a-b-c]", "a", -1 },
    { "[", "a", -1 },
    { "[^", "a", -1 },
    { "[^bc", "a", -1 },
    { "a[", "a", -1 },
    { "a[", "ab", -1 },
    { "a[", "x", -1 },
    { "a/b[", "x", -1 },
    { "*x", "xxx", 1 },
    { "", "", 1 },
    { "", "a", 0 },
    { "*", "", 1 },
    { "?", "", 0 },
};

Test(pattern, matches_as_go_does)
{
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct error err = {};
        bool matches = false;
        int result = pattern_match(cases[i].pattern, cases[i].name, &matches, &err);

        cr_expect_eq(result < 0 ? -1 : matches, cases[i].result, "%s on %s", cases[i].pattern,
                     cases[i].name);
        if (result < 0)
            cr_expect_str_eq(err.text, "syntax error in pattern");
    }
}

Test(pattern, knows_plain_names)
{
    cr_expect(pattern_has_wildcard("a*"));
    cr_expect(pattern_has_wildcard("a[b]"));
    cr_expect_not(pattern_has_wildcard("a\\*b"));

    CLEANUP(free) char *plain = pattern_plain("a\\*b\\\\");
    cr_expect_str_eq(plain, "a*b\\");
}
