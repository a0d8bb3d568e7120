/* What the unit tests of networks share: with root each test has a network of its own. The "host"
 * is a new namespace, the "outside" another one that is wired to it, and containers are boxes:
 * namespaces with endpoints. Nothing of the machine's own network is touched. */
#ifndef BERTH_NETWORK_NETWORK_WORLD_H
#define BERTH_NETWORK_NETWORK_WORLD_H

#include <criterion/criterion.h>
#include <netinet/in.h>

#include "network/network.h"

#define HOST_ADDRESS    "10.9.0.1"
#define OUTSIDE_ADDRESS "10.9.0.2"
#define PATIENCE_MS     3000 /* for what must come */
#define SILENCE_MS      250  /* for what must not */

extern char directory[64];
extern struct database *database;
extern struct networks *networks;
extern int host_fd, outside_fd; /* their namespaces */

/* Of a test suite. */
void set_up(void);
void tear_down(void);
extern bool is_firewall_shared; /* of engines that are opened from now on */
struct networks *open_engine(const char *id, const char *file_name, struct database **out);
void stop_filtering_bridges(void);
int socket_in(int where, int type);
struct sockaddr_in name_of(const char *address, uint16_t port);
int serve(int where, int type, const char *address, uint16_t port);
bool wait_for(int fd, short events, int timeout_ms);
const char *caller_tcp(int where, const char *address, uint16_t port, int server, int timeout_ms);
const char *caller_udp(int where, const char *address, uint16_t port, int server, int timeout_ms);
struct port_mapping port_of(const char *protocol, const char *host_ip, uint16_t host_port,
                            uint16_t container_port);
struct network *make_network(const struct network_create *wish);
void expect_verified(void);
bool has_difference(const char *words);
size_t count_pairs(void);
void wait_for_pairs(size_t wanted);

struct box {
    int fd; /* its namespace */
    struct endpoint endpoint;
    int port_fds[4];
};
void box_done(struct box *box);
int try_box(struct networks *engine, struct box *box, const char *name, const char *network_name,
            const struct port_mapping *ports, size_t port_count, struct error *err);
struct box make_box(const char *name, const char *network_name, const struct port_mapping *ports,
                    size_t port_count);
struct box make_port_box(const char *name, struct port_mapping port);
CLEANUP_VALUE(box_done, struct box)

#define expect_caller(where, address, port, server, wanted)                                        \
    cr_expect_str_eq(caller_tcp(where, address, port, server, PATIENCE_MS), wanted, "to %s:%d",    \
                     address, (int)(port))
#define expect_nobody(where, address, port, server)                                                \
    cr_expect_str_eq(caller_tcp(where, address, port, server, SILENCE_MS), "", "to %s:%d",         \
                     address, (int)(port))

#endif
