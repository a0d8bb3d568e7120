/* Functions of templates that make text: Docker's (json, split, pad, …) and Go's (printf, html, …).
 */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "codec/template_tree.h"
#include "codec/utf8.h"

#include "base/banned.h"

/* Widths and precisions beyond this are a mistake (or an attack). */
enum { WIDTH_LIMIT = 1000, COUNT_LIMIT = 1 << 20 };

static bool is_text(const struct value *value, struct error *err)
{
    if (value->kind != VALUE_TEXT)
        error_set(err, ERROR_INVALID, "wrong type for value; expected string");
    return value->kind == VALUE_TEXT;
}

static bool is_count(const struct value *value, struct error *err)
{
    if (value->kind != VALUE_INTEGER)
        error_set(err, ERROR_INVALID, "wrong type for value; expected int");
    else if (value->integer < 0 || value->integer > COUNT_LIMIT)
        error_set(err, ERROR_INVALID, "%lld is out of range", (long long)value->integer);
    else
        return true;
    return false;
}

static int call_json(struct scrap *scrap, const struct value *values, size_t count UNUSED,
                     struct value *out, struct error *err UNUSED)
{
    struct str text = {};

    value_write_json(&values[0], &text);
    *out = value_from_text(scrap, str_take(&text));
    return 0;
}

static int call_split(struct scrap *scrap, const struct value *values, size_t count UNUSED,
                      struct value *out, struct error *err)
{
    struct str list = {};
    const char *text = values[0].text, *separator = values[1].text;

    if (!is_text(&values[0], err) || !is_text(&values[1], err))
        return -1;
    str_add_char(&list, '[');
    for (bool is_first = true;; is_first = false) {
        const char *end = strstr(text, separator);

        if (!*separator && !*text)
            break;
        if (!*separator) { /* between characters */
            uint32_t code;

            end = text + utf8_decode(text, strlen(text), &code);
        }
        if (!is_first)
            str_add_char(&list, ',');
        json_quote_plain(&list, text, end ? (size_t)(end - text) : strlen(text));
        if (!end)
            break;
        text = end + strlen(separator);
    }
    str_add_char(&list, ']');
    *out = value_from_list(scrap, str_take(&list));
    return 0;
}

static int call_join(struct scrap *scrap, const struct value *values, size_t count UNUSED,
                     struct value *out, struct error *err)
{
    struct str text = {};

    if (!is_text(&values[1], err))
        return -1;
    if (values[0].kind != VALUE_NIL && json_type(values[0].json) != JSON_LIST)
        return error_set(err, ERROR_INVALID, "wrong type for value; expected []string");
    for (size_t i = 0; i < json_count(values[0].json); i++) {
        struct value item = value_from_json(json_at(values[0].json, i));

        if (i)
            str_add(&text, values[1].text);
        value_print(&item, &text);
    }
    *out = value_from_text(scrap, str_take(&text));
    return 0;
}

/* Letters beyond ASCII stay as they are. */
static int change_case(struct scrap *scrap, const struct value *value, char mode, struct value *out,
                       struct error *err)
{
    const char *text = value->text;

    if (!is_text(value, err))
        return -1;
    char *changed = xstrdup(text);
    for (size_t i = 0; changed[i]; i++) {
        unsigned char c = (unsigned char)changed[i];
        bool is_start = i == 0 || isspace((unsigned char)text[i - 1]) ||
                        (!isalnum((unsigned char)text[i - 1]) &&
                         (unsigned char)text[i - 1] < 0x80 && !strchr("_'", text[i - 1]));

        if (c < 0x80 && mode == 'l')
            changed[i] = (char)tolower(c);
        else if (c < 0x80 && (mode == 'u' || is_start))
            changed[i] = (char)toupper(c);
    }
    *out = value_from_text(scrap, changed);
    return 0;
}

static int call_lower(struct scrap *scrap, const struct value *values, size_t count UNUSED,
                      struct value *out, struct error *err)
{
    return change_case(scrap, &values[0], 'l', out, err);
}

