/* JSON values: jansson's tree behind an opaque name. */
#include "codec/json_library.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "codec/json.h"

#include "base/banned.h"

static const json_t *tree(const struct json *value)
{
    return (const json_t *)(const void *)value;
}

static const struct json *borrow(const json_t *value)
{
    return (const struct json *)(const void *)value;
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

static bool is_blank(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (!strchr(" \t\r\n", text[i]) || !text[i])
            return false;
    return true;
}

/* Integers beyond the signed range (an rlimit of 2^64-1) are read as reals: gives the text with
 * ".0" behind them. */
static char *mark_large_integers(const char *text, size_t size, size_t *out_size)
{
    struct str marked = {};
    bool in_string = false;
    size_t digits = 0;

    for (size_t i = 0; i <= size; i++) {
        char c = i < size ? text[i] : ' ';
        bool is_digit = !in_string && c >= '0' && c <= '9';

        if (!is_digit && digits >= 19 && !in_string && !strchr(".eE", c))
            str_add(&marked, ".0");
        digits = is_digit ? digits + 1 : 0;
        if (in_string && c == '\\' && i + 1 < size)
            str_add_char(&marked, text[i++]);
        else if (c == '"')
            in_string = !in_string;
        if (i < size)
            str_add_char(&marked, text[i]);
    }
    *out_size = marked.length;
    return str_take(&marked);
}

static int parse_text(const char *text, size_t size, bool is_marked, struct json **out,
                      struct error *err)
{
    json_error_t problem;
    json_t *value = json_loadb(text, size, JSON_DECODE_ANY | JSON_DISABLE_EOF_CHECK, &problem);

    if (!value && json_error_code(&problem) == json_error_numeric_overflow && !is_marked) {
        size_t marked_size;
        CLEANUP(free) char *marked = mark_large_integers(text, size, &marked_size);

        return parse_text(marked, marked_size, true, out, err);
    }
    if (!value &&
        (json_error_code(&problem) == json_error_premature_end_of_input || is_blank(text, size)))
        return error_set(err, ERROR_INVALID, "unexpected EOF");
    if (!value)
        return error_set(err, ERROR_INVALID, "invalid JSON at line %d, column %d: %s", problem.line,
                         problem.column, problem.text);
    size_t used = (size_t)problem.position;
    if (!is_blank(text + used, size - used)) {
        json_decref(value);
        return error_set(err, ERROR_INVALID, "unexpected content after JSON");
    }
    *out = (struct json *)(void *)value;
    return 0;
}

int json_parse(const char *text, size_t size, struct json **out, struct error *err)
{
    if (is_too_deep(text, size))
        return error_set(err, ERROR_INVALID, "nested deeper than %d levels", JSON_DEPTH_LIMIT);
    return parse_text(text, size, false, out, err);
}

void json_free(struct json *value)
{
    json_decref((json_t *)(void *)value);
}

enum json_type json_type(const struct json *value)
{
    static const enum json_type types[] = {
        [JANSSON_OBJECT] = JSON_DICT,     [JANSSON_ARRAY] = JSON_LIST, [JANSSON_STRING] = JSON_TEXT,
        [JANSSON_INTEGER] = JSON_INTEGER, [JANSSON_REAL] = JSON_REAL,  [JANSSON_TRUE] = JSON_TRUE,
        [JANSSON_FALSE] = JSON_FALSE,     [JANSSON_NULL] = JSON_NULL,
    };

    return value ? types[json_typeof(tree(value))] : JSON_NULL;
}

const struct json *json_get(const struct json *dict, const char *key)
{
    return json_type(dict) == JSON_DICT ? borrow(json_object_get(tree(dict), key)) : NULL;
}

/* The iterator at a position: objects are small, and walked from the front. */
static void *iterator_at(const struct json *dict, size_t index)
{
    json_t *object = (json_t *)(void *)dict;
    void *iterator = json_object_iter(object);

    while (iterator && index--)
        iterator = json_object_iter_next(object, iterator);
    return iterator;
}

const struct json *json_at(const struct json *list_or_dict, size_t index)
{
    if (json_type(list_or_dict) == JSON_LIST)
        return borrow(json_array_get(tree(list_or_dict), index));
    if (json_type(list_or_dict) != JSON_DICT)
        return NULL;
    void *iterator = iterator_at(list_or_dict, index);
    return iterator ? borrow(json_object_iter_value(iterator)) : NULL;
}

const char *json_key_at(const struct json *dict, size_t index)
{
    void *iterator = json_type(dict) == JSON_DICT ? iterator_at(dict, index) : NULL;

    return iterator ? json_object_iter_key(iterator) : NULL;
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
    return json_type(value) == JSON_INTEGER ? json_integer_value(tree(value)) : 0;
}

double json_to_double(const struct json *value)
{
    return value ? json_number_value(tree(value)) : 0;
}

bool json_is_true(const struct json *value)
{
    return json_type(value) == JSON_TRUE;
}
