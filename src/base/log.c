/* Each line is composed whole and written with one call, so that threads do not mix. */
#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"

#include "base/banned.h"

static _Atomic enum log_level lowest = LOG_INFO;
static _Atomic bool as_json;
static __thread const char *request;

static const char *const level_names[] = { "debug", "info", "warning", "error" };

void log_set_level(enum log_level level)
{
    lowest = level;
}

void log_set_json(bool json)
{
    as_json = json;
}

void log_set_request(const char *request_id)
{
    request = request_id;
}

int log_level_parse(const char *name, enum log_level *out, struct error *err)
{
    static const struct {
        const char *name;
        enum log_level level;
    } names[] = { { "debug", LOG_DEBUG }, { "trace", LOG_DEBUG },  { "info", LOG_INFO },
                  { "warn", LOG_WARN },   { "warning", LOG_WARN }, { "error", LOG_ERROR },
                  { "fatal", LOG_ERROR } };

    for (size_t i = 0; i < COUNT(names); i++)
        if (strcmp(names[i].name, name) == 0) {
            *out = names[i].level;
            return 0;
        }
    return error_set(err, ERROR_INVALID, "invalid logging level: %s", name);
}

static void add_quoted(struct str *line, const char *text)
{
    str_add_char(line, '"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            str_add_char(line, '\\');
        if ((unsigned char)*text < 0x20)
            str_add_format(line, "\\u%04x", (unsigned)(unsigned char)*text);
        else
            str_add_char(line, *text);
    }
    str_add_char(line, '"');
}

static void add_pair(struct str *line, bool json, const char *key, const char *value)
{
    if (json) {
        str_add(line, line->length > 1 ? "," : "");
        add_quoted(line, key);
        str_add_char(line, ':');
    } else {
        str_add_format(line, "%s%s=", line->length ? " " : "", key);
    }
    add_quoted(line, value ? value : "");
}

void log_write(enum log_level level, const char *message, ...)
{
    CLEANUP(str_done) struct str line = {};
    char now[TIME_TEXT_SIZE];
    bool json = as_json;
    va_list pairs;

    if (level < lowest)
        return;
    time_format_fixed(clock_wall_ns(), now);
    if (json)
        str_add_char(&line, '{');
    add_pair(&line, json, "time", now);
    add_pair(&line, json, "level", level_names[level]);
    add_pair(&line, json, "msg", message);
    if (request)
        add_pair(&line, json, "request", request);
    va_start(pairs, message);
    for (const char *key = va_arg(pairs, const char *); key; key = va_arg(pairs, const char *))
        add_pair(&line, json, key, va_arg(pairs, const char *));
    va_end(pairs);
    str_add(&line, json ? "}\n" : "\n");
    if (write(STDERR_FILENO, line.data, line.length) < 0)
        return; /* nowhere left to say it */
}
