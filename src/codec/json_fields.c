/* Tables that say how a struct looks in JSON: reading, writing, freeing, copying. One switch per
 * direction. */
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"
#include "codec/json.h"

#include "base/banned.h"

#define AT(object, field, type) ((type *)(void *)((char *)(object) + (field)->offset))
#define AT_CONST(object, field, type)                                                              \
    ((const type *)(const void *)((const char *)(object) + (field)->offset))

void *json_list_add(struct json_list *list, size_t element_size)
{
    /* Room is made in powers of two: the count says when it is used up. */
    if ((list->count & (list->count - 1)) == 0) {
        size_t capacity = list->count ? list->count * 2 : 1;

        list->items = xrealloc(list->items, capacity, element_size);
    }
    void *element = (char *)list->items + list->count++ * element_size;
    memset(element, 0, element_size);
    return element;
}

/* ---- reading ---- */

static const char *type_name(const struct json *value)
{
    static const char *const names[] = { "null",   "bool",   "bool",  "number",
                                         "number", "string", "array", "object" };

    return names[json_type(value)];
}

static int mismatch(const struct json_field *field, const struct json *value, const char *wanted,
                    struct error *err)
{
    return error_set(err, ERROR_INVALID,
                     "json: cannot unmarshal %s into Go struct field .%s of type %s",
                     type_name(value), field->name, wanted);
}

static int read_text(const struct json_field *field, const struct json *value, char **out,
                     struct error *err)
{
    if (json_type(value) != JSON_TEXT)
        return mismatch(field, value, "string", err);
    free(*out);
    *out = xstrdup(json_text(value));
    return 0;
}

static int read_strv(const struct json_field *field, const struct json *value, struct strv *out,
                     struct error *err)
{
    strv_done(out);
    if (field->type == JSON_FIELD_STRV_OR_TEXT && json_type(value) == JSON_TEXT) {
        strv_add(out, json_text(value));
        return 0;
    }
    if (json_type(value) != JSON_LIST)
        return mismatch(field, value, "[]string", err);
    strv_init_empty(out);
    for (size_t i = 0; i < json_count(value); i++) {
        const struct json *item = json_at(value, i);

        if (json_type(item) != JSON_TEXT && json_type(item) != JSON_NULL)
            return mismatch(field, item, "string", err);
        strv_add(out, json_text(item) ? json_text(item) : "");
    }
    return 0;
}

static int read_set(const struct json_field *field, const struct json *value, struct strv *out,
                    struct error *err)
{
    strv_done(out);
    if (json_type(value) != JSON_DICT)
        return mismatch(field, value, "map[string]struct {}", err);
    strv_init_empty(out);
    for (size_t i = 0; i < json_count(value); i++)
        strv_add(out, json_key_at(value, i));
    return 0;
}

static int read_texts(const struct json_field *field, const struct json *value, struct map *out,
                      struct error *err)
{
    map_done(out);
    if (json_type(value) != JSON_DICT)
        return mismatch(field, value, "map[string]string", err);
    map_init_empty(out, free);
    for (size_t i = 0; i < json_count(value); i++) {
        const struct json *item = json_at(value, i);

        if (json_type(item) != JSON_TEXT && json_type(item) != JSON_NULL)
            return mismatch(field, item, "string", err);
        map_set_text(out, json_key_at(value, i), json_text(item) ? json_text(item) : "");
    }
    return 0;
}

static int read_list(const struct json_field *field, const struct json *value,
                     struct json_list *out, struct error *err)
{
    if (json_type(value) != JSON_LIST)
        return mismatch(field, value, "array", err);
    if (!out->items)
        out->items = xcalloc(1, field->element_size);
    for (size_t i = 0; i < json_count(value); i++) {
        void *element = json_list_add(out, field->element_size);

        if (json_type(json_at(value, i)) != JSON_NULL &&
            json_decode_value(field->fields, json_at(value, i), element, err) < 0)
            return -1;
    }
    return 0;
}

static int read_map(const struct json_field *field, const struct json *value, struct map *out,
                    struct error *err)
{
    if (json_type(value) != JSON_DICT)
        return mismatch(field, value, "map", err);
    if (!out->entries)
        map_init_empty(out, NULL);
    for (size_t i = 0; i < json_count(value); i++) {
        const struct json *item = json_at(value, i);
        const char *key = json_key_at(value, i);

        if (json_type(item) == JSON_NULL) {
            map_set(out, key, NULL);
        } else if (field->type == JSON_FIELD_MAP_OF_LISTS) {
            struct json_list *list = NEW(struct json_list);

            map_set(out, key, list);
            if (read_list(field, item, list, err) < 0)
                return -1;
        } else {
            void *object = xcalloc(1, field->element_size);

            map_set(out, key, object);
            if (json_decode_value(field->fields, item, object, err) < 0)
                return -1;
        }
    }
    return 0;
}

