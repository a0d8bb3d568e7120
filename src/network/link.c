/* Links are made and configured by rtnetlink: a pair costs one message on the host's side and one
 * conversation in the container's namespace. */
#include "network/link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>

#include "base/file.h"
#include "base/memory.h"
#include "linux/netlink.h"
#include "network/link_read.h"
#include "network/namespace.h"

#include "base/banned.h"

static int write_sysctl(const char *family, const char *link_name, const char *key,
                        const char *value, struct error *err)
{
    char path[128];

    snprintf(path, sizeof(path), "/proc/sys/net/%s/conf/%s/%s", family, link_name, key);
    return file_write_existing(path, value, err);
}

/* A kernel without IPv6 has nothing to be switched off. */
static int disable_ipv6(const char *link_name, struct error *err)
{
    struct error failure = {};

    if (write_sysctl("ipv6", link_name, "disable_ipv6", "1", &failure) == 0 ||
        failure.sys == ENOENT || failure.kind == ERROR_NOT_FOUND)
        return 0;
    return error_set(err, failure.kind, "%s", failure.text);
}

static void put_address(struct nl_msg *msg, int index, const struct subnet *address)
{
    struct ifaddrmsg *header;
    uint32_t local = htonl(address->address), broadcast = htonl(subnet_last(address));

    nl_msg_next(msg, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE);
    header = nl_put_header(msg, sizeof(*header));
    header->ifa_family = AF_INET;
    header->ifa_prefixlen = (uint8_t)address->prefix_length;
    header->ifa_scope = RT_SCOPE_UNIVERSE;
    header->ifa_index = (uint32_t)index;
    nl_put(msg, IFA_LOCAL, &local, sizeof(local));
    nl_put(msg, IFA_ADDRESS, &local, sizeof(local));
    nl_put(msg, IFA_BROADCAST, &broadcast, sizeof(broadcast));
}

/* Addresses of ours are there at once: nobody else can have them. No router tells us others. */
static void put_address6(struct nl_msg *msg, int index, const struct subnet6 *address)
{
    struct ifaddrmsg *header;

    nl_msg_next(msg, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE);
    header = nl_put_header(msg, sizeof(*header));
    header->ifa_family = AF_INET6;
    header->ifa_prefixlen = (uint8_t)address->prefix_length;
    header->ifa_flags = IFA_F_NODAD;
    header->ifa_scope = RT_SCOPE_UNIVERSE;
    header->ifa_index = (uint32_t)index;
    nl_put(msg, IFA_LOCAL, &address->address, sizeof(address->address));
    nl_put(msg, IFA_ADDRESS, &address->address, sizeof(address->address));
}

static int enable_ipv6(const char *link_name, struct error *err)
{
    static const char *const keys[][2] = { { "accept_ra", "0" },
                                           { "accept_dad", "0" },
                                           { "disable_ipv6", "0" } };
    struct sysctl rows[COUNT(keys)];
    char paths[COUNT(keys)][64];

    for (size_t i = 0; i < COUNT(keys); i++) {
        snprintf(paths[i], sizeof(paths[i]), "net/ipv6/conf/%s/%s", link_name, keys[i][0]);
        rows[i] = (struct sysctl){ paths[i], keys[i][1], false };
    }
    if (sysctls_write(rows, COUNT(rows), err) < 0)
        return error_context(err, "enable IPv6");
    return 0;
}

/* ---- bridges ---- */

bool bridge_can_filter(void)
{
    return file_exists("/sys/module/br_netfilter") ||
           file_exists("/proc/sys/net/bridge/bridge-nf-call-iptables");
}