static int call_upper(struct scrap *scrap, const struct value *values, size_t count UNUSED,
                      struct value *out, struct error *err)
{
    return change_case(scrap, &values[0], 'u', out, err);
}

static int call_title(struct scrap *scrap, const struct value *values, size_t count UNUSED,
                      struct value *out, struct error *err)
{
    return change_case(scrap, &values[0], 't', out, err);
}

/* Spaces before and behind; nothing around nothing. */
static int call_pad(struct scrap *scrap, const struct value *values, size_t count UNUSED,
                    struct value *out, struct error *err)
{
    if (!is_text(&values[0], err) || !is_count(&values[1], err) || !is_count(&values[2], err))
        return -1;
    const char *text = values[0].text;
    int before = *text ? (int)values[1].integer : 0, behind = *text ? (int)values[2].integer : 0;
    *out = value_from_text(scrap, xasprintf("%*s%s%*s", before, "", text, behind, ""));
    return 0;
}

static int call_truncate(struct scrap *scrap, const struct value *values, size_t count UNUSED,
                         struct value *out, struct error *err)
{
    if (!is_text(&values[0], err) || !is_count(&values[1], err))
        return -1;
    size_t length = MIN((size_t)values[1].integer, strlen(values[0].text));
    *out = value_from_text(scrap, xstrndup(values[0].text, length));
    return 0;
}

/* ---- print */

/* Sprint puts a space between two values when neither is a text, Sprintln always. */
static int call_print(struct scrap *scrap, const struct value *values, size_t count,
                      struct value *out, struct error *err UNUSED)
{
    struct str text = {};

    for (size_t i = 0; i < count; i++) {
        if (i && values[i].kind != VALUE_TEXT && values[i - 1].kind != VALUE_TEXT)
            str_add_char(&text, ' ');
        value_print(&values[i], &text);
    }
    *out = value_from_text(scrap, str_take(&text));
    return 0;
}

static int call_println(struct scrap *scrap, const struct value *values, size_t count,
                        struct value *out, struct error *err UNUSED)
{
    struct str text = {};

    for (size_t i = 0; i < count; i++) {
        if (i)
            str_add_char(&text, ' ');
        value_print(&values[i], &text);
    }
    str_add_char(&text, '\n');
    *out = value_from_text(scrap, str_take(&text));
    return 0;
}

struct verb {
    char flags[8];
    int width, precision; /* -1: none */
    char letter;
};

static int read_limited(const char **at)
{
    int number = 0;

    for (; isdigit((unsigned char)**at); ++*at)
        number = MIN(number * 10 + (**at - '0'), WIDTH_LIMIT);
    return number;
}

static struct verb read_verb(const char **at)
{
    struct verb verb = { .width = -1, .precision = -1 };
    size_t flags = 0;

    for (; **at && strchr("+-# 0", **at); ++*at)
        if (flags < sizeof(verb.flags) - 1)
            verb.flags[flags++] = **at;
    if (isdigit((unsigned char)**at))
        verb.width = read_limited(at);
    if (**at == '.') {
        ++*at;
        verb.precision = read_limited(at);
    }
    verb.letter = **at;
    if (**at)
        ++*at;
    return verb;
}

/* Widths count characters. */
static void add_padded(const struct verb *verb, const char *text, size_t size, struct str *out)
{
    size_t length = utf8_length(text, size);
    size_t spaces = verb->width > 0 && (size_t)verb->width > length ? (size_t)verb->width - length
                                                                    : 0;
    bool is_left = strchr(verb->flags, '-');

    str_add_format(out, "%*s", is_left ? 0 : (int)spaces, "");
    str_add_bytes(out, text, size);
    str_add_format(out, "%*s", is_left ? (int)spaces : 0, "");
}

