#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/stream.h"
#include "base/thread.h"
#include "http/client.h"
#include "http/dial.h"
#include "http/test_support.h"

#include "base/banned.h"

/* clang-format off */
static const struct { const char *url; bool has_tls; enum address_kind kind; bool is_tls; const char *user, *host, *port, *path; } urls[] = {
    { "unix:///run/x.sock",          false, ADDRESS_UNIX, false, NULL, NULL,    NULL,   "/run/x.sock" },
    { "tcp://host:1",                false, ADDRESS_TCP,  false, NULL, "host",  "1",    NULL },
    { "tcp://host",                  false, ADDRESS_TCP,  false, NULL, "host",  "2375", NULL },
    { "tcp://host",                  true,  ADDRESS_TCP,  true,  NULL, "host",  "2376", NULL },
    { "tcp://[::1]:2",               false, ADDRESS_TCP,  false, NULL, "::1",   "2",    NULL },
    { "tcp://[::1]",                 false, ADDRESS_TCP,  false, NULL, "::1",   "2375", NULL },
    { "http://host/",                true,  ADDRESS_TCP,  false, NULL, "host",  "80",   NULL },
    { "https://host:4",              false, ADDRESS_TCP,  true,  NULL, "host",  "4",    NULL },
    { "ssh://me@host",               false, ADDRESS_SSH,  false, "me", "host",  NULL,   NULL },
    { "ssh://host:22/run/d.sock",    false, ADDRESS_SSH,  false, NULL, "host",  "22",   "/run/d.sock" },
};

static const char *const bad_urls[] = {
    "", "host", "ftp://host", "unix://", "tcp://", "tcp://:1", "tcp://host:", "tcp://host:0", "tcp://host:65536",
    "tcp://host:x", "tcp://[::1", "tcp://[::1]x", "tcp://host/path", "ssh://", "ssh://-oProxyCommand=x", "ssh://-lroot@host",
    "ssh://me:secret@host", "ssh://@host", "ssh://host/a;b", "ssh://host/$(x)",
};
/* clang-format on */

Test(http_client, reads_addresses)
{
    for (size_t i = 0; i < COUNT(urls); i++) {
        CLEANUP(address_done) struct address address = {};
        struct error err = {};

        cr_assert_eq(server_address_parse(urls[i].url, urls[i].has_tls, &address, &err), 0, "%s",
                     err.text);
        cr_expect_eq(address.kind, urls[i].kind, "%s", urls[i].url);
        cr_expect_eq(address.is_tls, urls[i].is_tls, "%s", urls[i].url);
        cr_expect(!urls[i].user == !address.user && !strcmp(urls[i].user ?: "", address.user ?: ""),
                  "%s", urls[i].url);
        cr_expect(!urls[i].host == !address.host && !strcmp(urls[i].host ?: "", address.host ?: ""),
                  "%s", urls[i].url);
        cr_expect(!urls[i].port == !address.port && !strcmp(urls[i].port ?: "", address.port ?: ""),
                  "%s", urls[i].url);
        cr_expect(!urls[i].path == !address.path && !strcmp(urls[i].path ?: "", address.path ?: ""),
                  "%s", urls[i].url);
    }
}

Test(http_client, refuses_bad_addresses)
{
    for (size_t i = 0; i < COUNT(bad_urls); i++) {
        CLEANUP(address_done) struct address address = {};
        struct error err = {};

        cr_expect_eq(server_address_parse(bad_urls[i], false, &address, &err), -1, "%s",
                     bad_urls[i]);
        cr_expect_eq(err.kind, ERROR_INVALID);
    }
}

/* ---- against our own server ---- */

enum { BIG_SIZE = 3 * 1024 * 1024 };

static void send_back(struct http_exchange *exchange)
{
    char block[8192];
    struct error err = {};
    ssize_t count;

    http_reply_begin(exchange, 200, "text/plain", &err);
    while ((count = http_read(exchange, block, sizeof(block), &err)) > 0)
        if (http_reply_write(exchange, block, (size_t)count, &err) < 0)
            return;
}

