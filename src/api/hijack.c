/* Upgraded connections. */
#include "api/hijack.h"

#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "api/frame.h"
#include "api/status.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/strv.h"
#include "base/text.h"
#include "base/thread.h"
#include "http/websocket.h"

#include "base/banned.h"

enum { HEAD_READ_LIMIT_MS = 500, HEAD_READ_STEP_US = 50 };
enum { RELAY_SIZE = 16 * 1024, LINGER_MS = 2000, CLOSE_NORMAL = 1000, CLOSE_PROTOCOL_ERROR = 1002 };

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

/* Clients that read the head of an answer through a buffer lose what comes together with it
 * (Docker's Python SDK does), and a command may answer before they have looked. So nothing follows
 * the head until it was taken out of the socket, which the kernel tells for local sockets; whoever
 * does not read at all is not waited for long. */
static void wait_until_read(int fd)
{
    int unread = 0;

    for (int waited_us = 0; waited_us < HEAD_READ_LIMIT_MS * 1000; waited_us += HEAD_READ_STEP_US) {
        if (ioctl(fd, SIOCOUTQ, &unread) < 0 || unread == 0)
            return;
        usleep(HEAD_READ_STEP_US);
    }
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
        wait_until_read(hijack.fd);
    } else if (split(&hijack, err) < 0) {
        return -1;
    }
    *out = hijack;
    hijack = (struct hijack){ .fd = -1, .near_fd = -1 };
    return 0;
}

/* "Connection: keep-alive, Upgrade" */
static bool has_word(const char *list, const char *word)
{
    CLEANUP(strv_done) struct strv words = {};

    strv_split(&words, list ? list : "", ',');
    for (size_t i = 0; i < words.count; i++)
        if (strcasecmp(words.items[i] + strspn(words.items[i], " \t"), word) == 0)
            return true;
    return false;
}

/* Of several protocols the first is as good as any: all are the same bytes. */
static char *first_protocol(const char *list)
{
    size_t start = strspn(list, " \t");

    return xstrndup(list + start, strcspn(list + start, ", \t"));
}

int hijack_begin_websocket(struct request *req, struct hijack *out, struct error *err)
{
    CLEANUP(str_done) struct str head = {};
    CLEANUP(hijack_done) struct hijack hijack = { .fd = -1, .near_fd = -1, .is_websocket = true };
    const char *key = http_header(req->exchange, "Sec-WebSocket-Key");
    const char *version = http_header(req->exchange, "Sec-WebSocket-Version");
    const char *protocols = http_header(req->exchange, "Sec-WebSocket-Protocol");
    char accept[WEBSOCKET_ACCEPT_SIZE];

    if (!has_word(http_header(req->exchange, "Upgrade"), "websocket") ||
        !has_word(http_header(req->exchange, "Connection"), "upgrade"))
        return error_set(err, ERROR_INVALID, "not websocket protocol");
    if (text_is_empty(key))
        return error_set(err, ERROR_INVALID, "mismatch challenge/response");
    if (!version || strcmp(version, WEBSOCKET_VERSION) != 0)
        return error_set(err, ERROR_INVALID, "missing or bad WebSocket Version");
    websocket_accept(key, accept);
    str_add_format(&head,
                   "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                   "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n",
                   accept);
    if (!text_is_empty(protocols)) {
        CLEANUP(free) char *protocol = first_protocol(protocols);

        str_add_format(&head, "Sec-WebSocket-Protocol: %s\r\n", protocol);
    }
    str_add(&head, "\r\n");
    hijack.is_text = req->version < API_VERSION(28);
    if (split(&hijack, err) < 0 ||
        http_hijack(req->exchange, str_text(&head), &hijack.connection, err) < 0)
        return -1;
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
    bool is_websocket, is_text;
    struct mutex lock; /* of writing: answers to control frames come from the other thread */
    bool is_closed;    /* our close frame was sent: nothing follows it */
    struct websocket_reader reader;
    int near_fd;
    int output_ended_fd; /* eventfd */
    int end_fd;          /* epoll over that and the end of the server */
    pthread_t output;
};

static int send_message(struct relay *relay, enum websocket_opcode opcode, const void *data,
                        size_t size, struct error *err)
{
    CLEANUP(buf_done) struct buf message = {};
    uint8_t head[WEBSOCKET_HEAD_SIZE];
    int result = -1;

    buf_add(&message, head, websocket_head(opcode, size, head));
    buf_add(&message, data, size);
    mutex_lock(&relay->lock);
    if (!relay->is_closed)
        result = http_connection_write(relay->connection, buf_bytes(&message), message.size, err);
    relay->is_closed |= opcode == WEBSOCKET_CLOSE;
    mutex_unlock(&relay->lock);
    return result;
}

static int send_output(struct relay *relay, const char *block, size_t size, struct error *err)
{
    if (!relay->is_websocket)
        return http_connection_write(relay->connection, block, size, err);
    return send_message(relay, relay->is_text ? WEBSOCKET_TEXT : WEBSOCKET_BINARY, block, size,
                        err);
}

