/* volume: clone, snapshot, rename, export, import. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "cli/archive_file.h"
#include "cli/command.h"
#include "cli/terminal.h"

#include "base/banned.h"

static void begin_path(struct client_path *path, const char *volume, const char *what)
{
    client_path_begin(path, "/volumes");
    client_path_segment(path, volume);
    client_path_begin(path, "/%s", what);
}

/* ---- clone, snapshot ---- */

struct copy_options {
    struct strv labels;
    bool no_pause;
};

static const struct option_row copy_rows[] = {
    { 0, "label", OPTION_LIST, offsetof(struct copy_options, labels),
      "Label of the copy (default: those of the volume)" },
    { 0, "no-pause", OPTION_BOOL, offsetof(struct copy_options, no_pause),
      "Let containers that use the volume go on while it is read" },
    {},
};

static void add_labels(struct json_writer *w, const struct strv *labels)
{
    if (!labels->count)
        return;
    json_begin_dict(w, "Labels");
    for (size_t i = 0; i < labels->count; i++) {
        const char *entry = labels->items[i], *equals = strchr(entry, '=');
        CLEANUP(free)
        char *name = equals ? xstrndup(entry, (size_t)(equals - entry)) : xstrdup(entry);

        json_add_text(w, name, equals ? equals + 1 : "");
    }
    json_end_dict(w);
}

static int copy(struct cli *cli, const struct copy_options *options, const struct strv *arguments,
                bool is_snapshot, struct error *err)
{
    CLEANUP(client_path_done) struct client_path path = {};
    CLEANUP(str_done) struct str body = {};
    CLEANUP(json_free) struct json *answer = NULL;
    struct json_writer w = { .out = &body };

    json_begin_dict(&w, NULL);
    json_add_text(&w, "Name", arguments->count > 1 ? arguments->items[1] : "");
    json_add_bool(&w, "Snapshot", is_snapshot);
    json_add_bool(&w, "NoPause", options->no_pause);
    add_labels(&w, &options->labels);
    json_end_dict(&w);
    begin_path(&path, arguments->items[0], "copy");
    if (client_call(cli->client, "POST", &path, str_text(&body), &answer, err) < 0)
        return -1;
    puts(json_text(json_get(answer, "Name")));
    return 0;
}

static int volume_clone(struct cli *cli, const void *parsed, const struct strv *arguments,
                        struct error *err)
{
    return copy(cli, parsed, arguments, false, err);
}

static int volume_snapshot(struct cli *cli, const void *parsed, const struct strv *arguments,
                           struct error *err)
{
    return copy(cli, parsed, arguments, true, err);
}

/* ---- rename ---- */

static int volume_rename(struct cli *cli, const void *parsed UNUSED, const struct strv *arguments,
                         struct error *err)
{
    CLEANUP(client_path_done) struct client_path path = {};

    begin_path(&path, arguments->items[0], "rename");
    client_path_query(&path, "name", arguments->items[1]);
    return client_call(cli->client, "POST", &path, NULL, NULL, err);
}

/* ---- export, import ---- */

struct export_options {
    const char *output;
};

static const struct option_row export_rows[] = {
    { 'o', "output", OPTION_TEXT, offsetof(struct export_options, output),
      "Write to a file instead of stdout" },
    {},
};

static int volume_export(struct cli *cli, const void *parsed, const struct strv *arguments,
                         struct error *err)
{
    const struct export_options *options = parsed;
    CLEANUP(client_path_done) struct client_path path = {};

    begin_path(&path, arguments->items[0], "export");
    return archive_file_receive(cli->client, &path, options->output, "export volume", err);
}

struct import_options {
    const char *input;
    struct strv labels;
};

static const struct option_row import_rows[] = {
    { 'i', "input", OPTION_TEXT, offsetof(struct import_options, input),
      "Read from a file instead of stdin" },
    { 0, "label", OPTION_LIST, offsetof(struct import_options, labels), "Set a label" },
    {},
};

static int volume_import(struct cli *cli, const void *parsed, const struct strv *arguments,
                         struct error *err)
{
    const struct import_options *options = parsed;
    CLEANUP(client_path_done) struct client_path path = {};
    CLEANUP(http_response_free) struct http_response *response = NULL;
    CLEANUP(close) int file = -1;

    if (options->input) {
        file = open(options->input, O_RDONLY | O_CLOEXEC);
        if (file < 0)
            return error_sys(err, "open %s", options->input);
    } else if (terminal_is(STDIN_FILENO)) {
        return error_set(err, ERROR_INVALID, "an archive is wanted on stdin, which is a terminal");
    }
    CLEANUP(stream_close) struct stream *body = stream_from_fd(file < 0 ? STDIN_FILENO : file, 0);
    begin_path(&path, arguments->items[0], "import");
    for (size_t i = 0; i < options->labels.count; i++)
        client_path_query(&path, "label", options->labels.items[i]);
    if (client_stream(cli->client, "POST", &path, NULL, body, "application/x-tar", &response, err) <
        0)
        return -1;
    puts(arguments->items[0]);
    return 0;
}

/* clang-format off */
const struct command command_volume_clone = {
    .name = "clone", .usage = "[OPTIONS] VOLUME NEW-VOLUME", .summary = "Copy a volume with its content", .least = 2, .most = 2,
    .options = copy_rows, .options_size = sizeof(struct copy_options), .run = volume_clone,
};
const struct command command_volume_snapshot = {
    .name = "snapshot", .usage = "[OPTIONS] VOLUME [SNAPSHOT]", .summary = "Keep a volume as it is now, as one that nobody writes to",
    .least = 1, .most = 2, .options = copy_rows, .options_size = sizeof(struct copy_options), .run = volume_snapshot,
};
const struct command command_volume_rename = {
    .name = "rename", .usage = "VOLUME NEW-NAME", .summary = "Rename a volume that no container has", .least = 2, .most = 2, .run = volume_rename,
};
const struct command command_volume_export = {
    .name = "export", .usage = "[OPTIONS] VOLUME", .summary = "Write a volume's content to a tar archive", .least = 1, .most = 1,
    .options = export_rows, .options_size = sizeof(struct export_options), .run = volume_export,
};
const struct command command_volume_import = {
    .name = "import", .usage = "[OPTIONS] NEW-VOLUME", .summary = "Make a volume of a tar archive", .least = 1, .most = 1,
    .options = import_rows, .options_size = sizeof(struct import_options), .run = volume_import,
};
/* clang-format on */
