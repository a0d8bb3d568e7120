/* One request and its answer, from the head in the connection's buffer to the decision whether the
 * connection is kept. */
#include "http/exchange.h"

#include <netdb.h>
#include <poll.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/str.h"

#include "base/banned.h"

enum {
    FORM_LIMIT = 1024 * 1024,
    DRAIN_STALL_MS = 5 * 1000, /* wait for bytes of a body that nobody wants */
    LINGER_MS = 10 * 1000,     /* in all, for a client to read its answer and close */
    LINGER_STALL_MS = 2 * 1000,
    BLOCK_SIZE = 16 * 1024,
};

/* ---- the request ---- */

const char *http_method(const struct http_exchange *exchange)
{
    return exchange->head.method;
}

const char *http_path(const struct http_exchange *exchange)
{
    return exchange->path;
}

const char *http_raw_query(const struct http_exchange *exchange)
{
    return exchange->raw_query;
}

const char *http_header(const struct http_exchange *exchange, const char *name)
{
    return http_head_get(&exchange->head, name);
}

const char *http_query(const struct http_exchange *exchange, const char *name)
{
    return query_get(&exchange->query, name, 0);
}

size_t http_query_count(const struct http_exchange *exchange, const char *name)
{
    return query_count(&exchange->query, name);
}

const char *http_query_at(const struct http_exchange *exchange, const char *name, size_t index)
{
    return query_get(&exchange->query, name, index);
}

bool http_has_body(const struct http_exchange *exchange)
{
    return exchange->head.is_chunked || exchange->head.content_length > 0;
}

int64_t http_peer_uid(const struct http_exchange *exchange)
{
    return exchange->visitor->uid;
}

const char *http_peer_subject(const struct http_exchange *exchange)
{
    const struct http_connection *connection = exchange->connection;

    return connection && connection->tls ? tls_session_subject(connection->tls) : NULL;
}

