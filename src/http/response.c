/* Reading answers. */
#include <poll.h>
#include <string.h>

#include "base/memory.h"
#include "base/str.h"
#include "http/client_state.h"

#include "base/banned.h"

enum {
    HEAD_LIMIT = 256 * 1024, /* of an answer; registries' tokens and the like are long */
    HEADER_LIMIT = 500,
    BLOCK_SIZE = 16 * 1024,
};

/* Waits for further bytes in 'ahead'. 1, 0 at the end, -1. */
static int receive_more(struct http_response *response, struct error *err)
{
    struct http_connection *connection = response->connection;
    size_t before = connection->ahead.size;

    if (before == 0 && !upload_is_done(&response->upload) &&
        client_upload(&response->upload, connection, err) < 0)
        return -1;
    for (;;) {
        int state = http_connection_fill(connection, HEAD_LIMIT, err);

        if (connection->ahead.size > before)
            return 1;
        if (state <= 0)
            return state;
        if (http_connection_poll(connection, POLLIN, -1, -1, err) < 0)
            return -1;
    }
}

/* Collects a head in 'ahead' and gives its size. */
static int collect_head(struct http_response *response, size_t *out_size, struct error *err)
{
    struct buf *ahead = &response->connection->ahead;
    size_t scanned = 0;

    for (;;) {
        size_t size = ahead->size ? http_head_size(buf_bytes(ahead), ahead->size, &scanned) : 0;

        if (size) {
            *out_size = size;
            return 0;
        }
        if (ahead->size >= HEAD_LIMIT)
            return error_set(err, ERROR_INVALID, "answer's head is too large");
        int state = receive_more(response, err);
        if (state < 0)
            return -1;
        if (state == 0)
            return error_set(err, ERROR_UNAVAILABLE, "the server ended the connection%s",
                             ahead->size ? " inside its answer" : " without an answer");
    }
}

static int read_head(struct http_response *response, bool no_body, struct error *err)
{
    struct buf *ahead = &response->connection->ahead;
    size_t size = 0;

    for (;;) {
        if (collect_head(response, &size, err) < 0 ||
            http_parser_answer(buf_bytes(ahead), size, HEADER_LIMIT, no_body, &response->parser,
                               &response->head, err) < 0)
            return -1;
        buf_consume(ahead, size);
        if (ahead->size == 0)
            buf_done(ahead);
        if (response->head.status >= 200 || response->head.status == 101)
            return 0;
        http_head_done(&response->head); /* "100 Continue" and its kind: the answer comes */
        http_parser_free(TAKE(response->parser));
    }
}

int response_receive(struct http_client *client, struct http_connection *connection,
                     const struct http_request *request, struct http_response **out,
                     struct error *err)
{
    CLEANUP(http_response_free) struct http_response *response = NEW(struct http_response);

    response->client = client_ref(client);
    response->connection = connection;
    response->upload.body = request->body_stream;
    response->is_upgrade_asked = request->upgrade;
    if (read_head(response, strcmp(request->method, "HEAD") == 0, err) < 0)
        return -1;
    if (response->head.status >= 400 && !upload_is_done(&response->upload)) {
        response->has_failed = true; /* nobody wants the rest of it */
        upload_done(&response->upload);
    }
    *out = TAKE(response);
    return 0;
}

int http_response_status(const struct http_response *response)
{
    return response->head.status;
}

const char *http_response_header(const struct http_response *response, const char *name)
{
    return http_head_get(&response->head, name);
}

static ssize_t fail(struct http_response *response)
{
    response->has_failed = true;
    return -1;
}

/* Some bytes of the connection, decoded: how many of the body they gave, which may be none. */
static ssize_t read_some(struct http_response *response, void *data, size_t size, struct error *err)
{
    struct http_connection *connection = response->connection;
    size_t body_size;

    if (connection->ahead.size == 0 && !upload_is_done(&response->upload) &&
        client_upload(&response->upload, connection, err) < 0)
        return fail(response);
    ssize_t count = http_connection_read(connection, data, size, err);
    if (count < 0)
        return fail(response);
    if (count == 0)
        return http_parser_end(response->parser, err) < 0 ? fail(response) : 0;
    ssize_t used = http_parser_body(response->parser, data, (size_t)count, &body_size, err);
    if (used < 0)
        return fail(response);
    http_connection_unread(connection, (char *)data + used, (size_t)(count - used));
    return (ssize_t)body_size;
}

ssize_t http_response_read(struct http_response *response, void *data, size_t size,
                           struct error *err)
{
    if (size == 0)
        return 0;
    while (!http_parser_is_complete(response->parser)) {
        if (!response->connection)
            return error_set(err, ERROR_INTERNAL, "the connection was taken");
        ssize_t count = read_some(response, data, size, err);
        if (count != 0)
            return count;
    }
    return 0;
}

int http_response_read_all(struct http_response *response, size_t limit, struct str *out,
                           struct error *err)
{
    CLEANUP(free) char *block = xmalloc(BLOCK_SIZE);
    size_t total = 0;

    for (;;) {
        ssize_t count = http_response_read(response, block, BLOCK_SIZE, err);

        if (count <= 0)
            return (int)count;
        total += (size_t)count;
        if (total > limit)
            return error_set(err, ERROR_INVALID, "answer is larger than %zu bytes", limit);
        str_add_bytes(out, block, (size_t)count);
    }
}

static ssize_t stream_read_response(struct stream *stream, void *data, size_t size,
                                    struct error *err)
{
    return http_response_read(CONTAINER_OF(stream, struct http_response, stream), data, size, err);
}

static void keep_open(struct stream *stream UNUSED)
{
}

struct stream *http_response_stream(struct http_response *response)
{
    response->stream = (struct stream){ stream_read_response, NULL, keep_open };
    return &response->stream;
}

int http_response_fd(const struct http_response *response)
{
    return response->connection ? http_connection_fd(response->connection) : -1;
}

bool http_response_has_pending(const struct http_response *response)
{
    struct http_connection *connection = response->connection;

    if (!connection || http_parser_is_complete(response->parser) || connection->ahead.size > 0)
        return true;
    return connection->tls && http_connection_wait(connection, 0, -1, NULL) != 0;
}

struct http_connection *http_response_take_connection(struct http_response *response)
{
    const struct http_head *head = &response->head;
    bool is_raw = head->status == 101 || (head->status == 200 && response->is_upgrade_asked &&
                                          !head->is_chunked && !head->has_length);

    if (!is_raw || response->has_failed)
        return NULL;
    return TAKE(response->connection);
}

static bool is_reusable(const struct http_response *response)
{
    return response->parser && http_parser_is_complete(response->parser) &&
           response->head.keep_alive && response->head.status != 101 && !response->has_failed &&
           upload_is_done(&response->upload) && !response->upload.is_broken &&
           response->connection->ahead.size == 0;
}

void http_response_free(struct http_response *response)
{
    if (!response)
        return;
    if (response->connection && is_reusable(response))
        client_keep(response->client, response->connection);
    else
        http_connection_close(response->connection);
    upload_done(&response->upload);
    http_head_done(&response->head);
    http_parser_free(response->parser);
    client_unref(response->client);
    free(response);
}
