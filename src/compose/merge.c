/* See the header. */
#include "compose/merge.h"

#include <string.h>

#include "base/map.h"
#include "base/memory.h"
#include "base/text.h"

#include "base/banned.h"

/* Fields of what stands below 'key'; NULL below keys that the tables do not know. */
static const struct field *below(const struct field *field, const char *key)
{
    static const struct field any = { "", FIELD_ANY };
    const struct field *found;

    if (!field || (field->type != FIELD_OBJECT && field->type != FIELD_MAP))
        return &any;
    found = field_find(field->fields, key);
    return found ? found : &any;
}

/* The element of a MAP is an OBJECT of the same fields. */
static struct field element_of(const struct field *field)
{
    return (struct field){ .name = "", .type = FIELD_OBJECT, .fields = field->fields };
}

static void merge_dicts(const struct field *field, struct yaml *base, struct yaml *over)
{
    while (over->count) {
        CLEANUP(free) char *key = xstrdup(over->keys[0]);
        struct yaml *value = yaml_take(over, key), *old = yaml_get(base, key);
        struct field element = element_of(field);

        if (value->tag == YAML_RESET) {
            yaml_remove(base, key);
            yaml_drop(value);
        } else if (!old) {
            yaml_set(base, key, value);
        } else {
            merge_into(field->type == FIELD_MAP ? &element : below(field, key), old, value);
        }
    }
    yaml_drop(over);
}

/* Different drivers have different options: nothing is kept of the old ones. */
static bool drivers_differ(const struct field *field, const struct yaml *base,
                           const struct yaml *over)
{
    const char *old = yaml_text(yaml_get(base, "driver")),
               *new = yaml_text(yaml_get(over, "driver"));

    return strcmp(field->name, "logging") == 0 && old && new &&strcmp(old, new) != 0;
}

void merge_into(const struct field *field, struct yaml *base, struct yaml *over)
{
    if (over->tag == YAML_OVERRIDE || field->replaces || base->kind != over->kind ||
        over->kind < YAML_LIST || drivers_differ(field, base, over)) {
        if (yaml_is_null(over) && field->type != FIELD_COMMAND && !field->replaces)
            yaml_drop(over);
        else
            yaml_replace(base, over);
        base->tag = YAML_UNTAGGED;
        return;
    }
    if (over->kind == YAML_DICT) {
        merge_dicts(field, base, over);
        return;
    }
    for (size_t i = 0; i < over->count; i++) {
        yaml_add(base, over->items[i]);
        over->items[i] = NULL;
    }
    yaml_drop(over);
}

/* ---- unique elements ---- */

static char *identity(const struct field *field, const struct yaml *item)
{
    if (field->identity && item->kind == YAML_DICT)
        return field->identity(item);
    return xstrdup(yaml_text(item));
}

static void unique_items(const struct field *field, struct yaml *list)
{
    CLEANUP(map_done) struct map seen = {};

    for (size_t i = 0; i < list->count;) {
        CLEANUP(free) char *key = identity(field, list->items[i]);
        size_t first = key ? (size_t)map_get(&seen, key) : 0;

        if (first) {
            yaml_replace(list->items[first - 1], yaml_clone(list->items[i]));
            yaml_remove_at(list, i);
            continue;
        }
        i++;
        if (key)
            map_set(&seen, key, (void *)i);
    }
}

void merge_unique(const struct field *field, struct yaml *node)
{
    bool is_list = field->type == FIELD_OBJECTS || field->type == FIELD_TEXT_OR_LIST ||
                   field->type == FIELD_TEXTS;

    if (node->kind == YAML_LIST && is_list && !field->replaces)
        unique_items(field, node);
    if (node->kind != YAML_DICT)
        return;
    for (size_t i = 0; i < node->count; i++) {
        struct field element = element_of(field);

        merge_unique(field->type == FIELD_MAP ? &element : below(field, node->keys[i]),
                     node->items[i]);
    }
}

void merge_drop_resets(struct yaml *node)
{
    for (size_t i = 0; i < node->count;) {
        if (node->items[i]->tag == YAML_RESET) {
            yaml_remove_at(node, i);
            continue;
        }
        merge_drop_resets(node->items[i++]);
    }
}
