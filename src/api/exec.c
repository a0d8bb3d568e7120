/* Further processes in a container. */
#include "engine/exec.h"

#include "api/api.h"
#include "api/detach_keys.h"
#include "api/frame.h"
#include "api/hijack.h"
#include "api/routes.h"
#include "base/log.h"
#include "base/text.h"
#include "codec/base64.h"

#include "base/banned.h"

int api_exec_create(struct request *req, struct error *err)
{
    CLEANUP(str_done) struct str answer = {};
    struct json_writer w = { .out = &answer };
    struct exec_config config = {};
    char keys[DETACH_KEYS_LIMIT], id[65];
    size_t size;
    int result = -1;

    if (request_decode(req, exec_config_fields, &config, err) < 0)
        return -1;
    if (config.cmd.count == 0)
        error_set(err, ERROR_INVALID, "No exec command specified");
    else if (detach_keys_parse(config.detach_keys, keys, &size, NULL) < 0)
        error_set(err, ERROR_INTERNAL, "Invalid escape keys (%s) provided", config.detach_keys);
    else
        result = engine_exec_create(req->engine, request_parameter(req, 0), &config, id, err);
    json_fields_done(exec_config_fields, &config);
    if (result < 0)
        return -1;
    json_begin_dict(&w, NULL);
    json_add_text(&w, "Id", id);
    json_end_dict(&w);
    return reply_json(req, 201, &answer, err);
}

/* ---- start ---- */

struct exec_start {
    bool detach, tty;
    int64_t console_size[2];
};

/* clang-format off */
static const struct json_field exec_start_fields[] = {
    JSON_BOOL      (struct exec_start, detach,       "Detach"),
    JSON_BOOL      (struct exec_start, tty,          "Tty"),
    JSON_INT64_PAIR(struct exec_start, console_size, "ConsoleSize"),
    JSON_END,
};
/* clang-format on */

/* How the output looks is said by the body of start; whether there is a terminal, by that of
 * create. */
static void read_streams(const struct exec_config *config, const struct exec_start *start,
                         char keys[DETACH_KEYS_LIMIT], struct shim_stream_options *out)
{
    out->stdin_wanted = config->attach_stdin;
    out->stdout_wanted = config->attach_stdout;
    out->stderr_wanted = config->attach_stderr && !start->tty;
    out->framed = !start->tty;
    if (config->tty && config->attach_stdin &&
        detach_keys_parse(config->detach_keys, keys, &out->detach_keys_size, NULL) == 0)
        out->detach_keys = keys;
}

static int start_attached(struct request *req, const struct exec_info *info,
                          const struct exec_start *start, struct error *err)
{
    static const char headers[] = "Api-Version: " API_VERSION_TEXT "\r\n"
                                  "Docker-Experimental: false\r\nOstype: linux\r\n"
                                  "Server: berth/" BERTH_VERSION " (linux)\r\n";
    CLEANUP(hijack_done) struct hijack hijack = { .fd = -1, .near_fd = -1 };
    struct shim_stream_options streams = {};
    struct relay *relay;
    char keys[DETACH_KEYS_LIMIT];
    bool is_new = req->version >= API_VERSION(42), multiplexed = !start->tty && is_new;
    bool is_sized = start->tty && is_new && start->console_size[0] > 0 &&
                    start->console_size[1] > 0;
    const int64_t *console_size = is_sized ? start->console_size : NULL;

    read_streams(&info->config, start, keys, &streams);
    if (hijack_begin(req, multiplexed ? MEDIA_TYPE_MULTIPLEXED_STREAM : MEDIA_TYPE_RAW_STREAM,
                     headers, &hijack, err) < 0)
        return -1;
    streams.pending = hijack.pending;
    streams.pending_size = hijack.pending_size;
    if (hijack_relay_begin(req, &hijack, &relay, err) < 0)
        return -1;
    /* If it fails now, the engine writes why into the stream. */
    if (engine_exec_start(req->engine, info->id, console_size, hijack_take_fd(&hijack), &streams,
                          err) < 0)
        log_debug("exec failed", "exec", info->id, "error", err->text);
    hijack_relay_end(relay);
    return 0;
}

int api_exec_start(struct request *req, struct error *err)
{
    CLEANUP(exec_info_unref) struct exec_info *info = NULL;
    struct exec_start start = {};
    const char *id = request_parameter(req, 0);

    if (request_decode(req, exec_start_fields, &start, err) < 0 ||
        engine_exec_start_check(req->engine, id, start.detach, err) < 0 ||
        engine_exec_get(req->engine, id, &info, err) < 0)
        return -1;
    if (!start.detach) {
        if (start_attached(req, info, &start, err) < 0)
            log_debug("exec not attached", "exec", id, "error", err->text);
        return 0;
    }
    if (engine_exec_start(req->engine, id, NULL, -1, &(struct shim_stream_options){}, err) < 0)
        return -1;
    return reply_empty(req, 200, err);
}

int api_exec_resize(struct request *req, struct error *err)
{
    int height, width;

    if (request_query_size(req, &height, &width, err) < 0 ||
        engine_exec_resize(req->engine, request_parameter(req, 0), height, width, err) < 0)
        return -1;
    return reply_empty(req, 200, err);
}

/* ---- inspect ---- */

static void write_process(struct json_writer *w, const struct exec_config *config)
{
    json_begin_dict(w, "ProcessConfig");
    json_add_bool(w, "tty", config->tty);
    json_add_text(w, "entrypoint", config->cmd.count > 0 ? config->cmd.items[0] : "");
    json_begin_list(w, "arguments");
    for (size_t i = 1; i < config->cmd.count; i++)
        json_add_text(w, NULL, config->cmd.items[i]);
    json_end_list(w);
    json_add_bool(w, "privileged", config->privileged);
    if (!text_is_empty(config->user))
        json_add_text(w, "user", config->user);
    json_end_dict(w);
}

static void write_keys(struct json_writer *w, const struct exec_config *config)
{
    CLEANUP(free) char *encoded = NULL;
    char keys[DETACH_KEYS_LIMIT];
    size_t size = 0;

    if (!text_is_empty(config->detach_keys))
        detach_keys_parse(config->detach_keys, keys, &size, NULL);
    encoded = base64_encode(keys, size);
    json_add_text(w, "DetachKeys", encoded);
}

int api_exec_inspect(struct request *req, struct error *err)
{
    CLEANUP(exec_info_unref) struct exec_info *info = NULL;
    CLEANUP(str_done) struct str body = {};
    struct json_writer w = { .out = &body };

    if (engine_exec_get(req->engine, request_parameter(req, 0), &info, err) < 0)
        return -1;
    json_begin_dict(&w, NULL);
    json_add_text(&w, "ID", info->id);
    json_add_bool(&w, "Running", info->is_running);
    if (info->has_exited)
        json_add_int64(&w, "ExitCode", info->exit_code);
    else
        json_add_null(&w, "ExitCode");
    write_process(&w, &info->config);
    json_add_bool(&w, "OpenStdin", info->config.attach_stdin);
    json_add_bool(&w, "OpenStderr", info->config.attach_stderr);
    json_add_bool(&w, "OpenStdout", info->config.attach_stdout);
    json_add_bool(&w, "CanRemove", false);
    json_add_text(&w, "ContainerID", info->container_id);
    write_keys(&w, &info->config);
    json_add_int64(&w, "Pid", info->pid);
    json_end_dict(&w);
    return reply_json(req, 200, &body, err);
}
