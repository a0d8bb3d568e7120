/* A whole connection: the input's first byte says how the rest is cut into pieces, which a client
 * sends to a server whose handler does with each request what its path asks for. */
#include <assert.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include "http/server.h"

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const char *text)
{
    for (; text && *text; text++)
        assert((unsigned char)*text >= ' ' || *text == '\t');
}

static void take_over(struct http_exchange *exchange)
{
    struct http_connection *connection = NULL;
    char block[256];
    ssize_t count;

    if (http_hijack(exchange, "HTTP/1.1 101 UPGRADED\r\n\r\n", &connection, NULL) < 0)
        return;
    while ((count = http_connection_read(connection, block, sizeof(block), NULL)) > 0)
        http_connection_write(connection, block, (size_t)count, NULL);
    http_connection_close(connection);
}

static void stream_back(struct http_exchange *exchange)
{
    char block[7];
    ssize_t count;

    http_reply_begin(exchange, 200, NULL, NULL);
    while ((count = http_read(exchange, block, sizeof(block), NULL)) > 0)
        http_reply_write(exchange, block, (size_t)count, NULL);
}

static void handle(struct http_exchange *exchange, void *data_unused UNUSED)
{
    const char *path = http_path(exchange);
    CLEANUP(buf_done) struct buf body = {};

    check_text(http_method(exchange));
    check_text(path);
    check_text(http_raw_query(exchange));
    check_text(http_header(exchange, "Host"));
    for (size_t i = 0; i < http_query_count(exchange, "a"); i++)
        assert(http_query_at(exchange, "a", i));
    switch (path[0] ? path[1] : 0) {
    case 'h':
        take_over(exchange);
        break;
    case 's':
        stream_back(exchange);
        break;
    case 'f':
        http_read_form(exchange, NULL);
        break;
    case 'i': /* leaves the body unread */
        http_reply(exchange, 404, "text/plain", "no", 2, NULL);
        break;
    default:
        http_read_all(exchange, 1000, &body, NULL);
        http_reply(exchange, 200, NULL, buf_bytes(&body), body.size, NULL);
    }
}

static void send_in_pieces(int fd, const uint8_t *data, size_t size, size_t piece)
{
    for (size_t sent = 0; sent < size; sent += piece)
        if (send(fd, data + sent, MIN(piece, size - sent), MSG_NOSIGNAL) < 0)
            return;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct http_limits limits = { .header_size = 2048, .drain_size = 64 };
    static struct http_server *server;
    char answer[4096];
    size_t heard = 0;
    ssize_t count;
    int fds[2];

    if (size < 1 || size > 64 * 1024)
        return 0;
    if (!server)
        server = http_server_new(&limits, handle, NULL);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0 ||
        http_server_adopt(server, fds[1], NULL) < 0)
        return 0;
    send_in_pieces(fds[0], data + 1, size - 1, data[0] ? (size_t)data[0] : size);
    shutdown(fds[0], SHUT_WR);
    while ((count = recv(fds[0], answer, sizeof(answer), 0)) > 0) {
        if (heard == 0)
            assert(memcmp(answer, "HTTP/1.1 ", MIN((size_t)count, 9)) == 0);
        heard += (size_t)count;
    }
    close(fds[0]);
    return 0;
}
