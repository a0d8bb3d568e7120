/* A message is five bytes (compressed or not, size) and its bytes; a status is a trailer. */
#include "buildkit/grpc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/str.h"
#include "base/text.h"
#include "codec/base64.h"
#include "codec/protobuf.h"

#include "base/banned.h"

enum { PREFIX_SIZE = 5 };
enum { CONTENT_TYPE_LENGTH = 16 }; /* "application/grpc" */

struct grpc_call {
    struct http2_stream *stream;
    bool is_client;
    struct buf details; /* of google.rpc.Status: repeated Any */
};

/* ---- status ---- */

static const struct {
    int code;
    enum error_kind kind;
} statuses[] = {
    /* The first row of a kind is what it becomes. */
    { 1, ERROR_CANCELLED },    { 2, ERROR_INTERNAL },     { 3, ERROR_INVALID },
    { 5, ERROR_NOT_FOUND },    { 6, ERROR_CONFLICT },     { 7, ERROR_FORBIDDEN },
    { 12, ERROR_UNSUPPORTED }, { 14, ERROR_UNAVAILABLE }, { 16, ERROR_UNAUTHORIZED },
    { 4, ERROR_UNAVAILABLE },  { 9, ERROR_CONFLICT },
};

static int status_of_kind(enum error_kind kind)
{
    for (size_t i = 0; i < COUNT(statuses); i++)
        if (statuses[i].kind == kind)
            return statuses[i].code;
    return 2;
}

enum error_kind grpc_kind(int64_t code)
{
    for (size_t i = 0; i < COUNT(statuses); i++)
        if (statuses[i].code == code)
            return statuses[i].kind;
    return ERROR_INTERNAL;
}

/* Percent-encoded: bytes that are not printable ASCII, and '%'. */
static char *encode_message(const char *text)
{
    struct str out = {};

    for (const unsigned char *at = (const unsigned char *)text; *at; at++)
        if (*at < ' ' || *at > '~' || *at == '%')
            str_add_format(&out, "%%%02X", *at);
        else
            str_add_char(&out, (char)*at);
    return str_take(&out);
}

static int hex_digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *found = c ? strchr(digits, c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c) : NULL;

    return found ? (int)(found - digits) : -1;
}

static char *decode_message(const char *text)
{
    struct str out = {};

    for (const char *at = text; *at; at++) {
        int high = *at == '%' ? hex_digit(at[1]) : -1;
        int low = high >= 0 ? hex_digit(at[2]) : -1;

        if (low >= 0 && high + low > 0) {
            str_add_char(&out, (char)(high << 4 | low));
            at += 2;
        } else {
            str_add_char(&out, *at);
        }
    }
    return str_take(&out);
}

/* ---- messages ---- */

/* 1, or 0 at the end in front of the first byte. */
static int read_exactly(struct grpc_call *call, uint8_t *bytes, size_t size, struct error *err)
{
    for (size_t at = 0; at < size;) {
        ssize_t count = http2_read(call->stream, bytes + at, size - at, err);

        if (count < 0)
            return -1;
        if (count == 0)
            return at == 0 ? 0 : error_set(err, ERROR_INVALID, "a gRPC message is cut");
        at += (size_t)count;
    }
    return 1;
}

/* The end of a call that this side made: 0, or the error that the other side gave. */
static int read_status(struct grpc_call *call, struct error *err)
{
    const char *status = http2_header_get(call->stream, "grpc-status");
    const char *message = http2_header_get(call->stream, "grpc-message");
    int64_t code;

    if (!status)
        return error_set(err, ERROR_UNAVAILABLE, "the client ended a call without a status");
    if (parse_int64(status, 0, INT32_MAX, &code, err) < 0)
        return -1;
    if (code == 0)
        return 0;
    CLEANUP(free) char *text = decode_message(text_is_empty(message) ? "call failed" : message);
    return error_set(err, grpc_kind(code), "%s", text);
}

static int check_answer(struct grpc_call *call, struct error *err)
{
    if (http2_wait_headers(call->stream, err) < 0)
        return -1;
    const char *http = http2_header_get(call->stream, ":status");
    if (!http || strcmp(http, "200") != 0)
        return error_set(err, ERROR_UNAVAILABLE, "the client answered a call with status %s",
                         http ? http : "none");
    return 0;
}

