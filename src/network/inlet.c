/* Neighbours and routes are fixed: nobody is asked for a hardware address. */
#include "network/inlet.h"

#include <arpa/inet.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "linux/netlink.h"

#include "base/banned.h"

#define HOP           0xc0000007 /* 192.0.0.7, behind which INLET_ADDRESS is */
#define DUMMY_ADDRESS 0xc0000008 /* 192.0.0.8: a link without any takes nothing in (rp_filter) */

static const uint8_t inner_mac[6] = { 2, 0x42, 192, 0, 0, 8 };
static const uint8_t outer_mac[6] = { 2, 0x42, 192, 0, 0, 7 };
static const struct in6_addr hop6 = { { { 0xfe, 0x80, [15] = 2 } } };
static const struct in6_addr outer_address6 = { { { 0xfe, 0x80, [15] = 1 } } };

struct inlet inlet_of(const char *engine_id)
{
    const char *dash = engine_id[0] ? "-" : "";
    struct inlet inlet;

    snprintf(inlet.name, sizeof(inlet.name), "berthi%s%.8s", dash, engine_id);
    snprintf(inlet.outer_name, sizeof(inlet.outer_name), "bertho%s%.8s", dash, engine_id);
    return inlet;
}

static int create(struct netlink *netlink, const struct inlet *inlet, struct error *err)
{
    CLEANUP(nl_msg_done) struct nl_msg msg = {};

    nl_msg_init(&msg, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
    nl_put_link(&msg, 0);
    nl_put_string(&msg, IFLA_IFNAME, inlet->outer_name);
    nl_put(&msg, IFLA_ADDRESS, outer_mac, sizeof(outer_mac));
    NL_NEST (&msg, IFLA_LINKINFO) {
        nl_put_string(&msg, IFLA_INFO_KIND, "veth");
        NL_NEST (&msg, IFLA_INFO_DATA)
            NL_NEST (&msg, VETH_INFO_PEER) {
                nl_put_link(&msg, 0);
                nl_put_string(&msg, IFLA_IFNAME, inlet->name);
                nl_put(&msg, IFLA_ADDRESS, inner_mac, sizeof(inner_mac));
            }
    }
    return netlink_call(netlink, &msg, err);
}

static int write_conf(const char *family, const char *link_name, const char *key, const char *value,
                      struct error *err)
{
    char path[128];

    snprintf(path, sizeof(path), "/proc/sys/net/%s/conf/%s/%s", family, link_name, key);
    return file_write_existing(path, value, err);
}

/* Packets of the whole world come in there; what matters is that there is a way back. */
static int write_settings(const struct inlet *inlet, struct error *err)
{
    const char *const names[] = { inlet->name, inlet->outer_name };

    for (size_t i = 0; i < COUNT(names); i++) {
        write_conf("ipv6", names[i], "accept_ra", "0", NULL); /* a kernel may have no IPv6 */
        write_conf("ipv6", names[i], "accept_dad", "0", NULL);
    }
    return write_conf("ipv4", inlet->name, "rp_filter", "2", err);
}

static void put_up(struct nl_msg *msg, uint32_t index)
{
    nl_msg_next(msg, RTM_NEWLINK, 0);
    nl_put_link_flags(msg, (int)index, IFF_UP, IFF_UP);
}

static void put_address(struct nl_msg *msg, uint32_t index, uint8_t family, const void *address,
                        size_t size, uint8_t prefix_length)
{
    struct ifaddrmsg *header;

    nl_msg_next(msg, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE);
    header = nl_put_header(msg, sizeof(*header));
    *header = (struct ifaddrmsg){ .ifa_family = family,
                                  .ifa_prefixlen = prefix_length,
                                  .ifa_flags = family == AF_INET6 ? IFA_F_NODAD : 0,
                                  .ifa_scope = RT_SCOPE_LINK,
                                  .ifa_index = index };
    nl_put(msg, IFA_LOCAL, address, size);
    nl_put(msg, IFA_ADDRESS, address, size);
}

static void put_neighbour(struct nl_msg *msg, uint32_t index, uint8_t family, const void *address,
                          size_t size)
{
    struct ndmsg *header;

    nl_msg_next(msg, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE);
    header = nl_put_header(msg, sizeof(*header));
    *header = (struct ndmsg){ .ndm_family = family,
                              .ndm_ifindex = (int)index,
                              .ndm_state = NUD_PERMANENT };
    nl_put(msg, NDA_DST, address, size);
    nl_put(msg, NDA_LLADDR, inner_mac, sizeof(inner_mac));
}

static void put_route(struct nl_msg *msg, uint32_t index, uint8_t family, const void *address,
                      const void *hop, size_t size)
{
    struct rtmsg *header;

    nl_msg_next(msg, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE);
    header = nl_put_header(msg, sizeof(*header));
    *header = (struct rtmsg){ .rtm_family = family,
                              .rtm_dst_len = (uint8_t)(size * 8),
                              .rtm_table = RT_TABLE_MAIN,
                              .rtm_protocol = RTPROT_BOOT,
                              .rtm_scope = RT_SCOPE_UNIVERSE,
                              .rtm_type = RTN_UNICAST,
                              .rtm_flags = RTNH_F_ONLINK };
    nl_put(msg, RTA_DST, address, size);
    nl_put(msg, RTA_GATEWAY, hop, size);
    nl_put_u32(msg, RTA_OIF, index);
}

static int set_up(struct netlink *netlink, const struct inlet *inlet, struct error *err)
{
    uint32_t address = htonl(INLET_ADDRESS), hop = htonl(HOP), dummy = htonl(DUMMY_ADDRESS);
    uint32_t index = if_nametoindex(inlet->name), outer_index = if_nametoindex(inlet->outer_name);
    uint32_t address6[4] = { htonl(INLET_ADDRESS6_FIRST), 0, 0, htonl(INLET_ADDRESS6_LAST) };
    CLEANUP(nl_msg_done) struct nl_msg msg = {};

    put_up(&msg, index);
    put_up(&msg, outer_index);
    put_address(&msg, index, AF_INET, &dummy, sizeof(dummy), 32);
    put_neighbour(&msg, outer_index, AF_INET, &hop, sizeof(hop));
    put_route(&msg, outer_index, AF_INET, &address, &hop, sizeof(hop));
    if (file_exists("/proc/sys/net/ipv6")) {
        put_address(&msg, outer_index, AF_INET6, &outer_address6, sizeof(outer_address6), 64);
        put_neighbour(&msg, outer_index, AF_INET6, &hop6, sizeof(hop6));
        put_route(&msg, outer_index, AF_INET6, address6, &hop6, sizeof(hop6));
    }
    return netlink_call(netlink, &msg, err);
}

int inlet_assert(const struct inlet *inlet, struct error *err)
{
    CLEANUP(netlink_close) struct netlink *netlink = NULL;

    if (netlink_open(NETLINK_ROUTE, &netlink, err) < 0)
        return -1;
    if ((if_nametoindex(inlet->name) == 0 && create(netlink, inlet, err) < 0) ||
        write_settings(inlet, err) < 0 || set_up(netlink, inlet, err) < 0)
        return error_context(err, "links of firewall mode strict");
    return 0;
}
