/* The tree, and what plain scalars mean. */
#include "codec/yaml.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "codec/json.h"

#include "base/banned.h"

/* ---- making and freeing ---- */

struct yaml *yaml_new(enum yaml_kind kind)
{
    struct yaml *node = NEW(struct yaml);

    node->kind = kind;
    return node;
}

struct yaml *yaml_new_text(const char *text)
{
    struct yaml *node = yaml_new(YAML_TEXT);

    node->text = xstrdup(text);
    return node;
}

struct yaml *yaml_new_integer(int64_t value)
{
    struct yaml *node = yaml_new(YAML_INTEGER);

    node->integer = value;
    node->real = (double)value;
    node->text = xasprintf("%lld", (long long)value);
    return node;
}

struct yaml *yaml_new_bool(bool value)
{
    struct yaml *node = yaml_new(YAML_BOOL);

    node->boolean = value;
    node->text = xstrdup(value ? "true" : "false");
    return node;
}

struct yaml *yaml_new_at(enum yaml_kind kind, const struct yaml *like)
{
    struct yaml *node = yaml_new(kind);

    node->file = like->file;
    node->line = like->line;
    return node;
}

struct yaml *yaml_clone(const struct yaml *node)
{
    if (!node)
        return NULL;

    struct yaml *copy = xmalloc(sizeof(*copy));
    *copy = *node;
    copy->text = xstrdup(node->text);
    copy->items = NULL;
    copy->keys = NULL;
    copy->capacity = node->count;
    if (node->count) {
        copy->items = xcalloc(node->count, sizeof(*copy->items));
        copy->keys = xcalloc(node->count, sizeof(*copy->keys));
    }
    for (size_t i = 0; i < node->count; i++) {
        copy->items[i] = yaml_clone(node->items[i]);
        copy->keys[i] = xstrdup(node->keys[i]);
    }
    return copy;
}

static void free_content(struct yaml *node)
{
    for (size_t i = 0; i < node->count; i++) {
        yaml_drop(node->items[i]);
        free(node->keys[i]);
    }
    free(node->items);
    free(node->keys);
    free(node->text);
}

void yaml_drop(struct yaml *node)
{
    if (!node)
        return;
    free_content(node);
    free(node);
}

void yaml_replace(struct yaml *node, struct yaml *from)
{
    const char *file = from->file ? from->file : node->file;
    int line = from->file ? from->line : node->line;

    free_content(node);
    *node = *from;
    node->file = file;
    node->line = line;
    free(from);
}

/* ---- looking ---- */

static bool find(const struct yaml *dict, const char *key, size_t *out_index)
{
    if (!dict || dict->kind != YAML_DICT)
        return false;
    for (size_t i = 0; i < dict->count; i++)
        if (strcmp(dict->keys[i], key) == 0) {
            *out_index = i;
            return true;
        }
    return false;
}

struct yaml *yaml_get(const struct yaml *dict, const char *key)
{
    size_t index;

    return find(dict, key, &index) ? dict->items[index] : NULL;
}

struct yaml *yaml_get_path(const struct yaml *dict, const char *first, const char *second)
{
    return yaml_get(yaml_get(dict, first), second);
}

const char *yaml_text(const struct yaml *node)
{
    return node && node->kind != YAML_NULL && node->kind < YAML_LIST ? node->text : NULL;
}

bool yaml_is_true(const struct yaml *node)
{
    return node && node->kind == YAML_BOOL && node->boolean;
}

bool yaml_is_null(const struct yaml *node)
{
    return !node || node->kind == YAML_NULL;
}

size_t yaml_count(const struct yaml *node)
{
    return node ? node->count : 0;
}

static bool equal_dicts(const struct yaml *a, const struct yaml *b)
{
    for (size_t i = 0; i < a->count; i++) {
        size_t index;

        if (!find(b, a->keys[i], &index) || !yaml_equal(a->items[i], b->items[index]))
            return false;
    }
    return true;
}

bool yaml_equal(const struct yaml *a, const struct yaml *b)
{
    if (!a || !b)
        return a == b;
    if (a->kind != b->kind || a->count != b->count)
        return false;
    switch (a->kind) {
    case YAML_NULL:
        return true;
    case YAML_BOOL:
        return a->boolean == b->boolean;
    case YAML_INTEGER:
        return a->integer == b->integer;
    case YAML_REAL:
        return !(a->real < b->real) && !(a->real > b->real);
    case YAML_TEXT:
        return strcmp(a->text, b->text) == 0;
    case YAML_LIST:
        for (size_t i = 0; i < a->count; i++)
            if (!yaml_equal(a->items[i], b->items[i]))
                return false;
        return true;
    case YAML_DICT:
        return equal_dicts(a, b);
    }
    return false;
}

/* ---- changing ---- */

static void append(struct yaml *node, char *key, struct yaml *value)
{
    if (node->count == node->capacity) {
        node->capacity = node->capacity ? node->capacity * 2 : 8;
        node->items = xrealloc(node->items, node->capacity, sizeof(*node->items));
        node->keys = xrealloc(node->keys, node->capacity, sizeof(*node->keys));
    }
    node->items[node->count] = value;
    node->keys[node->count++] = key;
}

