/* Chains and rules as tables of steps. Where a rule looks simpler than one would expect, see
 * docs/decisions/0004-firewall.md. */
#include "network/firewall.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter_ipv4.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/memory.h"
#include "base/text.h"
#include "base/thread.h"
#include "network/inlet.h"

#include "base/banned.h"

#define NOTIFICATION_SIZE ((size_t)64 << 10)

struct firewall {
    char *table;
    firewall_fill *fill;
    void *fill_data;
    struct mutex lock;
    struct netlink *
        netlink GUARDED_BY(lock);        /* all our changes go over it: watchers know its port */
    bool cannot_own GUARDED_BY(lock);    /* or must not: everybody may change the table */
    char *inlet_name, *inlet_outer_name; /* of mode "strict", else NULL */
    struct netlink *watch;
    char *user_table;
    uint32_t port; /* of 'netlink' */
};

/* ---- the rules ---- */

/* clang-format off */
static const struct nft_set sets[] = {
    { "ports",       NFT_SET_MAP,      NFT_TYPE_3(NFT_TYPE_IPV4, NFT_TYPE_PROTOCOL, NFT_TYPE_PORT), 12, NFT_TYPE_2(NFT_TYPE_IPV4, NFT_TYPE_PORT), 8 },
    { "ports_any",   NFT_SET_MAP,      NFT_TYPE_2(NFT_TYPE_PROTOCOL, NFT_TYPE_PORT),                 8, NFT_TYPE_2(NFT_TYPE_IPV4, NFT_TYPE_PORT), 8 },
    { "bridges",     0,                NFT_TYPE_INTERFACE,                                          16 },
    { "internals",   0,                NFT_TYPE_INTERFACE,                                          16 },
    { "within",      0,                NFT_TYPE_2(NFT_TYPE_INTERFACE, NFT_TYPE_INTERFACE),          32 }, /* open bridges: in and out by the same one */
    { "hairpins",    NFT_SET_INTERVAL, NFT_TYPE_2(NFT_TYPE_INTERFACE, NFT_TYPE_IPV4),               20, .field_sizes = { IFNAMSIZ, 4 } }, /* bridges with their subnets */
    { "masquerades", NFT_SET_INTERVAL, NFT_TYPE_IPV4,                                                4 },
    { "unprotected",  0,               NFT_TYPE_INTERFACE,                                          16 },
    { "unprotected6", 0,               NFT_TYPE_INTERFACE,                                          16 },
    { "ports6",       NFT_SET_MAP,      NFT_TYPE_3(NFT_TYPE_IPV6, NFT_TYPE_PROTOCOL, NFT_TYPE_PORT), 24, NFT_TYPE_2(NFT_TYPE_IPV6, NFT_TYPE_PORT), 20 },
    { "ports_any6",   NFT_SET_MAP,      NFT_TYPE_2(NFT_TYPE_PROTOCOL, NFT_TYPE_PORT),                 8, NFT_TYPE_2(NFT_TYPE_IPV6, NFT_TYPE_PORT), 20 },
    { "hairpins6",    NFT_SET_INTERVAL, NFT_TYPE_2(NFT_TYPE_INTERFACE, NFT_TYPE_IPV6),               32, .field_sizes = { IFNAMSIZ, 16 } },
    { "masquerades6", NFT_SET_INTERVAL, NFT_TYPE_IPV6,                                               16 },
    { "routed",       0,               NFT_TYPE_INTERFACE,                                          16 },
    { "routed6",      0,               NFT_TYPE_INTERFACE,                                          16 },
    { "opens",        0,               NFT_TYPE_3(NFT_TYPE_IPV4, NFT_TYPE_PROTOCOL, NFT_TYPE_PORT), 12 }, /* ports of containers of routed networks */
    { "opens6",       0,               NFT_TYPE_3(NFT_TYPE_IPV6, NFT_TYPE_PROTOCOL, NFT_TYPE_PORT), 24 },
    { "sources",      NFT_SET_MAP | NFT_SET_INTERVAL, NFT_TYPE_IPV4,                                   4, NFT_TYPE_IPV4,                             4 },
    { "sources6",     NFT_SET_MAP | NFT_SET_INTERVAL, NFT_TYPE_IPV6,                                  16, NFT_TYPE_IPV6,                            16 },
    { "trusted",      0,               NFT_TYPE_2(NFT_TYPE_INTERFACE, NFT_TYPE_INTERFACE),            32 }, /* links of the host with bridges */
    { "inlets",       0,               NFT_TYPE_INTERFACE,                                          16 },
};

static const struct nft_chain chains[] = {
    { "guard",       "filter", NF_INET_PRE_ROUTING,  NF_IP_PRI_RAW     },
    { "prerouting",  "nat",    NF_INET_PRE_ROUTING,  NF_IP_PRI_NAT_DST },
    { "output",      "nat",    NF_INET_LOCAL_OUT,    NF_IP_PRI_NAT_DST },
    { "postrouting", "nat",    NF_INET_POST_ROUTING, NF_IP_PRI_NAT_SRC },
    { "forward",     "filter", NF_INET_FORWARD,      NF_IP_PRI_FILTER  },
};

