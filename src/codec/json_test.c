#include "codec/json.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

#include "base/banned.h"

static char *rewritten(const char *text)
{
    CLEANUP(json_free) struct json *value = NULL;
    struct error err = {};
    struct str out = {};

    if (json_parse(text, strlen(text), &value, &err) < 0)
        return xstrdup(err.text);
    json_write(value, &out);
    return str_take(&out);
}

static const struct {
    const char *text, *expected;
} values[] = {
    { " [1, 2.50, true ,null]\n", "[1,2.5,true,null]" },
    { "{\"b\":1,\"a\":2}", "{\"b\":1,\"a\":2}" },
    { "{\"a\":1,\"b\":2,\"a\":3}", "{\"a\":3,\"b\":2}" },
    { "\"<&>\\u2028\\b\\f\\n\\u0001\x7f\"",
      "\"\\u003c\\u0026\\u003e\\u2028\\b\\f\\n\\u0001\x7f\"" },
    { "\"\xc3\xa9\\u00e9\"", "\"\xc3\xa9\xc3\xa9\"" },
    { "\"\\ud83d\\ude00\"", "\"\xf0\x9f\x98\x80\"" },
    { "[]", "[]" },
    { "{}", "{}" },
    { "1e21", "1e+21" },
    { "1e20", "100000000000000000000" },
    { "0.000001", "0.000001" },
    { "0.0000001", "1e-7" },
    { "1000000.0", "1000000" },
    { "0.1", "0.1" },
    { "-0.0", "-0" },
    { "9223372036854775807", "9223372036854775807" },
    /* What jansson alone refuses. */
    { "18446744073709551615", "18446744073709551615" },
    { "[9223372036854775808]", "[9223372036854775808]" },
    { "[\"x\",184467440737095516159,1e999]", "[\"x\",184467440737095516159,1e999]" },
    { "\"a\xff\"", "\"a\xef\xbf\xbd\"" },
    { "[\"\\ud800\",\"\\udc00\\ud800x\",\"\\ud800\\u0041\"]",
      "[\"\xef\xbf\xbd\",\"\xef\xbf\xbd\xef\xbf\xbdx\",\"\xef\xbf\xbd"
      "A\"]" },
    /* What Go says. */
    { "", "unexpected EOF" },
    { "  ", "unexpected EOF" },
    { "{", "unexpected EOF" },
    { "{\"a\"", "unexpected EOF" },
    { "[1,", "unexpected EOF" },
    { "\"abc", "unexpected EOF" },
    { "\"abc\\", "unexpected EOF" },
    { "tru", "unexpected EOF" },
    { "1.", "unexpected EOF" },
    { "-", "unexpected EOF" },
    { "{} {}", "unexpected content after JSON" },
    { "1 x", "unexpected content after JSON" },
    { "01", "unexpected content after JSON" },
    { "x", "invalid character 'x' looking for beginning of value" },
    { "[1,]", "invalid character ']' looking for beginning of value" },
    { "[,1]", "invalid character ',' looking for beginning of value" },
    { "{a:1}", "invalid character 'a' looking for beginning of object key string" },
    { "{\"a\":1,}", "invalid character '}' looking for beginning of object key string" },
    { "{\"a\" 1}", "invalid character '1' after object key" },
    { "{\"a\":1 \"b\"}", "invalid character '\"' after object key:value pair" },
    { "[1 2]", "invalid character '2' after array element" },
    { "trux", "invalid character 'x' in literal true (expecting 'e')" },
    { "\"\n\"", "invalid character '\\n' in string literal" },
    { "\"\\x\"", "invalid character 'x' in string escape code" },
    { "\"\\u12g4\"", "invalid character 'g' in \\u hexadecimal character escape" },
    { "1.x", "invalid character 'x' after decimal point in numeric literal" },
    { "1ex", "invalid character 'x' in exponent of numeric literal" },
    { "-x", "invalid character 'x' in numeric literal" },
    { "'", "invalid character '\\'' looking for beginning of value" },
    { "\xe9", "invalid character '\xc3\xa9' looking for beginning of value" },
    { "\"a\\u0000b\"", "a NUL character in a string is not supported" },
    { "{\"\\u0000\":1}", "a NUL character in a string is not supported" },
};

Test(json, reads_and_writes_like_go)
{
    for (size_t i = 0; i < COUNT(values); i++) {
        CLEANUP(free) char *text = rewritten(values[i].text);

        cr_expect_str_eq(text, values[i].expected, "%s gave %s", values[i].text, text);
    }
}