static void relay(struct http_exchange *exchange)
{
    CLEANUP(http_connection_close) struct http_connection *connection = NULL;
    struct error err = {};
    char block[64];
    ssize_t count;

    http_hijack(exchange, "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nhi",
                &connection, &err);
    while ((count = http_connection_read(connection, block, sizeof(block), &err)) > 0)
        http_connection_write(connection, block, (size_t)count, &err);
    http_connection_write(connection, "!", 1, &err);
}

static void handle(struct http_exchange *exchange, void *data UNUSED)
{
    CLEANUP(str_done) struct str text = {};
    const char *path = http_path(exchange);
    struct error err = {};

    str_add_format(&text, "%s %s type=%s length=%s thing=%s subject=%s", http_method(exchange),
                   path, http_header(exchange, "content-type") ?: "",
                   http_header(exchange, "content-length") ?: "",
                   http_header(exchange, "x-thing") ?: "", http_peer_subject(exchange) ?: "");
    if (strcmp(path, "/back") == 0)
        send_back(exchange);
    else if (strcmp(path, "/relay") == 0)
        relay(exchange);
    else if (strcmp(path, "/refuse") == 0)
        http_reply(exchange, 400, NULL, "no thanks", 9, &err);
    else
        http_reply(exchange, 200, "text/plain", text.data, text.length, &err);
}

static struct http_server *server;
static struct http_client *client;
static char directory[] = "/tmp/http-test-XXXXXX";

static void connect_client(const char *url, struct tls_context *tls)
{
    struct error err = {};

    cr_assert_eq(http_client_new(url, tls, &client, &err), 0, "%s", err.text);
}

static void set_up(void)
{
    struct error err = {};
    int fd;

    cr_assert(mkdtemp(directory) != NULL);
    CLEANUP(free) char *path = path_join(directory, "sock");
    CLEANUP(free) char *url = xasprintf("unix://%s", path);
    server = http_server_new(NULL, handle, NULL);
    cr_assert_eq(http_listen_unix(path, NULL, &fd, &err), 0, "%s", err.text);
    cr_assert_eq(http_server_listen(server, fd, NULL, &err), 0, "%s", err.text);
    connect_client(url, NULL);
}

static void tear_down(void)
{
    http_client_free(client);
    http_server_stop(server, 5000);
    tree_remove(directory, NULL);
}

TestSuite(client_server, .init = set_up, .fini = tear_down, .timeout = 60);

static int ask(const struct http_request *request, struct str *out)
{
    CLEANUP(http_response_free) struct http_response *response = NULL;
    struct error err = {};

    cr_assert_eq(http_client_send(client, request, &response, &err), 0, "%s", err.text);
    cr_assert_eq(http_response_read_all(response, 2 * BIG_SIZE, out, &err), 0, "%s", err.text);
    return http_response_status(response);
}

Test(client_server, sends_requests_over_one_connection)
{
    CLEANUP(map_done) struct map headers = {};

    map_set_text(&headers, "X-Thing", "t");
    for (int i = 0; i < 3; i++) {
        CLEANUP(str_done) struct str text = {};
        struct http_request request = { .method = "PUT",
                                        .target = "/a?b=c",
                                        .headers = &headers,
                                        .content_type = "application/json",
                                        .body = "{}",
                                        .body_size = 2 };

        cr_expect_eq(ask(&request, &text), 200);
        cr_expect_str_eq(str_text(&text), "PUT /a type=application/json length=2 thing=t subject=");
    }
}

Test(client_server, gets_no_body_for_head)
{
    CLEANUP(str_done) struct str text = {};
    struct http_request request = { .method = "HEAD", .target = "/a" };

    cr_expect_eq(ask(&request, &text), 200);
    cr_expect_eq(text.length, 0);
}

/* The server answers each block while it is still being sent more: neither may wait for the other
 * to end. */
Test(client_server, streams_in_both_directions)
{
    CLEANUP(free) char *data = xcalloc(1, BIG_SIZE);
    CLEANUP(str_done) struct str text = {};

    for (size_t i = 0; i < BIG_SIZE; i++)
        data[i] = (char)(i * 7 % 251);
    CLEANUP(stream_close) struct stream *body = stream_from_memory(data, BIG_SIZE);
    struct http_request request = { .method = "POST", .target = "/back", .body_stream = body };
    cr_expect_eq(ask(&request, &text), 200);
    cr_assert_eq(text.length, BIG_SIZE);
    cr_expect_eq(memcmp(text.data, data, BIG_SIZE), 0);
}

