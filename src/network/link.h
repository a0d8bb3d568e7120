/* Links of the host: bridges, and pairs whose one end is put into a container. */
#ifndef BERTH_NETWORK_LINK_H
#define BERTH_NETWORK_LINK_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/strv.h"
#include "linux/netlink.h"
#include "network/subnet.h"
#include "network/subnet6.h"

struct bridge {
    const char *name;
    bool has_ipv4;
    struct subnet address;          /* of the gateway, with the prefix of the subnet */
    const struct subnet6 *address6; /* the same; NULL: IPv6 is off */
    bool is_isolated;               /* the host gets none of these addresses */
    int mtu;                        /* 0: the kernel's default */
    bool is_filtered;               /* the firewall shall see what goes from port to port */
};
/* Can this kernel show bridged packets to the firewall (br_netfilter)? If so, it may do that for
 * all bridges at any time, at the will of other programs. Looking costs more the more namespaces
 * there are: ask rarely. */
bool bridge_can_filter(void);

/* Makes the bridge, or brings one that is there into shape; up, with its address, no spanning tree,
 * and packets from local addresses of 127/8 let through (the firewall sees to who may send them).
 */
int bridge_assert(const struct bridge *bridge, struct error *err);
int link_remove(const char *name, struct error *err); /* absent is fine */

struct pair {
    const char *host_name;   /* of the end that stays */
    const char *bridge_name; /* which it joins */
    const char *inner_name;
    uint8_t mac[6]; /* of the inner end */
    bool has_ipv4;
    struct subnet address;
    uint32_t gateway;                /* 0: none, its default route leads to the link itself */
    const struct subnet6 *address6;  /* NULL: IPv6 is off on this link */
    const struct in6_addr *gateway6; /* NULL: none */
    bool is_default, is_default6;    /* the default route shall go here */
    bool is_isolated;                /* may not talk to other isolated ones on the bridge */
    bool is_announced;               /* the neighbours are told who has the address now */
    const struct strv *link_locals;  /* more addresses, of either family; NULL: none */
    const struct strv *sysctls;      /* \"net/ipv4/conf/eth0/forwarding=1\"; NULL: none */
    bool is_hairpin;                 /* the bridge may send a packet back to where it came from */
    int mtu;
};
/* Connects a namespace; the inner end comes up last and then tells its address to the neighbours.
 */
int pair_create(const struct pair *pair, int home_fd, int namespace_fd, struct error *err);

/* A link that is part of another one (macvlan, ipvlan), made in a container's namespace. Of 'pair'
 * all that concerns the inner end counts. err->sys is EOPNOTSUPP if the kernel has no such kind. */
struct sublink {
    const char *kind, *parent_name;
    uint32_t mode, flags;
};
int sublink_create(const struct sublink *sublink, const struct pair *pair, int home_fd,
                   int namespace_fd, struct error *err);
bool sublink_is_supported(const char *kind);
int inner_link_remove(const char *name, int home_fd, int namespace_fd, struct error *err);

/* Parents of such links: up, without addresses. The first leads nowhere: a bridge without ports,
 * which each kernel of ours has. */
int lonely_create(const char *name, struct error *err);
int vlan_create(const char *name, const char *master_name, uint16_t id, struct error *err);

/* Where the default routes of a namespace go; without a name there is none of that family, without
 * an address it leads to the link itself. */
struct gateway {
    const char *link_name, *link_name6;
    uint32_t address;
    struct in6_addr address6;
};
int gateway_set(const struct gateway *gateway, int home_fd, int namespace_fd, struct error *err);

/* All links of this namespace. */
struct link {
    int index, master;
    char name[IFNAMSIZ];
    char kind[16]; /* "bridge", "veth", "" */
    bool is_up;
};
int link_list(struct link **out, size_t *out_count, struct error *err);
const struct link *link_find(const struct link *list, size_t count, const char *name);
/* Puts a link onto a bridge and brings it up. */
int link_join(int index, int master_index, struct error *err);
/* See 'struct pair'; of a link on a bridge. */
int link_set_port_modes(int index, bool is_isolated, bool is_hairpin, struct error *err);

/* Hears of links that are removed or brought down; readable when something happened to any link. */
int link_watch_open(struct netlink **out, struct error *err);
/* Was it one of those that 'is_ours' (asked by name) says yes to? Reads all that there is. */
bool link_was_lost(struct netlink *watch, bool (*is_ours)(void *data, const char *name),
                   void *data);

/* Subnets that this host's addresses and routes (other than default ones) speak of. */
int host_subnets(struct subnets *out, struct error *err);

/* One engine at a time looks for a free subnet on this host: held while the descriptor is open. */
int host_subnets_lock(int *out_fd, struct error *err);

#endif