#define R(n)          NFT_REGISTER(n)
#define SOURCE        12 /* offsets in the IPv4 header */
#define DESTINATION   16
#define SOURCE6       8 /* and in the IPv6 header */
#define DESTINATION6  24
#define IS_IPV6       NFT_LOAD_META(NFT_META_NFPROTO, R(0)), NFT_IS(R(0), NFPROTO_IPV6, 1)
#define IS_IPV4       NFT_LOAD_META(NFT_META_NFPROTO, R(0)), NFT_IS(R(0), NFPROTO_IPV4, 1)
#define IS_LOOPBACK(where) NFT_LOAD_NETWORK(where, 1, R(0)), NFT_IS(R(0), 127, 1)
#define COMES_FROM(set) NFT_LOAD_META(NFT_META_IIFNAME, R(0)), NFT_IN(set, R(0))
#define GOES_TO(set)  NFT_LOAD_META(NFT_META_OIFNAME, R(0)), NFT_IN(set, R(0))
#define STAYS_IN(set) NFT_LOAD_META(NFT_META_IIFNAME, R(0)), NFT_LOAD_META(NFT_META_OIFNAME, R(4)), NFT_IN(set, R(0))
#define IS_PUBLISHED  NFT_LOAD_CT(NFT_CT_STATUS, R(0)), NFT_AND(R(0), IPS_DST_NAT), NFT_ISNT(R(0), 0, 4)
/* A bit for each of enum ip_conntrack_info, bit 0 being "invalid". */
#define IS_KNOWN      NFT_LOAD_CT(NFT_CT_STATE, R(0)), NFT_AND(R(0), 1U << (IP_CT_ESTABLISHED + 1) | 1U << (IP_CT_RELATED + 1)), NFT_ISNT(R(0), 0, 4)
#define PORT_AT(n)    NFT_LOAD_META(NFT_META_L4PROTO, R(n)), NFT_LOAD_TRANSPORT(2, 2, R((n) + 1))
#define TO_PORT       NFT_LOAD_NETWORK(DESTINATION, 4, R(0)), PORT_AT(1), NFT_MAP_TO("ports", R(0), R(0)), NFT_DNAT_TO(R(0), R(1))
#define TO_ANY_PORT   NFT_LOAD_ADDRESS_TYPE(R(0)), NFT_IS(R(0), RTN_LOCAL, 4), PORT_AT(0), NFT_MAP_TO("ports_any", R(0), R(0)), NFT_DNAT_TO(R(0), R(1))
#define TO_PORT6      NFT_LOAD_NETWORK(DESTINATION6, 16, R(0)), PORT_AT(4), NFT_MAP_TO("ports6", R(0), R(0)), NFT_DNAT6_TO(R(0), R(4))
#define TO_ANY_PORT6  NFT_LOAD_ADDRESS_TYPE(R(0)), NFT_IS(R(0), RTN_LOCAL, 4), PORT_AT(0), NFT_MAP_TO("ports_any6", R(0), R(0)), NFT_DNAT6_TO(R(0), R(4))

/* Of a packet's mark, while it is on its way to the host's input. */
#define STRICT_MARK   (1U << 30)
#define IS_NEW_HERE   NFT_LOAD_META(NFT_META_IIFNAME, R(0)), NFT_NOT_IN("inlets", R(0))
#define MARK_AND_LEAVE NFT_LOAD_META(NFT_META_MARK, R(0)), NFT_OR(R(0), STRICT_MARK), NFT_SET_META(NFT_META_MARK, R(0)), NFT_VERDICT(NFT_RETURN)

