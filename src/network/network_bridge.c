/* What a bridge network is in the kernel: a link, and elements of the firewall's sets. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "network/internal.h"
#include "network/link.h"
#include "network/port.h"

#include "base/banned.h"

#define OPTION_PREFIX          "com.docker.network.bridge."
#define OPTION_MTU             "com.docker.network.driver.mtu"
#define MTU_LIMIT              65535
#define INTERFACE_PREFIX_LIMIT 11

static bool is_on(const struct map *options, const char *key, bool fallback)
{
    const char *value = map_get(options, key);

    return value ? text_is_true(value) : fallback;
}

/* ---- options ---- */

static int read_gateway_mode(struct network_entry *entry, const char *key, bool *out_is_unprotected,
                             bool *out_is_routed, struct error *err)
{
    const char *mode = map_get(&entry->network.options, key);

    *out_is_unprotected = mode && strcmp(mode, "nat-unprotected") == 0;
    *out_is_routed = mode && strcmp(mode, "routed") == 0;
    if (!mode || strcmp(mode, "nat") == 0 || *out_is_unprotected || *out_is_routed)
        return 0;
    if (strcmp(mode, "isolated") != 0)
        return error_set(err, ERROR_INVALID, "unknown gateway mode '%s'", mode);
    if (!entry->network.internal)
        return error_set(err, ERROR_INVALID,
                         "gateway mode 'isolated' can only be used for an internal network");
    entry->is_isolated = true;
    return 0;
}

/* What we know how to do; options of others' drivers are their own. */
static int refuse_unknown(const struct map *options, struct error *err)
{
    static const char *const known[] = {
        "com.docker.network.bridge.default_bridge",
        "com.docker.network.bridge.enable_icc",
        "com.docker.network.bridge.enable_ip_masquerade",
        "com.docker.network.bridge.gateway_mode_ipv4",
        "com.docker.network.bridge.gateway_mode_ipv6",
        "com.docker.network.bridge.host_binding_ipv4",
        "com.docker.network.bridge.inhibit_ipv4",
        "com.docker.network.bridge.name",
        "com.docker.network.bridge.trusted_host_interfaces",
        "com.docker.network.container_iface_prefix",
        "com.docker.network.host_ipv4",
        "com.docker.network.host_ipv6",
        NETWORK_OPTION_MTU,
    };

    MAP_EACH (options, entry) {
        bool is_known = !text_starts(entry->key, "com.docker.network.");

        for (size_t i = 0; i < COUNT(known); i++)
            is_known |= strcmp(known[i], entry->key) == 0;
        if (!is_known)
            return error_set(err, ERROR_UNSUPPORTED, "network option %s is not supported yet",
                             entry->key);
    }
    return 0;
}

static int read_interface_prefix(struct network_entry *entry, struct error *err)
{
    const char *prefix = map_get(&entry->network.options,
                                 "com.docker.network.container_iface_prefix");

    entry->interface_prefix = text_is_empty(prefix) ? "eth" : prefix;
    if (strlen(entry->interface_prefix) > INTERFACE_PREFIX_LIMIT ||
        strpbrk(entry->interface_prefix, "/: \t\n%"))
        return error_set(err, ERROR_INVALID, "invalid prefix of interfaces: %s", prefix);
    return 0;
}

int network_read_mtu(struct networks *networks UNUSED, struct network_entry *entry, int fallback,
                     struct error *err)
{
    const char *mtu = map_get(&entry->network.options, NETWORK_OPTION_MTU);
    int64_t number = fallback;

    if (mtu && parse_int64(mtu, 0, MTU_LIMIT, &number, err) < 0)
        return error_context(err, "invalid value for option %s", NETWORK_OPTION_MTU);
    entry->mtu = (int)number;
    return 0;
}

int network_read_ranges(struct network_entry *entry, struct error *err)
{
    const struct network *network = &entry->network;

    entry->range = entry->subnet;
    entry->range6 = entry->subnet6;
    for (size_t i = 0; i < network->pools.count; i++) {
        const char *range = JSON_ITEMS(&network->pools, struct network_pool)[i].ip_range;

        if (!text_is_empty(range) &&
            (strchr(range, ':') ? subnet6_parse(range, &entry->range6, err)
                                : subnet_parse(range, &entry->range, err)) < 0)
            return -1;
    }
    return 0;
}

#define OPTION_HOST_IPV4 "com.docker.network.host_ipv4"
#define OPTION_HOST_IPV6 "com.docker.network.host_ipv6"

