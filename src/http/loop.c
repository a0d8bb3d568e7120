/* The one thread that waits for newcomers and for heads of requests. It never blocks on a client:
 * heads are collected as their bytes come, and whatever may take time is given to a worker. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "http/head.h"
#include "http/server_state.h"

#include "base/banned.h"

enum {
    EVENT_COUNT = 64,
    ACCEPT_COUNT = 64,    /* newcomers of one listener before others get their turn */
    ACCEPT_REST_MS = 200, /* when there are no descriptors left */
};

void loop_wake(struct http_server *server)
{
    eventfd_write(server->wake_fd, 1);
}

static bool skip_empty_lines(struct http_connection *connection)
{
    struct buf *ahead = &connection->ahead;

    while (ahead->size >= 2 && memcmp(buf_bytes(ahead), "\r\n", 2) == 0)
        buf_consume(ahead, 2);
    if (ahead->size == 0)
        buf_done(ahead);
    return ahead->size > 0;
}

/* Where a method would begin; half an empty line may still become a whole one. */
static bool begins_alien(const struct http_connection *connection)
{
    const char first = (char)*buf_bytes(&connection->ahead);

    return first != '\r' && !http_is_token(first);
}

enum head_state visitor_receive(struct visitor *visitor)
{
    const struct http_limits *limits = &visitor->server->limits;
    struct http_connection *connection = visitor->connection;
    bool has_ended = false;

    if (visitor->is_late)
        return HEAD_LATE;
    for (;;) {
        if (visitor->scanned > 0 || skip_empty_lines(connection)) {
            visitor->head_size = http_head_size(buf_bytes(&connection->ahead),
                                                connection->ahead.size, &visitor->scanned);
            if (visitor->head_size > limits->header_size ||
                (!visitor->head_size && connection->ahead.size >= limits->header_size))
                return HEAD_TOO_LARGE;
            if (visitor->head_size)
                return HEAD_WHOLE;
            if (begins_alien(connection))
                return HEAD_ALIEN;
            if (!visitor->deadline_ns)
                visitor->deadline_ns = clock_monotonic_ns() +
                                       (uint64_t)limits->header_timeout_ms * NS_PER_MS;
        }
        if (has_ended)
            return HEAD_ENDED;
        size_t before = connection->ahead.size;
        has_ended = http_connection_fill(connection, limits->header_size, NULL) <= 0;
        if (!has_ended && connection->ahead.size == before)
            return HEAD_PARTIAL;
    }
}

/* ---- newcomers ---- */

static void rest_listeners(struct http_server *server, bool resting)
{
    mutex_lock(&server->lock);
    server->accept_after_ns = resting ? clock_monotonic_ns() + ACCEPT_REST_MS * (uint64_t)NS_PER_MS
                                      : 0;
    LIST_EACH (&server->listeners, struct listener, link, listener) {
        struct epoll_event event = { .events = resting ? 0 : EPOLLIN, .data.ptr = listener };

        epoll_ctl(server->epoll_fd, EPOLL_CTL_MOD, listener->fd, &event);
    }
    mutex_unlock(&server->lock);
}

static void welcome(struct http_server *server, int fd, struct tls_context *tls)
{
    struct visitor *visitor;

    if (visitor_new(server, fd, tls, &visitor, NULL) < 0)
        return;
    if (tls)
        worker_serve(visitor);
    else
        visitor_park(visitor);
}

static void accept_from(struct http_server *server, const struct listener *listener)
{
    for (int i = 0; i < ACCEPT_COUNT; i++) {
        int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC);

        if (fd >= 0) {
            welcome(server, fd, listener->tls);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            rest_listeners(server, true);
            return;
        } else if (errno == EINVAL) { /* listens no more */
            epoll_ctl(server->epoll_fd, EPOLL_CTL_DEL, listener->fd, NULL);
            return;
        } else if (errno == EAGAIN) {
            return;
        } /* else: the error of one connection that did not come about */
    }
}

/* ---- heads ---- */

static void activate(struct visitor *visitor)
{
    struct http_server *server = visitor->server;

    mutex_lock(&server->lock);
    list_remove(&visitor->link);
    list_add(&server->active, &visitor->link);
    mutex_unlock(&server->lock);
    worker_serve(visitor);
}

static void receive_from(struct visitor *visitor)
{
    /* Parking happens under this lock: what the worker wrote before is seen after it. */
    mutex_lock(&visitor->server->lock);
    mutex_unlock(&visitor->server->lock);
    switch (visitor_receive(visitor)) {
    case HEAD_PARTIAL:
        visitor_park(visitor);
        break;
    case HEAD_ENDED:
        visitor_free(visitor);
        break;
    default:
        activate(visitor);
    }
}

static struct visitor *next_late_locked(struct http_server *server, uint64_t now)
    REQUIRES(server->lock)
{
    struct visitor *first = CONTAINER_OF(server->heading.next, struct visitor, link);

    return list_is_empty(&server->heading) || first->deadline_ns > now ? NULL : first;
}

static void refuse_late(struct http_server *server)
{
    for (;;) {
        mutex_lock(&server->lock);
        struct visitor *visitor = next_late_locked(server, clock_monotonic_ns());
        mutex_unlock(&server->lock);
        if (!visitor)
            return;
        /* Removed, as an armed socket cannot be disarmed: hang-ups are reported in any case. */
        epoll_ctl(server->epoll_fd, EPOLL_CTL_DEL, visitor->fd, NULL);
        visitor->is_late = true;
        activate(visitor);
    }
}

/* ---- the loop ---- */

static int next_timeout_ms(struct http_server *server)
{
    uint64_t wake_ns = UINT64_MAX;
    uint64_t now = clock_monotonic_ns();

    mutex_lock(&server->lock);
    if (!list_is_empty(&server->heading))
        wake_ns = CONTAINER_OF(server->heading.next, struct visitor, link)->deadline_ns;
    if (server->accept_after_ns)
        wake_ns = MIN(wake_ns, server->accept_after_ns);
    mutex_unlock(&server->lock);
    if (wake_ns == UINT64_MAX)
        return -1;
    return wake_ns <= now ? 0 : (int)MIN((wake_ns - now) / NS_PER_MS + 1, (uint64_t)INT32_MAX);
}

static void handle(struct http_server *server, struct source *source)
{
    eventfd_t ignored;

    switch (source->kind) {
    case SOURCE_LISTENER:
        accept_from(server, CONTAINER_OF(source, struct listener, source));
        break;
    case SOURCE_VISITOR:
        receive_from(CONTAINER_OF(source, struct visitor, source));
        break;
    case SOURCE_WAKE:
        eventfd_read(server->wake_fd, &ignored);
        break;
    }
}

static bool is_rest_over(struct http_server *server)
{
    mutex_lock(&server->lock);
    bool is_over = server->accept_after_ns && clock_monotonic_ns() >= server->accept_after_ns;
    mutex_unlock(&server->lock);
    return is_over;
}

static bool is_stopping(struct http_server *server)
{
    mutex_lock(&server->lock);
    bool stopping = server->is_stopping;
    mutex_unlock(&server->lock);
    return stopping;
}

void *loop_run(void *data)
{
    struct http_server *server = data;
    struct epoll_event events[EVENT_COUNT];

    while (!is_stopping(server)) {
        int count = epoll_wait(server->epoll_fd, events, EVENT_COUNT, next_timeout_ms(server));

        for (int i = 0; i < count; i++)
            handle(server, events[i].data.ptr);
        refuse_late(server);
        if (is_rest_over(server))
            rest_listeners(server, false);
    }
    return NULL;
}
