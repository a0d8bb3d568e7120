/* Networks of one host: which there are, who is attached where, and the kernel objects behind it
 * (bridges, veth pairs, one nftables table with maps and sets). The record (tables network,
 * endpoint, port) is written first; addresses and ports in use are derived from it. Calls may come
 * from any thread.
 *
 * Names in the kernel carry the engine id, so that several engines share a host: the default bridge
 * is "berth0" for the default engine (id "") and "berth0-<id>" otherwise (cut to 15 characters);
 * table "berth" or "berth_<id>"; veth ends "v<id><hex>". Network "bridge" is the default bridge,
 * "host" and "none" are predefined. */
#ifndef BERTH_NETWORK_NETWORK_H
#define BERTH_NETWORK_NETWORK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/map.h"
#include "base/strv.h"
#include "codec/json.h"
#include "record/database.h"

struct networks;

struct networks_options {
    const char *engine_id;      /* "" for the default engine, else up to 8 of [0-9a-f] */
    const char *bridge_address; /* --bip "172.17.0.1/16"; NULL: first free pool */
    const struct strv
        *address_pools;          /* "base=10.200.0.0/16,size=24"; NULL or none: Docker's defaults */
    const char *default_binding; /* --ip, NULL: 0.0.0.0 */
    const char *names_path;      /* directory for tables of names, made if missing */
    int mtu;                     /* 0: 1500 */
    bool icc, ip_forward, ip_masquerade;
    bool firewall_strict; /* published ports obey the rules for the host's input (inlet.h) */
    bool firewall_shared; /* other programs may change the engine's table */
};

struct network_pool {
    char *subnet, *gateway, *ip_range;
    struct map auxiliary;
};
extern const struct json_field network_pool_fields[]; /* IPAM.Config element */

struct network {
    char *id, *name, *driver, *scope;
    int64_t created_ns;
    bool internal, attachable, enable_ipv4, enable_ipv6;
    bool is_subnet6_chosen; /* by us, not by the user */
    bool is_config_only;    /* others take their settings from it; nothing in the kernel */
    char *config_from;      /* name of the network that its settings are from; NULL: its own */
    struct json_list pools; /* struct network_pool */
    struct map options, labels;
    char *bridge_name;
};
struct network *network_ref(struct network *network); /* immutable and shared */
void network_unref(struct network *network);
CLEANUP_POINTER(network_unref, struct network)

/* Makes sure that the table, the predefined networks and the default bridge are there (record and
 * kernel). */
int networks_open(const struct networks_options *options, struct database *database,
                  struct networks **out, struct error *err);
/* Leaves everything in the kernel as it is: containers go on. */
void networks_close(struct networks *networks);
CLEANUP_POINTER(networks_close, struct networks)
/* Removes all that is in the kernel (uninstalling, end of a test engine). CONFLICT while endpoints
 * exist. */
int networks_destroy(struct networks *networks, struct error *err);

/* By id, name or id prefix (spec/api.md 1.9). NOT_FOUND "network x not found". */
int network_find(struct networks *networks, const char *text, struct network **out,
                 struct error *err);
int network_list(struct networks *networks, struct network ***out, size_t *out_count,
                 struct error *err);
void network_list_free(struct network **list, size_t count);

/* User-defined networks; texts and kinds as in spec/api.md section 6. A network that is a
 * configuration only keeps addresses, options and labels for those that name it in 'config_from';
 * these give none of their own. It has no driver, and cannot be removed while one of them is there.
 */
struct network_create {
    const char *name, *driver;
    bool internal, attachable, disable_ipv4, enable_ipv6;
    bool is_config_only;
    const char *config_from;       /* NULL or "": none */
    const struct json_list *pools; /* struct network_pool */
    const struct map *options, *labels;
};
int network_create(struct networks *networks, const struct network_create *wish,
                   struct network **out, struct error *err);
int network_remove(struct networks *networks, const char *id, struct error *err);

/* May a container ask for this address there? INVALID with Docker's text. */
int network_check_address(const struct network *network, const char *address, struct error *err);

/* ---- one container's attachment ---- */

struct port_mapping {
    char protocol[8];       /* tcp udp sctp */
    char host_ip[46];       /* "" wished: the default binding; got: "0.0.0.0", "::" or as wished */
    uint16_t host_port;     /* wished 0: an ephemeral one is chosen; got 0: network is routed */
    uint16_t host_port_end; /* wished range: first free of host_port…host_port_end; 0: no range */
    uint16_t container_port;
};

struct endpoint_wish {
    const char *container_id, *container_name;
    const char *network_id;
    const char *address, *address6; /* NULL: next free one */
    const char *mac_address;        /* NULL: generated */
    const struct strv *names;   /* that it is found by on that network, its own first; NULL: none */
    const char *interface_name; /* NULL: the next of the network's kind, eth0… */
    const struct strv *link_locals; /* more addresses that nobody else counts; NULL: none */
    const struct strv *sysctls;     /* "net.ipv4.conf.IFNAME.forwarding=1"; NULL: none */
    int64_t gateway_priority;       /* the default route goes where this is highest, then by name */
    const struct port_mapping *ports;
    size_t port_count;
};