static void send_close(struct relay *relay, unsigned code)
{
    const uint8_t bytes[] = { (uint8_t)(code >> 8), (uint8_t)code };
    struct error ignored;

    if (relay->is_websocket)
        send_message(relay, WEBSOCKET_CLOSE, bytes, sizeof(bytes), &ignored);
}

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
        if (size <= 0 || send_output(relay, block, (size_t)size, &ignored) < 0)
            break;
    }
    send_close(relay, CLOSE_NORMAL);
    http_connection_shutdown_write(relay->connection, &ignored);
    free(block);
    eventfd_write(relay->output_ended_fd, 1);
    return NULL;
}

/* False when the client says that it leaves. */
static bool take_control(struct relay *relay, const struct websocket_part *part)
{
    struct error ignored;

    if (part->opcode == WEBSOCKET_PING)
        send_message(relay, WEBSOCKET_PONG, part->data, part->size, &ignored);
    if (part->opcode != WEBSOCKET_CLOSE)
        return true;
    send_close(relay, CLOSE_NORMAL);
    return false;
}

/* Frames into bytes. False when there is no more to come. */
static bool take_frames(struct relay *relay, uint8_t *bytes, size_t size)
{
    struct websocket_part part;
    struct error ignored;

    for (size_t at = 0, used;; at += used) {
        if (websocket_read(&relay->reader, bytes + at, size - at, &used, &part, &ignored) < 0) {
            send_close(relay, CLOSE_PROTOCOL_ERROR);
            return false;
        }
        if (part.event == WEBSOCKET_NOTHING)
            return true;
        if (part.event == WEBSOCKET_CONTROL
                ? !take_control(relay, &part)
                : fd_write_all(relay->near_fd, part.data, part.size, &ignored) < 0)
            return false;
    }
}

/* One block from the client to the container. False when there is no more to come. */
static bool relay_block(struct relay *relay, char *block)
{
    struct error ignored;
    ssize_t size = http_connection_read(relay->connection, block, RELAY_SIZE, &ignored);

    if (size < 0) /* Broken, not merely half-closed: nobody takes output either. */
        shutdown(relay->near_fd, SHUT_RDWR);
    if (size > 0 && relay->is_websocket) {
        bool goes_on = take_frames(relay, (uint8_t *)block, (size_t)size);

        if (!goes_on) /* There is no half-closing: who closes wants no output either. */
            shutdown(relay->near_fd, SHUT_RDWR);
        return goes_on;
    }
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

static void relay_free(struct relay *relay)
{
    close_cleanup(&relay->output_ended_fd);
    close_cleanup(&relay->end_fd);
    mutex_done(&relay->lock);
    free(relay);
}

static void watch(int epoll_fd, int fd)
{
    struct epoll_event event = { .events = EPOLLIN };

    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

int hijack_relay_begin(struct request *req, const struct hijack *hijack, struct relay **out,
                       struct error *err)
{
    struct relay *relay = NULL;

    *out = NULL;
    if (hijack->near_fd < 0)
        return 0;
    relay = NEW(struct relay);
    *relay = (struct relay){ .connection = hijack->connection,
                             .near_fd = hijack->near_fd,
                             .is_websocket = hijack->is_websocket,
                             .is_text = hijack->is_text };
    mutex_init(&relay->lock);
    relay->output_ended_fd = eventfd(0, EFD_CLOEXEC);
    relay->end_fd = epoll_create1(EPOLL_CLOEXEC);
    if (relay->output_ended_fd < 0 || relay->end_fd < 0) {
        error_sys(err, "relay a connection");
        relay_free(relay);
        return -1;
    }
    watch(relay->end_fd, relay->output_ended_fd);
    watch(relay->end_fd, http_cancel_fd(req->exchange));
    if (thread_start("relay", relay_output, relay, &relay->output, err) < 0) {
        relay_free(relay);
        return -1;
    }
    *out = relay;
    return 0;
}

/* A client answers the end with its own, which must not meet a closed connection. */
static void linger(struct relay *relay)
{
    uint64_t end_ns = clock_monotonic_ns() + LINGER_MS * NS_PER_MS, now_ns;
    char block[256];
    struct error ignored;

    while ((now_ns = clock_monotonic_ns()) < end_ns &&
           http_connection_wait(relay->connection, (int)((end_ns - now_ns) / NS_PER_MS) + 1, -1,
                                &ignored) > 0 &&
           http_connection_read(relay->connection, block, sizeof(block), &ignored) > 0)
        continue;
}

void hijack_relay_end(struct relay *relay)
{
    if (!relay)
        return;
    relay_input(relay);
    wait_for_end(relay);
    pthread_join(relay->output, NULL);
    if (relay->is_websocket)
        linger(relay);
    relay_free(relay);
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
