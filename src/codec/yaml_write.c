/* The text forms. Which quotes a text gets follows yaml.v3: plain where it reads back as the same
 * text, double quotes where plain would mean something else, single ones where plain is no YAML, a
 * literal block for lines. */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "codec/json.h"
#include "codec/regex.h"
#include "codec/utf8.h"
#include "codec/yaml.h"

#include "base/banned.h"

enum style { STYLE_PLAIN, STYLE_SINGLE, STYLE_DOUBLE, STYLE_LITERAL };

/* What YAML 1.1 readers would take for something else than a text. */
static const char old_meanings[] =
    "^([yYnN]|yes|Yes|YES|on|On|ON|no|No|NO|off|Off|OFF"
    "|[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\\.[0-9_]*)?"
    "|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}"
    "([Tt ][0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}(\\.[0-9]+)?( ?(Z|[-+][0-9]{2}(:?[0-9]{2})?))?)?)$";

static bool means_more_than_text(const char *text)
{
    int64_t integer;
    double real;
    bool boolean;

    if (yaml_resolve(text, &integer, &real, &boolean) != YAML_TEXT)
        return true;

    struct error err;
    CLEANUP(regex_free) struct regex *old = regex_new(old_meanings, &err);
    return regex_matches(old, text);
}

static bool is_space_or_end(char c)
{
    return !c || c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Characters that only double quotes can carry. */
static bool has_special(const char *text)
{
    for (const unsigned char *at = (const unsigned char *)text; *at; at++)
        if ((*at < 0x20 && *at != '\n') || *at == 0x7f)
            return true;
    return strstr(text, " \n") || strstr(text, "\xef\xbb\xbf") || strstr(text, "\xc2\x85");
}

static bool is_plain(const char *text)
{
    size_t length = strlen(text);

    if (text_starts(text, "---") || text_starts(text, "..."))
        return false;
    if (strchr("#,[]{}&*!|>'\"%@`", text[0]))
        return false;
    if (strchr("-?:", text[0]) && is_space_or_end(text[1]))
        return false;
    if (text[0] == ' ' || text[length - 1] == ' ')
        return false;
    for (size_t i = 1; i < length; i++)
        if ((text[i] == ':' && is_space_or_end(text[i + 1])) ||
            (text[i] == '#' && is_space_or_end(text[i - 1])))
            return false;
    return true;
}

static enum style style_of(const char *text, bool is_key)
{
    if (strchr(text, '\n'))
        return has_special(text) || is_key ? STYLE_DOUBLE : STYLE_LITERAL;
    if (has_special(text) || means_more_than_text(text))
        return STYLE_DOUBLE;
    return is_plain(text) ? STYLE_PLAIN : STYLE_SINGLE;
}

static void write_double(const char *text, struct str *out)
{
    static const char named[] = "\a\b\t\n\v\f\r\x1b\"\\", letters[] = "abtnvfre\"\\";

    str_add_char(out, '"');
    for (const char *at = text; *at; at++) {
        const char *known = strchr(named, *at);

        if (known)
            str_add_format(out, "\\%c", letters[known - named]);
        else if ((unsigned char)*at < 0x20 || *at == 0x7f)
            str_add_format(out, "\\x%02X", (unsigned char)*at);
        else
            str_add_char(out, *at);
    }
    str_add_char(out, '"');
}

static void write_single(const char *text, struct str *out)
{
    str_add_char(out, '\'');
    for (; *text; text++) {
        if (*text == '\'')
            str_add_char(out, '\'');
        str_add_char(out, *text);
    }
    str_add_char(out, '\'');
}

static void indent_to(int depth, struct str *out)
{
    for (int i = 0; i < depth; i++)
        str_add(out, "  ");
}

static void write_literal(const char *text, int depth, struct str *out)
{
    size_t length = strlen(text);

    str_add_char(out, '|');
    if (text[0] == ' ' || text[0] == '\n')
        str_add_char(out, '2');
    if (text[length - 1] != '\n')
        str_add_char(out, '-');
    else if (length == 1 || text[length - 2] == '\n')
        str_add_char(out, '+');
    for (const char *line = text; *line;) {
        size_t size = strcspn(line, "\n");

        str_add_char(out, '\n');
        if (size)
            indent_to(depth, out);
        str_add_bytes(out, line, size);
        line += size + (line[size] == '\n');
    }
}

static void write_text(const char *text, int depth, bool is_key, struct str *out)
{
    switch (style_of(text, is_key)) {
    case STYLE_PLAIN:
        str_add(out, text);
        break;
    case STYLE_SINGLE:
        write_single(text, out);
        break;
    case STYLE_DOUBLE:
        write_double(text, out);
        break;
    case STYLE_LITERAL:
        write_literal(text, depth, out);
        break;
    }
}

/* The shortest text that reads back as the same number; no exponent below 1e21, as Go has it. */
static void write_real(double value, struct str *out)
{
    char text[40];
    int digits = 0;
    double again;

    do {
        snprintf(text, sizeof(text), "%.*e", digits, value);
        again = strtod(text, NULL);
    } while (((again < value) || (again > value)) && digits++ < 16);
    int exponent = strchr(text, 'e') ? (int)strtol(strchr(text, 'e') + 1, NULL, 10) : 0;
    if (exponent >= -5 && exponent < 21)
        str_add_format(out, "%.*f", MAX(digits - exponent, 0), value);
    else
        str_add(out, text);
}

static void write_scalar(const struct yaml *node, int depth, struct str *out)
{
    switch (node->kind) {
    case YAML_BOOL:
        str_add(out, node->boolean ? "true" : "false");
        break;
    case YAML_INTEGER:
        str_add_format(out, "%lld", (long long)node->integer);
        break;
    case YAML_REAL:
        write_real(node->real, out);
        break;
    case YAML_TEXT:
        write_text(node->text, depth, false, out);
        break;
    default:
        str_add(out, "null");
        break;
    }
}

/* Lists and dicts that have members begin on a line of their own, unless they open an item of a
 * list. */
static void write_block(const struct yaml *node, int depth, bool opens_item, struct str *out)
{
    for (size_t i = 0; i < node->count; i++) {
        const struct yaml *item = node->items[i];

        if (i > 0 || !opens_item)
            indent_to(depth, out);
        if (node->kind == YAML_LIST) {
            str_add(out, "- ");
        } else {
            write_text(node->keys[i], depth, true, out);
            str_add_char(out, ':');
        }
        if (item->kind >= YAML_LIST && item->count) {
            if (node->kind == YAML_DICT)
                str_add_char(out, '\n');
            write_block(item, depth + 1, node->kind == YAML_LIST, out);
            continue;
        }
        if (node->kind == YAML_DICT)
            str_add_char(out, ' ');
        if (item->kind >= YAML_LIST)
            str_add(out, item->kind == YAML_LIST ? "[]" : "{}");
        else
            write_scalar(item, depth + 1, out);
        str_add_char(out, '\n');
    }
}

void yaml_write(const struct yaml *node, struct str *out)
{
    if (node->kind >= YAML_LIST && node->count) {
        write_block(node, 0, false, out);
        return;
    }
    if (node->kind >= YAML_LIST)
        str_add(out, node->kind == YAML_LIST ? "[]" : "{}");
    else
        write_scalar(node, 0, out);
    str_add_char(out, '\n');
}

void yaml_write_json(const struct yaml *node, struct str *out)
{
    switch (node->kind) {
    case YAML_TEXT:
        json_quote(out, node->text, strlen(node->text));
        break;
    case YAML_LIST:
    case YAML_DICT:
        str_add_char(out, node->kind == YAML_LIST ? '[' : '{');
        for (size_t i = 0; i < node->count; i++) {
            if (i > 0)
                str_add_char(out, ',');
            if (node->kind == YAML_DICT) {
                json_quote(out, node->keys[i], strlen(node->keys[i]));
                str_add_char(out, ':');
            }
            yaml_write_json(node->items[i], out);
        }
        str_add_char(out, node->kind == YAML_LIST ? ']' : '}');
        break;
    default:
        write_scalar(node, 0, out);
        break;
    }
}