int grpc_receive(struct grpc_call *call, struct buf *out, struct error *err)
{
    uint8_t prefix[PREFIX_SIZE];

    buf_clear(out);
    if (call->is_client && check_answer(call, err) < 0)
        return -1;
    int found = read_exactly(call, prefix, sizeof(prefix), err);
    if (found < 0)
        return -1;
    if (found == 0)
        return call->is_client ? read_status(call, err) : 0;
    size_t size = (size_t)prefix[1] << 24 | (size_t)prefix[2] << 16 | (size_t)prefix[3] << 8 |
                  prefix[4];
    if (prefix[0] != 0)
        return error_set(err, ERROR_UNSUPPORTED, "compressed gRPC messages are not supported");
    if (size > GRPC_MESSAGE_LIMIT)
        return error_set(err, ERROR_INVALID, "a gRPC message of more than %zu bytes",
                         GRPC_MESSAGE_LIMIT);
    if (size == 0)
        return 1;
    found = read_exactly(call, buf_room(out, size), size, err);
    if (found == 0)
        return error_set(err, ERROR_INVALID, "a gRPC message is cut");
    if (found > 0)
        buf_grow(out, size);
    return found;
}

int grpc_receive_one(struct grpc_call *call, struct buf *out, struct error *err)
{
    int found = grpc_receive(call, out, err);

    if (found == 0)
        return error_set(err, ERROR_INVALID, "a gRPC call holds no message");
    return found < 0 ? -1 : 0;
}

/* After a failure to send: the other side may have said why it went. */
static int explain(struct grpc_call *call, struct error *err)
{
    if (call->is_client && http2_header_get(call->stream, "grpc-status"))
        read_status(call, err);
    return -1;
}

int grpc_send(struct grpc_call *call, const struct buf *message, struct error *err)
{
    CLEANUP(buf_done) struct buf framed = {};
    size_t size = message->size;
    const uint8_t prefix[PREFIX_SIZE] = { 0, (uint8_t)(size >> 24), (uint8_t)(size >> 16),
                                          (uint8_t)(size >> 8), (uint8_t)size };

    buf_add(&framed, prefix, sizeof(prefix));
    buf_add(&framed, buf_bytes(message), size);
    return http2_write(call->stream, buf_bytes(&framed), framed.size, err) < 0 ? explain(call, err)
                                                                               : 0;
}

void grpc_set_cancel(struct grpc_call *call, int cancel_fd)
{
    http2_set_cancel(call->stream, cancel_fd);
}

void grpc_cancel(struct grpc_call *call)
{
    http2_reset(call->stream);
}

/* ---- server ---- */

struct server {
    const struct grpc_method *methods;
    void *data;
};

const char *grpc_metadata(struct grpc_call *call, const char *name)
{
    return http2_header_get(call->stream, name);
}

void grpc_metadata_list(struct grpc_call *call, const char *name, struct strv *out)
{
    http2_header_list(call->stream, name, out);
}

int grpc_cancel_fd(struct grpc_call *call)
{
    return http2_cancel_fd(call->stream);
}

void grpc_add_detail(struct grpc_call *call, const char *type_url, const void *value, size_t size)
{
    CLEANUP(buf_done) struct buf any = {};

    protobuf_add_text(&any, 1, type_url);
    protobuf_add_bytes(&any, 2, value, size);
    protobuf_add_message(&call->details, 3, &any);
}

static char *encode_details(const struct grpc_call *call, int code, const char *text)
{
    CLEANUP(buf_done) struct buf status = {};

    protobuf_add_number(&status, 1, (uint64_t)code);
    protobuf_add_text(&status, 2, text);
    buf_add(&status, buf_bytes(&call->details), call->details.size);
    return base64_encode(buf_bytes(&status), status.size);
}

static void end_call(struct grpc_call *call, const struct error *failure)
{
    char code[8];
    int status = failure ? status_of_kind(failure->kind) : 0;
    CLEANUP(free) char *message = failure ? encode_message(failure->text) : NULL;
    CLEANUP(free)
    char *details = failure && call->details.size > 0 ? encode_details(call, status, failure->text)
                                                      : NULL;
    struct http2_header trailers[3] = { { "grpc-status", code } };
    size_t count = 1;

    snprintf(code, sizeof(code), "%d", status);
    if (message)
        trailers[count++] = (struct http2_header){ "grpc-message", message };
    if (details)
        trailers[count++] = (struct http2_header){ "grpc-status-details-bin", details };
    http2_end(call->stream, trailers, count, NULL);
}

