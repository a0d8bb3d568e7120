/* start, stop, restart, kill, pause, unpause, rm, rename, wait. */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "cli/command.h"
#include "cli/settings.h"
#include "cli/stream.h"

#include "base/banned.h"

static int post(struct cli *cli, const char *container, const char *verb,
                const char *const (*query)[2], size_t query_count, struct error *err)
{
    CLEANUP(client_path_done) struct client_path path = {};

    client_path_begin(&path, "/containers");
    client_path_segment(&path, container);
    client_path_begin(&path, "/%s", verb);
    for (size_t i = 0; i < query_count; i++)
        client_path_query(&path, query[i][0], query[i][1]);
    if (client_call(cli->client, "POST", &path, NULL, NULL, err) < 0 &&
        err->kind != ERROR_NOT_MODIFIED)
        return -1;
    return 0;
}

/* ---- stop, restart, kill ---- */

struct stop_options {
    struct optional_int64 timeout_s;
    const char *signal;
};

static const struct option_row stop_rows[] = {
    { 's', "signal", OPTION_TEXT, offsetof(struct stop_options, signal), "Signal to send" },
    { 't', "timeout", OPTION_INTEGER, offsetof(struct stop_options, timeout_s),
      "Seconds before it is killed (-1: never)" },
    { 0, "time", OPTION_INTEGER, offsetof(struct stop_options, timeout_s), NULL,
      .is_hidden = true },
    {},
};

static int stop_with(struct cli *cli, const char *container, const char *verb,
                     const struct stop_options *options, struct error *err)
{
    char seconds[24];

    snprintf(seconds, sizeof(seconds), "%lld", (long long)options->timeout_s.value);
    const char *const query[][2] = { { "signal", options->signal },
                                     { "t", options->timeout_s.is_set ? seconds : NULL } };
    return post(cli, container, verb, query, COUNT(query), err);
}

static int stop_one(struct cli *cli, const char *container, const void *options, struct error *err)
{
    return stop_with(cli, container, "stop", options, err);
}

static int restart_one(struct cli *cli, const char *container, const void *options,
                       struct error *err)
{
    return stop_with(cli, container, "restart", options, err);
}

static int stop_command(struct cli *cli, const void *options, const struct strv *arguments,
                        struct error *err)
{
    return cli_each(cli, arguments, stop_one, options, err);
}

static int restart_command(struct cli *cli, const void *options, const struct strv *arguments,
                           struct error *err)
{
    return cli_each(cli, arguments, restart_one, options, err);
}

struct kill_options {
    const char *signal;
};

static const struct option_row kill_rows[] = {
    { 's', "signal", OPTION_TEXT, offsetof(struct kill_options, signal), "Signal to send" },
    {},
};

static int kill_one(struct cli *cli, const char *container, const void *parsed, struct error *err)
{
    const struct kill_options *options = parsed;
    const char *const query[][2] = { { "signal", options->signal } };

    return post(cli, container, "kill", query, COUNT(query), err);
}

static int kill_command(struct cli *cli, const void *options, const struct strv *arguments,
                        struct error *err)
{
    return cli_each(cli, arguments, kill_one, options, err);
}

/* ---- pause, unpause ---- */

static int pause_one(struct cli *cli, const char *container, const void *options UNUSED,
                     struct error *err)
{
    return post(cli, container, "pause", NULL, 0, err);
}

static int unpause_one(struct cli *cli, const char *container, const void *options UNUSED,
                       struct error *err)
{
    return post(cli, container, "unpause", NULL, 0, err);
}

static int pause_command(struct cli *cli, const void *options, const struct strv *arguments,
                         struct error *err)
{
    return cli_each(cli, arguments, pause_one, options, err);
}

static int unpause_command(struct cli *cli, const void *options, const struct strv *arguments,
                           struct error *err)
{
    return cli_each(cli, arguments, unpause_one, options, err);
}

static int rename_command(struct cli *cli, const void *options UNUSED, const struct strv *arguments,
                          struct error *err)
{
    const char *const query[][2] = { { "name", arguments->items[1] } };

    if (post(cli, arguments->items[0], "rename", query, COUNT(query), err) < 0)
        return error_set(err, err->kind, "%.700s\nError: failed to rename container named %.200s",
                         strdupa(err->text), arguments->items[0]);
    return 0;
}

/* ---- rm ---- */

struct rm_options {
    bool force, link, volumes;
};

