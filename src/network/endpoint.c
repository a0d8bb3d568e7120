/* Attaching in the order that leaves nothing behind: ports are bound (which dies with the process),
 * the endpoint is recorded, then made; whatever fails takes the steps before back. */
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "network/conntrack.h"
#include "network/internal.h"
#include "network/link.h"
#include "network/names.h"
#include "network/port.h"

#include "base/banned.h"

#define INTERFACE_LIMIT 1000
#define PORT_ATTEMPTS   16

void endpoint_done(struct endpoint *endpoint)
{
    free(endpoint->id);
    free(endpoint->network_id);
    free(endpoint->network_name);
    free(endpoint->container_id);
    free(endpoint->address);
    free(endpoint->address6);
    free(endpoint->gateway6);
    free(endpoint->gateway);
    free(endpoint->mac_address);
    free(endpoint->interface_name);
    free(endpoint->ports.items);
    *endpoint = (struct endpoint){};
}

/* ---- one attachment under way ---- */

struct attachment {
    struct networks *networks;
    const struct endpoint_wish *wish;
    struct network *network;
    struct endpoint_row row;
    int *port_fds; /* as many as the row has ports */
    bool was_recorded;
    bool is_default;   /* the container's default route goes here */
    bool must_rebuild; /* the firewall knows of ports that nobody has any more */
};

static void attachment_done(struct attachment *attachment)
{
    if (attachment->was_recorded) {
        record_endpoints_delete(attachment->networks, attachment->wish->container_id,
                                attachment->network->id, NULL);
        names_write(attachment->networks, attachment->network->id, NULL);
    }
    for (size_t i = 0; attachment->port_fds && i < attachment->row.endpoint.ports.count; i++)
        close(attachment->port_fds[i]);
    free(attachment->port_fds);
    free(attachment->row.container_name);
    free(attachment->row.names);
    endpoint_done(&attachment->row.endpoint);
    network_unref(attachment->network);
}
CLEANUP_VALUE(attachment_done, struct attachment)

static int prepare(struct attachment *attachment, struct error *err)
{
    const struct endpoint_wish *wish = attachment->wish;
    struct endpoint *endpoint = &attachment->row.endpoint;
    const struct network_entry *entry;
    char id[ID_LENGTH + 1], gateway[ADDRESS_TEXT_SIZE] = "", gateway6[ADDRESS6_TEXT_SIZE] = "";

    attachment->network = networks_get(attachment->networks, wish->network_id);
    if (!attachment->network)
        return error_set(err, ERROR_NOT_FOUND, "network %s not found", wish->network_id);
    entry = network_entry(attachment->network);
    if (!entry->driver->has_endpoints)
        return error_set(err, ERROR_INVALID, "containers cannot be attached to network %s",
                         attachment->network->name);
    id_generate(id);
    endpoint->id = xstrdup(id);
    endpoint->network_id = xstrdup(attachment->network->id);
    endpoint->network_name = xstrdup(attachment->network->name);
    endpoint->container_id = xstrdup(wish->container_id);
    endpoint->prefix_length = entry->subnet.prefix_length;
    if (!attachment->network->internal)
        address_format(entry->subnet.address, gateway);
    if (!attachment->network->internal && attachment->network->enable_ipv6)
        address6_format(&entry->subnet6.address, gateway6);
    endpoint->gateway = xstrdup(gateway);
    endpoint->gateway6 = xstrdup(gateway6);
    endpoint->prefix_length6 = attachment->network->enable_ipv6 ? entry->subnet6.prefix_length : 0;
    endpoint->gateway_priority = wish->gateway_priority;
    endpoint->has_names = network_has_names(attachment->network);
    attachment->row.container_name = xstrdup(wish->container_name);
    attachment->row.names = wish->names ? strv_join(wish->names, " ") : xstrdup("");
    return 0;
}

/* ---- ports ---- */

static const char *default_binding(const struct attachment *attachment)
{
    const char *binding = map_get(&attachment->network->options,
                                  "com.docker.network.bridge.host_binding_ipv4");

    return text_is_empty(binding) ? attachment->networks->default_binding : binding;
}

/* The record knows our own containers by name, the kernel knows the rest. */
static int explain_conflict(struct attachment *attachment, const struct port_mapping *port,
                            struct error *err)
{
    CLEANUP(free)
    char *holder = record_port_holder(attachment->networks, port->protocol, port->host_port);

