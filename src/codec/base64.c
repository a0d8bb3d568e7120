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

/* The length without padding, -1 if there is the wrong amount of it. */
static ssize_t unpadded_length(const char *text)
{
    size_t length = strlen(text), whole = length;

    while (length && text[length - 1] == '=')
        length--;
    if (length % 4 == 1 || (whole != length && (whole % 4 != 0 || whole - length > 2)))
        return -1;
    return (ssize_t)length;
}

int base64_decode(const char *text, struct buf *out, struct error *err)
{
    ssize_t length = unpadded_length(text);
    uint32_t group = 0;
    int bits = 0;

    if (length < 0)
        return error_set(err, ERROR_INVALID, "illegal base64 data: wrong length");
    uint8_t *room = buf_room(out, (size_t)length / 4 * 3 + 3), *to = room;
    for (ssize_t i = 0; i < length; i++) {
        int value = value_of(text[i]);

        if (value < 0)
            return error_set(err, ERROR_INVALID, "illegal base64 data at input byte %zd", i);
        group = group << 6 | (uint32_t)value;
        bits += 6;
        if (bits >= 8)
            *to++ = (uint8_t)(group >> (bits -= 8));
    }
    buf_grow(out, (size_t)(to - room));
    return 0;
}