static void put_bridge(struct nl_msg *msg, const struct bridge *bridge)
{
    char mac_text[MAC_TEXT_SIZE];
    uint8_t mac[6];

    /* An own address, or the bridge would change to that of each lower neighbour that comes. */
    if (bridge->has_ipv4)
        mac_from_address(bridge->address.address, mac_text);
    else
        mac_from_address6(&bridge->address6->address, mac_text);
    mac_parse(mac_text, mac, NULL);
    nl_put_link_flags(msg, 0, IFF_UP, IFF_UP);
    nl_put_string(msg, IFLA_IFNAME, bridge->name);
    nl_put(msg, IFLA_ADDRESS, mac, sizeof(mac));
    if (bridge->mtu > 0)
        nl_put_u32(msg, IFLA_MTU, (uint32_t)bridge->mtu);
    NL_NEST (msg, IFLA_LINKINFO) {
        nl_put_string(msg, IFLA_INFO_KIND, "bridge");
        NL_NEST (msg, IFLA_INFO_DATA) {
            nl_put_u32(msg, IFLA_BR_STP_STATE, 0);
            nl_put_u32(msg, IFLA_BR_FORWARD_DELAY, 0);
            /* Nobody asks who wants which group, so the kernel floods anyway; but each port that
             * comes would set the timers of all others. */
            nl_put_u8(msg, IFLA_BR_MCAST_SNOOPING, 0);
            if (bridge->is_filtered) {
                nl_put_u8(msg, IFLA_BR_NF_CALL_IPTABLES, 1);
                nl_put_u8(msg, IFLA_BR_NF_CALL_IP6TABLES, 1);
            }
        }
    }
}

int bridge_assert(const struct bridge *bridge, struct error *err)
{
    CLEANUP(netlink_close) struct netlink *netlink = NULL;
    CLEANUP(nl_msg_done) struct nl_msg msg = {};
    int index;

    if (netlink_open(NETLINK_ROUTE, &netlink, err) < 0)
        return -1;
    nl_msg_init(&msg, RTM_NEWLINK, NLM_F_CREATE);
    put_bridge(&msg, bridge);
    if (netlink_call(netlink, &msg, err) < 0)
        return error_context(err, "create bridge %s", bridge->name);
    index = (int)if_nametoindex(bridge->name);
    if ((bridge->address6 ? enable_ipv6(bridge->name, err) : disable_ipv6(bridge->name, err)) < 0)
        return -1;
    nl_msg_init(&msg, RTM_NEWLINK, 0);
    nl_put_link_flags(&msg, index, IFF_UP, IFF_UP);
    if (bridge->has_ipv4 && !bridge->is_isolated)
        put_address(&msg, index, &bridge->address);
    if (bridge->address6 && !bridge->is_isolated)
        put_address6(&msg, index, bridge->address6);
    if (netlink_call(netlink, &msg, err) < 0)
        return error_context(err, "set address of bridge %s", bridge->name);
    return write_sysctl("ipv4", bridge->name, "route_localnet", "1", err);
}

int link_remove(const char *name, struct error *err)
{
    CLEANUP(netlink_close) struct netlink *netlink = NULL;
    CLEANUP(nl_msg_done) struct nl_msg msg = {};
    struct error failure = {};

    if (netlink_open(NETLINK_ROUTE, &netlink, err) < 0)
        return -1;
    nl_msg_init(&msg, RTM_DELLINK, 0);
    nl_put_link(&msg, 0);
    nl_put_string(&msg, IFLA_IFNAME, name);
    if (netlink_call(netlink, &msg, &failure) < 0 && failure.sys != ENODEV) {
        error_set(err, failure.kind, "%s", failure.text);
        return error_context(err, "remove link %s", name);
    }
    return 0;
}

/* ---- pairs ---- */

static void put_pair(struct nl_msg *msg, const struct pair *pair, int bridge_index,
                     int namespace_fd)
{
    nl_put_link(msg, 0);
    nl_put_string(msg, IFLA_IFNAME, pair->host_name);
    nl_put_u32(msg, IFLA_MASTER, (uint32_t)bridge_index);
    if (pair->mtu > 0)
        nl_put_u32(msg, IFLA_MTU, (uint32_t)pair->mtu);
    NL_NEST (msg, IFLA_LINKINFO) {
        nl_put_string(msg, IFLA_INFO_KIND, "veth");
        NL_NEST (msg, IFLA_INFO_DATA)
            NL_NEST (msg, VETH_INFO_PEER) {
                nl_put_link(msg, 0);
                nl_put_string(msg, IFLA_IFNAME, pair->inner_name);
                nl_put(msg, IFLA_ADDRESS, pair->mac, sizeof(pair->mac));
                if (pair->mtu > 0)
                    nl_put_u32(msg, IFLA_MTU, (uint32_t)pair->mtu);
                nl_put_u32(msg, IFLA_NET_NS_FD, (uint32_t)namespace_fd);
            }
    }
}

