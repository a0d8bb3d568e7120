/* inspect: whatever has the name, in Docker's order of kinds. */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/format.h"
#include "cli/platform_query.h"

#include "base/banned.h"

struct inspect_options {
    const char *format, *type, *platform;
    bool size, verbose;
};

/* clang-format off */
#define FORMAT_ROW   { 'f', "format",   OPTION_TEXT, offsetof(struct inspect_options, format),   "json or a Go template" }
#define SIZE_ROW     { 's', "size",     OPTION_BOOL, offsetof(struct inspect_options, size),     "Show sizes of containers" }
#define TYPE_ROW     { 0,   "type",     OPTION_TEXT, offsetof(struct inspect_options, type),     "container, image, network or volume" }
#define PLATFORM_ROW { 0,   "platform", OPTION_TEXT, offsetof(struct inspect_options, platform), "Only if the image is for this platform" }
#define VERBOSE_ROW  { 'v', "verbose",  OPTION_BOOL, offsetof(struct inspect_options, verbose),  "Show services too" }

static const struct option_row rows[] = { FORMAT_ROW, SIZE_ROW, TYPE_ROW, {} };
static const struct option_row container_rows[] = { FORMAT_ROW, SIZE_ROW, {} };
static const struct option_row image_rows[] = { FORMAT_ROW, PLATFORM_ROW, {} };
static const struct option_row network_rows[] = { FORMAT_ROW, VERBOSE_ROW, {} };
static const struct option_row volume_rows[] = { FORMAT_ROW, {} };

static const struct { const char *type, *before, *after; } kinds[] = {
    { "container", "/containers", "/json" },
    { "image",     "/images",     "/json" },
    { "network",   "/networks",   "" },
    { "volume",    "/volumes",    "" },
};
/* clang-format on */

static int get(struct cli *cli, size_t kind, const char *name,
               const struct inspect_options *options, struct json **out, struct error *err)
{
    CLEANUP(client_path_done) struct client_path path = {};

    client_path_begin(&path, "%s", kinds[kind].before);
    client_path_segment(&path, name);
    client_path_begin(&path, "%s", kinds[kind].after);
    client_path_query(&path, "size", options->size && kind == 0 ? "1" : NULL);
    client_path_query(&path, "verbose", options->verbose ? "true" : NULL);
    if (platform_query_add(&path, "platform", options->platform, err) < 0)
        return -1;
    return client_call(cli->client, "GET", &path, NULL, out, err);
}

static int find(struct cli *cli, const struct inspect_options *options, const char *type,
                const char *name, struct json **out, struct error *err)
{
    for (size_t i = 0; i < COUNT(kinds); i++) {
        if (!text_is_empty(type) && strcmp(type, kinds[i].type) != 0)
            continue;
        if (get(cli, i, name, options, out, err) == 0)
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
    CLEANUP(json_free) struct json *whole = NULL;
    struct json_writer w = { .out = &all };

    json_begin_list(&w, NULL);
    for (size_t i = 0; i < count; i++)
        json_add_value(&w, NULL, list[i]);
    json_end_list(&w);
    if (json_parse(all.data, all.length, &whole, NULL) == 0)
        json_write_indented(whole, 4, &text);
    puts(str_text(&text));
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

/* clang-format off */
#define INSPECT(kind_, usage_, summary_, rows_)                                                                       \
    const struct command command_##kind_##inspect = {                                                                 \
        .name = "inspect", .usage = "[OPTIONS] " usage_, .summary = summary_, .least = 1, .most = MANY_ARGUMENTS,      \
        .options = rows_, .options_size = sizeof(struct inspect_options), .run = inspect,                              \
    }
INSPECT(,           "NAME|ID [NAME|ID...]",           "Show all that is known of objects",    rows);
INSPECT(container_, "CONTAINER [CONTAINER...]",       "Show all that is known of containers", container_rows);
INSPECT(image_,     "IMAGE [IMAGE...]",               "Show all that is known of images",     image_rows);
INSPECT(network_,   "NETWORK [NETWORK...]",           "Show all that is known of networks",   network_rows);
INSPECT(volume_,    "VOLUME [VOLUME...]",             "Show all that is known of volumes",    volume_rows);
/* clang-format on */
