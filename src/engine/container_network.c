/* The network side of a start: a namespace, endpoints with their ports, and the three files about
 * it. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "engine/internal.h"
#include "linux/pidfd.h"
#include "network/files.h"

#include "base/banned.h"

/* "8000-8010" or "80" or "". */
static int parse_host_port(const char *text, struct port_mapping *port, struct error *err)
{
    int64_t first = 0, last = 0;
    CLEANUP(free) char *copy = xstrdup(text ? text : "");
    char *dash = strchr(copy, '-');

    if (dash)
        *dash++ = 0;
    if (((*copy || dash) && parse_int64(copy, 0, 65535, &first, NULL) < 0) ||
        (dash && parse_int64(dash, first, 65535, &last, NULL) < 0))
        return error_set(err, ERROR_INVALID, "invalid port specification: \"%s\"", text);
    port->host_port = (uint16_t)first;
    port->host_port_end = (uint16_t)last;
    return 0;
}

static int add_port(struct json_list *out, const char *key, const struct port_binding *binding,
                    struct error *err)
{
    struct port_mapping port = {};
    CLEANUP(free) char *number = xstrdup(key);
    char *slash = strchr(number, '/');
    int64_t value;

    if (slash)
        *slash++ = 0;
    if (parse_int64(number, 1, 65535, &value, err) < 0)
        return error_context(err, "invalid port specification \"%s\"", key);
    port.container_port = (uint16_t)value;
    snprintf(port.protocol, sizeof(port.protocol), "%s", slash ? slash : "tcp");
    if (binding) {
        snprintf(port.host_ip, sizeof(port.host_ip), "%s",
                 binding->host_ip ? binding->host_ip : "");
        if (parse_host_port(binding->host_port, &port, err) < 0)
            return -1;
    }
    *(struct port_mapping *)json_list_add(out, sizeof(port)) = port;
    return 0;
}

int container_read_bindings(const struct map *bindings, struct json_list *out, struct error *err)
{
    static const char *const protocols[] = { "sctp", "tcp", "udp" };

    MAP_EACH (bindings, entry) {
        const struct json_list *list = entry->value;
        const char *slash = strchr(entry->key, '/');
        bool is_known = !slash;

        for (size_t i = 0; slash && i < COUNT(protocols); i++)
            is_known |= strcmp(protocols[i], slash + 1) == 0;
        if (!is_known)
            return error_set(err, ERROR_INVALID, "invalid port specification: \"%s\"", entry->key);
        for (size_t i = 0; list && i < list->count; i++)
            if (add_port(out, entry->key, &JSON_ITEMS(list, struct port_binding)[i], err) < 0)
                return -1;
    }
    return 0;
}

/* Bindings take effect for ports that are exposed too; -P publishes all exposed ones. */
int container_wished_ports(const struct container_info *info, struct json_list *out,
                           struct error *err)
{
    const struct map *bindings = &info->host_config.port_bindings;

    for (size_t i = 0; i < info->config.exposed_ports.count; i++) {
        const char *exposed = info->config.exposed_ports.items[i];
        CLEANUP(free)
        char *key = strchr(exposed, '/') ? xstrdup(exposed) : xasprintf("%s/tcp", exposed);
        const struct json_list *wishes = map_get(bindings, key);

        if (!wishes)
            wishes = map_get(bindings, exposed);
        for (size_t b = 0; wishes && b < wishes->count; b++)
            if (add_port(out, key, &JSON_ITEMS(wishes, struct port_binding)[b], err) < 0)
                return -1;
        if ((!wishes || !wishes->count) && info->host_config.publish_all_ports &&
            add_port(out, key, NULL, err) < 0)
            return -1;
    }
    return 0;
}

static int join_other(struct container *container, const char *id, struct container_network *out,
                      struct error *err)
{
    CLEANUP(container_unref) struct container *other = NULL;
    char path[64];

