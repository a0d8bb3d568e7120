#include "api/filters.h"

#include <criterion/criterion.h>

#include "base/banned.h"

static const char *const accepted[] = { "label", "name", "dangling", "until", NULL };

static const struct {
    const char *text, *failure; /* failure NULL: fine */
    size_t label_count;
} texts[] = {
    { NULL, NULL, 0 },
    { "", NULL, 0 },
    { "{}", NULL, 0 },
    { "{\"label\":[\"a\",\"b=c\"]}", NULL, 2 },
    { "{\"label\":{\"a\":true,\"b=c\":false}}", NULL, 2 },
    { "{\"label\":[]}", NULL, 0 },
    { "x", "invalid filter", 0 },
    { "[]", "invalid filter", 0 },
    { "{\"label\":\"a\"}", "invalid filter", 0 },
    { "{\"label\":[1]}", "invalid filter", 0 },
    { "{\"foo\":[\"a\"]}", "invalid filter 'foo'", 0 },
    { "{\"foo\":{\"a\":true}}", "invalid filter 'foo'", 0 },
    { "{\"label\":[\"a\"]} x", "invalid filter", 0 },
};

Test(filters, are_read_in_both_encodings)
{
    for (size_t i = 0; i < COUNT(texts); i++) {
        CLEANUP(filters_done) struct filters filters = {};
        struct error err = {};
        int result = filters_parse(texts[i].text, accepted, &filters, &err);

        cr_assert_eq(result, texts[i].failure ? -1 : 0, "%s: %s", texts[i].text, err.text);
        if (texts[i].failure) {
            cr_expect_str_eq(err.text, texts[i].failure);
            cr_expect_eq(err.kind, ERROR_INVALID);
        } else {
            cr_expect_eq(filters_values(&filters, "label")->count, texts[i].label_count, "%s",
                         texts[i].text);
        }
    }
}

static struct filters parse(const char *text)
{
    struct filters filters = {};
    struct error err = {};

    cr_assert_eq(filters_parse(text, NULL, &filters, &err), 0, "%s", err.text);
    return filters;
}

static const struct {
    const char *text, *value;
    bool exactly, pattern, prefix;
} matches[] = {
    { "{}", "web", true, true, true },
    { "{\"name\":[\"web\"]}", "web", true, true, true },
    { "{\"name\":[\"web\"]}", "web-1", false, true, true },
    { "{\"name\":[\"web\"]}", "my-web", false, true, false },
    { "{\"name\":[\"^web\"]}", "my-web", false, false, false },
    { "{\"name\":[\"^web$\"]}", "web", false, true, false },
    { "{\"name\":[\"w.b\"]}", "web", false, true, false },
    { "{\"name\":[\"web-\\\\d+$\"]}", "web-12", false, true, false },
    { "{\"name\":[\"(?:a|web)1\"]}", "web1", false, true, false },
    { "{\"name\":[\"we{1,2}b\"]}", "web", false, true, false },
    { "{\"name\":[\"(e)\\\\1\"]}", "eeb", false, false, false }, /* No back references. */
    { "{\"name\":[\"^[[:alpha:]]{1,999}$\"]}", "web", false, true, false },
    { "{\"name\":[\"[\"]}", "web", false, false, false },
    { "{\"name\":[\"[\"]}", "[", true, true, true },
    { "{\"name\":[\"db\",\"web\"]}", "web", true, true, true },
};

Test(filters, compare_in_three_ways)
{
    for (size_t i = 0; i < COUNT(matches); i++) {
        CLEANUP(filters_done) struct filters filters = parse(matches[i].text);
        const char *value = matches[i].value;

        cr_expect_eq(filters_match_exactly(&filters, "name", value), matches[i].exactly, "%s %s",
                     matches[i].text, value);
        cr_expect_eq(filters_match_pattern(&filters, "name", value), matches[i].pattern, "%s %s",
                     matches[i].text, value);
        cr_expect_eq(filters_match_prefix(&filters, "name", value), matches[i].prefix, "%s %s",
                     matches[i].text, value);
    }
}

static const struct {
    const char *text;
    bool matches;
} labels[] = {
    { "{}", true },
    { "{\"label\":[\"a\"]}", true },
    { "{\"label\":[\"a=1\"]}", true },
    { "{\"label\":[\"a=2\"]}", false },
    { "{\"label\":[\"a\",\"b\"]}", false }, /* All of them. */
    { "{\"label\":[\"a=1\",\"c=x=y\"]}", true },
    { "{\"label!\":[\"a\"]}", false },
    { "{\"label!\":[\"b\"]}", true },
    { "{\"label\":[\"a\"],\"label!\":[\"c=x=y\"]}", false },
};

Test(filters, compare_labels)
{
    CLEANUP(map_done) struct map given = {};

    map_set_text(&given, "a", "1");
    map_set_text(&given, "c", "x=y");
    for (size_t i = 0; i < COUNT(labels); i++) {
        CLEANUP(filters_done) struct filters filters = parse(labels[i].text);

        cr_expect_eq(filters_match_labels(&filters, &given), labels[i].matches, "%s",
                     labels[i].text);
    }
}

static const struct {
    const char *text;
    int result;
    bool value;
} switches[] = {
    { "{}", 0, true }, /* the fallback */
    { "{\"dangling\":[\"true\"]}", 0, true },
    { "{\"dangling\":[\"1\"]}", 0, true },
    { "{\"dangling\":[\"false\"]}", 0, false },
    { "{\"dangling\":[\"0\",\"false\"]}", 0, false },
    { "{\"dangling\":[\"0\",\"1\"]}", -1, false },
    { "{\"dangling\":[\"yes\"]}", -1, false },
    { "{\"dangling\":[]}", -1, false },
};

Test(filters, read_switches)
{
    for (size_t i = 0; i < COUNT(switches); i++) {
        CLEANUP(filters_done) struct filters filters = parse(switches[i].text);
        struct error err = {};
        bool value;

        cr_assert_eq(filters_bool(&filters, "dangling", true, &value, &err), switches[i].result,
                     "%s", switches[i].text);
        if (switches[i].result == 0)
            cr_expect_eq(value, switches[i].value, "%s", switches[i].text);
    }
}

Test(filters, tell_a_bad_switch_as_docker_does)
{
    CLEANUP(filters_done) struct filters filters = parse("{\"dangling\":[\"maybe\"]}");
    struct error err = {};
    bool value;

    cr_assert_eq(filters_bool(&filters, "dangling", false, &value, &err), -1);
    cr_expect_str_eq(err.text, "invalid filter 'dangling=[maybe]'");
}

Test(filters, read_until)
{
    CLEANUP(filters_done) struct filters plain = parse("{\"until\":[\"1700000000\"]}");
    CLEANUP(filters_done) struct filters bad = parse("{\"until\":[\"x\"]}");
    struct error err = {};
    int64_t until_ns;

    cr_assert_eq(filters_until(&plain, &until_ns, &err), 0, "%s", err.text);
    cr_expect_eq(until_ns, INT64_C(1700000000000000000));
    cr_assert_eq(filters_until(&bad, &until_ns, &err), -1);
    cr_expect_str_eq(err.text, "failed to parse value as time or duration: \"x\"");
}
