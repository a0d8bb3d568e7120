/* Tables as wide as their longest cell, three blanks between columns. */
#include "cli/format.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"

#include "base/banned.h"

enum { LEAST_WIDTH = 10, GAP = 3, COLUMN_LIMIT = 32 };

void row_begin(struct row *row)
{
    *row = (struct row){};
    row->writer.out = &row->text;
    json_begin_dict(&row->writer, NULL);
}

void row_add(struct row *row, const char *key, const char *value)
{
    row->writer.out = &row->text;
    json_add_text(&row->writer, key, value ? value : "");
}

struct json *row_finish(struct row *row)
{
    struct json *value = NULL;
    struct error err;

    row->writer.out = &row->text;
    json_end_dict(&row->writer);
    json_parse(row->text.data, row->text.length, &value, &err);
    str_done(&row->text);
    return value;
}

#define AGE_LIMIT_S (INT64_MAX / NS_PER_S)

char *format_ago(int64_t created_s)
{
    char text[64];

    if (created_s == date_seconds(DATE_NEVER))
        return xstrdup("N/A");
    int64_t age_s = clock_wall_ns() / NS_PER_S - created_s;
    duration_human(MAX(MIN(age_s, AGE_LIMIT_S), 0) * NS_PER_S, text, sizeof(text));
    return xasprintf("%s ago", text);
}

char *format_local_time(int64_t created_s)
{
    time_t when = (time_t)created_s;
    char text[64];
    struct tm tm;

    localtime_r(&when, &tm);
    strftime(text, sizeof(text), "-%m-%d %H:%M:%S %z %Z", &tm);
    return xasprintf("%04d%s", tm.tm_year + 1900, text);
}

char *format_local_rfc3339(int64_t created_s)
{
    time_t when = (time_t)created_s;
    char text[64], zone[64] = "Z";
    struct tm tm;

    localtime_r(&when, &tm);
    strftime(text, sizeof(text), "-%m-%dT%H:%M:%S", &tm);
    if (tm.tm_gmtoff)
        snprintf(zone, sizeof(zone), "%c%02ld:%02ld", tm.tm_gmtoff < 0 ? '-' : '+',
                 labs(tm.tm_gmtoff) / 3600, labs(tm.tm_gmtoff) / 60 % 60);
    return xasprintf("%04d%s%s", tm.tm_year + 1900, text, zone);
}

/* Characters, not bytes. */
static size_t width_of(const char *text)
{
    size_t width = 0;

    for (; *text; text++)
        width += ((unsigned char)*text & 0xC0) != 0x80;
    return width;
}

char *format_truncate(const char *text, size_t length)
{
    size_t bytes = 0, seen = 0;

    if (width_of(text) <= length)
        return xstrdup(text);
    while (seen < length - 1) {
        bytes++;
        while (((unsigned char)text[bytes] & 0xC0) == 0x80)
            bytes++;
        seen++;
    }
    return xasprintf("%.*s\xE2\x80\xA6", (int)bytes, text);
}

char *format_labels(const struct json *labels)
{
    CLEANUP(strv_done) struct strv parts = {};

    for (size_t i = 0; i < json_count(labels); i++)
        strv_add_format(&parts, "%s=%s", json_key_at(labels, i), json_text(json_at(labels, i)));
    strv_sort(&parts);
    return strv_join(&parts, ",");
}

char *format_short_id(const char *id)
{
    const char *hex = id ? strchr(id, ':') : NULL;

    return xstrndup(hex ? hex + 1 : id ? id : "", SHORT_ID_LENGTH);
}

/* {{.Label "x"}} */
static struct json *call_method(void *data UNUSED, const struct json *dot, const char *name,
                                const char *const *arguments, size_t count)
{
    CLEANUP(strv_done) struct strv parts = {};
    CLEANUP(str_done) struct str quoted = {};
    struct json *value = NULL;
    struct error ignored;
    const char *labels = json_text(json_get(dot, "Labels"));

    if (strcmp(name, "Label") != 0 || count != 1)
        return NULL;
    strv_split(&parts, labels ? labels : "", ',');
    const char *found = strv_env_get(&parts, arguments[0]);
    json_quote(&quoted, found ? found : "", found ? strlen(found) : 0);
    return json_parse(quoted.data, quoted.length, &value, &ignored) == 0 ? value : NULL;
}

static const struct template_methods methods = { .call = call_method };

/* The heading of {{.Label "x"}} is x. */
static struct json *call_heading(void *data UNUSED, const struct json *dot UNUSED, const char *name,
                                 const char *const *arguments, size_t count)
{
    CLEANUP(str_done) struct str quoted = {};
    struct json *value = NULL;
    struct error ignored;

    if (strcmp(name, "Label") != 0 || count != 1)
        return NULL;
    json_quote(&quoted, arguments[0], strlen(arguments[0]));
    return json_parse(quoted.data, quoted.length, &value, &ignored) == 0 ? value : NULL;
}