/* The address of the host that what leaves is seen with. */
static int read_sources(struct network_entry *entry, struct error *err)
{
    const char *ipv4 = map_get(&entry->network.options, OPTION_HOST_IPV4);
    const char *ipv6 = map_get(&entry->network.options, OPTION_HOST_IPV6);

    if (!text_is_empty(ipv4) && address_parse(ipv4, &entry->source, NULL) < 0)
        return error_set(err, ERROR_INVALID, "failed to parse %s value: %s (nil ip)",
                         OPTION_HOST_IPV4, ipv4);
    if (!text_is_empty(ipv6) && address6_parse(ipv6, &entry->source6, NULL) < 0)
        return error_set(err, ERROR_INVALID, "failed to parse %s value: %s (nil ip)",
                         OPTION_HOST_IPV6, ipv6);
    return 0;
}

static int read_trusted_links(struct network_entry *entry, struct error *err)
{
    CLEANUP(strv_done) struct strv names = {};

    entry->trusted_links = map_get(&entry->network.options,
                                   OPTION_PREFIX "trusted_host_interfaces");
    if (!text_is_empty(entry->trusted_links))
        strv_split(&names, entry->trusted_links, ':');
    for (size_t i = 0; i < names.count; i++)
        if (names.items[i][0] == '\0' || strlen(names.items[i]) >= IFNAMSIZ ||
            strpbrk(names.items[i], "/ \t\n"))
            return error_set(err, ERROR_INVALID, "invalid interface name '%s' in option %s",
                             names.items[i], OPTION_PREFIX "trusted_host_interfaces");
    return 0;
}

static int read_options(struct networks *networks, struct network_entry *entry, struct error *err)
{
    const struct map *options = &entry->network.options;

    if (refuse_unknown(options, err) < 0 || read_interface_prefix(entry, err) < 0 ||
        read_gateway_mode(entry, OPTION_PREFIX "gateway_mode_ipv4", &entry->is_unprotected,
                          &entry->is_routed, err) < 0 ||
        read_gateway_mode(entry, OPTION_PREFIX "gateway_mode_ipv6", &entry->is_unprotected6,
                          &entry->is_routed6, err) < 0 ||
        network_read_mtu(networks, entry, networks->mtu, err) < 0 || read_sources(entry, err) < 0 ||
        read_trusted_links(entry, err) < 0)
        return -1;
    entry->is_isolated |= is_on(options, OPTION_PREFIX "inhibit_ipv4", false);
    entry->icc = is_on(options, OPTION_PREFIX "enable_icc", networks->icc);
    entry->masquerade = is_on(options, OPTION_PREFIX "enable_ip_masquerade", networks->masquerade);
    return network_read_ranges(entry, err);
}

static int assert_bridge(struct networks *networks, struct network_entry *entry, struct error *err)
{
    bool can_filter = bridge_can_filter();
    struct bridge bridge = { .name = entry->network.bridge_name,
                             .has_ipv4 = entry->network.enable_ipv4,
                             .address = entry->subnet,
                             .address6 = entry->network.enable_ipv6 ? &entry->subnet6 : NULL,
                             .is_isolated = entry->is_isolated,
                             .mtu = entry->mtu,
                             .is_filtered = !entry->icc && can_filter };

    atomic_store(&networks->can_filter_bridges, can_filter);
    if (entry->network.enable_ipv6 && network_enable_forwarding6(networks, err) < 0)
        return -1;
    return bridge_assert(&bridge, err);
}

struct firewall_bridge network_firewall_bridge(const struct network_entry *entry)
{
    return (struct firewall_bridge){ .name = entry->network.bridge_name,
                                     .has_ipv4 = entry->network.enable_ipv4,
                                     .subnet = entry->subnet,
                                     .has_ipv6 = entry->network.enable_ipv6,
                                     .subnet6 = entry->subnet6,
                                     .is_internal = entry->network.internal,
                                     .is_masqueraded = entry->masquerade && !entry->is_routed,
                                     .is_masqueraded6 = entry->masquerade && !entry->is_routed6,
                                     .is_routed = entry->is_routed,
                                     .is_routed6 = entry->is_routed6,
                                     .is_open = entry->icc,
                                     .source = entry->source,
                                     .source6 = entry->source6,
                                     .trusted_links = entry->trusted_links,
                                     .is_unprotected = entry->is_unprotected,
                                     .is_unprotected6 = entry->is_unprotected6 };
}

/* One that is gone had perhaps such ports: what is not there is missed when it is removed, and the
 * table written anew. */
bool network_opens_ports(struct networks *networks, const char *id)
{
    CLEANUP(network_unref) struct network *network = networks_get(networks, id);

    return !network || !text_is_empty(network_entry(network)->trusted_links);
}

