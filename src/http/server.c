/* Life of the server and of its visitors; the loop and the workers do the rest. */
#include "http/server.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/memory.h"
#include "http/server_state.h"

#include "base/banned.h"

static const struct http_limits default_limits = {
    .header_size = 64 * 1024,
    .header_count = 100,
    .header_timeout_ms = 10 * 1000,
    .body_stall_ms = 60 * 1000,
    .write_stall_ms = 300 * 1000,
    .connection_count = 4096,
    .uid_connection_count = 2048,
    .drain_size = 256 * 1024,
};

enum {
    KEEPALIVE_IDLE_S = 30, /* then a silent TCP peer is asked whether it is there */
    KEEPALIVE_INTERVAL_S = 15,
    SHUT_WAIT_MS = 1000, /* for handlers to notice that their sockets were shut */
};

#define LIMIT(given, name) ((given) && (given)->name ? (given)->name : default_limits.name)

struct http_server *http_server_new(const struct http_limits *limits, http_handler handler,
                                    void *data)
{
    struct http_server *server = NEW(struct http_server);

    server->limits = (struct http_limits){
        .header_size = LIMIT(limits, header_size),
        .header_count = LIMIT(limits, header_count),
        .header_timeout_ms = LIMIT(limits, header_timeout_ms),
        .body_stall_ms = LIMIT(limits, body_stall_ms),
        .write_stall_ms = LIMIT(limits, write_stall_ms),
        .connection_count = LIMIT(limits, connection_count),
        .uid_connection_count = LIMIT(limits, uid_connection_count),
        .drain_size = LIMIT(limits, drain_size),
    };
    server->handler = handler;
    server->data = data;
    server->epoll_fd = server->wake_fd = server->stop_fd = -1;
    mutex_init(&server->lock);
    condition_init(&server->changed);
    condition_init(&server->work);
    mutex_lock(&server->lock);
    list_init(&server->listeners);
    list_init(&server->parked);
    list_init(&server->heading);
    list_init(&server->active);
    list_init(&server->jobs);
    mutex_unlock(&server->lock);
    return server;
}

static int start_locked(struct http_server *server, struct error *err) REQUIRES(server->lock)
{
    static struct source wake = { SOURCE_WAKE };
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = &wake };

    if (server->is_running)
        return 0;
    if (server->epoll_fd < 0)
        server->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (server->wake_fd < 0)
        server->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (server->stop_fd < 0)
        server->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (server->epoll_fd < 0 || server->wake_fd < 0 || server->stop_fd < 0)
        return error_sys(err, "start HTTP server");
    if (epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, server->wake_fd, &event) < 0 && errno != EEXIST)
        return error_sys(err, "start HTTP server");
    if (thread_start("http-loop", loop_run, server, &server->loop, err) < 0)
        return -1;
    server->is_running = true;
    return 0;
}

static int start(struct http_server *server, struct error *err)
{
    mutex_lock(&server->lock);
    int result = start_locked(server, err);
    mutex_unlock(&server->lock);
    return result;
}

static int listen_locked(struct http_server *server, struct listener *listener, struct error *err)
    REQUIRES(server->lock)
{
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = listener };

    if (epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, listener->fd, &event) < 0)
        return error_sys(err, "listen");
    list_add(&server->listeners, &listener->link);
    return 0;
}

int http_server_listen(struct http_server *server, int listen_fd, struct tls_context *tls,
                       struct error *err)
{
    CLEANUP(close) int fd = listen_fd;
    CLEANUP(free) struct listener *listener = NEW(struct listener);

    *listener = (struct listener){ { SOURCE_LISTENER }, {}, fd, tls };
    if (start(server, err) < 0)
        return -1;
    if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0)
        return error_sys(err, "listen");
    mutex_lock(&server->lock);
    int result = listen_locked(server, listener, err);
    mutex_unlock(&server->lock);
    if (result < 0)
        return -1;
    TAKE_FD(fd);
    TAKE(listener);
    return 0;
}

/* ---- visitors ---- */