struct endpoint {
    char *id, *network_id, *network_name, *container_id;
    char *address; /* "172.17.0.2"; "" without IPv4 */
    int prefix_length;
    char *address6, *gateway6; /* "" without IPv6 */
    int prefix_length6;
    int64_t gateway_priority;
    bool has_names; /* others find it by name */
    char *gateway, *mac_address;
    char *interface_name;   /* inside: eth0 */
    struct json_list ports; /* struct port_mapping, as got */
};
void endpoint_done(struct endpoint *endpoint);
CLEANUP_VALUE(endpoint_done, struct endpoint)

/* A fresh network namespace with loopback up and Docker's default sysctls (ping_group_range,
 * ip_unprivileged_port_start), taken from a small pool that is refilled in the background. Only the
 * descriptor keeps it alive. */
int network_namespace_new(struct networks *networks, int *out_fd, struct error *err);
/* The same for a new one that somebody else has made. */
int network_namespace_prepare(struct networks *networks, int fd, struct error *err);

/* Records an endpoint, then connects 'namespace_fd' (veth, address, route, neighbours announced)
 * and publishes the ports, in one netlink conversation and one nft transaction. 'out_port_fds' gets
 * one bound socket per published port (count = endpoint->ports.count; up to two for each that is
 * wished, when it is published by IPv4 and IPv6), which keeps the port from
 * others as long as it is open: the supervisor holds them. Errors: CONFLICT "Bind for 0.0.0.0:80
 * failed: port is already allocated" (and who holds it, if it can be told), FORBIDDEN "Address
 * already in use", INVALID for addresses outside, INTERNAL. Nothing remains on failure. */
int endpoint_attach(struct networks *networks, const struct endpoint_wish *wish, int namespace_fd,
                    struct endpoint *out, int *out_port_fds, struct error *err);

/* Unpublishes the ports, forgets the endpoint: its address is free when this returns. Absent is
 * fine. All endpoints of the container if 'network_id' is NULL: the container is gone then, and its
 * links go with its namespace (or in the background, if that stays). Of one network otherwise: the
 * container lives on, and the link is removed before this returns. */
int endpoint_detach(struct networks *networks, const char *container_id, const char *network_id,
                    struct error *err);

/* A container that runs is called otherwise from now on: 'names' as in its wish. */
int endpoint_rename(struct networks *networks, const char *container_id, const char *network_id,
                    const char *container_name, const struct strv *names, struct error *err);

/* After endpoints of a running container changed: its default route goes where it belongs, and its
 * published ports lead to the endpoint that has it. Ports stay bound all the while. */
int endpoints_settle(struct networks *networks, const char *container_id, int namespace_fd,
                     struct error *err);

/* Which of a container's networks has its default route and its published ports: by priority, then
 * one with IPv4, then by name, never an internal one. Compares two candidates. */
bool network_is_preferred(const struct network *a, int64_t priority_a, const struct network *b,
                          int64_t priority_b);

/* The sockets on which a container asks for names (127.0.0.11 in its namespace), for its supervisor
 * to answer on. */
int network_resolver_open(struct networks *networks, int namespace_fd, int *out_udp_fd,
                          int *out_tcp_fd, struct error *err);
/* Where the table of names of a network is (spec/names.h). */
char *network_names_path(struct networks *networks, const char *network_id);
bool network_has_names(const struct network *network); /* not: the predefined ones */

/* As endpoint_detach of one network, of a container that lives on in that namespace. */
int endpoint_disconnect(struct networks *networks, const char *container_id, const char *network_id,
                        int namespace_fd, struct error *err);

/* Publishes further ports of a container that runs, on the network that has its default route. All
 * or none; sockets as endpoint_attach hands them out, at most two per port. CONFLICT, also where no
 * network can. */
int endpoint_publish(struct networks *networks, const char *container_id,
                     const struct port_mapping *ports, size_t count, int *out_fds,
                     size_t *out_fd_count, struct error *err);
/* Ends the publishing of a port (host address "" and host port 0: of whatever); open connections go
 * on. Adds what went to 'out' (struct port_mapping). */
int endpoint_unpublish(struct networks *networks, const char *container_id,
                       const struct port_mapping *which, struct json_list *out, struct error *err);

/* Can ports be published on it? */
bool network_can_publish(const struct network *network);

/* Endpoints of a network (for inspect) or of a container (for reconciliation); either may be NULL.
 */
int endpoint_list(struct networks *networks, const char *network_id, const char *container_id,
                  struct endpoint **out, size_t *out_count, struct error *err);
void endpoint_list_free(struct endpoint *list, size_t count);

/* After networks_open, which has asserted links and table as the record has them: drops endpoints
 * of containers for which 'is_alive' says no, and puts links right. */
int networks_reconcile(struct networks *networks,
                       bool (*is_alive)(void *data, const char *container_id), void *data,
                       struct error *err);

/* Compares record and kernel (links, table, elements); a line per difference. */
int networks_verify(struct networks *networks, struct strv *out, struct error *err);

#endif
