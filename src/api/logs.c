/* Logs of a container: each entry becomes one frame, and one chunk of the answer. */
#include <ctype.h>
#include <string.h>

#include "api/frame.h"
#include "api/routes.h"
#include "base/clock.h"
#include "base/text.h"
#include "engine/container.h"

#include "base/banned.h"

struct log_style {
    bool framed, timestamps, details;
};

static void add_escaped(struct str *out, const char *text)
{
    for (; *text; text++)
        if (isalnum((unsigned char)*text) || strchr("-_.~", *text))
            str_add_char(out, *text);
        else if (*text == ' ')
            str_add_char(out, '+');
        else
            str_add_format(out, "%%%02X", (unsigned char)*text);
}

/* "k=v,k2=v2 ": keys in order, everything odd escaped; a lone blank if there are none. */
static void add_details(struct str *out, const char *attributes)
{
    CLEANUP(json_free) struct json *values = NULL;
    CLEANUP(strv_done) struct strv pairs = {};

    if (attributes)
        json_parse(attributes, strlen(attributes), &values, &(struct error){});
    JSON_EACH (values, key) {
        struct str pair = {};

        add_escaped(&pair, key);
        str_add_char(&pair, '=');
        add_escaped(&pair, json_text(json_key_value(key)) ?: "");
        strv_add_take(&pairs, str_take(&pair));
    }
    strv_sort(&pairs);
    CLEANUP(free) char *joined = strv_join(&pairs, ",");
    str_add(out, joined);
    str_add_char(out, ' ');
}

static int write_entry(struct request *req, const struct log_style *style,
                       const struct log_entry *entry, struct str *line, struct error *err)
{
    uint8_t header[FRAME_HEADER_SIZE] = {};
    size_t start = style->framed ? sizeof(header) : 0;
    char time[TIME_TEXT_SIZE];

    str_clear(line);
    str_add_bytes(line, header, start);
    if (style->timestamps) {
        time_format_fixed(entry->wall_ns, time);
        str_add(line, time);
        str_add_char(line, ' ');
    }
    if (style->details)
        add_details(line, entry->attributes);
    str_add_bytes(line, entry->text, entry->size);
    if (style->framed)
        frame_header(entry->is_stderr ? FRAME_STDERR : FRAME_STDOUT, line->length - start,
                     (uint8_t *)line->data);
    return http_reply_write(req->exchange, line->data, line->length, err);
}

/* A fault in the middle of a log is told inside of the stream. */
static int write_fault(struct request *req, bool framed, const char *text, struct error *err)
{
    CLEANUP(str_done) struct str line = {};
    uint8_t header[FRAME_HEADER_SIZE];
    CLEANUP(str_done) struct str message = {};

    str_add_format(&message, "Error grabbing logs: %s\n", text);
    frame_header(FRAME_ERROR, message.length, header);
    if (framed)
        str_add_bytes(&line, header, sizeof(header));
    str_add_bytes(&line, message.data, message.length);
    return http_reply_write(req->exchange, line.data, line.length, err);
}

static int send_entries(struct request *req, struct container_log *log,
                        const struct log_style *style, struct error *err)
{
    CLEANUP(str_done) struct str line = {};
    struct log_entry entry;
    int more;

    while ((more = container_log_next(log, http_cancel_fd(req->exchange), &entry, err)) > 0)
        if (write_entry(req, style, &entry, &line, err) < 0)
            return -1;
    if (more < 0 && err->kind != ERROR_CANCELLED)
        return write_fault(req, style->framed, err->text, err);
    return more;
}

static int read_options(struct request *req, struct log_reader_options *out, struct error *err)
{
    const char *tail = request_query(req, "tail");

    out->stdout_wanted = request_query_bool(req, "stdout");
    out->stderr_wanted = request_query_bool(req, "stderr");
    if (!out->stdout_wanted && !out->stderr_wanted)
        return error_set(err, ERROR_INVALID, "Bad parameters: you must choose at least one stream");
    if (parse_int64(tail ?: "all", 0, INT64_MAX, &out->tail, NULL) < 0)
        out->tail = -1; /* "all", and whatever else is no number */
    if (request_query_time(req, "since", &out->since_ns, err) < 0)
        return -1;
    return request_query_time(req, "until", &out->until_ns, err);
}

int api_container_logs(struct request *req, struct error *err)
{
    CLEANUP(container_log_close) struct container_log *log = NULL;
    CLEANUP(container_info_unref) struct container_info *info = NULL;
    const char *id = request_parameter(req, 0);
    struct log_reader_options options = {};
    struct log_style style = { .timestamps = request_query_bool(req, "timestamps"),
                               .details = request_query_bool(req, "details") };

    if (read_options(req, &options, err) < 0 ||
        engine_container_get(req->engine, id, &info, err) < 0 ||
        engine_container_log_open(req->engine, info->id, &options,
                                  request_query_bool(req, "follow"), &log, err) < 0)
        return -1;
    style.framed = !info->config.tty;
    if (reply_stream_begin(req,
                           style.framed && req->version >= API_VERSION(42)
                               ? MEDIA_TYPE_MULTIPLEXED_STREAM
                               : MEDIA_TYPE_RAW_STREAM,
                           err) < 0)
        return -1;
    return send_entries(req, log, &style, err);
}