static int handle(const struct server *server, struct grpc_call *call, struct error *err)
{
    const char *path = http2_header_get(call->stream, ":path");
    const struct http2_header headers[] = { { ":status", "200" },
                                            { "content-type", "application/grpc" } };

    if (http2_respond(call->stream, headers, COUNT(headers), err) < 0)
        return -1;
    for (const struct grpc_method *method = server->methods; path && method->path; method++)
        if (strcmp(method->path, path) == 0)
            return method->handle(call, server->data, err);
    return error_set(err, ERROR_UNSUPPORTED, "unknown method %s", path ? path : "");
}

static void serve_call(void *data, struct http2_stream *stream)
{
    const struct server *server = data;
    struct grpc_call call = { .stream = stream };
    const char *type = http2_header_get(stream, "content-type");
    struct error err = {};

    if (!type || strncmp(type, "application/grpc", CONTENT_TYPE_LENGTH) != 0) {
        static const struct http2_header refusal[] = { { ":status", "415" } };

        http2_respond(stream, refusal, COUNT(refusal), &err);
        http2_end(stream, NULL, 0, &err);
        return;
    }
    int result = handle(server, &call, &err);
    end_call(&call, result < 0 ? &err : NULL);
    buf_done(&call.details);
}

int grpc_serve(struct http_connection *connection, const struct grpc_method *methods, void *data,
               int cancel_fd, struct error *err)
{
    struct server server = { methods, data };
    CLEANUP(http2_unref) struct http2 *http2 = NULL;

    if (http2_new(connection, serve_call, &server, &http2, err) < 0)
        return -1;
    http2_run(http2, cancel_fd);
    return 0;
}

/* ---- client ---- */

void grpc_metadata_add(struct grpc_metadata *metadata, const char *name, const char *value)
{
    strv_add(&metadata->names, name);
    strv_add(&metadata->values, value);
}

void grpc_metadata_done(struct grpc_metadata *metadata)
{
    strv_done(&metadata->names);
    strv_done(&metadata->values);
}

int grpc_call_new(struct http2 *channel, const char *path, const struct grpc_metadata *metadata,
                  int cancel_fd, struct grpc_call **out, struct error *err)
{
    const struct http2_header fixed[] = {
        { ":method", "POST" },
        { ":scheme", "http" },
        { ":path", path },
        { ":authority", "localhost" },
        { "content-type", "application/grpc" },
        { "te", "trailers" },
        { "user-agent", "berth/" BERTH_VERSION },
    };
    size_t count = COUNT(fixed), more = metadata ? metadata->names.count : 0;
    struct http2_header *headers = xcalloc(count + more, sizeof(*headers));
    struct http2_stream *stream = NULL;

    for (size_t i = 0; i < count; i++)
        headers[i] = fixed[i];
    for (size_t i = 0; i < more; i++)
        headers[count + i] = (struct http2_header){ metadata->names.items[i],
                                                    metadata->values.items[i] };
    int result = http2_request(channel, headers, count + more, &stream, err);
    free(headers);
    if (result < 0)
        return error_context(err, "%s", path);
    http2_set_cancel(stream, cancel_fd);
    *out = NEW(struct grpc_call);
    **out = (struct grpc_call){ .stream = stream, .is_client = true };
    return 0;
}

int grpc_finish_sending(struct grpc_call *call, struct error *err)
{
    if (http2_end(call->stream, NULL, 0, err) == 0)
        return 0;
    /* Who has answered well already need not have waited for this end: it is then no failure. */
    const char *status = http2_header_get(call->stream, "grpc-status");
    if (call->is_client && text_equal(status, "0"))
        return 0;
    return explain(call, err);
}

void grpc_call_free(struct grpc_call *call)
{
    if (!call)
        return;
    http2_stream_free(call->stream);
    buf_done(&call->details);
    free(call);
}

int grpc_ask(struct http2 *channel, const char *path, const struct buf *request, int cancel_fd,
             struct buf *out, struct error *err)
{
    CLEANUP(grpc_call_free) struct grpc_call *call = NULL;
    CLEANUP(buf_done) struct buf rest = {};

    if (grpc_call_new(channel, path, NULL, cancel_fd, &call, err) < 0 ||
        grpc_send(call, request, err) < 0 || grpc_finish_sending(call, err) < 0 ||
        grpc_receive_one(call, out, err) < 0)
        return -1;
    return grpc_receive(call, &rest, err) < 0 ? -1 : 0; /* the status */
}
