/* Checking and casting by the tables. */
#include "compose/field.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/map.h"
#include "base/memory.h"
#include "base/text.h"
#include "codec/regex.h"
#include "compose/words.h"

#include "base/banned.h"

enum { WORD_LIMIT = 64 }; /* no key of ours is as long */

const struct field *field_find(const struct field *fields, const char *name)
{
    for (; fields && fields->name; fields++)
        if (strcmp(fields->name, name) == 0)
            return fields;
    return NULL;
}

/* ---- scalars ---- */

static int cast_error(const struct spot *spot, const struct yaml *node, struct error *err,
                      const char *format, ...) PRINTF(4, 5);
static int cast_error(const struct spot *spot, const struct yaml *node, struct error *err,
                      const char *format, ...)
{
    CLEANUP(free) char *where = spot_text(spot);
    CLEANUP(str_done) struct str words = {};
    va_list arguments;

    va_start(arguments, format);
    str_add_vformat(&words, format, arguments);
    va_end(arguments);
    error_set(err, ERROR_INVALID,
              "error while interpolating %s: failed to cast to expected type: %s", where,
              str_text(&words));
    return spot_place(NULL, node, NULL, err);
}

/* "16" for 0x10, "1.5" for 1.50: numbers are texts in their shortest form. */
static void make_text(struct yaml *node)
{
    CLEANUP(str_done) struct str text = {};

    if (node->kind == YAML_TEXT)
        return;
    yaml_write_json(node, &text);
    free(node->text);
    node->text = str_take(&text);
    node->kind = YAML_TEXT;
}

/* ---- what a single value may be ---- */

static int check_choice(const struct field *field, const struct yaml *node, const struct spot *spot,
                        struct error *err)
{
    CLEANUP(strv_done) struct strv choices = {};
    CLEANUP(free) char *words = NULL;

    strv_split(&choices, field->choices, '|');
    if (strv_contains(&choices, node->text))
        return 0;
    words = strv_join(&choices, "', '");
    return spot_error(spot, node, err, "value must be one of '%s'", words);
}

/* Each of the tables' few patterns is compiled once and kept; files are read by one thread. */
static const struct regex *compiled(const char *pattern, struct error *err)
{
    static struct map known;
    struct regex *found = map_get(&known, pattern);

    if (!found) {
        CLEANUP(free) char *whole = xasprintf("^(%s)$", pattern);

        found = regex_new(whole, err);
        if (found)
            map_set(&known, pattern, found);
    }
    return found;
}

static int check_pattern(const struct field *field, const struct yaml *node,
                         const struct spot *spot, struct error *err)
{
    const struct regex *pattern = compiled(field->pattern, err);

    if (!pattern)
        return -1;
    if (regex_matches(pattern, node->text))
        return 0;
    return spot_error(spot, node, err, "'%s' does not match pattern '%s'", node->text,
                      field->pattern);
}

static int apply_text(const struct field *field, struct yaml *node, const struct spot *spot,
                      struct error *err)
{
    if (node->kind != YAML_TEXT)
        return spot_error(spot, node, err, "must be a string");
    if (field->choices && check_choice(field, node, spot, err) < 0)
        return -1;
    return field->pattern ? check_pattern(field, node, spot, err) : 0;
}

static int check_bounds(const struct field *field, const struct yaml *node, const struct spot *spot,
                        struct error *err)
{
    double value = node->kind == YAML_REAL ? node->real : (double)node->integer;

    if (!field->least && !field->most)
        return 0;
    if (value < field->least)
        return spot_error(spot, node, err, "must be greater than or equal to %d", field->least);
    if (value > field->most)
        return spot_error(spot, node, err, "must be less than or equal to %d", field->most);
    return 0;
}