static int read_int64(const struct json_field *field, const struct json *value, int64_t *out,
                      struct error *err)
{
    if (json_type(value) != JSON_INTEGER)
        return mismatch(field, value, "int64", err);
    *out = json_to_int64(value);
    return 0;
}

static int read_field(const struct json_field *field, const struct json *value, void *object,
                      struct error *err)
{
    void *at = (char *)object + field->offset;
    enum json_type type = json_type(value);
    int64_t number;

    switch (field->type) {
    case JSON_FIELD_STRING:
        return read_text(field, value, at, err);
    case JSON_FIELD_BOOL:
        if (type != JSON_TRUE && type != JSON_FALSE)
            return mismatch(field, value, "bool", err);
        *(bool *)at = type == JSON_TRUE;
        return 0;
    case JSON_FIELD_INT64:
        return read_int64(field, value, at, err);
    case JSON_FIELD_UINT64:
        /* Numbers above the signed range arrive as reals. */
        if (type == JSON_REAL && json_to_double(value) >= 9223372036854775808.0 &&
            json_to_double(value) <= 18446744073709551615.0) {
            double real = json_to_double(value);

            *(uint64_t *)at = real >= 18446744073709551615.0 ? UINT64_MAX : (uint64_t)real;
            return 0;
        }
        if (type != JSON_INTEGER || json_to_int64(value) < 0)
            return mismatch(field, value, "uint64", err);
        *(uint64_t *)at = (uint64_t)json_to_int64(value);
        return 0;
    case JSON_FIELD_DOUBLE:
        if (type != JSON_INTEGER && type != JSON_REAL)
            return mismatch(field, value, "float64", err);
        *(double *)at = json_to_double(value);
        return 0;
    case JSON_FIELD_TIME:
        if (type != JSON_TEXT)
            return mismatch(field, value, "time.Time", err);
        return time_parse(json_text(value), at, err);
    case JSON_FIELD_OPTIONAL_BOOL:
        if (type != JSON_TRUE && type != JSON_FALSE)
            return mismatch(field, value, "bool", err);
        *(struct optional_bool *)at = (struct optional_bool){ true, type == JSON_TRUE };
        return 0;
    case JSON_FIELD_OPTIONAL_INT64:
        if (read_int64(field, value, &number, err) < 0)
            return -1;
        *(struct optional_int64 *)at = (struct optional_int64){ true, number };
        return 0;
    case JSON_FIELD_STRV:
    case JSON_FIELD_STRV_OR_TEXT:
        return read_strv(field, value, at, err);
    case JSON_FIELD_SET:
        return read_set(field, value, at, err);
    case JSON_FIELD_TEXTS:
        return read_texts(field, value, at, err);
    case JSON_FIELD_RAW: {
        struct str text = {};

        json_write(value, &text);
        free(*(char **)at);
        *(char **)at = str_take(&text);
        return 0;
    }
    case JSON_FIELD_OBJECT:
        return json_decode_value(field->fields, value, at, err);
    case JSON_FIELD_OBJECT_POINTER:
        if (!*(void **)at)
            *(void **)at = xcalloc(1, field->element_size);
        return json_decode_value(field->fields, value, *(void **)at, err);
    case JSON_FIELD_LIST:
        return read_list(field, value, at, err);
    case JSON_FIELD_MAP:
    case JSON_FIELD_MAP_OF_LISTS:
        return read_map(field, value, at, err);
    case JSON_FIELD_INT64_PAIR:
        if (type != JSON_LIST)
            return mismatch(field, value, "[2]uint", err);
        for (size_t i = 0; i < 2 && i < json_count(value); i++)
            if (read_int64(field, json_at(value, i), (int64_t *)at + i, err) < 0)
                return -1;
        return 0;
    }
    return 0;
}

/* The member of that name: exact, or else without regard to case. */
static const struct json *find_member(const struct json *value, const char *name)
{
    const struct json *found = json_get(value, name);

    for (size_t i = 0; !found && i < json_count(value); i++)
        if (strcasecmp(json_key_at(value, i), name) == 0)
            found = json_at(value, i);
    return found;
}

