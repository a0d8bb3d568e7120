/* Go's filepath.Match. Only the last '*' is ever gone back to, so time stays bounded by the pattern
 * times the name. */
#include "spec/pattern.h"

#include <string.h>

#include "base/memory.h"

#include "base/banned.h"

unsigned pattern_rune(const char *text, size_t *out_size)
{
    static const unsigned char masks[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
    const unsigned char *bytes = (const unsigned char *)text;
    size_t size = (bytes[0] & 0xe0) == 0xc0   ? 2
                  : (bytes[0] & 0xf0) == 0xe0 ? 3
                  : (bytes[0] & 0xf8) == 0xf0 ? 4
                                              : 1;
    unsigned rune = bytes[0] & masks[size];

    *out_size = 1;
    if (size == 1)
        return bytes[0] < 0x80 ? bytes[0] : 0xfffd;
    for (size_t i = 1; i < size; i++) {
        if ((bytes[i] & 0xc0) != 0x80)
            return 0xfffd;
        rune = rune << 6 | (bytes[i] & 0x3f);
    }
    *out_size = size;
    return rune;
}

/* One end of a range in a class. */
static bool class_rune(const char **at, unsigned *out)
{
    size_t size;

    if (**at == 0 || **at == '-' || **at == ']')
        return false;
    if (**at == '\\' && *++*at == 0)
        return false;
    *out = pattern_rune(*at, &size);
    *at += size;
    return **at != 0;
}

bool pattern_class(const char *pattern, const char **out_end, unsigned rune, bool *out_matches)
{
    const char *at = pattern + 1;
    bool is_negated = *at == '^', matches = false;

    if (is_negated)
        at++;
    for (size_t ranges = 0;; ranges++) {
        unsigned low, high;

        if (*at == ']' && ranges > 0)
            break;
        if (!class_rune(&at, &low))
            return false;
        high = low;
        if (*at == '-') {
            at++;
            if (!class_rune(&at, &high))
                return false;
        }
        if (low <= rune && rune <= high)
            matches = true;
    }
    *out_end = at + 1;
    *out_matches = matches != is_negated;
    return true;
}

/* Is what is left of the pattern well formed? */
static bool is_valid(const char *pattern)
{
    bool matches;

    while (*pattern) {
        if (*pattern == '[') {
            if (!pattern_class(pattern, &pattern, 0, &matches))
                return false;
        } else if (*pattern == '\\') {
            if (pattern[1] == 0)
                return false;
            pattern += 2;
        } else {
            pattern++;
        }
    }
    return true;
}

/* Matches one element that is no '*' against the start of 'name', and steps over both. */
static bool step(const char **pattern, const char **name)
{
    size_t size;
    unsigned rune = pattern_rune(*name, &size);
    bool matches = false;

    if (**name == 0)
        return false;
    switch (**pattern) {
    case 0:
        return false;
    case '[':
        if (!pattern_class(*pattern, pattern, rune, &matches) || !matches)
            return false;
        break;
    case '?':
        if (**name == '/')
            return false;
        ++*pattern;
        break;
    case '\\':
        ++*pattern;
        /* fall through */
    default:
        if (**pattern != **name)
            return false;
        ++*pattern;
        size = 1;
        break;
    }
    *name += size;
    return true;
}

int pattern_match(const char *pattern, const char *name, bool *out, struct error *err)
{
    const char *star = NULL, *retry = NULL;

    if (!is_valid(pattern))
        return error_set(err, ERROR_INVALID, "syntax error in pattern");
    *out = false;
    for (;;) {
        if (*pattern == '*') {
            star = ++pattern;
            retry = name;
            continue;
        }
        if (*pattern == 0 && *name == 0) {
            *out = true;
            return 0;
        }
        if (step(&pattern, &name))
            continue;
        if (!star || *retry == 0 || *retry == '/')
            return 0;
        pattern = star;
        name = ++retry;
    }
}

bool pattern_has_wildcard(const char *pattern)
{
    for (; *pattern; pattern++) {
        if (*pattern == '\\' && pattern[1])
            pattern++;
        else if (strchr("*?[", *pattern))
            return true;
    }
    return false;
}

char *pattern_plain(const char *pattern)
{
    char *plain = xmalloc(strlen(pattern) + 1), *at = plain;

    for (; *pattern; pattern++) {
        if (*pattern == '\\' && pattern[1])
            pattern++;
        *at++ = *pattern;
    }
    *at = 0;
    return plain;
}