static size_t *uid_counter_locked(struct http_server *server, int64_t uid) REQUIRES(server->lock)
{
    size_t free_index = server->uid_count;

    for (size_t i = 0; i < server->uid_count; i++) {
        if (server->uids[i].uid == uid)
            return &server->uids[i].count;
        if (server->uids[i].count == 0)
            free_index = i;
    }
    if (free_index == server->uid_count)
        server->uids = xrealloc(server->uids, ++server->uid_count, sizeof(*server->uids));
    server->uids[free_index] = (struct uid_count){ uid, 0 };
    return &server->uids[free_index].count;
}

static int admit_locked(struct http_server *server, struct visitor *visitor, struct error *err)
    REQUIRES(server->lock)
{
    if (server->is_stopping)
        return error_set(err, ERROR_UNAVAILABLE, "server stops");
    if (server->visitor_count >= server->limits.connection_count)
        return error_set(err, ERROR_UNAVAILABLE, "too many connections");
    if (visitor->uid >= 0) {
        size_t *count = uid_counter_locked(server, visitor->uid);

        if (*count >= server->limits.uid_connection_count)
            return error_set(err, ERROR_UNAVAILABLE, "too many connections of this user");
        ++*count;
    }
    server->visitor_count++;
    list_add(&server->active, &visitor->link);
    return 0;
}

static void set_tcp_options(int fd)
{
    int on = 1, idle = KEEPALIVE_IDLE_S, interval = KEEPALIVE_INTERVAL_S;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
}

