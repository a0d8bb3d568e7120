/* Lengths are checked here or by nl_attributes: a message may end anywhere. */
#include "network/link_read.h"

#include <arpa/inet.h>
#include <linux/if_link.h>
#include <linux/ipv6.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"

#include "base/banned.h"

int inner_link_read(const struct nlmsghdr *message, void *data, struct error *err UNUSED)
{
    struct inner_link *link = data;
    const struct ifinfomsg *header = (const void *)(message + 1);
    const struct nlattr *attributes[IFLA_AF_SPEC + 1], *families[AF_INET6 + 1];
    const struct nlattr *settings[IFLA_INET6_CONF + 1];
    size_t offset = DEVCONF_DISABLE_IPV6 * sizeof(int32_t);

    if (message->nlmsg_type != RTM_NEWLINK || message->nlmsg_len < NLMSG_LENGTH(sizeof(*header)))
        return 0;
    link->index = header->ifi_index;
    nl_attributes(message, sizeof(*header), attributes, IFLA_AF_SPEC);
    nl_attributes_nested(attributes[IFLA_AF_SPEC], families, AF_INET6);
    nl_attributes_nested(families[AF_INET6], settings, IFLA_INET6_CONF);
    if (nl_size(settings[IFLA_INET6_CONF]) >= offset + sizeof(int32_t)) {
        int32_t is_disabled;

        memcpy(&is_disabled, (const uint8_t *)nl_data(settings[IFLA_INET6_CONF]) + offset,
               sizeof(is_disabled));
        link->has_ipv6 = is_disabled == 0;
    }
    return 0;
}

int link_read(const struct nlmsghdr *message, void *data, struct error *err UNUSED)
{
    struct links *links = data;
    const struct ifinfomsg *header = (const void *)(message + 1);
    const struct nlattr *attributes[IFLA_LINKINFO + 1], *info[IFLA_INFO_KIND + 1];
    struct link *link;

    if (message->nlmsg_type != RTM_NEWLINK || message->nlmsg_len < NLMSG_LENGTH(sizeof(*header)))
        return 0;
    nl_attributes(message, sizeof(*header), attributes, IFLA_LINKINFO);
    nl_attributes_nested(attributes[IFLA_LINKINFO], info, IFLA_INFO_KIND);
    if (links->count == links->capacity) {
        links->capacity = MAX(links->capacity * 2, (size_t)32);
        links->items = xrealloc(links->items, links->capacity, sizeof(*link));
    }
    link = &links->items[links->count++];
    *link = (struct link){ .index = header->ifi_index,
                           .master = (int)nl_get_u32(attributes[IFLA_MASTER]),
                           .is_up = (header->ifi_flags & IFF_UP) != 0 };
    snprintf(link->name, sizeof(link->name), "%s", nl_get_string(attributes[IFLA_IFNAME]));
    snprintf(link->kind, sizeof(link->kind), "%s", nl_get_string(info[IFLA_INFO_KIND]));
    return 0;
}

/* A bridge tells of ports that leave it in the same words, with a family of its own. */
int link_loss_read(const struct nlmsghdr *message, void *data, struct error *err UNUSED)
{
    struct link_loss *loss = data;
    const struct ifinfomsg *header = (const void *)(message + 1);
    const struct nlattr *attributes[IFLA_IFNAME + 1];

    if (message->nlmsg_len < NLMSG_LENGTH(sizeof(*header)) || header->ifi_family != AF_UNSPEC ||
        (message->nlmsg_type != RTM_DELLINK &&
         (message->nlmsg_type != RTM_NEWLINK || (header->ifi_flags & IFF_UP))))
        return 0;
    nl_attributes(message, sizeof(*header), attributes, IFLA_IFNAME);
    loss->is_lost |= loss->is_ours(loss->data, nl_get_string(attributes[IFLA_IFNAME]));
    return 0;
}

static void add_subnet(struct subnets *list, const struct nlattr *address, int prefix_length)
{
    struct subnet subnet = { ntohl(nl_get_u32(address)), prefix_length };

    if (nl_size(address) == sizeof(uint32_t) && prefix_length > 0 && prefix_length <= 32)
        subnets_add(list, subnet);
}

int subnet_read(const struct nlmsghdr *message, void *data, struct error *err UNUSED)
{
    const struct rtmsg *route = (const void *)(message + 1);
    const struct ifaddrmsg *address = (const void *)(message + 1);
    const struct nlattr *attributes[RTA_DST + 1];

    _Static_assert((int)RTA_DST == (int)IFA_ADDRESS, "one table of attributes does for both");
    if (message->nlmsg_type == RTM_NEWROUTE && message->nlmsg_len >= NLMSG_LENGTH(sizeof(*route))) {
        nl_attributes(message, sizeof(*route), attributes, RTA_DST);
        if (route->rtm_family == AF_INET && route->rtm_table == RT_TABLE_MAIN)
            add_subnet(data, attributes[RTA_DST], route->rtm_dst_len);
    } else if (message->nlmsg_type == RTM_NEWADDR &&
               message->nlmsg_len >= NLMSG_LENGTH(sizeof(*address))) {
        nl_attributes(message, sizeof(*address), attributes, IFA_ADDRESS);
        if (address->ifa_family == AF_INET)
            add_subnet(data, attributes[IFA_ADDRESS], address->ifa_prefixlen);
    }
    return 0;
}
