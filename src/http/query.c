/* application/x-www-form-urlencoded. */
#include "http/query.h"

#include <string.h>

#include "http/server.h"

#include "base/banned.h"

/* What is there instead of "%" and two hex digits. A byte of zero is none that a value may have. */
static int refuse_escape(const char *pair, size_t length, struct error *err)
{
    static const char digits[] = "0123456789abcdefABCDEF";
    size_t at = 0;

    for (; at < length; at++)
        if (pair[at] == '%' && (at + 2 >= length || !strchr(digits, pair[at + 1]) ||
                                !strchr(digits, pair[at + 2]) || strncmp(pair + at, "%00", 3) == 0))
            break;
    return error_set(err, ERROR_INVALID, "invalid URL escape \"%.*s\"", (int)MIN(length - at, 3),
                     pair + at);
}

static int add_pair(struct query *query, const char *pair, size_t length, struct error *err)
{
    const char *equals = memchr(pair, '=', length);
    size_t name_length = equals ? (size_t)(equals - pair) : length;
    const char *value = equals ? equals + 1 : pair + length;
    CLEANUP(free) char *name = http_url_decode(pair, name_length, true);
    CLEANUP(free) char *decoded = http_url_decode(value, (size_t)(pair + length - value), true);

    if (!name || !decoded)
        return refuse_escape(pair, length, err);
    strv_add_take(&query->names, TAKE(name));
    strv_add_take(&query->values, TAKE(decoded));
    return 0;
}

int query_add(struct query *query, const char *text, size_t length, struct error *err)
{
    if (length == 0)
        return 0;
    const char *end = text + length;
    while (text < end) {
        const char *ampersand = memchr(text, '&', (size_t)(end - text)) ?: end;

        if (query->names.count >= QUERY_PAIR_LIMIT)
            return error_set(err, ERROR_INVALID, "too many parameters");
        if (ampersand > text && add_pair(query, text, (size_t)(ampersand - text), err) < 0)
            return -1;
        text = ampersand + (ampersand < end);
    }
    return 0;
}

const char *query_get(const struct query *query, const char *name, size_t index)
{
    for (size_t i = 0; i < query->names.count; i++)
        if (strcmp(query->names.items[i], name) == 0 && index-- == 0)
            return query->values.items[i];
    return NULL;
}

size_t query_count(const struct query *query, const char *name)
{
    size_t count = 0;

    for (size_t i = 0; i < query->names.count; i++)
        count += strcmp(query->names.items[i], name) == 0;
    return count;
}

void query_done(struct query *query)
{
    strv_done(&query->names);
    strv_done(&query->values);
}