static const struct template_methods headings_methods = { .call = call_heading };

/* Whole rows are printed as the engine writes JSON: < > & escaped. */
static void print_json(struct json *const *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        CLEANUP(str_done) struct str text = {};

        json_write(rows[i], &text);
        puts(str_text(&text));
    }
}

/* "\t" and "\n" written out in an argument. */
static char *unescape(const char *text)
{
    struct str out = {};

    for (; *text; text++)
        if (text[0] == '\\' && (text[1] == 't' || text[1] == 'n'))
            str_add_char(&out, *++text == 't' ? '\t' : '\n');
        else
            str_add_char(&out, *text);
    return str_take(&out);
}

/* Pads the cells of a text whose lines are rows and whose tabs part columns. */
static void print_table(const char *text)
{
    CLEANUP(strv_done) struct strv lines = {};
    size_t widths[COLUMN_LIMIT] = {};

    strv_split(&lines, text, '\n');
    for (size_t i = 0; i < lines.count; i++) {
        CLEANUP(strv_done) struct strv cells = {};

        strv_split(&cells, lines.items[i], '\t');
        for (size_t c = 0; c + 1 < cells.count && c < COLUMN_LIMIT; c++)
            widths[c] = MAX(MAX(widths[c], width_of(cells.items[c]) + GAP), LEAST_WIDTH);
    }
    for (size_t i = 0; i < lines.count; i++) {
        CLEANUP(strv_done) struct strv cells = {};

        if (i + 1 == lines.count && !*lines.items[i])
            break; /* what follows the last newline */
        strv_split(&cells, lines.items[i], '\t');
        for (size_t c = 0; c < cells.count; c++) {
            fputs(cells.items[c], stdout);
            if (c + 1 < cells.count && c < COLUMN_LIMIT)
                printf("%*s", (int)(widths[c] - width_of(cells.items[c])), "");
        }
        putchar('\n');
    }
}

/* The first line of a table: the template, run on the headings. */
static int add_headings(const struct template *template, const struct format_column *columns,
                        struct str *out, struct error *err)
{
    struct row row;

    row_begin(&row);
    row_add(&row, "Labels", "");
    for (const struct format_column *column = columns; column->key; column++)
        row_add(&row, column->key, column->heading);
    CLEANUP(json_free) struct json *headings = row_finish(&row);
    if (template_run(template, headings, &headings_methods, out, err) < 0)
        return -1;
    str_add_char(out, '\n');
    return 0;
}

static char *default_template(const char *default_keys)
{
    CLEANUP(strv_done) struct strv keys = {};
    struct str text = {};

    strv_split(&keys, default_keys, ' ');
    for (size_t i = 0; i < keys.count; i++)
        str_add_format(&text, "%s{{.%s}}", i ? "\t" : "", keys.items[i]);
    return str_take(&text);
}

int format_rows(const char *format, const char *default_keys, const struct format_column *columns,
                struct json *const *rows, size_t count, struct error *err)
{
    CLEANUP(template_free) struct template *template = NULL;
    CLEANUP(str_done) struct str out = {};
    bool is_table = text_is_empty(format) || strcmp(format, "table") == 0 ||
                    text_starts(format, "table ");
    CLEANUP(free) char *text = NULL;

    if (text_equal(format, "json") || text_equal(format, "{{json .}}")) {
        print_json(rows, count);
        return 0;
    }
    if (text_is_empty(format) || strcmp(format, "table") == 0)
        text = default_template(default_keys);
    else
        text = unescape(is_table ? format + 6 : format);
    if (template_parse(text, &template, err) < 0)
        return -1;
    if (is_table && add_headings(template, columns, &out, err) < 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        if (template_run(template, rows[i], &methods, &out, err) < 0)
            return -1;
        str_add_char(&out, '\n');
    }
    if (is_table)
        print_table(str_text(&out));
    else
        fputs(str_text(&out), stdout);
    return 0;
}

const char *format_or_raw(const char *format, const char *raw)
{
    return text_equal(format, "raw") ? raw : format;
}

int format_document(const char *format, const struct json *document, struct error *err)
{
    CLEANUP(template_free) struct template *template = NULL;
    CLEANUP(str_done) struct str out = {};
    CLEANUP(free) char *text = unescape(format);

    if (strcmp(format, "json") == 0) {
        json_write(document, &out);
    } else if (template_parse(text, &template, err) < 0 ||
               template_run(template, document, NULL, &out, err) < 0) {
        putchar('\n');
        return -1;
    }
    puts(str_text(&out));
    return 0;
}
