/* Writing JSON as Go's encoding/json does. */
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "codec/json_repair.h"
#include "codec/json_table.h"
#include "codec/utf8.h"

#include "base/banned.h"

/* Bytes that stand for themselves: in any text, and where HTML's are to be escaped. */
enum { IN_TEXT = 1, IN_HTML = 2, IN_BOTH = IN_TEXT | IN_HTML };
static const unsigned char plain[256] = {
    [' '] = IN_BOTH,          ['!'] = IN_BOTH,          ['#' ... '%'] = IN_BOTH, ['&'] = IN_TEXT,
    ['\'' ... ';'] = IN_BOTH, ['<'] = IN_TEXT,          ['='] = IN_BOTH,         ['>'] = IN_TEXT,
    ['?' ... '['] = IN_BOTH,  [']' ... 0x7f] = IN_BOTH,
};

static void quote_character(struct str *out, const char *text, uint32_t code, size_t size)
{
    static const char special[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    const char *found = code && code < 0x80 ? strchr(special, (int)code) : NULL;

    if (code == UTF8_REPLACEMENT && size == 1)
        str_add(out, "\\ufffd");
    else if (found)
        str_add_format(out, "\\%c", letters[found - special]);
    else if (code < 0x80 || code == 0x2028 || code == 0x2029)
        str_add_format(out, "\\u%04x", code);
    else
        str_add_bytes(out, text, size);
}

static void quote(struct str *out, const char *text, size_t length, bool escape_html)
{
    unsigned char wanted = escape_html ? IN_HTML : IN_TEXT;

    str_reserve(out, length + 2);
    str_add_char(out, '"');
    for (size_t i = 0; i < length;) {
        size_t run = i;
        uint32_t code;

        while (run < length && (plain[(unsigned char)text[run]] & wanted))
            run++;
        str_add_bytes(out, text + i, run - i);
        i = run;
        if (i == length)
            break;
        size_t size = utf8_decode(text + i, length - i, &code);
        quote_character(out, text + i, code, size);
        i += size;
    }
    str_add_char(out, '"');
}

void json_quote(struct str *out, const char *text, size_t length)
{
    quote(out, text, length, true);
}

void json_quote_plain(struct str *out, const char *text, size_t length)
{
    quote(out, text, length, false);
}

/* Comma and key in front of a value. */
static void lead(struct json_writer *w, const char *key)
{
    if (w->needs_comma)
        str_add_char(w->out, ',');
    w->needs_comma = true;
    if (!key)
        return;
    json_quote(w->out, key, strlen(key));
    str_add_char(w->out, ':');
}

static void begin(struct json_writer *w, const char *key, char bracket)
{
    lead(w, key);
    str_add_char(w->out, bracket);
    w->needs_comma = false;
}

static void end(struct json_writer *w, char bracket)
{
    str_add_char(w->out, bracket);
    w->needs_comma = true;
}

void json_begin_dict(struct json_writer *w, const char *key)
{
    begin(w, key, '{');
}

void json_end_dict(struct json_writer *w)
{
    end(w, '}');
}

void json_begin_list(struct json_writer *w, const char *key)
{
    begin(w, key, '[');
}

void json_end_list(struct json_writer *w)
{
    end(w, ']');
}

void json_add_text(struct json_writer *w, const char *key, const char *value)
{
    lead(w, key);
    if (value)
        json_quote(w->out, value, strlen(value));
    else
        str_add(w->out, "null");
}

void json_add_text_format(struct json_writer *w, const char *key, const char *format, ...)
{
    CLEANUP(str_done) struct str text = {};
    va_list arguments;

    va_start(arguments, format);
    str_add_vformat(&text, format, arguments);
    va_end(arguments);
    json_add_text(w, key, str_text(&text));
}

void json_add_int64(struct json_writer *w, const char *key, int64_t value)
{
    lead(w, key);
    str_add_format(w->out, "%" PRId64, value);
}

void json_add_uint64(struct json_writer *w, const char *key, uint64_t value)
{
    lead(w, key);
    str_add_format(w->out, "%" PRIu64, value);
}

void json_add_bool(struct json_writer *w, const char *key, bool value)
{
    lead(w, key);
    str_add(w->out, value ? "true" : "false");
}

void json_add_null(struct json_writer *w, const char *key)
{
    lead(w, key);
    str_add(w->out, "null");
}

void json_add_time(struct json_writer *w, const char *key, int64_t wall_ns)
{
    char text[TIME_TEXT_SIZE];

    time_format(wall_ns, text);
    json_add_text(w, key, text);
}

void json_add_date(struct json_writer *w, const char *key, int64_t date_ns)
{
    char text[TIME_TEXT_SIZE];

    date_format(date_ns, text);
    json_add_text(w, key, text);
}

void json_add_raw(struct json_writer *w, const char *key, const char *json)
{
    lead(w, key);
    str_add(w->out, json);
}

void json_add_value(struct json_writer *w, const char *key, const struct json *value)
{
    lead(w, key);
    json_write(value, w->out);
}

void json_add_strv(struct json_writer *w, const char *key, const struct strv *value)
{
    if (!value->items) {
        json_add_null(w, key);
        return;
    }
    json_begin_list(w, key);
    for (size_t i = 0; i < value->count; i++)
        json_add_text(w, NULL, value->items[i]);
    json_end_list(w);
}

static int by_key(const void *a, const void *b)
{
    return strcmp((*(const struct map_entry *const *)a)->key,
                  (*(const struct map_entry *const *)b)->key);
}

const struct map_entry **json_sorted_entries(const struct map *map)
{
    const struct map_entry **sorted = xcalloc(map->count + 1, sizeof(*sorted));

    for (size_t i = 0; i < map->count; i++)
        sorted[i] = &map->entries[i];
    qsort(sorted, map->count, sizeof(*sorted), by_key);
    return sorted;
}

void json_add_texts(struct json_writer *w, const char *key, const struct map *value)
{
    if (!value->entries) {
        json_add_null(w, key);
        return;
    }
    CLEANUP(free) const struct map_entry **sorted = json_sorted_entries(value);
    json_begin_dict(w, key);
    for (size_t i = 0; i < value->count; i++)
        json_add_text(w, sorted[i]->key, sorted[i]->value);
    json_end_dict(w);
}

/* Go's form: the shortest digits that read back as the same number, with an exponent only below
 * 1e-6 and from 1e21 on. */
static void write_double(struct str *out, double value)
{
    char text[40];
    int digits = 1;

    if (!isfinite(value)) {
        str_add(out, "null");
        return;
    }
    for (; digits <= 17; digits++) {
        snprintf(text, sizeof(text), "%.*e", digits - 1, value);
        if (strtod(text, NULL) == value)
            break;
    }
    double size = fabs(value);
    char *exponent = strchr(text, 'e');
    int power = (int)strtol(exponent + 1, NULL, 10);
    if (size == 0 || (size >= 1e-6 && size < 1e21)) {
        str_add_format(out, "%.*f", MAX(digits - 1 - power, 0), value);
        return;
    }
    *exponent = 0;
    str_add_format(out, "%se%c%d", text, power < 0 ? '-' : '+', abs(power));
}

void json_add_double(struct json_writer *w, const char *key, double value)
{
    lead(w, key);
    write_double(w->out, value);
}

/* How a value is laid out: compact when 'spaces' is 0. */
struct layout {
    struct str *out;
    int spaces;
    bool escape_html;
};

static void write_value(const struct layout *layout, const struct json *value, int depth);

static void new_line(const struct layout *layout, int depth)
{
    if (layout->spaces)
        str_add_format(layout->out, "\n%*s", layout->spaces * depth, "");
}

static void write_list(const struct layout *layout, const struct json *list, int depth)
{
    size_t count = json_count(list);

    str_add_char(layout->out, '[');
    for (size_t i = 0; i < count; i++) {
        if (i)
            str_add_char(layout->out, ',');
        new_line(layout, depth + 1);
        write_value(layout, json_at(list, i), depth + 1);
    }
    if (count)
        new_line(layout, depth);
    str_add_char(layout->out, ']');
}

static void write_dict(const struct layout *layout, const struct json *dict, int depth)
{
    bool is_first = true;

    str_add_char(layout->out, '{');
    JSON_EACH (dict, key) {
        if (!is_first)
            str_add_char(layout->out, ',');
        is_first = false;
        new_line(layout, depth + 1);
        quote(layout->out, key, strlen(key), layout->escape_html);
        str_add(layout->out, layout->spaces ? ": " : ":");
        write_value(layout, json_key_value(key), depth + 1);
    }
    if (!is_first)
        new_line(layout, depth);
    str_add_char(layout->out, '}');
}

static void write_number(struct str *out, const struct json *value)
{
    if (json_large_number(value))
        str_add(out, json_large_number(value));
    else if (json_type(value) == JSON_INTEGER)
        str_add_format(out, "%" PRId64, json_to_int64(value));
    else
        write_double(out, json_to_double(value));
}

static void write_value(const struct layout *layout, const struct json *value, int depth)
{
    switch (json_type(value)) {
    case JSON_NULL:
        str_add(layout->out, "null");
        break;
    case JSON_FALSE:
        str_add(layout->out, "false");
        break;
    case JSON_TRUE:
        str_add(layout->out, "true");
        break;
    case JSON_INTEGER:
    case JSON_REAL:
        write_number(layout->out, value);
        break;
    case JSON_TEXT:
        quote(layout->out, json_text(value), strlen(json_text(value)), layout->escape_html);
        break;
    case JSON_LIST:
        write_list(layout, value, depth);
        break;
    case JSON_DICT:
        write_dict(layout, value, depth);
        break;
    }
}

void json_write(const struct json *value, struct str *out)
{
    write_value(&(struct layout){ .out = out, .escape_html = true }, value, 0);
}

void json_write_plain(const struct json *value, struct str *out)
{
    write_value(&(struct layout){ .out = out }, value, 0);
}

void json_write_indented(const struct json *value, int spaces, struct str *out)
{
    write_value(&(struct layout){ .out = out, .spaces = spaces }, value, 0);
}
