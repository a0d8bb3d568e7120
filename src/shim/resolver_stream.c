/* Questions by TCP: two bytes of size, then the message, one question at a time on each connection.
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/clock.h"
#include "base/memory.h"
#include "shim/resolver_state.h"

#include "base/banned.h"

enum { SILENCE_MS = 10000 };

struct connection {
    struct list link;
    struct resolver *resolver;
    struct source client;
    uint64_t expire_ns;
    bool is_waiting; /* for the answer to its question */
    uint8_t *rest;   /* of an answer that had no room */
    size_t rest_size, rest_at;
    size_t size; /* of what has come of a question */
    uint8_t bytes[RESOLVER_QUERY_LIMIT + 2];
};

static void connection_free(struct connection *connection)
{
    struct resolver *resolver = connection->resolver;

    forwards_drop(resolver, connection);
    list_remove(&connection->link);
    resolver->connection_count--;
    loop_close_source(&resolver->shim->loop, &connection->client);
    free(TAKE(connection->rest));
    loop_free(&resolver->shim->loop, connection);
}

static void touch(struct connection *connection)
{
    connection->expire_ns = clock_monotonic_ns() + SILENCE_MS * NS_PER_MS;
}

/* Serves what is whole in the buffer. */
static void serve(struct connection *connection)
{
    uint8_t query[RESOLVER_QUERY_LIMIT];
    struct asker asker = { .connection = connection };

    while (!connection->is_waiting && !connection->rest && connection->size >= 2) {
        size_t size = (size_t)(connection->bytes[0] << 8 | connection->bytes[1]);

        if (size < DNS_HEADER_SIZE || size > RESOLVER_QUERY_LIMIT) {
            connection_free(connection);
            return;
        }
        if (connection->size < size + 2)
            return;
        memcpy(query, connection->bytes + 2, size);
        connection->size -= size + 2;
        memmove(connection->bytes, connection->bytes + 2 + size, connection->size);
        connection->is_waiting = true;
        loop_watch(&connection->resolver->shim->loop, &connection->client, 0);
        resolver_serve(connection->resolver, &asker, query, size);
        if (connection->client.fd < 0) /* it went away over that */
            return;
    }
}

static void client_ready(struct source *source, uint32_t events)
{
    struct connection *connection = CONTAINER_OF(source, struct connection, client);
    ssize_t size;

    if (connection->rest) {
        size = send(source->fd, connection->rest + connection->rest_at,
                    connection->rest_size - connection->rest_at, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (size < 0 && errno != EAGAIN) {
            connection_free(connection);
            return;
        }
        connection->rest_at += (size_t)MAX(size, (ssize_t)0);
        if (connection->rest_at < connection->rest_size)
            return;
        free(TAKE(connection->rest));
        loop_watch(&connection->resolver->shim->loop, source, EPOLLIN);
        serve(connection);
        return;
    }
    if (connection->is_waiting) { /* only its end can be told now */
        if (events & (EPOLLHUP | EPOLLERR))
            connection_free(connection);
        return;
    }
    size = recv(source->fd, connection->bytes + connection->size,
                sizeof(connection->bytes) - connection->size, MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (size <= 0) {
        connection_free(connection);
        return;
    }
    connection->size += (size_t)size;
    touch(connection);
    serve(connection);
}

void streams_accept(struct source *source, uint32_t events UNUSED)
{
    struct resolver *resolver = CONTAINER_OF(source, struct resolver, tcp);
    int fd = accept4(source->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct connection *connection;

    if (fd < 0)
        return;
    if (resolver->connection_count >= RESOLVER_CONNECTION_LIMIT) /* the oldest makes room */
        connection_free(CONTAINER_OF(resolver->connections.next, struct connection, link));
    connection = NEW(struct connection);
    connection->resolver = resolver;
    connection->client = (struct source){ .fd = fd, .ready = client_ready };
    list_add(&resolver->connections, &connection->link);
    resolver->connection_count++;
    touch(connection);
    loop_watch(&resolver->shim->loop, &connection->client, EPOLLIN);
}

void stream_reply(struct resolver *resolver, struct connection *connection, const void *answer,
                  size_t size)
{
    size_t whole = MIN(size, (size_t)DNS_MESSAGE_SIZE);

    connection->is_waiting = false;
    connection->rest = xmalloc(whole + 2);
    connection->rest[0] = (uint8_t)(whole >> 8);
    connection->rest[1] = (uint8_t)whole;
    memcpy(connection->rest + 2, answer, whole);
    connection->rest_size = whole + 2;
    connection->rest_at = 0;
    touch(connection);
    loop_watch(&resolver->shim->loop, &connection->client, EPOLLOUT);
}

void streams_expire(struct resolver *resolver, uint64_t now_ns)
{
    LIST_EACH (&resolver->connections, struct connection, link, connection)
        if (now_ns >= connection->expire_ns)
            connection_free(connection);
}

uint64_t streams_deadline(const struct resolver *resolver)
{
    uint64_t nearest_ns = 0;

    LIST_EACH (&resolver->connections, struct connection, link, connection)
        if (nearest_ns == 0 || connection->expire_ns < nearest_ns)
            nearest_ns = connection->expire_ns;
    return nearest_ns;
}

void streams_drop(struct resolver *resolver)
{
    LIST_EACH (&resolver->connections, struct connection, link, connection)
        connection_free(connection);
}
