/* Detach keys. */
#include "api/detach_keys.h"

#include <ctype.h>
#include <string.h>

#include "base/strv.h"
#include "base/text.h"

#include "base/banned.h"

/* The byte of one key, -1 if there is none. */
static int key_byte(const char *key)
{
    if (key[0] && !key[1])
        return (unsigned char)key[0];
    if (!text_starts(key, "ctrl-") || !key[5] || key[6])
        return -1;
    if (islower((unsigned char)key[5]))
        return key[5] - 'a' + 1;
    switch (key[5]) {
    case '@':
        return 0;
    case '[':
    case '\\':
    case ']':
    case '^':
    case '_':
        return key[5] - '[' + 27;
    default:
        return -1;
    }
}

int detach_keys_parse(const char *text, char out[DETACH_KEYS_LIMIT], size_t *out_size,
                      struct error *err)
{
    CLEANUP(strv_done) struct strv keys = {};

    strv_split(&keys, text_is_empty(text) ? "ctrl-p,ctrl-q" : text, ',');
    if (keys.count > DETACH_KEYS_LIMIT)
        return error_set(err, ERROR_INVALID, "too many detach keys");
    for (size_t i = 0; i < keys.count; i++) {
        int byte = key_byte(keys.items[i]);

        if (byte < 0)
            return error_set(err, ERROR_INVALID, "unknown character '%s'", keys.items[i]);
        out[i] = (char)byte;
    }
    *out_size = keys.count;
    return 0;
}
