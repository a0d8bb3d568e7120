/* What can be done to a container. */
#include "engine/container.h"

#include <string.h>
#include <strings.h>

#include "api/routes.h"
#include "base/text.h"

#include "base/banned.h"

/* ---- create ---- */

/* True if the body has anything of Config in it, which sits at the top of the body. */
static bool has_config(const struct json *body)
{
    JSON_EACH (body, key)
        for (const struct json_field *field = container_config_fields; field->name; field++)
            if (strcasecmp(field->name, key) == 0)
                return true;
    return false;
}

static const char *type_name(const struct json *value)
{
    switch (json_type(value)) {
    case JSON_LIST:
        return "array";
    case JSON_TEXT:
        return "string";
    case JSON_TRUE:
    case JSON_FALSE:
        return "bool";
    case JSON_INTEGER:
    case JSON_REAL:
        return "number";
    default:
        return "null";
    }
}

static int read_wish(struct request *req, struct container_create *out, struct error *err)
{
    CLEANUP(json_free) struct json *body = NULL;
    CLEANUP(str_done) struct str text = {};

    if (request_json(req, &body, err) < 0)
        return -1;
    if (!body)
        return error_set(err, ERROR_INVALID, "invalid JSON: got EOF while reading request body");
    if (json_type(body) != JSON_DICT)
        return error_set(err, ERROR_INVALID,
                         "invalid JSON: json: cannot unmarshal %s into Go value of type "
                         "container.CreateRequest",
                         type_name(body));
    if (!has_config(body))
        return error_set(err, ERROR_INVALID,
                         "config cannot be empty in order to create a container");
    json_write(body, &text);
    if (container_create_decode(str_text(&text), text.length, out, err) < 0)
        return error_context(err, "invalid JSON");
    return 0;
}

int api_container_create(struct request *req, struct error *err)
{
    CLEANUP(container_create_done) struct container_create wish = {};
    CLEANUP(strv_done) struct strv warnings = {};
    CLEANUP(str_done) struct str answer = {};
    struct json_writer w = { .out = &answer };
    const char *name = request_query(req, "name");
    const char *platform = req->version < API_VERSION(41) ? NULL : request_query(req, "platform");
    char id[65];

    strv_init_empty(&warnings);
    if (read_wish(req, &wish, err) < 0 ||
        engine_container_create(req->engine, text_is_empty(name) ? NULL : name,
                                text_is_empty(platform) ? NULL : platform, &wish, id, &warnings,
                                err) < 0)
        return -1;
    json_begin_dict(&w, NULL);
    json_add_text(&w, "Id", id);
    json_add_strv(&w, "Warnings", &warnings);
    json_end_dict(&w);
    return reply_json(req, 201, &answer, err);
}

/* ---- start, stop and the like ---- */

int api_container_start(struct request *req, struct error *err)
{
    char body[16];

    /* Clients may send "{}" or "null"; a configuration is a thing of the past. */
    ssize_t size = http_has_body(req->exchange) ? http_read(req->exchange, body, sizeof(body), err)
                                                : 0;
    if (size < 0)
        return -1;
    if (size > 7)
        return error_set(err, ERROR_INVALID,
                         "starting container with non-empty request body was deprecated since API "
                         "v1.22 and removed in v1.24");
    if (!text_is_empty(request_query(req, "checkpoint")))
        return error_set(err, ERROR_INVALID, "checkpoint is only supported in experimental mode");
    if (engine_container_start(req->engine, request_parameter(req, 0), err) < 0)
        return -1;
    return reply_empty(req, 204, err);
}

enum { TIMEOUT_OF_CONTAINER = -2, TIMEOUT_LIMIT_S = 1 << 30 };

static int stop_options(struct request *req, const char **out_signal, int *out_timeout_s,
                        struct error *err)
{
    int64_t timeout_s;

    if (request_query_int(req, "t", TIMEOUT_OF_CONTAINER, &timeout_s, err) < 0)
        return -1;
    /* Every negative number on the wire means "for ever". */
    if (!text_is_empty(request_query(req, "t")) && timeout_s < 0)
        timeout_s = -1;
    *out_timeout_s = (int)MIN(timeout_s, TIMEOUT_LIMIT_S);
    *out_signal = req->version < API_VERSION(42) ? NULL : request_query(req, "signal");
    if (text_is_empty(*out_signal))
        *out_signal = NULL;
    return 0;
}

