/* Filling structs from JSON by their tables: each member of the text looks for its field. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "codec/json_table.h"

#include "base/banned.h"

/* Where in the text we are, for error messages; lists and maps add no step, as in Go. */
struct place {
    const struct place *outer;
    const char *name;
};

static int decode_struct(const struct json_field *fields, const struct json *value,
                         const struct place *outer, void *out, struct error *err);

static void add_path(const struct place *place, struct str *out)
{
    if (!place)
        return;
    add_path(place->outer, out);
    str_add_format(out, ".%s", place->name);
}

static int mismatch(const struct place *place, const struct json *value, const char *wanted,
                    struct error *err)
{
    static const char *const names[] = { "null",   "bool",   "bool",  "number",
                                         "number", "string", "array", "object" };
    CLEANUP(str_done) struct str given = {}, path = {};
    enum json_type type = json_type(value);

    str_add(&given, names[type]);
    if ((type == JSON_INTEGER || type == JSON_REAL) && strstr(wanted, "int")) {
        str_add_char(&given, ' ');
        json_write(value, &given);
    }
    add_path(place, &path);
    if (!place)
        return error_set(err, ERROR_INVALID, "json: cannot unmarshal %s into Go value of type %s",
                         given.data, wanted);
    return error_set(err, ERROR_INVALID,
                     "json: cannot unmarshal %s into Go struct field %s of type %s", given.data,
                     path.data, wanted);
}

/* A text, or null as an empty one: elements of lists and maps. */
static int decode_item(const struct place *place, const struct json *value, const char **out,
                       struct error *err)
{
    if (json_type(value) != JSON_TEXT && json_type(value) != JSON_NULL)
        return mismatch(place, value, "string", err);
    *out = json_text(value) ? json_text(value) : "";
    return 0;
}

static int decode_text(const struct place *place, const struct json *value, char **out,
                       struct error *err)
{
    if (json_type(value) != JSON_TEXT)
        return mismatch(place, value, "string", err);
    free(*out);
    *out = xstrdup(json_text(value));
    return 0;
}

static int decode_bool(const struct place *place, const struct json *value, bool *out,
                       struct error *err)
{
    if (json_type(value) != JSON_TRUE && json_type(value) != JSON_FALSE)
        return mismatch(place, value, "bool", err);
    *out = json_is_true(value);
    return 0;
}

static int decode_int64(const struct place *place, const struct json *value, int64_t *out,
                        struct error *err)
{
    if (json_type(value) != JSON_INTEGER || json_to_uint64(value) > INT64_MAX)
        return mismatch(place, value, "int64", err);
    *out = json_to_int64(value);
    return 0;
}

static int decode_uint64(const struct place *place, const struct json *value, uint64_t *out,
                         struct error *err)
{
    if (json_type(value) != JSON_INTEGER || json_to_int64(value) < 0)
        return mismatch(place, value, "uint64", err);
    *out = json_to_uint64(value);
    return 0;
}

static int decode_double(const struct place *place, const struct json *value, double *out,
                         struct error *err)
{
    if (json_type(value) != JSON_INTEGER && json_type(value) != JSON_REAL)
        return mismatch(place, value, "float64", err);
    *out = json_to_double(value);
    return 0;
}

static int decode_time(const struct place *place, const struct json *value, int64_t *out,
                       struct error *err)
{
    if (json_type(value) != JSON_TEXT)
        return mismatch(place, value, "time.Time", err);
    if (!*json_text(value)) { /* images built by hand say "created": "" */
        *out = 0;
        return 0;
    }
    return time_parse(json_text(value), out, err);
}

static int decode_date(const struct place *place, const struct json *value, int64_t *out,
                       struct error *err)
{
    if (json_type(value) != JSON_TEXT)
        return mismatch(place, value, "time.Time", err);
    if (*json_text(value))
        return date_parse(json_text(value), out, err);
    *out = DATE_NEVER;
    return 0;
}

static int decode_strv(const struct place *place, const struct json *value, bool text_is_list,
                       struct strv *out, struct error *err)
{
    const char *item;

    strv_done(out);
    if (text_is_list && json_type(value) == JSON_TEXT) {
        strv_add(out, json_text(value));
        return 0;
    }
    if (json_type(value) != JSON_LIST)
        return mismatch(place, value, "[]string", err);
    strv_init_empty(out);
    for (size_t i = 0; i < json_count(value); i++) {
        if (decode_item(place, json_at(value, i), &item, err) < 0)
            return -1;
        strv_add(out, item);
    }
    return 0;
}

static int decode_set(const struct place *place, const struct json *value, struct strv *out,
                      struct error *err)
{
    if (json_type(value) != JSON_DICT)
        return mismatch(place, value, "map[string]struct {}", err);
    strv_done(out);
    strv_init_empty(out);
    JSON_EACH (value, key)
        strv_add(out, key);
    return 0;
}

static int decode_texts(const struct place *place, const struct json *value, struct map *out,
                        struct error *err)
{
    const char *item;

    if (json_type(value) != JSON_DICT)
        return mismatch(place, value, "map[string]string", err);
    if (!out->entries)
        map_init_empty(out, free);
    JSON_EACH (value, key) {
        if (decode_item(place, json_key_value(key), &item, err) < 0)
            return -1;
        map_set_text(out, key, item);
    }
    return 0;
}

static int decode_list(const struct place *place, const struct json_field *field,
                       const struct json *value, struct json_list *out, struct error *err)
{
    size_t count = json_count(value);

    if (json_type(value) != JSON_LIST)
        return mismatch(place, value, "array", err);
    for (size_t i = 0; i < out->count; i++)
        json_fields_done(field->fields, (char *)out->items + i * field->element_size);
    free(out->items);
    *out = (struct json_list){ .items = xcalloc(MAX(count, 1), field->element_size),
                               .count = count };
    for (size_t i = 0; i < count; i++)
        if (decode_struct(field->fields, json_at(value, i), place,
                          (char *)out->items + i * field->element_size, err) < 0)
            return -1;
    return 0;
}

