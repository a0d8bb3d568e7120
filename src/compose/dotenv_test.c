#include "compose/dotenv.h"

#include <criterion/criterion.h>

#include "base/memory.h"

#include "base/banned.h"

static const char *get(void *data, const char *name)
{
    (void)data;
    return strcmp(name, "OURS") == 0 ? "ours" : NULL;
}

static const struct variable_source source = { .get = get };

static const struct {
    const char *text, *key, *value; /* NULL: not set */
} good[] = {
    { "K=v", "K", "v" },
    { "K=v\r\nL=w\r\n", "K", "v" },
    { "\xef\xbb\xbfK=v", "K", "v" },
    { "  K = v w  \n", "K", "v w" },
    { "export K=v\n", "K", "v" },
    { "K: v\n", "K", "v" },
    { "K=\n", "K", "" },
    { "K=v # comment\n", "K", "v" },
    { "K=v#kept\n", "K", "v#kept" },
    { "K=#nothing\n", "K", "" },
    { "# K=v\n", "K", NULL },
    { "K='$OURS \\n'\n", "K", "$OURS \\n" },
    { "K=\"$OURS\\n\\\"\\$x\\\\\"\n", "K", "ours\n\"$x\\" },
    { "K=\"a\nb\"\nL=c\n", "K", "a\nb" },
    { "K=\"a\nb\"\nL=c\n", "L", "c" },
    { "K='a' # comment\n", "K", "a" },
    { "A=1\nK=${A}-${OURS}-${GONE:-d}\n", "K", "1-ours-d" },
    { "OURS=file\nK=$OURS\n", "K", "ours" },
    { "K=1\nK=2\n", "K", "2" },
    { "OURS\n", "OURS", "ours" },
    { "GONE\n", "GONE", NULL },
    { "a.b-c[0]=v\n", "a.b-c[0]", "v" },
};

Test(dotenv, reads)
{
    for (size_t i = 0; i < COUNT(good); i++) {
        CLEANUP(map_done) struct map out = {};
        struct error err = {};

        map_init_empty(&out, free);
        cr_assert_eq(dotenv_parse(good[i].text, &source, &out, &err), 0, "%s: %s", good[i].text,
                     err.text);
        const char *got = map_get(&out, good[i].key);
        cr_expect_eq(!got, !good[i].value, "%s", good[i].text);
        if (got && good[i].value)
            cr_expect_str_eq(got, good[i].value, "%s: %s", good[i].text, got);
    }
}

static const struct {
    const char *text, *words;
} bad[] = {
    { "K=v\nno key\n", "line 2: unexpected character \"k\" in variable name near \"no key\"" },
    { "=v\n", "line 1: unexpected character \"=\" in variable name near \"=v\"" },
    { "K%=v\n", "line 1: unexpected character \"%\" in variable name near \"K%=v\"" },
    { "A=1\nK=\"open\n\n", "line 2: unterminated quoted value" },
    { "K=${GONE:?words}\n", "line 1: required variable GONE is missing a value: words" },
    { "K=${\n", "line 1: invalid interpolation format" },
};

Test(dotenv, names_the_line_of_a_fault)
{
    for (size_t i = 0; i < COUNT(bad); i++) {
        CLEANUP(map_done) struct map out = {};
        struct error err = {};

        map_init_empty(&out, free);
        cr_assert_eq(dotenv_parse(bad[i].text, &source, &out, &err), -1, "%s", bad[i].text);
        cr_expect(strstr(err.text, bad[i].words), "%s: %s", bad[i].text, err.text);
    }
}

Test(dotenv, leaves_raw_lines_as_they_are)
{
    CLEANUP(map_done) struct map out = {};
    struct error err = {};

    map_init_empty(&out, free);
    cr_assert_eq(dotenv_parse_raw("# c\n\n K=\"a b\" # $x\r\nL=a=b\nM=", &out, &err), 0);
    cr_expect_str_eq(map_get(&out, "K"), "\"a b\" # $x");
    cr_expect_str_eq(map_get(&out, "L"), "a=b");
    cr_expect_str_eq(map_get(&out, "M"), "");
    cr_assert_eq(dotenv_parse_raw("K=1\nnone\n", &out, &err), -1);
    cr_expect_str_eq(err.text, "line 2: no '=' in \"none\"");
}
