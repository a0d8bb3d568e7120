/* What was read must be readable when it is written, and the same from then on (1.0 becomes 1); and
 * whatever it is, a struct takes it or refuses it whole. */
#include <stdlib.h>
#include <string.h>

#include "codec/json.h"

#include "base/banned.h"

struct inner {
    char *name;
    int64_t number;
};

struct outer {
    char *text, *raw;
    bool is_on;
    int64_t number, when, pair[2];
    uint64_t limit;
    double real;
    struct optional_bool maybe;
    struct strv list, command, set;
    struct map texts, dict, lists;
    struct inner in_place, *pointer;
    struct json_list many;
};

/* clang-format off */
static const struct json_field inner_fields[] = {
    JSON_STRING(struct inner, name,   "n"),
    JSON_INT64 (struct inner, number, "i"),
    JSON_END,
};

static const struct json_field outer_fields[] = {
    JSON_STRING        (struct outer, text,     "a"),
    JSON_RAW           (struct outer, raw,      "b"),
    JSON_BOOL          (struct outer, is_on,    "c"),
    JSON_INT64         (struct outer, number,   "d"),
    JSON_TIME          (struct outer, when,     "e"),
    JSON_INT64_PAIR    (struct outer, pair,     "f"),
    JSON_UINT64        (struct outer, limit,    "g"),
    JSON_DOUBLE        (struct outer, real,     "h"),
    JSON_OPTIONAL_BOOL (struct outer, maybe,    "i"),
    JSON_STRV          (struct outer, list,     "j"),
    JSON_STRV_OR_TEXT  (struct outer, command,  "k"),
    JSON_SET           (struct outer, set,      "l"),
    JSON_TEXTS         (struct outer, texts,    "m"),
    JSON_MAP           (struct outer, dict,     "n", struct inner, inner_fields),
    JSON_MAP_OF_LISTS  (struct outer, lists,    "o", struct inner, inner_fields),
    JSON_OBJECT        (struct outer, in_place, "p", struct inner, inner_fields),
    JSON_OBJECT_POINTER(struct outer, pointer,  "q", struct inner, inner_fields),
    JSON_OBJECTS       (struct outer, many,     "r", struct inner, inner_fields),
    JSON_END,
};
/* clang-format on */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Writes 'value' and reads it again. */
static struct json *rewrite(const struct json *value, struct str *out)
{
    struct json *again = NULL;

    str_clear(out);
    json_write(value, out);
    if (json_parse(out->data, out->length, &again, NULL) < 0)
        abort();
    return again;
}

static void check_value(const struct json *value)
{
    CLEANUP(str_done) struct str first = {};
    CLEANUP(str_done) struct str second = {};
    CLEANUP(json_free) struct json *again = rewrite(value, &first);
    CLEANUP(json_free) struct json *settled = rewrite(again, &first);
    CLEANUP(json_free) UNUSED struct json *same = rewrite(settled, &second);

    if (first.length != second.length || strcmp(first.data, second.data) != 0)
        abort();
    str_clear(&second);
    json_write_indented(value, 4, &second);
}

static void check_struct(const struct json *value)
{
    struct outer object = {}, copy;
    struct error err;
    CLEANUP(str_done) struct str first = {};
    CLEANUP(str_done) struct str second = {};

    if (json_decode_value(outer_fields, value, &object, &err) < 0)
        return;
    json_fields_copy(outer_fields, &object, &copy);
    json_encode(outer_fields, &object, &first);
    json_fields_done(outer_fields, &object);
    json_encode(outer_fields, &copy, &second);
    json_fields_done(outer_fields, &copy);
    if (strcmp(first.data, second.data) != 0 ||
        json_decode(outer_fields, first.data, first.length, &object, &err) < 0)
        abort();
    json_fields_done(outer_fields, &object);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(json_free) struct json *value = NULL;
    struct error err;

    if (json_parse((const char *)data, size, &value, &err) < 0)
        return 0;
    check_value(value);
    check_struct(value);
    return 0;
}