static const struct option_row rm_rows[] = {
    { 'f', "force", OPTION_BOOL, offsetof(struct rm_options, force), "Kill it first if it runs" },
    { 'l', "link", OPTION_BOOL, offsetof(struct rm_options, link),
      "Remove a link (CONTAINER/ALIAS) and no container" },
    { 'v', "volumes", OPTION_BOOL, offsetof(struct rm_options, volumes),
      "Remove its anonymous volumes too" },
    {},
};

static int rm_one(struct cli *cli, const char *container, const void *parsed, struct error *err)
{
    const struct rm_options *options = parsed;
    CLEANUP(client_path_done) struct client_path path = {};

    client_path_begin(&path, "/containers");
    client_path_segment(&path, container);
    client_path_query(&path, "force", options->force ? "1" : NULL);
    client_path_query(&path, "link", options->link ? "1" : NULL);
    client_path_query(&path, "v", options->volumes ? "1" : NULL);
    return client_call(cli->client, "DELETE", &path, NULL, NULL, err);
}

static int rm_command(struct cli *cli, const void *parsed, const struct strv *arguments,
                      struct error *err)
{
    const struct rm_options *options = parsed;

    for (size_t i = 0; i < arguments->count; i++) {
        if (rm_one(cli, arguments->items[i], options, err) == 0) {
            puts(arguments->items[i]);
            continue;
        }
        fflush(stdout);
        fprintf(stderr, "%s\n", err->text);
        /* What is gone already is what was asked for. */
        if (!options->force || err->kind != ERROR_NOT_FOUND)
            cli->exit_code = 1;
    }
    return 0;
}

/* ---- wait ---- */

static int wait_command(struct cli *cli, const void *options UNUSED, const struct strv *arguments,
                        struct error *err UNUSED)
{
    for (size_t i = 0; i < arguments->count; i++) {
        CLEANUP(client_path_done) struct client_path path = {};
        CLEANUP(json_free) struct json *answer = NULL;
        struct error failed = {};

        client_path_begin(&path, "/containers");
        client_path_segment(&path, arguments->items[i]);
        client_path_begin(&path, "/wait");
        if (client_call(cli->client, "POST", &path, NULL, &answer, &failed) < 0) {
            fprintf(stderr, "%s\n", failed.text);
            cli->exit_code = 1;
            continue;
        }
        printf("%lld\n", (long long)json_to_int64(json_get(answer, "StatusCode")));
        fflush(stdout);
    }
    return 0;
}

#define PER_CONTAINER "CONTAINER [CONTAINER...]"

/* clang-format off */
const struct command command_stop = {
    .name = "stop", .usage = "[OPTIONS] " PER_CONTAINER, .summary = "Stop running containers", .least = 1,
    .most = MANY_ARGUMENTS, .options = stop_rows, .options_size = sizeof(struct stop_options), .run = stop_command,
};
const struct command command_restart = {
    .name = "restart", .usage = "[OPTIONS] " PER_CONTAINER, .summary = "Stop containers and start them again", .least = 1,
    .most = MANY_ARGUMENTS, .options = stop_rows, .options_size = sizeof(struct stop_options), .run = restart_command,
};
const struct command command_kill = {
    .name = "kill", .usage = "[OPTIONS] " PER_CONTAINER, .summary = "Send a signal to running containers", .least = 1,
    .most = MANY_ARGUMENTS, .options = kill_rows, .options_size = sizeof(struct kill_options), .run = kill_command,
};
const struct command command_pause = {
    .name = "pause", .usage = PER_CONTAINER, .summary = "Freeze all processes of containers", .least = 1,
    .most = MANY_ARGUMENTS, .run = pause_command,
};
const struct command command_unpause = {
    .name = "unpause", .usage = PER_CONTAINER, .summary = "Let paused containers go on", .least = 1,
    .most = MANY_ARGUMENTS, .run = unpause_command,
};
const struct command command_rename = {
    .name = "rename", .usage = "CONTAINER NEW_NAME", .summary = "Give a container another name", .least = 2, .most = 2,
    .run = rename_command,
};
const struct command command_rm = {
    .name = "rm", .aliases = "remove", .usage = "[OPTIONS] " PER_CONTAINER, .summary = "Remove containers", .least = 1,
    .most = MANY_ARGUMENTS, .options = rm_rows, .options_size = sizeof(struct rm_options), .run = rm_command,
};
const struct command command_wait = {
    .name = "wait", .usage = PER_CONTAINER, .summary = "Wait until containers end, then print their exit codes", .least = 1,
    .most = MANY_ARGUMENTS, .run = wait_command,
};
/* clang-format on */