static const struct {
    const char *chain;
    struct nft_step steps[16];
    bool is_strict; /* of that mode only */
} rules[] = {
    /* Bridges route 127/8 for our own sake: nobody behind them may use it. */
    { "guard",       { IS_IPV4, IS_LOOPBACK(DESTINATION), COMES_FROM("bridges"), NFT_VERDICT(NF_DROP) } },
    { "guard",       { IS_IPV4, IS_LOOPBACK(SOURCE), COMES_FROM("bridges"), NFT_VERDICT(NF_DROP) } },
    /* What is published on 127.0.0.1 is not for those who send such packets over a cable. */
    { "prerouting",  { IS_IPV4, IS_LOOPBACK(DESTINATION), NFT_VERDICT(NFT_RETURN) } },
    /* What is published must please the host's input first, and comes again from there. */
    { "prerouting",  { IS_IPV4, IS_NEW_HERE, NFT_LOAD_NETWORK(DESTINATION, 4, R(0)), PORT_AT(1), NFT_MAP_TO("ports", R(0), R(8)), MARK_AND_LEAVE }, true },
    { "prerouting",  { IS_IPV4, IS_NEW_HERE, NFT_LOAD_ADDRESS_TYPE(R(0)), NFT_IS(R(0), RTN_LOCAL, 4), PORT_AT(0), NFT_MAP_TO("ports_any", R(0), R(8)), MARK_AND_LEAVE }, true },
    { "prerouting",  { IS_IPV6, IS_NEW_HERE, NFT_LOAD_NETWORK(DESTINATION6, 16, R(0)), PORT_AT(4), NFT_MAP_TO("ports6", R(0), R(8)), MARK_AND_LEAVE }, true },
    { "prerouting",  { IS_IPV6, IS_NEW_HERE, NFT_LOAD_ADDRESS_TYPE(R(0)), NFT_IS(R(0), RTN_LOCAL, 4), PORT_AT(0), NFT_MAP_TO("ports_any6", R(0), R(8)), MARK_AND_LEAVE }, true },
    { "prerouting",  { IS_IPV4, TO_PORT } },
    { "prerouting",  { IS_IPV4, TO_ANY_PORT } },
    { "output",      { IS_IPV4, TO_PORT } },
    { "output",      { IS_IPV4, TO_ANY_PORT } },
    { "prerouting",  { IS_IPV6, TO_PORT6 } },
    { "prerouting",  { IS_IPV6, TO_ANY_PORT6 } },
    /* Nothing that has to do with ::1 leaves a host: better refused at once than sent into nowhere. */
    { "output",      { IS_IPV6, NFT_LOAD_NETWORK(DESTINATION6, 4, R(0)), NFT_IS(R(0), 0, 4), NFT_VERDICT(NFT_RETURN) } },
    { "output",      { IS_IPV6, TO_PORT6 } },
    { "output",      { IS_IPV6, TO_ANY_PORT6 } },
    { "postrouting", { IS_IPV4, IS_LOOPBACK(SOURCE), GOES_TO("bridges"), NFT_MASQUERADE } },
    /* Who asks from the same subnet would get the answer directly, from an address that it never asked. Where bridged
     * packets are filtered, there is no incoming interface here. */
    { "postrouting", { IS_IPV4, NFT_LOAD_META(NFT_META_OIFNAME, R(0)), NFT_LOAD_NETWORK(SOURCE, 4, R(4)), NFT_IN("hairpins", R(0)),
                       IS_PUBLISHED, NFT_MASQUERADE } },
    { "postrouting", { IS_IPV6, NFT_LOAD_META(NFT_META_OIFNAME, R(0)), NFT_LOAD_NETWORK(SOURCE6, 16, R(4)), NFT_IN("hairpins6", R(0)),
                       IS_PUBLISHED, NFT_MASQUERADE } },
    /* What leaves by no bridge of ours takes an address of the host. */
    { "postrouting", { GOES_TO("bridges"), NFT_VERDICT(NFT_RETURN) } },
    { "postrouting", { IS_IPV4, NFT_LOAD_NETWORK(SOURCE, 4, R(0)), NFT_MAP_TO("sources", R(0), R(8)), NFT_SNAT_TO(R(8)) } },
    { "postrouting", { IS_IPV4, NFT_LOAD_NETWORK(SOURCE, 4, R(0)), NFT_IN("masquerades", R(0)), NFT_MASQUERADE } },
    { "postrouting", { IS_IPV6, NFT_LOAD_NETWORK(SOURCE6, 16, R(0)), NFT_MAP_TO("sources6", R(0), R(8)), NFT_SNAT6_TO(R(8)) } },
    { "postrouting", { IS_IPV6, NFT_LOAD_NETWORK(SOURCE6, 16, R(0)), NFT_IN("masquerades6", R(0)), NFT_MASQUERADE } },
    /* Nearly every packet stops here. What has nothing to do with bridges is accepted anyway. */
    { "forward",     { IS_KNOWN, NFT_VERDICT(NF_ACCEPT) } },
    { "forward",     { STAYS_IN("within"), NFT_VERDICT(NF_ACCEPT) } },
    { "forward",     { COMES_FROM("internals"), NFT_VERDICT(NF_DROP) } },
    { "forward",     { GOES_TO("internals"), NFT_VERDICT(NF_DROP) } },
    { "forward",     { GOES_TO("bridges"), IS_PUBLISHED, NFT_VERDICT(NF_ACCEPT) } },
    { "forward",     { IS_IPV4, GOES_TO("routed"), NFT_LOAD_NETWORK(DESTINATION, 4, R(0)), PORT_AT(1), NFT_IN("opens", R(0)), NFT_VERDICT(NF_ACCEPT) } },
    { "forward",     { IS_IPV6, GOES_TO("routed6"), NFT_LOAD_NETWORK(DESTINATION6, 16, R(0)), PORT_AT(4), NFT_IN("opens6", R(0)), NFT_VERDICT(NF_ACCEPT) } },
    /* A network whose gateway mode says so, but not from another network of ours. */
    { "forward",     { COMES_FROM("bridges"), GOES_TO("bridges"), NFT_VERDICT(NF_DROP) } },
    { "forward",     { IS_IPV4, STAYS_IN("trusted"), NFT_LOAD_NETWORK(DESTINATION, 4, R(0)), PORT_AT(1), NFT_IN("opens", R(0)), NFT_VERDICT(NF_ACCEPT) } },
    { "forward",     { IS_IPV6, STAYS_IN("trusted"), NFT_LOAD_NETWORK(DESTINATION6, 16, R(0)), PORT_AT(4), NFT_IN("opens6", R(0)), NFT_VERDICT(NF_ACCEPT) } },
    { "forward",     { IS_IPV4, GOES_TO("unprotected"), NFT_VERDICT(NF_ACCEPT) } },
    { "forward",     { IS_IPV6, GOES_TO("unprotected6"), NFT_VERDICT(NF_ACCEPT) } },
    { "forward",     { IS_IPV4, GOES_TO("routed"), NFT_LOAD_META(NFT_META_L4PROTO, R(0)), NFT_IS(R(0), IPPROTO_ICMP, 1), NFT_VERDICT(NF_ACCEPT) } },
    { "forward",     { IS_IPV6, GOES_TO("routed6"), NFT_LOAD_META(NFT_META_L4PROTO, R(0)), NFT_IS(R(0), IPPROTO_ICMPV6, 1), NFT_VERDICT(NF_ACCEPT) } },
    { "forward",     { GOES_TO("bridges"), NFT_VERDICT(NF_DROP) } },
};
/* clang-format on */

