/* Published ports of endpoints: bound first, which dies with the process, then recorded, then
 * redirected. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/text.h"
#include "network/attachment.h"
#include "network/port.h"

#include "base/banned.h"

#define PORT_ATTEMPTS 16

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
    if (!strchr(address, ':') && !attachment->network->enable_ipv4)
        return error_set(err, ERROR_UNSUPPORTED,
                         "ports cannot be published on IPv4 address %s: network %s has no IPv4",
                         address, attachment->network->name);
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

/* Nothing of the host's is taken there; something must be held all the same. */
static int open_routed(struct attachment *attachment, const struct port_mapping *wished,
                       struct error *err)
{
    struct json_list *ports = &attachment->row.endpoint.ports;
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    struct port_mapping *port;

    if (fd < 0)
        return error_sys(err, "open /dev/null");
    attachment->port_fds[ports->count] = fd;
    port = json_list_add(ports, sizeof(*port));
    *port = *wished;
    port->host_port = port->host_port_end = 0;
    snprintf(port->host_ip, sizeof(port->host_ip), "%s",
             strchr(wished->host_ip, ':') ? "::" : "0.0.0.0");
    return 0;
}

static bool is_routed(const struct attachment *attachment, const char *host_ip)
{
    const struct network_entry *entry = network_entry(attachment->network);

    return strchr(host_ip, ':') ? entry->is_routed6 : entry->is_routed;
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
    if (is_routed(attachment, wish.host_ip))
        return open_routed(attachment, &wish, err);
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
        if (second.host_port == 0) /* that family is routed and needs no number */
            second = wish;
        else
            second.host_port_end = 0;
        snprintf(second.host_ip, sizeof(second.host_ip), "::");
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

        if (strcmp(binding, "0.0.0.0") == 0) {
            if (attachment->network->enable_ipv6 && attachment->network->enable_ipv4)
                return bind_both(attachment, &wish, err);
            if (attachment->network->enable_ipv6)
                binding = "::";
        }
        snprintf(wish.host_ip, sizeof(wish.host_ip), "%s", binding);
    }
    return bind_one(attachment, &wish, err);
}

int attachment_bind_ports(struct attachment *attachment, struct error *err)
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

int attachment_forget_old_ports(struct attachment *attachment, struct error *err)
{
    const struct json_list *ports = &attachment->row.endpoint.ports;

    for (size_t i = 0; i < ports->count; i++) {
        const struct port_mapping *port = &JSON_ITEMS(ports, struct port_mapping)[i];
        int64_t count = port->host_port == 0 ? 0
                                             : record_port_forget(attachment->networks, port, err);

        if (count < 0)
            return -1;
        attachment->must_rebuild |= count > 0;
    }
    return 0;
}

/* ---- the firewall ---- */

int attachment_publish(struct attachment *attachment, struct error *err)
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

        if (endpoint_firewall_port(attachment->networks, &attachment->row,
                                   &JSON_ITEMS(ports, struct port_mapping)[i], &port))
            firewall_port_add(&batch, &port);
    }
    return firewall_commit(firewall, &batch, err);
}

int endpoints_unpublish(struct networks *networks, const struct endpoint_rows *rows,
                        struct error *err)
{
    CLEANUP(nft_batch_done) struct nft_batch batch = {};
    size_t count = 0;

    firewall_begin(networks->firewall, &batch);
    for (size_t i = 0; i < rows->count; i++) {
        const struct json_list *ports = &rows->items[i].endpoint.ports;

        for (size_t p = 0; p < ports->count; p++, count++) {
            struct firewall_port port;

            if (endpoint_firewall_port(networks, &rows->items[i],
                                       &JSON_ITEMS(ports, struct port_mapping)[p], &port))
                firewall_port_remove(&batch, &port);
        }
    }
    return count == 0 ? 0 : firewall_commit(networks->firewall, &batch, err);
}

/* ---- of a container that runs ---- */

static void done(struct attachment *attachment)
{
    for (size_t i = 0; attachment->port_fds && i < attachment->row.endpoint.ports.count; i++)
        close(attachment->port_fds[i]);
    free(attachment->port_fds);
    free(attachment->row.endpoint.ports.items);
    network_unref(attachment->network);
}
CLEANUP_VALUE(done, struct attachment)

