/* Writing structs as JSON by their tables. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"
#include "codec/json_table.h"

#include "base/banned.h"

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
    case JSON_FIELD_DATE:
        return *(const int64_t *)at == DATE_NEVER;
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
    CLEANUP(free) const struct map_entry **sorted = json_sorted_entries(map);
    json_begin_dict(w, field->name);
    for (size_t i = 0; i < map->count; i++)
        if (!sorted[i]->value)
            json_add_null(w, sorted[i]->key);
        else if (field->type == JSON_FIELD_MAP_OF_LISTS)
            write_list(w, sorted[i]->key, field, sorted[i]->value);
        else
            json_add_object(w, sorted[i]->key, field->fields, sorted[i]->value);
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
        json_add_double(w, key, *(const double *)at);
        break;
    case JSON_FIELD_TIME:
        json_add_time(w, key, *(const int64_t *)at);
        break;
    case JSON_FIELD_DATE:
        json_add_date(w, key, *(const int64_t *)at);
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
