/* Answers out of the tables, by UDP; the rest is handed on. Nothing is kept between two questions:
 * a table is mapped while it is looked at, and what it says is always what the daemon wrote last.
 */
#include "shim/resolver.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/memory.h"
#include "base/text.h"
#include "shim/resolver_state.h"

#include "base/banned.h"

enum {
    TTL_S = 600,
    QUERIES_AT_ONCE = 64, /* before others have their turn */
    CLASS_INTERNET = 1,
};

/* ---- tables ---- */

struct table {
    const char *text; /* NULL: there is none */
    size_t size;
};

static struct table table_open(const char *path)
{
    CLEANUP(close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct table table = {};
    struct stat stat;

    if (fd < 0 || fstat(fd, &stat) < 0 || stat.st_size == 0)
        return table;
    table.size = (size_t)stat.st_size;
    table.text = mmap(NULL, table.size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    if (table.text == MAP_FAILED)
        table.text = NULL;
    return table;
}

static void table_close(struct table *table)
{
    if (table->text)
        munmap((void *)table->text, table->size);
}
CLEANUP_VALUE(table_close, struct table)

/* ---- looking up ---- */

struct found {
    struct name_address addresses[RESOLVER_ADDRESS_LIMIT];
    size_t count;
    bool is_known;
};

/* "web.net" asks for web on network net only. */
static const char *without_network(const char *name, const char *network, char out[DNS_NAME_SIZE])
{
    size_t length = strlen(name), suffix = strlen(network);

    if (length <= suffix + 1 || name[length - suffix - 1] != '.' ||
        strcasecmp(name + length - suffix, network) != 0)
        return NULL;
    snprintf(out, DNS_NAME_SIZE, "%.*s", (int)(length - suffix - 1), name);
    return out;
}

static void find_on(const struct resolver_network *network, const char *name, int family,
                    struct found *found)
{
    CLEANUP(table_close) struct table table = table_open(network->path);
    char shorter[DNS_NAME_SIZE];
    const char *names[] = { map_get(&network->links, name), name,
                            without_network(name, network->name, shorter) };

    for (size_t i = 0; table.text && !found->is_known && i < COUNT(names); i++)
        if (names[i])
            found->count = name_table_find(table.text, table.size, names[i], family,
                                           found->addresses, RESOLVER_ADDRESS_LIMIT,
                                           &found->is_known);
}

static bool find(const struct resolver *resolver, const char *name, int family, struct found *found)
{
    const struct json_list *networks = &resolver->settings.networks;

    for (size_t i = 0; !found->is_known && i < networks->count; i++)
        find_on(&JSON_ITEMS(networks, struct resolver_network)[i], name, family, found);
    return found->is_known;
}

/* "web.net" for the address of web on network net. */
static bool find_owner(const struct resolver *resolver, const char *reverse,
                       char out[DNS_NAME_SIZE])
{
    const struct json_list *networks = &resolver->settings.networks;
    uint8_t address[16];
    size_t size = dns_reverse_address(reverse, address), length = 0;

    for (size_t i = 0; size > 0 && length == 0 && i < networks->count; i++) {
        const struct resolver_network *network = &JSON_ITEMS(networks, struct resolver_network)[i];
        CLEANUP(table_close) struct table table = table_open(network->path);
        const char *name;

        if (!table.text)
            continue;
        length = name_table_owner(table.text, table.size, size == 4 ? AF_INET : AF_INET6, address,
                                  &name);
        if (length > 0)
            snprintf(out, DNS_NAME_SIZE, "%.*s.%s", (int)length, name, network->name);
    }
    return length > 0;
}

static void add_addresses(struct resolver *resolver, const struct found *found, uint16_t type,
                          struct dns_answer *answer)
{
    for (size_t i = 0; i < found->count; i++) {
        size_t at = (i + resolver->turn) % found->count;

        dns_answer_add(answer, type, TTL_S, found->addresses[at].bytes, type == DNS_A ? 4 : 16);
    }
    resolver->turn++;
}

/* Writes what is known here; false if others are to be asked. */
static bool answer_here(struct resolver *resolver, const struct dns_question *question,
                        struct dns_answer *answer)
{
    struct found found;
    char owner[DNS_NAME_SIZE];

    found.count = 0;
    found.is_known = false;
    if (question->class != CLASS_INTERNET)
        return false;
    if (question->type == DNS_PTR && find_owner(resolver, question->name, owner)) {
        dns_answer_add_name(answer, DNS_PTR, TTL_S, owner);
        return true;
    }
    if (find(resolver, question->name, question->type == DNS_AAAA ? AF_INET6 : AF_INET, &found)) {
        if (question->type == DNS_A || question->type == DNS_AAAA)
            add_addresses(resolver, &found, question->type, answer);
        return true; /* of other types there is nothing */
    }
    return resolver->settings.keeps_single_labels && !strchr(question->name, '.') &&
           (question->type == DNS_A || question->type == DNS_AAAA);
}

/* ---- serving ---- */

void resolver_reply(struct resolver *resolver, const struct asker *asker, const void *answer,
                    size_t size)
{
    if (asker->connection)
        stream_reply(resolver, asker->connection, answer, size);
    else
        sendto(resolver->udp.fd, answer, size, MSG_DONTWAIT | MSG_NOSIGNAL,
               (const struct sockaddr *)&asker->address, asker->address_size);
}

void resolver_refuse(struct resolver *resolver, const struct asker *asker, const void *query,
                     const struct dns_question *question, int code)
{
    uint8_t bytes[DNS_DATAGRAM];
    struct dns_answer answer;

    dns_answer_begin(&answer, query, question, bytes, sizeof(bytes));
    resolver_reply(resolver, asker, bytes, dns_answer_end(&answer, code));
}

void resolver_serve(struct resolver *resolver, const struct asker *asker, const uint8_t *query,
                    size_t size)
{
    uint8_t *bytes = (uint8_t *)supervisor_buffer(resolver->shim) + SUPERVISOR_BUFFER_SIZE / 2;
    struct dns_question question;
    struct dns_answer answer;
    struct error err = {};

    if (size < DNS_HEADER_SIZE)
        return;
    if (dns_question_read(query, size, &question, &err) < 0) {
        if (query[2] & 0x80) /* two servers must not talk for ever */
            return;
        resolver_reply(
            resolver, asker, bytes,
            dns_refuse(query,
                       err.kind == ERROR_UNSUPPORTED ? DNS_NOT_IMPLEMENTED : DNS_FORMAT_ERROR,
                       bytes));
        return;
    }
    _Static_assert(DNS_MESSAGE_SIZE < SUPERVISOR_BUFFER_SIZE / 2, "the other half has the query");
    dns_answer_begin(&answer, query, &question, bytes,
                     asker->connection ? DNS_MESSAGE_SIZE
                                       : MIN(question.datagram_size, (size_t)RESOLVER_QUERY_LIMIT));
    if (answer_here(resolver, &question, &answer))
        resolver_reply(resolver, asker, bytes, dns_answer_end(&answer, DNS_OK));
    else if (resolver->settings.is_closed)
        resolver_reply(resolver, asker, bytes, dns_answer_end(&answer, DNS_SERVER_FAILURE));
    else
        forward_begin(resolver, asker, query, size, &question);
}

static void udp_ready(struct source *source, uint32_t events UNUSED)
{
    struct resolver *resolver = CONTAINER_OF(source, struct resolver, udp);
    uint8_t *query = (uint8_t *)supervisor_buffer(resolver->shim);

    for (int i = 0; i < QUERIES_AT_ONCE; i++) {
        struct asker asker = { .address_size = sizeof(asker.address) };
        ssize_t size = recvfrom(source->fd, query, RESOLVER_QUERY_LIMIT, MSG_DONTWAIT | MSG_TRUNC,
                                (struct sockaddr *)&asker.address, &asker.address_size);

        if (size < 0)
            return;
        if (size <= RESOLVER_QUERY_LIMIT)
            resolver_serve(resolver, &asker, query, (size_t)size);
    }
}

/* ---- life ---- */

struct resolver *resolver_new(struct supervisor *shim, int namespace_fd, int udp_fd, int tcp_fd)
{
    struct resolver *resolver = NEW(struct resolver);

    resolver->shim = shim;
    resolver->namespace_fd = namespace_fd;
    resolver->home_fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    resolver->udp = (struct source){ .fd = udp_fd, .ready = udp_ready };
    resolver->tcp = (struct source){ .fd = tcp_fd, .ready = streams_accept };
    list_init(&resolver->forwards);
    list_init(&resolver->connections);
    loop_watch(&shim->loop, &resolver->udp, EPOLLIN);
    loop_watch(&shim->loop, &resolver->tcp, EPOLLIN);
    return resolver;
}

void resolver_set(struct resolver *resolver, struct resolver_settings *settings)
{
    resolver_settings_done(&resolver->settings);
    resolver->settings = *settings;
    *settings = (struct resolver_settings){};
}

void resolver_free(struct resolver *resolver)
{
    if (!resolver)
        return;
    streams_drop(resolver);
    forwards_drop(resolver, NULL);
    loop_close_source(&resolver->shim->loop, &resolver->udp);
    loop_close_source(&resolver->shim->loop, &resolver->tcp);
    close(resolver->namespace_fd);
    if (resolver->home_fd >= 0)
        close(resolver->home_fd);
    resolver_settings_done(&resolver->settings);
    strv_done(&resolver->host_servers);
    loop_free(&resolver->shim->loop, resolver);
}

uint64_t resolver_deadline(const struct resolver *resolver)
{
    uint64_t forwards = forwards_deadline(resolver), streams = streams_deadline(resolver);

    return forwards == 0 ? streams : streams == 0 ? forwards : MIN(forwards, streams);
}

void resolver_expire(struct resolver *resolver, uint64_t now_ns)
{
    forwards_expire(resolver, now_ns);
    streams_expire(resolver, now_ns);
}