static void print_number(const struct verb *verb, const struct value *value, struct str *out)
{
    char precision[16] = "", format[48];
    bool is_integer = value->kind == VALUE_INTEGER;
    char letter = verb->letter == 'v' ? (is_integer ? 'd' : 'g') : verb->letter;

    if (verb->precision >= 0)
        snprintf(precision, sizeof(precision), ".%d", verb->precision);
    snprintf(format, sizeof(format), "%%%s%.0d%s%s%c", verb->flags, MAX(verb->width, 0), precision,
             is_integer ? "ll" : "", letter);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    if (is_integer)
        str_add_format(out, format, (long long)value->integer);
    else
        str_add_format(out, format, value->real);
#pragma GCC diagnostic pop
}

static void print_text(const struct verb *verb, const struct value *value, struct str *out)
{
    CLEANUP(str_done) struct str text = {};
    CLEANUP(str_done) struct str quoted = {};

    value_print(value, &text);
    size_t size = text.length;
    if (verb->precision >= 0 && verb->letter != 'v') {
        uint32_t code;
        size_t cut = 0;

        for (int i = 0; i < verb->precision && cut < size; i++)
            cut += utf8_decode(text.data + cut, size - cut, &code);
        size = cut;
    }
    if (verb->letter == 'q') {
        json_quote_plain(&quoted, str_text(&text), size);
        add_padded(verb, quoted.data, quoted.length, out);
    } else if (verb->letter == 'x' || verb->letter == 'X') {
        for (size_t i = 0; i < size; i++)
            str_add_format(&quoted, verb->letter == 'x' ? "%02x" : "%02X",
                           (unsigned char)text.data[i]);
        add_padded(verb, str_text(&quoted), quoted.length, out);
    } else {
        add_padded(verb, str_text(&text), size, out);
    }
}

static const char *type_name(const struct value *value)
{
    static const char *const names[] = { "nil", "bool", "int", "float64", "string", "map" };

    if (value->kind == VALUE_JSON && json_type(value->json) == JSON_LIST)
        return "[]interface {}";
    return value->kind == VALUE_JSON ? "map[string]interface {}" : names[value->kind];
}

/* False if the verb does not go with the value. */
static bool print_verb(const struct verb *verb, const struct value *value, struct str *out)
{
    const char *letters = value->kind == VALUE_INTEGER ? "dxXo"
                          : value->kind == VALUE_REAL  ? "fFgGeE"
                                                       : "";
    char character[4];

    if (verb->letter == 'T') {
        add_padded(verb, type_name(value), strlen(type_name(value)), out);
    } else if (verb->letter == 'c' && value->kind == VALUE_INTEGER && value->integer > 0 &&
               value->integer <= 0x10ffff) {
        add_padded(verb, character, utf8_put((uint32_t)value->integer, character), out);
    } else if (strchr(letters, verb->letter) ||
               (verb->letter == 'v' && value->kind == VALUE_INTEGER)) {
        print_number(verb, value, out);
    } else if (verb->letter == 'v' || (verb->letter == 't' && value->kind == VALUE_BOOL) ||
               (strchr("sqxX", verb->letter) &&
                (value->kind == VALUE_TEXT || value->kind == VALUE_JSON))) {
        print_text(verb, value, out);
    } else {
        return false;
    }
    return true;
}

static void print_wrong(const struct verb *verb, const struct value *value, struct str *out)
{
    str_add_format(out, "%%!%c(", verb->letter);
    if (!value) {
        str_cut(out, out->length - 1);
        str_add(out, "(MISSING)");
        return;
    }
    if (value->kind == VALUE_NIL) {
        str_add(out, "<nil>)");
        return;
    }
    str_add_format(out, "%s=", type_name(value));
    value_print(value, out);
    str_add_char(out, ')');
}

static void print_extra(const struct value *values, size_t count, struct str *out)
{
    for (size_t i = 0; i < count; i++) {
        str_add_format(out, "%s%s=", i ? ", " : "%!(EXTRA ", type_name(&values[i]));
        value_print(&values[i], out);
    }
    if (count)
        str_add_char(out, ')');
}