static int read_members(const struct json_field *fields, const struct json *value, void *out,
                        struct error *err)
{
    for (const struct json_field *field = fields; field->name; field++) {
        const struct json *member = field->write_only ? NULL : find_member(value, field->name);

        if (json_type(member) != JSON_NULL && read_field(field, member, out, err) < 0)
            return -1;
    }
    return 0;
}

int json_decode_value(const struct json_field *fields, const struct json *value, void *out,
                      struct error *err)
{
    if (json_type(value) != JSON_DICT)
        return error_set(err, ERROR_INVALID,
                         "json: cannot unmarshal %s into Go value of type struct",
                         type_name(value));
    if (read_members(fields, value, out, err) < 0) {
        json_fields_done(fields, out);
        return -1;
    }
    return 0;
}

int json_decode(const struct json_field *fields, const char *text, size_t size, void *out,
                struct error *err)
{
    CLEANUP(json_free) struct json *value = NULL;

    if (json_parse(text, size, &value, err) < 0)
        return -1;
    return json_decode_value(fields, value, out, err);
}

/* ---- writing ---- */

static bool is_empty(const struct json_field *field, const void *object)
{
    const void *at = (const char *)object + field->offset;

    switch (field->type) {
    case JSON_FIELD_STRING:
        return text_is_empty(*(char *const *)at);
    case JSON_FIELD_BOOL:
        return !*(const bool *)at;
    case JSON_FIELD_INT64:
    case JSON_FIELD_UINT64:
    case JSON_FIELD_TIME:
        return *(const int64_t *)at == 0;
    case JSON_FIELD_DOUBLE:
        return *(const double *)at == 0;
    case JSON_FIELD_OPTIONAL_BOOL:
        return !((const struct optional_bool *)at)->is_set;
    case JSON_FIELD_OPTIONAL_INT64:
        return !((const struct optional_int64 *)at)->is_set;
    case JSON_FIELD_STRV:
    case JSON_FIELD_STRV_OR_TEXT:
    case JSON_FIELD_SET:
        return ((const struct strv *)at)->count == 0;
    case JSON_FIELD_TEXTS:
    case JSON_FIELD_MAP:
    case JSON_FIELD_MAP_OF_LISTS:
        return ((const struct map *)at)->count == 0;
    case JSON_FIELD_RAW:
    case JSON_FIELD_OBJECT_POINTER:
        return !*(void *const *)at;
    case JSON_FIELD_LIST:
        return ((const struct json_list *)at)->count == 0;
    case JSON_FIELD_INT64_PAIR:
        return ((const int64_t *)at)[0] == 0 && ((const int64_t *)at)[1] == 0;
    case JSON_FIELD_OBJECT:
        break;
    }
    return false;
}

static void write_list(struct json_writer *w, const char *key, const struct json_field *field,
                       const struct json_list *list)
{
    if (!list || !list->items) {
        json_add_null(w, key);
        return;
    }
    json_begin_list(w, key);
    for (size_t i = 0; i < list->count; i++)
        json_add_object(w, NULL, field->fields,
                        (const char *)list->items + i * field->element_size);
    json_end_list(w);
}

static void write_map(struct json_writer *w, const struct json_field *field, const struct map *map)
{
    if (!map->entries) {
        json_add_null(w, field->name);
        return;
    }
    json_begin_dict(w, field->name);
    MAP_EACH (map, entry)
        if (!entry->value)
            json_add_null(w, entry->key);
        else if (field->type == JSON_FIELD_MAP_OF_LISTS)
            write_list(w, entry->key, field, entry->value);
        else
            json_add_object(w, entry->key, field->fields, entry->value);
    json_end_dict(w);
}

static void write_set(struct json_writer *w, const char *key, const struct strv *set)
{
    if (!set->items) {
        json_add_null(w, key);
        return;
    }
    CLEANUP(strv_done) struct strv sorted;
    strv_copy(&sorted, set);
    strv_sort(&sorted);
    json_begin_dict(w, key);
    for (size_t i = 0; i < sorted.count; i++)
        json_add_raw(w, sorted.items[i], "{}");
    json_end_dict(w);
}