static int apply_bool(struct yaml *node, const struct spot *spot, struct error *err)
{
    static const char *const yes[] = { "true", "y", "yes", "on" };
    static const char *const no[] = { "false", "n", "no", "off" };

    if (node->kind == YAML_BOOL)
        return 0;
    if (node->kind != YAML_TEXT)
        return spot_error(spot, node, err, "must be a boolean");
    for (size_t i = 0; i < COUNT(yes); i++)
        if (strcasecmp(node->text, yes[i]) == 0 || strcasecmp(node->text, no[i]) == 0) {
            node->kind = YAML_BOOL;
            node->boolean = strcasecmp(node->text, yes[i]) == 0;
            return 0;
        }
    return cast_error(spot, node, err, "invalid boolean: %s", node->text);
}

static int apply_number(struct yaml *node, bool may_have_fraction, const struct spot *spot,
                        struct error *err)
{
    if (node->kind == YAML_TEXT) {
        int64_t integer = 0;
        double real = 0;
        bool boolean = false;
        enum yaml_kind kind = yaml_resolve(node->text, &integer, &real, &boolean);

        if (kind != YAML_INTEGER && (kind != YAML_REAL || !may_have_fraction))
            return cast_error(spot, node, err, "strconv.%s: parsing \"%s\": invalid syntax",
                              may_have_fraction ? "ParseFloat" : "Atoi", node->text);
        node->kind = kind;
        node->integer = integer;
        node->real = real;
    }
    if (node->kind == YAML_REAL && !may_have_fraction && node->real > -1e15 && node->real < 1e15 &&
        !((double)(int64_t)node->real < node->real) &&
        !((double)(int64_t)node->real > node->real)) {
        node->kind = YAML_INTEGER;
        node->integer = (int64_t)node->real;
    }
    if (node->kind == YAML_REAL && !isfinite(node->real))
        return spot_error(spot, node, err, "must be a number that is not endless");
    if (node->kind == YAML_INTEGER || (node->kind == YAML_REAL && may_have_fraction))
        return 0;
    return spot_error(spot, node, err,
                      may_have_fraction ? "must be a number" : "must be a integer");
}

static int apply_size(const struct field *field, struct yaml *node, const struct spot *spot,
                      struct error *err)
{
    struct error unread = {};
    int64_t bytes;

    if (node->kind != YAML_INTEGER && node->kind != YAML_TEXT)
        return spot_error(spot, node, err, "must be a string or a number");
    if (strcmp(node->text, "-1") == 0)
        bytes = -1;
    else if (node->kind == YAML_INTEGER)
        bytes = node->integer;
    else if (parse_size(node->text, &bytes, &unread) < 0)
        return spot_error(spot, node, err, "invalid size: '%s'", node->text);
    if (field->most && bytes < field->least)
        return spot_error(spot, node, err, "must be greater than or equal to %d", field->least);
    free(node->text);
    node->kind = YAML_TEXT;
    node->text = xasprintf("%lld", (long long)bytes);
    return 0;
}

static int apply_duration(struct yaml *node, const struct spot *spot, struct error *err)
{
    struct error unread = {};
    int64_t ns;

    if (node->kind != YAML_TEXT && node->kind != YAML_INTEGER)
        return spot_error(spot, node, err, "must be a string");
    if (duration_parse(node->text, &ns, &unread) < 0)
        return spot_error(spot, node, err, "time: %s duration \"%s\"",
                          node->kind == YAML_INTEGER ? "missing unit in" : "invalid", node->text);
    free(node->text);
    node->kind = YAML_TEXT;
    node->text = duration_format(ns);
    return 0;
}

static int apply_mode(struct yaml *node, const struct spot *spot, struct error *err)
{
    if (node->kind == YAML_TEXT && (!node->text[0] || node->text[strspn(node->text, "01234567")]))
        return spot_error(spot, node, err, "must be a file mode in octal");
    if (node->kind == YAML_INTEGER) {
        free(node->text);
        node->kind = YAML_TEXT;
        node->text = xasprintf("0%llo", (long long)node->integer);
    }
    return node->kind == YAML_TEXT ? 0
                                   : spot_error(spot, node, err, "must be a number or a string");
}

/* ---- lists and pairs ---- */

static int check_unique(const struct yaml *list, const struct spot *spot, struct error *err)
{
    for (size_t i = 0; i < list->count; i++)
        for (size_t j = 0; j < i; j++)
            if (yaml_equal(list->items[i], list->items[j]))
                return spot_error(spot, list->items[i], err, "items at %zu and %zu are equal", j,
                                  i);
    return 0;
}

