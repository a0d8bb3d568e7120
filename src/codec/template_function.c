/* What can be called by name in a template: comparing, counting, looking into lists and dicts.
 * "and" and "or" are listed for the parser; the run evaluates them, since they stop early. */
#include <stdlib.h>
#include <string.h>

#include "codec/template_tree.h"

#include "base/banned.h"

static struct value from_bool(bool is_true)
{
    return (struct value){ .kind = VALUE_BOOL, .is_true = is_true };
}

static int call_not(struct scrap *scrap UNUSED, const struct value *values, size_t count UNUSED,
                    struct value *out, struct error *err UNUSED)
{
    *out = from_bool(!value_is_true(&values[0]));
    return 0;
}

static int call_len(struct scrap *scrap UNUSED, const struct value *values, size_t count UNUSED,
                    struct value *out, struct error *err)
{
    if (values[0].kind != VALUE_TEXT && values[0].kind != VALUE_JSON)
        return error_set(err, ERROR_INVALID, "len of %s",
                         values[0].kind == VALUE_NIL ? "nil pointer" : "this type");
    *out = (struct value){ .kind = VALUE_INTEGER };
    out->integer = (int64_t)(values[0].kind == VALUE_TEXT ? strlen(values[0].text)
                                                          : json_count(values[0].json));
    return 0;
}

/* One step of "index": into a dict (nothing, if the key is missing), a list or a text. */
static int index_once(const struct value *from, const struct value *key, struct value *out,
                      struct error *err)
{
    if (from->kind == VALUE_JSON && json_type(from->json) == JSON_DICT) {
        if (key->kind != VALUE_TEXT)
            return error_set(err, ERROR_INVALID, "value has type int; should be string");
        *out = value_from_json(json_get(from->json, key->text));
        return 0;
    }
    if (from->kind == VALUE_NIL)
        return error_set(err, ERROR_INVALID, "index of untyped nil");
    if (from->kind != VALUE_JSON && from->kind != VALUE_TEXT)
        return error_set(err, ERROR_INVALID, "can't index item of type int");
    if (key->kind != VALUE_INTEGER)
        return error_set(err, ERROR_INVALID, "cannot index slice/array with type string");
    size_t size = from->kind == VALUE_TEXT ? strlen(from->text) : json_count(from->json);
    if (key->integer < 0 || (uint64_t)key->integer >= size)
        return error_set(err, ERROR_INVALID, "index out of range: %lld", (long long)key->integer);
    if (from->kind == VALUE_TEXT)
        *out = (struct value){ .kind = VALUE_INTEGER,
                               .integer = (unsigned char)from->text[key->integer] };
    else
        *out = value_from_json(json_at(from->json, (size_t)key->integer));
    return 0;
}

static int call_index(struct scrap *scrap UNUSED, const struct value *values, size_t count,
                      struct value *out, struct error *err)
{
    *out = values[0];
    for (size_t i = 1; i < count; i++) {
        struct value from = *out;

        if (index_once(&from, &values[i], out, err) < 0)
            return -1;
    }
    return 0;
}

static int slice_bounds(const struct value *values, size_t count, size_t size, size_t *from,
                        size_t *to, struct error *err)
{
    *from = 0;
    *to = size;
    for (size_t i = 1; i < count; i++) {
        if (values[i].kind != VALUE_INTEGER)
            return error_set(err, ERROR_INVALID, "cannot index slice/array with type string");
        if (values[i].integer < 0 || (uint64_t)values[i].integer > size)
            return error_set(err, ERROR_INVALID, "index out of range: %lld",
                             (long long)values[i].integer);
        *(i == 1 ? from : to) = (size_t)values[i].integer;
    }
    if (*from > *to)
        return error_set(err, ERROR_INVALID, "invalid slice index: %zu > %zu", *from, *to);
    return 0;
}

static int call_slice(struct scrap *scrap, const struct value *values, size_t count,
                      struct value *out, struct error *err)
{
    bool is_list = values[0].kind == VALUE_JSON && json_type(values[0].json) == JSON_LIST;
    size_t from, to;
    struct str text = {};

