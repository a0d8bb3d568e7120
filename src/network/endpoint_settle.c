/* Several networks of one container: which of them has its default route and its ports, and moving
 * both when one comes or goes. */
#include <netinet/in.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "network/conntrack.h"
#include "network/internal.h"
#include "network/link.h"
#include "network/namespace.h"
#include "network/port.h"

#include "base/banned.h"

bool network_is_preferred(const struct network *a, int64_t priority_a, const struct network *b,
                          int64_t priority_b)
{
    if (a->internal != b->internal)
        return !a->internal;
    if (priority_a != priority_b)
        return priority_a > priority_b;
    if (a->enable_ipv4 != b->enable_ipv4)
        return a->enable_ipv4;
    return strcmp(a->name, b->name) < 0;
}

bool network_can_publish(const struct network *network)
{
    return network_entry((struct network *)network)->driver->has_bridge && !network->internal;
}

static bool is_candidate(const struct network *network, enum preference preference)
{
    if (!network || network->internal)
        return false;
    return preference == FOR_ROUTE6  ? network->enable_ipv6
           : preference == FOR_PORTS ? network_can_publish(network)
                                     : network->enable_ipv4;
}

const struct endpoint_row *endpoint_preferred(struct networks *networks,
                                              const struct endpoint_rows *rows, const char *without,
                                              enum preference preference)
{
    const struct endpoint_row *best = NULL;
    CLEANUP(network_unref) struct network *best_network = NULL;

    for (size_t i = 0; i < rows->count; i++) {
        const struct endpoint *endpoint = &rows->items[i].endpoint;
        CLEANUP(network_unref)
        struct network *network = networks_get(networks, endpoint->network_id);

        if (!is_candidate(network, preference) || text_equal(endpoint->network_id, without))
            continue;
        if (best && !network_is_preferred(network, endpoint->gateway_priority, best_network,
                                          best->endpoint.gateway_priority))
            continue;
        network_unref(best_network);
        best_network = TAKE(network);
        best = &rows->items[i];
    }
    return best;
}

/* ---- ports ---- */

/* A kernel that cannot do this forgets them later, by itself. */
void endpoint_forget_flows(const struct json_list *ports)
{
    for (size_t i = 0; i < ports->count; i++) {
        const struct port_mapping *port = &JSON_ITEMS(ports, struct port_mapping)[i];
        uint8_t protocol;

        if (port_protocol(port->protocol, &protocol, NULL) == 0 && protocol == IPPROTO_UDP)
            conntrack_forget(protocol, port->host_port, NULL);
    }
}

int endpoint_move_ports(struct networks *networks, const struct endpoint_row *from,
                        const struct endpoint_row *to, struct error *err)
{
    const struct json_list *ports = &from->endpoint.ports;
    CLEANUP(nft_batch_done) struct nft_batch batch = {};

    if (record_ports_move(networks, from->endpoint.id, to->endpoint.id, err) < 0)
        return -1;
    firewall_begin(networks->firewall, &batch);
    for (size_t i = 0; i < ports->count; i++) {
        const struct port_mapping *mapping = &JSON_ITEMS(ports, struct port_mapping)[i];
        struct firewall_port old, new;

        /* One of IPv6 leads nowhere on a network that has none. */
        if (endpoint_firewall_port(networks, from, mapping, &old))
            firewall_port_remove(&batch, &old);
        if (endpoint_firewall_port(networks, to, mapping, &new))
            firewall_port_add(&batch, &new);
    }
    if (firewall_commit(networks->firewall, &batch, err) < 0)
        return -1;
    endpoint_forget_flows(ports);
    return 0;
}

/* ---- the default route ---- */

static int set_default_routes(struct networks *networks, const struct endpoint_rows *rows,
                              int namespace_fd, struct error *err)
{
    const struct endpoint_row *best = endpoint_preferred(networks, rows, NULL, FOR_ROUTE);
    const struct endpoint_row *best6 = endpoint_preferred(networks, rows, NULL, FOR_ROUTE6);
    CLEANUP(network_unref)
    struct network *network = best ? networks_get(networks, best->endpoint.network_id) : NULL;
    CLEANUP(network_unref)
    struct network *network6 = best6 ? networks_get(networks, best6->endpoint.network_id) : NULL;
    struct gateway gateway = {};

    if (network) {
        gateway.link_name = best->endpoint.interface_name;
        if (network_has_gateway(network))
            gateway.address = network_entry(network)->subnet.address;
    }
    if (network6) {
        gateway.link_name6 = best6->endpoint.interface_name;
        if (network_has_gateway(network6))
            gateway.address6 = network_entry(network6)->subnet6.address;
    }
    return gateway_set(&gateway, networks->home_fd, namespace_fd, err);
}

int endpoints_settle(struct networks *networks, const char *container_id, int namespace_fd,
                     struct error *err)
{
    CLEANUP(endpoint_rows_done) struct endpoint_rows rows = {};
    const struct endpoint_row *best;

    if (record_endpoints(networks, NULL, container_id, &rows, err) < 0 ||
        set_default_routes(networks, &rows, namespace_fd, err) < 0)
        return -1;
    best = endpoint_preferred(networks, &rows, NULL, FOR_PORTS);
    for (size_t i = 0; best && i < rows.count; i++)
        if (&rows.items[i] != best && rows.items[i].endpoint.ports.count > 0 &&
            endpoint_move_ports(networks, &rows.items[i], best, err) < 0)
            return -1;
    return 0;
}