static int apply_texts(const struct field *field, struct yaml *node, const struct spot *spot,
                       struct error *err)
{
    bool may_be_alone = field->type == FIELD_TEXT_OR_LIST;

    if (may_be_alone && node->kind < YAML_LIST) {
        struct yaml *list = yaml_new_at(YAML_LIST, node);

        if (node->kind != YAML_TEXT) {
            yaml_drop(list);
            return spot_error(spot, node, err, "must be a string");
        }
        yaml_add(list, yaml_clone(node));
        yaml_replace(node, list);
        return 0;
    }
    if (node->kind != YAML_LIST)
        return spot_error(spot, node, err,
                          may_be_alone ? "must be a string or a list" : "must be a array");
    for (size_t i = 0; i < node->count; i++) {
        struct spot here = { .above = spot, .index = i };

        bool is_number = node->items[i]->kind == YAML_INTEGER || node->items[i]->kind == YAML_REAL;

        if (node->items[i]->kind != YAML_TEXT && !(field->takes_numbers && is_number))
            return spot_error(&here, node->items[i], err, "must be a string");
        make_text(node->items[i]);
    }
    return field->is_unique ? check_unique(node, spot, err) : 0;
}

static int apply_command(const struct field *field, struct yaml *node, const struct spot *spot,
                         struct error *err)
{
    CLEANUP(strv_done) struct strv split = {};

    if (node->kind == YAML_LIST)
        return apply_texts(field, node, spot, err);
    if (node->kind != YAML_TEXT)
        return spot_error(spot, node, err, "must be a string or a list");
    if (words_split(node->text, &split, err) < 0)
        return spot_error(spot, node, err, "%s", "cannot be split into words: a quote stays open");

    struct yaml *list = yaml_new_at(YAML_LIST, node);
    for (size_t i = 0; i < split.count; i++)
        yaml_add(list, yaml_new_text(split.items[i]));
    yaml_replace(node, list);
    return 0;
}

static int apply_pairs(struct yaml *node, const struct spot *spot, bool keeps_null,
                       struct error *err)
{
    CLEANUP(yaml_drop) struct yaml *dict = yaml_new_at(YAML_DICT, node);

    if (node->kind != YAML_LIST && node->kind != YAML_DICT)
        return spot_error(spot, node, err, "must be a mapping or a list");
    for (size_t i = 0; i < node->count; i++) {
        struct spot here = { .above = spot, .name = node->keys[i], .index = i };
        struct yaml *item = yaml_clone(node->items[i]);
        CLEANUP(free) char *key = xstrdup(node->keys[i]);

        if (node->kind == YAML_LIST && item->kind == YAML_TEXT) {
            char *equals = strchr(item->text, '=');
            CLEANUP(free) char *value = equals ? xstrdup(equals + 1) : NULL;

            key = equals ? xstrndup(item->text, (size_t)(equals - item->text))
                         : xstrdup(item->text);
            free(item->text);
            item->text = TAKE(value);
            item->kind = equals ? YAML_TEXT : YAML_NULL;
        }
        if (!key || item->kind >= YAML_LIST) {
            yaml_drop(item);
            return spot_error(&here, node->items[i], err, "must be a string");
        }
        if (item->kind != YAML_NULL) {
            make_text(item);
        } else if (!keeps_null) {
            item->kind = YAML_TEXT;
            free(item->text);
            item->text = xstrdup("");
        }
        yaml_set(dict, key, item);
    }
    dict->tag = node->tag;
    yaml_replace(node, TAKE(dict));
    return 0;
}

/* ---- objects ---- */

static const char *suggest(const struct field *fields, const char *word)
{
    const char *best = NULL;
    size_t least = 3;

    if (strlen(word) > WORD_LIMIT)
        return NULL;
    for (; fields->name; fields++) {
        size_t far = text_distance(word, fields->name);

        if (far < least && far < strlen(word)) {
            least = far;
            best = fields->name;
        }
    }
    return best;
}

