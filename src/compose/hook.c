/* Hooks are execs in the container; their output is read to the end and not shown. */
#include <string.h>

#include "base/memory.h"
#include "compose/apply.h"
#include "compose/body.h"

#include "base/banned.h"

static int create_exec(struct client *client, const char *id, const struct yaml *hook,
                       char **out_exec, struct error *err)
{
    const struct yaml *environment = yaml_get(hook, "environment");
    CLEANUP(client_path_done) struct client_path path = {};
    CLEANUP(str_done) struct str body = {};
    CLEANUP(json_free) struct json *answer = NULL;
    struct json_writer w = { .out = &body };

    json_begin_dict(&w, NULL);
    body_raw(&w, "Cmd", yaml_get(hook, "command"));
    body_text(&w, "User", yaml_get(hook, "user"));
    body_bool(&w, "Privileged", yaml_get(hook, "privileged"));
    body_text(&w, "WorkingDir", yaml_get(hook, "working_dir"));
    json_begin_list(&w, "Env");
    for (size_t i = 0; i < yaml_count(environment); i++)
        if (yaml_text(environment->items[i]))
            json_add_text_format(&w, NULL, "%s=%s", environment->keys[i],
                                 yaml_text(environment->items[i]));
    json_end_list(&w);
    json_add_bool(&w, "AttachStdout", true);
    json_add_bool(&w, "AttachStderr", true);
    json_end_dict(&w);
    client_path_begin(&path, "/containers/%s/exec", id);
    if (client_call(client, "POST", &path, str_text(&body), &answer, err) < 0)
        return -1;
    *out_exec = xstrdup(json_text(json_get(answer, "Id")));
    return 0;
}

static int run(struct client *client, const char *id, const struct yaml *hook, struct error *err)
{
    CLEANUP(client_path_done) struct client_path start = {}, inspect = {};
    CLEANUP(http_connection_close) struct http_connection *connection = NULL;
    CLEANUP(json_free) struct json *answer = NULL;
    CLEANUP(free) char *exec = NULL;
    char block[4096];
    ssize_t count;

    if (create_exec(client, id, hook, &exec, err) < 0)
        return -1;
    client_path_begin(&start, "/exec/%s/start", exec);
    if (client_upgrade(client, &start, "{\"Detach\":false,\"Tty\":false}", &connection, err) < 0)
        return -1;
    while ((count = http_connection_read(connection, block, sizeof(block), err)) > 0)
        continue;
    client_path_begin(&inspect, "/exec/%s/json", exec);
    if (count < 0 || client_call(client, "GET", &inspect, NULL, &answer, err) < 0)
        return -1;
    long long code = json_to_int64(json_get(answer, "ExitCode"));
    return code ? error_set(err, ERROR_CONFLICT, "hook exited with status code %lld", code) : 0;
}

int hook_run_all(struct client *client, const char *id, const struct yaml *hooks, struct error *err)
{
    for (size_t i = 0; i < yaml_count(hooks); i++)
        if (run(client, id, hooks->items[i], err) < 0)
            return -1;
    return 0;
}
