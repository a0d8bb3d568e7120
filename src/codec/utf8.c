/* UTF-8: one table of lead bytes says how long a character is and what its second byte may be. */
#include "codec/utf8.h"

#include "base/macros.h"

#include "base/banned.h"

/* clang-format off */
static const struct lead {
    unsigned char first, last;     /* lead bytes of this row */
    unsigned char size;
    unsigned char low, high;       /* of the second byte */
} leads[] = {
    { 0xc2, 0xdf, 2, 0x80, 0xbf },
    { 0xe0, 0xe0, 3, 0xa0, 0xbf },
    { 0xe1, 0xec, 3, 0x80, 0xbf },
    { 0xed, 0xed, 3, 0x80, 0x9f },
    { 0xee, 0xef, 3, 0x80, 0xbf },
    { 0xf0, 0xf0, 4, 0x90, 0xbf },
    { 0xf1, 0xf3, 4, 0x80, 0xbf },
    { 0xf4, 0xf4, 4, 0x80, 0x8f },
};
/* clang-format on */

static const struct lead *find_lead(unsigned char byte)
{
    for (size_t i = 0; i < COUNT(leads); i++)
        if (byte >= leads[i].first && byte <= leads[i].last)
            return &leads[i];
    return NULL;
}

size_t utf8_decode(const char *text, size_t size, uint32_t *out_code)
{
    const unsigned char *byte = (const unsigned char *)text;

    *out_code = byte[0];
    if (byte[0] < 0x80)
        return 1;
    *out_code = UTF8_REPLACEMENT;
    const struct lead *lead = find_lead(byte[0]);
    if (!lead || size < lead->size || byte[1] < lead->low || byte[1] > lead->high)
        return 1;
    uint32_t code = byte[0] & (0x7fu >> lead->size);
    for (size_t i = 1; i < lead->size; i++) {
        if ((byte[i] & 0xc0) != 0x80)
            return 1;
        code = code << 6 | (byte[i] & 0x3f);
    }
    *out_code = code;
    return lead->size;
}

size_t utf8_put(uint32_t code, char *out)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    size_t size = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = size - 1; i > 0; i--, code >>= 6)
        out[i] = (char)(0x80 | (code & 0x3f));
    out[0] = (char)((0xf00u >> size) | code);
    return size;
}

size_t utf8_count_broken(const char *text, size_t size)
{
    size_t broken = 0;

    for (size_t i = 0; i < size;) {
        uint32_t code;
        size_t taken = utf8_decode(text + i, size - i, &code);

        if (taken == 1 && code == UTF8_REPLACEMENT)
            broken++;
        i += taken;
    }
    return broken;
}

size_t utf8_length(const char *text, size_t size)
{
    size_t length = 0;
    uint32_t code;

    for (size_t i = 0; i < size; length++)
        i += utf8_decode(text + i, size - i, &code);
    return length;
}
