/* save, load. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "cli/archive_file.h"
#include "cli/command.h"
#include "cli/platform_query.h"
#include "cli/progress.h"
#include "cli/terminal.h"

#include "base/banned.h"

/* ---- save ---- */

struct save_options {
    const char *output, *platform;
};

/* clang-format off */
static const struct option_row save_rows[] = {
    { 'o', "output",   OPTION_TEXT, offsetof(struct save_options, output),   "Write to a file instead of stdout" },
    { 0,   "platform", OPTION_TEXT, offsetof(struct save_options, platform), "Save only images for this platform" },
    {},
};
/* clang-format on */

static int save(struct cli *cli, const void *parsed, const struct strv *arguments,
                struct error *err)
{
    const struct save_options *options = parsed;
    CLEANUP(client_path_done) struct client_path path = {};

    client_path_begin(&path, "/images/get");
    for (size_t i = 0; i < arguments->count; i++)
        client_path_query(&path, "names", arguments->items[i]);
    if (platform_query_add(&path, "platform", options->platform, err) < 0)
        return -1;
    return archive_file_receive(cli->client, &path, options->output, "save image", err);
}

/* ---- load ---- */

struct load_options {
    const char *input, *platform;
    bool quiet;
};

/* clang-format off */
static const struct option_row load_rows[] = {
    { 'i', "input",    OPTION_TEXT, offsetof(struct load_options, input),    "Read from a file instead of stdin" },
    { 0,   "platform", OPTION_TEXT, offsetof(struct load_options, platform), "Load only images for this platform" },
    { 'q', "quiet",    OPTION_BOOL, offsetof(struct load_options, quiet),    "Do not show the progress of layers" },
    {},
};
/* clang-format on */

static int load(struct cli *cli, const void *parsed, const struct strv *arguments UNUSED,
                struct error *err)
{
    const struct load_options *options = parsed;
    CLEANUP(client_path_done) struct client_path path = {};
    CLEANUP(close) int file = -1;
    struct client_messages messages = {};
    bool is_quiet = options->quiet || !terminal_is(STDOUT_FILENO);

    if (options->input) {
        file = open(options->input, O_RDONLY | O_CLOEXEC);
        if (file < 0)
            return error_sys(err, "open %s", options->input);
    } else if (terminal_is(STDIN_FILENO)) {
        return error_set(err, ERROR_INVALID, "requested load from stdin, but stdin is empty");
    }
    CLEANUP(stream_close) struct stream *body = stream_from_fd(file < 0 ? STDIN_FILENO : file, 0);
    client_path_begin(&path, "/images/load");
    client_path_query(&path, "quiet", is_quiet ? "1" : "0");
    if (platform_query_add(&path, "platform", options->platform, err) < 0 ||
        client_stream(cli->client, "POST", &path, NULL, body, "application/x-tar",
                      &messages.response, err) < 0)
        return -1;
    int result = progress_follow(&messages, stdout, err);
    client_messages_done(&messages);
    return result;
}

/* clang-format off */
const struct command command_save = {
    .name = "save", .usage = "[OPTIONS] IMAGE [IMAGE...]", .summary = "Write images to a tar archive", .least = 1,
    .most = MANY_ARGUMENTS, .options = save_rows, .options_size = sizeof(struct save_options), .run = save,
};
const struct command command_load = {
    .name = "load", .usage = "[OPTIONS]", .summary = "Take images out of a tar archive", .most = 0,
    .options = load_rows, .options_size = sizeof(struct load_options), .run = load,
};
/* clang-format on */
