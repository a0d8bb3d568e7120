/* Base64: small enough to be read in one go. */
#include "codec/base64.h"

#include <stdint.h>
#include <string.h>

#include "base/memory.h"

#include "base/banned.h"

static const char standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char for_urls[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static char *encode(const void *data, size_t size, const char *alphabet)
{
    const uint8_t *bytes = data;
    char *text = xmalloc((size + 2) / 3 * 4 + 1), *at = text;

    for (size_t i = 0; i < size; i += 3) {
        size_t left = MIN(size - i, 3);
        uint32_t group = (uint32_t)bytes[i] << 16 | (left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) |
                         (left > 2 ? (uint32_t)bytes[i + 2] : 0);

        *at++ = alphabet[group >> 18];
        *at++ = alphabet[group >> 12 & 63];
        *at++ = left > 1 ? alphabet[group >> 6 & 63] : '=';
        *at++ = left > 2 ? alphabet[group & 63] : '=';
    }
    *at = 0;
    return text;
}

char *base64_encode(const void *data, size_t size)
{
    return encode(data, size, standard);
}

char *base64_encode_url(const void *data, size_t size)
{
    return encode(data, size, for_urls);
}

static int value_of(char c)
{
    const char *found = c ? strchr(standard, c) : NULL;

    if (found)
        return (int)(found - standard);
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

int base64_decode(const char *text, struct buf *out, struct error *err)
{
    size_t length = strlen(text);
    uint32_t group = 0;
    int bits = 0;

    for (int padding = 0; padding < 2 && length && text[length - 1] == '='; padding++)
        length--;
    if (length % 4 == 1)
        return error_set(err, ERROR_INVALID, "illegal base64 data: wrong length");
    for (size_t i = 0; i < length; i++) {
        int value = value_of(text[i]);

        if (value < 0)
            return error_set(err, ERROR_INVALID, "illegal base64 data at input byte %zu", i);
        group = group << 6 | (uint32_t)value;
        bits += 6;
        if (bits >= 8) {
            uint8_t byte = (uint8_t)(group >> (bits -= 8));

            buf_add(out, &byte, 1);
        }
    }
    return 0;
}
