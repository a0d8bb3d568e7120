/* Numbers and units, read strictly. */
#include "base/text.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/memory.h"

#include "base/banned.h"

int parse_int64(const char *text, int64_t low, int64_t high, int64_t *out, struct error *err)
{
    char *end;

    if (!text || !(isdigit((unsigned char)text[0]) ||
                   ((text[0] == '-' || text[0] == '+') && isdigit((unsigned char)text[1]))))
        return error_set(err, ERROR_INVALID, "\"%s\" is not a number", text ? text : "");
    errno = 0;
    intmax_t value = strtoimax(text, &end, 10);
    if (*end)
        return error_set(err, ERROR_INVALID, "\"%s\" is not a number", text);
    if (errno == ERANGE || value < low || value > high)
        return error_set(err, ERROR_INVALID, "%s is out of range (%" PRId64 " to %" PRId64 ")",
                         text, low, high);
    *out = value;
    return 0;
}

int parse_size(const char *text, int64_t *out_bytes, struct error *err)
{
    static const char units[] = "bkmgtp";
    char *end;

    if (!text || !isdigit((unsigned char)text[0]) || strchr("xX", text[1] ?: ' '))
        return error_set(err, ERROR_INVALID, "invalid size: '%s'", text ? text : "");
    double value = strtod(text, &end);
    if (*end == ' ')
        end++;
    int power = 0;
    if (*end) {
        const char *unit = strchr(units, tolower((unsigned char)*end));

        /* Behind the letter "b" or "ib" may follow, nothing behind a "b". */
        if (!unit || (end[1] && (unit == units || (strcasecmp(end + 1, "b") != 0 &&
                                                   strcasecmp(end + 1, "ib") != 0))))
            return error_set(err, ERROR_INVALID, "invalid suffix: '%s'", end);
        power = (int)(unit - units);
    }
    for (int i = 0; i < power; i++)
        value *= 1024;
    if (!(value >= 0 && value < 9.2e18))
        return error_set(err, ERROR_INVALID, "size out of range: '%s'", text);
    *out_bytes = (int64_t)value;
    return 0;
}

bool text_is_empty(const char *text)
{
    return !text || !*text;
}

bool text_equal(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

bool text_starts(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool text_ends(const char *text, const char *suffix)
{
    size_t length = strlen(text), wanted = strlen(suffix);

    return length >= wanted && strcmp(text + length - wanted, suffix) == 0;
}

static const char decimals[] = "0123456789";

/* 'a' and 'b' are at digits, and are moved behind them. */
static int compare_numbers(const char **a, const char **b)
{
    size_t zeros_a = strspn(*a, "0"), zeros_b = strspn(*b, "0");
    size_t length_a = strspn(*a += zeros_a, decimals), length_b = strspn(*b += zeros_b, decimals);
    int order = length_a == length_b ? memcmp(*a, *b, length_a) : length_a < length_b ? -1 : 1;

    *a += length_a;
    *b += length_b;
    return order ? order : zeros_a == zeros_b ? 0 : zeros_a < zeros_b ? -1 : 1;
}

int text_compare_natural(const char *a, const char *b)
{
    while (*a && *b) {
        bool digit_a = isdigit((unsigned char)*a), digit_b = isdigit((unsigned char)*b);
        int order = digit_a && digit_b ? compare_numbers(&a, &b)
                    : digit_a          ? -1
                    : digit_b          ? 1
                                       : (unsigned char)*a++ - (unsigned char)*b++;

        if (order)
            return order;
    }
    return (*a != 0) - (*b != 0);
}

size_t text_distance(const char *a, const char *b)
{
    size_t row[64], length = MIN(strlen(b), COUNT(row) - 1);

    for (size_t j = 0; j <= length; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        size_t diagonal = row[0];

        row[0] = i;
        for (size_t j = 1; j <= length; j++) {
            size_t above = row[j];

            row[j] = MIN(
                MIN(row[j] + 1, row[j - 1] + 1),
                diagonal + (tolower((unsigned char)a[i - 1]) != tolower((unsigned char)b[j - 1])));
            diagonal = above;
        }
    }
    return row[length];
}

bool text_is_hex(const char *text, size_t length)
{
    return strlen(text) == length && strspn(text, "0123456789abcdef") == length;
}

bool text_parse_bool(const char *text, bool *out)
{
    static const char *const words[2][6] = { { "0", "f", "F", "false", "FALSE", "False" },
                                             { "1", "t", "T", "true", "TRUE", "True" } };

    for (size_t i = 0; i < 2; i++)
        for (size_t j = 0; j < COUNT(words[i]); j++)
            if (strcmp(words[i][j], text) == 0) {
                *out = i == 1;
                return true;
            }
    return false;
}

bool text_has_upper(const char *text)
{
    for (; *text; text++)
        if (isupper((unsigned char)*text))
            return true;
    return false;
}

bool text_has_lower(const char *text)
{
    for (; *text; text++)
        if (islower((unsigned char)*text))
            return true;
    return false;
}

void text_lower(char *text)
{
    for (; *text; text++)
        if (*text >= 'A' && *text <= 'Z')
            *text = (char)(*text - 'A' + 'a');
}

bool text_is_true(const char *text)
{
    static const char *const off[] = { "", "0", "no", "false", "none" };

    if (!text)
        return false;
    while (isspace((unsigned char)*text))
        text++;
    size_t length = strlen(text);
    while (length && isspace((unsigned char)text[length - 1]))
        length--;
    for (size_t i = 0; i < COUNT(off); i++)
        if (strlen(off[i]) == length && strncasecmp(text, off[i], length) == 0)
            return false;
    return true;
}

static char *human(int64_t bytes, double base, const char *const *units, size_t unit_count,
                   int digits)
{
    double value = (double)bytes;
    size_t unit = 0;

    while (value >= base && unit + 1 < unit_count) {
        value /= base;
        unit++;
    }
    return xasprintf("%.*g%s", digits, value, units[unit]);
}

char *text_human_size(int64_t bytes)
{
    static const char *const units[] = { "B", "kB", "MB", "GB", "TB", "PB", "EB" };

    return human(bytes, 1000, units, COUNT(units), bytes < 1000 ? 4 : 3);
}

char *text_human_size_long(int64_t bytes)
{
    static const char *const units[] = { "B", "kB", "MB", "GB", "TB", "PB", "EB" };

    return human(bytes, 1000, units, COUNT(units), 4);
}

char *text_human_size_binary(int64_t bytes)
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };

    return human(bytes, 1024, units, COUNT(units), 4);
}

void hex_encode(const void *bytes, size_t size, char *out)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *byte = bytes;

    for (size_t i = 0; i < size; i++) {
        out[2 * i] = digits[byte[i] >> 4];
        out[2 * i + 1] = digits[byte[i] & 15];
    }
    out[2 * size] = 0;
}

void id_generate(char out[ID_LENGTH + 1])
{
    unsigned char bytes[ID_LENGTH / 2];

    do {
        for (size_t filled = 0; filled < sizeof(bytes);) {
            ssize_t count = getrandom(bytes + filled, sizeof(bytes) - filled, 0);

            if (count > 0)
                filled += (size_t)count;
        }
        hex_encode(bytes, sizeof(bytes), out);
    } while (strspn(out, "0123456789") >= SHORT_ID_LENGTH);
}
