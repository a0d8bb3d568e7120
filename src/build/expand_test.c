/* Variables, quotes and escapes. */
#include "build/expand.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/macros.h"

static const struct strv environment = {
    .items = (char *[]){ "A=foobarfoo", "E=", "X=a b", "P=/a/b/c.txt", "S=a*b?c", "U8=häuser",
                         NULL },
    .count = 6,
};

static const struct {
    const char *text, *result;
} words[] = {
    { "plain", "plain" },
    { "$A", "foobarfoo" },
    { "${A}", "foobarfoo" },
    { "$A-x", "foobarfoo-x" },
    { "$Ax", "" },
    { "\\$A", "$A" },
    { "\"$A\"", "foobarfoo" },
    { "'$A'", "$A" },
    { "${E:-d}", "d" },
    { "${E-d}", "" },
    { "${U-u}", "u" },
    { "${U:-u}", "u" },
    { "${U:+x}", "" },
    { "${E+set}", "set" },
    { "${E:+set}", "" },
    { "${A:+set}", "set" },
    { "${A?no}", "foobarfoo" },
    { "${A:?no}", "foobarfoo" },
    { "${E?no}", "" },
    { "\"a\\\"b\"", "a\"b" },
    { "a\\ b", "a b" },
    { "\"\\$A\"", "$A" },
    { "\"\\n\"", "\\n" },
    { "$", "$" },
    { "a$", "a$" },
    { "$ x", "$ x" },
    { "$1x", "x" },
    { "$12x", "x" },
    { "$@x", "x" },
    { "${A}${U}", "foobarfoo" },
    { "x\\", "x" },
    { "two  words", "two  words" },
    { "'it''s'", "its" },
    { "${U:-${A}}", "foobarfoo" },
    { "${U:-\"q}q\"}", "q}q" },
    { "${U:-a b}", "a b" },
    { "${A#foo}", "barfoo" },
    { "${A%foo}", "foobar" },
    { "${A#f*o}", "obarfoo" },
    { "${A##f*o}", "" },
    { "${A%f*o}", "foobar" },
    { "${A%%f*o}", "" },
    { "${A##*o}", "" },
    { "${A#*o}", "obarfoo" },
    { "${A%o*}", "foobarfo" },
    { "${A%%o*}", "f" },
    { "${A#?}", "oobarfoo" },
    { "${A#x}", "foobarfoo" },
    { "${U#x}", "" },
    { "${P##*/}", "c.txt" },
    { "${P%/*}", "/a/b" },
    { "${P%.*}", "/a/b/c" },
    { "${A/foo/X}", "Xbarfoo" },
    { "${A//foo/X}", "XbarX" },
    { "${A/o*/X}", "fX" },
    { "${A//o/}", "fbarf" },
    { "${A//?/x}", "xxxxxxxxx" },
    { "${A/b*r/$E}", "foofoo" },
    { "${P//\\//_}", "_a_b_c.txt" },
    { "${S/\\*/x}", "axb?c" },
    { "${S#a\\*}", "b?c" },
    { "${U8#h?}", "user" },
    { "${U8/ä/ae}", "haeuser" },
    { "", "" },
};

Test(expand, puts_values_in)
{
    const struct expander expander = { '\\', 0, &environment };

    for (size_t i = 0; i < COUNT(words); i++) {
        CLEANUP(str_done) struct str out = {};
        struct error err = {};

        cr_assert_eq(expand_word(&expander, words[i].text, &out, &err), 0, "%s: %s", words[i].text,
                     err.text);
        cr_expect_str_eq(str_text(&out), words[i].result, "%s gave %s", words[i].text,
                         str_text(&out));
    }
}

