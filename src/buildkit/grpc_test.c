#include "buildkit/grpc.h"

#include <criterion/criterion.h>
#include <string.h>
#include <sys/socket.h>

#include "base/memory.h"
#include "base/thread.h"
#include "codec/base64.h"
#include "codec/protobuf.h"

static void put(struct buf *out, const char *text)
{
    buf_clear(out);
    buf_add(out, text, strlen(text));
}

/* Says each message twice. */
static int twice(struct grpc_call *call, void *data UNUSED, struct error *err)
{
    CLEANUP(buf_done) struct buf message = {};
    int found;

    while ((found = grpc_receive(call, &message, err)) > 0)
        if (grpc_send(call, &message, err) < 0 || grpc_send(call, &message, err) < 0)
            return -1;
    return found;
}

/* Tells a header. */
static int tell(struct grpc_call *call, void *data UNUSED, struct error *err)
{
    CLEANUP(buf_done) struct buf message = {};
    const char *value = grpc_metadata(call, "x-name");

    put(&message, value ? value : "nothing");
    return grpc_send(call, &message, err);
}

static int refuse(struct grpc_call *call, void *data UNUSED, struct error *err)
{
    grpc_add_detail(call, "a/b", "why", 3);
    return error_set(err, ERROR_NOT_FOUND, "100%% gone: \xc3\xa9\n");
}

static const struct grpc_method methods[] = {
    { "/a.B/Twice", twice }, { "/a.B/Tell", tell }, { "/a.B/Refuse", refuse }, {}
};

static void *serve(void *connection)
{
    grpc_serve(connection, methods, NULL, -1, NULL);
    return NULL;
}

static void *run(void *http2)
{
    http2_run(http2, -1);
    return NULL;
}

struct pair {
    struct http2 *client;
    pthread_t threads[2];
};

static void pair_begin(struct pair *pair)
{
    struct error err = {};
    int fds[2];

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    cr_assert_eq(http2_new(http_connection_new(fds[1]), NULL, NULL, &pair->client, &err), 0, "%s",
                 err.text);
    thread_start("server", serve, http_connection_new(fds[0]), &pair->threads[0], &err);
    thread_start("client", run, pair->client, &pair->threads[1], &err);
}

static void pair_end(struct pair *pair)
{
    http2_stop(pair->client);
    for (size_t i = 0; i < COUNT(pair->threads); i++)
        pthread_join(pair->threads[i], NULL);
    http2_unref(pair->client);
}

Test(grpc, carries_messages_both_ways, .timeout = 30)
{
    struct pair pair;
    CLEANUP(buf_done) struct buf message = {}, empty = {};
    struct grpc_call *call;
    struct error err = {};

    pair_begin(&pair);
    cr_assert_eq(grpc_call_new(pair.client, "/a.B/Twice", NULL, -1, &call, &err), 0, "%s",
                 err.text);
    put(&message, "hello");
    cr_assert_eq(grpc_send(call, &message, &err), 0);
    cr_assert_eq(grpc_send(call, &empty, &err), 0);
    cr_assert_eq(grpc_finish_sending(call, &err), 0);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(grpc_receive(call, &message, &err), 1, "%s", err.text);
        cr_expect_eq(message.size, 5);
    }
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(grpc_receive(call, &message, &err), 1, "%s", err.text);
        cr_expect_eq(message.size, 0);
    }
    cr_expect_eq(grpc_receive(call, &message, &err), 0, "%s", err.text);
    grpc_call_free(call);
    pair_end(&pair);
}

Test(grpc, brings_metadata, .timeout = 30)
{
    struct pair pair;
    CLEANUP(grpc_metadata_done) struct grpc_metadata metadata = {};
    CLEANUP(buf_done) struct buf message = {};
    struct grpc_call *call;
    struct error err = {};

    pair_begin(&pair);
    grpc_metadata_add(&metadata, "x-name", "value");
    cr_assert_eq(grpc_call_new(pair.client, "/a.B/Tell", &metadata, -1, &call, &err), 0);
    cr_assert_eq(grpc_receive(call, &message, &err), 1, "%s", err.text);
    cr_expect_eq(message.size, 5);
    cr_expect(memcmp(buf_bytes(&message), "value", 5) == 0);
    grpc_call_free(call);
    pair_end(&pair);
}

Test(grpc, tells_why_a_call_failed, .timeout = 30)
{
    struct pair pair;
    CLEANUP(buf_done) struct buf message = {};
    struct error err = {};

    pair_begin(&pair);
    cr_expect_lt(grpc_ask(pair.client, "/a.B/Refuse", &message, -1, &message, &err), 0);
    cr_expect_eq(err.kind, ERROR_NOT_FOUND);
    cr_expect_str_eq(err.text, "100% gone: \xc3\xa9\n");
    cr_expect_lt(grpc_ask(pair.client, "/a.B/Nothing", &message, -1, &message, &err), 0);
    cr_expect_eq(err.kind, ERROR_UNSUPPORTED);
    pair_end(&pair);
}