/* ---- elements ---- */

struct name_pair {
    char in[IFNAMSIZ], out[IFNAMSIZ];
};

struct name_and_address {
    char name[IFNAMSIZ];
    uint32_t address;
};

struct name_and_address6 {
    char name[IFNAMSIZ];
    struct in6_addr address;
};

static void change(struct nft_batch *batch, bool add, const char *set, const void *key,
                   size_t key_size)
{
    if (add)
        nft_element_add(batch, set, key, key_size, NULL, 0);
    else
        nft_element_remove(batch, set, key, key_size);
}

/* From 'first' to in front of 'end'; 'source' NULL: a set's, else a map's. */
static void change_range(struct nft_batch *batch, bool add, const char *set, const void *first,
                         const void *end, const void *source, size_t size)
{
    if (add) {
        nft_element_add(batch, set, first, size, source, source ? size : 0);
        nft_range_end_add(batch, set, end, size);
    } else {
        nft_element_remove(batch, set, first, size);
        nft_range_end_remove(batch, set, end, size);
    }
}

/* What leaves takes an address of the host: the one that is wished, or that of the way. */
static void change_masquerade(struct nft_batch *batch, bool add,
                              const struct firewall_bridge *bridge)
{
    uint32_t first = htonl(subnet_first(&bridge->subnet));
    uint32_t end = htonl(subnet_last(&bridge->subnet) + 1), source = htonl(bridge->source);

    if (bridge->source)
        change_range(batch, add, "sources", &first, &end, &source, sizeof(first));
    else
        change_range(batch, add, "masquerades", &first, &end, NULL, sizeof(first));
}

static void change_masquerade6(struct nft_batch *batch, bool add,
                               const struct firewall_bridge *bridge)
{
    struct in6_addr first = subnet6_first(&bridge->subnet6);
    struct subnet6 last = { subnet6_last(&bridge->subnet6), 128 };
    struct in6_addr end = subnet6_at(&last, 1);

    if (IN6_IS_ADDR_UNSPECIFIED(&bridge->source6))
        change_range(batch, add, "masquerades6", &first, &end, NULL, sizeof(first));
    else
        change_range(batch, add, "sources6", &first, &end, &bridge->source6, sizeof(first));
}

static void change_trusted(struct nft_batch *batch, bool add, const struct firewall_bridge *bridge)
{
    CLEANUP(strv_done) struct strv links = {};

    if (!text_is_empty(bridge->trusted_links))
        strv_split(&links, bridge->trusted_links, ':');
    for (size_t i = 0; i < links.count; i++) {
        struct name_pair pair = {};

        snprintf(pair.in, sizeof(pair.in), "%s", links.items[i]);
        snprintf(pair.out, sizeof(pair.out), "%s", bridge->name);
        change(batch, add, "trusted", &pair, sizeof(pair));
    }
}

static void change_hairpin(struct nft_batch *batch, bool add, const struct firewall_bridge *bridge)
{
    struct name_and_address first = { .address = htonl(subnet_first(&bridge->subnet)) };
    struct name_and_address last = { .address = htonl(subnet_last(&bridge->subnet)) };

    snprintf(first.name, sizeof(first.name), "%s", bridge->name);
    snprintf(last.name, sizeof(last.name), "%s", bridge->name);
    if (add)
        nft_ranges_add(batch, "hairpins", &first, &last, sizeof(first));
    else
        nft_ranges_remove(batch, "hairpins", &first, &last, sizeof(first));
}