Test(json, refuses_a_raw_nul)
{
    struct json *value;
    struct error err = {};

    cr_assert_eq(json_parse("\"a\0b\"", 5, &value, &err), -1);
    cr_expect_str_eq(err.text, "invalid character '\\x00' in string literal");
    cr_assert_eq(json_parse("1\0", 2, &value, &err), -1);
    cr_expect_str_eq(err.text, "unexpected content after JSON");
}

Test(json, limits_depth_but_not_width)
{
    CLEANUP(str_done) struct str text = {};
    CLEANUP(json_free) struct json *value = NULL;
    struct error err = {};

    for (int i = 0; i < JSON_DEPTH_LIMIT; i++)
        str_add(&text, "[");
    for (int i = 0; i < JSON_DEPTH_LIMIT; i++)
        str_add(&text, "]");
    cr_assert_eq(json_parse(text.data, text.length, &value, &err), 0, "%s", err.text);
    str_clear(&text);
    for (int i = 0; i < 1000000; i++)
        str_add(&text, "[");
    json_free(TAKE(value));
    cr_assert_eq(json_parse(text.data, text.length, &value, &err), -1);
    cr_expect_str_eq(err.text, "exceeded max depth");
    str_clear(&text);
    str_add(&text, "[");
    for (int i = 0; i < 1000; i++)
        str_add(&text, "[\"[[\"],");
    str_add(&text, "1]");
    cr_assert_eq(json_parse(text.data, text.length, &value, &err), 0, "%s", err.text);
    cr_expect_eq(json_count(value), 1001);
}

Test(json, answers_questions)
{
    static const char text[] =
        "{\"n\":-5,\"r\":1.5,\"t\":\"x\",\"y\":true,\"l\":[1],\"d\":{\"k\":0},"
        "\"big\":18446744073709551615}";
    CLEANUP(json_free) struct json *value = NULL;
    struct error err = {};
    CLEANUP(str_done) struct str keys = {};

    cr_assert_eq(json_parse(text, strlen(text), &value, &err), 0, "%s", err.text);
    cr_expect_eq(json_to_int64(json_get(value, "n")), -5);
    cr_expect_eq(json_to_uint64(json_get(value, "n")), 0);
    cr_expect_eq(json_to_double(json_get(value, "r")), 1.5);
    cr_expect_str_eq(json_text(json_get(value, "t")), "x");
    cr_expect(json_is_true(json_get(value, "y")));
    cr_expect_eq(json_count(json_get(value, "l")), 1);
    cr_expect_eq(json_type(json_get(value, "big")), JSON_INTEGER);
    cr_expect_eq(json_to_uint64(json_get(value, "big")), UINT64_MAX);
    cr_expect_eq(json_to_int64(json_get(value, "big")), INT64_MAX);
    cr_expect_null(json_text(json_get(value, "big")));
    cr_expect_str_eq(json_key_at(value, 2), "t");
    cr_expect_eq(json_at(value, 2), json_get(value, "t"));
    cr_expect_null(json_at(value, 7));
    cr_expect_null(json_key_at(value, 7));
    JSON_EACH (value, key)
        str_add_format(&keys, "%s ", key);
    cr_expect_str_eq(keys.data, "n r t y l d big ");
    cr_expect_null(json_get(value, "N"));
    cr_expect_null(json_get(json_get(value, "t"), "x"));
    cr_expect_eq(json_type(NULL), JSON_NULL);
    cr_expect_null(json_text(NULL));
    cr_expect_null(json_first_key(NULL));
    cr_expect_eq(json_to_int64(json_get(value, "r")), 0);
}

Test(json, indents_like_go)
{
    CLEANUP(json_free) struct json *value = NULL;
    CLEANUP(str_done) struct str out = {};
    static const char text[] = "{\"a\":[],\"b\":{},\"c\":[1,{\"d\":\"<x>\"}]}";

    cr_assert_eq(json_parse(text, strlen(text), &value, NULL), 0);
    json_write_indented(value, 4, &out);
    cr_expect_str_eq(out.data, "{\n    \"a\": [],\n    \"b\": {},\n    \"c\": [\n        1,\n"
                               "        {\n            \"d\": \"<x>\"\n        }\n    ]\n}");
    str_clear(&out);
    json_write_plain(value, &out);
    cr_expect_str_eq(out.data, text);
}