char *http_peer_address(const struct http_exchange *exchange)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof(address);
    char host[NI_MAXHOST], port[NI_MAXSERV];

    if (exchange->visitor->is_unix || exchange->visitor->fd < 0 ||
        getpeername(exchange->visitor->fd, (struct sockaddr *)&address, &size) < 0 ||
        getnameinfo((struct sockaddr *)&address, size, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return NULL;
    return xasprintf(strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
}

/* A client that ends its direction after its whole request has, on TCP, closed for all that can be
 * known before we write. On unix sockets a closed peer shows as a hang-up, and an end is just that.
 * As long as request bytes are to be read, the end says nothing. */
static uint32_t watched_events(const struct http_exchange *exchange)
{
    bool is_end = exchange->connection && !exchange->visitor->is_unix &&
                  http_parser_is_complete(exchange->parser) && !exchange->connection->ahead.size;

    return is_end ? EPOLLRDHUP : 0; /* hang-ups and errors are always told */
}

static void watch_client(struct http_exchange *exchange, int operation)
{
    struct epoll_event event = { .events = watched_events(exchange) };

    if (exchange->cancel_fd >= 0 && exchange->visitor->fd >= 0)
        epoll_ctl(exchange->cancel_fd, operation, exchange->visitor->fd, &event);
}

int http_cancel_fd(struct http_exchange *exchange)
{
    struct epoll_event event = { .events = EPOLLIN };

    if (exchange->cancel_fd >= 0)
        return exchange->cancel_fd;
    exchange->cancel_fd = epoll_create1(EPOLL_CLOEXEC);
    if (exchange->cancel_fd < 0) /* no descriptors: at least the end of the server is noticed */
        return exchange->visitor->server->stop_fd;
    epoll_ctl(exchange->cancel_fd, EPOLL_CTL_ADD, exchange->visitor->server->stop_fd, &event);
    watch_client(exchange, EPOLL_CTL_ADD);
    return exchange->cancel_fd;
}

bool http_is_cancelled(struct http_exchange *exchange)
{
    struct pollfd fds[] = {
        { .fd = exchange->visitor->server->stop_fd, .events = POLLIN },
        { .fd = exchange->visitor->fd,
          .events = watched_events(exchange) & EPOLLRDHUP ? POLLRDHUP : 0 },
    };

    return poll(fds, COUNT(fds), 0) > 0;
}

/* ---- its body ---- */

static int fail_body(struct http_exchange *exchange)
{
    exchange->body_failed = true;
    return -1;
}

/* Some bytes of the connection, decoded: how many of the body they gave, which may be none. */
static ssize_t read_some(struct http_exchange *exchange, void *data, size_t size, struct error *err)
{
    ssize_t count = http_connection_read(exchange->connection, data, size, err);
    size_t body_size;

    if (count < 0)
        return -1;
    if (count == 0)
        return error_set(err, ERROR_UNAVAILABLE, "client went away in the middle of its body");
    ssize_t used = http_parser_body(exchange->parser, data, (size_t)count, &body_size, err);
    if (used < 0)
        return -1;
    http_connection_unread(exchange->connection, (char *)data + used, (size_t)(count - used));
    return (ssize_t)body_size;
}

ssize_t http_read(struct http_exchange *exchange, void *data, size_t size, struct error *err)
{
    if (http_parser_is_complete(exchange->parser) || size == 0)
        return 0;
    if (!exchange->connection || exchange->body_failed)
        return error_set(err, ERROR_UNAVAILABLE, "body cannot be read");
    if (reply_continue(exchange, err) < 0)
        return fail_body(exchange);
    while (!http_parser_is_complete(exchange->parser)) {
        ssize_t count = read_some(exchange, data, size, err);

        if (count < 0)
            return fail_body(exchange);
        if (http_parser_is_complete(exchange->parser))
            watch_client(exchange, EPOLL_CTL_MOD);
        if (count > 0)
            return count;
    }
    return 0;
}

int http_read_all(struct http_exchange *exchange, size_t limit, struct buf *out, struct error *err)
{
    CLEANUP(buf_done) struct buf body = {};

    if (exchange->head.content_length > limit)
        return error_set(err, ERROR_INVALID, "request body too large");
    for (;;) {
        ssize_t count = http_read(exchange, buf_room(&body, BLOCK_SIZE), BLOCK_SIZE, err);

        if (count < 0)
            return -1;
        if (count == 0)
            break;
        buf_grow(&body, (size_t)count);
        if (body.size > limit)
            return error_set(err, ERROR_INVALID, "request body too large");
    }
    buf_add(out, buf_bytes(&body), body.size);
    return 0;
}

int http_read_form(struct http_exchange *exchange, struct error *err)
{
    CLEANUP(buf_done) struct buf form = {};

    if (http_read_all(exchange, FORM_LIMIT, &form, err) < 0)
        return -1;
    return query_add(&exchange->query, (const char *)buf_bytes(&form), form.size, err);
}

static ssize_t stream_read_body(struct stream *stream, void *data, size_t size, struct error *err)
{
    return http_read(CONTAINER_OF(stream, struct http_exchange, body_stream), data, size, err);
}

static void keep_open(struct stream *stream UNUSED)
{
}

struct stream *http_body_stream(struct http_exchange *exchange)
{
    exchange->body_stream = (struct stream){ stream_read_body, NULL, keep_open };
    return &exchange->body_stream;
}

/* Reads away what is left of the body. False when that takes too much of it, or fails. */
static bool drain(struct http_exchange *exchange)
{
    CLEANUP(free) char *block = NULL;
    size_t left = exchange->visitor->server->limits.drain_size;

    while (!http_parser_is_complete(exchange->parser)) {
        block = block ?: xmalloc(BLOCK_SIZE);
        ssize_t count = http_read(exchange, block, BLOCK_SIZE, NULL);

        if (count < 0 || (size_t)count > left)
            return false;
        left -= (size_t)count;
    }
    return true;
}

/* ---- taking over ---- */

static void let_go(struct http_exchange *exchange)
{
    struct visitor *visitor = exchange->visitor;
    struct http_server *server = visitor->server;

    /* What is registered goes with the open socket, not with the number: take it out, or events of
     * a socket that lives on elsewhere would come here. */
    if (visitor->is_known)
        epoll_ctl(server->epoll_fd, EPOLL_CTL_DEL, visitor->fd, NULL);
    exchange->connection->read_timeout_ms = exchange->connection->write_timeout_ms = -1;
    exchange->connection->cancel_fd = -1;
    exchange->connection = visitor->connection = NULL;
    watch_client(exchange, EPOLL_CTL_MOD); /* its end is now just the end of a direction */
    mutex_lock(&server->lock);
    visitor->fd = -1;
    mutex_unlock(&server->lock);
}

int http_hijack(struct http_exchange *exchange, const char *head, struct http_connection **out,
                struct error *err)
{
    struct http_connection *connection = exchange->connection;

    if (!connection || http_reply_has_begun(exchange))
        return error_set(err, ERROR_INTERNAL, "an answer has begun already");
    if (!drain(exchange))
        return error_set(err, ERROR_INVALID, "body before an upgrade is too large or broken");
    mutex_lock(&exchange->lock);
    exchange->has_begun = true;
    mutex_unlock(&exchange->lock);
    if (http_connection_write(connection, head, strlen(head), err) < 0) {
        exchange->write_failed = true;
        return -1;
    }
    let_go(exchange);
    *out = connection;
    return 0;
}

/* ---- from head to end ---- */

static int split_target(struct http_exchange *exchange, struct error *err)
{
    const char *target = exchange->head.target;

    /* The absolute form, as proxies are asked, means the same to us. */
    if (strncasecmp(target, "http://", 7) == 0 || strncasecmp(target, "https://", 8) == 0) {
        const char *host = strchr(target, ':') + 3;

        target = host + strcspn(host, "/?");
    }
    size_t path_length = strcspn(target, "?");
    exchange->path = path_length ? xstrndup(target, path_length) : xstrdup("/");
    exchange->raw_query = target[path_length] ? target + path_length + 1 : "";
    return query_add(&exchange->query, exchange->raw_query, strlen(exchange->raw_query), err);
}

static int read_request(struct http_exchange *exchange, struct error *err)
{
    struct visitor *visitor = exchange->visitor;
    struct buf *ahead = &visitor->connection->ahead;

    if (http_parser_request(buf_bytes(ahead), visitor->head_size,
                            visitor->server->limits.header_count, &exchange->parser,
                            &exchange->head, err) < 0 ||
        split_target(exchange, err) < 0)
        return -1;
    buf_consume(ahead, visitor->head_size);
    if (ahead->size == 0)
        buf_done(ahead);
    const char *expected = http_head_get(&exchange->head, "Expect");
    exchange->must_continue = expected && strcasecmp(expected, "100-continue") == 0 &&
                              exchange->head.minor > 0 && http_has_body(exchange);
    return 0;
}

static void exchange_init(struct http_exchange *exchange, struct visitor *visitor)
{
    const struct http_limits *limits = &visitor->server->limits;
    struct http_connection *connection = visitor->connection;

    *exchange = (struct http_exchange){ .visitor = visitor, .connection = connection };
    exchange->raw_query = "";
    exchange->cancel_fd = -1;
    mutex_init(&exchange->lock);
    connection->read_timeout_ms = limits->body_stall_ms;
    connection->write_timeout_ms = limits->write_stall_ms;
    connection->cancel_fd = visitor->server->stop_fd;
    connection->read_timed_out = false;
}

static void exchange_done(struct http_exchange *exchange)
{
    http_parser_free(exchange->parser);
    http_head_done(&exchange->head);
    query_done(&exchange->query);
    map_done(&exchange->answer_headers);
    mutex_done(&exchange->lock);
    free(exchange->path);
    close_cleanup(&exchange->cancel_fd);
}

/* Closing a socket with unread bytes resets it, and the client loses an answer that it has not read
 * yet: say that nothing more comes, and wait for the client to end, for a while. */
static void linger(struct http_connection *connection)
{
    CLEANUP(free) char *block = xmalloc(BLOCK_SIZE);
    uint64_t deadline = clock_monotonic_ns() + LINGER_MS * (uint64_t)NS_PER_MS;

    if (http_connection_shutdown_write(connection, NULL) < 0)
        return;
    if (connection->tls) /* close_notify alone ends nothing for those who wait for the socket */
        shutdown(connection->fd, SHUT_WR);
    connection->read_timeout_ms = LINGER_STALL_MS;
    while (clock_monotonic_ns() < deadline &&
           http_connection_read(connection, block, BLOCK_SIZE, NULL) > 0)
        ;
}

static void refuse(struct http_connection *connection, int status, const char *text)
{
    CLEANUP(str_done) struct str answer = {};

    str_add_format(&answer,
                   "HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\n"
                   "Connection: close\r\nContent-Length: %zu\r\n\r\n%s\n",
                   status, reply_reason(status), strlen(text) + 1, text);
    connection->write_timeout_ms = LINGER_STALL_MS;
    if (http_connection_write(connection, answer.data, answer.length, NULL) == 0)
        linger(connection);
}

/* True if the connection may serve the next request. */
static bool finish(struct http_exchange *exchange)
{
    if (!exchange->connection)
        return false;
    reply_finish(exchange);
    exchange->connection->read_timeout_ms = DRAIN_STALL_MS;
    if (exchange->write_failed)
        return false;
    if (!exchange->must_close && !exchange->body_failed && drain(exchange))
        return true;
    linger(exchange->connection);
    return false;
}

static bool run(struct http_exchange *exchange)
{
    struct http_server *server = exchange->visitor->server;
    struct error err = {};

    if (read_request(exchange, &err) < 0) {
        refuse(exchange->connection, err.kind == ERROR_UNSUPPORTED ? 431 : 400, err.text);
        return false;
    }
    server->handler(exchange, server->data);
    return finish(exchange);
}

bool exchange_run(struct visitor *visitor, enum head_state state)
{
    struct http_exchange exchange;
    bool is_kept = false;

    exchange_init(&exchange, visitor);
    if (state == HEAD_TOO_LARGE)
        refuse(visitor->connection, 431, "request head too large");
    else if (state == HEAD_ALIEN)
        refuse(visitor->connection, 400, "this is no HTTP request");
    else if (state == HEAD_LATE)
        refuse(visitor->connection, 408, "request head took too long");
    else
        is_kept = run(&exchange);
    exchange_done(&exchange);
    return is_kept;
}
