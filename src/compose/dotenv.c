/* A line at a time; a quoted value may take it over several. */
#include "compose/dotenv.h"

#include <ctype.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"

#include "base/banned.h"

struct reader {
    const char *at;
    int line;
    const struct variable_source *source;
    struct map *out;
    size_t size; /* of the values with variables */
};

static const char *look_up(void *data, const char *name)
{
    struct reader *reader = data;
    const char *value = reader->source->get(reader->source->data, name);

    return value ? value : map_get(reader->out, name);
}

static void skip_line(struct reader *reader)
{
    reader->at += strcspn(reader->at, "\n");
}

static void skip_blank(struct reader *reader)
{
    for (; isspace((unsigned char)*reader->at); reader->at++)
        if (*reader->at == '\n')
            reader->line++;
}

static bool is_key_character(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '.' || c == '-' || c == '[' || c == ']';
}

static int read_key(struct reader *reader, char **out, struct error *err)
{
    const char *start;

    if (text_starts(reader->at, "export") && isblank((unsigned char)reader->at[6]))
        for (reader->at += 6; isblank((unsigned char)*reader->at);)
            reader->at++;
    for (start = reader->at; is_key_character(*reader->at);)
        reader->at++;
    *out = xstrndup(start, (size_t)(reader->at - start));
    while (isblank((unsigned char)*reader->at))
        reader->at++;
    if (reader->at == start || !strchr("=:\r\n#", *reader->at)) {
        size_t length = strcspn(start, "\r\n");
        char odd = *reader->at ? *reader->at : ' ';

        free(*out);
        *out = NULL;
        return error_set(err, ERROR_INVALID,
                         "line %d: unexpected character \"%c\" in variable name near \"%.*s\"",
                         reader->line, odd, (int)MIN(length, 60), start);
    }
    return 0;
}

static int expand(struct reader *reader, const char *raw, struct str *out, struct error *err)
{
    struct variable_source source = { .get = look_up,
                                      .missing = reader->source->missing,
                                      .data = reader };
    bool is_malformed;

    source.missing = NULL;
    if (variable_expand(raw, &source, out, &is_malformed, err) < 0)
        return error_context(err, "line %d", reader->line);
    reader->size += out->length;
    if (reader->size > VARIABLE_ALL_SIZE_LIMIT)
        return error_set(err, ERROR_INVALID,
                         "line %d: the values grow too large by their variables", reader->line);
    return 0;
}

/* Up to the closing quote. Escapes are for double quotes; "\$" must not be taken for a variable. */
static int read_quoted(struct reader *reader, struct str *out, struct error *err)
{
    static const char letters[] = "nrt\"\\'", meant[] = "\n\r\t\"\\'";
    CLEANUP(str_done) struct str raw = {};
    char quote = *reader->at++;
    int first_line = reader->line;

    for (; *reader->at != quote; reader->at++) {
        if (!*reader->at)
            return error_set(err, ERROR_INVALID, "line %d: unterminated quoted value", first_line);
        if (*reader->at == '\n')
            reader->line++;
        if (quote == '"' && *reader->at == '\\' && reader->at[1]) {
            const char *known = strchr(letters, *++reader->at);

            if (*reader->at == '$')
                str_add(&raw, "$$");
            else if (known)
                str_add_char(&raw, meant[known - letters]);
            else
                str_add_format(&raw, "\\%c", *reader->at);
            continue;
        }
        str_add_char(&raw, *reader->at);
    }
    reader->at++;
    skip_line(reader);
    if (quote == '\'') {
        str_add(out, str_text(&raw));
        return 0;
    }
    return expand(reader, str_text(&raw), out, err);
}

static int read_bare(struct reader *reader, struct str *out, struct error *err)
{
    size_t length = strcspn(reader->at, "\r\n"), end = length;

    for (size_t i = 0; i < length; i++)
        if (reader->at[i] == '#' && (i == 0 || isblank((unsigned char)reader->at[i - 1]))) {
            end = i;
            break;
        }
    while (end > 0 && isblank((unsigned char)reader->at[end - 1]))
        end--;
    CLEANUP(free) char *raw = xstrndup(reader->at, end);
    reader->at += length;
    return expand(reader, raw, out, err);
}

static int read_entry(struct reader *reader, struct error *err)
{
    CLEANUP(free) char *key = NULL;
    CLEANUP(str_done) struct str value = {};

    if (read_key(reader, &key, err) < 0)
        return -1;
    if (*reader->at != '=' && *reader->at != ':') {
        const char *outer = reader->source->get(reader->source->data, key);

        if (outer)
            map_set_text(reader->out, key, outer);
        skip_line(reader);
        return 0;
    }
    reader->at++;
    while (isblank((unsigned char)*reader->at))
        reader->at++;
    int result = *reader->at == '\'' || *reader->at == '"' ? read_quoted(reader, &value, err)
                                                           : read_bare(reader, &value, err);
    if (result == 0)
        map_set_text(reader->out, key, str_text(&value));
    return result;
}

int dotenv_parse(const char *text, const struct variable_source *source, struct map *out,
                 struct error *err)
{
    struct reader reader = { .at = text, .line = 1, .source = source, .out = out };

    if (text_starts(text, "\xef\xbb\xbf"))
        reader.at += 3;
    for (;;) {
        skip_blank(&reader);
        if (!*reader.at)
            return 0;
        if (*reader.at == '#')
            skip_line(&reader);
        else if (read_entry(&reader, err) < 0)
            return -1;
    }
}

int dotenv_parse_raw(const char *text, struct map *out, struct error *err)
{
    int number = 1;

    for (const char *line = text; *line; number++) {
        size_t length = strcspn(line, "\n");
        CLEANUP(free)
        char *entry = xstrndup(line, length && line[length - 1] == '\r' ? length - 1 : length);
        char *start = entry + strspn(entry, " \t"), *equals = strchr(start, '=');

        line += length + (line[length] == '\n');
        if (!*start || *start == '#')
            continue;
        if (!equals)
            return error_set(err, ERROR_INVALID, "line %d: no '=' in \"%.60s\"", number, start);
        *equals = 0;
        map_set_text(out, start, equals + 1);
    }
    return 0;
}
