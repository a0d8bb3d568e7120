/* Parsing options by table. */
#include "cli/option.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"

#include "base/banned.h"

bool option_takes_value(const struct option_row *row)
{
    return row->type != OPTION_BOOL && row->type != OPTION_UNSUPPORTED_FLAG;
}

const struct option_row *option_of_name(const struct option_row *rows, const char *name,
                                        size_t length)
{
    for (; rows->name; rows++)
        if (strlen(rows->name) == length && strncmp(rows->name, name, length) == 0)
            return rows;
    return NULL;
}

const struct option_row *option_of_letter(const struct option_row *rows, char letter)
{
    for (; rows->name; rows++)
        if (rows->letter == letter)
            return rows;
    return NULL;
}

static int bad_value(const struct option_row *row, const char *value, struct error *err)
{
    char old[sizeof(err->text)];

    snprintf(old, sizeof(old), "%s", err->text);
    char letter[] = { '-', row->letter, ',', ' ', 0 };
    return error_set(err, ERROR_INVALID, "invalid argument \"%s\" for \"%s--%s\" flag: %.400s",
                     value, row->letter ? letter : "", row->name, old);
}

/* "1.5" in billionths. */
static int parse_decimal(const char *text, int64_t *out, struct error *err)
{
    char *end;
    double value = strtod(text, &end);

    if (!*text || *end || !(value >= 0 && value < 9e9))
        return error_set(err, ERROR_INVALID, "failed to parse %s as a rational number", text);
    *out = (int64_t)(value * 1e9 + 0.5);
    return 0;
}

static int set_bool(const struct option_row *row, const char *value, bool *out, struct error *err)
{
    if (!value || strcmp(value, "true") == 0 || strcmp(value, "1") == 0 ||
        strcmp(value, "t") == 0) {
        *out = true;
        return 0;
    }
    if (strcmp(value, "false") == 0 || strcmp(value, "0") == 0 || strcmp(value, "f") == 0) {
        *out = false;
        return 0;
    }
    error_set(err, ERROR_INVALID, "strconv.ParseBool: parsing \"%s\": invalid syntax", value);
    return bad_value(row, value, err);
}

static int set_value(const struct option_row *row, const char *value, void *out, struct error *err)
{
    void *at = (char *)out + row->offset;
    struct optional_int64 number = { .is_set = true };
    int result = 0;

    switch (row->type) {
    case OPTION_BOOL:
        return set_bool(row, value, at, err);
    case OPTION_TEXT:
        *(const char **)at = value;
        return 0;
    case OPTION_LIST:
        if (row->check && row->check(value, err) < 0)
            return bad_value(row, value, err);
        strv_add(at, value);
        return 0;
    case OPTION_INTEGER:
        result = parse_int64(value, INT64_MIN, INT64_MAX, &number.value, err);
        break;
    case OPTION_BYTES:
        if (strcmp(value, "-1") == 0)
            number.value = -1;
        else
            result = parse_size(value, &number.value, err);
        break;
    case OPTION_DECIMAL:
        result = parse_decimal(value, &number.value, err);
        break;
    case OPTION_DURATION:
        result = duration_parse(value, &number.value, err);
        break;
    case OPTION_UNSUPPORTED:
    case OPTION_UNSUPPORTED_FLAG:
        return row->help
                   ? error_set(err, ERROR_UNSUPPORTED, "--%s is not supported: %s", row->name,
                               row->help)
                   : error_set(err, ERROR_UNSUPPORTED, "--%s is not supported yet", row->name);
    }
    if (result < 0)
        return bad_value(row, value, err);
    *(struct optional_int64 *)at = number;
    return 0;
}

/* The name that was probably meant: at most a third of it is different. */
static const char *suggest(const struct option_row *rows, const char *name)
{
    size_t limit = strlen(name) / 3, least = MIN(limit, 3) + 1;
    const char *best = NULL;

    for (; rows->name; rows++) {
        size_t far = text_distance(name, rows->name);

        if (far < least && rows->type != OPTION_UNSUPPORTED &&
            rows->type != OPTION_UNSUPPORTED_FLAG) {
            least = far;
            best = rows->name;
        }
    }
    return best;
}

static int unknown_flag(const struct option_row *rows, const char *name, size_t length,
                        struct error *err)
{
    CLEANUP(free) char *given = xstrndup(name, MIN(length, 200));
    const char *better = suggest(rows, given);

    error_set(err, ERROR_INVALID, "unknown flag: --%s", given);
    if (!better)
        return -1;
    return error_set(err, ERROR_INVALID, "unknown flag: --%s\n\nDid you mean this?\n        --%s",
                     given, better);
}

/* --name, --name=value, --name value. Gives how many of the arguments were used. */
static int parse_long(const struct option_row *rows, char *const *arguments, void *out,
                      struct error *err)
{
    const char *name = arguments[0] + 2;
    size_t length = strcspn(name, "=");
    const struct option_row *row = option_of_name(rows, name, length);