static const struct {
    const char *text, *message;
} failures[] = {
    { "${}", "failed to process \"${}\": syntax error: bad substitution" },
    { "${:x}", "failed to process \"${:x}\": syntax error: bad substitution" },
    { "${{", "failed to process \"${{\": syntax error: bad substitution" },
    { "${", "failed to process \"${\": syntax error: missing '}'" },
    { "${B", "failed to process \"${B\": unsupported modifier (\xef\xbf\xbd) in substitution" },
    { "${B:=x}", "failed to process \"${B:=x}\": unsupported modifier (:=) in substitution" },
    { "${B:#x}", "failed to process \"${B:#x}\": unsupported modifier (:#) in substitution" },
    { "${B^x}", "failed to process \"${B^x}\": unsupported modifier (^) in substitution" },
    { "${B?}", "failed to process \"${B?}\": B: is not allowed to be unset" },
    { "${B:?}", "failed to process \"${B:?}\": B: is not allowed to be unset" },
    { "${E:?}", "failed to process \"${E:?}\": E: is not allowed to be empty" },
    { "${B?say so}", "failed to process \"${B?say so}\": B: say so" },
    { "${B:-x", "failed to process \"${B:-x\": syntax error: missing '}'" },
    { "${B/x}", "failed to process \"${B/x}\": syntax error: missing '/' in ${}" },
    { "${B/x/y", "failed to process \"${B/x/y\": syntax error: missing '}'" },
    { "${A#\\x}",
      "failed to process \"${A#\\\\x}\": invalid pattern (\\x) in substitution: invalid "
      "escape '\\x'" },
    { "'a", "failed to process \"'a\": unexpected end of statement while looking for matching "
            "single-quote" },
    { "\"a", "failed to process \"\\\"a\": unexpected end of statement while looking for matching "
             "double-quote" },
};

Test(expand, says_what_is_wrong)
{
    const struct expander expander = { '\\', 0, &environment };

    for (size_t i = 0; i < COUNT(failures); i++) {
        CLEANUP(str_done) struct str out = {};
        struct error err = {};

        cr_expect_eq(expand_word(&expander, failures[i].text, &out, &err), -1, "%s",
                     failures[i].text);
        cr_expect_eq(err.kind, ERROR_INVALID);
        cr_expect_str_eq(err.text, failures[i].message);
    }
}

static const struct {
    const char *text;
    const char *result; /* joined by '|' */
} lists[] = {
    { "$X c", "a|b|c" },    { "\"$X\" c", "a b|c" }, { "'a b'c d", "a bc|d" },
    { "a\\ b c", "a b|c" }, { "  a   b  ", "a|b" },  { "$U", "" },
    { "x$X", "xa|b" },      { "${U:-1 2}", "1|2" },
};

Test(expand, splits_after_expansion)
{
    const struct expander expander = { '\\', 0, &environment };

    for (size_t i = 0; i < COUNT(lists); i++) {
        CLEANUP(strv_done) struct strv out = {};
        struct error err = {};

        cr_assert_eq(expand_words(&expander, lists[i].text, &out, &err), 0, "%s", err.text);
        CLEANUP(free) char *joined = strv_join(&out, "|");
        cr_expect_str_eq(joined, lists[i].result, "%s gave %s", lists[i].text, joined);
    }
}

Test(expand, knows_the_other_escape_character)
{
    const struct expander expander = { '`', 0, &environment };
    CLEANUP(str_done) struct str out = {};

    cr_assert_eq(expand_word(&expander, "c:\\dir`$A`", &out, NULL), 0);
    cr_expect_str_eq(str_text(&out), "c:\\dir$A");
}

Test(expand, stops_growth)
{
    CLEANUP(strv_done) struct strv big = {};
    CLEANUP(str_done) struct str value = {}, out = {}, text = {};
    struct error err = {};

    str_add(&value, "A=");
    for (int i = 0; i < 1000; i++) {
        str_add(&value, "0123456789");
        str_add(&text, "$A");
    }
    strv_add(&big, value.data);
    cr_expect_eq(expand_word(&(struct expander){ '\\', 0, &big }, text.data, &out, &err), -1);
    cr_expect(strstr(err.text, "larger than"), "%s", err.text);
    cr_expect_lt(out.length, 2 * EXPAND_SIZE_LIMIT);
}

Test(expand, stops_nesting)
{
    CLEANUP(str_done) struct str out = {}, text = {};
    struct error err = {};

    for (int i = 0; i < 100000; i++)
        str_add(&text, "${a:-");
    cr_expect_eq(expand_word(&(struct expander){ '\\', 0, NULL }, text.data, &out, &err), -1);
}