    if (container_find(container->engine, id, &other, err) < 0) {
        err->kind = ERROR_INTERNAL;
        return error_context(err, "joining network namespace of container");
    }
    CLEANUP(container_info_unref) struct container_info *theirs = container_snapshot(other);
    if (!container_is_up(theirs))
        return error_set(
            err, ERROR_CONFLICT,
            "cannot join network namespace of a non running container: container %s is %s",
            theirs->name, container_state_name(theirs->state));
    CLEANUP(close) int pidfd = -1;
    if (container_open_init(other, theirs, &pidfd, err) < 0)
        return error_context(err, "join network namespace of container %s", theirs->name);
    snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)theirs->pid);
    out->namespace_fd = open(path, O_RDONLY | O_CLOEXEC);
    if (out->namespace_fd < 0)
        return error_sys(err, "join network namespace of container %s", theirs->name);
    if (pidfd_has_ended(pidfd)) /* then it may be another's by now */
        return error_set(err, ERROR_CONFLICT,
                         "cannot join network namespace of container %s: it has ended",
                         theirs->name);
    out->hosts_path = xstrdup(theirs->hosts_path);
    out->resolv_path = xstrdup(theirs->resolv_path);
    return 0;
}

int container_attach(struct container *container, const struct container_info *info,
                     const char *network_name, const struct endpoint_settings *settings,
                     const struct json_list *ports, struct container_network *out,
                     struct error *err)
{
    struct engine *engine = container->engine;
    CLEANUP(network_unref) struct network *network = NULL;
    CLEANUP(strv_done) struct strv names = {}, sysctls = {};
    struct endpoint endpoint = {};
    const struct endpoint_ipam *ipam = settings ? settings->ipam_config : NULL;
    bool is_first = strcmp(network_name, info->host_config.network_mode) == 0;

    if (network_find(engine->networks, network_name, &network, err) < 0)
        return error_context(err, "failed to set up container networking");
    const char *mac = settings && !text_is_empty(settings->mac_address) ? settings->mac_address
                      : is_first                                        ? info->config.mac_address
                                                                        : NULL;
    if (network_has_names(network)) {
        container_dns_names(info, settings, &names);
        out->has_names = true;
    }
    const char *sysctl_text = settings ? map_get(&settings->driver_opts, ENDPOINT_SYSCTLS) : NULL;
    if (!text_is_empty(sysctl_text))
        strv_split(&sysctls, sysctl_text, ',');
    struct endpoint_wish wish = {
        .interface_name = settings ? map_get(&settings->driver_opts, ENDPOINT_IFNAME) : NULL,
        .sysctls = &sysctls,
        .container_id = container->id,
        .container_name = info->name,
        .network_id = network->id,
        .address = ipam && !text_is_empty(ipam->ipv4_address) ? ipam->ipv4_address : NULL,
        .address6 = ipam && !text_is_empty(ipam->ipv6_address) ? ipam->ipv6_address : NULL,
        .link_locals = ipam ? &ipam->link_local_ips : NULL,
        .mac_address = text_is_empty(mac) ? NULL : mac,
        .names = &names,
        .gateway_priority = settings ? settings->gw_priority : 0,
        .ports = ports ? ports->items : NULL,
        .port_count = ports ? ports->count : 0,
    };
    CLEANUP(free) int *fds = xcalloc(2 * wish.port_count + 1, sizeof(int));
    if (endpoint_attach(engine->networks, &wish, out->namespace_fd, &endpoint, fds, err) < 0)
        return error_context(err, "failed to set up container networking");
    out->port_fds = xrealloc(out->port_fds, out->port_fd_count + endpoint.ports.count + 1,
                             sizeof(int));
    for (size_t i = 0; i < endpoint.ports.count; i++)
        out->port_fds[out->port_fd_count++] = fds[i];
    *(struct endpoint *)json_list_add(&out->endpoints, sizeof(endpoint)) = endpoint;
    return 0;
}

