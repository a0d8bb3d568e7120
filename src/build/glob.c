/* A pattern is a row of pieces with '*' between them. Each piece has a fixed length, so the
 * leftmost place for one piece after another is always right, and the last piece decides how long
 * the match gets. */
#include "build/glob.h"

#include <stdint.h>
#include <string.h>

#include "base/memory.h"

#include "base/banned.h"

#define ANY_ONE  UINT32_MAX
#define ANY_MANY (UINT32_MAX - 1)

struct runes {
    uint32_t *items;
    size_t count;
};

static void runes_done(struct runes *runes)
{
    free(runes->items);
}
CLEANUP_VALUE(runes_done, struct runes)

/* One character; a byte that is no UTF-8 stands for itself, above all characters, so that it comes
 * out again as it was. */
static size_t decode(const unsigned char *text, uint32_t *out)
{
    static const unsigned char masks[] = { 0, 0, 0x1f, 0x0f, 0x07 };
    size_t size = (text[0] & 0xe0) == 0xc0   ? 2
                  : (text[0] & 0xf0) == 0xe0 ? 3
                  : (text[0] & 0xf8) == 0xf0 ? 4
                                             : 1;

    *out = text[0] < 0x80 ? text[0] : 0x80000000U + text[0];
    if (size == 1)
        return 1;

    uint32_t value = text[0] & masks[size];
    for (size_t i = 1; i < size; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 1;
        value = value << 6 | (text[i] & 0x3f);
    }
    /* A long form of a short character would not come out as it went in: leave such bytes alone. */
    if (value < (size == 2 ? 0x80U : size == 3 ? 0x800U : 0x10000U))
        return 1;
    *out = value;
    return size;
}

static void encode(uint32_t rune, struct str *out)
{
    if (rune >= 0x80000000U) {
        str_add_char(out, (char)(rune & 0xff));
    } else if (rune < 0x80) {
        str_add_char(out, (char)rune);
    } else if (rune < 0x800) {
        str_add_char(out, (char)(0xc0 | rune >> 6));
        str_add_char(out, (char)(0x80 | (rune & 0x3f)));
    } else if (rune < 0x10000) {
        str_add_char(out, (char)(0xe0 | rune >> 12));
        str_add_char(out, (char)(0x80 | (rune >> 6 & 0x3f)));
        str_add_char(out, (char)(0x80 | (rune & 0x3f)));
    } else {
        str_add_char(out, (char)(0xf0 | rune >> 18));
        str_add_char(out, (char)(0x80 | (rune >> 12 & 0x3f)));
        str_add_char(out, (char)(0x80 | (rune >> 6 & 0x3f)));
        str_add_char(out, (char)(0x80 | (rune & 0x3f)));
    }
}

static void encode_range(const struct runes *text, size_t from, size_t to, struct str *out)
{
    for (size_t i = from; i < to; i++)
        encode(text->items[i], out);
}

static struct runes text_decode(const char *text)
{
    struct runes runes = { xcalloc(strlen(text) + 1, sizeof(uint32_t)), 0 };

    for (const unsigned char *at = (const unsigned char *)text; *at;)
        at += decode(at, &runes.items[runes.count++]);
    return runes;
}

static int pattern_decode(const char *pattern, struct runes *out, struct error *err)
{
    CLEANUP(runes_done) struct runes plain = text_decode(pattern);

    out->items = xcalloc(plain.count + 1, sizeof(uint32_t));
    out->count = 0;
    for (size_t i = 0; i < plain.count; i++) {
        uint32_t rune = plain.items[i];

        if (rune == '*') {
            rune = ANY_MANY;
        } else if (rune == '?') {
            rune = ANY_ONE;
        } else if (rune == '\\') {
            rune = i + 1 < plain.count ? plain.items[++i] : 0;
            if (rune == 0 || rune >= 0x80 || !strchr("*?\\}/", (char)rune)) {
                CLEANUP(str_done) struct str escape = {};

                if (rune)
                    encode(rune, &escape);
                return error_set(err, ERROR_INVALID,
                                 "invalid pattern (%s) in substitution: invalid escape '\\%s'",
                                 pattern, str_text(&escape));
            }
        }
        out->items[out->count++] = rune;
    }
    return 0;
}

static void reverse(struct runes *runes)
{
    for (size_t i = 0; i < runes->count / 2; i++) {
        uint32_t kept = runes->items[i];

        runes->items[i] = runes->items[runes->count - 1 - i];
        runes->items[runes->count - 1 - i] = kept;
    }
}

/* Does the piece pattern[from…to-1], which holds no '*', match at text[at]? */
static bool piece_matches(const struct runes *pattern, size_t from, size_t to,
                          const struct runes *text, size_t at)
{
    if (to - from > text->count - at)
        return false;
    for (size_t i = 0; i < to - from; i++) {
        uint32_t wanted = pattern->items[from + i], there = text->items[at + i];

        if (wanted == ANY_ONE ? there == '\n' : wanted != there)
            return false;
    }
    return true;
}

static size_t piece_end(const struct runes *pattern, size_t from)
{
    while (from < pattern->count && pattern->items[from] != ANY_MANY)
        from++;
    return from;
}

/* Matches at or behind 'start' (only at it when 'anchored'); gives the leftmost match. */
static bool find(const struct runes *pattern, const struct runes *text, size_t start, bool anchored,
                 bool longest, size_t *out_from, size_t *out_to)
{
    size_t end = piece_end(pattern, 0), at = start;

    while (!piece_matches(pattern, 0, end, text, at))
        if (anchored || ++at > text->count)
            return false;
    *out_from = at;
    at += end;
    while (end < pattern->count) {
        size_t from = end + 1;

        end = piece_end(pattern, from);
        if (longest && end == pattern->count) { /* The last piece: as far behind as it goes. */
            size_t last = text->count - MIN(text->count, end - from);

            while (last > at && !piece_matches(pattern, from, end, text, last))
                last--;
            at = MAX(at, last);
        }
        while (!piece_matches(pattern, from, end, text, at))
            if (++at > text->count)
                return false;
        at += end - from;
    }
    *out_to = at;
    return true;
}

int glob_trim(const char *pattern, const char *text, enum glob_part part, bool longest,
              struct str *out, struct error *err)
{
    CLEANUP(runes_done) struct runes runes = text_decode(text), glob = {};
    size_t from, to = 0;

    if (pattern_decode(pattern, &glob, err) < 0)
        return -1;
    if (part == GLOB_SUFFIX) {
        reverse(&runes);
        reverse(&glob);
    }
    if (!find(&glob, &runes, 0, true, longest, &from, &to))
        to = 0;
    if (part == GLOB_SUFFIX) {
        reverse(&runes);
        encode_range(&runes, 0, runes.count - to, out);
    } else {
        encode_range(&runes, to, runes.count, out);
    }
    return 0;
}

int glob_replace(const char *pattern, const char *text, const char *replacement, bool all,
                 struct str *out, struct error *err)
{
    CLEANUP(runes_done) struct runes runes = text_decode(text), glob = {};
    size_t at = 0, from, to;

    if (pattern_decode(pattern, &glob, err) < 0)
        return -1;
    while (at <= runes.count && find(&glob, &runes, at, false, true, &from, &to)) {
        encode_range(&runes, at, from, out);
        str_add(out, replacement);
        at = to;
        if (!all)
            break;
        if (from == to) { /* An empty match: step over one character. */
            encode_range(&runes, at, MIN(at + 1, runes.count), out);
            at++;
        }
    }
    if (at < runes.count)
        encode_range(&runes, at, runes.count, out);
    return 0;
}