static void look_at_peer(struct visitor *visitor)
{
    int domain = AF_UNSPEC;
    socklen_t size = sizeof(domain);
    struct ucred peer;

    visitor->uid = -1;
    getsockopt(visitor->fd, SOL_SOCKET, SO_DOMAIN, &domain, &size);
    visitor->is_unix = domain == AF_UNIX;
    size = sizeof(peer);
    if (!visitor->is_unix)
        set_tcp_options(visitor->fd);
    else if (getsockopt(visitor->fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0)
        visitor->uid = peer.uid;
}

int visitor_new(struct http_server *server, int fd, struct tls_context *tls, struct visitor **out,
                struct error *err)
{
    struct visitor *visitor = NEW(struct visitor);

    visitor->source.kind = SOURCE_VISITOR;
    visitor->server = server;
    visitor->tls = tls;
    visitor->is_shaking = tls != NULL;
    visitor->fd = fd;
    list_init(&visitor->job_link);
    look_at_peer(visitor);
    mutex_lock(&server->lock);
    int result = admit_locked(server, visitor, err);
    mutex_unlock(&server->lock);
    if (result < 0) {
        static const char answer[] =
            "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n"
            "Content-Type: text/plain; charset=utf-8\r\nContent-Length: 21\r\n\r\n"
            "too many connections\n";

        if (!tls)
            send(fd, answer, sizeof(answer) - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
        close(fd);
        free(visitor);
        return -1;
    }
    visitor->connection = http_connection_new(fd);
    *out = visitor;
    return 0;
}

void visitor_free(struct visitor *visitor)
{
    struct http_server *server = visitor->server;

    mutex_lock(&server->lock);
    list_remove(&visitor->link); /* before its descriptor's number may mean something else */
    server->visitor_count--;
    if (visitor->uid >= 0)
        --*uid_counter_locked(server, visitor->uid);
    mutex_unlock(&server->lock);
    http_connection_close(visitor->connection);
    free(visitor);
}

/* Keeps 'heading' in the order of deadlines; nearly always the place is at its end. */
static void add_heading_locked(struct http_server *server, struct visitor *visitor)
    REQUIRES(server->lock)
{
    struct list *before = server->heading.previous;

    while (before != &server->heading &&
           CONTAINER_OF(before, struct visitor, link)->deadline_ns > visitor->deadline_ns)
        before = before->previous;
    list_add(before->next, &visitor->link);
}

/* The lock is kept over the arming: afterwards the loop may serve the visitor at any moment. */
static bool park_locked(struct http_server *server, struct visitor *visitor) REQUIRES(server->lock)
{
    struct epoll_event event = { .events = EPOLLIN | EPOLLRDHUP | EPOLLONESHOT,
                                 .data.ptr = visitor };

    if (server->is_stopping)
        return false;
    list_remove(&visitor->link);
    if (visitor->deadline_ns)
        add_heading_locked(server, visitor);
    else
        list_add(&server->parked, &visitor->link);
    int operation = visitor->is_known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    visitor->is_known = true;
    return epoll_ctl(server->epoll_fd, operation, visitor->fd, &event) == 0;
}

void visitor_park(struct visitor *visitor)
{
    struct http_server *server = visitor->server;
    bool has_deadline = visitor->deadline_ns != 0;

    mutex_lock(&server->lock);
    bool is_parked = park_locked(server, visitor);
    mutex_unlock(&server->lock);
    if (!is_parked)
        visitor_free(visitor);
    else if (has_deadline && !pthread_equal(pthread_self(), server->loop))
        loop_wake(server);
}

int http_server_adopt(struct http_server *server, int fd, struct error *err)
{
    struct visitor *visitor;

    if (start(server, err) < 0) {
        close(fd);
        return -1;
    }
    if (visitor_new(server, fd, NULL, &visitor, err) < 0)
        return -1;
    visitor_park(visitor);
    return 0;
}

/* ---- the end ---- */

static void free_visitors(struct http_server *server, struct list *list)
{
    for (;;) {
        mutex_lock(&server->lock);
        struct visitor *visitor = list_is_empty(list)
                                      ? NULL
                                      : CONTAINER_OF(list->next, struct visitor, link);
        mutex_unlock(&server->lock);
        if (!visitor)
            return;
        visitor_free(visitor);
    }
}

static bool wait_for_workers_locked(struct http_server *server, int timeout_ms)
    REQUIRES(server->lock)
{
    uint64_t deadline = clock_monotonic_ns() + (uint64_t)timeout_ms * NS_PER_MS;

    while (server->thread_count > 0)
        if (!condition_wait_until(&server->changed, &server->lock, deadline))
            return server->thread_count == 0;
    return true;
}

static void shut_active_locked(struct http_server *server, bool only_shaking) REQUIRES(server->lock)
{
    LIST_EACH (&server->active, struct visitor, link, visitor)
        if (visitor->fd >= 0 && (!only_shaking || visitor->is_shaking))
            shutdown(visitor->fd, SHUT_RDWR);
}

static bool end_workers(struct http_server *server, int timeout_ms)
{
    mutex_lock(&server->lock);
    condition_broadcast(&server->work);
    shut_active_locked(server, true);
    bool ended = wait_for_workers_locked(server, timeout_ms);
    if (!ended) {
        shut_active_locked(server, false);
        ended = wait_for_workers_locked(server, SHUT_WAIT_MS);
    }
    mutex_unlock(&server->lock);
    return ended;
}

static void free_listeners(struct http_server *server)
{
    mutex_lock(&server->lock);
    LIST_EACH (&server->listeners, struct listener, link, listener) {
        list_remove(&listener->link);
        close(listener->fd);
        free(listener);
    }
    mutex_unlock(&server->lock);
}

bool http_server_stop(struct http_server *server, int timeout_ms)
{
    if (!server)
        return true;
    mutex_lock(&server->lock);
    bool was_running = server->is_running;
    server->is_stopping = true;
    mutex_unlock(&server->lock);
    if (was_running) {
        eventfd_write(server->stop_fd, 1);
        loop_wake(server);
        pthread_join(server->loop, NULL);
    }
    free_listeners(server);
    /* A handler that does not end keeps what it uses: better a leak at the end of a process. */
    if (!end_workers(server, timeout_ms))
        return false;
    free_visitors(server, &server->parked);
    free_visitors(server, &server->heading);
    close_cleanup(&server->epoll_fd);
    close_cleanup(&server->wake_fd);
    close_cleanup(&server->stop_fd);
    mutex_lock(&server->lock);
    free(server->uids);
    mutex_unlock(&server->lock);
    mutex_done(&server->lock);
    condition_done(&server->changed);
    condition_done(&server->work);
    free(server);
    return true;
}
