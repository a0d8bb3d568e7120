/* run and create. The order of run is Docker's: create, attach, wait (registered), start, then
 * stream. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "cli/api_socket.h"
#include "cli/command.h"
#include "cli/platform_query.h"
#include "cli/registry.h"
#include "cli/run_check.h"
#include "cli/run_options.h"
#include "cli/settings.h"
#include "cli/stream.h"
#include "cli/terminal.h"
#include "spec/reference.h"

#include "base/banned.h"

enum { EXIT_REFUSED = 125, EXIT_NOT_EXECUTABLE = 126, EXIT_NOT_FOUND = 127 };

/* What went wrong before the command ran, as an exit code. */
static int exit_code_of(const struct error *err)
{
    if (strstr(err->text, "permission denied") || strstr(err->text, "is a directory"))
        return EXIT_NOT_EXECUTABLE;
    if (strstr(err->text, "executable file not found") ||
        strstr(err->text, "no such file or directory"))
        return EXIT_NOT_FOUND;
    return EXIT_REFUSED;
}

static int refuse(struct cli *cli, int code, struct error *err)
{
    cli->exit_code = code;
    error_context(err, "%s", cli->program);
    char text[ERROR_TEXT_SIZE];
    snprintf(text, sizeof(text), "%s", err->text);
    return error_set(err, err->kind, "%.900s\n\nRun '%s %s --help' for more information", text,
                     cli->program, cli->command_path);
}

static int check_cidfile(const char *path, struct error *err)
{
    if (path && file_exists(path))
        return error_set(
            err, ERROR_CONFLICT,
            "container ID file found, make sure the other container isn't running or delete %s",
            path);
    return 0;
}

static bool pulls(const struct run_options *options, const char *when)
{
    return strcmp(text_is_empty(options->pull) ? "missing" : options->pull, when) == 0;
}

/* It is not there, or not for the wanted platform. */
static bool is_missing_image(const struct error *err)
{
    return err->kind == ERROR_NOT_FOUND &&
           (strstr(err->text, "No such image") || strstr(err->text, "was found but its platform"));
}

/* Asks for the container; an image that is missing is pulled once, unless that is not wanted. */
static int ask_for_container(struct cli *cli, const struct run_options *options, const char *image,
                             const char *platform, const struct client_path *path, const char *body,
                             struct json **out, struct error *err)
{
    FILE *progress = options->quiet ? NULL : stderr;

    if (pulls(options, "always") && cli_pull(cli, image, platform, progress, err) < 0)
        return -1;
    if (client_call(cli->client, "POST", path, body, out, err) == 0)
        return 0;
    if (!pulls(options, "missing") || !is_missing_image(err))
        return -1;
    CLEANUP(reference_done) struct reference reference = {};
    if (reference_parse(image, &reference, NULL) < 0)
        return -1;
    CLEANUP(free) char *familiar = reference_familiar(&reference);
    if (!options->quiet)
        fprintf(stderr, "Unable to find image '%s' locally\n", familiar);
    *err = (struct error){};
    if (cli_pull(cli, image, platform, progress, err) < 0)
        return -1;
    return client_call(cli->client, "POST", path, body, out, err);
}

/* Gives the new container's id. 'out_was_asked' (may be NULL): the words were understood, and it is
 * the engine that says no. */
static int create(struct cli *cli, const struct run_options *options, const struct strv *arguments,
                  char **out_id, bool *out_was_asked, struct error *err)
{
    CLEANUP(str_done) struct str body = {}, credentials = {};
    CLEANUP(client_path_done) struct client_path path = {};
    CLEANUP(json_free) struct json *answer = NULL;
    const char *platform = platform_or_default(options->platform);

    if (run_options_check(options, err) < 0)
        return -1;
    if (!pulls(options, "missing") && !pulls(options, "never") && !pulls(options, "always"))
        return error_set(err, ERROR_INVALID,
                         "invalid pull option: '%s': must be one of \"always\", \"missing\" or "
                         "\"never\"",
                         options->pull);
    if (check_cidfile(options->cidfile, err) < 0 ||
        run_options_encode(options, arguments, cli->client, &body, &credentials, err) < 0)
        return -1;
    if (out_was_asked)
        *out_was_asked = true;
    client_path_begin(&path, "/containers/create");
    client_path_query(&path, "name", options->name);
    client_path_query(&path, "platform", platform);
    if (ask_for_container(cli, options, arguments->items[0], platform, &path, str_text(&body),
                          &answer, err) < 0)
        return -1;
    const struct json *warnings = json_get(answer, "Warnings");
    for (size_t i = 0; i < json_count(warnings); i++)
        fprintf(stderr, "WARNING: %s\n", json_text(json_at(warnings, i)));
    *out_id = xstrdup(json_text(json_get(answer, "Id")));
    if (options->cidfile &&
        file_write_atomic(options->cidfile, *out_id, strlen(*out_id), 0644, false, err) < 0)
        return -1;
    return credentials.length ? api_socket_put(cli->client, *out_id, &credentials, err) : 0;
}

static int create_command(struct cli *cli, const void *parsed, const struct strv *arguments,
                          struct error *err)
{
    CLEANUP(free) char *id = NULL;

    bool was_asked = false;

    if (create(cli, parsed, arguments, &id, &was_asked, err) < 0)
        return was_asked ? -1 : refuse(cli, EXIT_REFUSED, err);
    puts(id);
    return 0;
}

