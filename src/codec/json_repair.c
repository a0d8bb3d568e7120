/* A second look at a text that jansson refused: recursive descent with the complaints of Go's
 * scanner, which clients see. What was understood is copied out, the few differences mended. */
#include "codec/json_repair.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "codec/utf8.h"

#include "base/banned.h"

struct scanner {
    const unsigned char *at, *end;
    struct str *out;
    struct error *err;
};

/* The caller has bounded the depth: see json_parse. */
static int scan_value(struct scanner *scanner);

/* The offending byte as Go's scanner names it. */
static void describe(unsigned char c, char out[16])
{
    static const char special[] = "\a\b\f\n\r\t\v\\", names[] = "abfnrtv\\";
    const char *found = c ? strchr(special, c) : NULL;

    if (c == '\'')
        snprintf(out, 16, "'\\''");
    else if (found)
        snprintf(out, 16, "'\\%c'", names[found - special]);
    else if (c < 0x20 || c == 0x7f)
        snprintf(out, 16, "'\\x%02x'", c);
    else if (c < 0x7f)
        snprintf(out, 16, "'%c'", c);
    else if (c < 0xa1 || c == 0xad)
        snprintf(out, 16, "'\\u00%02x'", c);
    else
        snprintf(out, 16, "'%c%c'", 0xc0 | c >> 6, 0x80 | (c & 0x3f));
}

/* At the end of the text every complaint is the same: more was to come. */
static int unexpected(struct scanner *scanner, const char *where)
{
    char name[16];

    if (scanner->at >= scanner->end)
        return error_set(scanner->err, ERROR_INVALID, "unexpected EOF");
    describe(*scanner->at, name);
    return error_set(scanner->err, ERROR_INVALID, "invalid character %s %s", name, where);
}

static bool next_is(const struct scanner *scanner, unsigned char c)
{
    return scanner->at < scanner->end && *scanner->at == c;
}

static bool next_is_digit(const struct scanner *scanner)
{
    return scanner->at < scanner->end && *scanner->at >= '0' && *scanner->at <= '9';
}

static void skip_blanks(struct scanner *scanner)
{
    while (next_is(scanner, ' ') || next_is(scanner, '\n') || next_is(scanner, '\t') ||
           next_is(scanner, '\r'))
        scanner->at++;
}

static int scan_hex4(struct scanner *scanner, uint32_t *out)
{
    static const char digits[] = "0123456789abcdefABCDEF";

    *out = 0;
    for (int i = 0; i < 4; i++, scanner->at++) {
        const char *digit = scanner->at < scanner->end && *scanner->at
                                ? strchr(digits, *scanner->at)
                                : NULL;

        if (!digit)
            return unexpected(scanner, "in \\u hexadecimal character escape");
        *out = *out << 4 | (uint32_t)(digit - digits < 16 ? digit - digits : digit - digits - 6);
    }
    return 0;
}

/* Behind "\u". A surrogate without its other half becomes U+FFFD, as in Go. */
static int scan_unicode(struct scanner *scanner)
{
    uint32_t code, low = 0;

    if (scan_hex4(scanner, &code) < 0)
        return -1;
    if (code == 0)
        return error_set(scanner->err, ERROR_INVALID,
                         "a NUL character in a string is not supported");
    if (code < 0xd800 || code >= 0xe000) {
        str_add_format(scanner->out, "\\u%04x", code);
        return 0;
    }
    if (code < 0xdc00 && scanner->end - scanner->at >= 6 && memcmp(scanner->at, "\\u", 2) == 0) {
        const unsigned char *back = scanner->at;

        scanner->at += 2;
        if (scan_hex4(scanner, &low) < 0)
            return -1;
        if (low < 0xdc00 || low >= 0xe000)
            scanner->at = back;
    }
    if (low >= 0xdc00 && low < 0xe000)
        str_add_format(scanner->out, "\\u%04x\\u%04x", code, low);
    else
        str_add(scanner->out, "\\ufffd");
    return 0;
}

static int scan_escape(struct scanner *scanner)
{
    scanner->at++;
    if (next_is(scanner, 'u')) {
        scanner->at++;
        return scan_unicode(scanner);
    }
    if (scanner->at >= scanner->end || !*scanner->at || !strchr("\"\\/bfnrt", *scanner->at))
        return unexpected(scanner, "in string escape code");
    str_add_bytes(scanner->out, scanner->at - 1, 2);
    scanner->at++;
    return 0;
}