Test(json, writes_piece_by_piece)
{
    CLEANUP(str_done) struct str out = {};
    CLEANUP(map_done) struct map labels = {};
    CLEANUP(strv_done) struct strv none = {};
    struct json_writer w = { .out = &out };

    map_set_text(&labels, "b", "2");
    map_set_text(&labels, "a", "1");
    json_begin_dict(&w, NULL);
    json_add_text(&w, "t", "a\xff");
    json_add_text(&w, "null", NULL);
    json_add_text_format(&w, "f", "%d", 5);
    json_begin_list(&w, "l");
    json_add_int64(&w, NULL, INT64_MIN);
    json_add_uint64(&w, NULL, UINT64_MAX);
    json_end_list(&w);
    json_add_texts(&w, "labels", &labels);
    json_add_strv(&w, "none", &none);
    json_add_time(&w, "time", 0);
    json_add_double(&w, "d", 2.5);
    json_add_raw(&w, "raw", "[1]");
    CLEANUP(json_free) struct json *read = NULL;
    cr_assert_eq(json_parse("{\"k\": [null]}", 13, &read, NULL), 0);
    json_add_value(&w, "read", read);
    json_add_bool(&w, "y", true);
    json_end_dict(&w);
    cr_expect_str_eq(out.data, "{\"t\":\"a\\ufffd\",\"null\":null,\"f\":\"5\","
                               "\"l\":[-9223372036854775808,18446744073709551615],"
                               "\"labels\":{\"a\":\"1\",\"b\":\"2\"},\"none\":null,"
                               "\"time\":\"0001-01-01T00:00:00Z\",\"d\":2.5,\"raw\":[1],\"read\":{"
                               "\"k\":[null]},\"y\":true}");
}

/* ---- shapes */

struct mount {
    char *source;
    bool read_only;
};

struct thing {
    char *name, *maybe, *raw;
    bool is_on;
    int64_t memory, created;
    uint64_t limit;
    double cpus;
    struct optional_bool init;
    struct optional_int64 swap;
    struct strv args, command, ports;
    struct map labels, mounts_by_name, lists_by_name;
    struct mount root, *extra;
    struct json_list mounts;
    int64_t console[2];
    int64_t secret;
};

/* clang-format off */
static const struct json_field mount_fields[] = {
    JSON_STRING(struct mount, source,    "Source"),
    JSON_BOOL  (struct mount, read_only, "ReadOnly", .omit_empty = true),
    JSON_END,
};

static const struct json_field thing_fields[] = {
    JSON_STRING        (struct thing, name,           "Name"),
    JSON_STRING        (struct thing, maybe,          "Maybe", .null_empty = true),
    JSON_RAW           (struct thing, raw,            "Raw"),
    JSON_BOOL          (struct thing, is_on,          "On"),
    JSON_INT64         (struct thing, memory,         "Memory"),
    JSON_TIME          (struct thing, created,        "Created"),
    JSON_UINT64        (struct thing, limit,          "Limit"),
    JSON_DOUBLE        (struct thing, cpus,           "Cpus", .omit_empty = true),
    JSON_OPTIONAL_BOOL (struct thing, init,           "Init"),
    JSON_OPTIONAL_INT64(struct thing, swap,           "Swap", .omit_empty = true),
    JSON_STRV          (struct thing, args,           "Args"),
    JSON_STRV_OR_TEXT  (struct thing, command,        "Cmd"),
    JSON_SET           (struct thing, ports,          "Ports"),
    JSON_TEXTS         (struct thing, labels,         "Labels"),
    JSON_MAP           (struct thing, mounts_by_name, "ByName", struct mount, mount_fields),
    JSON_MAP_OF_LISTS  (struct thing, lists_by_name,  "Lists",  struct mount, mount_fields),
    JSON_OBJECT        (struct thing, root,           "Root",   struct mount, mount_fields),
    JSON_OBJECT_POINTER(struct thing, extra,          "Extra",  struct mount, mount_fields),
    JSON_OBJECTS       (struct thing, mounts,         "Mounts", struct mount, mount_fields),
    JSON_INT64_PAIR    (struct thing, console,        "Console"),
    JSON_INT64         (struct thing, secret,         "Secret", .write_only = true, .omit_empty = true),
    JSON_END,
};
/* clang-format on */

