/* Cutting a template into tokens: text outside of {{ }}, words inside. */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/template_tree.h"
#include "codec/utf8.h"

#include "base/banned.h"

static const char blanks[] = " \t\r\n";

int template_complain(const struct template *template, size_t at, struct error *err,
                      const char *format, ...)
{
    char text[256];
    va_list arguments;
    int line = 1;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    for (size_t i = 0; i < at; i++)
        line += template->source[i] == '\n';
    return error_set(err, ERROR_INVALID, "template parsing error: template: :%d: %s", line, text);
}

static bool is_blank(char c)
{
    return c && strchr(blanks, c);
}

static bool starts(const struct scanner *scanner, const char *prefix)
{
    return strncmp(scanner->template->source + scanner->at, prefix, strlen(prefix)) == 0;
}

/* "{{- " trims the text in front; the mark must be followed by a space. */
static bool is_trimming_left(const char *delimiter)
{
    return delimiter[2] == '-' && is_blank(delimiter[3]);
}

static int scan_text(struct scanner *scanner, struct token *out)
{
    const char *source = scanner->template->source, *start = source + scanner->at;
    const char *delimiter = strstr(start, "{{");
    const char *end = delimiter ? delimiter : source + scanner->size;

    scanner->at = (size_t)(end - source);
    if (scanner->trims_next)
        while (start < end && is_blank(*start))
            start++;
    scanner->trims_next = false;
    if (delimiter && is_trimming_left(delimiter))
        while (end > start && is_blank(end[-1]))
            end--;
    out->kind = TOKEN_TEXT;
    out->text = template_take_text(scanner->template, start, (size_t)(end - start));
    return 0;
}

/* Behind the opening delimiter, if a comment follows. */
static int skip_comment(struct scanner *scanner)
{
    const char *source = scanner->template->source;
    const char *end = strstr(source + scanner->at, "*/");

    if (!end)
        return template_complain(scanner->template, scanner->at, scanner->err, "unclosed comment");
    scanner->at = (size_t)(end + 2 - source);
    if (is_blank(source[scanner->at]) && strncmp(source + scanner->at + 1, "-}}", 3) == 0) {
        scanner->trims_next = true;
        scanner->at += 4;
    } else if (starts(scanner, "}}")) {
        scanner->at += 2;
    } else {
        return template_complain(scanner->template, scanner->at, scanner->err,
                                 "comment ends before closing delimiter");
    }
    return 0;
}

static int scan_outside(struct scanner *scanner, struct token *out)
{
    if (scanner->at == scanner->size) {
        out->kind = TOKEN_END;
        return 0;
    }
    if (!starts(scanner, "{{"))
        return scan_text(scanner, out);
    scanner->trims_next = false;
    scanner->at += is_trimming_left(scanner->template->source + scanner->at) ? 4 : 2;
    if (starts(scanner, "/*")) {
        if (skip_comment(scanner) < 0)
            return -1;
        out->kind = TOKEN_TEXT;
        out->text = "";
        return 0;
    }
    scanner->is_inside = true;
    out->kind = TOKEN_LEFT;
    return 0;
}

/* ---- inside */

