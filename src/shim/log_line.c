/* The line of a json-file log. Writing is the hot path of a chatty container: plain bytes are found
 * and copied sixteen at a time. */
#include "shim/log_line.h"

#include <string.h>

#include "base/clock.h"
#include "base/memory.h"

#include "base/banned.h"

/* ---- writing */

typedef uint8_t block __attribute__((vector_size(16)));
typedef uint64_t halves __attribute__((vector_size(16)));

static bool is_plain(uint8_t byte)
{
    return byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\' && byte != '<' &&
           byte != '>' && byte != '&';
}

/* Copies the plain bytes at the front and gives their number. Writes up to 16 bytes more. */
static size_t copy_plain(const char *text, size_t size, char *out)
{
    size_t done = 0;

    for (; size - done >= sizeof(block); done += sizeof(block)) {
        block bytes;

        memcpy(&bytes, text + done, sizeof(bytes));
        memcpy(out + done, &bytes, sizeof(bytes));
        block found = (block)(bytes - 0x20 >= 0x60) | (block)(bytes == '"') |
                      (block)(bytes == '\\') | (block)(bytes == '<') | (block)(bytes == '>') |
                      (block)(bytes == '&');
        halves both = (halves)found;
        if (both[0] | both[1])
            break;
    }
    for (; done < size && is_plain((uint8_t)text[done]); done++)
        out[done] = text[done];
    return done;
}

/* Size of the UTF-8 character at the front, 0 if there is none. Surrogates and overlong forms are
 * none. */
static size_t character_size(const uint8_t *text, size_t size)
{
    static const struct {
        uint8_t first, last, low, high, size;
    } forms[] = {
        { 0xc2, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 }, { 0xe1, 0xec, 0x80, 0xbf, 3 },
        { 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 }, { 0xf0, 0xf0, 0x90, 0xbf, 4 },
        { 0xf1, 0xf3, 0x80, 0xbf, 4 }, { 0xf4, 0xf4, 0x80, 0x8f, 4 },
    };

    for (size_t i = 0; i < COUNT(forms); i++) {
        if (text[0] < forms[i].first || text[0] > forms[i].last)
            continue;
        if (size < forms[i].size || text[1] < forms[i].low || text[1] > forms[i].high)
            return 0;
        for (size_t k = 2; k < forms[i].size; k++)
            if ((text[k] & 0xc0) != 0x80)
                return 0;
        return forms[i].size;
    }
    return 0;
}

static char *put(char *out, const char *text)
{
    size_t length = strlen(text);

    memcpy(out, text, length);
    return out + length;
}

static char *put_escaped(char *out, uint8_t byte)
{
    static const char digits[] = "0123456789abcdef";

    if (byte == '"' || byte == '\\') {
        *out++ = '\\';
        *out++ = (char)byte;
        return out;
    }
    if (byte == '\r')
        return put(out, "\\r");
    out = put(out, "\\u00");
    *out++ = digits[byte >> 4];
    *out++ = digits[byte & 15];
    return out;
}

static size_t put_character(const uint8_t *text, size_t size, char **out)
{
    size_t count = character_size(text, size);

    if (count == 0) {
        *out = put(*out, "\\ufffd");
        return 1;
    }
    if (count == 3 && text[0] == 0xe2 && text[1] == 0x80 && (text[2] & 0xfe) == 0xa8)
        *out = put(*out, text[2] == 0xa8 ? "\\u2028" : "\\u2029");
    else {
        memcpy(*out, text, count);
        *out += count;
    }
    return count;
}

size_t log_text_escape(const char *text, size_t size, char **out)
{
    size_t done = 0;

    while (done < size) {
        size_t plain = copy_plain(text + done, size - done, *out);

        done += plain;
        *out += plain;
        if (done == size || text[done] == '\n')
            break;
        if ((uint8_t)text[done] < 0x80)
            *out = put_escaped(*out, (uint8_t)text[done++]);
        else
            done += put_character((const uint8_t *)text + done, size - done, out);
    }
    return done;
}