static void change_ipv6(struct nft_batch *batch, bool add, const struct firewall_bridge *bridge)
{
    struct name_and_address6 first = { .address = subnet6_first(&bridge->subnet6) };
    struct name_and_address6 last = { .address = subnet6_last(&bridge->subnet6) };

    snprintf(first.name, sizeof(first.name), "%s", bridge->name);
    snprintf(last.name, sizeof(last.name), "%s", bridge->name);
    if (add)
        nft_ranges_add(batch, "hairpins6", &first, &last, sizeof(first));
    else
        nft_ranges_remove(batch, "hairpins6", &first, &last, sizeof(first));
    if (bridge->is_unprotected6)
        change(batch, add, "unprotected6", first.name, sizeof(first.name));
    if (bridge->is_routed6)
        change(batch, add, "routed6", first.name, sizeof(first.name));
    if (bridge->is_masqueraded6 && !bridge->is_internal)
        change_masquerade6(batch, add, bridge);
}

static void change_bridge(struct nft_batch *batch, bool add, const struct firewall_bridge *bridge)
{
    struct name_pair pair = {};

    snprintf(pair.in, sizeof(pair.in), "%s", bridge->name);
    snprintf(pair.out, sizeof(pair.out), "%s", bridge->name);
    change(batch, add, "bridges", pair.in, sizeof(pair.in));
    if (bridge->has_ipv4)
        change_hairpin(batch, add, bridge);
    if (bridge->is_open)
        change(batch, add, "within", &pair, sizeof(pair));
    if (bridge->is_internal)
        change(batch, add, "internals", pair.in, sizeof(pair.in));
    if (bridge->has_ipv4 && bridge->is_masqueraded && !bridge->is_internal)
        change_masquerade(batch, add, bridge);
    if (bridge->is_unprotected)
        change(batch, add, "unprotected", pair.in, sizeof(pair.in));
    if (bridge->is_routed)
        change(batch, add, "routed", pair.in, sizeof(pair.in));
    change_trusted(batch, add, bridge);
    if (bridge->has_ipv6)
        change_ipv6(batch, add, bridge);
}

void firewall_bridge_add(struct nft_batch *batch, const struct firewall_bridge *bridge)
{
    change_bridge(batch, true, bridge);
}

void firewall_bridge_remove(struct nft_batch *batch, const struct firewall_bridge *bridge)
{
    change_bridge(batch, false, bridge);
}

static bool is_zero(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i])
            return false;
    return true;
}

/* Of a network that is routed: nothing is translated, the container's port is open. */
static void change_open_port(struct nft_batch *batch, bool add, const struct firewall_port *port)
{
    size_t address_size = port->is_ipv6 ? 16 : 4;
    uint16_t inner_port = htons(port->port);
    uint8_t key[16 + 4 + 4] = {};

    memcpy(key, port->address, address_size);
    key[address_size] = port->protocol;
    memcpy(key + address_size + 4, &inner_port, sizeof(inner_port));
    change(batch, add, port->is_ipv6 ? "opens6" : "opens", key, address_size + 8);
}

/* Keys and data are addresses, protocols and ports one after the other, each padded to four octets.
 */
static void change_port(struct nft_batch *batch, bool add, const struct firewall_port *port)
{
    size_t address_size = port->is_ipv6 ? 16 : 4, key_size = 0;
    bool is_any = is_zero(port->host_address, address_size);
    const char *map = port->is_ipv6 ? (is_any ? "ports_any6" : "ports6")
                                    : (is_any ? "ports_any" : "ports");
    uint16_t host_port = htons(port->host_port), inner_port = htons(port->port);
    uint8_t key[16 + 4 + 4] = {}, target[16 + 4] = {};

    if (port->host_port == 0 || port->is_open)
        change_open_port(batch, add, port);
    if (port->host_port == 0)
        return;
    if (!is_any) {
        memcpy(key, port->host_address, address_size);
        key_size = address_size;
    }
    key[key_size] = port->protocol;
    memcpy(key + key_size + 4, &host_port, sizeof(host_port));
    memcpy(target, port->address, address_size);
    memcpy(target + address_size, &inner_port, sizeof(inner_port));
    if (add)
        nft_element_add(batch, map, key, key_size + 8, target, address_size + 4);
    else
        nft_element_remove(batch, map, key, key_size + 8);
}

void firewall_port_add(struct nft_batch *batch, const struct firewall_port *port)
{
    change_port(batch, true, port);
}

void firewall_port_remove(struct nft_batch *batch, const struct firewall_port *port)
{
    change_port(batch, false, port);
}

/* ---- the table ---- */

