#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <semaphore.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/stream.h"
#include "base/thread.h"
#include "http/test_support.h"

#include "base/banned.h"

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

/* More than a socket takes at once, so that the sending waits in between. */
enum { FILE_SIZE = 3 * 1024 * 1024, FILE_START = 5 };

static void send_file(struct http_exchange *exchange)
{
    CLEANUP(close) int fd = memfd_create("file", MFD_CLOEXEC);
    CLEANUP(free) char *bytes = xmalloc(FILE_SIZE);
    struct error err = {};

    memset(bytes, 'x', FILE_SIZE);
    bytes[FILE_START] = '<';
    bytes[FILE_SIZE - 1] = '>';
    cr_assert_eq(fd_write_all(fd, bytes, FILE_SIZE, &err), 0, "%s", err.text);
    cr_expect_eq(http_reply_file(exchange, fd, 0, 1, &err), -1, "no answer has begun");
    http_set_header(exchange, "Content-Length", "3145723");
    http_reply_begin(exchange, 200, "text/plain", &err);
    if (strcmp(http_method(exchange), "GET") == 0)
        cr_expect_eq(http_reply_file(exchange, fd, FILE_START, FILE_SIZE, &err), -1, "too long");
    cr_expect_eq(http_reply_file(exchange, fd, FILE_START, FILE_SIZE - FILE_START, &err), 0, "%s",
                 err.text);
}

/* The same as chunks between others. */
static void send_file_in_chunks(struct http_exchange *exchange)
{
    CLEANUP(close) int fd = memfd_create("file", MFD_CLOEXEC);
    CLEANUP(free) char *bytes = xmalloc(FILE_SIZE);
    struct stream *reply = http_reply_stream(exchange);
    struct error err = {};

    memset(bytes, 'x', FILE_SIZE);
    bytes[0] = '<';
    bytes[FILE_SIZE - 1] = '>';
    cr_assert_eq(fd_write_all(fd, bytes, FILE_SIZE, &err), 0, "%s", err.text);
    cr_assert_eq(lseek(fd, 0, SEEK_SET), 0);
    http_reply_begin(exchange, 200, "text/plain", &err);
    cr_expect_eq(stream_write(reply, "before", 6, &err), 0, "%s", err.text);
    cr_expect_eq(stream_write_file(reply, fd, FILE_SIZE, &err), 0, "%s", err.text);
    cr_expect_eq(lseek(fd, 0, SEEK_CUR), FILE_SIZE);
    cr_expect_eq(stream_write(reply, "behind", 6, &err), 0, "%s", err.text);
}

/* It becomes shorter while it is sent. */
static void send_short_file(struct http_exchange *exchange)
{
    CLEANUP(close) int fd = memfd_create("file", MFD_CLOEXEC);
    struct stream *reply = http_reply_stream(exchange);
    struct error err = {};

    cr_assert_eq(ftruncate(fd, 10), 0);
    http_reply_begin(exchange, 200, "text/plain", &err);
    cr_expect_eq(stream_write_file(reply, fd, 20, &err), -1);
    cr_expect_eq(stream_write(reply, "behind", 6, &err), -1, "what follows would be taken for it");
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
    else if (strcmp(path, "/file") == 0)
        send_file(exchange);
    else if (strcmp(path, "/chunks") == 0)
        send_file_in_chunks(exchange);
    else if (strcmp(path, "/short") == 0)
        send_short_file(exchange);
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

        converse(server, conversations[i].request, &answer);
        const char *text = str_text(&answer), *start = conversations[i].answer;
        size_t length = strlen(conversations[i].body);
        cr_expect_eq(strncmp(text, start, strlen(start)), 0, "%s gave %s", conversations[i].request,
                     text);
        cr_expect(answer.length >= length &&
                      strcmp(text + answer.length - length, conversations[i].body) == 0,
                  "%s gave %s", conversations[i].request, text);
    }
}

Test(http_server, sends_parts_of_files)
{
    CLEANUP(str_done) struct str answer = {}, head = {};

    converse(server, "GET /file HTTP/1.1\r\n" HOST "\r\n", &answer);
    const char *body = strstr(str_text(&answer), "\r\n\r\n");
    cr_assert(body);
    cr_expect_eq(answer.length - (size_t)(body + 4 - answer.data), FILE_SIZE - FILE_START);
    cr_expect_eq(body[4], '<');
    cr_expect_eq(answer.data[answer.length - 1], '>');
    converse(server, "HEAD /file HTTP/1.1\r\n" HOST "\r\n", &head);
    cr_expect(strstr(str_text(&head), "Content-Length: 3145723\r\n"));
    cr_expect(head.length < 1000);
}

