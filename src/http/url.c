/* Percent-encoding (RFC 3986). */
#include <ctype.h>
#include <string.h>

#include "base/memory.h"
#include "base/str.h"
#include "http/server.h"

#include "base/banned.h"

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

char *http_url_decode(const char *text, size_t length, bool is_form)
{
    CLEANUP(free) char *decoded = xmalloc(length + 1);
    size_t size = 0;

    for (size_t i = 0; i < length; i++) {
        char c = text[i];

        if (c == '%') {
            int high = i + 2 < length ? hex_value(text[i + 1]) : -1;
            int low = i + 2 < length ? hex_value(text[i + 2]) : -1;

            if (high < 0 || low < 0)
                return NULL;
            c = (char)(high << 4 | low);
            i += 2;
        } else if (c == '+' && is_form) {
            c = ' ';
        }
        if (c == 0)
            return NULL;
        decoded[size++] = c;
    }
    decoded[size] = 0;
    return TAKE(decoded);
}

char *http_url_encode(const char *text)
{
    static const char digits[] = "0123456789ABCDEF";
    CLEANUP(str_done) struct str encoded = {};

    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;

        if (isalnum(c) || strchr("-._~", c)) {
            str_add_char(&encoded, (char)c);
        } else {
            str_add_char(&encoded, '%');
            str_add_char(&encoded, digits[c >> 4]);
            str_add_char(&encoded, digits[c & 15]);
        }
    }
    return str_take(&encoded);
}