int firewall_open(const struct firewall_options *options, struct firewall **out, struct error *err)
{
    CLEANUP(firewall_close) struct firewall *firewall = NEW(struct firewall);

    mutex_init(&firewall->lock);
    firewall->table = xstrdup(options->table);
    firewall->user_table = xasprintf("%s_user", options->table);
    firewall->inlet_name = options->inlet_name ? xstrdup(options->inlet_name) : NULL;
    firewall->inlet_outer_name = options->inlet_name ? xstrdup(options->inlet_outer_name) : NULL;
    firewall->fill = options->fill;
    firewall->fill_data = options->data;
    mutex_lock(&firewall->lock);
    firewall->cannot_own = options->is_shared;
    int result = netlink_open(NETLINK_NETFILTER, &firewall->netlink, err);
    if (result == 0)
        firewall->port = netlink_port(firewall->netlink);
    mutex_unlock(&firewall->lock);
    if (result < 0 || netlink_open(NETLINK_NETFILTER, &firewall->watch, err) < 0 ||
        netlink_join(firewall->watch, NFNLGRP_NFTABLES, err) < 0)
        return -1;
    *out = TAKE(firewall);
    return 0;
}

void firewall_close(struct firewall *firewall)
{
    if (!firewall)
        return;
    mutex_lock(&firewall->lock);
    netlink_close(firewall->netlink);
    mutex_unlock(&firewall->lock);
    netlink_close(firewall->watch);
    mutex_done(&firewall->lock);
    free(firewall->table);
    free(firewall->user_table);
    free(firewall->inlet_name);
    free(firewall->inlet_outer_name);
    free(firewall);
}

/* Where there may be tables of ours; the last one is the one that there always is. */
static const uint8_t families[] = { NFPROTO_IPV4, NFPROTO_IPV6, NFPROTO_INET };

/* All elements. */
static int fill(struct firewall *firewall, struct nft_batch *batch, struct error *err)
{
    char name[IFNAMSIZ] = "";

    if (firewall->inlet_name) {
        snprintf(name, sizeof(name), "%s", firewall->inlet_name);
        change(batch, true, "inlets", name, sizeof(name));
    }
    return firewall->fill(firewall->fill_data, batch, err);
}

/* In tables of the families of each IP: only those can duplicate packets. */
static const struct nft_chain admission = { "admission", "filter", NF_INET_LOCAL_IN, 1000 };

/* What comes here has been accepted by all others that judge the host's input: it goes on by the
 * inlet. See docs/decisions/0004-firewall.md, "Strict mode". */
static void write_admission(struct firewall *firewall, struct nft_batch *batch)
{
    uint32_t address[] = { htonl(INLET_ADDRESS6_FIRST), 0, 0, htonl(INLET_ADDRESS6_LAST) };
    bool is_ipv6 = batch->family == NFPROTO_IPV6;
    uint32_t index = if_nametoindex(firewall->inlet_outer_name);
    const struct nft_step steps[] = {
        NFT_LOAD_META(NFT_META_MARK, R(0)),
        NFT_AND(R(0), STRICT_MARK),
        NFT_ISNT(R(0), 0, 4),
        NFT_LOAD_META(NFT_META_MARK, R(0)),
        NFT_AND(R(0), ~STRICT_MARK),
        NFT_SET_META(NFT_META_MARK, R(0)),
        NFT_VALUE(is_ipv6 ? address[0] : htonl(INLET_ADDRESS), R(4)),
        NFT_VALUE(address[1], R(5)),
        NFT_VALUE(address[2], R(6)),
        NFT_VALUE(address[3], R(7)),
        NFT_VALUE(index, R(8)),
        NFT_DUPLICATE_TO(R(4), R(8)),
        NFT_VERDICT(NF_DROP),
        NFT_END,
    };

    nft_chain_add(batch, &admission);
    nft_rule_add(batch, admission.name, steps);
}

/* Adding the table first makes removing it succeed in any case. */
static void write_table(struct nft_batch *batch, bool own, bool is_wanted)
{
    nft_table_add(batch);
    nft_table_remove(batch);
    if (is_wanted && own)
        nft_table_own(batch);
    else if (is_wanted)
        nft_table_add(batch);
}

static int firewall_write(struct firewall *firewall, bool own, struct nft_batch *batch,
                          struct error *err)
{
    bool is_strict = firewall->inlet_name != NULL;

    for (size_t i = 0; i < COUNT(families); i++) {
        batch->family = families[i];
        write_table(batch, own, is_strict || families[i] == NFPROTO_INET);
        if (is_strict && families[i] != NFPROTO_INET)
            write_admission(firewall, batch);
    }
    for (size_t i = 0; i < COUNT(sets); i++)
        nft_set_add(batch, &sets[i]);
    for (size_t i = 0; i < COUNT(chains); i++)
        nft_chain_add(batch, &chains[i]);
    for (size_t i = 0; i < COUNT(rules); i++)
        if (is_strict || !rules[i].is_strict)
            nft_rule_add(batch, rules[i].chain, rules[i].steps);
    return fill(firewall, batch, err);
}