/* In the bridge's own words: as a change of the link it would be told to everybody, and the host's
 * IPv6 would look through all its routes because of a link that is not ready yet. */
static int set_port_modes(struct netlink *netlink, int index, bool is_isolated, bool is_hairpin,
                          struct error *err)
{
    CLEANUP(nl_msg_done) struct nl_msg msg = {};
    struct ifinfomsg *header;

    nl_msg_init(&msg, RTM_SETLINK, 0);
    header = nl_put_link(&msg, index);
    header->ifi_family = AF_BRIDGE;
    NL_NEST (&msg, IFLA_PROTINFO | NLA_F_NESTED) {
        nl_put_u8(&msg, IFLA_BRPORT_ISOLATED, is_isolated);
        nl_put_u8(&msg, IFLA_BRPORT_MODE, is_hairpin);
    }
    return netlink_call(netlink, &msg, err);
}

int link_set_port_modes(int index, bool is_isolated, bool is_hairpin, struct error *err)
{
    CLEANUP(netlink_close) struct netlink *netlink = NULL;

    if (netlink_open(NETLINK_ROUTE, &netlink, err) < 0)
        return -1;
    return set_port_modes(netlink, index, is_isolated, is_hairpin, err);
}

static void fill_default_route(struct nl_msg *msg, struct rtmsg *route, int index, uint32_t address)
{
    route->rtm_family = AF_INET;
    route->rtm_table = RT_TABLE_MAIN;
    route->rtm_protocol = RTPROT_BOOT;
    route->rtm_scope = address ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
    route->rtm_type = RTN_UNICAST;
    if (address)
        nl_put(msg, RTA_GATEWAY, &address, sizeof(address));
    nl_put_u32(msg, RTA_OIF, (uint32_t)index);
}

static void put_default_route(struct nl_msg *msg, int index, uint32_t gateway)
{
    struct rtmsg *route;

    nl_msg_next(msg, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE);
    route = nl_put_header(msg, sizeof(*route));
    fill_default_route(msg, route, index, htonl(gateway));
}

static void put_default_route6(struct nl_msg *msg, int index, const struct in6_addr *gateway)
{
    struct rtmsg *route;

    nl_msg_next(msg, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE);
    route = nl_put_header(msg, sizeof(*route));
    route->rtm_family = AF_INET6;
    route->rtm_table = RT_TABLE_MAIN;
    route->rtm_protocol = RTPROT_BOOT;
    route->rtm_scope = RT_SCOPE_UNIVERSE;
    route->rtm_type = RTN_UNICAST;
    if (gateway && !IN6_IS_ADDR_UNSPECIFIED(gateway))
        nl_put(msg, RTA_GATEWAY, gateway, sizeof(*gateway));
    nl_put_u32(msg, RTA_OIF, (uint32_t)index);
}

static int remove_default_route(struct netlink *netlink, uint8_t family, struct error *err)
{
    CLEANUP(nl_msg_done) struct nl_msg msg = {};
    struct error failure = {};
    struct rtmsg *route;

    nl_msg_init(&msg, RTM_DELROUTE, 0);
    route = nl_put_header(&msg, sizeof(*route));
    route->rtm_family = family;
    route->rtm_table = RT_TABLE_MAIN;
    route->rtm_scope = RT_SCOPE_NOWHERE; /* of whatever scope */
    /* A namespace without IPv6 knows of no such thing. */
    if (netlink_call(netlink, &msg, &failure) == 0 || failure.sys == ESRCH ||
        failure.sys == ENOENT || failure.sys == EAFNOSUPPORT || failure.sys == EOPNOTSUPP)
        return 0;
    return error_set(err, failure.kind, "%s", failure.text);
}