static ssize_t endless_read(struct stream *stream UNUSED, void *data, size_t size,
                            struct error *err UNUSED)
{
    memset(data, 'x', size);
    return (ssize_t)size;
}

Test(client_server, accepts_an_early_refusal)
{
    struct stream endless = { .read = endless_read };

    for (int i = 0; i < 3; i++) {
        CLEANUP(str_done) struct str text = {};
        struct http_request request = { .method = "POST",
                                        .target = "/refuse",
                                        .body_stream = &endless };

        cr_expect_eq(ask(&request, &text), 400);
        cr_expect_str_eq(str_text(&text), "no thanks");
    }
}

static void use_upgraded(void)
{
    CLEANUP(http_response_free) struct http_response *response = NULL;
    struct http_request request = { .method = "POST", .target = "/relay", .upgrade = true };
    CLEANUP(str_done) struct str text = {};
    struct error err = {};
    char block[64];
    ssize_t count;

    cr_assert_eq(http_client_send(client, &request, &response, &err), 0, "%s", err.text);
    cr_assert_eq(http_response_status(response), 101);
    CLEANUP(http_connection_close)
    struct http_connection *connection = http_response_take_connection(response);
    cr_assert_not_null(connection);
    cr_assert_eq(http_connection_write(connection, "abc", 3, &err), 0);
    cr_assert_eq(http_connection_shutdown_write(connection, &err), 0);
    while ((count = http_connection_read(connection, block, sizeof(block), &err)) > 0)
        str_add_bytes(&text, block, (size_t)count);
    cr_expect_eq(count, 0, "%s", err.text);
    cr_expect_str_eq(str_text(&text), "hiabc!");
}

Test(client_server, upgrades_and_ends_each_direction_alone)
{
    use_upgraded();
}

Test(client_server, has_no_connection_to_take_after_an_ordinary_answer)
{
    CLEANUP(http_response_free) struct http_response *response = NULL;
    struct http_request request = { .method = "POST", .target = "/a", .upgrade = true };

    cr_assert_eq(http_client_send(client, &request, &response, NULL), 0);
    cr_expect_null(http_response_take_connection(response));
}

static const struct http_request bad_requests[] = {
    { .method = "GET", .target = "/a b" },
    { .method = "GET", .target = "/a\r\nX: y" },
    { .method = "GET ", .target = "/a" },
    { .method = "POST", .target = "/a", .content_type = "x\r\nY: z" },
};

Test(client_server, refuses_requests_that_would_say_something_else)
{
    for (size_t i = 0; i < COUNT(bad_requests); i++) {
        CLEANUP(http_response_free) struct http_response *response = NULL;
        struct error err = {};

        cr_expect_eq(http_client_send(client, &bad_requests[i], &response, &err), -1);
        cr_expect_eq(err.kind, ERROR_INVALID);
    }
}

/* ---- against a peer of bare bytes ---- */