static int decode_map(const struct place *place, const struct json_field *field,
                      const struct json *value, struct map *out, struct error *err)
{
    if (json_type(value) != JSON_DICT)
        return mismatch(place, value, "map", err);
    if (!out->entries)
        map_init_empty(out, NULL);
    JSON_EACH (value, key) {
        const struct json *item = json_key_value(key);
        bool is_lists = field->type == JSON_FIELD_MAP_OF_LISTS;
        void *element = NULL;
        int result = 0;

        if (!is_lists) {
            element = xcalloc(1, field->element_size);
            result = decode_struct(field->fields, item, place, element, err);
        } else if (json_type(item) != JSON_NULL) {
            element = NEW(struct json_list);
            result = decode_list(place, field, item, element, err);
        }
        json_element_free(field, map_get(out, key));
        if (map_has(out, key))
            map_take(out, key);
        map_set(out, key, element);
        if (result < 0)
            return -1;
    }
    return 0;
}

static int decode_pair(const struct place *place, const struct json *value, int64_t *out,
                       struct error *err)
{
    if (json_type(value) != JSON_LIST)
        return mismatch(place, value, "[2]uint", err);
    for (size_t i = 0; i < 2 && i < json_count(value); i++)
        if (decode_int64(place, json_at(value, i), &out[i], err) < 0)
            return -1;
    return 0;
}

static void decode_raw(const struct json *value, char **out)
{
    struct str text = {};

    json_write(value, &text);
    free(*out);
    *out = str_take(&text);
}

static int decode_field(const struct place *place, const struct json_field *field,
                        const struct json *value, void *object, struct error *err)
{
    void *at = AT(object, field, void);

    switch (field->type) {
    case JSON_FIELD_STRING:
        return decode_text(place, value, at, err);
    case JSON_FIELD_BOOL:
        return decode_bool(place, value, at, err);
    case JSON_FIELD_INT64:
        return decode_int64(place, value, at, err);
    case JSON_FIELD_UINT64:
        return decode_uint64(place, value, at, err);
    case JSON_FIELD_DOUBLE:
        return decode_double(place, value, at, err);
    case JSON_FIELD_TIME:
        return decode_time(place, value, at, err);
    case JSON_FIELD_DATE:
        return decode_date(place, value, at, err);
    case JSON_FIELD_OPTIONAL_BOOL:
        ((struct optional_bool *)at)->is_set = true;
        return decode_bool(place, value, &((struct optional_bool *)at)->value, err);
    case JSON_FIELD_OPTIONAL_INT64:
        ((struct optional_int64 *)at)->is_set = true;
        return decode_int64(place, value, &((struct optional_int64 *)at)->value, err);
    case JSON_FIELD_STRV:
    case JSON_FIELD_STRV_OR_TEXT:
        return decode_strv(place, value, field->type == JSON_FIELD_STRV_OR_TEXT, at, err);
    case JSON_FIELD_SET:
        return decode_set(place, value, at, err);
    case JSON_FIELD_TEXTS:
        return decode_texts(place, value, at, err);
    case JSON_FIELD_RAW:
        decode_raw(value, at);
        return 0;
    case JSON_FIELD_OBJECT:
        return decode_struct(field->fields, value, place, at, err);
    case JSON_FIELD_OBJECT_POINTER:
        if (!*(void **)at)
            *(void **)at = xcalloc(1, field->element_size);
        return decode_struct(field->fields, value, place, *(void **)at, err);
    case JSON_FIELD_LIST:
        return decode_list(place, field, value, at, err);
    case JSON_FIELD_MAP:
    case JSON_FIELD_MAP_OF_LISTS:
        return decode_map(place, field, value, at, err);
    case JSON_FIELD_INT64_PAIR:
        return decode_pair(place, value, at, err);
    }
    return 0;
}

/* Exactly that name, or else without regard to case. */
static const struct json_field *find_field(const struct json_field *fields, const char *key)
{
    const struct json_field *similar = NULL;

    for (const struct json_field *field = fields; field->name; field++) {
        if (strcmp(field->name, key) == 0)
            return field;
        if (!similar && strcasecmp(field->name, key) == 0)
            similar = field;
    }
    return similar;
}

static int decode_struct(const struct json_field *fields, const struct json *value,
                         const struct place *outer, void *out, struct error *err)
{
    if (json_type(value) == JSON_NULL)
        return 0;
    if (json_type(value) != JSON_DICT)
        return mismatch(outer, value, "struct", err);
    JSON_EACH (value, key) {
        const struct json *member = json_key_value(key);
        const struct json_field *field = find_field(fields, key);

        if (!field || field->write_only || json_type(member) == JSON_NULL)
            continue;
        struct place place = { outer, field->name };
        if (decode_field(&place, field, member, out, err) < 0)
            return -1;
    }
    return 0;
}

int json_decode_value(const struct json_field *fields, const struct json *value, void *out,
                      struct error *err)
{
    if (decode_struct(fields, value, NULL, out, err) == 0)
        return 0;
    json_fields_done(fields, out);
    return -1;
}

int json_decode(const struct json_field *fields, const char *text, size_t size, void *out,
                struct error *err)
{
    CLEANUP(json_free) struct json *value = NULL;

    if (json_parse(text, size, &value, err) < 0)
        return -1;
    return json_decode_value(fields, value, out, err);
}
