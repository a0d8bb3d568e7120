/* attach, start (with -a), exec: commands that join a container's streams with ours. */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/env_file.h"
#include "cli/settings.h"
#include "cli/stream.h"
#include "cli/terminal.h"
#include "spec/container.h"

#include "base/banned.h"

static int inspect(struct cli *cli, const char *container, struct json **out, struct error *err)
{
    CLEANUP(client_path_done) struct client_path path = {};

    client_path_begin(&path, "/containers");
    client_path_segment(&path, container);
    client_path_begin(&path, "/json");
    return client_call(cli->client, "GET", &path, NULL, out, err);
}

/* Streams until the end, then gives the exit code that 'waiting' tells. */
static int join(struct cli *cli, const char *id, const struct stream_options *streams, bool start,
                struct error *err)
{
    CLEANUP(client_path_done) struct client_path attach_path = {}, wait_path = {}, start_path = {};
    CLEANUP(http_connection_close) struct http_connection *connection = NULL;
    CLEANUP(http_response_free) struct http_response *waiting = NULL;
    CLEANUP(str_done) struct str text = {};
    CLEANUP(json_free) struct json *answer = NULL;

    client_path_begin(&attach_path, "/containers/%s/attach", id);
    client_path_query(&attach_path, "stream", "1");
    client_path_query(&attach_path, "stdin", streams->stdin_wanted ? "1" : NULL);
    client_path_query(&attach_path, "stdout", "1");
    client_path_query(&attach_path, "stderr", "1");
    client_path_query(&attach_path, "detachKeys", streams->detach_keys);
    client_path_begin(&wait_path, "/containers/%s/wait", id);
    client_path_query(&wait_path, "condition", start ? "next-exit" : NULL);
    client_path_begin(&start_path, "/containers/%s/start", id);
    stream_block_signals();
    if (client_upgrade(cli->client, &attach_path, NULL, &connection, err) < 0 ||
        client_stream(cli->client, "POST", &wait_path, NULL, NULL, NULL, &waiting, err) < 0)
        return -1;
    if (start && client_call(cli->client, "POST", &start_path, NULL, NULL, err) < 0)
        return -1;
    int ended = stream_run(cli->client, TAKE(connection), streams, err);
    if (ended <= 0)
        return ended;
    if (http_response_read_all(waiting, 1 << 20, &text, err) < 0 ||
        json_parse(str_text(&text), text.length, &answer, err) < 0)
        return -1;
    cli->exit_code = (int)json_to_int64(json_get(answer, "StatusCode"));
    return 0;
}

/* ---- attach ---- */

struct attach_options {
    const char *detach_keys;
    bool no_stdin, sig_proxy;
};

static const struct option_row attach_rows[] = {
    { 0, "detach-keys", OPTION_TEXT, offsetof(struct attach_options, detach_keys),
      "Keys that detach" },
    { 0, "no-stdin", OPTION_BOOL, offsetof(struct attach_options, no_stdin),
      "Do not attach stdin" },
    { 0, "sig-proxy", OPTION_BOOL, offsetof(struct attach_options, sig_proxy),
      "Hand signals on to the process", .initially_true = true },
    {},
};

static int attach_command(struct cli *cli, const void *parsed, const struct strv *arguments,
                          struct error *err)
{
    const struct attach_options *options = parsed;
    CLEANUP(json_free) struct json *container = NULL;

    if (inspect(cli, arguments->items[0], &container, err) < 0)
        return -1;
    const struct json *config = json_get(container, "Config"),
                      *state = json_get(container, "State");
    const char *id = json_text(json_get(container, "Id"));
    bool tty = json_is_true(json_get(config, "Tty"));
    if (!json_is_true(json_get(state, "Running")))
        return error_set(err, ERROR_CONFLICT,
                         "You cannot attach to a stopped container, start it first");
    if (json_is_true(json_get(state, "Paused")))
        return error_set(err, ERROR_CONFLICT,
                         "cannot attach to a paused container, unpause it first");
    CLEANUP(free) char *resize = xasprintf("/containers/%s/resize", id);
    CLEANUP(free) char *kill = xasprintf("/containers/%s/kill", id);
    struct stream_options streams = {
        .stdin_wanted = !options->no_stdin && json_is_true(json_get(config, "OpenStdin")),
        .tty = tty,
        .detach_keys = options->detach_keys ? options->detach_keys : settings_text("detachKeys"),
        .resize_path = tty ? resize : NULL,
        .kill_path = options->sig_proxy && !tty ? kill : NULL,
    };
    return join(cli, id, &streams, false, err);
}

/* ---- start ---- */

struct start_options {
    bool attach, interactive;
    const char *detach_keys;
};