/* Which network what it publishes leads to: the one that will have its default route. NULL if
 * there is none. */
static const char *published_network(struct engine *engine, const struct container_info *info)
{
    CLEANUP(network_unref) struct network *best = NULL;
    const char *key = NULL;
    int64_t best_priority = 0;

    MAP_EACH (&info->endpoints, entry) {
        CLEANUP(network_unref) struct network *network = NULL;
        const struct endpoint_settings *settings = entry->value;

        if (network_find(engine->networks, entry->key, &network, NULL) < 0 ||
            !network_can_publish(network) ||
            (best && !network_is_preferred(network, settings->gw_priority, best, best_priority)))
            continue;
        network_unref(best);
        best = TAKE(network);
        best_priority = settings->gw_priority;
        key = entry->key;
    }
    return key;
}

/* The default bridge comes first, the others as they were asked for. */
static int attach_all(struct container *container, const struct container_info *info,
                      struct container_network *out, struct error *err)
{
    const char *publishes = published_network(container->engine, info);
    const struct endpoint_settings *bridge = map_get(&info->endpoints, "bridge");
    struct json_list ports = {};
    int result = container_wished_ports(info, &ports, err);

    if (result == 0 && bridge)
        result = container_attach(container, info, "bridge", bridge,
                                  text_equal(publishes, "bridge") ? &ports : NULL, out, err);
    MAP_EACH (&info->endpoints, entry)
        if (result == 0 && strcmp(entry->key, "bridge") != 0)
            result = container_attach(container, info, entry->key, entry->value,
                                      text_equal(publishes, entry->key) ? &ports : NULL, out, err);
    free(ports.items);
    return result;
}

static int write_file(const char *path, const struct str *text, struct error *err)
{
    return file_write_atomic(path, str_text(text), text->length, 0644, false, err);
}

void container_default_gateway(struct engine *engine, struct str *out)
{
    CLEANUP(network_unref) struct network *bridge = NULL;
    const struct network_pool *pool;

    if (network_find(engine->networks, "bridge", &bridge, NULL) < 0 || bridge->pools.count == 0)
        return;
    pool = JSON_ITEMS(&bridge->pools, struct network_pool);
    str_add(out, pool->gateway ? pool->gateway : "");
}

struct network_files_options container_files_options(struct engine *engine,
                                                     const struct container_info *info)
{
    const struct host_config *host = &info->host_config;

    return (struct network_files_options){
        .hostname = info->config.hostname,
        .domainname = info->config.domainname,
        .extra_hosts = &host->extra_hosts,
        .ipv6 = true,
        .dns = host->dns.count ? &host->dns : engine->options.dns,
        .dns_search = host->dns_search.count ? &host->dns_search : engine->options.dns_search,
        .dns_options = host->dns_options.count ? &host->dns_options : engine->options.dns_options,
    };
}

static int write_files(struct container *container, const struct container_info *info,
                       struct container_network *network, struct error *err)
{
    struct engine *engine = container->engine;
    CLEANUP(free) char *directory = container_directory(engine, container->id);
    CLEANUP(strv_done) struct strv addresses = {}, links = {};
    CLEANUP(str_done) struct str text = {}, host_resolv = {}, gateway = {};
    struct network_files_options options = container_files_options(engine, info);