int api_container_stop(struct request *req, struct error *err)
{
    const char *signal;
    int timeout_s;

    if (stop_options(req, &signal, &timeout_s, err) < 0 ||
        engine_container_stop(req->engine, request_parameter(req, 0), signal, timeout_s,
                              http_cancel_fd(req->exchange), err) < 0)
        return -1;
    return reply_empty(req, 204, err);
}

int api_container_restart(struct request *req, struct error *err)
{
    const char *signal;
    int timeout_s;

    if (stop_options(req, &signal, &timeout_s, err) < 0 ||
        engine_container_restart(req->engine, request_parameter(req, 0), signal, timeout_s, err) <
            0)
        return -1;
    return reply_empty(req, 204, err);
}

int api_container_kill(struct request *req, struct error *err)
{
    const char *signal = request_query(req, "signal");

    if (engine_container_kill(req->engine, request_parameter(req, 0),
                              text_is_empty(signal) ? NULL : signal, err) < 0)
        return -1;
    return reply_empty(req, 204, err);
}

int api_container_pause(struct request *req, struct error *err)
{
    if (engine_container_pause(req->engine, request_parameter(req, 0), true, err) < 0)
        return -1;
    return reply_empty(req, 204, err);
}

int api_container_unpause(struct request *req, struct error *err)
{
    if (engine_container_pause(req->engine, request_parameter(req, 0), false, err) < 0)
        return -1;
    return reply_empty(req, 204, err);
}

int api_container_rename(struct request *req, struct error *err)
{
    if (engine_container_rename(req->engine, request_parameter(req, 0),
                                request_query(req, "name") ?: "", err) < 0)
        return -1;
    return reply_empty(req, 204, err);
}

int api_container_resize(struct request *req, struct error *err)
{
    int height, width;

    if (request_query_size(req, &height, &width, err) < 0 ||
        engine_container_resize(req->engine, request_parameter(req, 0), height, width, err) < 0)
        return -1;
    return reply_empty(req, 200, err);
}

int api_container_remove(struct request *req, struct error *err)
{
    if (request_query_bool(req, "link"))
        return error_set(err, ERROR_INTERNAL,
                         "Conflict, cannot remove the default link name of the container");
    if (engine_container_remove(req->engine, request_parameter(req, 0),
                                request_query_bool(req, "force"), request_query_bool(req, "v"),
                                err) < 0)
        return -1;
    return reply_empty(req, 204, err);
}

/* ---- wait ---- */

static int wait_condition_parse(const char *text, enum wait_condition *out, struct error *err)
{
    static const struct {
        const char *name;
        enum wait_condition condition;
    } names[] = { { "", WAIT_NOT_RUNNING },
                  { "not-running", WAIT_NOT_RUNNING },
                  { "next-exit", WAIT_NEXT_EXIT },
                  { "removed", WAIT_REMOVED } };

    for (size_t i = 0; i < COUNT(names); i++)
        if (strcmp(names[i].name, text ?: "") == 0) {
            *out = names[i].condition;
            return 0;
        }
    return error_set(err, ERROR_INVALID, "invalid condition: \"%s\"", text);
}

static void write_exit(struct str *out, int exit_code, const char *failure)
{
    struct json_writer w = { .out = out };

    json_begin_dict(&w, NULL);
    if (failure) {
        json_begin_dict(&w, "Error");
        json_add_text(&w, "Message", failure);
        json_end_dict(&w);
    }
    json_add_int64(&w, "StatusCode", exit_code);
    json_end_dict(&w);
    str_add_char(out, '\n');
}

int api_container_wait(struct request *req, struct error *err)
{
    CLEANUP(free) char *failure = NULL;
    CLEANUP(str_done) struct str answer = {};
    struct container_waiter *waiter;
    enum wait_condition condition = WAIT_NOT_RUNNING;
    struct error ignored;
    int exit_code;

    if (wait_condition_parse(request_query(req, "condition"), &condition, err) < 0 ||
        engine_container_wait_begin(req->engine, request_parameter(req, 0), condition, &waiter,
                                    err) < 0)
        return -1;
    /* The waiter is in place: the client, who sees the headers now, may start the container. A
     * client that is gone already is noticed by the waiting, which also frees. */
    reply_stream_begin(req, "application/json", &ignored);
    if (container_waiter_finish(waiter, http_cancel_fd(req->exchange), &exit_code, &failure, err) <
        0)
        return -1;
    write_exit(&answer, exit_code, failure);
    return http_reply_write(req->exchange, answer.data, answer.length, err);
}