static int call_printf(struct scrap *scrap, const struct value *values, size_t count,
                       struct value *out, struct error *err)
{
    struct str text = {};
    const char *at = values[0].text;
    size_t used = 1;

    if (!is_text(&values[0], err))
        return -1;
    while (*at) {
        if (*at != '%') {
            str_add_char(&text, *at++);
            continue;
        }
        at++;
        struct verb verb = read_verb(&at);
        if (verb.letter == '%')
            str_add_char(&text, '%');
        else if (!verb.letter)
            str_add(&text, "%!(NOVERB)");
        else if (used >= count)
            print_wrong(&verb, NULL, &text);
        else if (!print_verb(&verb, &values[used++], &text))
            print_wrong(&verb, &values[used - 1], &text);
    }
    print_extra(values + used, count - MIN(used, count), &text);
    *out = value_from_text(scrap, str_take(&text));
    return 0;
}

/* ---- escaping */

static void escape_html(unsigned char c, struct str *out)
{
    const char *name = c == '"'    ? "&#34;"
                       : c == '\'' ? "&#39;"
                       : c == '&'  ? "&amp;"
                       : c == '<'  ? "&lt;"
                       : c == '>'  ? "&gt;"
                                   : NULL;

    if (name)
        str_add(out, name);
    else
        str_add_char(out, (char)c);
}

static void escape_js(unsigned char c, struct str *out)
{
    if (strchr("\\'\"", c) && c)
        str_add_format(out, "\\%c", c);
    else if (c < 0x20 || strchr("<>&=", c))
        str_add_format(out, "\\u%04X", c);
    else
        str_add_char(out, (char)c);
}

static void escape_url(unsigned char c, struct str *out)
{
    if ((c < 0x80 && isalnum(c)) || (c && strchr("-_.~", c)))
        str_add_char(out, (char)c);
    else if (c == ' ')
        str_add_char(out, '+');
    else
        str_add_format(out, "%%%02X", c);
}

static int escape(struct scrap *scrap, const struct value *values, size_t count,
                  void (*each)(unsigned char c, struct str *out), struct value *out,
                  struct error *err)
{
    struct value whole;
    struct str text = {};

    if (call_print(scrap, values, count, &whole, err) < 0)
        return -1;
    for (const char *at = whole.text; *at; at++)
        each((unsigned char)*at, &text);
    *out = value_from_text(scrap, str_take(&text));
    return 0;
}

static int call_html(struct scrap *scrap, const struct value *values, size_t count,
                     struct value *out, struct error *err)
{
    return escape(scrap, values, count, escape_html, out, err);
}

static int call_js(struct scrap *scrap, const struct value *values, size_t count, struct value *out,
                   struct error *err)
{
    return escape(scrap, values, count, escape_js, out, err);
}

static int call_urlquery(struct scrap *scrap, const struct value *values, size_t count,
                         struct value *out, struct error *err)
{
    return escape(scrap, values, count, escape_url, out, err);
}

/* clang-format off */
const struct template_function template_text_functions[] = {
    { "html",     0, TEMPLATE_ANY, call_html     },
    { "join",     2, 2,            call_join     },
    { "js",       0, TEMPLATE_ANY, call_js       },
    { "json",     1, 1,            call_json     },
    { "lower",    1, 1,            call_lower    },
    { "pad",      3, 3,            call_pad      },
    { "print",    0, TEMPLATE_ANY, call_print    },
    { "printf",   1, TEMPLATE_ANY, call_printf   },
    { "println",  0, TEMPLATE_ANY, call_println  },
    { "split",    2, 2,            call_split    },
    { "title",    1, 1,            call_title    },
    { "truncate", 2, 2,            call_truncate },
    { "upper",    1, 1,            call_upper    },
    { "urlquery", 0, TEMPLATE_ANY, call_urlquery },
    {},
};
/* clang-format on */
