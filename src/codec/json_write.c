/* Writing JSON as Go's encoding/json does. */
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "codec/json.h"

#include "base/banned.h"

/* Bytes of the UTF-8 character at 'text', 0 if it is none (overlong, surrogate, cut, out of range).
 */
static size_t character_size(const unsigned char *text, size_t left)
{
    static const struct {
        unsigned char low, high, second_low, second_high;
        size_t size;
    } forms[] = {
        { 0xC2, 0xDF, 0x80, 0xBF, 2 }, { 0xE0, 0xE0, 0xA0, 0xBF, 3 }, { 0xE1, 0xEC, 0x80, 0xBF, 3 },
        { 0xED, 0xED, 0x80, 0x9F, 3 }, { 0xEE, 0xEF, 0x80, 0xBF, 3 }, { 0xF0, 0xF0, 0x90, 0xBF, 4 },
        { 0xF1, 0xF3, 0x80, 0xBF, 4 }, { 0xF4, 0xF4, 0x80, 0x8F, 4 },
    };

    if (text[0] < 0x80)
        return 1;
    for (size_t i = 0; i < COUNT(forms); i++) {
        if (text[0] < forms[i].low || text[0] > forms[i].high || left < forms[i].size)
            continue;
        if (text[1] < forms[i].second_low || text[1] > forms[i].second_high)
            return 0;
        for (size_t b = 2; b < forms[i].size; b++)
            if ((text[b] & 0xC0) != 0x80)
                return 0;
        return forms[i].size;
    }
    return 0;
}

static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&';
}

void json_quote(struct str *out, const char *text, size_t length)
{
    const unsigned char *at = (const unsigned char *)text;

    str_add_char(out, '"');
    for (size_t i = 0; i < length;) {
        size_t run = i;

        while (run < length && is_plain(at[run]))
            run++;
        if (run > i) {
            str_add_bytes(out, at + i, run - i);
            i = run;
            continue;
        }
        size_t size = character_size(at + i, length - i);
        if (size == 0) {
            str_add(out, "\\ufffd");
            size = 1;
        } else if (size == 3 && at[i] == 0xE2 && at[i + 1] == 0x80 && (at[i + 2] & 0xFE) == 0xA8) {
            str_add(out, at[i + 2] == 0xA8 ? "\\u2028" : "\\u2029");
        } else if (size > 1) {
            str_add_bytes(out, at + i, size);
        } else if (at[i] == '"' || at[i] == '\\') {
            str_add_char(out, '\\');
            str_add_char(out, (char)at[i]);
        } else if (at[i] == '\n' || at[i] == '\r' || at[i] == '\t') {
            str_add(out, at[i] == '\n' ? "\\n" : at[i] == '\r' ? "\\r" : "\\t");
        } else if (at[i] == '\b' || at[i] == '\f') {
            str_add(out, at[i] == '\b' ? "\\b" : "\\f");
        } else {
            str_add_format(out, "\\u%04x", at[i]);
        }
        i += size;
    }
    str_add_char(out, '"');
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

void json_add_raw(struct json_writer *w, const char *key, const char *json)
{
    lead(w, key);
    str_add(w->out, json);
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

void json_add_texts(struct json_writer *w, const char *key, const struct map *value)
{
    if (!value->entries) {
        json_add_null(w, key);
        return;
    }
    CLEANUP(free) const struct map_entry **sorted = xcalloc(value->count + 1, sizeof(*sorted));
    for (size_t i = 0; i < value->count; i++)
        sorted[i] = &value->entries[i];
    qsort(sorted, value->count, sizeof(*sorted), by_key);
    json_begin_dict(w, key);
    for (size_t i = 0; i < value->count; i++)
        json_add_text(w, sorted[i]->key, sorted[i]->value);
    json_end_dict(w);
}

static void write_double(struct str *out, double value)
{
    char text[40];

    /* The shortest form that reads back as the same number. */
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    str_add(out, text);
}

static void write_value(const struct json *value, int spaces, int depth, struct str *out);

static void new_line(struct str *out, int spaces, int depth)
{
    if (spaces)
        str_add_format(out, "\n%*s", spaces * depth, "");
}

static void write_members(const struct json *value, int spaces, int depth, struct str *out)
{
    bool is_dict = json_type(value) == JSON_DICT;
    size_t count = json_count(value);

    str_add_char(out, is_dict ? '{' : '[');
    for (size_t i = 0; i < count; i++) {
        if (i)
            str_add_char(out, ',');
        new_line(out, spaces, depth + 1);
        if (is_dict) {
            const char *key = json_key_at(value, i);

            json_quote(out, key, strlen(key));
            str_add(out, spaces ? ": " : ":");
        }
        write_value(json_at(value, i), spaces, depth + 1, out);
    }
    if (count)
        new_line(out, spaces, depth);
    str_add_char(out, is_dict ? '}' : ']');
}

static void write_value(const struct json *value, int spaces, int depth, struct str *out)
{
    switch (json_type(value)) {
    case JSON_NULL:
        str_add(out, "null");
        break;
    case JSON_FALSE:
        str_add(out, "false");
        break;
    case JSON_TRUE:
        str_add(out, "true");
        break;
    case JSON_INTEGER:
        str_add_format(out, "%" PRId64, json_to_int64(value));
        break;
    case JSON_REAL:
        write_double(out, json_to_double(value));
        break;
    case JSON_TEXT:
        json_quote(out, json_text(value), strlen(json_text(value)));
        break;
    case JSON_LIST:
    case JSON_DICT:
        write_members(value, spaces, depth, out);
        break;
    }
}

void json_write(const struct json *value, struct str *out)
{
    write_value(value, 0, 0, out);
}

void json_write_indented(const struct json *value, int spaces, struct str *out)
{
    write_value(value, spaces, 0, out);
}
