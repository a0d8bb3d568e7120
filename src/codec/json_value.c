/* JSON values: jansson's tree behind an opaque name. */
#include "codec/json_library.h"

#include <errno.h>
#include <string.h>

#include "codec/json.h"
#include "codec/json_repair.h"

#include "base/banned.h"

static const json_t *tree(const struct json *value)
{
    return (const json_t *)(const void *)value;
}

static const struct json *borrow(const json_t *value)
{
    return (const struct json *)(const void *)value;
}

/* Numbers that jansson cannot hold are strings that begin with NUL (json_repair); gives the literal
 * behind it, NULL for all other values. */
const char *json_large_number(const struct json *value)
{
    if (!value || json_typeof(tree(value)) != JANSSON_STRING || !json_string_length(tree(value)) ||
        json_string_value(tree(value))[0])
        return NULL;
    return json_string_value(tree(value)) + 1;
}

/* Nesting is counted here: jansson's own limit is fixed when it is built. */
static bool is_too_deep(const char *text, size_t size)
{
    int depth = 0;
    bool in_string = false;

    for (size_t i = 0; i < size; i++) {
        char c = text[i];

        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '[' || c == '{') {
            if (++depth > JSON_DEPTH_LIMIT)
                return true;
        } else if (c == ']' || c == '}') {
            depth--;
        }
    }
    return false;
}

int json_parse(const char *text, size_t size, struct json **out, struct error *err)
{
    CLEANUP(str_done) struct str repaired = {};
    json_error_t problem;

    if (size > JSON_SIZE_LIMIT)
        return error_set(err, ERROR_INVALID, "JSON is larger than %zu bytes", JSON_SIZE_LIMIT);
    if (is_too_deep(text, size))
        return error_set(err, ERROR_INVALID, "exceeded max depth");
    /* jansson overlooks NUL bytes between values. */
    json_t *value = memchr(text, 0, size) ? NULL
                                          : json_loadb(text, size, JSON_DECODE_ANY, &problem);
    if (!value) {
        if (json_repair(text, size, &repaired, err) < 0)
            return -1;
        value = json_loadb(repaired.data, repaired.length, JSON_DECODE_ANY | JSON_ALLOW_NUL,
                           &problem);
    }
    if (!value)
        return error_set(err, ERROR_INVALID, "invalid JSON: %s", problem.text);
    *out = (struct json *)(void *)value;
    return 0;
}

int json_parse_strict(const char *text, size_t size, struct json **out, struct error *err)
{
    json_error_t problem;

    if (size > JSON_SIZE_LIMIT)
        return error_set(err, ERROR_INVALID, "JSON is larger than %zu bytes", JSON_SIZE_LIMIT);
    if (is_too_deep(text, size))
        return error_set(err, ERROR_INVALID, "exceeded max depth");
    if (memchr(text, 0, size))
        return error_set(err, ERROR_INVALID, "invalid JSON: it contains a NUL");
    json_t *value = json_loadb(text, size, JSON_REJECT_DUPLICATES, &problem);
    if (!value)
        return error_set(err, ERROR_INVALID, "invalid JSON: %s", problem.text);
    *out = (struct json *)(void *)value;
    return 0;
}

void json_free(struct json *value)
{
    json_decref((json_t *)(void *)value);
}

static bool literal_is_uint64(const char *literal)
{
    if (literal[strspn(literal, "0123456789")])
        return false;
    errno = 0;
    (void)strtoull(literal, NULL, 10);
    return errno == 0;
}

enum json_type json_type(const struct json *value)
{
    static const enum json_type types[] = {
        [JANSSON_OBJECT] = JSON_DICT,     [JANSSON_ARRAY] = JSON_LIST, [JANSSON_STRING] = JSON_TEXT,
        [JANSSON_INTEGER] = JSON_INTEGER, [JANSSON_REAL] = JSON_REAL,  [JANSSON_TRUE] = JSON_TRUE,
        [JANSSON_FALSE] = JSON_FALSE,     [JANSSON_NULL] = JSON_NULL,
    };

    const char *large = json_large_number(value);

    if (large)
        return literal_is_uint64(large) ? JSON_INTEGER : JSON_REAL;
    return value ? types[json_typeof(tree(value))] : JSON_NULL;
}

const struct json *json_get(const struct json *dict, const char *key)
{
    return json_type(dict) == JSON_DICT ? borrow(json_object_get(tree(dict), key)) : NULL;
}

/* Our json_*.c files never change a tree; jansson only wants it so. */
static json_t *walked(const struct json *dict)
{
    return json_type(dict) == JSON_DICT ? (json_t *)(void *)dict : NULL;
}

const char *json_first_key(const struct json *dict)
{
    return json_object_iter_key(json_object_iter(walked(dict)));
}

const char *json_next_key(const struct json *dict, const char *key)
{
    void *here = json_object_key_to_iter(key);

    return json_object_iter_key(json_object_iter_next(walked(dict), here));
}

const struct json *json_key_value(const char *key)
{
    return borrow(json_object_iter_value(json_object_key_to_iter(key)));
}

const struct json *json_at(const struct json *list_or_dict, size_t index)
{
    if (json_type(list_or_dict) == JSON_LIST)
        return borrow(json_array_get(tree(list_or_dict), index));
    const char *key = json_key_at(list_or_dict, index);
    return key ? json_key_value(key) : NULL;
}

const char *json_key_at(const struct json *dict, size_t index)
{
    const char *key = json_first_key(dict);

    while (key && index--)
        key = json_next_key(dict, key);
    return key;
}

size_t json_count(const struct json *list_or_dict)
{
    if (json_type(list_or_dict) == JSON_LIST)
        return json_array_size(tree(list_or_dict));
    return json_type(list_or_dict) == JSON_DICT ? json_object_size(tree(list_or_dict)) : 0;
}

const char *json_text(const struct json *value)
{
    return json_type(value) == JSON_TEXT ? json_string_value(tree(value)) : NULL;
}

int64_t json_to_int64(const struct json *value)
{
    const char *large = json_large_number(value);

    if (large && json_type(value) == JSON_INTEGER)
        return INT64_MAX;
    return json_type(value) == JSON_INTEGER ? json_integer_value(tree(value)) : 0;
}

uint64_t json_to_uint64(const struct json *value)
{
    const char *large = json_large_number(value);

    if (json_type(value) != JSON_INTEGER)
        return 0;
    if (large)
        return strtoull(large, NULL, 10);
    json_int_t number = json_integer_value(tree(value));
    return number < 0 ? 0 : (uint64_t)number;
}

double json_to_double(const struct json *value)
{
    const char *large = json_large_number(value);

    if (large)
        return strtod(large, NULL);
    return value ? json_number_value(tree(value)) : 0;
}

bool json_is_true(const struct json *value)
{
    return json_type(value) == JSON_TRUE;
}
