/* What the kernel's messages say about links, routes and addresses. Each function is a netlink_each
 * (linux/netlink.h) that reads one message into what its data points to, and passes messages by
 * that are about something else. Pure: nobody is asked. */
#ifndef BERTH_NETWORK_LINK_READ_H
#define BERTH_NETWORK_LINK_READ_H

#include "linux/netlink.h"
#include "network/link.h"

struct links {
    struct link *items;
    size_t count, capacity;
};
int link_read(const struct nlmsghdr *message, void *links, struct error *err);

/* What is asked of a link in a container before it is configured. */
struct inner_link {
    int index;
    bool has_ipv6;
};
int inner_link_read(const struct nlmsghdr *message, void *inner_link, struct error *err);

/* A link of 'is_ours' went away, or down. */
struct link_loss {
    bool (*is_ours)(void *data, const char *name);
    void *data;
    bool is_lost;
};
int link_loss_read(const struct nlmsghdr *message, void *link_loss, struct error *err);

/* IPv4: destinations of routes in the main table, and subnets of addresses. */
int subnet_read(const struct nlmsghdr *message, void *subnets, struct error *err);

#endif