Test(http_server, sends_files_as_chunks)
{
    static const char start[] = "\r\n\r\n6\r\nbefore\r\n100000\r\n<x",
                      end[] = "x>\r\n6\r\nbehind\r\n0\r\n\r\n";
    CLEANUP(str_done) struct str answer = {}, cut = {};

    converse(server, "GET /chunks HTTP/1.1\r\n" HOST "\r\n", &answer);
    const char *body = strstr(str_text(&answer), start);
    cr_assert(body, "%.300s", str_text(&answer));
    size_t framing = strlen("\r\n\r\n6\r\nbefore\r\n"
                            "6\r\nbehind\r\n0\r\n\r\n") +
                     3 * strlen("100000\r\n\r\n");
    cr_expect_eq(answer.length - (size_t)(body - answer.data), FILE_SIZE + framing);
    cr_expect_str_eq(answer.data + answer.length - strlen(end), end);
    converse(server, "GET /short HTTP/1.1\r\n" HOST "\r\n", &cut);
    cr_expect_not(strstr(str_text(&cut), "behind"));
    cr_expect_not(memmem(cut.data, cut.length, "0\r\n\r\n", 5), "looks whole");
}

static const char *const bodiless[] = { "GET /nothing", "GET /same" };

Test(http_server, sends_no_body_and_no_length_where_none_may_be)
{
    for (size_t i = 0; i < COUNT(bodiless); i++) {
        CLEANUP(free)
        char *request = xasprintf("%s HTTP/1.1\r\n" HOST "\r\nGET /next HTTP/1.1\r\n" HOST "\r\n",
                                  bodiless[i]);
        CLEANUP(str_done) struct str answer = {};

        converse(server, request, &answer);
        cr_expect_eq(count_of(str_text(&answer), "HTTP/1.1 "), 2);
        cr_expect_eq(count_of(str_text(&answer), "Content-Length"), 1, "%s", str_text(&answer));
        cr_expect_eq(count_of(str_text(&answer), "Content-Type"), 1, "%s", str_text(&answer));
    }
}

/* ---- what a handler sees ---- */

Test(http_server, tells_the_request)
{
    CLEANUP(str_done) struct str answer = {};

    converse(server,
             "POST /describe?t=a%20b+c&u&t=&x=%25 HTTP/1.1\r\n" HOST "X-Thing: 1 \r\nx-thing:2\r\n"
             "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 7\r\n\r\nt=%2Bz&",
             &answer);
    cr_expect(strstr(str_text(&answer),
                     "\r\n\r\nmethod=POST path=/describe query=t=a%20b+c&u&t=&x=%25\n"
                     "t=a b c\nt=\nt=+z\nx=1, 2 uid=1\n"),
              "%s", str_text(&answer));
    cr_expect(strstr(str_text(&answer), "X-Answer: sec  ond\r\n"));
    cr_expect_eq(count_of(str_text(&answer), "nswer:"), 1);
}

/* ---- keeping connections ---- */

Test(http_server, answers_pipelined_requests_in_order)
{
    CLEANUP(str_done) struct str answer = {};

    converse(server,
             "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\n1"
             "GET /two HTTP/1.1\r\n" HOST "\r\n"
             "POST /early HTTP/1.1\r\n" HOST "Content-Length: 6\r\n\r\nunread"
             "POST /early HTTP/1.1\r\n" CHUNKED "6\r\nunread\r\n0\r\n\r\n"
             "POST /echo HTTP/1.1\r\n" CHUNKED "1\r\n3\r\n0\r\n\r\n"
             "GET /four HTTP/1.1\r\nConnection: close\r\n" HOST "\r\n"
             "GET /five HTTP/1.1\r\n" HOST "\r\n",
             &answer);
    const char *text = str_text(&answer);
    cr_expect_eq(count_of(text, "HTTP/1.1 "), 6, "%s", text);
    const char *one = strstr(text, "\r\n\r\n1HTTP"), *two = strstr(text, "/two");
    const char *three = strstr(text, "\r\n\r\n3HTTP"), *four = strstr(text, "/four");
    cr_expect(one && two && three && four && one < two && two < three && three < four, "%s", text);
}