void yaml_set(struct yaml *dict, const char *key, struct yaml *value)
{
    size_t index;

    if (find(dict, key, &index)) {
        yaml_drop(dict->items[index]);
        dict->items[index] = value;
        return;
    }
    append(dict, xstrdup(key), value);
}

void yaml_add(struct yaml *list, struct yaml *value)
{
    append(list, NULL, value);
}

/* Closes the gap; the item is the caller's. */
static struct yaml *cut_out(struct yaml *node, size_t index)
{
    struct yaml *item = node->items[index];

    free(node->keys[index]);
    memmove(node->items + index, node->items + index + 1,
            (node->count - index - 1) * sizeof(*node->items));
    memmove(node->keys + index, node->keys + index + 1,
            (node->count - index - 1) * sizeof(*node->keys));
    node->count--;
    return item;
}

struct yaml *yaml_take(struct yaml *dict, const char *key)
{
    size_t index;

    return find(dict, key, &index) ? cut_out(dict, index) : NULL;
}

void yaml_remove(struct yaml *dict, const char *key)
{
    yaml_drop(yaml_take(dict, key));
}

void yaml_remove_at(struct yaml *list_or_dict, size_t index)
{
    yaml_drop(cut_out(list_or_dict, index));
}

struct pair {
    char *key;
    struct yaml *item;
};

static int compare_pairs(const void *a, const void *b)
{
    return strcmp(((const struct pair *)a)->key, ((const struct pair *)b)->key);
}

void yaml_sort(struct yaml *dict)
{
    CLEANUP(free) struct pair *pairs = xcalloc(dict->count + 1, sizeof(*pairs));

    for (size_t i = 0; i < dict->count; i++)
        pairs[i] = (struct pair){ dict->keys[i], dict->items[i] };
    qsort(pairs, dict->count, sizeof(*pairs), compare_pairs);
    for (size_t i = 0; i < dict->count; i++) {
        dict->keys[i] = pairs[i].key;
        dict->items[i] = pairs[i].item;
    }
}

/* ---- what plain scalars mean ---- */

static bool is_one_of(const char *text, const char *const *words)
{
    for (; *words; words++)
        if (strcmp(text, *words) == 0)
            return true;
    return false;
}

/* Digits of the base after an optional sign and prefix; '_' may stand between digits. */
static bool read_integer(const char *text, int64_t *out)
{
    CLEANUP(str_done) struct str digits = {};
    const char *at = text;
    bool is_negative = *at == '-';
    char *end;
    int base = 10;

    if (*at == '-' || *at == '+')
        at++;
    if (at[0] == '0' && (at[1] == 'x' || at[1] == 'X'))
        base = 16;
    else if (at[0] == '0' && (at[1] == 'b' || at[1] == 'B'))
        base = 2;
    else if (at[0] == '0' && (at[1] == 'o' || at[1] == 'O'))
        base = 8;
    if (base != 10)
        at += 2;
    else if (at[0] == '0' && at[1])
        base = 8;
    if (is_negative)
        str_add_char(&digits, '-');
    if (!isxdigit((unsigned char)*at))
        return false;
    for (; *at; at++)
        if (isxdigit((unsigned char)*at))
            str_add_char(&digits, *at);
        else if (*at != '_')
            return false;
    errno = 0;
    *out = strtoll(str_text(&digits), &end, base);
    return !*end && errno == 0;
}

static bool read_real(const char *text, double *out)
{
    static const char *const infinite[] = {
        ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF", NULL
    };
    static const char *const negative[] = { "-.inf", "-.Inf", "-.INF", NULL };
    static const char *const none[] = { ".nan", ".NaN", ".NAN", NULL };
    const char *at = text + (*text == '-' || *text == '+');
    size_t whole = strspn(at, "0123456789"), fraction = 0;

    if (is_one_of(text, infinite) || is_one_of(text, negative)) {
        *out = *text == '-' ? -INFINITY : INFINITY;
        return true;
    }
    if (is_one_of(text, none)) {
        *out = NAN;
        return true;
    }
    at += whole;
    if (*at == '.') {
        fraction = strspn(at + 1, "0123456789");
        at += 1 + fraction;
    }
    if (!whole && !fraction)
        return false;
    if (*at == 'e' || *at == 'E') {
        at += 1 + (at[1] == '-' || at[1] == '+');
        if (!isdigit((unsigned char)*at))
            return false;
        at += strspn(at, "0123456789");
    }
    if (*at)
        return false;
    *out = strtod(text, NULL);
    return true;
}

enum yaml_kind yaml_resolve(const char *text, int64_t *out_integer, double *out_real,
                            bool *out_boolean)
{
    static const char *const nulls[] = { "", "~", "null", "Null", "NULL", NULL };
    static const char *const yes[] = { "true", "True", "TRUE", NULL };
    static const char *const no[] = { "false", "False", "FALSE", NULL };

    if (is_one_of(text, nulls))
        return YAML_NULL;
    if (is_one_of(text, yes) || is_one_of(text, no)) {
        *out_boolean = (text[0] | 0x20) == 't';
        return YAML_BOOL;
    }
    if (read_integer(text, out_integer)) {
        *out_real = (double)*out_integer;
        return YAML_INTEGER;
    }
    return read_real(text, out_real) ? YAML_REAL : YAML_TEXT;
}