static int attach(struct cli *cli, const struct run_options *options, const char *id,
                  struct http_connection **out, struct error *err)
{
    CLEANUP(client_path_done) struct client_path path = {};
    bool stdin_wanted, stdout_wanted, stderr_wanted;

    run_options_streams(options, &stdin_wanted, &stdout_wanted, &stderr_wanted);
    client_path_begin(&path, "/containers/%s/attach", id);
    client_path_query(&path, "stream", "1");
    client_path_query(&path, "stdin", stdin_wanted ? "1" : NULL);
    client_path_query(&path, "stdout", stdout_wanted ? "1" : NULL);
    client_path_query(&path, "stderr", stderr_wanted ? "1" : NULL);
    client_path_query(&path, "detachKeys", options->detach_keys);
    return client_upgrade(cli->client, &path, NULL, out, err);
}

/* Registers the wait: its answer begins at once, and ends with the exit code. */
static int begin_wait(struct cli *cli, const char *id, const char *condition,
                      struct http_response **out, struct error *err)
{
    CLEANUP(client_path_done) struct client_path path = {};

    client_path_begin(&path, "/containers/%s/wait", id);
    client_path_query(&path, "condition", condition);
    return client_stream(cli->client, "POST", &path, NULL, NULL, NULL, out, err);
}

static int finish_wait(struct http_response *response, int *out_code, struct error *err)
{
    CLEANUP(str_done) struct str text = {};
    CLEANUP(json_free) struct json *answer = NULL;

    if (http_response_read_all(response, 1 << 20, &text, err) < 0 ||
        json_parse(str_text(&text), text.length, &answer, err) < 0)
        return error_context(err, "error waiting for container");
    const char *message = json_text(json_get(json_get(answer, "Error"), "Message"));
    if (!text_is_empty(message))
        fprintf(stderr, "Error waiting for container: %s\n", message);
    *out_code = (int)json_to_int64(json_get(answer, "StatusCode"));
    return 0;
}

static int start(struct cli *cli, const char *id, struct error *err)
{
    CLEANUP(client_path_done) struct client_path path = {};

    client_path_begin(&path, "/containers/%s/start", id);
    return client_call(cli->client, "POST", &path, NULL, NULL, err);
}

static int run_detached(struct cli *cli, const char *id, struct error *err)
{
    if (start(cli, id, err) < 0)
        return refuse(cli, exit_code_of(err), err);
    puts(id);
    return 0;
}

static int run_attached(struct cli *cli, const struct run_options *options, const char *id,
                        struct error *err)
{
    CLEANUP(http_connection_close) struct http_connection *connection = NULL;
    CLEANUP(http_response_free) struct http_response *waiting = NULL;
    CLEANUP(free) char *resize = xasprintf("/containers/%s/resize", id);
    CLEANUP(free) char *kill = xasprintf("/containers/%s/kill", id);
    const char *keys = options->detach_keys ? options->detach_keys : settings_text("detachKeys");
    bool stdin_wanted, stdout_wanted, stderr_wanted;

    run_options_streams(options, &stdin_wanted, &stdout_wanted, &stderr_wanted);
    struct stream_options streams = { .stdin_wanted = stdin_wanted,
                                      .tty = options->tty,
                                      .detach_keys = keys,
                                      .resize_path = options->tty ? resize : NULL,
                                      .kill_path = options->sig_proxy && !options->tty ? kill
                                                                                       : NULL };
    stream_block_signals();
    if (attach(cli, options, id, &connection, err) < 0 ||
        begin_wait(cli, id, options->remove ? "removed" : "next-exit", &waiting, err) < 0)
        return refuse(cli, EXIT_REFUSED, err);
    if (start(cli, id, err) < 0)
        return refuse(cli, exit_code_of(err), err);
    int ended = stream_run(cli->client, TAKE(connection), &streams, err);
    if (ended < 0)
        return refuse(cli, EXIT_REFUSED, err);
    if (!ended)
        return 0;
    return finish_wait(waiting, &cli->exit_code, err);
}

static int run_command(struct cli *cli, const void *parsed, const struct strv *arguments,
                       struct error *err)
{
    const struct run_options *options = parsed;
    CLEANUP(free) char *id = NULL;

    if (options->detach && options->attach.count) {
        cli->exit_code = 1;
        return error_set(err, ERROR_INVALID,
                         "%s: conflicting options: cannot specify both --attach and --detach",
                         cli->program);
    }
    if (options->tty && options->interactive && !options->detach && !terminal_is(STDIN_FILENO)) {
        cli->exit_code = 1;
        return error_set(err, ERROR_INVALID, "the input device is not a TTY");
    }
    if (create(cli, options, arguments, &id, NULL, err) < 0)
        return refuse(cli, EXIT_REFUSED, err);
    return options->detach ? run_detached(cli, id, err) : run_attached(cli, options, id, err);
}

const struct command command_run = {
    .name = "run",
    .usage = "[OPTIONS] IMAGE [COMMAND] [ARG...]",
    .summary = "Create a container from an image and run a command in it",
    .least = 1,
    .most = MANY_ARGUMENTS,
    .options = run_rows,
    .options_size = sizeof(struct run_options),
    .stops_early = true,
    .run = run_command,
};

const struct command command_create = {
    .name = "create",
    .usage = "[OPTIONS] IMAGE [COMMAND] [ARG...]",
    .summary = "Create a container, to be started later",
    .least = 1,
    .most = MANY_ARGUMENTS,
    .options = create_rows,
    .options_size = sizeof(struct run_options),
    .stops_early = true,
    .run = create_command,
};
