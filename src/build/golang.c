/* How Go prints values: strconv.Quote, slices, and time.Duration. */
#include "build/golang.h"

#include <string.h>

#include "base/banned.h"

/* The size of the UTF-8 sequence that starts here, 0 if it is none. */
static size_t sequence_size(const unsigned char *text)
{
    size_t size = text[0] < 0x80             ? 1
                  : (text[0] & 0xe0) == 0xc0 ? 2
                  : (text[0] & 0xf0) == 0xe0 ? 3
                  : (text[0] & 0xf8) == 0xf0 ? 4
                                             : 0;

    for (size_t i = 1; i < size; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    return size;
}

void go_add_quoted(struct str *out, const char *text)
{
    static const char letters[] = "abtnvfr"; /* of the characters 7 to 13 */

    str_add_char(out, '"');
    while (*text) {
        const unsigned char c = (unsigned char)*text;
        size_t size = sequence_size((const unsigned char *)text);

        if (c == '"' || c == '\\')
            str_add_format(out, "\\%c", c);
        else if (c >= 7 && c <= 13)
            str_add_format(out, "\\%c", letters[c - 7]);
        else if (c < 0x20 || c == 0x7f || size == 0)
            str_add_format(out, "\\x%02x", c);
        else
            str_add_bytes(out, text, size);
        text += size ? size : 1;
    }
    str_add_char(out, '"');
}

void go_add_list(struct str *out, const struct strv *list)
{
    str_add_char(out, '[');
    for (size_t i = 0; i < list->count; i++) {
        if (i > 0)
            str_add_char(out, ' ');
        str_add(out, list->items[i]);
    }
    str_add_char(out, ']');
}

void go_add_quoted_list(struct str *out, const struct strv *list)
{
    str_add_char(out, '[');
    for (size_t i = 0; i < list->count; i++) {
        if (i > 0)
            str_add_char(out, ' ');
        go_add_quoted(out, list->items[i]);
    }
    str_add_char(out, ']');
}

/* 'value' divided by 'unit', without trailing zeros behind the point. */
static void add_fraction(struct str *out, int64_t value, int64_t unit, const char *name)
{
    int64_t rest = value % unit;

    str_add_format(out, "%lld", (long long)(value / unit));
    if (rest > 0) {
        str_add_char(out, '.');
        for (int64_t digit = unit / 10; rest > 0; digit /= 10) {
            str_add_char(out, (char)('0' + rest / digit));
            rest %= digit;
        }
    }
    str_add(out, name);
}

void go_add_duration(struct str *out, int64_t ns)
{
    const int64_t second = INT64_C(1000000000), minute = 60 * second, hour = 60 * minute;

    if (ns < 0 && ns > INT64_MIN) {
        str_add_char(out, '-');
        ns = -ns;
    }
    if (ns == 0)
        str_add(out, "0s");
    else if (ns < 1000)
        add_fraction(out, ns, 1, "ns");
    else if (ns < 1000000)
        add_fraction(out, ns, 1000, "µs");
    else if (ns < second)
        add_fraction(out, ns, 1000000, "ms");
    else {
        if (ns >= hour)
            str_add_format(out, "%lldh", (long long)(ns / hour));
        if (ns >= minute)
            str_add_format(out, "%lldm", (long long)(ns % hour / minute));
        add_fraction(out, ns % minute, second, "s");
    }
}