    if (err && err->kind == ERROR_CONFLICT && holder && !strstr(err->text, "held by"))
        error_set(err, ERROR_CONFLICT,
                  "Bind for %s:%u failed: port is already allocated (held by container %s)",
                  port->host_ip, port->host_port, holder);
    return error_context(err, "driver failed programming external connectivity on endpoint %s (%s)",
                         attachment->wish->container_name ? attachment->wish->container_name : "",
                         attachment->row.endpoint.id);
}

/* What the kernel can send on to there. */
static int check_host_address(const struct attachment *attachment, const char *address,
                              struct error *err)
{
    if (!strchr(address, ':'))
        return 0;
    if (!attachment->network->enable_ipv6)
        return error_set(err, ERROR_UNSUPPORTED,
                         "ports cannot be published on IPv6 address %s: network %s has no IPv6",
                         address, attachment->network->name);
    if (strcmp(address, "::1") == 0)
        return error_set(err, ERROR_UNSUPPORTED,
                         "ports cannot be published on ::1: the kernel lets nothing that has to do "
                         "with it leave the host");
    return 0;
}

static int bind_one(struct attachment *attachment, const struct port_mapping *wished,
                    struct error *err)
{
    struct json_list *ports = &attachment->row.endpoint.ports;
    struct port_mapping wish = *wished, got;
    bool is_held;
    int fd;

    if (check_host_address(attachment, wish.host_ip, err) < 0)
        return -1;
    if (port_bind(&wish, &got, &fd, &is_held, err) < 0)
        return explain_conflict(attachment, &wish, err);
    attachment->port_fds[ports->count] = fd;
    *(struct port_mapping *)json_list_add(ports, sizeof(got)) = got;
    if (!is_held) {
        CLEANUP(free)
        char *holder = record_port_holder(attachment->networks, got.protocol, got.host_port);

        if (holder) {
            error_set(err, ERROR_CONFLICT, "Bind for %s:%u failed: port is already allocated",
                      got.host_ip, got.host_port);
            return explain_conflict(attachment, &got, err);
        }
    }
    return 0;
}

/* The same number for both families: the one that the first got. */
static int bind_both(struct attachment *attachment, const struct port_mapping *wished,
                     struct error *err)
{
    struct json_list *ports = &attachment->row.endpoint.ports;
    struct port_mapping wish = *wished;

    for (int attempt = 0;; attempt++) {
        struct error failure = {};

        snprintf(wish.host_ip, sizeof(wish.host_ip), "0.0.0.0");
        if (bind_one(attachment, &wish, err) < 0)
            return -1;
        struct port_mapping second = JSON_ITEMS(ports, struct port_mapping)[ports->count - 1];
        snprintf(second.host_ip, sizeof(second.host_ip), "::");
        second.host_port_end = 0;
        if (bind_one(attachment, &second, &failure) == 0)
            return 0;
        bool is_range = wish.host_port_end > second.host_port;
        if (failure.kind != ERROR_CONFLICT || (wish.host_port != 0 && !is_range) ||
            attempt == PORT_ATTEMPTS)
            return error_set(err, failure.kind, "%s", failure.text);
        close(attachment->port_fds[--ports->count]);
        if (is_range)
            wish.host_port = (uint16_t)(second.host_port + 1);
    }
}

static int bind_port(struct attachment *attachment, const struct port_mapping *wished,
                     struct error *err)
{
    struct port_mapping wish = *wished;

    if (text_is_empty(wish.host_ip)) {
        const char *binding = default_binding(attachment);

        if (attachment->network->enable_ipv6 && strcmp(binding, "0.0.0.0") == 0)
            return bind_both(attachment, &wish, err);
        snprintf(wish.host_ip, sizeof(wish.host_ip), "%s", binding);
    }
    return bind_one(attachment, &wish, err);
}

static int bind_ports(struct attachment *attachment, struct error *err)
{
    const struct endpoint_wish *wish = attachment->wish;

    /* Up to two for each: one of each family. */
    attachment->port_fds = xcalloc(2 * wish->port_count + 1, sizeof(int));
    if (!network_entry(attachment->network)->driver->has_bridge)
        return 0; /* its containers are reached by their own addresses */
    for (size_t i = 0; i < wish->port_count; i++)
        if (bind_port(attachment, &wish->ports[i], err) < 0)
            return -1;
    return 0;
}

/* ---- the record ---- */