    for (size_t i = 0; i < network->endpoints.count; i++) {
        const struct endpoint *endpoint = &JSON_ITEMS(&network->endpoints, struct endpoint)[i];

        if (!text_is_empty(endpoint->address))
            strv_add(&addresses, endpoint->address);
        if (!text_is_empty(endpoint->address6))
            strv_add(&addresses, endpoint->address6);
    }
    if (strcmp(info->host_config.network_mode, "bridge") == 0 &&
        container_link_lines(engine, info, &links, err) < 0)
        return -1;
    container_default_gateway(engine, &gateway);
    options.gateway = str_text(&gateway);
    options.addresses = &addresses;
    options.links = &links;
    options.is_host_network = network->is_host;
    options.is_user_network = network->has_names;
    network->hostname_path = path_join(directory, "hostname");
    network_hostname_text(&options, &text);
    if (write_file(network->hostname_path, &text, err) < 0)
        return -1;
    if (!network->hosts_path) {
        network->hosts_path = path_join(directory, "hosts");
        str_clear(&text);
        network_hosts_text(&options, &text);
        if (write_file(network->hosts_path, &text, err) < 0)
            return -1;
    }
    if (!network->resolv_path) {
        network->resolv_path = path_join(directory, "resolv.conf");
        str_clear(&text);
        network_host_resolv(&host_resolv);
        network_resolv_text(&options, str_text(&host_resolv), &text);
        if (write_file(network->resolv_path, &text, err) < 0)
            return -1;
    }
    return 0;
}

int container_network_setup(struct container *container, const struct container_info *info,
                            int namespace_fd, struct container_network *out, struct error *err)
{
    CLEANUP(close) int given_fd = namespace_fd;
    const char *mode = info->host_config.network_mode;
    CLEANUP(container_network_done) struct container_network network = { .namespace_fd = -1 };
    int result = 0;

    network.is_host = strcmp(mode, "host") == 0;
    network.is_none = map_has(&info->endpoints, "none");
    network.is_own = !network.is_host && !text_starts(mode, "container:");
    if (text_starts(mode, "container:"))
        result = join_other(container, mode + 10, &network, err);
    else if (!network.is_host && given_fd < 0)
        result = network_namespace_new(container->engine->networks, &network.namespace_fd, err);
    else if (!network.is_host)
        result = network_namespace_prepare(container->engine->networks,
                                           network.namespace_fd = TAKE_FD(given_fd), err);
    if (result == 0 && network.is_own && !network.is_none)
        result = attach_all(container, info, &network, err);
    if (result == 0)
        result = write_files(container, info, &network, err);
    if (result < 0) {
        struct error ignored;

        endpoint_detach(container->engine->networks, container->id, NULL, &ignored);
        return -1;
    }
    *out = network;
    network = (struct container_network){ .namespace_fd = -1 };
    return 0;
}

void container_network_done(struct container_network *network)
{
    if (network->namespace_fd >= 0)
        close(network->namespace_fd);
    for (size_t i = 0; i < network->port_fd_count; i++)
        close(network->port_fds[i]);
    free(network->port_fds);
    for (size_t i = 0; i < network->endpoints.count; i++)
        endpoint_done(&JSON_ITEMS(&network->endpoints, struct endpoint)[i]);
    free(network->endpoints.items);
    free(network->hosts_path);
    free(network->hostname_path);
    free(network->resolv_path);
    *network = (struct container_network){ .namespace_fd = -1 };
}

static void replace(char **text, const char *value)
{
    free(*text);
    *text = xstrdup(value ? value : "");
}

static void endpoint_show(struct endpoint_settings *settings, const struct endpoint *endpoint)
{
    replace(&settings->network_id, endpoint->network_id);
    replace(&settings->endpoint_id, endpoint->id);
    replace(&settings->gateway, endpoint->gateway);
    replace(&settings->ip_address, endpoint->address);
    replace(&settings->mac_address, endpoint->mac_address);
    settings->ip_prefix_len = endpoint->prefix_length;
    replace(&settings->global_ipv6_address, endpoint->address6);
    replace(&settings->ipv6_gateway, endpoint->gateway6);
    settings->global_ipv6_prefix_len = endpoint->prefix_length6;
}

static void network_event(struct engine *engine, const char *container_id, const char *action,
                          const char *network_id, const char *name)
{
    CLEANUP(map_done) struct map attributes = {};
    CLEANUP(network_unref) struct network *network = NULL;

    if (network_find(engine->networks, network_id, &network, NULL) < 0)
        network = NULL;
    map_set_text(&attributes, "container", container_id);
    map_set_text(&attributes, "name", name);
    map_set_text(&attributes, "type", network ? network->driver : "bridge");
    engine_event(engine, "network", action, network_id, &attributes);
}