size_t log_text_cut(const char *text, size_t size)
{
    const uint8_t *bytes = (const uint8_t *)text;

    for (size_t back = 1; back <= 3 && back < size; back++) {
        uint8_t byte = bytes[size - back];

        if ((byte & 0xc0) == 0x80) /* inside a character */
            continue;
        size_t whole = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
        return whole > back ? size - back : size;
    }
    return size;
}

void log_line_end(struct str *out, bool is_stderr, const char *attributes, int64_t wall_ns)
{
    char time[TIME_TEXT_SIZE];

    time_format(wall_ns, time);
    str_add(out, is_stderr ? "\",\"stream\":\"stderr\"," : "\",\"stream\":\"stdout\",");
    if (attributes) {
        str_add(out, "\"attrs\":");
        str_add(out, attributes);
        str_add_char(out, ',');
    }
    str_add(out, "\"time\":\"");
    str_add(out, time);
    str_add(out, "\"}\n");
}

/* ---- reading */

struct cursor {
    const char *at, *end;
};

enum { NESTING_LIMIT = 64 };

static void skip_space(struct cursor *c)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\t' || *c->at == '\r'))
        c->at++;
}

static bool take_char(struct cursor *c, char wanted)
{
    skip_space(c);
    if (c->at == c->end || *c->at != wanted)
        return false;
    c->at++;
    return true;
}

static bool take_hex(struct cursor *c, uint32_t *out)
{
    uint32_t value = 0;

    if (c->end - c->at < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        char digit = *c->at++;

        if (digit >= '0' && digit <= '9')
            value = value * 16 + (uint32_t)(digit - '0');
        else if ((digit | 0x20) >= 'a' && (digit | 0x20) <= 'f')
            value = value * 16 + (uint32_t)((digit | 0x20) - 'a' + 10);
        else
            return false;
    }
    *out = value;
    return true;
}

static void add_character(struct str *out, uint32_t value)
{
    if (value < 0x80) {
        str_add_char(out, (char)value);
        return;
    }
    char bytes[4] = { (char)(0x80 | (value & 0x3f)), (char)(0x80 | (value >> 6 & 0x3f)),
                      (char)(0x80 | (value >> 12 & 0x3f)), (char)(0xf0 | value >> 18) };
    int count = value < 0x800 ? 2 : value < 0x10000 ? 3 : 4;

    if (count == 2)
        bytes[1] = (char)(0xc0 | value >> 6);
    if (count == 3)
        bytes[2] = (char)(0xe0 | value >> 12);
    while (count > 0)
        str_add_char(out, bytes[--count]);
}

static bool take_code(struct cursor *c, struct str *out)
{
    uint32_t value, low;

    if (!take_hex(c, &value))
        return false;
    if (value >= 0xd800 && value < 0xdc00 && c->end - c->at >= 6 && c->at[0] == '\\' &&
        c->at[1] == 'u') {
        struct cursor pair = { c->at + 2, c->end };

        if (take_hex(&pair, &low) && low >= 0xdc00 && low < 0xe000) {
            *c = pair;
            value = 0x10000 + ((value - 0xd800) << 10) + (low - 0xdc00);
        }
    }
    add_character(out, value >= 0xd800 && value < 0xe000 ? 0xfffd : value);
    return true;
}

static bool take_escape(struct cursor *c, struct str *out)
{
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";

    if (c->at == c->end)
        return false;
    char letter = *c->at++;
    if (letter == 'u')
        return take_code(c, out);
    const char *found = letter ? strchr(names, letter) : NULL;
    if (!found)
        return false;
    str_add_char(out, values[found - names]);
    return true;
}

/* A quoted text; what it says goes to the end of 'out'. */
static bool take_text(struct cursor *c, struct str *out)
{
    if (!take_char(c, '"'))
        return false;
    for (;;) {
        const char *quote = memchr(c->at, '"', (size_t)(c->end - c->at));
        if (!quote)
            return false;
        const char *escape = memchr(c->at, '\\', (size_t)(quote - c->at));
        const char *stop = escape ? escape : quote;

        str_add_bytes(out, c->at, (size_t)(stop - c->at));
        c->at = stop + 1;
        if (!escape)
            return true;
        if (!take_escape(c, out))
            return false;
    }
}

