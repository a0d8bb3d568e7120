/* diff, commit, export */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/memory.h"
#include "base/text.h"
#include "cli/archive_file.h"
#include "cli/command.h"
#include "cli/terminal.h"
#include "spec/reference.h"

#include "base/banned.h"

/* ---- diff ---- */

static int diff(struct cli *cli, const void *parsed UNUSED, const struct strv *arguments,
                struct error *err)
{
    static const char letters[] = "CAD"; /* by kind */
    CLEANUP(client_path_done) struct client_path path = {};
    CLEANUP(json_free) struct json *changes = NULL;

    client_path_begin(&path, "/containers");
    client_path_segment(&path, arguments->items[0]);
    client_path_begin(&path, "/changes");
    if (client_call(cli->client, "GET", &path, NULL, &changes, err) < 0)
        return -1;
    for (size_t i = 0; i < json_count(changes); i++) {
        const struct json *change = json_at(changes, i);
        int64_t kind = json_to_int64(json_get(change, "Kind"));

        printf("%c %s\n", kind >= 0 && kind < 3 ? letters[kind] : '?',
               json_text(json_get(change, "Path")) ?: "");
    }
    return 0;
}

/* ---- commit ---- */

struct commit_options {
    const char *author, *message;
    struct strv changes;
    bool pause, no_pause;
};

/* clang-format off */
#define AT(member) offsetof(struct commit_options, member)
static const struct option_row commit_rows[] = {
    { 'a', "author",   OPTION_TEXT, AT(author),   "Who made it (\"Name <mail>\")" },
    { 'c', "change",   OPTION_LIST, AT(changes),  "Dockerfile instruction to apply" },
    { 'm', "message",  OPTION_TEXT, AT(message),  "What was done" },
    { 0,   "no-pause", OPTION_BOOL, AT(no_pause), "Let the container go on meanwhile" },
    { 'p', "pause",    OPTION_BOOL, AT(pause),    "Hold the container meanwhile", .initially_true = true, .is_hidden = true },
    {},
};
#undef AT
/* clang-format on */

static int commit(struct cli *cli, const void *parsed, const struct strv *arguments,
                  struct error *err)
{
    const struct commit_options *options = parsed;
    CLEANUP(client_path_done) struct client_path path = {};
    CLEANUP(reference_done) struct reference reference = {};
    CLEANUP(json_free) struct json *answer = NULL;

    client_path_begin(&path, "/commit");
    client_path_query(&path, "container", arguments->items[0]);
    if (arguments->count > 1) {
        if (reference_parse(arguments->items[1], &reference, err) < 0)
            return -1;
        if (reference.digest)
            return error_set(err, ERROR_INVALID,
                             "refusing to create a tag with a digest reference");
        CLEANUP(free) char *name = reference_familiar_name(&reference);
        client_path_query(&path, "repo", name);
        client_path_query(&path, "tag", reference.tag);
    }
    client_path_query(&path, "author", options->author);
    client_path_query(&path, "comment", options->message);
    for (size_t i = 0; i < options->changes.count; i++)
        client_path_query(&path, "changes", options->changes.items[i]);
    client_path_query(&path, "pause", options->no_pause || !options->pause ? "0" : NULL);
    if (client_call(cli->client, "POST", &path, NULL, &answer, err) < 0)
        return -1;
    puts(json_text(json_get(answer, "Id")) ?: "");
    return 0;
}

/* ---- export ---- */

struct export_options {
    const char *output;
};

static const struct option_row export_rows[] = {
    { 'o', "output", OPTION_TEXT, offsetof(struct export_options, output),
      "Write to this file instead of standard output" },
    {},
};

static int export(struct cli *cli, const void *parsed, const struct strv *arguments,
                  struct error *err)
{
    const struct export_options *options = parsed;
    CLEANUP(client_path_done) struct client_path path = {};

    client_path_begin(&path, "/containers");
    client_path_segment(&path, arguments->items[0]);
    client_path_begin(&path, "/export");
    return archive_file_receive(cli->client, &path, options->output, "export container", err);
}

/* clang-format off */
const struct command command_diff = {
    .name = "diff", .usage = "CONTAINER", .summary = "Show what a container changed in its files", .least = 1, .most = 1, .run = diff,
};
const struct command command_commit = {
    .name = "commit", .usage = "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]", .summary = "Make an image of what a container changed",
    .least = 1, .most = 2, .options = commit_rows, .options_size = sizeof(struct commit_options), .run = commit,
};
const struct command command_export = {
    .name = "export", .usage = "[OPTIONS] CONTAINER", .summary = "Write a container's file system as a tar archive", .least = 1,
    .most = 1, .options = export_rows, .options_size = sizeof(struct export_options), .run = export,
};
/* clang-format on */
