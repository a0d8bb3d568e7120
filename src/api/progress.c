/* Progress messages. */
#include "api/progress.h"

#include <stdio.h>

#include "base/memory.h"

#include "base/banned.h"

void progress_raw(struct request *req, struct str *message)
{
    struct error ignored;

    str_add(message, "\r\n");
    if (!http_reply_has_begun(req->exchange) &&
        reply_stream_begin(req, "application/json", &ignored) < 0)
        return;
    http_reply_write(req->exchange, message->data, message->length, &ignored);
}

/* 'json' is a message that is still open. */
static void send_message(struct request *req, struct json_writer *w)
{
    json_end_dict(w);
    progress_raw(req, w->out);
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

void progress_head(struct request *req, const char *id, const char *status)
{
    CLEANUP(str_done) struct str out = {};
    struct json_writer w = { .out = &out };

    json_begin_dict(&w, NULL);
    json_add_text(&w, "status", status);
    json_add_text(&w, "id", id);
    send_message(req, &w);
}

void progress_of(struct request *req, const char *id, const char *status)
{
    CLEANUP(str_done) struct str out = {};
    struct json_writer w = { .out = &out };

    json_begin_dict(&w, NULL);
    json_add_text(&w, "status", status);
    json_begin_dict(&w, "progressDetail");
    json_end_dict(&w);
    json_add_text(&w, "id", id);
    send_message(req, &w);
}

/* Four significant digits, decimal units: "19.97kB". */
static void format_size(int64_t bytes, char *out, size_t size)
{
    static const char *const units[] = { "B", "kB", "MB", "GB", "TB", "PB" };
    double value = (double)bytes;
    size_t unit = 0;

    while (value >= 1000 && unit + 1 < COUNT(units)) {
        value /= 1000;
        unit++;
    }
    snprintf(out, size, "%.4g%s", value, units[unit]);
}

#define BAR_WIDTH 50

/* "[=====>     ]  19.97kB/1.984MB". Without a total, or beyond it, only what is there counts. */
static void format_bar(int64_t current, int64_t total, struct str *out)
{
    char so_far[32], of[32];

    format_size(current, so_far, sizeof(so_far));
    format_size(total, of, sizeof(of));
    if (total > 0) {
        int filled = current >= total ? BAR_WIDTH
                                      : (int)((double)current / (double)total * 100) / 2;

        str_add_char(out, '[');
        for (int i = 0; i < filled; i++)
            str_add_char(out, '=');
        str_add_char(out, '>');
        for (int i = filled; i < BAR_WIDTH; i++)
            str_add_char(out, ' ');
        str_add(out, "] ");
    }
    str_add_format(out, "%8s", so_far);
    if (total > 0 && current <= total)
        str_add_format(out, "/%s", of);
}

void progress_amount(struct request *req, const char *id, const char *status, int64_t current,
                     int64_t total)
{
    CLEANUP(str_done) struct str out = {}, bar = {};
    struct json_writer w = { .out = &out };

    format_bar(current, total, &bar);
    json_begin_dict(&w, NULL);
    json_add_text(&w, "status", status);
    json_begin_dict(&w, "progressDetail");
    json_add_int64(&w, "current", current);
    if (total > 0)
        json_add_int64(&w, "total", total);
    json_end_dict(&w);
    json_add_text(&w, "progress", str_text(&bar));
    json_add_text(&w, "id", id);
    send_message(req, &w);
}

void progress_aux_push(struct request *req, const char *tag, const char *digest, int64_t size)
{
    CLEANUP(str_done) struct str out = {};
    struct json_writer w = { .out = &out };

    json_begin_dict(&w, NULL);
    json_begin_dict(&w, "progressDetail");
    json_end_dict(&w);
    json_begin_dict(&w, "aux");
    json_add_text(&w, "Tag", tag);
    json_add_text(&w, "Digest", digest);
    json_add_int64(&w, "Size", size);
    json_end_dict(&w);
    send_message(req, &w);
}

void progress_aux_list(struct request *req, const char *name, const struct strv *list)
{
    CLEANUP(str_done) struct str line = {};
    struct json_writer w = { .out = &line };

    json_begin_dict(&w, NULL);
    json_begin_dict(&w, "aux");
    json_add_strv(&w, name, list);
    json_end_dict(&w);
    json_end_dict(&w);
    progress_raw(req, &line);
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
