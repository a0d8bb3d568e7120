/* Questions to servers outside. Each has its own socket, so that the kernel draws its port, and its
 * own random id; servers are tried in their order. The host's servers are asked from the host's
 * network namespace, those that were given for the container from the container's. */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "shim/resolver_state.h"

#include "base/banned.h"

enum {
    ATTEMPT_MS = 1400, /* clients give up after five seconds */
    ATTEMPTS = 3,
    DNS_PORT = 53,
};

#define RESOLV_LIMIT ((size_t)1 << 20)
#define RESOLV_PATH  "/etc/resolv.conf"

struct forward {
    struct list link;
    struct resolver *resolver;
    struct source server;
    struct asker asker;
    struct dns_question question;
    uint16_t id; /* of ours */
    unsigned attempt;
    uint64_t expire_ns;
    uint8_t *answer; /* by TCP: what has come of it */
    size_t answer_size;
    size_t query_size;
    uint8_t query[]; /* two bytes of size in front, as TCP wants it */
};

/* ---- the servers ---- */

/* The host's file, as it is now. */
static void read_host_servers(struct resolver *resolver)
{
    CLEANUP(str_done) struct str text = {};
    struct stat stat_;

    if (stat(RESOLV_PATH, &stat_) < 0 || (stat_.st_mtim.tv_sec == resolver->host_changed.tv_sec &&
                                          stat_.st_mtim.tv_nsec == resolver->host_changed.tv_nsec))
        return;
    if (file_read(RESOLV_PATH, RESOLV_LIMIT, &text, NULL) < 0)
        return;
    strv_done(&resolver->host_servers);
    resolv_servers(str_text(&text), &resolver->host_servers);
    resolver->host_changed = stat_.st_mtim;
}

static const struct strv *servers_of(struct resolver *resolver)
{
    if (resolver->settings.servers.count)
        return &resolver->settings.servers;
    read_host_servers(resolver);
    return &resolver->host_servers;
}

static bool read_server(const char *text, struct sockaddr_storage *out, socklen_t *out_size)
{
    struct sockaddr_in *ipv4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *ipv6 = (struct sockaddr_in6 *)out;
    char address[INET6_ADDRSTRLEN] = "";
    size_t length = strcspn(text, "%"); /* fe80::1%eth0 */

    *out = (struct sockaddr_storage){};
    if (inet_pton(AF_INET, text, &ipv4->sin_addr) == 1) {
        ipv4->sin_family = AF_INET;
        ipv4->sin_port = htons(DNS_PORT);
        *out_size = sizeof(*ipv4);
        return true;
    }
    if (length >= sizeof(address))
        return false;
    memcpy(address, text, length);
    if (inet_pton(AF_INET6, address, &ipv6->sin6_addr) != 1)
        return false;
    ipv6->sin6_family = AF_INET6;
    ipv6->sin6_port = htons(DNS_PORT);
    ipv6->sin6_scope_id = text[length] ? if_nametoindex(text + length + 1) : 0;
    *out_size = sizeof(*ipv6);
    return true;
}

/* A supervisor that cannot come back to the host's namespace would ask from the wrong one. */
static int open_socket(const struct resolver *resolver, int family, int type, bool is_inside)
{
    int fd;

    if (is_inside && setns(resolver->namespace_fd, CLONE_NEWNET) < 0)
        return -1;
    fd = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (is_inside && setns(resolver->home_fd, CLONE_NEWNET) < 0)
        abort();
    return fd;
}

/* ---- one question ---- */

static void forward_free(struct forward *forward)
{
    struct resolver *resolver = forward->resolver;

    list_remove(&forward->link);
    resolver->forward_count--;
    loop_close_source(&resolver->shim->loop, &forward->server);
    free(TAKE(forward->answer));
    loop_free(&resolver->shim->loop, forward);
}

static void forward_give_up(struct forward *forward)
{
    struct asker asker = forward->asker;

    dns_set_id(forward->query + 2, forward->question.id);
    resolver_refuse(forward->resolver, &asker, forward->query + 2, &forward->question,
                    DNS_SERVER_FAILURE);
    forward_free(forward);
}

static bool is_stream(const struct forward *forward)
{
    return forward->asker.connection != NULL;
}

/* To the server whose turn it is. */
static bool send_query(struct forward *forward, const char *server)
{
    struct resolver *resolver = forward->resolver;
    bool is_inside = resolver->settings.servers.count > 0;
    struct sockaddr_storage address;
    socklen_t address_size;
    int type = is_stream(forward) ? SOCK_STREAM : SOCK_DGRAM;

    loop_close_source(&resolver->shim->loop, &forward->server);
    if (!read_server(server, &address, &address_size))
        return false;
    forward->server.fd = open_socket(resolver, address.ss_family, type, is_inside);
    if (forward->server.fd < 0)
        return false;
    if (connect(forward->server.fd, (struct sockaddr *)&address, address_size) < 0 &&
        errno != EINPROGRESS)
        return false;
    if (getrandom(&forward->id, sizeof(forward->id), 0) != sizeof(forward->id))
        return false;
    dns_set_id(forward->query + 2, forward->id);
    if (!is_stream(forward) &&
        send(forward->server.fd, forward->query + 2, forward->query_size, MSG_NOSIGNAL) < 0)
        return false;
    free(TAKE(forward->answer));
    forward->answer_size = 0;
    loop_watch(&resolver->shim->loop, &forward->server, is_stream(forward) ? EPOLLOUT : EPOLLIN);
    return true;
}

