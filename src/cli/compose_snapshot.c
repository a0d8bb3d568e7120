/* compose commit and compose export: what a service's container has in its files. */
#include "base/memory.h"
#include "cli/compose_session.h"

#include "base/banned.h"

extern const struct command command_commit, command_export;

struct snapshot_options {
    const char *author, *message, *output;
    struct strv changes;
    struct optional_int64 index;
    bool pause;
};

/* clang-format off */
#define AT(member) offsetof(struct snapshot_options, member)
static const struct option_row commit_rows[] = {
    { 'a', "author",  OPTION_TEXT,    AT(author),  "Who made it (\"Name <mail>\")" },
    { 'c', "change",  OPTION_LIST,    AT(changes), "Dockerfile instruction to apply" },
    { 0,   "index",   OPTION_INTEGER, AT(index),   "Number of the container" },
    { 'm', "message", OPTION_TEXT,    AT(message), "What was done" },
    { 'p', "pause",   OPTION_BOOL,    AT(pause),   "Hold the container meanwhile", .initially_true = true },
    {},
};

static const struct option_row export_rows[] = {
    { 0,   "index",  OPTION_INTEGER, AT(index),  "Number of the container" },
    { 'o', "output", OPTION_TEXT,    AT(output), "Write to this file instead of standard output" },
    {},
};
#undef AT
/* clang-format on */

/* Adds the id of a service's container to the words. */
static int add_container(struct cli *cli, const char *service, const struct optional_int64 *index,
                         struct strv *words, struct error *err)
{
    CLEANUP(compose_session_done) struct compose_session session = {};
    CLEANUP(strv_done) struct strv services = {};
    const struct actual_container *found;

    strv_add(&services, service);
    if (compose_session_open(cli, &services, &session, err) < 0)
        return -1;
    found = actual_find(&session.actual, service, (int)index->value);
    if (!found && index->value)
        return error_set(err, ERROR_NOT_FOUND, "service \"%s\" has no container #%lld", service,
                         (long long)index->value);
    if (!found)
        return error_set(err, ERROR_NOT_FOUND, "no container found for service \"%s\"", service);
    strv_add(words, found->id);
    return 0;
}

static int commit(struct cli *cli, const void *parsed, const struct strv *arguments,
                  struct error *err)
{
    const struct snapshot_options *options = parsed;
    CLEANUP(strv_done) struct strv words = {};

    if (compose_refuse_trial(cli, err) < 0)
        return -1;
    if (options->author)
        strv_add_format(&words, "--author=%s", options->author);
    if (options->message)
        strv_add_format(&words, "--message=%s", options->message);
    for (size_t i = 0; i < options->changes.count; i++)
        strv_add_format(&words, "--change=%s", options->changes.items[i]);
    if (!options->pause)
        strv_add(&words, "--no-pause");
    if (add_container(cli, arguments->items[0], &options->index, &words, err) < 0)
        return -1;
    if (arguments->count > 1)
        strv_add(&words, arguments->items[1]);
    return cli_call(cli, &command_commit, &words, err);
}

const struct command command_compose_commit = {
    .name = "commit",
    .usage = "[OPTIONS] SERVICE [REPOSITORY[:TAG]]",
    .summary = "Make an image of what a service's container changed",
    .least = 1,
    .most = 2,
    .options = commit_rows,
    .options_size = sizeof(struct snapshot_options),
    .run = commit,
};

static int export(struct cli *cli, const void *parsed, const struct strv *arguments,
                  struct error *err)
{
    const struct snapshot_options *options = parsed;
    CLEANUP(strv_done) struct strv words = {};

    if (compose_refuse_trial(cli, err) < 0)
        return -1;
    if (options->output)
        strv_add_format(&words, "--output=%s", options->output);
    if (add_container(cli, arguments->items[0], &options->index, &words, err) < 0)
        return -1;
    return cli_call(cli, &command_export, &words, err);
}

const struct command command_compose_export = {
    .name = "export",
    .usage = "[OPTIONS] SERVICE",
    .summary = "Write the file system of a service's container as a tar archive",
    .least = 1,
    .most = 1,
    .options = export_rows,
    .options_size = sizeof(struct snapshot_options),
    .run = export,
};