static bool is_taken(uint32_t address, void *data)
{
    const struct attachment *attachment = data;
    const struct network_entry *entry = network_entry(attachment->network);

    if (address == entry->subnet.address)
        return true;
    for (size_t i = 0; i < attachment->network->pools.count; i++) {
        const struct network_pool *pool = &JSON_ITEMS(&attachment->network->pools,
                                                      struct network_pool)[i];

        MAP_EACH (&pool->auxiliary, reserved) {
            uint32_t other;

            if (address_parse(reserved->value, &other, NULL) == 0 && other == address)
                return true;
        }
    }
    return record_address_is_taken(attachment->networks, attachment->network->id, address);
}

int network_check_address(const struct network *network, const char *text, struct error *err)
{
    const struct network_entry *entry = network_entry((struct network *)network);
    struct in6_addr address6;
    uint32_t address;
    bool is_ipv6 = strchr(text, ':') != NULL;

    if ((is_ipv6 ? address6_parse(text, &address6, err) : address_parse(text, &address, err)) < 0)
        return -1;
    if (is_ipv6 ? !network->enable_ipv6 || network->is_subnet6_chosen : entry->is_subnet_chosen)
        return error_set(err, ERROR_INVALID,
                         "invalid config for network %s: invalid endpoint settings:\n"
                         "user specified IP address is supported only when connecting to networks "
                         "with user configured subnets",
                         network->name);
    if (is_ipv6
            ? !subnet6_contains(&entry->subnet6, &address6)
            : !subnet_contains(&entry->subnet, address) ||
                  address == subnet_first(&entry->subnet) || address == subnet_last(&entry->subnet))
        return error_set(err, ERROR_INVALID,
                         "invalid config for network %s: invalid endpoint settings:\n"
                         "no configured subnet or ip-range contain the IP address %s",
                         network->name, text);
    return 0;
}

static int use_wished_address(struct attachment *attachment, struct error *err)
{
    const char *text = attachment->wish->address;
    uint32_t address;

    if (network_check_address(attachment->network, text, err) < 0 ||
        address_parse(text, &address, err) < 0)
        return -1;
    if (is_taken(address, attachment))
        return error_set(err, ERROR_FORBIDDEN, "Address already in use");
    attachment->row.address = address;
    return 0;
}

static bool is_taken6(const struct in6_addr *address, void *data)
{
    const struct attachment *attachment = data;
    const struct network_entry *entry = network_entry(attachment->network);
    char text[ADDRESS6_TEXT_SIZE];

    if (memcmp(address, &entry->subnet6.address, sizeof(*address)) == 0)
        return true;
    for (size_t i = 0; i < attachment->network->pools.count; i++) {
        const struct network_pool *pool = &JSON_ITEMS(&attachment->network->pools,
                                                      struct network_pool)[i];

        MAP_EACH (&pool->auxiliary, reserved) {
            struct in6_addr other;

            if (address6_parse(reserved->value, &other, NULL) == 0 &&
                memcmp(address, &other, sizeof(other)) == 0)
                return true;
        }
    }
    address6_format(address, text);
    return record_address6_is_taken(attachment->networks, attachment->network->id, text);
}

/* The same place in its subnet as the IPv4 address has, where that is free. */
static int choose_address6(struct attachment *attachment, struct error *err)
{
    const struct network_entry *entry = network_entry(attachment->network);
    const char *wished = attachment->wish->address6;
    char text[ADDRESS6_TEXT_SIZE] = "";
    struct in6_addr address;

    if (!attachment->network->enable_ipv6) {
        if (!text_is_empty(wished))
            return error_set(err, ERROR_INVALID,
                             "invalid config for network %s: invalid endpoint settings:\n"
                             "IPv6 address %s on a network without IPv6",
                             attachment->network->name, wished);
    } else if (!text_is_empty(wished)) {
        if (network_check_address(attachment->network, wished, err) < 0 ||
            address6_parse(wished, &address, err) < 0)
            return -1;
        if (is_taken6(&address, attachment))
            return error_set(err, ERROR_FORBIDDEN, "Address already in use");
        address6_format(&address, text);
    } else {
        uint64_t place = attachment->row.address - subnet_first(&entry->subnet);

        if (!address6_choose(&entry->subnet6, &entry->range6, place, is_taken6, attachment,
                             &address))
            return error_set(err, ERROR_INTERNAL,
                             "no available IPv6 addresses on this network's address pools: %s (%s)",
                             attachment->network->name, attachment->network->id);
        address6_format(&address, text);
    }
    attachment->row.endpoint.address6 = xstrdup(text);
    return 0;
}

