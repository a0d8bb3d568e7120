/* What the files of this folder share and nobody else sees.
 *
 * Order of locks: firewall's or 'networks->names_lock', then 'networks->lock'; the database's
 * writer is never held while any of them is waited for. */
#ifndef BERTH_NETWORK_INTERNAL_H
#define BERTH_NETWORK_INTERNAL_H

#include <net/if.h>
#include <stdatomic.h>

#include "base/thread.h"
#include "network/driver.h"
#include "network/firewall.h"
#include "network/helper.h"
#include "network/network.h"
#include "network/subnet.h"
#include "network/subnet6.h"

/* A network with what its driver made of its options. */
struct network_entry {
    struct network network; /* what others see */
    atomic_int references;
    const struct network_driver *driver;
    bool is_subnet_chosen; /* by us, not by the user */
    bool icc, masquerade;
    bool is_unprotected, is_unprotected6; /* gateway mode nat-unprotected */
    bool is_routed, is_routed6;           /* gateway mode routed */
    bool is_isolated;                     /* the host has no address there */
    uint32_t source;                      /* see struct firewall_bridge */
    struct in6_addr source6;
    const char *trusted_links;
    uint32_t link_mode, link_flags; /* of macvlan and ipvlan */
    bool routes_by_link; /* of layer 3: default routes have no gateway, the link takes all */
    const char *interface_prefix; /* of its interfaces in containers: "eth" */
    int mtu;
    struct subnet subnet;     /* with the gateway's address */
    struct subnet range;      /* where addresses are taken from */
    atomic_uint last_address; /* that was handed out (without IPv4: its place), 0: none yet */
    struct subnet6 subnet6;   /* of networks with IPv6, with the gateway's address */
    struct subnet6 range6;
};

static inline struct network_entry *network_entry(struct network *network)
{
    return CONTAINER_OF(network, struct network_entry, network);
}

/* Has it got an address that leads out? */
static inline bool network_has_gateway(struct network *network)
{
    return !network->internal && !network_entry(network)->routes_by_link;
}

struct networks {
    char *engine_id;
    char *default_binding;
    struct strv address_pools;
    int mtu;
    bool icc, masquerade, ip_forward;
    bool is_strict;                 /* the firewall's mode */
    atomic_bool can_filter_bridges; /* of the last time a bridge was made */
    int home_fd;                    /* the namespace that the engine lives in */
    struct database *database;      /* borrowed */
    struct firewall *firewall;
    struct helper *helper;
    char *names_path;                        /* directory of the tables of names */
    struct mutex names_lock;                 /* held while one is written */
    struct map names GUARDED_BY(names_lock); /* network's id → struct str, as written */
    struct mutex lock;
    struct network **list GUARDED_BY(lock);
    size_t count GUARDED_BY(lock);
};

extern const struct json_field network_fields[];

bool network_name_is_predefined(const char *name); /* "default", too */

/* ---- network_record.c: the tables ---- */

int record_migrate(struct database *database, struct error *err);
int record_networks_load(struct networks *networks, struct error *err);
int record_network_insert(struct networks *networks, struct network *network, struct error *err);
int record_network_update(struct networks *networks, struct network *network, struct error *err);
/* Notes that its link, if it has one, is to be removed. FORBIDDEN while somebody is attached. */
int record_network_delete(struct networks *networks, const struct network *network,
                          struct error *err);
/* Links of networks that are removed: each is there until somebody says that it is gone. */
int record_leaving_links(struct networks *networks, struct strv *out, struct error *err);
int record_link_left(struct networks *networks, const char *name, struct error *err);

struct endpoint_row {
    struct endpoint endpoint; /* without network_name and gateway */
    char *container_name;
    char *names;      /* that it is found by, separated by blanks */
    uint32_t address; /* 0: without IPv4 */
};
struct endpoint_rows {
    struct endpoint_row *items;
    size_t count, capacity;
};
void endpoint_rows_done(struct endpoint_rows *rows);
CLEANUP_VALUE(endpoint_rows_done, struct endpoint_rows)

/* Those of a network, of a container, of both, or (both NULL) all. */
int record_endpoints(struct networks *networks, const char *network_id, const char *container_id,
                     struct endpoint_rows *out, struct error *err);
int record_endpoint_insert(struct networks *networks, const struct endpoint_row *row,
                           struct error *err);