static int scan_text(struct scanner *scanner)
{
    scanner->at++;
    str_add_char(scanner->out, '"');
    while (!next_is(scanner, '"')) {
        if (scanner->at >= scanner->end || *scanner->at < 0x20)
            return unexpected(scanner, "in string literal");
        if (*scanner->at == '\\') {
            if (scan_escape(scanner) < 0)
                return -1;
            continue;
        }
        char character[4];
        uint32_t code;

        scanner->at += utf8_decode((const char *)scanner->at, (size_t)(scanner->end - scanner->at),
                                   &code);
        str_add_bytes(scanner->out, character, utf8_put(code, character));
    }
    scanner->at++;
    str_add_char(scanner->out, '"');
    return 0;
}

static int skip_digits(struct scanner *scanner, const char *where)
{
    if (!next_is_digit(scanner))
        return unexpected(scanner, where);
    while (next_is_digit(scanner))
        scanner->at++;
    return 0;
}

/* jansson holds int64_t and finite doubles. */
static bool fits(const char *literal, bool is_integer)
{
    errno = 0;
    if (!is_integer)
        return isfinite(strtod(literal, NULL));
    (void)strtoll(literal, NULL, 10);
    return errno == 0;
}

static int scan_number(struct scanner *scanner)
{
    const unsigned char *start = scanner->at;
    bool is_integer = true;

    if (next_is(scanner, '-'))
        scanner->at++;
    if (next_is(scanner, '0'))
        scanner->at++;
    else if (skip_digits(scanner, "in numeric literal") < 0)
        return -1;
    if (next_is(scanner, '.')) {
        is_integer = false;
        scanner->at++;
        if (skip_digits(scanner, "after decimal point in numeric literal") < 0)
            return -1;
    }
    if (next_is(scanner, 'e') || next_is(scanner, 'E')) {
        is_integer = false;
        scanner->at++;
        if (next_is(scanner, '+') || next_is(scanner, '-'))
            scanner->at++;
        if (skip_digits(scanner, "in exponent of numeric literal") < 0)
            return -1;
    }
    CLEANUP(str_done) struct str literal = {};
    str_add_bytes(&literal, start, (size_t)(scanner->at - start));
    if (fits(literal.data, is_integer))
        str_add(scanner->out, literal.data);
    else
        str_add_format(scanner->out, "\"\\u0000%s\"", literal.data);
    return 0;
}

static int scan_word(struct scanner *scanner, const char *word)
{
    for (const char *expected = word; *expected; expected++, scanner->at++) {
        char where[64];

        if (next_is(scanner, (unsigned char)*expected))
            continue;
        snprintf(where, sizeof(where), "in literal %s (expecting '%c')", word, *expected);
        return unexpected(scanner, where);
    }
    str_add(scanner->out, word);
    return 0;
}

static int scan_key(struct scanner *scanner)
{
    if (!next_is(scanner, '"'))
        return unexpected(scanner, "looking for beginning of object key string");
    if (scan_text(scanner) < 0)
        return -1;
    skip_blanks(scanner);
    if (!next_is(scanner, ':'))
        return unexpected(scanner, "after object key");
    scanner->at++;
    str_add_char(scanner->out, ':');
    return 0;
}

static int scan_children(struct scanner *scanner, bool is_dict)
{
    unsigned char close = is_dict ? '}' : ']';

    str_add_char(scanner->out, (char)*scanner->at++);
    skip_blanks(scanner);
    for (bool is_first = true; !(is_first && next_is(scanner, close)); is_first = false) {
        skip_blanks(scanner);
        if ((is_dict && scan_key(scanner) < 0) || scan_value(scanner) < 0)
            return -1;
        skip_blanks(scanner);
        if (next_is(scanner, close))
            break;
        if (!next_is(scanner, ','))
            return unexpected(scanner,
                              is_dict ? "after object key:value pair" : "after array element");
        scanner->at++;
        str_add_char(scanner->out, ',');
    }
    scanner->at++;
    str_add_char(scanner->out, (char)close);
    return 0;
}

static int scan_value(struct scanner *scanner)
{
    skip_blanks(scanner);
    switch (scanner->at < scanner->end ? *scanner->at : 0) {
    case '{':
        return scan_children(scanner, true);
    case '[':
        return scan_children(scanner, false);
    case '"':
        return scan_text(scanner);
    case 't':
        return scan_word(scanner, "true");
    case 'f':
        return scan_word(scanner, "false");
    case 'n':
        return scan_word(scanner, "null");
    default:
        if (next_is(scanner, '-') || next_is_digit(scanner))
            return scan_number(scanner);
        return unexpected(scanner, "looking for beginning of value");
    }
}

int json_repair(const char *text, size_t size, struct str *out, struct error *err)
{
    struct scanner scanner = { (const unsigned char *)text, (const unsigned char *)text + size, out,
                               err };

    if (scan_value(&scanner) < 0)
        return -1;
    skip_blanks(&scanner);
    if (scanner.at < scanner.end)
        return error_set(err, ERROR_INVALID, "unexpected content after JSON");
    return 0;
}
