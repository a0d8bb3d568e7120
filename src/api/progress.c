/* Progress messages. */
#include "api/progress.h"

#include "base/memory.h"

#include "base/banned.h"

/* 'json' is a message that is still open. */
static void send_message(struct request *req, struct json_writer *w)
{
    struct error ignored;

    json_end_dict(w);
    str_add(w->out, "\r\n");
    if (!http_reply_has_begun(req->exchange) &&
        reply_stream_begin(req, "application/json", &ignored) < 0)
        return;
    http_reply_write(req->exchange, w->out->data, w->out->length, &ignored);
}

void progress_stream(struct request *req, const char *text, size_t size)
{
    CLEANUP(str_done) struct str out = {};
    struct json_writer w = { .out = &out };
    CLEANUP(free) char *copy = xstrndup(text, size);

    json_begin_dict(&w, NULL);
    json_add_text(&w, "stream", copy);
    send_message(req, &w);
}

void progress_status(struct request *req, const char *status)
{
    CLEANUP(str_done) struct str out = {};
    struct json_writer w = { .out = &out };

    json_begin_dict(&w, NULL);
    json_add_text(&w, "status", status);
    send_message(req, &w);
}

void progress_aux_id(struct request *req, const char *id)
{
    CLEANUP(str_done) struct str out = {};
    struct json_writer w = { .out = &out };

    json_begin_dict(&w, NULL);
    json_begin_dict(&w, "aux");
    json_add_text(&w, "ID", id);
    json_end_dict(&w);
    send_message(req, &w);
}

void progress_error(struct request *req, int code, const char *message)
{
    CLEANUP(str_done) struct str out = {};
    struct json_writer w = { .out = &out };

    json_begin_dict(&w, NULL);
    json_begin_dict(&w, "errorDetail");
    if (code != 0)
        json_add_int64(&w, "code", code);
    json_add_text(&w, "message", message);
    json_end_dict(&w);
    json_add_text(&w, "error", message);
    send_message(req, &w);
}
