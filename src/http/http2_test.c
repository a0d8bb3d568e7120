#include "http/http2.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/thread.h"

static const struct http2_header request[] = {
    { ":method", "POST" }, { ":scheme", "http" }, { ":path", "/echo" }, { ":authority", "x" }
};
static const struct http2_header answer[] = { { ":status", "200" } };

/* Says back what it hears; "/reset" goes away in the middle, "/wait" until the client does. */
static void echo(void *data, struct http2_stream *stream)
{
    const struct http2_header trailers[] = { { "x-end", "yes" } };
    const char *path = http2_header_get(stream, ":path");
    char block[4096];
    ssize_t count;

    http2_respond(stream, answer, COUNT(answer), NULL);
    if (strcmp(path, "/reset") == 0)
        return;
    if (strcmp(path, "/wait") == 0) {
        struct pollfd gone = { .fd = http2_cancel_fd(stream), .events = POLLIN };

        poll(&gone, 1, 10000);
        *(short *)data = gone.revents;
        return;
    }
    while ((count = http2_read(stream, block, sizeof(block), NULL)) > 0)
        http2_write(stream, block, (size_t)count, NULL);
    http2_end(stream, trailers, COUNT(trailers), NULL);
}

static void *run(void *http2)
{
    http2_run(http2, -1);
    return NULL;
}

/* Both ends of a connection, each with the thread that reads it. */
struct pair {
    struct http2 *server, *client;
    pthread_t threads[2];
    short noted;
};

static void pair_begin(struct pair *pair)
{
    struct error err = {};
    int fds[2];

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    cr_assert_eq(http2_new(http_connection_new(fds[0]), echo, &pair->noted, &pair->server, &err), 0,
                 "%s", err.text);
    cr_assert_eq(http2_new(http_connection_new(fds[1]), NULL, NULL, &pair->client, &err), 0, "%s",
                 err.text);
    cr_assert_eq(thread_start("server", run, pair->server, &pair->threads[0], &err), 0);
    cr_assert_eq(thread_start("client", run, pair->client, &pair->threads[1], &err), 0);
}

static void pair_end(struct pair *pair)
{
    http2_stop(pair->client);
    for (size_t i = 0; i < COUNT(pair->threads); i++)
        pthread_join(pair->threads[i], NULL);
    http2_unref(pair->server);
    http2_unref(pair->client);
}

static struct http2_stream *ask(struct pair *pair, const char *path)
{
    struct http2_header headers[COUNT(request)];
    struct http2_stream *stream;
    struct error err = {};

    memcpy(headers, request, sizeof(request));
    headers[2].value = path;
    cr_assert_eq(http2_request(pair->client, headers, COUNT(headers), &stream, &err), 0, "%s",
                 err.text);
    return stream;
}

static void *send_much(void *data)
{
    struct http2_stream *stream = data;
    char block[10000];

    memset(block, 'x', sizeof(block));
    for (size_t i = 0; i < 1000; i++)
        http2_write(stream, block, sizeof(block), NULL);
    http2_end(stream, NULL, 0, NULL);
    return NULL;
}

/* Ten times what any window holds. */
Test(http2, carries_more_than_a_window_both_ways, .timeout = 30)
{
    struct pair pair = {};
    char block[8192];
    size_t total = 0;
    ssize_t count;
    pthread_t sender;

    pair_begin(&pair);
    struct http2_stream *stream = ask(&pair, "/echo");
    thread_start("sender", send_much, stream, &sender, NULL);
    while ((count = http2_read(stream, block, sizeof(block), NULL)) > 0)
        total += (size_t)count;
    pthread_join(sender, NULL);
    cr_expect_eq(count, 0);
    cr_expect_eq(total, 10000000);
    cr_expect_str_eq(http2_header_get(stream, ":status"), "200");
    cr_expect_str_eq(http2_header_get(stream, "x-end"), "yes");
    http2_stream_free(stream);
    pair_end(&pair);
}

Test(http2, keeps_streams_apart, .timeout = 30)
{
    struct pair pair = {};
    struct http2_stream *streams[20];
    char block[64];

    pair_begin(&pair);
    for (size_t i = 0; i < COUNT(streams); i++) {
        streams[i] = ask(&pair, "/echo");
        snprintf(block, sizeof(block), "stream %zu", i);
        cr_assert_eq(http2_write(streams[i], block, strlen(block), NULL), 0);
    }
    for (size_t i = COUNT(streams); i-- > 0;) {
        char wanted[64];
        ssize_t count = http2_read(streams[i], block, sizeof(block), NULL);

        snprintf(wanted, sizeof(wanted), "stream %zu", i);
        cr_expect_eq(count, (ssize_t)strlen(wanted));
        cr_expect(memcmp(block, wanted, strlen(wanted)) == 0);
        http2_stream_free(streams[i]); /* not ended: reset */
    }
    pair_end(&pair);
}

Test(http2, tells_of_a_stream_that_was_reset, .timeout = 30)
{
    struct pair pair = {};
    struct error err = {};
    char byte;

    pair_begin(&pair);
    struct http2_stream *stream = ask(&pair, "/reset");
    cr_expect_lt(http2_read(stream, &byte, 1, &err), 0);
    cr_expect_eq(err.kind, ERROR_UNAVAILABLE);
    http2_stream_free(stream);

    struct http2_stream *left = ask(&pair, "/wait");
    cr_assert_eq(http2_wait_headers(left, &err), 0, "%s", err.text);
    http2_stream_free(left);
    pair_end(&pair);
    cr_expect(pair.noted & POLLIN, "the server must hear that the client went");
}

Test(http2, is_called_off, .timeout = 30)
{
    struct pair pair = {};
    struct error err = {};
    int cancel_fd = eventfd(1, EFD_CLOEXEC);
    char byte;

    pair_begin(&pair);
    struct http2_stream *stream = ask(&pair, "/echo");
    http2_set_cancel(stream, cancel_fd);
    cr_expect_lt(http2_read(stream, &byte, 1, &err), 0);
    cr_expect_eq(err.kind, ERROR_CANCELLED);
    http2_stream_free(stream);
    pair_end(&pair);
    close(cancel_fd);
}

/* Whoever waits when the connection ends does not wait for ever, nor can he ask again. */
Test(http2, ends_with_the_connection, .timeout = 30)
{
    struct pair pair = {};
    struct http2_stream *other;
    struct error err = {};
    char byte;

    pair_begin(&pair);
    struct http2_stream *stream = ask(&pair, "/wait");
    http2_stop(pair.server);
    cr_expect_lt(http2_read(stream, &byte, 1, &err), 0);
    http2_stream_free(stream);
    for (size_t i = 0; i < COUNT(pair.threads); i++)
        pthread_join(pair.threads[i], NULL);
    cr_expect_lt(http2_request(pair.client, request, COUNT(request), &other, &err), 0);
    cr_expect_eq(err.kind, ERROR_UNAVAILABLE);
    http2_unref(pair.server);
    http2_unref(pair.client);
}
