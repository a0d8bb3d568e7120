#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <semaphore.h>
#include <stdio.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/stream.h"
#include "base/thread.h"
#include "http/test_support.h"

#include "base/banned.h"

#define HOST "Host: docker\r\n"

/* What the handler below saw and is told. */
static sem_t entered, cancelled;

static void echo(struct http_exchange *exchange)
{
    CLEANUP(buf_done) struct buf body = {};
    struct error err = {};

    if (http_read_all(exchange, 1024 * 1024, &body, &err) < 0)
        http_reply(exchange, 400, "text/plain", err.text, strlen(err.text), &err);
    else
        http_reply(exchange, 200, "text/plain", buf_bytes(&body), body.size, &err);
}

static void stream(struct http_exchange *exchange)
{
    struct error err = {};

    http_reply_begin(exchange, 200, "text/plain", &err);
    http_reply_write(exchange, "one", 3, &err);
    http_reply_write(exchange, "", 0, &err);
    stream_write(http_reply_stream(exchange), "three", 5, &err);
}

static void wait_for_cancel(struct http_exchange *exchange)
{
    struct pollfd fd = { .fd = http_cancel_fd(exchange), .events = POLLIN };
    struct error err = {};

    http_reply_begin(exchange, 200, "text/plain", &err);
    sem_post(&entered);
    poll(&fd, 1, -1);
    if (http_is_cancelled(exchange))
        sem_post(&cancelled);
}

static void take_over(struct http_exchange *exchange)
{
    static const char head[] =
        "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";
    CLEANUP(http_connection_close) struct http_connection *connection = NULL;
    struct error err = {};
    char block[64];
    ssize_t count;

    cr_assert_eq(http_hijack(exchange, head, &connection, &err), 0, "%s", err.text);
    cr_assert(http_reply_has_begun(exchange));
    while ((count = http_connection_read(connection, block, sizeof(block), &err)) > 0)
        http_connection_write(connection, block, (size_t)count, &err);
    /* The client has ended its direction; ours goes on. */
    http_connection_write(connection, "!", 1, &err);
    http_connection_shutdown_write(connection, &err);
}

static void describe(struct http_exchange *exchange)
{
    CLEANUP(str_done) struct str text = {};
    struct error err = {};

    str_add_format(&text, "method=%s path=%s query=%s\n", http_method(exchange),
                   http_path(exchange), http_raw_query(exchange));
    if (http_header(exchange, "content-TYPE"))
        http_read_form(exchange, &err);
    for (size_t i = 0; i < http_query_count(exchange, "t"); i++)
        str_add_format(&text, "t=%s\n", http_query_at(exchange, "t", i));
    str_add_format(&text, "x=%s uid=%d\n", http_header(exchange, "x-thing") ?: "(none)",
                   http_peer_uid(exchange) == (int64_t)getuid());
    http_set_header(exchange, "X-Answer", "first");
    http_set_header(exchange, "x-answer", "sec\r\nond");
    http_reply(exchange, 200, "text/plain", text.data, text.length, &err);
}

static void handle(struct http_exchange *exchange, void *data UNUSED)
{
    const char *path = http_path(exchange);
    struct error err = {};

    if (strcmp(path, "/echo") == 0)
        echo(exchange);
    else if (strcmp(path, "/stream") == 0)
        stream(exchange);
    else if (strcmp(path, "/wait") == 0)
        wait_for_cancel(exchange);
    else if (strcmp(path, "/hijack") == 0)
        take_over(exchange);
    else if (strcmp(path, "/describe") == 0)
        describe(exchange);
    else if (strcmp(path, "/nothing") == 0)
        http_reply(exchange, 204, "text/plain", NULL, 0, &err);
    else if (strcmp(path, "/same") == 0)
        http_reply(exchange, 304, NULL, NULL, 0, &err);
    else if (strcmp(path, "/early") == 0)
        http_reply(exchange, 404, "text/plain", "no", 2, &err);
    else if (strcmp(path, "/forgotten") != 0)
        http_reply(exchange, 200, "text/plain", path, strlen(path), &err);
}

static struct http_server *server;

static void start_server_with(const struct http_limits *limits)
{
    sem_init(&entered, 0, 0);
    sem_init(&cancelled, 0, 0);
    server = http_server_new(limits, handle, NULL);
}

static void start_server(void)
{
    start_server_with(NULL);
}

static void stop_server(void)
{
    http_server_stop(server, 5000);
}