/* The next server, or the first one again; no server left: the asker is told at once. */
static void try_next(struct forward *forward)
{
    const struct strv *servers = servers_of(forward->resolver);

    while (servers->count > 0 && forward->attempt < ATTEMPTS) {
        const char *server = servers->items[forward->attempt++ % servers->count];

        if (send_query(forward, server)) {
            forward->expire_ns = clock_monotonic_ns() + ATTEMPT_MS * NS_PER_MS;
            list_remove(&forward->link); /* the one that waits longest comes first */
            list_add(&forward->resolver->forwards, &forward->link);
            return;
        }
    }
    forward_give_up(forward);
}

/* Servers that refuse or fail have nothing to say as long as another one may. */
static bool is_last_word(const struct forward *forward, const uint8_t *answer)
{
    int code = dns_answer_code(answer);

    return (code != DNS_SERVER_FAILURE && code != 5 /* refused */) ||
           forward->attempt >= MIN((size_t)ATTEMPTS, servers_of(forward->resolver)->count);
}

/* Not ours, not meant for this question: as if it had not come. */
static void take_answer(struct forward *forward, uint8_t *answer, size_t size)
{
    struct asker asker = forward->asker;
    struct resolver *resolver = forward->resolver;

    if (!dns_is_answer(answer, size, forward->id, &forward->question))
        return;
    if (!is_last_word(forward, answer)) {
        try_next(forward);
        return;
    }
    dns_set_id(answer, forward->question.id);
    resolver_reply(resolver, &asker, answer, size);
    forward_free(forward);
}

static void datagram_ready(struct forward *forward)
{
    uint8_t *answer = (uint8_t *)supervisor_buffer(forward->resolver->shim);
    ssize_t size = recv(forward->server.fd, answer, DNS_MESSAGE_SIZE, MSG_DONTWAIT);

    if (size >= 0)
        take_answer(forward, answer, (size_t)size);
    else if (errno != EAGAIN && errno != EINTR) /* nobody is there */
        try_next(forward);
}

static void stream_writable(struct forward *forward)
{
    size_t size = forward->query_size + 2;

    /* It fits into an empty socket's buffer, or something is wrong with it. */
    if (send(forward->server.fd, forward->query, size, MSG_NOSIGNAL | MSG_DONTWAIT) !=
        (ssize_t)size) {
        try_next(forward);
        return;
    }
    loop_watch(&forward->resolver->shim->loop, &forward->server, EPOLLIN);
}

static void stream_readable(struct forward *forward)
{
    ssize_t size;

    if (!forward->answer)
        forward->answer = xmalloc(DNS_MESSAGE_SIZE + 2);
    size = recv(forward->server.fd, forward->answer + forward->answer_size,
                DNS_MESSAGE_SIZE + 2 - forward->answer_size, MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (size <= 0) {
        try_next(forward);
        return;
    }
    forward->answer_size += (size_t)size;
    if (forward->answer_size < 2)
        return;
    size_t whole = (size_t)(forward->answer[0] << 8 | forward->answer[1]);
    if (forward->answer_size < whole + 2)
        return;
    if (!dns_is_answer(forward->answer + 2, whole, forward->id, &forward->question))
        try_next(forward);
    else
        take_answer(forward, forward->answer + 2, whole);
}

static void server_ready(struct source *source, uint32_t events)
{
    struct forward *forward = CONTAINER_OF(source, struct forward, server);

    if (!is_stream(forward))
        datagram_ready(forward);
    else if (events & EPOLLOUT)
        stream_writable(forward);
    else
        stream_readable(forward);
}

void forward_begin(struct resolver *resolver, const struct asker *asker, const uint8_t *query,
                   size_t size, const struct dns_question *question)
{
    struct forward *forward;

    if (resolver->forward_count >= RESOLVER_FORWARD_LIMIT) {
        resolver_refuse(resolver, asker, query, question, DNS_SERVER_FAILURE);
        return;
    }
    forward = xcalloc(1, sizeof(*forward) + size + 2);
    *forward = (struct forward){ .resolver = resolver,
                                 .server = { .fd = -1, .ready = server_ready },
                                 .asker = *asker,
                                 .question = *question,
                                 .query_size = size };
    forward->query[0] = (uint8_t)(size >> 8);
    forward->query[1] = (uint8_t)size;
    memcpy(forward->query + 2, query, size);
    list_add(&resolver->forwards, &forward->link);
    resolver->forward_count++;
    try_next(forward);
}

/* ---- all of them ---- */

void forwards_expire(struct resolver *resolver, uint64_t now_ns)
{
    LIST_EACH (&resolver->forwards, struct forward, link, forward)
        if (now_ns >= forward->expire_ns)
            try_next(forward);
}

uint64_t forwards_deadline(const struct resolver *resolver)
{
    if (list_is_empty(&resolver->forwards))
        return 0;
    return CONTAINER_OF(resolver->forwards.next, struct forward, link)->expire_ns;
}

void forwards_drop(struct resolver *resolver, const struct connection *connection)
{
    LIST_EACH (&resolver->forwards, struct forward, link, forward)
        if (!connection || forward->asker.connection == connection)
            forward_free(forward);
}