int record_endpoint_rename(struct networks *networks, const struct endpoint_row *row,
                           struct error *err);
/* The endpoint's ports, within a transaction or in one of their own. */
int record_ports_insert(struct networks *networks, const struct endpoint *endpoint,
                        struct error *err);
int record_ports_delete(struct networks *networks, const struct endpoint *endpoint,
                        struct error *err);
/* The ports of one endpoint become those of another one. */
int record_ports_move(struct networks *networks, const char *from_id, const char *to_id,
                      struct error *err);
/* 'network_id' may be NULL: all of the container. */
int record_endpoints_delete(struct networks *networks, const char *container_id,
                            const char *network_id, struct error *err);
bool record_address6_is_taken(struct networks *networks, const char *network_id,
                              const char *address);
bool record_address_is_taken(struct networks *networks, const char *network_id, uint32_t address);
/* Forgets who had published this port (nobody has it: we hold it now). Returns how many. */
int64_t record_port_forget(struct networks *networks, const struct port_mapping *port,
                           struct error *err);
/* Who had, for error texts: the container's name, NULL if nobody. */
char *record_port_holder(struct networks *networks, const char *protocol, uint16_t host_port);

/* ---- network_config.c: networks that are configurations of others ---- */

/* What 'wish' asks for, with what its configuration says. Borrows from both; the caller owns a
 * reference to the configuration, if there is one. Held by it: the lock of the host's subnets. */
int config_apply(struct networks *networks, const struct network_create *wish,
                 struct network_create *out, struct network **out_config, struct error *err);
/* FORBIDDEN while another network depends on it. */
int config_check_unused(struct networks *networks, const struct network *network,
                        struct error *err);

/* ---- network_set.c: the list in memory ---- */

void networks_add(struct networks *networks, struct network *network); /* takes the reference */
void networks_drop(struct networks *networks, const char *id);
/* A reference, NULL if there is none of that id. */
struct network *networks_get(struct networks *networks, const char *id);

/* ---- network_bridge.c: what a network is in the kernel ---- */

#define NETWORK_OPTION_MTU "com.docker.network.driver.mtu"
int network_read_mtu(struct networks *networks, struct network_entry *entry, int fallback,
                     struct error *err);
int network_read_ranges(struct network_entry *entry, struct error *err);
/* What all networks have in the kernel. */
int networks_assert_links(struct networks *networks, struct error *err);
/* How the bridge treats the ports of a network's containers. */
void network_port_modes(const struct networks *networks, const struct network_entry *entry,
                        bool *out_is_isolated, bool *out_is_hairpin);
int network_enable_forwarding6(struct networks *networks, struct error *err);
struct firewall_bridge network_firewall_bridge(const struct network_entry *entry);
/* Everything that the record says belongs into the firewall. */
int networks_fill_firewall(void *data, struct nft_batch *batch, struct error *err);
bool endpoint_firewall_port(struct networks *networks, const struct endpoint_row *row,
                            const struct port_mapping *port, struct firewall_port *out);
/* Are its published ports reached by their container's address, too? */
bool network_opens_ports(struct networks *networks, const char *id);

/* ---- reconcile.c ---- */
/* Is a link of that name on this host for our sake, and not a container's? */
bool networks_have_link(void *networks, const char *name);
/* Puts such links back where they are missing, and containers onto them. */
int networks_repair_links(void *networks, struct error *err);

/* ---- endpoint_settle.c ---- */
/* The one of a container's endpoints that its default route (of either family) or its ports belong
 * to, less those of network 'without' (may be NULL). NULL if there is none. */
enum preference { FOR_ROUTE, FOR_ROUTE6, FOR_PORTS };
const struct endpoint_row *endpoint_preferred(struct networks *networks,
                                              const struct endpoint_rows *rows, const char *without,
                                              enum preference preference);
/* Ports of 'from' lead to 'to' from now on, in record and firewall. */
int endpoint_move_ports(struct networks *networks, const struct endpoint_row *from,
                        const struct endpoint_row *to, struct error *err);
void endpoint_forget_flows(const struct json_list *ports);

/* The host's end of an endpoint's pair. */
void endpoint_link_name(const struct networks *networks, const char *endpoint_id,
                        char out[IFNAMSIZ]);
/* Could this be the name of one of ours? */
bool is_endpoint_link_name(const struct networks *networks, const char *name);

#endif
