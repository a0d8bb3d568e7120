#include "codec/yaml.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/banned.h"

static struct yaml *parse(const char *text)
{
    CLEANUP(yaml_drop) struct yaml *documents = NULL;
    struct error err = {};

    cr_assert_eq(yaml_parse(text, strlen(text), "file", &documents, &err), 0, "%s: %s", text,
                 err.text);
    cr_assert_eq(documents->count, 1, "%s", text);
    return yaml_clone(documents->items[0]);
}

static const struct {
    const char *yaml, *json;
} meanings[] = {
    { "[~, null, '', \"~\"]", "[null,null,\"\",\"~\"]" },
    { "[true, False, yes, off, 'true']", "[true,false,\"yes\",\"off\",\"true\"]" },
    { "[1, -0x1F, 0o17, 017, 0b101, 1_000, 08, 1e3, .5, 1.]", "[1,-31,15,15,5,1000,8,1000,0.5,1]" },
    { "[80:80, 1.2.3, 0x, 10m, +1, '1']", "[\"80:80\",\"1.2.3\",\"0x\",\"10m\",1,\"1\"]" },
    { "a: &x {b: 1}\nc: *x\n", "{\"a\":{\"b\":1},\"c\":{\"b\":1}}" },
    { "a: &x {b: 1, c: 2}\nd: {<<: *x, c: 3}\n",
      "{\"a\":{\"b\":1,\"c\":2},\"d\":{\"c\":3,\"b\":1}}" },
    { "d: {<<: [{a: 1}, {a: 2, b: 3}]}\n", "{\"d\":{\"a\":1,\"b\":3}}" },
    { "a: !!str 1\n", "{\"a\":\"1\"}" },
    { "1: a\nnull: b\n", "{\"1\":\"a\",\"null\":\"b\"}" },
};

Test(yaml, means_what_go_takes_it_for)
{
    for (size_t i = 0; i < COUNT(meanings); i++) {
        CLEANUP(yaml_drop) struct yaml *node = parse(meanings[i].yaml);
        CLEANUP(str_done) struct str json = {};

        yaml_write_json(node, &json);
        cr_expect_str_eq(str_text(&json), meanings[i].json);
    }
}

static const struct {
    const char *yaml, *failure;
} failures[] = {
    { "a:\n  b: 1\n  b: 2\n", "line 3: mapping key \"b\" already defined at line 2 (file:3)" },
    { "services:\n a:\n  image: b\n bad\n", "yaml: line 4: could not find expected ':' (file:4)" },
    { "a: *nobody\n", "yaml: line 1: unknown anchor 'nobody' referenced (file:1)" },
    { "a: !odd 1\n", "yaml: line 1: unknown tag !odd (file:1)" },
    { "{<<: 1}\n",
      "yaml: line 1: map merge requires map or sequence of maps as the value (file:1)" },
    { "a: 1\nb: \x01\n", "yaml: control characters are not allowed (file:2)" },
    { "a: 1\nb: \"\\0\"\n", "yaml: line 2: a text with a NUL in it (file:2)" },
    { "a: !!binary AAAA\n", "yaml: line 1: unknown tag tag:yaml.org,2002:binary (file:1)" },
    { "!reset {a: 1}\n", "yaml: line 1: a tag before the whole document (file:1)" },
    { "{!reset a: 1}\n",
      "yaml: line 1: a tag before a key means nothing: put it before the value (file:1)" },
    { "x: &x {y: 1}\na: {<<: *x, <<: *x}\n",
      "line 2: mapping key \"<<\" already defined at line 1 (file:2)" },
};

Test(yaml, names_the_line_of_a_fault)
{
    for (size_t i = 0; i < COUNT(failures); i++) {
        struct yaml *documents = NULL;
        struct error err = {};

        cr_expect_eq(
            yaml_parse(failures[i].yaml, strlen(failures[i].yaml), "file", &documents, &err), -1,
            "%s", failures[i].yaml);
        cr_expect_str_eq(err.text, failures[i].failure);
    }
}

Test(yaml, stops_aliases_of_aliases)
{
    CLEANUP(str_done) struct str text = {};
    struct yaml *documents = NULL;
    struct error err = {};

    str_add(&text, "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for (int i = 1; i < 12; i++) {
        str_add_format(&text, "a%d: &a%d [", i, i);
        for (int j = 0; j < 10; j++)
            str_add_format(&text, "*a%d,", i - 1);
        str_add(&text, "]\n");
    }
    cr_expect_eq(yaml_parse(str_text(&text), text.length, "file", &documents, &err), -1);
    cr_expect(strstr(err.text, "excessive aliasing"), "%s", err.text);
}

static const char written[] = "a:\n"
                              "  - x\n"
                              "  - \"1000\"\n"
                              "  - 'busybox:'\n"
                              "  - \"\"\n"
                              "  - '# no comment'\n"
                              "  - \"yes\"\n"
                              "  - \"10:30\"\n"
                              "  - 80:90\n"
                              "  - it's\n"
                              "  - \"tab\\there\"\n"
                              "  - \"2001-01-02\"\n"
                              "b: |-\n"
                              "  two\n"
                              "  lines\n"
                              "c:\n"
                              "  - d: 1\n"
                              "    e: 0.5\n"
                              "  - []\n"
                              "  - - nested\n"
                              "f: {}\n"
                              "\"Y\": null\n";

Test(yaml, writes_as_it_is_known)
{
    CLEANUP(yaml_drop) struct yaml *node = parse(written);
    CLEANUP(str_done) struct str text = {};

    yaml_write(node, &text);
    cr_expect_str_eq(str_text(&text), written);
}