static int choose_address(struct attachment *attachment, struct error *err)
{
    struct network_entry *entry = network_entry(attachment->network);
    char address[ADDRESS_TEXT_SIZE], mac[MAC_TEXT_SIZE];
    uint8_t octets[6];

    if (!text_is_empty(attachment->wish->address)) {
        if (use_wished_address(attachment, err) < 0)
            return -1;
    } else if (address_choose(&entry->subnet, &entry->range, atomic_load(&entry->last_address),
                              is_taken, attachment, &attachment->row.address)) {
        atomic_store(&entry->last_address, attachment->row.address);
    } else {
        return error_set(err, ERROR_INTERNAL,
                         "no available IPv4 addresses on this network's address pools: %s (%s)",
                         attachment->network->name, attachment->network->id);
    }
    address_format(attachment->row.address, address);
    attachment->row.endpoint.address = xstrdup(address);
    mac_from_address(attachment->row.address, mac);
    if (!text_is_empty(attachment->wish->mac_address)) {
        if (mac_parse(attachment->wish->mac_address, octets, err) < 0)
            return -1;
        snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", octets[0], octets[1], octets[2],
                 octets[3], octets[4], octets[5]);
    }
    attachment->row.endpoint.mac_address = xstrdup(mac);
    return choose_address6(attachment, err);
}

static bool has_interface(const struct endpoint_rows *rows, const char *name)
{
    for (size_t i = 0; i < rows->count; i++)
        if (strcmp(rows->items[i].endpoint.interface_name, name) == 0)
            return true;
    return false;
}

/* Would the default route belong here? */
static bool takes_default_route(const struct attachment *attachment,
                                const struct endpoint_rows *others)
{
    const struct endpoint_row *other = endpoint_preferred(attachment->networks, others, NULL,
                                                          false);
    CLEANUP(network_unref)
    struct network *network = other ? networks_get(attachment->networks, other->endpoint.network_id)
                                    : NULL;

    if (attachment->network->internal)
        return false;
    return !network || network_is_preferred(attachment->network, attachment->wish->gateway_priority,
                                            network, other->endpoint.gateway_priority);
}

/* What the container has elsewhere decides about names and routes. */
static int look_at_others(struct attachment *attachment, struct error *err)
{
    CLEANUP(endpoint_rows_done) struct endpoint_rows others = {};
    const char *prefix = network_entry(attachment->network)->interface_prefix;
    char name[IFNAMSIZ] = "";

    if (record_endpoints(attachment->networks, NULL, attachment->wish->container_id, &others, err) <
        0)
        return -1;
    for (size_t i = 0; i < others.count; i++)
        if (strcmp(others.items[i].endpoint.network_id, attachment->network->id) == 0)
            return error_set(
                err, ERROR_FORBIDDEN, "endpoint with name %s already exists in network %s",
                attachment->wish->container_name ? attachment->wish->container_name : "",
                attachment->network->name);
    for (int i = 0; i < INTERFACE_LIMIT; i++) {
        snprintf(name, sizeof(name), "%s%d", prefix, i);
        if (!has_interface(&others, name))
            break;
    }
    attachment->row.endpoint.interface_name = xstrdup(name);
    attachment->is_default = takes_default_route(attachment, &others);
    return 0;
}

/* We hold the ports now, so whoever is recorded to have them is gone. */
static int forget_old_ports(struct attachment *attachment, struct error *err)
{
    const struct json_list *ports = &attachment->row.endpoint.ports;

    for (size_t i = 0; i < ports->count; i++) {
        int64_t count = record_port_forget(attachment->networks,
                                           &JSON_ITEMS(ports, struct port_mapping)[i], err);

        if (count < 0)
            return -1;
        attachment->must_rebuild |= count > 0;
    }
    return 0;
}

static int record(struct attachment *attachment, struct error *err)
{
    struct database *database = attachment->networks->database;

    if (database_begin(database, RELAXED, err) < 0)
        return -1;
    if (look_at_others(attachment, err) < 0 || choose_address(attachment, err) < 0 ||
        forget_old_ports(attachment, err) < 0 ||
        record_endpoint_insert(attachment->networks, &attachment->row, err) < 0) {
        database_rollback(database);
        return -1;
    }
    attachment->was_recorded = true;
    return database_commit(database, err);
}

/* ---- the kernel ---- */