static int record_ports(struct attachment *attachment, struct error *err)
{
    struct database *database = attachment->networks->database;

    if (database_begin(database, RELAXED, err) < 0)
        return -1;
    if (attachment_forget_old_ports(attachment, err) < 0 ||
        record_ports_insert(attachment->networks, &attachment->row.endpoint, err) < 0) {
        database_rollback(database);
        return -1;
    }
    return database_commit(database, err);
}

int endpoint_publish(struct networks *networks, const char *container_id,
                     const struct port_mapping *ports, size_t count, int *out_fds,
                     size_t *out_fd_count, struct error *err)
{
    CLEANUP(endpoint_rows_done) struct endpoint_rows rows = {};
    CLEANUP(done) struct attachment attachment = { .networks = networks };
    struct endpoint_wish wish = { .container_id = container_id,
                                  .ports = ports,
                                  .port_count = count };
    const struct endpoint_row *best;
    struct error failure = {};

    if (record_endpoints(networks, NULL, container_id, &rows, err) < 0)
        return -1;
    best = endpoint_preferred(networks, &rows, NULL, FOR_PORTS);
    if (!best)
        return error_set(err, ERROR_CONFLICT,
                         "the container is on no network that can publish ports");
    wish.container_name = best->container_name;
    attachment.wish = &wish;
    attachment.network = networks_get(networks, best->endpoint.network_id);
    attachment.row = *best; /* borrowed, but for the ports */
    attachment.row.endpoint.ports = (struct json_list){};
    if (attachment_bind_ports(&attachment, err) < 0 || record_ports(&attachment, err) < 0)
        return -1;
    if (attachment_publish(&attachment, &failure) < 0) {
        struct endpoint_rows mine = { .items = &attachment.row, .count = 1 };

        record_ports_delete(networks, &attachment.row.endpoint, NULL);
        endpoints_unpublish(networks, &mine, NULL);
        return error_set(err, failure.kind, "%s", failure.text);
    }
    endpoint_forget_flows(&attachment.row.endpoint.ports);
    *out_fd_count = attachment.row.endpoint.ports.count;
    memcpy(out_fds, attachment.port_fds, *out_fd_count * sizeof(int));
    free(TAKE(attachment.port_fds));
    return 0;
}

static bool is_meant(const struct port_mapping *port, const struct port_mapping *which)
{
    return strcmp(port->protocol, which->protocol) == 0 &&
           port->container_port == which->container_port &&
           (which->host_port == 0 || port->host_port == 0 || port->host_port == which->host_port) &&
           (text_is_empty(which->host_ip) || strcmp(port->host_ip, which->host_ip) == 0);
}

int endpoint_unpublish(struct networks *networks, const char *container_id,
                       const struct port_mapping *which, struct json_list *out, struct error *err)
{
    CLEANUP(endpoint_rows_done) struct endpoint_rows rows = {};
    bool must_rebuild = false;

    if (record_endpoints(networks, NULL, container_id, &rows, err) < 0)
        return -1;
    for (size_t i = 0; i < rows.count; i++) {
        struct endpoint_row *row = &rows.items[i];
        struct json_list *ports = &row->endpoint.ports;
        struct port_mapping *items = ports->items;
        size_t kept = 0;

        for (size_t p = 0; p < ports->count; p++)
            if (is_meant(&items[p], which)) {
                must_rebuild |= items[p].host_port == 0;
                *(struct port_mapping *)json_list_add(out, sizeof(*which)) = items[p];
                items[kept++] = items[p]; /* what is left in the row is what goes */
            }
        ports->count = kept;
        if (kept > 0 && record_ports_delete(networks, &row->endpoint, err) < 0)
            return -1;
        endpoint_forget_flows(ports);
        /* What is left may open the same port of the container. */
        must_rebuild |= kept > 0 && network_opens_ports(networks, row->endpoint.network_id);
    }
    return must_rebuild ? firewall_rebuild(networks->firewall, err)
                        : endpoints_unpublish(networks, &rows, err);
}