static void write_field(struct json_writer *w, const struct json_field *field, const void *object)
{
    const void *at = (const char *)object + field->offset;
    const char *key = field->name;
    struct str number = {};

    switch (field->type) {
    case JSON_FIELD_STRING: {
        const char *text = *(char *const *)at;

        json_add_text(w, key, text || field->null_empty ? text : "");
        break;
    }
    case JSON_FIELD_BOOL:
        json_add_bool(w, key, *(const bool *)at);
        break;
    case JSON_FIELD_INT64:
        json_add_int64(w, key, *(const int64_t *)at);
        break;
    case JSON_FIELD_UINT64:
        json_add_uint64(w, key, *(const uint64_t *)at);
        break;
    case JSON_FIELD_DOUBLE:
        str_add_format(&number, "%.17g", *(const double *)at);
        json_add_raw(w, key, str_text(&number));
        str_done(&number);
        break;
    case JSON_FIELD_TIME:
        json_add_time(w, key, *(const int64_t *)at);
        break;
    case JSON_FIELD_OPTIONAL_BOOL: {
        const struct optional_bool *value = at;

        if (value->is_set)
            json_add_bool(w, key, value->value);
        else
            json_add_null(w, key);
        break;
    }
    case JSON_FIELD_OPTIONAL_INT64: {
        const struct optional_int64 *value = at;

        if (value->is_set)
            json_add_int64(w, key, value->value);
        else
            json_add_null(w, key);
        break;
    }
    case JSON_FIELD_STRV:
    case JSON_FIELD_STRV_OR_TEXT:
        json_add_strv(w, key, at);
        break;
    case JSON_FIELD_SET:
        write_set(w, key, at);
        break;
    case JSON_FIELD_TEXTS:
        json_add_texts(w, key, at);
        break;
    case JSON_FIELD_RAW:
        json_add_raw(w, key, *(char *const *)at ? *(char *const *)at : "null");
        break;
    case JSON_FIELD_OBJECT:
        json_add_object(w, key, field->fields, at);
        break;
    case JSON_FIELD_OBJECT_POINTER:
        if (*(void *const *)at)
            json_add_object(w, key, field->fields, *(void *const *)at);
        else
            json_add_null(w, key);
        break;
    case JSON_FIELD_LIST:
        write_list(w, key, field, at);
        break;
    case JSON_FIELD_MAP:
    case JSON_FIELD_MAP_OF_LISTS:
        write_map(w, field, at);
        break;
    case JSON_FIELD_INT64_PAIR:
        json_begin_list(w, key);
        json_add_int64(w, NULL, ((const int64_t *)at)[0]);
        json_add_int64(w, NULL, ((const int64_t *)at)[1]);
        json_end_list(w);
        break;
    }
}

void json_add_members(struct json_writer *w, const struct json_field *fields, const void *object)
{
    for (const struct json_field *field = fields; field->name; field++)
        if (!field->omit_empty || !is_empty(field, object))
            write_field(w, field, object);
}

void json_add_object(struct json_writer *w, const char *key, const struct json_field *fields,
                     const void *object)
{
    json_begin_dict(w, key);
    json_add_members(w, fields, object);
    json_end_dict(w);
}

void json_encode(const struct json_field *fields, const void *object, struct str *out)
{
    struct json_writer w = { .out = out };

    json_add_object(&w, NULL, fields, object);
}

/* ---- freeing and copying ---- */

static void free_list(const struct json_field *field, struct json_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        json_fields_done(field->fields, (char *)list->items + i * field->element_size);
    free(list->items);
    *list = (struct json_list){};
}

static void free_map(const struct json_field *field, struct map *map)
{
    MAP_EACH (map, entry) {
        if (!entry->value)
            continue;
        if (field->type == JSON_FIELD_MAP_OF_LISTS)
            free_list(field, entry->value);
        else
            json_fields_done(field->fields, entry->value);
        if (!map->free_value)
            free(entry->value);
    }
    map_done(map);
}

void json_fields_done(const struct json_field *fields, void *object)
{
    for (const struct json_field *field = fields; field->name; field++) {
        switch (field->type) {
        case JSON_FIELD_STRING:
        case JSON_FIELD_RAW:
            free(*AT(object, field, char *));
            *AT(object, field, char *) = NULL;
            break;
        case JSON_FIELD_STRV:
        case JSON_FIELD_STRV_OR_TEXT:
        case JSON_FIELD_SET:
            strv_done(AT(object, field, struct strv));
            break;
        case JSON_FIELD_TEXTS:
            map_done(AT(object, field, struct map));
            break;
        case JSON_FIELD_OBJECT:
            json_fields_done(field->fields, AT(object, field, void));
            break;
        case JSON_FIELD_OBJECT_POINTER:
            if (*AT(object, field, void *))
                json_fields_done(field->fields, *AT(object, field, void *));
            free(*AT(object, field, void *));
            *AT(object, field, void *) = NULL;
            break;
        case JSON_FIELD_LIST:
            free_list(field, AT(object, field, struct json_list));
            break;
        case JSON_FIELD_MAP:
        case JSON_FIELD_MAP_OF_LISTS:
            free_map(field, AT(object, field, struct map));
            break;
        case JSON_FIELD_INT64_PAIR:
            memset(AT(object, field, int64_t), 0, 2 * sizeof(int64_t));
            break;
        case JSON_FIELD_OPTIONAL_BOOL:
            *AT(object, field, struct optional_bool) = (struct optional_bool){};
            break;
        case JSON_FIELD_OPTIONAL_INT64:
            *AT(object, field, struct optional_int64) = (struct optional_int64){};
            break;
        case JSON_FIELD_BOOL:
            *AT(object, field, bool) = false;
            break;
        case JSON_FIELD_INT64:
        case JSON_FIELD_UINT64:
        case JSON_FIELD_DOUBLE:
        case JSON_FIELD_TIME:
            *AT(object, field, int64_t) = 0;
            break;
        }
    }
}

