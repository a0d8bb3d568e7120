/* Values while a template runs: what they print, and when they count as true. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "codec/template_tree.h"

#include "base/banned.h"

struct value value_from_json(const struct json *json)
{
    switch (json_type(json)) {
    case JSON_FALSE:
    case JSON_TRUE:
        return (struct value){ .kind = VALUE_BOOL, .is_true = json_is_true(json) };
    case JSON_INTEGER:
        if (json_to_uint64(json) > INT64_MAX) /* printed and compared as the number it is */
            return (struct value){ .kind = VALUE_REAL, .real = json_to_double(json), .json = json };
        return (struct value){ .kind = VALUE_INTEGER, .integer = json_to_int64(json) };
    case JSON_REAL:
        return (struct value){ .kind = VALUE_REAL, .real = json_to_double(json), .json = json };
    case JSON_TEXT:
        return (struct value){ .kind = VALUE_TEXT, .text = json_text(json) };
    case JSON_LIST:
    case JSON_DICT:
        return (struct value){ .kind = VALUE_JSON, .json = json };
    default:
        return (struct value){ .kind = VALUE_NIL };
    }
}

struct value value_from_text(struct scrap *scrap, char *text_taken)
{
    strv_add_take(&scrap->texts, text_taken);
    return (struct value){ .kind = VALUE_TEXT, .text = text_taken };
}

void scrap_keep(struct scrap *scrap, struct json *value_taken)
{
    scrap->values = xrealloc(scrap->values, scrap->value_count + 1, sizeof(*scrap->values));
    scrap->values[scrap->value_count++] = value_taken;
}

struct value value_from_list(struct scrap *scrap, char *json_taken)
{
    CLEANUP(free) char *text = json_taken;
    struct json *list = NULL;

    if (json_parse(text, strlen(text), &list, NULL) < 0)
        return (struct value){ .kind = VALUE_NIL };
    scrap_keep(scrap, list);
    return value_from_json(list);
}

void scrap_done(struct scrap *scrap)
{
    for (size_t i = 0; i < scrap->value_count; i++)
        json_free(scrap->values[i]);
    free(scrap->values);
    strv_done(&scrap->texts);
    *scrap = (struct scrap){};
}

bool value_is_true(const struct value *value)
{
    switch (value->kind) {
    case VALUE_BOOL:
        return value->is_true;
    case VALUE_INTEGER:
        return value->integer != 0;
    case VALUE_REAL:
        return value->real != 0;
    case VALUE_TEXT:
        return *value->text;
    case VALUE_JSON:
        return json_count(value->json) > 0;
    default:
        return false;
    }
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

const char **json_sorted_keys(const struct json *dict)
{
    const char **keys = xcalloc(json_count(dict) + 1, sizeof(*keys));
    size_t count = 0;

    JSON_EACH (dict, key)
        keys[count++] = key;
    if (count > 1)
        qsort(keys, count, sizeof(*keys), by_text);
    return keys;
}

/* Go's %v: [a b] and map[k:v k:v]. */
static void print_json(const struct json *json, struct str *out)
{
    bool is_list = json_type(json) == JSON_LIST;

    if (!is_list && json_type(json) != JSON_DICT) {
        struct value value = value_from_json(json);

        if (value.kind == VALUE_NIL)
            str_add(out, "<nil>");
        else
            value_print(&value, out);
        return;
    }
    CLEANUP(free) const char **keys = is_list ? NULL : json_sorted_keys(json);
    str_add(out, is_list ? "[" : "map[");
    for (size_t i = 0; i < json_count(json); i++) {
        if (i)
            str_add_char(out, ' ');
        if (!is_list)
            str_add_format(out, "%s:", keys[i]);
        print_json(is_list ? json_at(json, i) : json_key_value(keys[i]), out);
    }
    str_add_char(out, ']');
}

static void print_real(const struct value *value, struct str *out)
{
    struct json_writer w = { .out = out };

    if (value->json)
        json_write(value->json, out);
    else
        json_add_double(&w, NULL, value->real);
}

void value_print(const struct value *value, struct str *out)
{
    switch (value->kind) {
    case VALUE_NIL:
        str_add(out, "<no value>");
        break;
    case VALUE_BOOL:
        str_add(out, value->is_true ? "true" : "false");
        break;
    case VALUE_INTEGER:
        str_add_format(out, "%" PRId64, value->integer);
        break;
    case VALUE_REAL:
        print_real(value, out);
        break;
    case VALUE_TEXT:
        str_add(out, value->text);
        break;
    case VALUE_JSON:
        print_json(value->json, out);
        break;
    }
}

void value_write_json(const struct value *value, struct str *out)
{
    if (value->kind == VALUE_NIL)
        str_add(out, "null");
    else if (value->kind == VALUE_TEXT)
        json_quote_plain(out, value->text, strlen(value->text));
    else if (value->kind == VALUE_JSON)
        json_write_plain(value->json, out);
    else
        value_print(value, out);
}
