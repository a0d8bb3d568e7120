/* inspect: whatever has the name, in Docker's order of kinds. */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/format.h"

#include "base/banned.h"

struct inspect_options {
    const char *format, *type;
    bool size;
};

/* clang-format off */
static const struct option_row rows[] = {
    { 'f', "format", OPTION_TEXT, offsetof(struct inspect_options, format), "json or a Go template" },
    { 's', "size",   OPTION_BOOL, offsetof(struct inspect_options, size),   "Show sizes of containers" },
    { 0,   "type",   OPTION_TEXT, offsetof(struct inspect_options, type),   "container, image, network or volume" },
    {},
};

static const struct { const char *type, *before, *after; } kinds[] = {
    { "container", "/containers", "/json" },
    { "image",     "/images",     "/json" },
    { "network",   "/networks",   "" },
    { "volume",    "/volumes",    "" },
};
/* clang-format on */

static int get(struct cli *cli, size_t kind, const char *name, bool size, struct json **out,
               struct error *err)
{
    CLEANUP(client_path_done) struct client_path path = {};

    client_path_begin(&path, "%s", kinds[kind].before);
    client_path_segment(&path, name);
    client_path_begin(&path, "%s", kinds[kind].after);
    client_path_query(&path, "size", size && kind == 0 ? "1" : NULL);
    return client_call(cli->client, "GET", &path, NULL, out, err);
}

static int find(struct cli *cli, const struct inspect_options *options, const char *type,
                const char *name, struct json **out, struct error *err)
{
    for (size_t i = 0; i < COUNT(kinds); i++) {
        if (!text_is_empty(type) && strcmp(type, kinds[i].type) != 0)
            continue;
        if (get(cli, i, name, options->size, out, err) == 0)
            return 0;
        if (err->kind != ERROR_NOT_FOUND && err->kind != ERROR_INVALID)
            return -1;
        if (!text_is_empty(type))
            return -1;
    }
    return error_set(err, ERROR_NOT_FOUND, "Error: No such object: %s", name);
}

/* Keys keep the order of the wire, indented by four. */
static void print_list(struct json *const *list, size_t count)
{
    CLEANUP(str_done) struct str text = {}, all = {};

    str_add_char(&all, '[');
    for (size_t i = 0; i < count; i++) {
        str_add(&all, i ? "," : "");
        json_write(list[i], &all);
    }
    str_add_char(&all, ']');
    CLEANUP(json_free) struct json *whole = NULL;
    if (json_parse(all.data, all.length, &whole, NULL) == 0)
        json_write_indented(whole, 4, &text);
    /* People read this: < > & as they are. */
    static const char *const escapes[][2] = { { "\\u003c", "<" },
                                              { "\\u003e", ">" },
                                              { "\\u0026", "&" } };
    for (const char *at = str_text(&text); *at;) {
        size_t i;

        for (i = 0; i < COUNT(escapes); i++)
            if (text_starts(at, escapes[i][0]))
                break;
        if (i < COUNT(escapes)) {
            fputs(escapes[i][1], stdout);
            at += 6;
        } else {
            putchar(*at++);
        }
    }
    putchar('\n');
}

static int inspect_typed(struct cli *cli, const struct inspect_options *options, const char *type,
                         const struct strv *arguments, struct error *err)
{
    struct json **found = xcalloc(arguments->count + 1, sizeof(*found));
    CLEANUP(str_done) struct str failures = {};
    size_t count = 0;
    int result = 0;

    for (size_t i = 0; i < arguments->count; i++)
        if (find(cli, options, type, arguments->items[i], &found[count], err) == 0)
            count++;
        else
            str_add_format(&failures, "%s%s", failures.length ? "\n" : "", err->text);
    for (size_t i = 0; result == 0 && options->format && i < count; i++)
        result = format_document(options->format, found[i], err);
    if (!options->format)
        print_list(found, count);
    for (size_t i = 0; i < count; i++)
        json_free(found[i]);
    free(found);
    if (result == 0 && failures.length)
        result = error_set(err, ERROR_NOT_FOUND, "%s", str_text(&failures));
    return result;
}

static int inspect(struct cli *cli, const void *parsed, const struct strv *arguments,
                   struct error *err)
{
    const struct inspect_options *options = parsed;
    const char *type = options->type;

    for (size_t i = 0; text_is_empty(type) && i < COUNT(kinds); i++)
        if (text_starts(cli->command_path, kinds[i].type)) /* "image inspect" */
            type = kinds[i].type;
    bool is_known = text_is_empty(type);
    for (size_t i = 0; i < COUNT(kinds); i++)
        is_known |= text_equal(type, kinds[i].type);
    if (!is_known)
        return error_set(err, ERROR_INVALID, "unknown type: \"%s\"", type);
    return inspect_typed(cli, options, type, arguments, err);
}

const struct command command_inspect = {
    .name = "inspect",
    .usage = "[OPTIONS] NAME|ID [NAME|ID...]",
    .summary = "Show all that is known of objects",
    .least = 1,
    .most = MANY_ARGUMENTS,
    .options = rows,
    .options_size = sizeof(struct inspect_options),
    .run = inspect,
};
