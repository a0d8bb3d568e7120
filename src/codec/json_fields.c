/* What structs described by tables own: freeing and copying it, and lists of them. */
#include <malloc.h>
#include <string.h>

#include "base/memory.h"
#include "codec/json_table.h"

#include "base/banned.h"

/* The allocator knows how much room there is: lists are also made elsewhere, with any capacity. */
void *json_list_add(struct json_list *list, size_t element_size)
{
    size_t used = list->count * element_size;

    if (malloc_usable_size(list->items) < used + element_size)
        list->items = xrealloc(list->items, list->count + list->count / 2 + 1, element_size);
    list->count++;
    return memset((char *)list->items + used, 0, element_size);
}

static void free_list(const struct json_field *field, struct json_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        json_fields_done(field->fields, (char *)list->items + i * field->element_size);
    free(list->items);
    *list = (struct json_list){};
}

void json_element_free(const struct json_field *field, void *element)
{
    if (!element)
        return;
    if (field->type == JSON_FIELD_MAP_OF_LISTS)
        free_list(field, element);
    else
        json_fields_done(field->fields, element);
    free(element);
}

static void free_map(const struct json_field *field, struct map *map)
{
    MAP_EACH (map, entry)
        json_element_free(field, entry->value);
    map->free_value = NULL;
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
        case JSON_FIELD_DATE:
            *AT(object, field, int64_t) = 0;
            break;
        }
    }
}

static void copy_list(const struct json_field *field, const struct json_list *from,
                      struct json_list *to)
{
    *to = (struct json_list){};
    if (!from->items)
        return;
    *to = (struct json_list){ .items = xcalloc(MAX(from->count, 1), field->element_size),
                              .count = from->count };
    for (size_t i = 0; i < from->count; i++)
        json_fields_copy(field->fields, (const char *)from->items + i * field->element_size,
                         (char *)to->items + i * field->element_size);
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
            memset(AT(out, field, char), 0, field->element_size);
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
        case JSON_FIELD_DATE:
            *AT(out, field, int64_t) = *AT_CONST(object, field, int64_t);
            break;
        }
    }
}
