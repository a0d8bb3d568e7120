/* Attaching in the order that leaves nothing behind: ports are bound (which dies with the process),
 * the endpoint is recorded, then made; whatever fails takes the steps before back. */
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "network/attachment.h"
#include "network/conntrack.h"
#include "network/link.h"
#include "network/names.h"
#include "network/port.h"

#include "base/banned.h"

#define INTERFACE_LIMIT 1000

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

static void attachment_done(struct attachment *attachment)
{
    if (attachment->was_recorded) {
        record_endpoints_delete(attachment->networks, attachment->wish->container_id,
                                attachment->network->id, NULL);
        names_drop(attachment->networks, &attachment->row, NULL);
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

/* Beside an engine's id the name of a link has room for six digits only: among a thousand
 * endpoints some would share them. */
static void choose_id(struct networks *networks, char out[ID_LENGTH + 1])
{
    char name[IFNAMSIZ];

    do {
        id_generate(out);
        endpoint_link_name(networks, out, name);
    } while (if_nametoindex(name) != 0);
}

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
    if (attachment->network->is_config_only)
        return error_set(err, ERROR_FORBIDDEN,
                         "cannot create endpoint on configuration-only network");
    if (!entry->driver->has_endpoints)
        return error_set(err, ERROR_INVALID, "containers cannot be attached to network %s",
                         attachment->network->name);
    for (size_t i = 0; wish->link_locals && i < wish->link_locals->count; i++)
        if (strchr(wish->link_locals->items[i], ':') && !attachment->network->enable_ipv6)
            return error_set(err, ERROR_INVALID,
                             "link-local address %s on network %s, which has no IPv6",
                             wish->link_locals->items[i], attachment->network->name);
    choose_id(attachment->networks, id);
    endpoint->id = xstrdup(id);
    endpoint->network_id = xstrdup(attachment->network->id);
    endpoint->network_name = xstrdup(attachment->network->name);
    endpoint->container_id = xstrdup(wish->container_id);
    endpoint->prefix_length = entry->subnet.prefix_length;
    if (network_has_gateway(attachment->network) && attachment->network->enable_ipv4)
        address_format(entry->subnet.address, gateway);
    if (network_has_gateway(attachment->network) && attachment->network->enable_ipv6)
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

/* ---- the record ---- */

static bool has_interface(const struct endpoint_rows *rows, const char *name)
{
    for (size_t i = 0; i < rows->count; i++)
        if (strcmp(rows->items[i].endpoint.interface_name, name) == 0)
            return true;
    return false;
}

/* Would the default route of that family belong here? */
static bool takes_default_route(const struct attachment *attachment,
                                const struct endpoint_rows *others, enum preference preference)
{
    const struct endpoint_row *other = endpoint_preferred(attachment->networks, others, NULL,
                                                          preference);
    CLEANUP(network_unref)
    struct network *network = other ? networks_get(attachment->networks, other->endpoint.network_id)
                                    : NULL;

    if (attachment->network->internal ||
        (preference == FOR_ROUTE6 ? !attachment->network->enable_ipv6
                                  : !attachment->network->enable_ipv4))
        return false;
    return !network || network_is_preferred(attachment->network, attachment->wish->gateway_priority,
                                            network, other->endpoint.gateway_priority);
}

static int check_interface_name(const char *name, const struct endpoint_rows *others,
                                struct error *err)
{
    if (strlen(name) >= IFNAMSIZ || strpbrk(name, "/: \t\n%") || strcmp(name, ".") == 0 ||
        strcmp(name, "..") == 0 || strcmp(name, "lo") == 0)
        return error_set(err, ERROR_INVALID, "invalid interface name: %s", name);
    if (has_interface(others, name))
        return error_set(err, ERROR_CONFLICT, "interface name %s is taken already", name);
    return 0;
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
    const char *wished = attachment->wish->interface_name;
    if (!text_is_empty(wished)) {
        if (check_interface_name(wished, &others, err) < 0)
            return -1;
        snprintf(name, sizeof(name), "%s", wished);
    }
    for (int i = 0; text_is_empty(wished) && i < INTERFACE_LIMIT; i++) {
        snprintf(name, sizeof(name), "%s%d", prefix, i);
        if (!has_interface(&others, name))
            break;
    }
    attachment->row.endpoint.interface_name = xstrdup(name);
    attachment->is_default = takes_default_route(attachment, &others, FOR_ROUTE);
    attachment->is_default6 = takes_default_route(attachment, &others, FOR_ROUTE6);
    return 0;
}

static int record(struct attachment *attachment, struct error *err)
{
    struct database *database = attachment->networks->database;

    if (database_begin(database, RELAXED, err) < 0)
        return -1;
    if (look_at_others(attachment, err) < 0 || attachment_choose_address(attachment, err) < 0 ||
        attachment_forget_old_ports(attachment, err) < 0 ||
        record_endpoint_insert(attachment->networks, &attachment->row, err) < 0) {
        database_rollback(database);
        return -1;
    }
    attachment->was_recorded = true;
    return database_commit(database, err);
}

/* ---- the kernel ---- */

/* "net.ipv4.conf.IFNAME.x=1" about that interface as a path below /proc/sys. */
static int read_sysctl(const char *text, const char *interface_name, struct strv *out,
                       struct error *err)
{
    static const char *const kinds[] = { "net.ipv4.conf.IFNAME.", "net.ipv4.neigh.IFNAME.",
                                         "net.ipv6.conf.IFNAME.", "net.ipv6.neigh.IFNAME.",
                                         "net.mpls.conf.IFNAME." };
    const char *equals = strchr(text, '=');

    for (size_t i = 0; equals && i < COUNT(kinds); i++) {
        size_t length = strlen(kinds[i]);

        if (strncasecmp(text, kinds[i], length) != 0 || /* clients write it in lower case, too */

            strcspn(text + length, "./") < (size_t)(equals - text) - length)
            continue;
        CLEANUP(free) char *directory = xstrndup(kinds[i], length - strlen(".IFNAME."));
        for (char *at = directory; *at; at++)
            if (*at == '.')
                *at = '/';
        strv_add_format(out, "%s/%s/%s", directory, interface_name, text + length);
        return 0;
    }
    return error_set(err, ERROR_INVALID,
                     "invalid endpoint sysctl '%s': it must be of an interface (IFNAME) and have a "
                     "value",
                     text);
}

static int connect_link(struct attachment *attachment, int namespace_fd, struct error *err)
{
    struct network_entry *entry = network_entry(attachment->network);
    const struct endpoint *endpoint = &attachment->row.endpoint;
    bool has_ipv6 = attachment->network->enable_ipv6;
    bool has_gateway = network_has_gateway(attachment->network);
    struct subnet6 address6 = { .prefix_length = entry->subnet6.prefix_length };
    CLEANUP(strv_done) struct strv sysctls = {};
    char host_name[IFNAMSIZ];
    struct pair pair = {
        .sysctls = &sysctls,
        .host_name = host_name,
        .inner_name = endpoint->interface_name,
        .address = { attachment->row.address, entry->subnet.prefix_length },
        .has_ipv4 = attachment->network->enable_ipv4,
        .gateway = has_gateway ? entry->subnet.address : 0,
        .address6 = has_ipv6 ? &address6 : NULL,
        .gateway6 = has_ipv6 && has_gateway ? &entry->subnet6.address : NULL,
        .link_locals = attachment->wish->link_locals,
        .is_default = attachment->is_default,
        .is_default6 = attachment->is_default6,
        /* An announcement wakes each container on the bridge; an address that always has the same
         * hardware address needs none. */
        .is_announced = !text_is_empty(attachment->wish->mac_address),
        .mtu = entry->mtu,
    };

    endpoint_link_name(attachment->networks, endpoint->id, host_name);
    for (size_t i = 0; attachment->wish->sysctls && i < attachment->wish->sysctls->count; i++)
        if (read_sysctl(attachment->wish->sysctls->items[i], endpoint->interface_name, &sysctls,
                        err) < 0)
            return -1;
    if (has_ipv6 && address6_parse(endpoint->address6, &address6.address, err) < 0)
        return -1;
    if (mac_parse(endpoint->mac_address, pair.mac, err) < 0)
        return -1;
    return entry->driver->connect(attachment->networks, entry, &pair, namespace_fd, err);
}

int endpoint_attach(struct networks *networks, const struct endpoint_wish *wish, int namespace_fd,
                    struct endpoint *out, int *out_port_fds, struct error *err)
{
    CLEANUP(attachment_done)
    struct attachment attachment = { .networks = networks, .wish = wish };
    char host_name[IFNAMSIZ];

    if (prepare(&attachment, err) < 0 || attachment_bind_ports(&attachment, err) < 0 ||
        record(&attachment, err) < 0 || connect_link(&attachment, namespace_fd, err) < 0)
        return -1;
    if (attachment_publish(&attachment, err) < 0 || names_add(networks, &attachment.row, err) < 0) {
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

/* The container lives on: what it publishes goes to another network of its own, if there is one. */
static int save_ports(struct networks *networks, const char *container_id, const char *network_id,
                      struct error *err)
{
    CLEANUP(endpoint_rows_done) struct endpoint_rows all = {};
    const struct endpoint_row *next;

    if (record_endpoints(networks, NULL, container_id, &all, err) < 0)
        return -1;
    next = endpoint_preferred(networks, &all, network_id, FOR_PORTS);
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
        endpoints_unpublish(networks, &rows, err) < 0)
        return -1;
    for (size_t i = 0; i < rows.count; i++)
        if (names_drop(networks, &rows.items[i], err) < 0 ||
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
        if (network && network_has_gateway(network) && network->enable_ipv4)
            address_format(network_entry(network)->subnet.address, gateway);
        char gateway6[ADDRESS6_TEXT_SIZE] = "";

        if (network && network_has_gateway(network) && network->enable_ipv6)
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