static const char whole[] =
    "{\"Name\":\"a\",\"Maybe\":null,\"Raw\":{\"x\":[1,2]},\"On\":true,\"Memory\":-7,"
    "\"Created\":\"2026-01-02T03:04:05.12Z\",\"Limit\":18446744073709551615,\"Cpus\":1.5,"
    "\"Init\":false,\"Swap\":0,\"Args\":[\"x\",\"\"],\"Cmd\":[\"sh\"],"
    "\"Ports\":{\"53/udp\":{},\"80/tcp\":{}},\"Labels\":{\"a\":\"1\",\"b\":\"2\"},"
    "\"ByName\":{\"m\":{\"Source\":\"s\"},\"n\":{\"Source\":\"t\",\"ReadOnly\":true}},"
    "\"Lists\":{\"k\":[{\"Source\":\"1\"},{\"Source\":\"2\"}],\"none\":null},"
    "\"Root\":{\"Source\":\"r\"},\"Extra\":{\"Source\":\"e\"},"
    "\"Mounts\":[{\"Source\":\"m1\"},{\"Source\":\"m2\"}],\"Console\":[24,80]}";

static const char empty[] =
    "{\"Name\":\"\",\"Maybe\":null,\"Raw\":null,\"On\":false,\"Memory\":0,"
    "\"Created\":\"0001-01-01T00:00:00Z\",\"Limit\":0,\"Init\":null,\"Args\":null,\"Cmd\":null,"
    "\"Ports\":null,\"Labels\":null,\"ByName\":null,\"Lists\":null,\"Root\":{\"Source\":\"\"},"
    "\"Extra\":null,\"Mounts\":null,\"Console\":[0,0]}";

static char *encoded(const struct thing *thing)
{
    struct str out = {};

    json_encode(thing_fields, thing, &out);
    return str_take(&out);
}

Test(json, decodes_and_encodes_a_struct)
{
    struct thing thing = {}, copy;
    struct error err = {};

    cr_assert_eq(json_decode(thing_fields, whole, strlen(whole), &thing, &err), 0, "%s", err.text);
    cr_expect_str_eq(thing.name, "a");
    cr_expect_eq(thing.limit, UINT64_MAX);
    cr_expect(thing.swap.is_set);
    cr_expect_eq(thing.mounts.count, 2);
    cr_expect_str_eq(JSON_ITEMS(&thing.mounts, struct mount)[1].source, "m2");
    cr_expect_str_eq(((struct mount *)map_get(&thing.mounts_by_name, "n"))->source, "t");

    memset(&copy, 0xaa, sizeof(copy));
    json_fields_copy(thing_fields, &thing, &copy);
    json_fields_done(thing_fields, &thing);
    CLEANUP(free) char *text = encoded(&copy);
    cr_expect_str_eq(text, whole);
    json_fields_done(thing_fields, &copy);
    CLEANUP(free) char *nothing = encoded(&copy);
    cr_expect_str_eq(nothing, empty);
}

Test(json, keeps_null_and_empty_apart)
{
    static const char text[] =
        "{\"Args\":[],\"Ports\":{},\"Labels\":{},\"ByName\":{},\"Mounts\":[]}";
    struct thing thing = {}, copy = {};
    struct error err = {};

    cr_assert_eq(json_decode(thing_fields, text, strlen(text), &thing, &err), 0, "%s", err.text);
    json_fields_copy(thing_fields, &thing, &copy);
    CLEANUP(free) char *out = encoded(&copy);
    cr_expect(strstr(out, "\"Args\":[],"));
    cr_expect(strstr(out, "\"Ports\":{},"));
    cr_expect(strstr(out, "\"Labels\":{},"));
    cr_expect(strstr(out, "\"ByName\":{},"));
    cr_expect(strstr(out, "\"Mounts\":[],"));
    cr_expect(strstr(out, "\"Lists\":null,"));
    json_fields_done(thing_fields, &thing);
    json_fields_done(thing_fields, &copy);
}

static const struct {
    const char *text, *expected;
} lenient[] = {
    { "{\"name\":\"x\",\"unknown\":[1]}", "x" },
    { "{\"name\":\"x\",\"NAME\":\"y\"}", "y" },
    { "{\"Name\":\"x\",\"Name\":null}", "" },
    { "{\"Name\":\"x\",\"name\":null}", "x" },
    { "{\"Secret\":\"no number, but ignored\",\"Name\":\"z\"}", "z" },
    { "null", "" },
    { "{\"Mounts\":[{\"Source\":\"x\"}],\"mounts\":[null],\"ByName\":{\"a\":null},"
      "\"Labels\":{\"a\":null},\"Args\":[null],\"Created\":\"\",\"Console\":[1]}",
      "" },
    { "{\"Cmd\":\"sh\",\"ByName\":{\"a\":{\"Source\":\"1\"}},\"byname\":{\"a\":{\"Source\":\"2\"}},"
      "\"Lists\":{\"a\":[{\"Source\":\"1\"}]},\"lists\":{\"a\":null}}",
      "" },
};