    if (!row)
        return unknown_flag(rows, name, length, err);
    if (name[length])
        return set_value(row, name + length + 1, out, err) < 0 ? -1 : 1;
    if (!option_takes_value(row))
        return set_value(row, NULL, out, err) < 0 ? -1 : 1;
    if (!arguments[1])
        return error_set(err, ERROR_INVALID, "flag needs an argument: --%s", name);
    return set_value(row, arguments[1], out, err) < 0 ? -1 : 2;
}

/* -itd, -p80:80, -p 80:80, -p=80:80. */
static int parse_short(const struct option_row *rows, char *const *arguments, void *out,
                       struct error *err)
{
    for (const char *at = arguments[0] + 1; *at; at++) {
        const struct option_row *row = option_of_letter(rows, *at);

        if (!row)
            return error_set(err, ERROR_INVALID, "unknown shorthand flag: '%c' in %s", *at,
                             arguments[0]);
        if (!option_takes_value(row)) {
            bool has_value = at[1] == '=';

            if (set_value(row, has_value ? at + 2 : NULL, out, err) < 0)
                return -1;
            if (has_value)
                return 1;
            continue;
        }
        if (at[1])
            return set_value(row, at[1] == '=' ? at + 2 : at + 1, out, err) < 0 ? -1 : 1;
        if (!arguments[1])
            return error_set(err, ERROR_INVALID, "flag needs an argument: '%c' in %s", *at,
                             arguments[0]);
        return set_value(row, arguments[1], out, err) < 0 ? -1 : 2;
    }
    return 1;
}

int options_parse(const struct option_row *rows, char *const *arguments, bool stops_early,
                  void *out, struct strv *rest, bool *out_wants_help, struct error *err)
{
    *out_wants_help = false;
    for (const struct option_row *row = rows; row->name; row++)
        if (row->type == OPTION_BOOL && row->initially_true)
            *(bool *)(void *)((char *)out + row->offset) = true;
    while (*arguments) {
        const char *word = *arguments;
        int used;

        if (strcmp(word, "--") == 0) {
            for (arguments++; *arguments; arguments++)
                strv_add(rest, *arguments);
            return 0;
        }
        if (strcmp(word, "--help") == 0 ||
            (strcmp(word, "-h") == 0 && !option_of_letter(rows, 'h'))) {
            *out_wants_help = true;
            return 0;
        }
        if (word[0] != '-' || !word[1]) {
            strv_add(rest, word);
            arguments++;
            if (!stops_early)
                continue;
            for (; *arguments; arguments++)
                strv_add(rest, *arguments);
            return 0;
        }
        used = word[1] == '-' ? parse_long(rows, arguments, out, err)
                              : parse_short(rows, arguments, out, err);
        if (used < 0)
            return -1;
        arguments += used;
    }
    return 0;
}

void options_done(const struct option_row *rows, void *out)
{
    for (; rows->name; rows++)
        if (rows->type == OPTION_LIST && !rows->is_hidden)
            strv_done((struct strv *)(void *)((char *)out + rows->offset));
}

/* ---- help ---- */

static const char *value_word(const struct option_row *row)
{
    switch (row->type) {
    case OPTION_LIST:
        return " list";
    case OPTION_INTEGER:
        return " int";
    case OPTION_BYTES:
        return " bytes";
    case OPTION_DECIMAL:
        return " decimal";
    case OPTION_DURATION:
        return " duration";
    case OPTION_TEXT:
        return " string";
    default:
        return "";
    }
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const struct option_row *const *)a)->name,
                  (*(const struct option_row *const *)b)->name);
}

void options_help(const struct option_row *rows, struct str *out)
{
    const struct option_row *sorted[160];
    size_t count = 0, width = 0;

    for (; rows->name && count < COUNT(sorted); rows++) {
        if (rows->is_hidden || rows->type == OPTION_UNSUPPORTED ||
            rows->type == OPTION_UNSUPPORTED_FLAG)
            continue;
        sorted[count++] = rows;
        width = MAX(width, strlen(rows->name) + strlen(value_word(rows)));
    }
    qsort(sorted, count, sizeof(sorted[0]), by_name);
    for (size_t i = 0; i < count; i++) {
        CLEANUP(free) char *name = xasprintf("%s%s", sorted[i]->name, value_word(sorted[i]));

        if (sorted[i]->letter)
            str_add_format(out, "  -%c, ", sorted[i]->letter);
        else
            str_add(out, "      ");
        str_add_format(out, "--%-*s   %s%s\n", (int)width, name,
                       sorted[i]->help ? sorted[i]->help : "",
                       sorted[i]->initially_true ? " (default true)" : "");
    }
}