static int write_locked(struct firewall *firewall, bool own, struct error *err)
    REQUIRES(firewall->lock)
{
    CLEANUP(nft_batch_done) struct nft_batch batch;

    nft_batch_init(&batch, firewall->table);
    if (firewall_write(firewall, own, &batch, err) < 0)
        return -1;
    return nft_commit(firewall->netlink, &batch, err);
}

/* Owned where the kernel can do that: nobody's flush opens what is closed then. */
static int rebuild_locked(struct firewall *firewall, struct error *err) REQUIRES(firewall->lock)
{
    struct error failure = {};

    if (!firewall->cannot_own) {
        if (write_locked(firewall, true, &failure) == 0)
            return 0;
        if (failure.sys != EOPNOTSUPP && failure.sys != EINVAL)
            return error_set(err, failure.kind, "%s", failure.text);
        firewall->cannot_own = true;
    }
    return write_locked(firewall, false, err);
}

int firewall_rebuild(struct firewall *firewall, struct error *err)
{
    int result;

    mutex_lock(&firewall->lock);
    result = rebuild_locked(firewall, err);
    mutex_unlock(&firewall->lock);
    return result;
}

static int commit_on_user_table(struct firewall *firewall, bool add, struct error *err)
{
    static const struct nft_chain chain = { "forward", "filter", NF_INET_FORWARD,
                                            NF_IP_PRI_FILTER - 10 };
    CLEANUP(nft_batch_done) struct nft_batch batch;
    int result;

    nft_batch_init(&batch, firewall->user_table);
    nft_table_add(&batch);
    if (add)
        nft_chain_add(&batch, &chain);
    else
        nft_table_remove(&batch);
    mutex_lock(&firewall->lock);
    result = nft_commit(firewall->netlink, &batch, err);
    mutex_unlock(&firewall->lock);
    return result;
}

int firewall_assert_user_table(struct firewall *firewall, struct error *err)
{
    return commit_on_user_table(firewall, true, err);
}

int firewall_remove(struct firewall *firewall, struct error *err)
{
    CLEANUP(nft_batch_done) struct nft_batch batch;
    int result;

    firewall_begin(firewall, &batch);
    for (size_t i = 0; i < COUNT(families); i++) {
        batch.family = families[i];
        write_table(&batch, false, false);
    }
    mutex_lock(&firewall->lock);
    result = nft_commit(firewall->netlink, &batch, err);
    mutex_unlock(&firewall->lock);
    return result < 0 ? -1 : commit_on_user_table(firewall, false, err);
}

void firewall_begin(struct firewall *firewall, struct nft_batch *batch)
{
    nft_batch_init(batch, firewall->table);
}

int firewall_commit(struct firewall *firewall, struct nft_batch *batch, struct error *err)
{
    int result;

    mutex_lock(&firewall->lock);
    result = nft_commit(firewall->netlink, batch, NULL);
    if (result < 0)
        result = rebuild_locked(firewall, err);
    mutex_unlock(&firewall->lock);
    return result;
}

/* ---- watching ---- */

int firewall_watch_fd(const struct firewall *firewall)
{
    return netlink_fd(firewall->watch);
}

bool firewall_was_harmed(struct firewall *firewall)
{
    CLEANUP(free) uint8_t *buffer = xmalloc(NOTIFICATION_SIZE);
    bool is_harmed = false;

    for (;;) {
        ssize_t size = recv(netlink_fd(firewall->watch), buffer, NOTIFICATION_SIZE, MSG_DONTWAIT);
        const struct nlmsghdr *message = (const void *)buffer;

        if (size < 0 && errno == ENOBUFS) { /* Too much went on to be told all of it. */
            is_harmed = true;
            continue;
        }
        if (size < 0)
            return is_harmed;
        for (size_t left = (size_t)size; left >= sizeof(*message) &&
                                         message->nlmsg_len >= sizeof(*message) &&
                                         message->nlmsg_len <= left;) {
            size_t step = NLMSG_ALIGN(message->nlmsg_len);

            if (message->nlmsg_pid != firewall->port &&
                (nft_tells_of_loss(message, firewall->table) ||
                 nft_tells_of_lost_chain(message, firewall->user_table)))
                is_harmed = true;
            left -= MIN(step, left);
            message = (const void *)((const uint8_t *)message + step);
        }
    }
}

/* ---- comparing ---- */

/* Elements as lines "set key : data", in hex where it is not a name. */
struct element_lines {
    const char *set;
    struct strv lines;
};

static int add_element_line(const struct nft_element *element, void *data, struct error *err UNUSED)
{
    struct element_lines *out = data;
    char key[2 * 64 + 1] = "", last[2 * 64 + 1] = "", value[2 * 64 + 1] = "";

    hex_encode(element->key, MIN(element->key_size, (size_t)64), key);
    hex_encode(element->last, MIN(element->last_size, (size_t)64), last);
    hex_encode(element->data, MIN(element->data_size, (size_t)64), value);
    strv_add_format(&out->lines, "%s %s%s%s%s%s%s", out->set, key, last[0] ? "-" : "", last,
                    value[0] ? " : " : "", value, element->is_range_end ? " (end)" : "");
    return 0;
}

