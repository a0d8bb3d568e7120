/* Decoding by the rules of the engine (spec/api.md 1.6), and whole answers. */
#include "api/request.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/status.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"

#include "base/banned.h"

const char *request_parameter(const struct request *req, size_t index)
{
    return index < REQUEST_PARAMETER_LIMIT && req->parameters[index] ? req->parameters[index] : "";
}

/* ---- query ---- */

const char *request_query(const struct request *req, const char *name)
{
    return http_query(req->exchange, name);
}

bool request_query_bool(const struct request *req, const char *name)
{
    return text_is_true(request_query(req, name));
}

/* Why Go would not read it as a number. */
static const char *number_fault(const char *text)
{
    const char *digits = text + (*text == '-' || *text == '+');

    return *digits && !digits[strspn(digits, "0123456789")] ? "value out of range"
                                                            : "invalid syntax";
}

int request_query_int(const struct request *req, const char *name, int64_t fallback, int64_t *out,
                      struct error *err)
{
    const char *text = request_query(req, name);

    if (text_is_empty(text)) {
        *out = fallback;
        return 0;
    }
    if (parse_int64(text, INT64_MIN, INT64_MAX, out, NULL) < 0)
        return error_set(err, ERROR_INTERNAL, "strconv.Atoi: parsing \"%s\": %s", text,
                         number_fault(text));
    return 0;
}

int request_query_time(const struct request *req, const char *name, int64_t *out_ns,
                       struct error *err)
{
    const char *text = request_query(req, name);

    *out_ns = 0;
    if (text_is_empty(text))
        return 0;
    if (time_parse_unix(text, out_ns, err) < 0) {
        err->kind = ERROR_INTERNAL;
        return -1;
    }
    return 0;
}

static int query_dimension(const struct request *req, const char *name, const char *what, int *out,
                           struct error *err)
{
    const char *text = request_query(req, name) ?: "";
    int64_t value;

    if (parse_int64(text, 0, UINT32_MAX, &value, NULL) < 0)
        return error_set(err, ERROR_INVALID, "invalid resize %s \"%s\": %s", what, text,
                         number_fault(text));
    *out = (int)MIN(value, 65535); /* What a terminal can hold. */
    return 0;
}

int request_query_size(const struct request *req, int *out_height, int *out_width,
                       struct error *err)
{
    if (query_dimension(req, "h", "height", out_height, err) < 0)
        return -1;
    return query_dimension(req, "w", "width", out_width, err);
}

/* ---- body ---- */

static int content_type_check(const struct request *req, struct error *err)
{
    const char *type = http_header(req->exchange, "Content-Type") ?: "";
    size_t length = strcspn(type, ";");

    while (length > 0 && isspace((unsigned char)type[length - 1]))
        length--;
    if (length == 0)
        return error_set(err, ERROR_INVALID,
                         "malformed Content-Type header (%s): mime: no media type", type);
    if (length != strlen("application/json") || strncasecmp(type, "application/json", length) != 0)
        return error_set(err, ERROR_INVALID,
                         "unsupported Content-Type header (%s): must be 'application/json'", type);
    return 0;
}

int request_json(struct request *req, struct json **out, struct error *err)
{
    CLEANUP(buf_done) struct buf body = {};

    *out = NULL;
    if (!http_has_body(req->exchange))
        return 0;
    if (content_type_check(req, err) < 0 ||
        http_read_all(req->exchange, REQUEST_BODY_LIMIT, &body, err) < 0)
        return -1;
    if (body.size == 0)
        return error_set(err, ERROR_INVALID, "invalid JSON: got EOF while reading request body");
    if (json_parse((const char *)buf_bytes(&body), body.size, out, err) == 0)
        return 0;
    if (strcmp(err->text, "unexpected content after JSON") == 0)
        return -1;
    return error_context(err, "invalid JSON");
}

int request_decode(struct request *req, const struct json_field *fields, void *out,
                   struct error *err)
{
    CLEANUP(json_free) struct json *body = NULL;

    if (request_json(req, &body, err) < 0)
        return -1;
    if (!body)
        return 0;
    if (json_decode_value(fields, body, out, err) < 0)
        return error_context(err, "invalid JSON");
    return 0;
}

/* ---- answers ---- */

int reply_json(struct request *req, int status, struct str *json, struct error *err)
{
    str_add_char(json, '\n');
    return http_reply(req->exchange, status, "application/json", json->data, json->length, err);
}

int reply_empty(struct request *req, int status, struct error *err)
{
    return http_reply(req->exchange, status, NULL, NULL, 0, err);
}

int reply_message(struct request *req, int status, const char *message, struct error *err)
{
    CLEANUP(str_done) struct str body = {};
    struct json_writer w = { .out = &body };

    json_begin_dict(&w, NULL);
    json_add_text(&w, "message", message);
    json_end_dict(&w);
    return reply_json(req, status, &body, err);
}

int reply_stream_begin(struct request *req, const char *content_type, struct error *err)
{
    return http_reply_begin(req->exchange, 200, content_type, err);
}

void reply_error(struct request *req, const struct error *failure)
{
    int status = http_status(failure->kind);
    struct error ignored; /* The client is gone: there is nobody to tell. */

    if (failure->kind == ERROR_INTERNAL)
        log_error("request failed", "method", req->method, "path", req->path, "error",
                  failure->text);
    else
        log_debug("request refused", "method", req->method, "path", req->path, "error",
                  failure->text);
    if (http_reply_has_begun(req->exchange))
        return;
    if (failure->kind == ERROR_NOT_MODIFIED)
        reply_empty(req, status, &ignored);
    else
        reply_message(req, status, failure->text, &ignored);
}