Test(http_server, keeps_a_connection_for_requests_that_come_in_pieces)
{
    CLEANUP(close) int fd = visit(server);

    for (int i = 0; i < 3; i++) {
        static const char *const pieces[] = {
            "P", "OST /ec", "ho HTTP/1.1\r", "\n" HOST "Content-Le", "ngth: 3\r\n\r", "\na",
            "b", "c"
        };
        CLEANUP(str_done) struct str answer = {};

        for (size_t p = 0; p < COUNT(pieces); p++) {
            say(fd, pieces[p]);
            usleep(500); /* lets most pieces arrive alone; nothing depends on it */
        }
        hear(fd, "\r\n\r\nabc", &answer);
        cr_expect_null(strstr(str_text(&answer), "Connection: close"));
    }
}

/* ---- bodies ---- */

Test(http_server, tells_a_client_to_go_on_only_when_the_body_is_read)
{
    CLEANUP(close) int fd = visit(server);
    CLEANUP(str_done) struct str answer = {};

    say(fd, "POST /echo HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    hear(fd, "HTTP/1.1 100 Continue\r\n\r\n", &answer);
    say(fd, "hi");
    hear(fd, "\r\n\r\nhi", &answer);
    cr_expect_eq(count_of(str_text(&answer), "100 Continue"), 1);
}

/* More than socket buffers hold and more than is drained: the answer must survive nonetheless. */
Test(http_server, answers_early_while_a_large_body_comes)
{
    CLEANUP(close) int fd = visit(server);
    CLEANUP(str_done) struct str answer = {};
    CLEANUP(free) char *block = xcalloc(1, 100 * 1000);

    say(fd, "POST /early HTTP/1.1\r\n" HOST "Content-Length: 5000000\r\n\r\n");
    for (int i = 0; i < 50; i++)
        cr_assert_eq(send(fd, block, 100 * 1000, MSG_NOSIGNAL), 100 * 1000, "round %d", i);
    shutdown(fd, SHUT_WR);
    hear_all(fd, &answer);
    cr_expect(strstr(str_text(&answer), "HTTP/1.1 404 "));
    cr_expect(strstr(str_text(&answer), "Connection: close"));
}

Test(http_server, refuses_endless_chunk_lines)
{
    CLEANUP(close) int fd = visit(server);
    CLEANUP(str_done) struct str answer = {};
    char block[1001];

    memset(block, 'x', 1000);
    block[1000] = 0;
    say(fd, "POST /echo HTTP/1.1\r\n" CHUNKED "1;");
    for (int i = 0; i < 64 && send(fd, block, 1000, MSG_NOSIGNAL) > 0; i++)
        ;
    hear_all(fd, &answer);
    cr_expect(strstr(str_text(&answer), "HTTP/1.1 400 "));
}

/* ---- limits ---- */

static const struct http_limits tight = { .header_size = 200,
                                          .header_count = 4,
                                          .header_timeout_ms = 50,
                                          .body_stall_ms = 50,
                                          .write_stall_ms = 50,
                                          .drain_size = 10 };

static void start_tight_server(void)
{
    start_server_with(&tight);
}

TestSuite(http_limits, .init = start_tight_server, .fini = stop_server, .timeout = 60);

#define TEN_BYTES "1234567890"
#define HUNDRED_BYTES                                                                              \
    TEN_BYTES TEN_BYTES TEN_BYTES TEN_BYTES TEN_BYTES TEN_BYTES TEN_BYTES TEN_BYTES TEN_BYTES      \
        TEN_BYTES

/* clang-format off */
static const struct { const char *what, *request, *answer; } limited[] = {
    { "fits",           "GET /a HTTP/1.1\r\n" HOST "A: b\r\nC: d\r\nE: f\r\n\r\n",           "HTTP/1.1 200 " },
    { "header count",   "GET /a HTTP/1.1\r\n" HOST "A: b\r\nC: d\r\nE: f\r\nG: h\r\n\r\n",   "HTTP/1.1 431 " },
    { "header size",    "GET /a HTTP/1.1\r\n" HOST "A: " HUNDRED_BYTES HUNDRED_BYTES "\r\n\r\n", "HTTP/1.1 431 " },
    { "endless line",   "GET /" HUNDRED_BYTES HUNDRED_BYTES HUNDRED_BYTES,                   "HTTP/1.1 431 " },
    { "header time",    "GET /a HTTP/1.1\r\nHo",                                             "HTTP/1.1 408 " },
    { "first line",     "G",                                                                 "HTTP/1.1 408 " },
    { "body stall",     "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhel",       "HTTP/1.1 4" },
};
/* clang-format on */

Test(http_limits, are_answered_and_close)
{
    for (size_t i = 0; i < COUNT(limited); i++) {
        CLEANUP(close) int fd = visit(server);
        CLEANUP(str_done) struct str answer = {};

        say(fd, limited[i].request);
        if (i == 0)
            shutdown(fd, SHUT_WR);
        hear_all(fd, &answer);
        cr_expect_eq(strncmp(str_text(&answer), limited[i].answer, strlen(limited[i].answer)), 0,
                     "%s: %s", limited[i].what, str_text(&answer));
    }
}

Test(http_limits, leave_idle_connections_alone)
{
    CLEANUP(close) int fd = visit(server);
    CLEANUP(str_done) struct str answer = {};

    usleep(200 * 1000); /* four times what a head or a body may take */
    say(fd, "GET /a HTTP/1.1\r\n" HOST "\r\n");
    hear(fd, "\r\n\r\n/a", &answer);
    usleep(200 * 1000);
    say(fd, "GET /b HTTP/1.1\r\n" HOST "\r\n");
    hear(fd, "\r\n\r\n/b", &answer);
}

/* Whether one more connection is let in; what it is told otherwise. */
static bool is_let_in(struct http_server *counting, struct str *out)
{
    int fds[2];

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    int result = http_server_adopt(counting, fds[1], NULL);
    if (result < 0)
        hear_all(fds[0], out);
    close(fds[0]);
    return result == 0;
}

static const struct http_limits counted[] = { { .connection_count = 2 },
                                              { .uid_connection_count = 2 } };

Test(http_limits, count_connections)
{
    for (size_t i = 0; i < COUNT(counted); i++) {
        struct http_server *counting = http_server_new(&counted[i], handle, NULL);
        CLEANUP(str_done) struct str refusal = {}, ignored = {};
        CLEANUP(close) int first = visit(counting);
        CLEANUP(close) int second UNUSED = visit(counting);

        cr_expect_not(is_let_in(counting, &refusal));
        cr_expect_eq(strncmp(str_text(&refusal), "HTTP/1.1 503 ", 13), 0);
        shutdown(first, SHUT_WR);
        hear_all(first, &ignored);
        while (!is_let_in(counting, &ignored)) /* the suite's time limit ends this */
            usleep(1000);
        http_server_stop(counting, 5000);
    }
}

static void write_much(struct http_exchange *exchange, void *data UNUSED)
{
    CLEANUP(free) char *block = xcalloc(1, 1000 * 1000);
    struct error err = {};

    http_reply_begin(exchange, 200, NULL, &err);
    while (http_reply_write(exchange, block, 1000 * 1000, &err) == 0)
        ;
    cr_expect_eq(err.kind, ERROR_UNAVAILABLE);
    sem_post(&cancelled);
}

Test(http_limits, end_writing_to_a_client_that_takes_nothing)
{
    struct http_server *writer = http_server_new(&tight, write_much, NULL);
    CLEANUP(close) int fd = visit(writer);

    say(fd, "GET /a HTTP/1.1\r\n" HOST "\r\n");
    sem_wait(&cancelled);
    http_server_stop(writer, 5000);
}

/* One client that sends nothing but the start of a head, many times over, holds nobody up. */
Test(http_server, serves_others_while_some_are_slow)
{
    int slow[50];

    for (size_t i = 0; i < COUNT(slow); i++) {
        slow[i] = visit(server);
        say(slow[i], "GET /slow HTTP/1.1\r\nHo");
    }
    for (int i = 0; i < 10; i++) {
        CLEANUP(str_done) struct str answer = {};

        converse(server, "GET /a HTTP/1.1\r\n" HOST "\r\n", &answer);
        cr_expect(strstr(str_text(&answer), "\r\n\r\n/a"));
    }
    for (size_t i = 0; i < COUNT(slow); i++) {
        CLEANUP(str_done) struct str answer = {};

        say(slow[i], "st: x\r\n\r\n");
        hear(slow[i], "\r\n\r\n/slow", &answer);
        close(slow[i]);
    }
}

/* ---- clients that go ---- */

Test(http_server, cancels_when_the_client_has_gone)
{
    int fd = visit(server);

    say(fd, "GET /wait HTTP/1.1\r\n" HOST "\r\n");
    sem_wait(&entered);
    close(fd);
    sem_wait(&cancelled);
}

static void connect_to_same(int listen_fd, int fd)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof(address);

    getsockname(listen_fd, (struct sockaddr *)&address, &size);
    cr_assert_eq(connect(fd, (struct sockaddr *)&address, size), 0);
    give_up_eventually(fd);
}