static int connect_link(struct attachment *attachment, int namespace_fd, struct error *err)
{
    struct network_entry *entry = network_entry(attachment->network);
    const struct endpoint *endpoint = &attachment->row.endpoint;
    bool has_ipv6 = attachment->network->enable_ipv6;
    struct subnet6 address6 = { .prefix_length = entry->subnet6.prefix_length };
    char host_name[IFNAMSIZ];
    struct pair pair = {
        .host_name = host_name,
        .inner_name = endpoint->interface_name,
        .address = { attachment->row.address, entry->subnet.prefix_length },
        .gateway = attachment->network->internal ? 0 : entry->subnet.address,
        .address6 = has_ipv6 ? &address6 : NULL,
        .gateway6 = has_ipv6 && !attachment->network->internal ? &entry->subnet6.address : NULL,
        .is_default = attachment->is_default,
        /* An announcement wakes each container on the bridge; an address that always has the same
         * hardware address needs none. */
        .is_announced = !text_is_empty(attachment->wish->mac_address),
        .mtu = entry->mtu,
    };

    endpoint_link_name(attachment->networks, endpoint->id, host_name);
    if (has_ipv6 && address6_parse(endpoint->address6, &address6.address, err) < 0)
        return -1;
    if (mac_parse(endpoint->mac_address, pair.mac, err) < 0)
        return -1;
    return entry->driver->connect(attachment->networks, entry, &pair, namespace_fd, err);
}

static int publish(struct attachment *attachment, struct error *err)
{
    struct firewall *firewall = attachment->networks->firewall;
    const struct json_list *ports = &attachment->row.endpoint.ports;
    CLEANUP(nft_batch_done) struct nft_batch batch = {};

    if (attachment->must_rebuild)
        return firewall_rebuild(firewall, err);
    if (ports->count == 0)
        return 0;
    firewall_begin(firewall, &batch);
    for (size_t i = 0; i < ports->count; i++) {
        struct firewall_port port;

        if (endpoint_firewall_port(&attachment->row, &JSON_ITEMS(ports, struct port_mapping)[i],
                                   &port))
            firewall_port_add(&batch, &port);
    }
    return firewall_commit(firewall, &batch, err);
}

int endpoint_attach(struct networks *networks, const struct endpoint_wish *wish, int namespace_fd,
                    struct endpoint *out, int *out_port_fds, struct error *err)
{
    CLEANUP(attachment_done)
    struct attachment attachment = { .networks = networks, .wish = wish };
    char host_name[IFNAMSIZ];

    if (prepare(&attachment, err) < 0 || bind_ports(&attachment, err) < 0 ||
        record(&attachment, err) < 0 || connect_link(&attachment, namespace_fd, err) < 0)
        return -1;
    if (publish(&attachment, err) < 0 || names_write(networks, wish->network_id, err) < 0) {
        endpoint_link_name(networks, attachment.row.endpoint.id, host_name);
        link_remove(host_name, NULL);
        return -1;
    }
    endpoint_forget_flows(&attachment.row.endpoint.ports);
    attachment.was_recorded = false;
    for (size_t i = 0; i < attachment.row.endpoint.ports.count; i++)
        out_port_fds[i] = attachment.port_fds[i];
    free(TAKE(attachment.port_fds));
    *out = attachment.row.endpoint;
    attachment.row.endpoint = (struct endpoint){};
    return 0;
}

/* ---- detaching ---- */

static int unpublish(struct networks *networks, const struct endpoint_rows *rows, struct error *err)
{
    CLEANUP(nft_batch_done) struct nft_batch batch = {};
    size_t count = 0;

    firewall_begin(networks->firewall, &batch);
    for (size_t i = 0; i < rows->count; i++) {
        const struct json_list *ports = &rows->items[i].endpoint.ports;

        for (size_t p = 0; p < ports->count; p++, count++) {
            struct firewall_port port;

            if (endpoint_firewall_port(&rows->items[i], &JSON_ITEMS(ports, struct port_mapping)[p],
                                       &port))
                firewall_port_remove(&batch, &port);
        }
    }
    return count == 0 ? 0 : firewall_commit(networks->firewall, &batch, err);
}

/* The container lives on: what it publishes goes to another network of its own, if there is one. */
static int save_ports(struct networks *networks, const char *container_id, const char *network_id,
                      struct error *err)
{
    CLEANUP(endpoint_rows_done) struct endpoint_rows all = {};
    const struct endpoint_row *next;

    if (record_endpoints(networks, NULL, container_id, &all, err) < 0)
        return -1;
    next = endpoint_preferred(networks, &all, network_id, true);
    for (size_t i = 0; next && i < all.count; i++)
        if (strcmp(all.items[i].endpoint.network_id, network_id) == 0 &&
            all.items[i].endpoint.ports.count > 0)
            return endpoint_move_ports(networks, &all.items[i], next, err);
    return 0;
}

