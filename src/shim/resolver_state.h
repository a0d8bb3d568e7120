/* What the files of the resolver share: resolver.c answers, resolver_forward.c asks outside,
 * resolver_stream.c serves TCP. */
#ifndef BERTH_SHIM_RESOLVER_STATE_H
#define BERTH_SHIM_RESOLVER_STATE_H

#include <sys/socket.h>
#include <time.h>

#include "base/list.h"
#include "codec/dns.h"
#include "shim/loop.h"
#include "shim/resolver.h"
#include "shim/supervise.h"

enum {
    RESOLVER_QUERY_LIMIT = 4096,    /* bytes of a query */
    RESOLVER_FORWARD_LIMIT = 256,   /* questions that wait for servers outside */
    RESOLVER_CONNECTION_LIMIT = 32, /* by TCP */
    RESOLVER_ADDRESS_LIMIT = 512,   /* of one name */
};

struct resolver {
    struct supervisor *shim;
    struct resolver_settings settings;
    int namespace_fd, home_fd;
    struct source udp, tcp;
    struct list forwards, connections;
    size_t forward_count, connection_count;
    uint32_t turn; /* who comes first among several addresses */
    struct strv host_servers;
    struct timespec host_changed; /* of the file that they were read from */
};

/* Who asked: by UDP from an address, or by TCP over a connection (NULL: by UDP). */
struct asker {
    struct sockaddr_storage address;
    socklen_t address_size;
    struct connection *connection;
};

/* Answers a query at once or hands it on; answers go to resolver_reply. */
void resolver_serve(struct resolver *resolver, const struct asker *asker, const uint8_t *query,
                    size_t size);
void resolver_reply(struct resolver *resolver, const struct asker *asker, const void *answer,
                    size_t size);
/* Answers with a code and the question alone. */
void resolver_refuse(struct resolver *resolver, const struct asker *asker, const void *query,
                     const struct dns_question *question, int code);

/* ---- resolver_forward.c ---- */
void forward_begin(struct resolver *resolver, const struct asker *asker, const uint8_t *query,
                   size_t size, const struct dns_question *question);
void forwards_expire(struct resolver *resolver, uint64_t now_ns);
uint64_t forwards_deadline(const struct resolver *resolver);
void forwards_drop(struct resolver *resolver, const struct connection *connection); /* NULL: all */

/* ---- resolver_stream.c ---- */
void streams_accept(struct source *source, uint32_t events);
void stream_reply(struct resolver *resolver, struct connection *connection, const void *answer,
                  size_t size);
void streams_expire(struct resolver *resolver, uint64_t now_ns);
uint64_t streams_deadline(const struct resolver *resolver);
void streams_drop(struct resolver *resolver);

#endif