static int connect_tcp(int listen_fd)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    connect_to_same(listen_fd, fd);
    return fd;
}

static int listen_somewhere(struct tls_context *tls)
{
    struct error err = {};
    int fd;

    cr_assert_eq(http_listen_tcp("127.0.0.1:0", &fd, &err), 0, "%s", err.text);
    int ours = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    cr_assert_eq(http_server_listen(server, fd, tls, &err), 0, "%s", err.text);
    return ours;
}

/* close() shows as the end of the client's direction only, on TCP, until something is written. */
Test(http_server, cancels_when_the_client_has_gone_over_tcp)
{
    CLEANUP(close) int listen_fd = listen_somewhere(NULL);
    CLEANUP(str_done) struct str answer = {};
    int fd = connect_tcp(listen_fd);

    say(fd, "POST /wait HTTP/1.1\r\n" HOST "\r\n");
    sem_wait(&entered);
    hear(fd, "\r\n\r\n", &answer); /* unread bytes would make it a reset */
    close(fd);
    sem_wait(&cancelled);
}

Test(http_server, does_not_take_half_closing_for_going)
{
    CLEANUP(close) int fd = visit(server);

    say(fd, "GET /wait HTTP/1.1\r\n" HOST "\r\n");
    shutdown(fd, SHUT_WR);
    sem_wait(&entered);
    usleep(20 * 1000);
    cr_expect_eq(sem_trywait(&cancelled), -1);
}