static int remove_endpoint_link(struct networks *networks, const struct endpoint_row *row,
                                bool is_alive, struct error *err)
{
    char name[IFNAMSIZ];

    endpoint_forget_flows(&row->endpoint.ports);
    endpoint_link_name(networks, row->endpoint.id, name);
    if (is_alive)
        return link_remove(name, err);
    helper_remove_link(networks->helper, name); /* its namespace takes the link along */
    return 0;
}

int endpoint_detach(struct networks *networks, const char *container_id, const char *network_id,
                    struct error *err)
{
    CLEANUP(endpoint_rows_done) struct endpoint_rows rows = {};

    if (network_id && save_ports(networks, container_id, network_id, err) < 0)
        return -1;
    if (record_endpoints(networks, network_id, container_id, &rows, err) < 0)
        return -1;
    if (rows.count == 0)
        return 0;
    if (record_endpoints_delete(networks, container_id, network_id, err) < 0 ||
        unpublish(networks, &rows, err) < 0)
        return -1;
    for (size_t i = 0; i < rows.count; i++)
        if (names_write(networks, rows.items[i].endpoint.network_id, err) < 0 ||
            remove_endpoint_link(networks, &rows.items[i], network_id != NULL, err) < 0)
            return -1;
    return 0;
}

int endpoint_disconnect(struct networks *networks, const char *container_id, const char *network_id,
                        int namespace_fd, struct error *err)
{
    CLEANUP(endpoint_rows_done) struct endpoint_rows rows = {};
    CLEANUP(network_unref) struct network *network = networks_get(networks, network_id);

    if (record_endpoints(networks, network_id, container_id, &rows, err) < 0)
        return -1;
    /* A link without an end outside goes from within. */
    if (rows.count > 0 && network && !network_entry(network)->driver->has_bridge &&
        inner_link_remove(rows.items[0].endpoint.interface_name, networks->home_fd, namespace_fd,
                          err) < 0)
        return -1;
    return endpoint_detach(networks, container_id, network_id, err);
}

int endpoint_rename(struct networks *networks, const char *container_id, const char *network_id,
                    const char *container_name, const struct strv *names, struct error *err)
{
    CLEANUP(endpoint_rows_done) struct endpoint_rows rows = {};

    if (record_endpoints(networks, network_id, container_id, &rows, err) < 0)
        return -1;
    for (size_t i = 0; i < rows.count; i++) {
        struct endpoint_row *row = &rows.items[i];

        free(row->container_name);
        free(row->names);
        row->container_name = xstrdup(container_name);
        row->names = names ? strv_join(names, " ") : xstrdup("");
        if (record_endpoint_rename(networks, row, err) < 0 ||
            names_write(networks, network_id, err) < 0)
            return -1;
    }
    return 0;
}

/* ---- listing ---- */

int endpoint_list(struct networks *networks, const char *network_id, const char *container_id,
                  struct endpoint **out, size_t *out_count, struct error *err)
{
    CLEANUP(endpoint_rows_done) struct endpoint_rows rows = {};
    struct endpoint *list;

    if (record_endpoints(networks, network_id, container_id, &rows, err) < 0)
        return -1;
    list = xcalloc(rows.count + 1, sizeof(*list));
    for (size_t i = 0; i < rows.count; i++) {
        CLEANUP(network_unref)
        struct network *network = networks_get(networks, rows.items[i].endpoint.network_id);
        char gateway[ADDRESS_TEXT_SIZE] = "";

        list[i] = rows.items[i].endpoint;
        rows.items[i].endpoint = (struct endpoint){};
        if (network && !network->internal)
            address_format(network_entry(network)->subnet.address, gateway);
        char gateway6[ADDRESS6_TEXT_SIZE] = "";

        if (network && !network->internal && network->enable_ipv6)
            address6_format(&network_entry(network)->subnet6.address, gateway6);
        list[i].gateway6 = xstrdup(gateway6);
        list[i].prefix_length6 = network && network->enable_ipv6
                                     ? network_entry(network)->subnet6.prefix_length
                                     : 0;
        list[i].network_name = xstrdup(network ? network->name : "");
        list[i].has_names = network && network_has_names(network);
        list[i].gateway = xstrdup(gateway);
    }
    *out = list;
    *out_count = rows.count;
    return 0;
}

void endpoint_list_free(struct endpoint *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        endpoint_done(&list[i]);
    free(list);
}
