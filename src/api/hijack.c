/* Upgraded connections. */
#include "api/hijack.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "api/frame.h"
#include "api/status.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/thread.h"

#include "base/banned.h"

enum { RELAY_SIZE = 16 * 1024 };

bool hijack_is_upgrade(const struct request *req)
{
    return http_header(req->exchange, "Upgrade") != NULL;
}

static int split(struct hijack *hijack, struct error *err)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return error_sys(err, "create a socket pair");
    hijack->near_fd = pair[0];
    hijack->fd = pair[1];
    return 0;
}

int hijack_begin(struct request *req, const char *content_type, const char *extra_headers,
                 struct hijack *out, struct error *err)
{
    CLEANUP(str_done) struct str head = {};
    CLEANUP(hijack_done) struct hijack hijack = { .fd = -1, .near_fd = -1 };

    if (hijack_is_upgrade(req))
        str_add_format(&head,
                       "HTTP/1.1 101 UPGRADED\r\nContent-Type: %s\r\nConnection: Upgrade\r\n"
                       "Upgrade: tcp\r\n%s\r\n",
                       content_type, extra_headers);
    else
        str_add_format(&head, "HTTP/1.1 200 OK\r\nContent-Type: %s\r\n%s\r\n",
                       MEDIA_TYPE_RAW_STREAM, extra_headers);
    if (http_hijack(req->exchange, str_text(&head), &hijack.connection, err) < 0)
        return -1;
    if (http_connection_is_plain(hijack.connection)) {
        hijack.fd = http_connection_take_fd(hijack.connection, &hijack.pending,
                                            &hijack.pending_size);
        hijack.connection = NULL;
    } else if (split(&hijack, err) < 0) {
        return -1;
    }
    *out = hijack;
    hijack = (struct hijack){ .fd = -1, .near_fd = -1 };
    return 0;
}

int hijack_take_fd(struct hijack *hijack)
{
    return TAKE_FD(hijack->fd);
}

void hijack_done(struct hijack *hijack)
{
    if (hijack->fd >= 0)
        close(hijack->fd);
    if (hijack->near_fd >= 0)
        close(hijack->near_fd);
    http_connection_close(hijack->connection);
    free(hijack->pending);
    *hijack = (struct hijack){ .fd = -1, .near_fd = -1 };
}

/* ---- relay ---- */

struct relay {
    struct http_connection *connection;
    int near_fd;
    int output_ended_fd; /* eventfd */
    int end_fd;          /* epoll over that and the end of the server */
};

/* From the container to the client. Its end is the end of it all: nobody reads input any more. */
static void *relay_output(void *data)
{
    struct relay *relay = data;
    char *block = xmalloc(RELAY_SIZE);
    struct error ignored;

    for (;;) {
        ssize_t size = read(relay->near_fd, block, RELAY_SIZE);

        if (size < 0 && errno == EINTR)
            continue;
        if (size <= 0 ||
            http_connection_write(relay->connection, block, (size_t)size, &ignored) < 0)
            break;
    }
    http_connection_shutdown_write(relay->connection, &ignored);
    free(block);
    eventfd_write(relay->output_ended_fd, 1);
    return NULL;
}

/* One block from the client to the container. False when there is no more to come. */
static bool relay_block(struct relay *relay, char *block)
{
    struct error ignored;
    ssize_t size = http_connection_read(relay->connection, block, RELAY_SIZE, &ignored);

    if (size < 0) /* Broken, not merely half-closed: nobody takes output either. */
        shutdown(relay->near_fd, SHUT_RDWR);
    return size > 0 && fd_write_all(relay->near_fd, block, (size_t)size, &ignored) == 0;
}

static void relay_input(struct relay *relay)
{
    char *block = xmalloc(RELAY_SIZE);
    struct error ignored;

    while (http_connection_wait(relay->connection, -1, relay->end_fd, &ignored) > 0 &&
           relay_block(relay, block))
        continue;
    shutdown(relay->near_fd, SHUT_WR);
    free(block);
}

/* Output goes on when input has ended, until it ends too, the client is gone or the server stops.
 */
static void wait_for_end(struct relay *relay)
{
    struct pollfd end = { .fd = relay->end_fd, .events = POLLIN };

    while (poll(&end, 1, -1) < 0 && errno == EINTR)
        continue;
    shutdown(relay->near_fd, SHUT_RDWR);
}

static void watch(int epoll_fd, int fd)
{
    struct epoll_event event = { .events = EPOLLIN };

    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

void hijack_relay(struct request *req, struct hijack *hijack)
{
    struct relay relay = { .connection = hijack->connection, .near_fd = hijack->near_fd };
    pthread_t output;
    struct error err;

    if (hijack->near_fd < 0)
        return;

    CLEANUP(close) int output_ended_fd = eventfd(0, EFD_CLOEXEC);
    CLEANUP(close) int end_fd = epoll_create1(EPOLL_CLOEXEC);
    if (output_ended_fd < 0 || end_fd < 0)
        return;
    watch(end_fd, output_ended_fd);
    watch(end_fd, http_cancel_fd(req->exchange));
    relay.output_ended_fd = output_ended_fd;
    relay.end_fd = end_fd;
    if (thread_start("relay", relay_output, &relay, &output, &err) < 0)
        return;
    relay_input(&relay);
    wait_for_end(&relay);
    pthread_join(output, NULL);
}

/* ---- refusal ---- */

static const char *reason(int status)
{
    switch (status) {
    case 400:
        return "Bad Request";
    case 404:
        return "Not Found";
    case 409:
        return "Conflict";
    case 501:
        return "Not Implemented";
    default:
        return "Internal Server Error";
    }
}

void hijack_refuse(struct request *req, const struct error *failure)
{
    CLEANUP(http_connection_close) struct http_connection *connection = NULL;
    CLEANUP(free) char *head = NULL;
    CLEANUP(free) char *text = xasprintf("%s\r\n", failure->text);
    int status = http_status(failure->kind);
    struct error ignored;

    head = xasprintf("HTTP/1.1 %d %s\r\nContent-Type: %s\r\n\r\n", status, reason(status),
                     MEDIA_TYPE_RAW_STREAM);
    if (http_hijack(req->exchange, head, &connection, &ignored) < 0)
        return;
    http_connection_write(connection, text, strlen(text), &ignored);
    http_connection_shutdown_write(connection, &ignored);
}
