/* A client brings its build context up to date (berth's own).
 *
 *   POST /build/contexts?key=<text>[&all=1]
 *     101. The client sends "<size of the manifest> <size of the Dockerfile>\n" and both; the
 * answer is "missing <count>\n" and so many lines, the numbers of the manifest's entries whose
 * content is wanted, ascending. The client sends that content, one behind the other, each as long
 * as its entry says; the answer is "context <id>\n", which the parameter "context" of /build names
 * (its body is then the Dockerfile). Instead of an answer: "error <text>\n", and the end. The
 * context is kept for the next time when the client closes.
 */
#include <stdio.h>
#include <string.h>

#include "api/hijack.h"
#include "api/routes.h"
#include "base/memory.h"
#include "base/text.h"
#include "engine/build.h"

#include "base/banned.h"

#define LINE_LIMIT       64
#define DOCKERFILE_LIMIT ((size_t)16 << 20)

#define UPGRADED                                                                                   \
    "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/octet-stream\r\n"                          \
    "Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n"

/* The connection as the builder reads it: an end, or the server's, is an error to it. */
struct arriving {
    struct stream stream;
    struct http_connection *connection;
    int cancel_fd;
};

static ssize_t arriving_read(struct stream *stream, void *data, size_t size, struct error *err)
{
    struct arriving *arriving = CONTAINER_OF(stream, struct arriving, stream);
    int ready = http_connection_wait(arriving->connection, -1, arriving->cancel_fd, err);

    if (ready == 0)
        return error_set(err, ERROR_CANCELLED, "the engine stops");
    return ready < 0 ? -1 : http_connection_read(arriving->connection, data, size, err);
}

static int read_exactly(struct stream *from, char *out, size_t size, struct error *err)
{
    for (size_t at = 0; at < size;) {
        ssize_t count = stream_read(from, out + at, size - at, err);

        if (count < 0)
            return -1;
        if (count == 0)
            return error_set(err, ERROR_INVALID, "the client ended early");
        at += (size_t)count;
    }
    return 0;
}

static int read_line(struct stream *from, char out[LINE_LIMIT], struct error *err)
{
    for (size_t at = 0; at < LINE_LIMIT; at++) {
        if (read_exactly(from, out + at, 1, err) < 0)
            return -1;
        if (out[at] == '\n') {
            out[at] = 0;
            return 0;
        }
    }
    return error_set(err, ERROR_INVALID, "the line is too long");
}

static int read_sizes(struct stream *from, int64_t *manifest_size, int64_t *dockerfile_size,
                      struct error *err)
{
    CLEANUP(strv_done) struct strv words = {};
    char line[LINE_LIMIT];

    if (read_line(from, line, err) < 0)
        return -1;
    strv_split(&words, line, ' ');
    if (words.count != 2)
        return error_set(err, ERROR_INVALID, "two sizes are expected");
    return parse_int64(words.items[0], 0, CONTEXT_MANIFEST_SIZE_LIMIT, manifest_size, err) < 0 ||
                   parse_int64(words.items[1], 0, DOCKERFILE_LIMIT, dockerfile_size, err) < 0
               ? -1
               : 0;
}

static int begin(struct request *req, struct stream *from, struct context_sync **out,
                 struct error *err)
{
    CLEANUP(context_manifest_done) struct context_manifest manifest = {};
    CLEANUP(free) char *dockerfile = NULL;
    int64_t manifest_size, dockerfile_size;

    if (read_sizes(from, &manifest_size, &dockerfile_size, err) < 0)
        return -1;
    char *text = xcalloc((size_t)manifest_size + 1, 1);
    if (read_exactly(from, text, (size_t)manifest_size, err) < 0) {
        free(text);
        return -1;
    }
    if (context_manifest_read(text, (size_t)manifest_size, &manifest, err) < 0)
        return -1;
    dockerfile = xcalloc((size_t)dockerfile_size + 1, 1);
    if (read_exactly(from, dockerfile, (size_t)dockerfile_size, err) < 0)
        return -1;
    const struct context_offer offer = { request_query(req, "key"), &manifest, dockerfile,
                                         request_query_bool(req, "all") };
    return engine_context_begin(req->engine, &offer, out, err);
}

static int say(struct http_connection *connection, const struct str *text, struct error *err)
{
    return http_connection_write(connection, text->data, text->length, err);
}

static int tell_missing(struct http_connection *connection, const struct context_sync *sync,
                        struct error *err)
{
    CLEANUP(str_done) struct str text = {};
    size_t count;
    const size_t *missing = context_sync_missing(sync, &count);

    str_add_format(&text, "missing %zu\n", count);
    for (size_t i = 0; i < count; i++)
        str_add_format(&text, "%zu\n", missing[i]);
    return say(connection, &text, err);
}

static int serve(struct request *req, struct arriving *arriving, struct context_sync **out,
                 struct error *err)
{
    CLEANUP(str_done) struct str text = {};

    if (begin(req, &arriving->stream, out, err) < 0 ||
        tell_missing(arriving->connection, *out, err) < 0 ||
        context_sync_receive(*out, &arriving->stream, err) < 0)
        return -1;
    str_add_format(&text, "context %s\n", context_sync_id(*out));
    return say(arriving->connection, &text, err);
}

static void tell_error(struct http_connection *connection, const struct error *why)
{
    CLEANUP(str_done) struct str text = {};
    struct error ignored;

    str_add_format(&text, "error %s\n", why->text);
    say(connection, &text, &ignored);
    http_connection_shutdown_write(connection, &ignored);
}

/* Until the client goes, or the server stops. */
static void wait_for_end(struct arriving *arriving)
{
    struct error ignored;
    char block[256];

    while (stream_read(&arriving->stream, block, sizeof(block), &ignored) > 0)
        continue;
}

int api_build_context(struct request *req, struct error *err)
{
    CLEANUP(http_connection_close) struct http_connection *connection = NULL;
    struct context_sync *sync = NULL;
    struct error why = {};

    if (!hijack_is_upgrade(req))
        return error_set(err, ERROR_INVALID, "a build context needs an upgraded connection");
    if (text_is_empty(request_query(req, "key")))
        return error_set(err, ERROR_INVALID, "a build context needs a key");
    if (http_hijack(req->exchange, UPGRADED, &connection, err) < 0)
        return -1;
    struct arriving arriving = { { .read = arriving_read },
                                 connection,
                                 http_cancel_fd(req->exchange) };
    if (serve(req, &arriving, &sync, &why) < 0)
        tell_error(connection, &why);
    else
        wait_for_end(&arriving);
    if (sync)
        context_sync_end(sync);
    return 0;
}