static int set_gateway_inside(void *data, struct error *err)
{
    const struct gateway *gateway = data;
    CLEANUP(netlink_close) struct netlink *netlink = NULL;
    CLEANUP(nl_msg_done) struct nl_msg msg = {};
    int index = gateway->link_name ? (int)if_nametoindex(gateway->link_name) : 0;
    int index6 = gateway->link_name6 ? (int)if_nametoindex(gateway->link_name6) : 0;

    if ((gateway->link_name && index == 0) || (gateway->link_name6 && index6 == 0))
        return error_sys(err, "find the link of the default route");
    if (netlink_open(NETLINK_ROUTE, &netlink, err) < 0 ||
        (!index && remove_default_route(netlink, AF_INET, err) < 0) ||
        (!index6 && remove_default_route(netlink, AF_INET6, err) < 0))
        return -1;
    if (index) {
        put_default_route(&msg, index, gateway->address);
        if (netlink_call(netlink, &msg, err) < 0)
            return -1;
    }
    if (!index6)
        return 0;
    /* Another next hop would be added to that which is there, not replace it. */
    if (remove_default_route(netlink, AF_INET6, err) < 0)
        return -1;
    nl_msg_done(&msg);
    put_default_route6(&msg, index6, &gateway->address6);
    return netlink_call(netlink, &msg, err);
}

int gateway_set(const struct gateway *gateway, int home_fd, int namespace_fd, struct error *err)
{
    struct gateway copy = *gateway;

    if (namespace_visit(home_fd, namespace_fd, set_gateway_inside, &copy, err) < 0)
        return error_context(err, "set the default route");
    return 0;
}

static int write_wished_sysctls(const struct strv *sysctls, struct error *err)
{
    for (size_t i = 0; sysctls && i < sysctls->count; i++) {
        CLEANUP(free) char *path = xstrdup(sysctls->items[i]);
        char *value = strchr(path, '=');

        *value++ = '\0';
        if (sysctls_write(&(struct sysctl){ path, value, false }, 1, err) < 0)
            return error_context(err, "set %s", path);
    }
    return 0;
}

static int find_inner_link(struct netlink *netlink, const char *name, struct inner_link *out,
                           struct error *err)
{
    CLEANUP(nl_msg_done) struct nl_msg msg = {};