/* clang-format off */
static const struct { const char *answer; int status; const char *body; } answers[] = {
    { "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",                                    200, "hi" },
    { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",          200, "hi" },
    { "HTTP/1.1 200 OK\r\n\r\nuntil the end",                                              200, "until the end" },
    { "HTTP/1.0 200 OK\r\n\r\nuntil the end",                                              200, "until the end" },
    { "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nA: b\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", 404, "" },
    { "HTTP/1.1 204 No Content\r\n\r\n",                                                   204, "" },
    { "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n",                            304, "" },
    { "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",                                         200, "" },
    { "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi",                                    200, NULL },
    { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n",                   200, NULL },
    { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhi\r\n",                  200, NULL },
    { "HTTP/1.1 200 OK\r\nContent-Le",                                                     -1,  NULL },
    { "",                                                                                  -1,  NULL },
    { "SSH-2.0-x\r\n\r\n",                                                                 -1,  NULL },
    { "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi!",              -1,  NULL },
};
/* clang-format on */

struct peer {
    int listen_fd;
    const char *answer;
};

/* Answers each connection with the same bytes, whatever was asked. */
static void *run_peer(void *data)
{
    struct peer *peer = data;
    char block[4096];
    int fd = accept(peer->listen_fd, NULL, NULL);

    if (recv(fd, block, sizeof(block), 0) > 0)
        send(fd, peer->answer, strlen(peer->answer), MSG_NOSIGNAL);
    close(fd);
    return NULL;
}

Test(client_server, reads_what_servers_answer)
{
    CLEANUP(free) char *path = path_join(directory, "peer");
    CLEANUP(free) char *url = xasprintf("unix://%s", path);
    struct error err = {};
    struct peer peer;

    http_client_free(client);
    connect_client(url, NULL);
    cr_assert_eq(http_listen_unix(path, NULL, &peer.listen_fd, &err), 0, "%s", err.text);
    for (size_t i = 0; i < COUNT(answers); i++) {
        CLEANUP(http_response_free) struct http_response *response = NULL;
        struct http_request request = { .method = "POST", .target = "/a" };
        CLEANUP(str_done) struct str text = {};
        pthread_t thread;

        peer.answer = answers[i].answer;
        thread_start("peer", run_peer, &peer, &thread, &err);
        int sent = http_client_send(client, &request, &response, &err);
        cr_expect_eq(sent < 0 ? -1 : http_response_status(response), answers[i].status, "%s: %s",
                     answers[i].answer, err.text);
        if (sent == 0) {
            int read = http_response_read_all(response, 1000, &text, &err);

            cr_expect_eq(read, answers[i].body ? 0 : -1, "%s", answers[i].answer);
            cr_expect_str_eq(read == 0 ? str_text(&text) : "", answers[i].body ?: "");
        }
        pthread_join(thread, NULL);
    }
    close(peer.listen_fd);
}

Test(client_server, survives_a_server_that_closed_the_idle_connection)
{
    CLEANUP(free) char *path = path_join(directory, "sock");
    CLEANUP(str_done) struct str first = {}, second = {};
    struct http_request request = { .method = "POST", .target = "/a" };
    struct error err = {};
    int fd;

    cr_expect_eq(ask(&request, &first), 200);
    http_server_stop(server, 5000);
    server = http_server_new(NULL, handle, NULL);
    cr_assert_eq(http_listen_unix(path, NULL, &fd, &err), 0, "%s", err.text);
    cr_assert_eq(http_server_listen(server, fd, NULL, &err), 0, "%s", err.text);
    cr_expect_eq(ask(&request, &second), 200);
}

Test(client_server, says_that_nobody_is_there)
{
    CLEANUP(http_response_free) struct http_response *response = NULL;
    struct http_request request = { .method = "GET", .target = "/a" };
    struct error err = {};

    http_client_free(client);
    connect_client("unix:///nonexistent/sock", NULL);
    cr_expect_eq(http_client_send(client, &request, &response, &err), -1);
    cr_expect_eq(err.kind, ERROR_UNAVAILABLE);
}

/* A stand-in for ssh that checks how it is called and connects its stdio to the server. */
Test(client_server, speaks_through_ssh)
{
    CLEANUP(free) char *program = path_join(directory, "ssh");
    CLEANUP(free)
    char *script = xasprintf("#!/bin/sh\n[ \"$*\" = '-o ConnectTimeout=30 -T -l me -p 22 -- host "
                             "docker system dial-stdio' ] || exit 1\n"
                             "printf 'HTTP/1.1 200 OK\\r\\nContent-Length: 3\\r\\n\\r\\nssh'\n");
    struct http_request request = { .method = "GET", .target = "/a" };
    CLEANUP(str_done) struct str text = {};
    struct error err = {};

    cr_assert_eq(file_write_atomic(program, script, strlen(script), 0755, false, &err), 0, "%s",
                 err.text);
    setenv("PATH", directory, 1);
    http_client_free(client);
    connect_client("ssh://me@host:22", NULL);
    cr_expect_eq(ask(&request, &text), 200);
    cr_expect_str_eq(str_text(&text), "ssh");
}
