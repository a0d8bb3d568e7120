/* Sending requests. */
#include "http/client.h"

#include <string.h>
#include <strings.h>

#include "base/memory.h"
#include "base/str.h"
#include "http/client_state.h"

#include "base/banned.h"

int http_client_new(const char *url, struct tls_context *tls, struct http_client **out,
                    struct error *err)
{
    CLEANUP(http_client_free) struct http_client *client = NEW(struct http_client);
    struct tls_options system = { .verify_peer = true };

    mutex_init(&client->lock);
    mutex_lock(&client->lock);
    client->reference_count = 1;
    mutex_unlock(&client->lock);
    client->tls = tls;
    if (server_address_parse(url, tls != NULL, &client->address, err) < 0)
        return -1;
    if (client->address.is_tls && !tls) {
        if (tls_client_new(&system, &client->own_tls, err) < 0)
            return -1;
        client->tls = client->own_tls;
    }
    *out = TAKE(client);
    return 0;
}

struct http_client *client_ref(struct http_client *client)
{
    mutex_lock(&client->lock);
    client->reference_count++;
    mutex_unlock(&client->lock);
    return client;
}

static void client_destroy(struct http_client *client)
{
    mutex_lock(&client->lock);
    http_connection_close(client->idle);
    mutex_unlock(&client->lock);
    mutex_done(&client->lock);
    address_done(&client->address);
    tls_context_free(client->own_tls);
    free(client);
}

void client_unref(struct http_client *client)
{
    if (!client)
        return;
    mutex_lock(&client->lock);
    bool was_last = --client->reference_count == 0;
    mutex_unlock(&client->lock);
    if (was_last)
        client_destroy(client);
}

void http_client_free(struct http_client *client)
{
    client_unref(client);
}

/* ---- connections ---- */

void client_keep(struct http_client *client, struct http_connection *connection)
{
    mutex_lock(&client->lock);
    struct http_connection *surplus = client->idle;
    client->idle = connection;
    mutex_unlock(&client->lock);
    http_connection_close(surplus);
}

int http_client_dial(struct http_client *client, struct http_connection **out, struct error *err)
{
    return dial(&client->address, client->tls, out, err);
}

/* An idle connection that says something, or ends, is of no use. */
static bool is_usable(struct http_connection *connection)
{
    return http_connection_fill(connection, 1, NULL) > 0 && connection->ahead.size == 0;
}

/* NULL if there is none. */
static struct http_connection *take_idle(struct http_client *client)
{
    mutex_lock(&client->lock);
    struct http_connection *connection = TAKE(client->idle);
    mutex_unlock(&client->lock);
    if (connection && !is_usable(connection)) {
        http_connection_close(connection);
        return NULL;
    }
    return connection;
}

/* ---- requests ---- */

static bool is_clean(const char *text, bool may_have_blanks)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f || (*text == ' ' && !may_have_blanks))
            return false;
    return true;
}

static int check_request(const struct http_request *request, struct error *err)
{
    if (!*request->method || !*request->target || !is_clean(request->method, false) ||
        !is_clean(request->target, false))
        return error_set(err, ERROR_INVALID, "malformed request: %s %s", request->method,
                         request->target);
    if (request->content_type && !is_clean(request->content_type, true))
        return error_set(err, ERROR_INVALID, "malformed content type");
    if (request->headers)
        MAP_EACH (request->headers, entry)
            if (!is_clean(entry->key, false) || !is_clean(entry->value, true))
                return error_set(err, ERROR_INVALID, "malformed header %s", entry->key);
    return 0;
}

static void add_host(const struct address *address, struct str *out)
{
    if (address->kind != ADDRESS_TCP)
        str_add(out, "Host: localhost\r\n");
    else if (strchr(address->host, ':'))
        str_add_format(out, "Host: [%s]:%s\r\n", address->host, address->port);
    else
        str_add_format(out, "Host: %s:%s\r\n", address->host, address->port);
}

static bool has_header(const struct http_request *request, const char *name)
{
    if (request->headers)
        MAP_EACH (request->headers, entry)
            if (strcasecmp(entry->key, name) == 0)
                return true;
    return false;
}

static void add_framing(const struct http_request *request, struct str *out)
{
    bool wants_length = request->body_size || request->content_type ||
                        strcmp(request->method, "POST") == 0 || strcmp(request->method, "PUT") == 0;

    if (request->content_type)
        str_add_format(out, "Content-Type: %s\r\n", request->content_type);
    if (request->body_stream)
        str_add(out, "Transfer-Encoding: chunked\r\n");
    else if (wants_length)
        str_add_format(out, "Content-Length: %zu\r\n", request->body_size);
    if (request->upgrade) {
        str_add(out, "Connection: Upgrade\r\n");
        if (!has_header(request, "Upgrade"))
            str_add(out, "Upgrade: tcp\r\n");
    }
}

static void format_head(const struct http_client *client, const struct http_request *request,
                        struct str *out)
{
    str_add_format(out, "%s %s HTTP/1.1\r\n", request->method, request->target);
    if (!has_header(request, "Host"))
        add_host(&client->address, out);
    if (request->headers)
        MAP_EACH (request->headers, entry)
            str_add_format(out, "%s: %s\r\n", entry->key, (const char *)entry->value);
    add_framing(request, out);
    str_add(out, "\r\n");
}

static bool is_repeatable(const struct http_request *request)
{
    return strcmp(request->method, "GET") == 0 || strcmp(request->method, "HEAD") == 0 ||
           strcmp(request->method, "OPTIONS") == 0;
}

/* Sends over 'connection' (taken). '*out_retry' tells that the server cannot have acted on it. */
static int send_over(struct http_client *client, struct http_connection *connection,
                     const struct http_request *request, struct http_response **out,
                     bool *out_retry, struct error *err)
{
    CLEANUP(str_done) struct str head = {};
    struct error refusal = {};

    format_head(client, request, &head);
    struct iovec parts[] = { { head.data, head.length },
                             { (void *)request->body,
                               request->body_stream ? 0 : request->body_size } };
    int sent = http_connection_write_parts(connection, parts, COUNT(parts), err);
    /* A server may refuse and close while we are still writing: it has said why, then. */
    int received = response_receive(client, connection, request, out, sent < 0 ? &refusal : err);
    *out_retry = received < 0 && !request->body_stream && (sent < 0 || is_repeatable(request));
    return received;
}

void http_client_limit_silence(struct http_client *client, int limit_ms)
{
    client->address.silence_limit_ms = limit_ms;
}

int http_client_send(struct http_client *client, const struct http_request *request,
                     struct http_response **out, struct error *err)
{
    struct http_connection *connection = NULL;
    bool retry = false;

    if (check_request(request, err) < 0)
        return -1;
    connection = take_idle(client);
    if (connection) {
        if (send_over(client, connection, request, out, &retry, err) == 0)
            return 0;
        if (!retry) /* else: the server closed it just when we began */
            return -1;
    }
    if (dial(&client->address, client->tls, &connection, err) < 0)
        return -1;
    return send_over(client, connection, request, out, &retry, err);
}