    nl_msg_init(&msg, RTM_GETLINK, 0);
    nl_put_link(&msg, 0);
    nl_put_string(&msg, IFLA_IFNAME, name);
    nl_put_u32(&msg, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    if (netlink_dump(netlink, &msg, inner_link_read, out, err) < 0)
        return error_context(err, "find %s", name);
    return out->index ? 0 : error_set(err, ERROR_INTERNAL, "there is no link %s", name);
}

static int announce(const char *link_name, struct error *err)
{
    char path[64];

    snprintf(path, sizeof(path), "net/ipv4/conf/%s/arp_notify", link_name);
    return sysctls_write(&(struct sysctl){ path, "1", false }, 1, err);
}

/* Namespaces that an engine of old made have IPv6 on new links. */
static int settle_ipv6(const struct pair *pair, const struct inner_link *link, struct error *err)
{
    if (pair->address6)
        return enable_ipv6(pair->inner_name, err);
    return link->has_ipv6 ? disable_ipv6(pair->inner_name, err) : 0;
}

static void put_link_locals(struct nl_msg *msg, int index, const struct strv *addresses)
{
    for (size_t i = 0; addresses && i < addresses->count; i++) {
        struct subnet ipv4 = { .prefix_length = 16 };
        struct subnet6 ipv6 = { .prefix_length = 64 };

        if (address_parse(addresses->items[i], &ipv4.address, NULL) == 0)
            put_address(msg, index, &ipv4);
        else if (address6_parse(addresses->items[i], &ipv6.address, NULL) == 0)
            put_address6(msg, index, &ipv6);
    }
}

/* Within the namespace. With arp_notify the kernel announces the address when the link comes up. */
static int configure_inner_end(void *data, struct error *err)
{
    const struct pair *pair = data;
    CLEANUP(netlink_close) struct netlink *netlink = NULL;
    CLEANUP(nl_msg_done) struct nl_msg msg = {};
    struct inner_link link = {};

    if (netlink_open(NETLINK_ROUTE, &netlink, err) < 0 ||
        find_inner_link(netlink, pair->inner_name, &link, err) < 0 ||
        settle_ipv6(pair, &link, err) < 0 ||
        (pair->is_announced && announce(pair->inner_name, err) < 0))
        return -1;
    if (pair->has_ipv4)
        put_address(&msg, link.index, &pair->address);
    if (pair->address6)
        put_address6(&msg, link.index, pair->address6);
    put_link_locals(&msg, link.index, pair->link_locals);
    nl_msg_next(&msg, RTM_NEWLINK, 0);
    nl_put_link_flags(&msg, link.index, IFF_UP, IFF_UP);
    if (pair->is_default)
        put_default_route(&msg, link.index, pair->gateway);
    if (pair->is_default6 && pair->address6)
        put_default_route6(&msg, link.index, pair->gateway6);
    if (netlink_call(netlink, &msg, err) < 0)
        return -1;
    return write_wished_sysctls(pair->sysctls, err);
}

/* A port of a bridge has no use for addresses. With IPv6 each would get some and routes to them,
 * and the host's IPv6 looks through those of all ports, one after the other, whenever a link comes.
 */
static int raise_host_end(struct netlink *netlink, const struct pair *pair, struct error *err)
{
    CLEANUP(nl_msg_done) struct nl_msg msg = {};
    int index = (int)if_nametoindex(pair->host_name);

    if (disable_ipv6(pair->host_name, err) < 0 ||
        ((pair->is_isolated || pair->is_hairpin) &&
         set_port_modes(netlink, index, pair->is_isolated, pair->is_hairpin, err) < 0))
        return -1;
    nl_msg_init(&msg, RTM_NEWLINK, 0);
    nl_put_link_flags(&msg, index, IFF_UP, IFF_UP);
    return netlink_call(netlink, &msg, err);
}

int pair_create(const struct pair *pair, int home_fd, int namespace_fd, struct error *err)
{
    CLEANUP(netlink_close) struct netlink *netlink = NULL;
    CLEANUP(nl_msg_done) struct nl_msg msg = {};
    struct pair copy = *pair;
    int bridge_index = (int)if_nametoindex(pair->bridge_name);

    if (bridge_index == 0)
        return error_sys(err, "find bridge %s", pair->bridge_name);
    if (netlink_open(NETLINK_ROUTE, &netlink, err) < 0)
        return -1;
    nl_msg_init(&msg, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
    put_pair(&msg, pair, bridge_index, namespace_fd);
    if (netlink_call(netlink, &msg, err) < 0)
        return err && err->sys == EXFULL
                   ? error_set(err, ERROR_CONFLICT,
                               "bridge %s is full: the kernel lets 1023 containers be on one",
                               pair->bridge_name)
                   : error_context(err, "create veth %s", pair->host_name);
    if (raise_host_end(netlink, pair, err) < 0) {
        link_remove(pair->host_name, NULL);
        return error_context(err, "set up veth %s", pair->host_name);
    }
    if (namespace_visit(home_fd, namespace_fd, configure_inner_end, &copy, err) < 0) {
        link_remove(pair->host_name, NULL);
        return error_context(err, "configure %s", pair->inner_name);
    }
    return 0;
}

/* ---- parts of links ---- */

static void put_sublink_data(struct nl_msg *msg, const struct sublink *sublink)
{
    NL_NEST (msg, IFLA_INFO_DATA) {
        if (strcmp(sublink->kind, "macvlan") == 0) {
            nl_put_u32(msg, IFLA_MACVLAN_MODE, sublink->mode);
        } else {
            nl_put_u16(msg, IFLA_IPVLAN_MODE, (uint16_t)sublink->mode);
            nl_put_u16(msg, IFLA_IPVLAN_FLAGS, (uint16_t)sublink->flags);
        }
    }
}

int sublink_create(const struct sublink *sublink, const struct pair *pair, int home_fd,
                   int namespace_fd, struct error *err)
{
    CLEANUP(netlink_close) struct netlink *netlink = NULL;
    CLEANUP(nl_msg_done) struct nl_msg msg = {};
    struct pair copy = *pair;
    int parent_index = (int)if_nametoindex(sublink->parent_name);

    if (parent_index == 0)
        return error_sys(err, "find link %s", sublink->parent_name);
    if (netlink_open(NETLINK_ROUTE, &netlink, err) < 0)
        return -1;
    nl_msg_init(&msg, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
    nl_put_link(&msg, 0);
    nl_put_string(&msg, IFLA_IFNAME, pair->inner_name);
    nl_put_u32(&msg, IFLA_LINK, (uint32_t)parent_index);
    nl_put_u32(&msg, IFLA_NET_NS_FD, (uint32_t)namespace_fd);
    if (pair->mtu > 0)
        nl_put_u32(&msg, IFLA_MTU, (uint32_t)pair->mtu);
    if (strcmp(sublink->kind, "macvlan") == 0) /* parts of an ipvlan have their parent's */
        nl_put(&msg, IFLA_ADDRESS, pair->mac, sizeof(pair->mac));
    NL_NEST (&msg, IFLA_LINKINFO) {
        nl_put_string(&msg, IFLA_INFO_KIND, sublink->kind);
        put_sublink_data(&msg, sublink);
    }
    if (netlink_call(netlink, &msg, err) < 0)
        return error_context(err, "create %s link on %s", sublink->kind, sublink->parent_name);
    if (namespace_visit(home_fd, namespace_fd, configure_inner_end, &copy, err) < 0) {
        inner_link_remove(pair->inner_name, home_fd, namespace_fd, NULL);
        return error_context(err, "configure %s", pair->inner_name);
    }
    return 0;
}

/* A kind that the kernel knows is refused for another reason: there is no such parent. */
bool sublink_is_supported(const char *kind)
{
    CLEANUP(netlink_close) struct netlink *netlink = NULL;
    CLEANUP(nl_msg_done) struct nl_msg msg = {};
    struct error failure = {};

    if (netlink_open(NETLINK_ROUTE, &netlink, NULL) < 0)
        return false;
    nl_msg_init(&msg, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
    nl_put_link(&msg, 0);
    nl_put_u32(&msg, IFLA_LINK, INT32_MAX);
    NL_NEST (&msg, IFLA_LINKINFO)
        nl_put_string(&msg, IFLA_INFO_KIND, kind);
    return netlink_call(netlink, &msg, &failure) < 0 && failure.sys != EOPNOTSUPP;
}

static int remove_by_name(void *data, struct error *err)
{
    return link_remove(data, err);
}

int inner_link_remove(const char *name, int home_fd, int namespace_fd, struct error *err)
{
    return namespace_visit(home_fd, namespace_fd, remove_by_name, (void *)name, err);
}

static int create_parent(const char *name, const char *kind, int master_index, uint16_t vlan_id,
                         struct error *err)
{
    CLEANUP(netlink_close) struct netlink *netlink = NULL;
    CLEANUP(nl_msg_done) struct nl_msg msg = {};

    if (netlink_open(NETLINK_ROUTE, &netlink, err) < 0)
        return -1;
    nl_msg_init(&msg, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
    nl_put_link_flags(&msg, 0, IFF_UP, IFF_UP);
    nl_put_string(&msg, IFLA_IFNAME, name);
    if (master_index)
        nl_put_u32(&msg, IFLA_LINK, (uint32_t)master_index);
    NL_NEST (&msg, IFLA_LINKINFO) {
        nl_put_string(&msg, IFLA_INFO_KIND, kind);
        if (master_index)
            NL_NEST (&msg, IFLA_INFO_DATA)
                nl_put_u16(&msg, IFLA_VLAN_ID, vlan_id);
    }
    if (netlink_call(netlink, &msg, err) < 0) {
        if (err && err->sys == EOPNOTSUPP)
            return error_set(err, ERROR_UNSUPPORTED, "this kernel has no %s links", kind);
        return error_context(err, "create %s link %s", kind, name);
    }
    return disable_ipv6(name, err);
}

int lonely_create(const char *name, struct error *err)
{
    return create_parent(name, "bridge", 0, 0, err);
}

int vlan_create(const char *name, const char *master_name, uint16_t id, struct error *err)
{
    int master_index = (int)if_nametoindex(master_name);

    if (master_index == 0)
        return error_sys(err, "find link %s", master_name);
    return create_parent(name, "vlan", master_index, id, err);
}

/* ---- what there is ---- */

int link_list(struct link **out, size_t *out_count, struct error *err)
{
    CLEANUP(netlink_close) struct netlink *netlink = NULL;
    CLEANUP(nl_msg_done) struct nl_msg msg = {};
    struct links reader = {};
    struct error failure = {};

    if (netlink_open(NETLINK_ROUTE, &netlink, err) < 0)
        return -1;
    nl_msg_init(&msg, RTM_GETLINK, NLM_F_DUMP);
    nl_put_link(&msg, 0);
    if (netlink_dump(netlink, &msg, link_read, &reader, &failure) < 0) {
        free(reader.items);
        return error_set(err, failure.kind, "list links: %s", failure.text);
    }
    *out = reader.items;
    *out_count = reader.count;
    return 0;
}

const struct link *link_find(const struct link *list, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(list[i].name, name) == 0)
            return &list[i];
    return NULL;
}

int link_join(int index, int master_index, struct error *err)
{
    CLEANUP(netlink_close) struct netlink *netlink = NULL;
    CLEANUP(nl_msg_done) struct nl_msg msg = {};

    if (netlink_open(NETLINK_ROUTE, &netlink, err) < 0)
        return -1;
    nl_msg_init(&msg, RTM_NEWLINK, 0);
    nl_put_link_flags(&msg, index, IFF_UP, IFF_UP);
    nl_put_u32(&msg, IFLA_MASTER, (uint32_t)master_index);
    return netlink_call(netlink, &msg, err);
}

/* ---- what happens ---- */

#define NEWS_SIZE ((size_t)32 << 10)

int link_watch_open(struct netlink **out, struct error *err)
{
    CLEANUP(netlink_close) struct netlink *watch = NULL;

    if (netlink_open(NETLINK_ROUTE, &watch, err) < 0 || netlink_join(watch, RTNLGRP_LINK, err) < 0)
        return -1;
    *out = TAKE(watch);
    return 0;
}

bool link_was_lost(struct netlink *watch, bool (*is_ours)(void *data, const char *name), void *data)
{
    struct link_loss loss = { is_ours, data, false };
    /* News have no number of a conversation, or that of somebody else's. */
    struct netlink_answer all = { .count = UINT32_MAX };
    CLEANUP(free) uint8_t *buffer = xmalloc(NEWS_SIZE);

    for (;;) {
        ssize_t size = recv(netlink_fd(watch), buffer, NEWS_SIZE, MSG_DONTWAIT);

        if (size < 0 && errno == ENOBUFS) /* Too much went on to be told all of it. */
            loss.is_lost = true;
        else if (size < 0 && errno != EINTR)
            return loss.is_lost;
        else if (size > 0)
            netlink_answer_read(&all, buffer, (size_t)size, link_loss_read, &loss, NULL);
    }
}

static int dump_subnets(struct netlink *netlink, uint16_t type, size_t header_size,
                        struct subnets *out, struct error *err)
{
    CLEANUP(nl_msg_done) struct nl_msg msg = {};
    struct error failure = {};
    uint8_t *family;

    nl_msg_init(&msg, type, NLM_F_DUMP);
    family = nl_put_header(&msg, header_size); /* the first byte of either header */
    *family = AF_INET;
    if (netlink_dump(netlink, &msg, subnet_read, out, &failure) == 0)
        return 0;
    return error_set(err, failure.kind, "list subnets in use: %s", failure.text);
}

int host_subnets(struct subnets *out, struct error *err)
{
    CLEANUP(netlink_close) struct netlink *netlink = NULL;

    if (netlink_open(NETLINK_ROUTE, &netlink, err) < 0 ||
        dump_subnets(netlink, RTM_GETROUTE, sizeof(struct rtmsg), out, err) < 0)
        return -1;
    return dump_subnets(netlink, RTM_GETADDR, sizeof(struct ifaddrmsg), out, err);
}

int host_subnets_lock(int *out_fd, struct error *err)
{
    /* There is one such file per network namespace, just as far as the lock shall reach. */
    CLEANUP(close) int fd = open("/proc/sys/net/ipv4/ip_forward", O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return error_sys(err, "open lock of subnets");
    while (flock(fd, LOCK_EX) < 0)
        if (errno != EINTR)
            return error_sys(err, "lock subnets");
    *out_fd = TAKE_FD(fd);
    return 0;
}
