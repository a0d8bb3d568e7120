/* Filters are grouped by key, in the order given. */
#include "cli/filter_query.h"

#include <string.h>

#include "base/memory.h"
#include "codec/json.h"

#include "base/banned.h"

static void free_values(void *value)
{
    strv_done(value);
    free(value);
}

int filter_check(const char *filter, struct error *err)
{
    return !*filter || strchr(filter, '=')
               ? 0
               : error_set(err, ERROR_INVALID, "bad format of filter (expected name=value)");
}

int filter_query_add(struct client_path *path, const struct strv *filters, struct error *err)
{
    CLEANUP(map_done) struct map keys = { .free_value = free_values };
    CLEANUP(str_done) struct str text = {};
    struct json_writer w = { .out = &text };

    if (!filters->count)
        return 0;
    for (size_t i = 0; i < filters->count; i++) {
        const char *filter = filters->items[i], *equals = strchr(filter, '=');

        if (filter_check(filter, err) < 0)
            return -1;
        if (!equals)
            continue;
        CLEANUP(free) char *key = xstrndup(filter, (size_t)(equals - filter));
        struct strv *values = map_get(&keys, key);
        if (!values) {
            values = NEW(struct strv);
            map_set(&keys, key, values);
        }
        strv_add(values, equals + 1);
    }
    json_begin_dict(&w, NULL);
    MAP_EACH (&keys, entry) {
        const struct strv *values = entry->value;

        json_begin_dict(&w, entry->key);
        for (size_t i = 0; i < values->count; i++)
            json_add_bool(&w, values->items[i], true);
        json_end_dict(&w);
    }
    json_end_dict(&w);
    client_path_query(path, "filters", str_text(&text));
    return 0;
}
