#include "compose/variable.h"

#include <criterion/criterion.h>

#include "base/memory.h"

#include "base/banned.h"

static const char *get(void *data, const char *name)
{
    (void)data;
    if (strcmp(name, "SET") == 0)
        return "value";
    return strcmp(name, "EMPTY") == 0 ? "" : NULL;
}

static void missing(void *data, const char *name)
{
    struct str *names = data;

    str_add_format(names, "%s ", name);
}

static const struct {
    const char *text, *expanded, *missing;
} good[] = {
    { "", "", "" },
    { "plain", "plain", "" },
    { "$SET", "value", "" },
    { "a${SET}b$SET-c", "avaluebvalue-c", "" },
    { "$$SET $${SET}", "$SET ${SET}", "" },
    { "$", "$", "" },
    { "$1 $- $ ", "$1 $- $ ", "" },
    { "$GONE|${GONE}|", "||", "GONE GONE " },
    { "${GONE-d}${EMPTY-d}${GONE:-d}${EMPTY:-d}", "ddd", "" },
    { "${GONE+r}${EMPTY+r}${GONE:+r}${EMPTY:+r}${SET:+r}", "rr", "" },
    { "${GONE:-a:b-c?d+e}", "a:b-c?d+e", "" },
    { "${GONE:-${SET:+${EMPTY:-deep}}}", "deep", "" },
    { "${GONE:-${OTHER}}", "", "OTHER " },
    { "${SET?words}${EMPTY?words}", "value", "" },
};

Test(variable, expands)
{
    for (size_t i = 0; i < COUNT(good); i++) {
        CLEANUP(str_done) struct str out = {}, names = {};
        struct variable_source source = { .get = get, .missing = missing, .data = &names };
        struct error err = {};
        bool is_malformed;

        cr_expect_eq(variable_expand(good[i].text, &source, &out, &is_malformed, &err), 0, "%s: %s",
                     good[i].text, err.text);
        cr_expect_str_eq(str_text(&out), good[i].expanded, "%s: %s", good[i].text, str_text(&out));
        cr_expect_str_eq(str_text(&names), good[i].missing, "%s: %s", good[i].text,
                         str_text(&names));
    }
}

static const struct {
    const char *text, *words;
    bool is_malformed;
} bad[] = {
    { "${", "invalid interpolation format", true },
    { "${}", "invalid interpolation format", true },
    { "${1}", "invalid interpolation format", true },
    { "${SET", "invalid interpolation format", true },
    { "${SET!x}", "invalid interpolation format", true },
    { "${SET:x}", "invalid interpolation format", true },
    { "${SET x}", "invalid interpolation format", true },
    { "${GONE:-${SET}", "invalid interpolation format", true },
    { "${GONE:-${}}", "invalid interpolation format", true },
    { "${GONE?}", "required variable GONE is missing a value", false },
    { "${GONE?set $SET}", "required variable GONE is missing a value: set value", false },
    { "${EMPTY:?no}", "required variable EMPTY is missing a value: no", false },
};

Test(variable, refuses)
{
    for (size_t i = 0; i < COUNT(bad); i++) {
        CLEANUP(str_done) struct str out = {};
        struct variable_source source = { .get = get };
        struct error err = {};
        bool is_malformed;

        cr_assert_eq(variable_expand(bad[i].text, &source, &out, &is_malformed, &err), -1, "%s",
                     bad[i].text);
        cr_expect_str_eq(err.text, bad[i].words, "%s: %s", bad[i].text, err.text);
        cr_expect_eq(is_malformed, bad[i].is_malformed, "%s", bad[i].text);
    }
}

Test(variable, ends_what_is_nested_without_end)
{
    CLEANUP(str_done) struct str text = {}, out = {};
    struct variable_source source = { .get = get };
    struct error err = {};
    bool is_malformed;

    for (int i = 0; i < 1000; i++)
        str_add(&text, "${GONE:-");
    for (int i = 0; i < 1000; i++)
        str_add(&text, "}");
    cr_assert_eq(variable_expand(str_text(&text), &source, &out, &is_malformed, &err), -1);
    cr_expect_str_eq(err.text, "variables are nested more than 50 deep");
    cr_expect_not(is_malformed);
}

static void add_use(void *data, const struct variable_use *use)
{
    str_add_format(data, "%s,%s,%s,%d;", use->name, use->fallback ? use->fallback : "-",
                   use->alternative ? use->alternative : "-", use->is_required);
}

Test(variable, lists_uses_and_those_inside_of_them)
{
    CLEANUP(str_done) struct str out = {};

    variable_list("$A ${B:-x$C} $$D ${E+y} ${F:?z} ${", add_use, &out);
    cr_expect_str_eq(str_text(&out), "A,-,-,0;B,x$C,-,0;C,-,-,0;E,-,y,0;F,-,-,1;");
}