static int unknown_key(const struct field *fields, const struct spot *spot, const char *key,
                       const struct yaml *value, struct error *err)
{
    const char *better = suggest(fields, key);

    if (better)
        return spot_error(spot, value, err,
                          "additional properties '%s' not allowed, did you mean '%s'?", key,
                          better);
    return spot_error(spot, value, err, "additional properties '%s' not allowed", key);
}

static int apply_members(const struct field *fields, struct yaml *node, const struct spot *spot,
                         struct error *err)
{
    if (node->kind != YAML_DICT)
        return spot_error(spot, node, err, "must be a mapping");
    for (size_t i = 0; i < node->count; i++) {
        struct spot here = { .above = spot, .name = node->keys[i] };
        const struct field *field = field_find(fields, node->keys[i]);

        if (!field && text_starts(node->keys[i], "x-"))
            continue;
        if (!field)
            return unknown_key(fields, spot, node->keys[i], node->items[i], err);
        if (field_apply(field, node->items[i], &here, err) < 0)
            return -1;
    }
    for (; fields->name; fields++)
        if (fields->is_required && yaml_is_null(yaml_get(node, fields->name)))
            return spot_error(spot, node, err, "missing property '%s'", fields->name);
    return 0;
}

static int apply_map(const struct field *field, struct yaml *node, const struct spot *spot,
                     struct error *err)
{
    if (node->kind != YAML_DICT)
        return spot_error(spot, node, err, "must be a mapping");
    for (size_t i = 0; i < node->count; i++) {
        struct spot here = { .above = spot, .name = node->keys[i] };

        if (yaml_is_null(node->items[i]) || text_starts(node->keys[i], "x-"))
            continue;
        if (apply_members(field->fields, node->items[i], &here, err) < 0)
            return -1;
    }
    return 0;
}

static int apply_objects(const struct field *field, struct yaml *node, const struct spot *spot,
                         struct error *err)
{
    if (node->kind != YAML_LIST)
        return spot_error(spot, node, err, "must be a array");
    for (size_t i = 0; i < node->count; i++) {
        struct spot here = { .above = spot, .index = i };

        if (apply_members(field->fields, node->items[i], &here, err) < 0)
            return -1;
    }
    return 0;
}

int field_apply(const struct field *field, struct yaml *node, const struct spot *spot,
                struct error *err)
{
    if (yaml_is_null(node) || node->tag == YAML_RESET)
        return 0;
    if (field->expand && field->expand(node, spot, err) < 0)
        return -1;
    switch (field->type) {
    case FIELD_TEXT:
        return apply_text(field, node, spot, err);
    case FIELD_SCALAR:
        if (node->kind >= YAML_LIST)
            return spot_error(spot, node, err, "must be a string or a number");
        make_text(node);
        return 0;
    case FIELD_BOOL:
        return apply_bool(node, spot, err);
    case FIELD_INTEGER:
        return apply_number(node, false, spot, err) < 0 ? -1 : check_bounds(field, node, spot, err);
    case FIELD_NUMBER:
        return apply_number(node, true, spot, err) < 0 ? -1 : check_bounds(field, node, spot, err);
    case FIELD_SIZE:
        return apply_size(field, node, spot, err);
    case FIELD_DURATION:
        return apply_duration(node, spot, err);
    case FIELD_MODE:
        return apply_mode(node, spot, err);
    case FIELD_COMMAND:
        return apply_command(field, node, spot, err);
    case FIELD_TEXTS:
    case FIELD_TEXT_OR_LIST:
        return apply_texts(field, node, spot, err);
    case FIELD_PAIRS:
        return apply_pairs(node, spot, false, err);
    case FIELD_ENVIRONMENT:
        return apply_pairs(node, spot, true, err);
    case FIELD_OBJECT:
        return apply_members(field->fields, node, spot, err);
    case FIELD_OBJECTS:
        return apply_objects(field, node, spot, err);
    case FIELD_MAP:
        return apply_map(field, node, spot, err);
    case FIELD_LIMITS:
    case FIELD_ANY:
        return 0;
    }
    return 0;
}