TestSuite(http_server, .init = start_server, .fini = stop_server, .timeout = 60);

/* Sends 'request', ends the sending direction, and gives the whole conversation. */
static void converse(const char *request, struct str *out)
{
    CLEANUP(close) int fd = visit(server);

    say(fd, request);
    shutdown(fd, SHUT_WR);
    hear_all(fd, out);
}

/* clang-format off */
static const struct {
    const char *request;
    const char *answer; /* its start */
    const char *body;   /* its end */
} conversations[] = {
    { "GET /a HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 200 OK\r\n", "\r\n\r\n/a" },
    { "\r\nGET /a HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 200 OK\r\n", "\r\n\r\n/a" },
    { "GET http://x:1/a?b HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 200 OK\r\n", "\r\n\r\n/a" },
    { "GET /a HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\n", "Connection: close\r\nContent-Length: 2\r\n\r\n/a" },
    { "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "HTTP/1.1 200 OK\r\n", "Connection: keep-alive\r\nContent-Length: 2\r\n\r\n/a" },
    { "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello", "HTTP/1.1 200 OK\r\n", "Content-Length: 5\r\n\r\nhello" },
    { "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;ext=1\r\nlo\r\n0\r\nTrailer: x\r\n\r\n", "HTTP/1.1 200 OK\r\n", "\r\n\r\nhello" },
    { "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: Chunked\r\n\r\n0\r\n\r\n", "HTTP/1.1 200 OK\r\n", "Content-Length: 0\r\n\r\n" },
    { "POST /echo HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 2\r\n\r\nhi", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n", "\r\n\r\nhi" },
    { "POST /early HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n", "HTTP/1.1 404 Not Found\r\n", "Connection: close\r\nContent-Length: 2\r\n\r\nno" },
    { "HEAD /a HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 200 OK\r\n", "Content-Length: 2\r\n\r\n" },
    { "HEAD /stream HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 200 OK\r\n", "Transfer-Encoding: chunked\r\n\r\n" },
    { "GET /stream HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 200 OK\r\n", "Transfer-Encoding: chunked\r\n\r\n3\r\none\r\n5\r\nthree\r\n0\r\n\r\n" },
    { "GET /stream HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\n", "Connection: close\r\n\r\nonethree" },
    { "GET /forgotten HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 500 Internal Server Error\r\n", "Content-Length: 0\r\n\r\n" },
    { "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhel", "HTTP/1.1 400 Bad Request\r\n", "middle of its body" },
    { "POST /hijack HTTP/1.1\r\n" HOST "Connection: Upgrade\r\nUpgrade: tcp\r\n\r\nstdin", "HTTP/1.1 101 UPGRADED\r\n", "Upgrade: tcp\r\n\r\nstdin!" },
    { "POST /hijack HTTP/1.1\r\n" HOST "Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 2\r\n\r\n{}stdin", "HTTP/1.1 101 UPGRADED\r\n", "Upgrade: tcp\r\n\r\nstdin!" },
};
/* clang-format on */

Test(http_server, answers)
{
    for (size_t i = 0; i < COUNT(conversations); i++) {
        CLEANUP(str_done) struct str answer = {};

        converse(conversations[i].request, &answer);
        const char *text = str_text(&answer), *start = conversations[i].answer;
        size_t length = strlen(conversations[i].body);
        cr_expect_eq(strncmp(text, start, strlen(start)), 0, "%s gave %s", conversations[i].request,
                     text);
        cr_expect(answer.length >= length &&
                      strcmp(text + answer.length - length, conversations[i].body) == 0,
                  "%s gave %s", conversations[i].request, text);
    }
}

static const char *const bodiless[] = { "GET /nothing", "GET /same" };

Test(http_server, sends_no_body_and_no_length_where_none_may_be)
{
    for (size_t i = 0; i < COUNT(bodiless); i++) {
        CLEANUP(free)
        char *request = xasprintf("%s HTTP/1.1\r\n" HOST "\r\nGET /next HTTP/1.1\r\n" HOST "\r\n",
                                  bodiless[i]);
        CLEANUP(str_done) struct str answer = {};

        converse(request, &answer);
        cr_expect_eq(count_of(str_text(&answer), "HTTP/1.1 "), 2);
        cr_expect_eq(count_of(str_text(&answer), "Content-Length"), 1, "%s", str_text(&answer));
        cr_expect_eq(count_of(str_text(&answer), "Content-Type"), 1, "%s", str_text(&answer));
    }
}