/* The endpoints that the container got, into the snapshot. */
void container_show_endpoints(struct container_info *info, const struct container_network *network)
{
    for (size_t i = 0; i < network->endpoints.count; i++) {
        const struct endpoint *endpoint = &JSON_ITEMS(&network->endpoints, struct endpoint)[i];
        struct endpoint_settings *settings = map_get(&info->endpoints, endpoint->network_name);

        if (!settings) {
            settings = NEW(struct endpoint_settings);
            map_set(&info->endpoints, endpoint->network_name, settings);
        }
        endpoint_show(settings, endpoint);
        strv_done(&settings->dns_names);
        if (endpoint->has_names)
            container_dns_names(info, settings, &settings->dns_names);
        for (size_t p = 0; p < endpoint->ports.count; p++)
            *(struct port_mapping *)json_list_add(&info->ports, sizeof(struct port_mapping)) =
                JSON_ITEMS(&endpoint->ports, struct port_mapping)[p];
    }
}

void container_tell_connected(struct container *container, const struct container_network *network)
{
    for (size_t i = 0; i < network->endpoints.count; i++) {
        const struct endpoint *endpoint = &JSON_ITEMS(&network->endpoints, struct endpoint)[i];

        network_event(container->engine, container->id, "connect", endpoint->network_id,
                      endpoint->network_name);
    }
}

void container_tell_disconnected(struct container *container, const struct container_info *info,
                                 const char *network_name)
{
    const struct endpoint_settings *endpoint = map_get(&info->endpoints, network_name);

    if (endpoint && !text_is_empty(endpoint->endpoint_id))
        network_event(container->engine, container->id, "disconnect", endpoint->network_id,
                      network_name);
}

void container_list_ports(struct container *container, struct container_info *info)
{
    struct endpoint *endpoints = NULL;
    size_t count = 0;
    struct error ignored;

    if (endpoint_list(container->engine->networks, NULL, container->id, &endpoints, &count,
                      &ignored) < 0)
        return;
    free(info->ports.items);
    info->ports = (struct json_list){};
    for (size_t i = 0; i < count; i++)
        for (size_t p = 0; p < endpoints[i].ports.count; p++)
            *(struct port_mapping *)json_list_add(&info->ports, sizeof(struct port_mapping)) =
                JSON_ITEMS(&endpoints[i].ports, struct port_mapping)[p];
    endpoint_list_free(endpoints, count);
}

/* The names that it has now, wherever it is attached. */
void container_rename_endpoints(struct container *container, struct container_info *info)
{
    struct engine *engine = container->engine;
    struct error err = {};

    MAP_EACH (&info->endpoints, entry) {
        struct endpoint_settings *settings = entry->value;

        if (text_is_empty(settings->endpoint_id))
            continue;
        bool has_names = settings->dns_names.count > 0;
        strv_done(&settings->dns_names);
        if (has_names)
            container_dns_names(info, settings, &settings->dns_names);
        if (endpoint_rename(engine->networks, container->id, settings->network_id, info->name,
                            &settings->dns_names, &err) < 0)
            log_warn("cannot change a container's names on a network", "container", container->id,
                     "network", entry->key, "error", err.text);
    }
}

/* Gives up all endpoints; one event for each. */
void container_release_network(struct container *container, const struct container_info *info)
{
    struct engine *engine = container->engine;
    struct error err = {};

    if (endpoint_detach(engine->networks, container->id, NULL, &err) < 0)
        log_warn("cannot take a container off its networks", "container", container->id, "error",
                 err.text);
    MAP_EACH (&info->endpoints, entry)
        container_tell_disconnected(container, info, entry->key);
}
