/* Numbers here come from outside: at most eighteen digits, so that nothing overflows. */
#include "distribution/range.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

#include "base/banned.h"

enum { DIGIT_LIMIT = 18 };

/* Reads digits at '*at' and moves it behind them. */
static bool read_number(const char **at, int64_t *out)
{
    size_t digits = strspn(*at, "0123456789");
    int64_t value = 0;

    if (digits == 0 || digits > DIGIT_LIMIT)
        return false;
    for (size_t i = 0; i < digits; i++)
        value = value * 10 + (*at)[i] - '0';
    *at += digits;
    *out = value;
    return true;
}

static enum range_kind parse_suffix(const char *at, int64_t size, int64_t *out_first,
                                    int64_t *out_last)
{
    int64_t length;

    if (!read_number(&at, &length) || *at)
        return RANGE_WHOLE;
    if (length == 0 || size == 0)
        return RANGE_UNSATISFIABLE;
    *out_first = length < size ? size - length : 0;
    *out_last = size - 1;
    return RANGE_PART;
}

enum range_kind range_parse(const char *text, int64_t size, int64_t *out_first, int64_t *out_last)
{
    int64_t first, last = size - 1;

    if (!text || strncasecmp(text, "bytes=", 6) != 0)
        return RANGE_WHOLE;
    text += 6;
    if (*text == '-')
        return parse_suffix(text + 1, size, out_first, out_last);
    if (!read_number(&text, &first) || *text++ != '-')
        return RANGE_WHOLE;
    if (*text && (!read_number(&text, &last) || *text || last < first))
        return RANGE_WHOLE;
    if (first >= size)
        return RANGE_UNSATISFIABLE;
    *out_first = first;
    *out_last = last < size ? last : size - 1;
    return RANGE_PART;
}

bool content_range_parse(const char *text, int64_t *out_first, int64_t *out_last)
{
    int64_t first, last, total;

    if (!text)
        return false;
    if (strncasecmp(text, "bytes ", 6) == 0)
        text += 6;
    if (!read_number(&text, &first) || *text++ != '-' || !read_number(&text, &last) || last < first)
        return false;
    if (*text == '/') {
        text++;
        if (strcmp(text, "*") != 0 && (!read_number(&text, &total) || *text || total <= last))
            return false;
    } else if (*text) {
        return false;
    }
    *out_first = first;
    *out_last = last;
    return true;
}