static const struct option_row start_rows[] = {
    { 'a', "attach", OPTION_BOOL, offsetof(struct start_options, attach),
      "Attach stdout and stderr, and hand signals on" },
    { 0, "checkpoint", OPTION_UNSUPPORTED, 0, NULL },
    { 0, "checkpoint-dir", OPTION_UNSUPPORTED, 0, NULL },
    { 0, "detach-keys", OPTION_TEXT, offsetof(struct start_options, detach_keys),
      "Keys that detach" },
    { 'i', "interactive", OPTION_BOOL, offsetof(struct start_options, interactive),
      "Attach stdin" },
    {},
};

static int start_one(struct cli *cli, const char *container, const void *options UNUSED,
                     struct error *err)
{
    CLEANUP(client_path_done) struct client_path path = {};

    client_path_begin(&path, "/containers");
    client_path_segment(&path, container);
    client_path_begin(&path, "/start");
    if (client_call(cli->client, "POST", &path, NULL, NULL, err) < 0 &&
        err->kind != ERROR_NOT_MODIFIED)
        return -1;
    return 0;
}

static int start_attached(struct cli *cli, const struct start_options *options, const char *name,
                          struct error *err)
{
    CLEANUP(json_free) struct json *container = NULL;

    if (inspect(cli, name, &container, err) < 0)
        return -1;
    const struct json *config = json_get(container, "Config");
    const char *id = json_text(json_get(container, "Id"));
    bool tty = json_is_true(json_get(config, "Tty"));
    CLEANUP(free) char *resize = xasprintf("/containers/%s/resize", id);
    CLEANUP(free) char *kill = xasprintf("/containers/%s/kill", id);
    struct stream_options streams = {
        .stdin_wanted = options->interactive && json_is_true(json_get(config, "OpenStdin")),
        .tty = tty,
        .detach_keys = options->detach_keys ? options->detach_keys : settings_text("detachKeys"),
        .resize_path = tty ? resize : NULL,
        .kill_path = tty ? NULL : kill,
    };
    return join(cli, id, &streams, true, err);
}

/* Each failure is told as it comes, and their names at the end. */
static int start_all(struct cli *cli, const struct strv *arguments, struct error *err)
{
    CLEANUP(strv_done) struct strv failed = {};

    for (size_t i = 0; i < arguments->count; i++) {
        struct error why = {};

        if (start_one(cli, arguments->items[i], NULL, &why) == 0) {
            puts(arguments->items[i]);
            continue;
        }
        fflush(stdout);
        fprintf(stderr, "%s\n", why.text);
        strv_add(&failed, arguments->items[i]);
    }
    if (!failed.count)
        return 0;
    CLEANUP(free) char *names = strv_join(&failed, ", ");
    return error_set(err, ERROR_INTERNAL, "Error: failed to start containers: %s", names);
}

static int start_command(struct cli *cli, const void *parsed, const struct strv *arguments,
                         struct error *err)
{
    const struct start_options *options = parsed;

    if (!options->attach && !options->interactive)
        return start_all(cli, arguments, err);
    if (arguments->count > 1)
        return error_set(err, ERROR_INVALID,
                         "you cannot start and attach multiple containers at once");
    return start_attached(cli, options, arguments->items[0], err);
}

/* ---- exec ---- */

struct exec_options {
    bool detach, interactive, privileged, tty;
    const char *detach_keys, *user, *workdir;
    struct strv env, env_file;
};

static const struct option_row exec_rows[] = {
    { 'd', "detach", OPTION_BOOL, offsetof(struct exec_options, detach), "Run in the background" },
    { 0, "detach-keys", OPTION_TEXT, offsetof(struct exec_options, detach_keys),
      "Keys that detach" },
    { 'e', "env", OPTION_LIST, offsetof(struct exec_options, env), "Set an environment variable" },
    { 0, "env-file", OPTION_LIST, offsetof(struct exec_options, env_file),
      "Read environment variables from a file" },
    { 'i', "interactive", OPTION_BOOL, offsetof(struct exec_options, interactive),
      "Keep stdin open" },
    { 0, "privileged", OPTION_BOOL, offsetof(struct exec_options, privileged),
      "Give it all rights" },
    { 't', "tty", OPTION_BOOL, offsetof(struct exec_options, tty), "Give it a terminal" },
    { 'u', "user", OPTION_TEXT, offsetof(struct exec_options, user), "User, and group, to run as" },
    { 'w', "workdir", OPTION_TEXT, offsetof(struct exec_options, workdir),
      "Working directory inside" },
    {},
};