/* Several ports of the host may open one of a container. */
static void drop_doubles(struct strv *sorted)
{
    for (size_t i = sorted->count; i > 1; i--)
        if (strcmp(sorted->items[i - 1], sorted->items[i - 2]) == 0)
            strv_remove(sorted, i - 1);
}

/* What we would write if we wrote the table now. */
static int wanted_lines(struct firewall *firewall, struct element_lines *out, struct error *err)
{
    CLEANUP(nft_batch_done) struct nft_batch batch;
    size_t offset = 0;

    nft_batch_init(&batch, firewall->table);
    if (fill(firewall, &batch, err) < 0)
        return -1;
    while (offset < batch.msg.size) {
        const struct nlmsghdr *message = (const void *)(batch.msg.memory + offset);
        const struct nlattr *attributes[NFTA_SET_ELEM_LIST_SET + 1];

        offset += NLMSG_ALIGN(message->nlmsg_len);
        nl_attributes(message, sizeof(struct nfgenmsg), attributes, NFTA_SET_ELEM_LIST_SET);
        out->set = nl_get_string(attributes[NFTA_SET_ELEM_LIST_SET]);
        if (nft_elements_read(message, add_element_line, out, err) < 0)
            return -1;
    }
    strv_sort(&out->lines);
    drop_doubles(&out->lines);
    return 0;
}

static void count_rule(const char *chain, void *data)
{
    size_t *counts = data;

    for (size_t i = 0; i < COUNT(chains); i++)
        counts[i] += strcmp(chains[i].name, chain) == 0;
    counts[COUNT(chains)] += strcmp(admission.name, chain) == 0;
}

static int verify_rules(struct firewall *firewall, struct netlink *netlink, struct strv *out,
                        struct error *err)
{
    size_t found[COUNT(chains) + 1] = {}, wanted[COUNT(chains) + 1] = {};
    bool is_strict = firewall->inlet_name != NULL;

    for (size_t i = 0; i < COUNT(families); i++)
        if (nft_rules(netlink, families[i], firewall->table, count_rule, found, err) < 0)
            return -1;
    for (size_t i = 0; i < COUNT(rules); i++)
        if (is_strict || !rules[i].is_strict)
            count_rule(rules[i].chain, wanted);
    wanted[COUNT(chains)] = is_strict ? COUNT(families) - 1 : 0;
    for (size_t i = 0; i < COUNT(wanted); i++)
        if (found[i] != wanted[i])
            strv_add_format(out, "nftables: chain %s of table %s has %zu rules instead of %zu",
                            i < COUNT(chains) ? chains[i].name : admission.name, firewall->table,
                            found[i], wanted[i]);
    return 0;
}

/* Both lists are sorted. */
static void tell_differences(const char *table, const struct strv *wanted, const struct strv *found,
                             struct strv *out)
{
    size_t w = 0, f = 0;

    while (w < wanted->count || f < found->count) {
        int order = w == wanted->count  ? 1
                    : f == found->count ? -1
                                        : strcmp(wanted->items[w], found->items[f]);

        if (order < 0)
            strv_add_format(out, "nftables: table %s misses element %s", table, wanted->items[w]);
        else if (order > 0)
            strv_add_format(out, "nftables: table %s has element %s which is not in the record",
                            table, found->items[f]);
        w += order <= 0;
        f += order >= 0;
    }
}

int firewall_verify(struct firewall *firewall, struct strv *out, struct error *err)
{
    CLEANUP(netlink_close) struct netlink *netlink = NULL;
    struct element_lines wanted = {}, found = {};
    struct error failure = {};
    int result;

    if (netlink_open(NETLINK_NETFILTER, &netlink, err) < 0)
        return -1;
    mutex_lock(&firewall->lock); /* so that record and table stand still for each other */
    result = wanted_lines(firewall, &wanted, &failure);
    for (size_t i = 0; result == 0 && i < COUNT(sets); i++) {
        found.set = sets[i].name;
        result = nft_elements(netlink, firewall->table, found.set, add_element_line, &found,
                              &failure);
    }
    if (result == 0)
        result = verify_rules(firewall, netlink, out, &failure);
    mutex_unlock(&firewall->lock);
    strv_sort(&found.lines);
    if (result == 0)
        tell_differences(firewall->table, &wanted.lines, &found.lines, out);
    strv_done(&wanted.lines);
    strv_done(&found.lines);
    if (result < 0 && failure.kind == ERROR_NOT_FOUND) {
        strv_add_format(out, "nftables: table %s or a part of it is missing", firewall->table);
        return 0;
    }
    return result < 0 ? error_set(err, failure.kind, "%s", failure.text) : 0;
}