static bool skip_text(struct cursor *c)
{
    for (c->at++; c->at < c->end; c->at++) {
        if (*c->at == '"') {
            c->at++;
            return true;
        }
        if (*c->at == '\\' && ++c->at == c->end)
            return false;
    }
    return false;
}

/* Any value: brackets are counted, not paired, which is enough for skipping. */
static bool skip_value(struct cursor *c)
{
    int depth = 0;

    skip_space(c);
    while (c->at < c->end) {
        char letter = *c->at;

        if (letter == '"') {
            if (!skip_text(c))
                return false;
            if (depth == 0)
                return true;
            continue;
        }
        if (letter == '{' || letter == '[') {
            if (++depth > NESTING_LIMIT)
                return false;
        } else if (letter == '}' || letter == ']') {
            if (depth == 0)
                return true;
            if (--depth == 0) {
                c->at++;
                return true;
            }
        } else if (letter == ',' && depth == 0)
            return true;
        c->at++;
    }
    return false;
}

static bool take_time(struct cursor *c, int64_t *out)
{
    const char *quote;
    char text[64];

    if (!take_char(c, '"') || !(quote = memchr(c->at, '"', (size_t)(c->end - c->at))) ||
        (size_t)(quote - c->at) >= sizeof(text))
        return false;
    memcpy(text, c->at, (size_t)(quote - c->at));
    text[quote - c->at] = '\0';
    c->at = quote + 1;
    return time_parse(text, out, NULL) == 0;
}

static bool take_stream(struct cursor *c, bool *out_is_stderr)
{
    CLEANUP(str_done) struct str name = {};

    if (!take_text(c, &name))
        return false;
    *out_is_stderr = strcmp(str_text(&name), "stderr") == 0;
    return true;
}

static bool take_attributes(struct cursor *c, struct str *out)
{
    skip_space(c);
    const char *start = c->at;

    if (!skip_value(c) || memchr(start, '\0', (size_t)(c->at - start)))
        return false;
    str_clear(out);
    if (*start == '{')
        str_add_bytes(out, start, (size_t)(c->at - start));
    return true;
}

static bool take_key(struct cursor *c, const char *key)
{
    size_t length = strlen(key);

    if ((size_t)(c->end - c->at) < length || memcmp(c->at, key, length) != 0)
        return false;
    c->at += length;
    return true;
}

static bool take_member(struct cursor *c, struct str *text, struct str *attributes,
                        struct log_entry *out)
{
    skip_space(c);
    if (take_key(c, "\"log\"")) {
        str_clear(text);
        return take_char(c, ':') && take_text(c, text);
    }
    if (take_key(c, "\"stream\""))
        return take_char(c, ':') && take_stream(c, &out->is_stderr);
    if (take_key(c, "\"time\""))
        return take_char(c, ':') && take_time(c, &out->wall_ns);
    if (take_key(c, "\"attrs\""))
        return take_char(c, ':') && take_attributes(c, attributes);
    return c->at < c->end && *c->at == '"' && skip_text(c) && take_char(c, ':') && skip_value(c);
}

bool log_line_decode(const char *line, size_t size, struct str *text, struct str *attributes,
                     struct log_entry *out)
{
    struct cursor c = { line, line + size };

    *out = (struct log_entry){};
    str_clear(text);
    str_clear(attributes);
    if (!take_char(&c, '{'))
        return false;
    if (!take_char(&c, '}')) {
        do {
            if (!take_member(&c, text, attributes, out))
                return false;
        } while (take_char(&c, ','));
        if (!take_char(&c, '}'))
            return false;
    }
    skip_space(&c);
    out->text = str_text(text);
    out->size = text->length;
    out->attributes = attributes->length ? str_text(attributes) : NULL;
    return c.at == c.end;
}
