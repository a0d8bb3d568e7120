/* The order of the canonical form, and what it leaves out. */
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "compose/field.h"

#include "base/banned.h"

static void order_all(struct yaml *node)
{
    if (node->kind == YAML_DICT)
        yaml_sort(node);
    for (size_t i = 0; i < node->count; i++)
        order_all(node->items[i]);
}

/* Limits keep "soft" before "hard". */
static void order_limits(struct yaml *node)
{
    yaml_sort(node);
    for (size_t i = 0; i < node->count; i++) {
        struct yaml *hard = yaml_take(node->items[i], "hard");

        if (hard)
            yaml_set(node->items[i], "hard", hard);
    }
}

static bool says_nothing(const struct field *field, const struct yaml *value)
{
    switch (field->type) {
    case FIELD_BOOL:
        return value->kind == YAML_BOOL && !value->boolean && !field->keeps_zero;
    case FIELD_INTEGER:
        return value->kind == YAML_INTEGER && value->integer == 0 && !field->keeps_zero;
    case FIELD_NUMBER:
        return (value->kind == YAML_INTEGER || value->kind == YAML_REAL) && value->integer == 0 &&
               !(value->real > 0) && !(value->real < 0);
    case FIELD_DURATION:
        return text_equal(yaml_text(value), "0s") && !field->keeps_zero;
    case FIELD_SIZE:
        return text_equal(yaml_text(value), "0");
    case FIELD_TEXT:
    case FIELD_SCALAR:
        return value->kind == YAML_TEXT && !*value->text;
    case FIELD_TEXTS:
    case FIELD_TEXT_OR_LIST:
    case FIELD_PAIRS:
    case FIELD_ENVIRONMENT:
    case FIELD_OBJECTS:
        return value->kind >= YAML_LIST && !value->count;
    case FIELD_MAP:
    case FIELD_LIMITS:
        return value->kind >= YAML_LIST && !value->count && !field->keeps_zero;
    default:
        return false;
    }
}

static void order_members(const struct field *fields, struct yaml *node)
{
    struct yaml *ordered;

    if (node->kind != YAML_DICT)
        return;
    yaml_sort(node);
    ordered = yaml_new_at(YAML_DICT, node);
    for (const struct field *field = fields; field->name; field++) {
        struct yaml *value = yaml_take(node, field->name);

        if (!value)
            continue;
        if (says_nothing(field, value)) {
            yaml_drop(value);
            continue;
        }
        field_order(field, value);
        yaml_set(ordered, field->name, value);
    }
    while (node->count) {
        CLEANUP(free) char *key = xstrdup(node->keys[0]);
        struct yaml *value = yaml_take(node, key);

        order_all(value);
        yaml_set(ordered, key, value);
    }
    yaml_replace(node, ordered);
}

void field_order(const struct field *field, struct yaml *node)
{
    switch (field->type) {
    case FIELD_OBJECT:
        order_members(field->fields, node);
        break;
    case FIELD_OBJECTS:
        for (size_t i = 0; node->kind == YAML_LIST && i < node->count; i++)
            order_members(field->fields, node->items[i]);
        break;
    case FIELD_MAP:
        if (node->kind == YAML_DICT)
            yaml_sort(node);
        for (size_t i = 0; i < node->count; i++)
            if (node->kind == YAML_DICT && text_starts(node->keys[i], "x-"))
                order_all(node->items[i]);
            else
                order_members(field->fields, node->items[i]);
        break;
    case FIELD_LIMITS:
        order_limits(node);
        break;
    default:
        order_all(node);
        break;
    }
}
