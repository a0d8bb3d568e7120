/* A bounded load on an HTTP server of this host: http_load PORT PATH CONNECTIONS REQUESTS
 * [HEADER...]
 *
 * CONNECTIONS kept alive, one thread, REQUESTS in all; prints "requests seconds bytes". Every
 * answer must be 200 with a Content-Length; anything else ends it with an error. */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/macros.h"
#include "base/memory.h"
#include "base/str.h"

enum { CONNECTION_LIMIT = 256, HEAD_SIZE = 8192, BLOCK_SIZE = 256 * 1024 };

struct visitor {
    int fd;
    char head[HEAD_SIZE];
    size_t head_size;
    uint64_t body_left;
    bool is_in_body;
};

static struct str request;
static uint64_t to_send, to_receive, bytes;

static void fail(const char *what)
{
    fprintf(stderr, "http_load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void send_request(struct visitor *visitor)
{
    if (to_send == 0)
        return;
    to_send--;
    if (send(visitor->fd, request.data, request.length, MSG_NOSIGNAL) != (ssize_t)request.length)
        fail("send");
}

static void end_answer(struct visitor *visitor)
{
    visitor->head_size = 0;
    visitor->is_in_body = false;
    to_receive--;
    send_request(visitor);
}

/* Collects the head in its own buffer; what follows it is body. */
static void take_head(struct visitor *visitor, const char *data, size_t size)
{
    size_t room = HEAD_SIZE - 1 - visitor->head_size, part = size < room ? size : room;

    memcpy(visitor->head + visitor->head_size, data, part);
    visitor->head_size += part;
    visitor->head[visitor->head_size] = 0;
    char *end = strstr(visitor->head, "\r\n\r\n");
    if (!end) {
        if (part < size)
            fail("head too large");
        return;
    }
    const char *length = strcasestr(visitor->head, "\r\nContent-Length: ");
    if (strncmp(visitor->head, "HTTP/1.1 200 ", 13) != 0 || !length || length > end) {
        fprintf(stderr, "%.200s\n", visitor->head);
        fail("answer");
    }
    size_t head_size = (size_t)(end + 4 - visitor->head), extra = visitor->head_size - head_size;
    extra += size - part;
    visitor->body_left = strtoull(length + 18, NULL, 10);
    bytes += visitor->body_left;
    if (extra > visitor->body_left)
        fail("more than was asked for");
    visitor->body_left -= extra;
    visitor->is_in_body = true;
    if (visitor->body_left == 0)
        end_answer(visitor);
}

static void receive(struct visitor *visitor, char *block)
{
    ssize_t count = recv(visitor->fd, block, BLOCK_SIZE, 0);

    if (count <= 0)
        fail("receive");
    if (!visitor->is_in_body) {
        take_head(visitor, block, (size_t)count);
        return;
    }
    if ((uint64_t)count > visitor->body_left)
        fail("more than was asked for");
    visitor->body_left -= (uint64_t)count;
    if (visitor->body_left == 0)
        end_answer(visitor);
}

static void open_visitor(struct visitor *visitor, int port, int epoll_fd)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = visitor };

    visitor->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (visitor->fd < 0 || connect(visitor->fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        fail("connect");
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, visitor->fd, &event) < 0)
        fail("epoll");
}

int main(int argc, char **argv)
{
    struct epoll_event events[CONNECTION_LIMIT];

    if (argc < 5) {
        fprintf(stderr, "usage: http_load PORT PATH CONNECTIONS REQUESTS [HEADER...]\n");
        return 2;
    }
    long count = strtol(argv[3], NULL, 10);
    uint64_t total = strtoull(argv[4], NULL, 10);
    if (count < 1 || count > CONNECTION_LIMIT)
        fail("connections");
    str_add_format(&request, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%s\r\n", argv[2], argv[1]);
    for (int i = 5; i < argc; i++)
        str_add_format(&request, "%s\r\n", argv[i]);
    str_add(&request, "\r\n");

    struct visitor *visitors = xcalloc((size_t)count, sizeof(*visitors));
    char *block = xmalloc(BLOCK_SIZE);
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    for (long i = 0; i < count; i++)
        open_visitor(&visitors[i], (int)strtol(argv[1], NULL, 10), epoll_fd);
    to_send = to_receive = total;
    uint64_t start = clock_monotonic_ns();
    for (long i = 0; i < count; i++)
        send_request(&visitors[i]);
    while (to_receive > 0) {
        int ready = epoll_wait(epoll_fd, events, CONNECTION_LIMIT, 30000);

        if (ready <= 0)
            fail("no answer");
        for (int i = 0; i < ready; i++)
            receive(events[i].data.ptr, block);
    }
    printf("%" PRIu64 " %.6f %" PRIu64 "\n", total,
           (double)(clock_monotonic_ns() - start) / (double)NS_PER_S, bytes);
    return 0;
}
