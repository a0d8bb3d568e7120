/* Kinds of networks: what each makes in the kernel out of a network's record. Everything that
 * differs between them is one struct of functions. */
#ifndef BERTH_NETWORK_DRIVER_H
#define BERTH_NETWORK_DRIVER_H

#include <stdbool.h>

#include "base/error.h"

struct network_entry;
struct networks;
struct pair;

struct network_driver {
    const char *name;
    bool has_endpoints; /* containers can be attached: it has subnets */
    bool has_bridge;    /* a bridge of ours, elements in the firewall, and ports can be published */

    /* Reads the options into the entry. INVALID, UNSUPPORTED. */
    int (*read_options)(struct networks *networks, struct network_entry *entry, struct error *err);
    /* May it be made on this host? Names what it will make (network.bridge_name). */
    int (*prepare)(struct networks *networks, struct network_entry *entry, struct error *err);
    /* Makes it, or brings what is there into shape. */
    int (*assert)(struct networks *networks, struct network_entry *entry, struct error *err);
    /* Puts a container's end into its namespace; 'pair' is filled in as far as addresses go. */
    int (*connect)(struct networks *networks, struct network_entry *entry, struct pair *pair,
                   int namespace_fd, struct error *err);
};

extern const struct network_driver driver_bridge, driver_host, driver_ipvlan, driver_macvlan,
    driver_null;

/* NULL if there is none of that name; "" and "default" are the bridge's, too. */
const struct network_driver *network_driver_find(const char *name);

#endif