static void copy_list(const struct json_field *field, const struct json_list *from,
                      struct json_list *to)
{
    *to = (struct json_list){};
    if (from->items && !from->count)
        to->items = xcalloc(1, field->element_size);
    for (size_t i = 0; i < from->count; i++) {
        void *element = json_list_add(to, field->element_size);

        json_fields_copy(field->fields, (const char *)from->items + i * field->element_size,
                         element);
    }
}

static void copy_map(const struct json_field *field, const struct map *from, struct map *to)
{
    *to = (struct map){};
    if (from->entries)
        map_init_empty(to, NULL);
    MAP_EACH (from, entry) {
        void *copy = NULL;

        if (entry->value && field->type == JSON_FIELD_MAP_OF_LISTS) {
            copy = NEW(struct json_list);
            copy_list(field, entry->value, copy);
        } else if (entry->value) {
            copy = xcalloc(1, field->element_size);
            json_fields_copy(field->fields, entry->value, copy);
        }
        map_set(to, entry->key, copy);
    }
}

void json_fields_copy(const struct json_field *fields, const void *object, void *out)
{
    for (const struct json_field *field = fields; field->name; field++) {
        switch (field->type) {
        case JSON_FIELD_STRING:
        case JSON_FIELD_RAW:
            *AT(out, field, char *) = xstrdup(*AT_CONST(object, field, char *));
            break;
        case JSON_FIELD_STRV:
        case JSON_FIELD_STRV_OR_TEXT:
        case JSON_FIELD_SET:
            strv_copy(AT(out, field, struct strv), AT_CONST(object, field, struct strv));
            break;
        case JSON_FIELD_TEXTS:
            map_copy_texts(AT(out, field, struct map), AT_CONST(object, field, struct map));
            break;
        case JSON_FIELD_OBJECT:
            json_fields_copy(field->fields, AT_CONST(object, field, void), AT(out, field, void));
            break;
        case JSON_FIELD_OBJECT_POINTER: {
            const void *from = *AT_CONST(object, field, void *);

            *AT(out, field, void *) = from ? xcalloc(1, field->element_size) : NULL;
            if (from)
                json_fields_copy(field->fields, from, *AT(out, field, void *));
            break;
        }
        case JSON_FIELD_LIST:
            copy_list(field, AT_CONST(object, field, struct json_list),
                      AT(out, field, struct json_list));
            break;
        case JSON_FIELD_MAP:
        case JSON_FIELD_MAP_OF_LISTS:
            copy_map(field, AT_CONST(object, field, struct map), AT(out, field, struct map));
            break;
        case JSON_FIELD_INT64_PAIR:
            memcpy(AT(out, field, int64_t), AT_CONST(object, field, int64_t), 2 * sizeof(int64_t));
            break;
        case JSON_FIELD_OPTIONAL_BOOL:
            *AT(out, field, struct optional_bool) = *AT_CONST(object, field, struct optional_bool);
            break;
        case JSON_FIELD_OPTIONAL_INT64:
            *AT(out, field, struct optional_int64) = *AT_CONST(object, field,
                                                               struct optional_int64);
            break;
        case JSON_FIELD_BOOL:
            *AT(out, field, bool) = *AT_CONST(object, field, bool);
            break;
        case JSON_FIELD_INT64:
        case JSON_FIELD_UINT64:
        case JSON_FIELD_DOUBLE:
        case JSON_FIELD_TIME:
            *AT(out, field, int64_t) = *AT_CONST(object, field, int64_t);
            break;
        }
    }
}