Test(json, is_as_lenient_as_go)
{
    for (size_t i = 0; i < COUNT(lenient); i++) {
        struct thing thing = {};
        struct error err = {};

        cr_assert_eq(
            json_decode(thing_fields, lenient[i].text, strlen(lenient[i].text), &thing, &err), 0,
            "%s: %s", lenient[i].text, err.text);
        cr_expect_str_eq(thing.name ? thing.name : "", lenient[i].expected);
        MAP_EACH (&thing.mounts_by_name, entry)
            cr_expect_not_null(entry->value);
        json_fields_done(thing_fields, &thing);
    }
}

static const struct {
    const char *text, *expected;
} refused[] = {
    { "[]", "json: cannot unmarshal array into Go value of type struct" },
    { "{\"Name\":5}", "json: cannot unmarshal number into Go struct field .Name of type string" },
    { "{\"Memory\":\"5\"}",
      "json: cannot unmarshal string into Go struct field .Memory of type int64" },
    { "{\"Memory\":1.5}",
      "json: cannot unmarshal number 1.5 into Go struct field .Memory of type int64" },
    { "{\"Memory\":1.0}",
      "json: cannot unmarshal number 1 into Go struct field .Memory of type int64" },
    { "{\"Memory\":1e3}",
      "json: cannot unmarshal number 1000 into Go struct field .Memory of type int64" },
    { "{\"Memory\":9223372036854775808}", "json: cannot unmarshal number 9223372036854775808 into "
                                          "Go struct field .Memory of type int64" },
    { "{\"Limit\":-1}",
      "json: cannot unmarshal number -1 into Go struct field .Limit of type uint64" },
    { "{\"Limit\":18446744073709551616}", "json: cannot unmarshal number 18446744073709551616 into "
                                          "Go struct field .Limit of type uint64" },
    { "{\"root\":{\"readonly\":1}}",
      "json: cannot unmarshal number into Go struct field .Root.ReadOnly of type bool" },
    { "{\"Name\":\"x\",\"Mounts\":[{\"Source\":\"x\"},{\"Source\":{}}]}",
      "json: cannot unmarshal object into Go struct field .Mounts.Source of type string" },
    { "{\"Extra\":[]}", "json: cannot unmarshal array into Go struct field .Extra of type struct" },
    { "{\"Lists\":{\"a\":[{\"Source\":\"x\"}],\"b\":1}}",
      "json: cannot unmarshal number into Go struct field .Lists of type array" },
    { "{\"ByName\":{\"a\":{\"Source\":\"x\"},\"b\":{\"Source\":1}}}",
      "json: cannot unmarshal number into Go struct field .ByName.Source of type string" },
    { "{\"Args\":[\"x\",1]}",
      "json: cannot unmarshal number into Go struct field .Args of type string" },
    { "{\"Labels\":{\"a\":1}}",
      "json: cannot unmarshal number into Go struct field .Labels of type string" },
};

Test(json, says_what_does_not_fit)
{
    for (size_t i = 0; i < COUNT(refused); i++) {
        struct thing thing = {};
        struct error err = {};

        cr_expect_eq(
            json_decode(thing_fields, refused[i].text, strlen(refused[i].text), &thing, &err), -1);
        cr_expect_eq(err.kind, ERROR_INVALID);
        cr_expect_str_eq(err.text, refused[i].expected);
        CLEANUP(free) char *left = encoded(&thing);
        cr_expect_str_eq(left, empty, "%s left something", refused[i].text);
    }
}

Test(json, adds_to_lists_of_any_capacity)
{
    struct json_list list = { .items = xcalloc(3, sizeof(int64_t)), .count = 3 };

    for (int64_t i = 3; i < 1000; i++)
        *(int64_t *)json_list_add(&list, sizeof(int64_t)) = i;
    cr_assert_eq(list.count, 1000);
    for (int64_t i = 3; i < 1000; i++)
        cr_expect_eq(JSON_ITEMS(&list, int64_t)[i], i);
    free(list.items);
}