    if (!is_list && values[0].kind != VALUE_TEXT)
        return error_set(err, ERROR_INVALID, "can't slice item of this type");
    if (slice_bounds(values, count, is_list ? json_count(values[0].json) : strlen(values[0].text),
                     &from, &to, err) < 0)
        return -1;
    if (!is_list) {
        str_add_bytes(&text, values[0].text + from, to - from);
        *out = value_from_text(scrap, str_take(&text));
        return 0;
    }
    str_add_char(&text, '[');
    for (size_t i = from; i < to; i++) {
        if (i > from)
            str_add_char(&text, ',');
        json_write(json_at(values[0].json, i), &text);
    }
    str_add_char(&text, ']');
    *out = value_from_list(scrap, str_take(&text));
    return 0;
}

/* ---- comparing */

static int compare_numbers(const struct value *a, const struct value *b)
{
    if (a->kind == VALUE_INTEGER && b->kind == VALUE_INTEGER)
        return (a->integer > b->integer) - (a->integer < b->integer);
    double left = a->kind == VALUE_INTEGER ? (double)a->integer : a->real;
    double right = b->kind == VALUE_INTEGER ? (double)b->integer : b->real;
    return (left > right) - (left < right);
}

static bool is_number(const struct value *value)
{
    return value->kind == VALUE_INTEGER || value->kind == VALUE_REAL;
}

static int compare(const struct value *a, const struct value *b, int *out, struct error *err)
{
    if (a->kind == VALUE_NIL || b->kind == VALUE_NIL) {
        *out = a->kind != b->kind;
        return 0;
    }
    if (a->kind == VALUE_JSON || b->kind == VALUE_JSON)
        return error_set(err, ERROR_INVALID, "invalid type for comparison");
    if (is_number(a) && is_number(b))
        *out = compare_numbers(a, b);
    else if (a->kind != b->kind)
        return error_set(err, ERROR_INVALID, "incompatible types for comparison");
    else if (a->kind == VALUE_TEXT)
        *out = strcmp(a->text, b->text);
    else
        *out = a->is_true - b->is_true;
    return 0;
}

/* The first equals one of the others. */
static int call_eq(struct scrap *scrap UNUSED, const struct value *values, size_t count,
                   struct value *out, struct error *err)
{
    bool found = false;

    for (size_t i = 1; i < count && !found; i++) {
        int order;

        if (compare(&values[0], &values[i], &order, err) < 0)
            return -1;
        found = order == 0;
    }
    *out = from_bool(found);
    return 0;
}

static int call_ne(struct scrap *scrap, const struct value *values, size_t count, struct value *out,
                   struct error *err)
{
    if (call_eq(scrap, values, count, out, err) < 0)
        return -1;
    out->is_true = !out->is_true;
    return 0;
}

static int order_of(const struct value *values, int *out, struct error *err)
{
    if (values[0].kind == VALUE_BOOL || values[0].kind == VALUE_NIL)
        return error_set(err, ERROR_INVALID, "invalid type for comparison");
    return compare(&values[0], &values[1], out, err);
}

#define COMPARISON(name, condition)                                                                \
    static int name(struct scrap *scrap UNUSED, const struct value *values, size_t count UNUSED,   \
                    struct value *out, struct error *err)                                          \
    {                                                                                              \
        int order;                                                                                 \
                                                                                                   \
        if (order_of(values, &order, err) < 0)                                                     \
            return -1;                                                                             \
        *out = from_bool(condition);                                                               \
        return 0;                                                                                  \
    }
COMPARISON(call_lt, order < 0)
COMPARISON(call_le, order <= 0)
COMPARISON(call_gt, order > 0)
COMPARISON(call_ge, order >= 0)

/* clang-format off */
static const struct template_function functions[] = {
    { "and",   1, TEMPLATE_ANY, NULL       },
    { "eq",    2, TEMPLATE_ANY, call_eq    },
    { "ge",    2, 2,            call_ge    },
    { "gt",    2, 2,            call_gt    },
    { "index", 1, TEMPLATE_ANY, call_index },
    { "le",    2, 2,            call_le    },
    { "len",   1, 1,            call_len   },
    { "lt",    2, 2,            call_lt    },
    { "ne",    2, 2,            call_ne    },
    { "not",   1, 1,            call_not   },
    { "or",    1, TEMPLATE_ANY, NULL       },
    { "slice", 1, 3,            call_slice },
};
/* clang-format on */

const struct template_function *template_function_find(const char *name)
{
    for (size_t i = 0; i < COUNT(functions); i++)
        if (strcmp(functions[i].name, name) == 0)
            return &functions[i];
    for (const struct template_function *row = template_text_functions; row->name; row++)
        if (strcmp(row->name, name) == 0)
            return row;
    return NULL;
}