Test(http_server, cancels_when_it_stops)
{
    CLEANUP(close) int fd = visit(server);

    say(fd, "GET /wait HTTP/1.1\r\n" HOST "\r\n");
    sem_wait(&entered);
    http_server_stop(server, 5000);
    cr_expect_eq(sem_trywait(&cancelled), 0);
    server = NULL;
}

Test(http_server, stops_while_a_body_is_awaited)
{
    CLEANUP(close) int fd = visit(server);
    CLEANUP(str_done) struct str answer = {};

    say(fd, "POST /echo HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 9\r\n\r\n");
    hear(fd, "100 Continue\r\n\r\n", &answer);
    http_server_stop(server, 60 * 1000);
    server = NULL;
}

/* ---- taking over ---- */

Test(http_server, keeps_both_directions_apart_after_a_hijack)
{
    CLEANUP(close) int fd = visit(server);
    CLEANUP(str_done) struct str answer = {};

    say(fd, "POST /hijack HTTP/1.1\r\n" HOST "Connection: Upgrade\r\nUpgrade: tcp\r\n"
            "Content-Length: 4\r\n\r\nbodyearly");
    hear(fd, "\r\n\r\nearly", &answer);
    say(fd, "late");
    hear(fd, "late", &answer);
    shutdown(fd, SHUT_WR);
    hear_all(fd, &answer);
    cr_expect(strstr(str_text(&answer), "\r\n\r\nearlylate!"), "%s", str_text(&answer));
}

static int handed_fd;

static void hand_on(struct http_exchange *exchange, void *data UNUSED)
{
    struct http_connection *connection;
    CLEANUP(free) void *pending = NULL;
    size_t size;

    http_cancel_fd(exchange);
    cr_assert_eq(http_hijack(exchange, "HTTP/1.1 200 OK\r\n\r\n", &connection, NULL), 0);
    cr_assert(http_connection_is_plain(connection));
    handed_fd = http_connection_take_fd(connection, &pending, &size);
    cr_expect_eq(size, 5);
    cr_expect_eq(memcmp(pending, "stdin", 5), 0);
    cr_expect_eq(http_reply(exchange, 200, NULL, NULL, 0, NULL), -1);
}

/* The socket lives on elsewhere; the server must not hear of it again. */
Test(http_server, hands_a_socket_on)
{
    struct http_server *handing = http_server_new(NULL, hand_on, NULL);
    CLEANUP(close) int fd = visit(handing);
    CLEANUP(str_done) struct str answer = {};

    say(fd, "POST /attach HTTP/1.1\r\n" HOST "\r\nstdin");
    hear(fd, "\r\n\r\n", &answer);
    http_server_stop(handing, 5000);
    say(handed_fd, "out");
    hear(fd, "out", &answer);
    shutdown(fd, SHUT_WR);
    close(handed_fd);
}

