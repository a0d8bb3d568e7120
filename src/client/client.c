/* Paths, calls, errors and version negotiation. */
#include "client/client.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "base/thread.h"

#include "base/banned.h"

struct client {
    char *host;
    struct http_client *http;
    struct tls_context *tls;
    struct mutex lock;
    char version[16]; /* under 'lock' */
    bool is_pinned;
    struct map headers; /* of every request */
};

int client_open(const struct client_options *options, struct client **out, struct error *err)
{
    CLEANUP(client_close) struct client *client = NEW(struct client);
    struct tls_options tls = { .ca_path = options->ca_path,
                               .cert_path = options->cert_path,
                               .key_path = options->key_path,
                               .verify_peer = options->tls_verify };

    mutex_init(&client->lock);
    client->host = xstrdup(options->host);
    if (options->headers)
        map_copy_texts(&client->headers, options->headers);
    client->is_pinned = !text_is_empty(options->api_version);
    snprintf(client->version, sizeof(client->version), "%s",
             client->is_pinned ? options->api_version : CLIENT_API_VERSION);
    if (options->tls && tls_client_new(&tls, &client->tls, err) < 0)
        return -1;
    if (http_client_new(options->host, client->tls, &client->http, err) < 0)
        return -1;
    *out = TAKE(client);
    return 0;
}

void client_close(struct client *client)
{
    if (!client)
        return;
    http_client_free(client->http);
    tls_context_free(client->tls);
    mutex_done(&client->lock);
    map_done(&client->headers);
    free(client->host);
    free(client);
}

int client_dial(struct client *client, struct http_connection **out, struct error *err)
{
    return http_client_dial(client->http, out, err);
}

const char *client_host(const struct client *client)
{
    return client->host;
}

/* ---- paths ---- */

static void add_encoded(struct str *out, const char *text, const char *kept)
{
    for (; *text; text++)
        if (isalnum((unsigned char)*text) || strchr(kept, *text))
            str_add_char(out, *text);
        else
            str_add_format(out, "%%%02X", (unsigned char)*text);
}

void client_path_begin(struct client_path *path, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    str_add_vformat(&path->text, format, arguments);
    va_end(arguments);
}

void client_path_segment(struct client_path *path, const char *value)
{
    str_add_char(&path->text, '/');
    add_encoded(&path->text, value, "-._~:@/");
}

void client_path_query(struct client_path *path, const char *name, const char *value)
{
    if (!value)
        return;
    str_add_format(&path->text, "%c%s=", path->has_query ? '&' : '?', name);
    add_encoded(&path->text, value, "-._~");
    path->has_query = true;
}

void client_path_done(struct client_path *path)
{
    str_done(&path->text);
}

/* ---- calls ---- */

static enum error_kind kind_of(int status)
{
    switch (status) {
    case 304:
        return ERROR_NOT_MODIFIED;
    case 400:
        return ERROR_INVALID;
    case 401:
        return ERROR_UNAUTHORIZED;
    case 403:
        return ERROR_FORBIDDEN;
    case 404:
        return ERROR_NOT_FOUND;
    case 409:
        return ERROR_CONFLICT;
    case 501:
        return ERROR_UNSUPPORTED;
    case 503:
        return ERROR_UNAVAILABLE;
    default:
        return ERROR_INTERNAL;
    }
}

int client_refusal(int status, const char *message, struct error *err)
{
    return error_set(err, kind_of(status), "Error response from daemon: %s",
                     text_is_empty(message) ? "no reason given" : message);
}

static int response_error(struct http_response *response, struct error *err)
{
    CLEANUP(str_done) struct str body = {};
    CLEANUP(json_free) struct json *document = NULL;
    struct error ignored;
    int status = http_response_status(response);

    http_response_read_all(response, 1 << 20, &body, &ignored);
    if (body.length && json_parse(body.data, body.length, &document, &ignored) == 0 &&
        json_text(json_get(document, "message"))) {
        str_clear(&body);
        str_add(&body, json_text(json_get(document, "message")));
    }
    while (body.length && isspace((unsigned char)body.data[body.length - 1]))
        str_cut(&body, body.length - 1);
    return client_refusal(status, str_text(&body), err);
}

/* The version that an engine says is its newest: "… Maximum supported API version is 1.43". */
static bool learn_version(struct client *client, const struct error *err)
{
    static const char marker[] = "Maximum supported API version is ";
    const char *found = strstr(err->text, marker);

    if (!found || client->is_pinned)
        return false;
    found += sizeof(marker) - 1;
    mutex_lock(&client->lock);
    snprintf(client->version, sizeof(client->version), "%.*s", (int)strspn(found, "0123456789."),
             found);
    mutex_unlock(&client->lock);
    return true;
}

/* The headers of every request, and those of this one, which go before. */
static void join_headers(const struct client *client, const struct map *own, struct map *out)
{
    map_copy_texts(out, &client->headers);
    if (own)
        MAP_EACH (own, entry)
            map_set_text(out, entry->key, entry->value);
}