bool endpoint_firewall_port(struct networks *networks, const struct endpoint_row *row,
                            const struct port_mapping *port, struct firewall_port *out)
{
    uint32_t address = htonl(row->address);

    *out = (struct firewall_port){ .is_ipv6 = strchr(port->host_ip, ':') != NULL,
                                   .host_port = port->host_port,
                                   .port = port->container_port,
                                   .is_open = network_opens_ports(networks,
                                                                  row->endpoint.network_id) };
    if (port_protocol(port->protocol, &out->protocol, NULL) < 0)
        return false;
    if (out->is_ipv6)
        return inet_pton(AF_INET6, port->host_ip, out->host_address) == 1 &&
               inet_pton(AF_INET6, row->endpoint.address6 ? row->endpoint.address6 : "",
                         out->address) == 1;
    memcpy(out->address, &address, sizeof(address));
    return row->address != 0 && inet_pton(AF_INET, port->host_ip, out->host_address) == 1;
}

static void add_ports(struct networks *networks, const struct endpoint_rows *rows,
                      struct nft_batch *batch)
{
    for (size_t i = 0; i < rows->count; i++) {
        const struct endpoint_row *row = &rows->items[i];

        for (size_t p = 0; p < row->endpoint.ports.count; p++) {
            struct firewall_port port;

            if (endpoint_firewall_port(networks, row,
                                       &JSON_ITEMS(&row->endpoint.ports, struct port_mapping)[p],
                                       &port))
                firewall_port_add(batch, &port);
        }
    }
}

int networks_fill_firewall(void *data, struct nft_batch *batch, struct error *err)
{
    struct networks *networks = data;
    CLEANUP(endpoint_rows_done) struct endpoint_rows rows = {};
    struct network **list;
    size_t count;

    if (network_list(networks, &list, &count, err) < 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        const struct network_entry *entry = network_entry(list[i]);
        struct firewall_bridge bridge = network_firewall_bridge(entry);

        if (entry->driver->has_bridge)
            firewall_bridge_add(batch, &bridge);
    }
    network_list_free(list, count);
    if (record_endpoints(networks, NULL, NULL, &rows, err) < 0)
        return -1;
    add_ports(networks, &rows, batch);
    return 0;
}

/* A name that the user gives must not make us own a link of somebody else. */
static int prepare(struct networks *networks UNUSED, struct network_entry *entry, struct error *err)
{
    struct network *network = &entry->network;
    const char *name = map_get(&network->options, OPTION_PREFIX "name");

    if (name && (name[0] == '\0' || strlen(name) >= IFNAMSIZ || strpbrk(name, "/: \t\n") ||
                 strcmp(name, ".") == 0 || strcmp(name, "..") == 0))
        return error_set(err, ERROR_INVALID, "invalid bridge name: %s", name);
    if (name && if_nametoindex(name) != 0)
        return error_set(err, ERROR_CONFLICT, "there is a link named %s already", name);
    network->bridge_name = name ? xstrdup(name)
                                : xasprintf("br-%.*s", SHORT_ID_LENGTH, network->id);
    return 0;
}

/* See docs/decisions/0004-firewall.md, "Packets that are bridged". */
void network_port_modes(const struct networks *networks, const struct network_entry *entry,
                        bool *out_is_isolated, bool *out_is_hairpin)
{
    bool can_filter = atomic_load(&networks->can_filter_bridges);

    *out_is_isolated = !entry->icc && !can_filter;
    *out_is_hairpin = can_filter;
}

static int connect_container(struct networks *networks, struct network_entry *entry,
                             struct pair *pair, int namespace_fd, struct error *err)
{
    pair->bridge_name = entry->network.bridge_name;
    network_port_modes(networks, entry, &pair->is_isolated, &pair->is_hairpin);
    if (if_nametoindex(pair->bridge_name) == 0 && /* Somebody removed it: not for long. */
        assert_bridge(networks, entry, err) < 0)
        return -1;
    return pair_create(pair, networks->home_fd, namespace_fd, err);
}

const struct network_driver driver_bridge = {
    .name = "bridge",
    .has_endpoints = true,
    .has_bridge = true,
    .read_options = read_options,
    .prepare = prepare,
    .assert = assert_bridge,
    .connect = connect_container,
};

/* ---- names of pairs ---- */

#define LINK_HEX_LENGTH 10

static int link_hex_length(const struct networks *networks)
{
    int room = IFNAMSIZ - 2 - (int)strlen(networks->engine_id);

    return MIN(LINK_HEX_LENGTH, room);
}

void endpoint_link_name(const struct networks *networks, const char *endpoint_id,
                        char out[IFNAMSIZ])
{
    snprintf(out, IFNAMSIZ, "v%.8s%.*s", networks->engine_id, link_hex_length(networks),
             endpoint_id);
}

bool is_endpoint_link_name(const struct networks *networks, const char *name)
{
    size_t id_length = strlen(networks->engine_id);

    return name[0] == 'v' && strncmp(name + 1, networks->engine_id, id_length) == 0 &&
           text_is_hex(name + 1 + id_length, (size_t)link_hex_length(networks));
}