static int exec_create(struct cli *cli, const struct exec_options *options,
                       const struct strv *arguments, char **out_id, struct error *err)
{
    CLEANUP(client_path_done) struct client_path path = {};
    CLEANUP(json_free) struct json *answer = NULL;
    CLEANUP(str_done) struct str body = {};
    struct exec_config config = {
        .user = xstrdup(options->user),
        .privileged = options->privileged,
        .tty = options->tty,
        .attach_stdin = options->interactive && !options->detach,
        .attach_stdout = !options->detach,
        .attach_stderr = !options->detach,
        .detach_keys = xstrdup(options->detach_keys),
        .working_dir = xstrdup(options->workdir),
    };
    int height, width;

    for (size_t i = 0; i < options->env_file.count; i++)
        if (env_file_read(options->env_file.items[i], &config.env, err) < 0) {
            json_fields_done(exec_config_fields, &config);
            return -1;
        }
    for (size_t i = 0; i < options->env.count; i++)
        env_add(&config.env, options->env.items[i]);
    for (size_t i = 1; i < arguments->count; i++)
        strv_add(&config.cmd, arguments->items[i]);
    if (options->tty && terminal_size(&height, &width)) {
        config.console_size[0] = height;
        config.console_size[1] = width;
    }
    json_encode(exec_config_fields, &config, &body);
    json_fields_done(exec_config_fields, &config);
    client_path_begin(&path, "/containers");
    client_path_segment(&path, arguments->items[0]);
    client_path_begin(&path, "/exec");
    if (client_call(cli->client, "POST", &path, str_text(&body), &answer, err) < 0)
        return -1;
    *out_id = xstrdup(json_text(json_get(answer, "Id")));
    return 0;
}

static int exec_exit_code(struct cli *cli, const char *id, struct error *err)
{
    CLEANUP(client_path_done) struct client_path path = {};
    CLEANUP(json_free) struct json *answer = NULL;

    client_path_begin(&path, "/exec/%s/json", id);
    if (client_call(cli->client, "GET", &path, NULL, &answer, err) < 0)
        return -1;
    cli->exit_code = (int)json_to_int64(json_get(answer, "ExitCode"));
    return 0;
}

static int exec_command(struct cli *cli, const void *parsed, const struct strv *arguments,
                        struct error *err)
{
    const struct exec_options *options = parsed;
    CLEANUP(client_path_done) struct client_path path = {};
    CLEANUP(http_connection_close) struct http_connection *connection = NULL;
    CLEANUP(free) char *id = NULL;

    if (options->tty && options->interactive && !options->detach && !terminal_is(STDIN_FILENO))
        return error_set(err, ERROR_INVALID, "the input device is not a TTY");
    if (exec_create(cli, options, arguments, &id, err) < 0)
        return -1;
    client_path_begin(&path, "/exec/%s/start", id);
    CLEANUP(free)
    char *body = xasprintf("{\"Detach\":%s,\"Tty\":%s}", options->detach ? "true" : "false",
                           options->tty ? "true" : "false");
    if (options->detach) {
        if (client_call(cli->client, "POST", &path, body, NULL, err) < 0) {
            cli->exit_code = strstr(err->text, "permission denied") ? 126
                             : strstr(err->text, "not found")       ? 127
                                                                    : 1;
            return -1;
        }
        return 0;
    }
    if (client_upgrade(cli->client, &path, body, &connection, err) < 0)
        return -1;
    CLEANUP(free) char *resize = xasprintf("/exec/%s/resize", id);
    struct stream_options streams = {
        .stdin_wanted = options->interactive,
        .tty = options->tty,
        .detach_keys = options->detach_keys ? options->detach_keys : settings_text("detachKeys"),
        .resize_path = options->tty ? resize : NULL,
    };
    int ended = stream_run(cli->client, TAKE(connection), &streams, err);
    if (ended <= 0)
        return ended;
    return exec_exit_code(cli, id, err);
}

/* clang-format off */
const struct command command_attach = {
    .name = "attach", .usage = "[OPTIONS] CONTAINER", .summary = "Attach stdin, stdout and stderr to a running container",
    .least = 1, .most = 1, .options = attach_rows, .options_size = sizeof(struct attach_options), .run = attach_command,
};
const struct command command_start = {
    .name = "start", .usage = "[OPTIONS] CONTAINER [CONTAINER...]", .summary = "Start stopped containers", .least = 1,
    .most = MANY_ARGUMENTS, .options = start_rows, .options_size = sizeof(struct start_options), .run = start_command,
};
const struct command command_exec = {
    .name = "exec", .usage = "[OPTIONS] CONTAINER COMMAND [ARG...]", .summary = "Run a further command in a running container",
    .least = 2, .most = MANY_ARGUMENTS, .options = exec_rows, .options_size = sizeof(struct exec_options), .stops_early = true,
    .run = exec_command,
};
/* clang-format on */