static int send(struct client *client, const struct http_request *request,
                const struct client_path *path, struct http_response **out, struct error *err)
{
    char version[16];

    mutex_lock(&client->lock);
    memcpy(version, client->version, sizeof(version));
    mutex_unlock(&client->lock);
    CLEANUP(free) char *target = xasprintf("/v%s%s", version, str_text(&path->text));
    CLEANUP(map_done) struct map headers = {};
    struct http_request sent = *request;
    sent.target = target;
    if (client->headers.count) {
        join_headers(client, request->headers, &headers);
        sent.headers = &headers;
    }
    if (http_client_send(client->http, &sent, out, err) == 0)
        return 0;
    if (err->kind == ERROR_UNAVAILABLE)
        error_set(err, ERROR_UNAVAILABLE,
                  "Cannot connect to the berth engine at %s. Is it running?", client->host);
    return -1;
}

static int exchange(struct client *client, struct http_request *request,
                    const struct client_path *path, struct http_response **out, struct error *err)
{
    struct error own = {};

    err = err ?: &own; /* what it says is read here */
    for (int attempt = 0;; attempt++) {
        CLEANUP(http_response_free) struct http_response *response = NULL;

        if (send(client, request, path, &response, err) < 0)
            return -1;
        int status = http_response_status(response);
        if (status < 400 && status != 304) {
            *out = TAKE(response);
            return 0;
        }
        response_error(response, err);
        if (status != 400 || attempt > 0 || request->body_stream || !learn_version(client, err))
            return -1;
    }
}

int client_stream(struct client *client, const char *method, const struct client_path *path,
                  const char *body, struct stream *body_stream, const char *content_type,
                  struct http_response **out, struct error *err)
{
    struct http_request request = { .method = method,
                                    .body = body,
                                    .body_size = body ? strlen(body) : 0,
                                    .body_stream = body_stream,
                                    .content_type = content_type ? content_type
                                                    : body       ? "application/json"
                                                                 : NULL };

    return exchange(client, &request, path, out, err);
}

int client_stream_with(struct client *client, const char *method, const struct client_path *path,
                       const struct map *headers, struct stream *body_stream,
                       const char *content_type, struct http_response **out, struct error *err)
{
    struct http_request request = { .method = method,
                                    .headers = headers,
                                    .body_stream = body_stream,
                                    .content_type = content_type };

    return exchange(client, &request, path, out, err);
}

static int read_answer(struct http_response *response, struct json **out, struct error *err)
{
    CLEANUP(str_done) struct str text = {};

    if (http_response_read_all(response, CLIENT_REPLY_LIMIT, &text, err) < 0)
        return -1;
    if (!out)
        return 0;
    *out = NULL;
    return text.length ? json_parse(text.data, text.length, out, err) : 0;
}

int client_call(struct client *client, const char *method, const struct client_path *path,
                const char *body, struct json **out, struct error *err)
{
    CLEANUP(http_response_free) struct http_response *response = NULL;

    if (client_stream(client, method, path, body, NULL, NULL, &response, err) < 0)
        return -1;
    return read_answer(response, out, err);
}

int client_call_with(struct client *client, const char *method, const struct client_path *path,
                     const struct map *headers, const char *body, struct json **out,
                     struct error *err)
{
    CLEANUP(http_response_free) struct http_response *response = NULL;
    struct http_request request = { .method = method,
                                    .headers = headers,
                                    .body = body,
                                    .body_size = body ? strlen(body) : 0,
                                    .content_type = body ? "application/json" : NULL };

    if (exchange(client, &request, path, &response, err) < 0)
        return -1;
    return read_answer(response, out, err);
}

int client_upgrade(struct client *client, const struct client_path *path, const char *body,
                   struct http_connection **out, struct error *err)
{
    return client_upgrade_with(client, path, NULL, body, out, err);
}

int client_upgrade_with(struct client *client, const struct client_path *path,
                        const struct map *headers, const char *body, struct http_connection **out,
                        struct error *err)
{
    struct http_request request = { .method = "POST",
                                    .headers = headers,
                                    .body = body,
                                    .body_size = body ? strlen(body) : 0,
                                    .content_type = body ? "application/json" : NULL,
                                    .upgrade = true };
    CLEANUP(http_response_free) struct http_response *response = NULL;

    if (exchange(client, &request, path, &response, err) < 0)
        return -1;
    *out = http_response_take_connection(response);
    if (!*out)
        return error_set(err, ERROR_INTERNAL, "the engine did not upgrade the connection");
    return 0;
}

int client_messages_next(struct client_messages *messages, struct json **out, struct error *err)
{
    char block[8192];

    for (;;) {
        char *line = messages->buffer.data;
        char *end = line ? memchr(line, '\n', messages->buffer.length) : NULL;

        if (end) {
            size_t length = (size_t)(end - line), rest = messages->buffer.length - length - 1;
            bool is_blank = strspn(line, " \r") >= length;
            int result = is_blank ? 0 : json_parse(line, length, out, err);

            memmove(line, end + 1, rest);
            str_cut(&messages->buffer, rest);
            if (result < 0)
                return -1;
            if (!is_blank)
                return 1;
            continue;
        }
        ssize_t count = http_response_read(messages->response, block, sizeof(block), err);
        if (count < 0)
            return -1;
        if (count > 0) {
            str_add_bytes(&messages->buffer, block, (size_t)count);
            continue;
        }
        if (!messages->buffer.length)
            return 0;
        str_add_char(&messages->buffer, '\n'); /* a last line without an end */
    }
}

void client_messages_done(struct client_messages *messages)
{
    http_response_free(messages->response);
    str_done(&messages->buffer);
    *messages = (struct client_messages){};
}