/* ---- resources ---- */

static size_t thread_count(void)
{
    CLEANUP(str_done) struct str status = {};

    cr_assert_eq(file_read("/proc/self/status", 64 * 1024, &status, NULL), 0);
    return strtoul(strstr(status.data, "\nThreads:") + 9, NULL, 10);
}

Test(http_server, keeps_few_threads)
{
    CLEANUP(str_done) struct str ignored = {};
    int fds[20];

    converse(server, "GET /a HTTP/1.1\r\n" HOST "\r\n", &ignored);
    size_t before = thread_count(); /* with the loop and up to one worker */

    for (size_t i = 0; i < COUNT(fds); i++) {
        fds[i] = visit(server);
        say(fds[i], "GET /wait HTTP/1.1\r\n" HOST "\r\n");
    }
    for (size_t i = 0; i < COUNT(fds); i++)
        sem_wait(&entered);
    cr_expect_geq(thread_count(), before + COUNT(fds) - 1);
    for (size_t i = 0; i < COUNT(fds); i++)
        close(fds[i]);
    while (thread_count() > before + 2) /* idle workers stay; ended by the time limit */
        usleep(1000);
}

static size_t open_fd_count(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    close(fd);
    return (size_t)fd;
}

Test(http_server, waits_for_descriptors_to_accept)
{
    CLEANUP(close) int listen_fd = listen_somewhere(NULL);
    CLEANUP(close) int fd = connect_tcp(listen_fd);
    CLEANUP(str_done) struct str answer = {}, again = {};
    struct rlimit all, none;

    say(fd, "GET /a HTTP/1.1\r\n" HOST "\r\n");
    hear(fd, "\r\n\r\n/a", &answer);
    getrlimit(RLIMIT_NOFILE, &all);
    CLEANUP(close) int other = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    none = (struct rlimit){ open_fd_count(), all.rlim_max };
    setrlimit(RLIMIT_NOFILE, &none);
    connect_to_same(listen_fd, other);
    say(other, "GET /b HTTP/1.1\r\n" HOST "\r\n");
    usleep(50 * 1000); /* it cannot be accepted now; nothing depends on how often that is tried */
    setrlimit(RLIMIT_NOFILE, &all);
    hear(other, "\r\n\r\n/b", &again);
}

/* ---- sockets to listen on ---- */

Test(http_listen, replaces_dead_sockets_only)
{
    char directory[] = "/tmp/http-listen-XXXXXX";
    struct error err = {};
    struct stat info;
    int first, second;

    cr_assert(mkdtemp(directory) != NULL);
    CLEANUP(free) char *path = path_join(directory, "sock");
    CLEANUP(free) char *other = path_join(directory, "file");
    cr_assert_eq(
        http_listen_unix(path, (const char *const[]){ "no-such-group", NULL }, &first, &err), 0,
        "%s", err.text);
    cr_assert_eq(stat(path, &info), 0);
    cr_expect_eq(info.st_mode & 07777, 0660);
    cr_expect_eq(info.st_gid, getegid());
    cr_expect_eq(http_listen_unix(path, NULL, &second, &err), -1);
    cr_expect_eq(err.kind, ERROR_CONFLICT);
    close(first); /* as a killed server leaves it */
    cr_assert_eq(http_listen_unix(path, NULL, &second, &err), 0, "%s", err.text);
    close(second);
    cr_assert_eq(file_write_atomic(other, "x", 1, 0600, false, &err), 0);
    cr_expect_eq(http_listen_unix(other, NULL, &second, &err), -1);
    cr_expect_eq(err.kind, ERROR_CONFLICT);
    tree_remove(directory, NULL);
}

static const struct {
    const char *address;
    bool is_good;
} addresses[] = {
    { "127.0.0.1:0", true }, { "[::1]:0", true },     { "127.0.0.1", false },
    { "::1:0", false },      { "127.0.0.1:", false }, { "127.0.0.1:x", false },
};

Test(http_listen, knows_tcp_addresses)
{
    for (size_t i = 0; i < COUNT(addresses); i++) {
        CLEANUP(close) int fd = -1;
        struct error err = {};

        cr_expect_eq(http_listen_tcp(addresses[i].address, &fd, &err),
                     addresses[i].is_good ? 0 : -1, "%s %s", addresses[i].address, err.text);
    }
}