static bool is_word_character(char c)
{
    return isalnum((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80;
}

static void skip_word(struct scanner *scanner)
{
    while (is_word_character(scanner->template->source[scanner->at]))
        scanner->at++;
}

/* Behind a backslash; gives -1 for what is no escape. */
static int unescape(const char **at, struct str *out)
{
    static const char letters[] = "abfnrtv\\'\"", meanings[] = "\a\b\f\n\r\t\v\\'\"";
    const char *letter = **at ? strchr(letters, **at) : NULL;
    size_t digits = **at == 'x' ? 2 : **at == 'u' ? 4 : **at == 'U' ? 8 : 0;
    char hex[9] = {}, encoded[4];

    if (letter) {
        str_add_char(out, meanings[letter - letters]);
        (*at)++;
        return 0;
    }
    if (!digits || strspn(*at + 1, "0123456789abcdefABCDEF") < digits)
        return -1;
    memcpy(hex, *at + 1, digits);
    unsigned long code = strtoul(hex, NULL, 16);
    *at += digits + 1;
    if (code == 0 || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
        return -1;
    if (digits == 2)
        str_add_char(out, (char)code);
    else
        str_add_bytes(out, encoded, utf8_put((uint32_t)code, encoded));
    return 0;
}

static int scan_quoted(struct scanner *scanner, char quote, struct token *out)
{
    const char *source = scanner->template->source, *at = source + scanner->at + 1;
    const char *kind = quote == '\'' ? "character constant" : "quoted string";
    CLEANUP(str_done) struct str text = {};

    while (*at && *at != quote && *at != '\n') {
        if (*at != '\\') {
            str_add_char(&text, *at++);
            continue;
        }
        at++;
        if (unescape(&at, &text) < 0)
            return template_complain(scanner->template, scanner->at, scanner->err,
                                     "invalid syntax");
    }
    if (*at != quote)
        return template_complain(scanner->template, scanner->at, scanner->err, "unterminated %s",
                                 kind);
    scanner->at = (size_t)(at + 1 - source);
    out->kind = TOKEN_STRING;
    out->text = template_take_text(scanner->template, str_text(&text), text.length);
    if (quote != '\'')
        return 0;
    uint32_t code = 0;
    if (!text.length || utf8_decode(text.data, text.length, &code) != text.length)
        return template_complain(scanner->template, out->start, scanner->err,
                                 "malformed character constant: %s", out->text);
    out->kind = TOKEN_NUMBER;
    out->is_character = true;
    out->character = code;
    return 0;
}

static int scan_raw(struct scanner *scanner, struct token *out)
{
    const char *source = scanner->template->source, *start = source + scanner->at + 1;
    const char *end = strchr(start, '`');

    if (!end)
        return template_complain(scanner->template, scanner->at, scanner->err,
                                 "unterminated raw quoted string");
    scanner->at = (size_t)(end + 1 - source);
    out->kind = TOKEN_STRING;
    out->text = template_take_text(scanner->template, start, (size_t)(end - start));
    return 0;
}

static int scan_number(struct scanner *scanner, struct token *out)
{
    const char *source = scanner->template->source;
    size_t start = scanner->at;

    if (strchr("+-", source[scanner->at]))
        scanner->at++;
    while (is_word_character(source[scanner->at]) || source[scanner->at] == '.' ||
           (source[scanner->at] && strchr("+-", source[scanner->at]) &&
            strchr("eEpP", source[scanner->at - 1])))
        scanner->at++;
    out->kind = TOKEN_NUMBER;
    out->text = template_take_text(scanner->template, source + start, scanner->at - start);
    return 0;
}

static int scan_parenthesis(struct scanner *scanner, struct token *out)
{
    out->kind = scanner->template->source[scanner->at] == '(' ? TOKEN_OPEN : TOKEN_CLOSE;
    scanner->parentheses += out->kind == TOKEN_OPEN ? 1 : -1;
    if (scanner->parentheses < 0)
        return template_complain(scanner->template, scanner->at, scanner->err,
                                 "unexpected right paren");
    scanner->at++;
    return 0;
}

static int scan_mark(struct scanner *scanner, struct token *out)
{
    static const struct {
        const char *text;
        enum token_kind kind;
    } marks[] = {
        { "|", TOKEN_PIPE },
        { ",", TOKEN_COMMA },
        { ":=", TOKEN_DECLARE },
        { "=", TOKEN_ASSIGN },
    };

    for (size_t i = 0; i < COUNT(marks); i++) {
        if (!starts(scanner, marks[i].text))
            continue;
        scanner->at += strlen(marks[i].text);
        out->kind = marks[i].kind;
        return 0;
    }
    uint32_t code;
    const char *at = scanner->template->source + scanner->at;
    size_t size = utf8_decode(at, scanner->size - scanner->at, &code);
    return template_complain(scanner->template, scanner->at, scanner->err,
                             "unexpected \"%.*s\" in %s", (int)size, at,
                             out->after_space ? "command" : "operand");
}

/* The end of an action, with or without trimming. */
static bool scan_right(struct scanner *scanner, struct token *out)
{
    const char *at = scanner->template->source + scanner->at;
    bool trims = out->after_space && strncmp(at, "-}}", 3) == 0;

    if (!trims && strncmp(at, "}}", 2) != 0)
        return false;
    scanner->at += trims ? 3 : 2;
    scanner->trims_next = trims;
    scanner->is_inside = false;
    out->kind = TOKEN_RIGHT;
    return true;
}

static int scan_inside(struct scanner *scanner, struct token *out)
{
    const char *source = scanner->template->source;
    char c = source[scanner->at], next = c ? source[scanner->at + 1] : 0;

    if (!c)
        return template_complain(scanner->template, scanner->at, scanner->err, "unclosed action");
    if (c == '"' || c == '\'')
        return scan_quoted(scanner, c, out);
    if (c == '`')
        return scan_raw(scanner, out);
    if (isdigit((unsigned char)c) || (strchr("+-", c) && isdigit((unsigned char)next)))
        return scan_number(scanner, out);
    if (c == '(' || c == ')')
        return scan_parenthesis(scanner, out);
    if (c == '.' || c == '$') {
        scanner->at++;
        skip_word(scanner);
        out->kind = c == '$'                        ? TOKEN_VARIABLE
                    : scanner->at == out->start + 1 ? TOKEN_DOT
                                                    : TOKEN_FIELD;
        return 0;
    }
    if (is_word_character(c)) {
        skip_word(scanner);
        out->kind = TOKEN_WORD;
        return 0;
    }
    return scan_mark(scanner, out);
}

int scan_token(struct scanner *scanner, struct token *out)
{
    int result = 0;

    *out = (struct token){ .start = scanner->at };
    if (!scanner->is_inside) {
        result = scan_outside(scanner, out);
    } else {
        while (is_blank(scanner->template->source[scanner->at])) {
            out->after_space = true;
            scanner->at++;
        }
        out->start = scanner->at;
        if (!scan_right(scanner, out))
            result = scan_inside(scanner, out);
        else if (scanner->parentheses)
            result = template_complain(scanner->template, out->start, scanner->err,
                                       "unclosed left paren");
    }
    out->end = scanner->at;
    return result;
}
