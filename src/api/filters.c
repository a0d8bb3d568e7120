/* Filters: decoding of both encodings, and the ways values are compared. */
#include "api/filters.h"

#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/str.h"
#include "base/text.h"
#include "codec/json.h"
#include "codec/regex.h"

#include "base/banned.h"

static void values_free(void *value)
{
    strv_done(value);
    free(value);
}

static bool is_accepted(const char *const *accepted, const char *key)
{
    if (!accepted)
        return true;
    for (; *accepted; accepted++)
        if (strcmp(*accepted, key) == 0)
            return true;
    return false;
}

static int read_values(const struct json *given, struct strv *out, struct error *err)
{
    strv_init_empty(out);
    JSON_EACH (given, key)
        strv_add(out, key);
    for (size_t i = 0; json_type(given) == JSON_LIST && i < json_count(given); i++) {
        const char *text = json_text(json_at(given, i));

        if (!text)
            return error_set(err, ERROR_INVALID, "invalid filter");
        strv_add(out, text);
    }
    return 0;
}

static int read_key(const char *key, const struct json *given, const char *const *accepted,
                    struct filters *out, struct error *err)
{
    struct strv *values;

    if (json_type(given) != JSON_DICT && json_type(given) != JSON_LIST &&
        json_type(given) != JSON_NULL)
        return error_set(err, ERROR_INVALID, "invalid filter");
    if (!is_accepted(accepted, key))
        return error_set(err, ERROR_INVALID, "invalid filter '%s'", key);
    values = NEW(struct strv);
    map_set(&out->keys, key, values);
    return read_values(given, values, err);
}

int filters_parse(const char *text, const char *const *accepted, struct filters *out,
                  struct error *err)
{
    CLEANUP(json_free) struct json *given = NULL;
    CLEANUP(filters_done) struct filters filters = {};

    map_init_empty(&filters.keys, values_free);
    if (!text_is_empty(text)) {
        if (json_parse(text, strlen(text), &given, err) < 0 ||
            (json_type(given) != JSON_DICT && json_type(given) != JSON_NULL))
            return error_set(err, ERROR_INVALID, "invalid filter");
        JSON_EACH (given, key)
            if (read_key(key, json_key_value(key), accepted, &filters, err) < 0)
                return -1;
    }
    *out = filters;
    filters = (struct filters){};
    return 0;
}

void filters_done(struct filters *filters)
{
    map_done(&filters->keys);
}

bool filters_has(const struct filters *filters, const char *key)
{
    return map_has(&filters->keys, key);
}

const struct strv *filters_values(const struct filters *filters, const char *key)
{
    static const struct strv none;

    return map_get(&filters->keys, key) ?: &none;
}

bool filters_match_exactly(const struct filters *filters, const char *key, const char *value)
{
    const struct strv *wanted = filters_values(filters, key);

    return wanted->count == 0 || strv_contains(wanted, value);
}

bool filters_match_prefix(const struct filters *filters, const char *key, const char *value)
{
    const struct strv *wanted = filters_values(filters, key);

    for (size_t i = 0; i < wanted->count; i++)
        if (text_starts(value, wanted->items[i]))
            return true;
    return wanted->count == 0;
}

static bool pattern_matches(const char *pattern, const char *value)
{
    CLEANUP(regex_free) struct regex *regex = NULL;
    struct error err;

    if (strcmp(pattern, value) == 0)
        return true;
    regex = regex_new(pattern, &err);
    return regex && regex_matches(regex, value);
}

bool filters_match_pattern(const struct filters *filters, const char *key, const char *value)
{
    const struct strv *wanted = filters_values(filters, key);

    for (size_t i = 0; i < wanted->count; i++)
        if (pattern_matches(wanted->items[i], value))
            return true;
    return wanted->count == 0;
}

static bool label_matches(const char *wanted, const struct map *labels)
{
    const char *equals = strchr(wanted, '=');
    CLEANUP(free)
    char *key = equals ? xstrndup(wanted, (size_t)(equals - wanted)) : xstrdup(wanted);

    if (!map_has(labels, key))
        return false;
    return !equals || strcmp(map_get(labels, key), equals + 1) == 0;
}

bool filters_match_labels(const struct filters *filters, const struct map *labels)
{
    const struct strv *wanted = filters_values(filters, "label");
    const struct strv *unwanted = filters_values(filters, "label!");

    for (size_t i = 0; i < wanted->count; i++)
        if (!label_matches(wanted->items[i], labels))
            return false;
    for (size_t i = 0; i < unwanted->count; i++)
        if (label_matches(unwanted->items[i], labels))
            return false;
    return true;
}

int filters_bool(const struct filters *filters, const char *key, bool fallback, bool *out,
                 struct error *err)
{
    const struct strv *given = filters_values(filters, key);
    bool is_true = strv_contains(given, "1") || strv_contains(given, "true");
    bool is_false = strv_contains(given, "0") || strv_contains(given, "false");

    *out = filters_has(filters, key) ? is_true : fallback;
    if (!filters_has(filters, key) || is_true != is_false)
        return 0;
    CLEANUP(free) char *values = strv_join(given, " ");
    return error_set(err, ERROR_INVALID, "invalid filter '%s=[%s]'", key, values);
}

int filters_until(const struct filters *filters, int64_t *out_ns, struct error *err)
{
    const struct strv *given = filters_values(filters, "until");

    *out_ns = 0;
    if (!filters_has(filters, "until"))
        return 0;
    if (given->count != 1)
        return error_set(err, ERROR_INVALID, "more than one until filter specified");
    if (time_parse_human(given->items[0], clock_wall_ns(), out_ns, NULL) < 0)
        return error_set(err, ERROR_INTERNAL, "failed to parse value as time or duration: \"%s\"",
                         given->items[0]);
    return 0;
}
