/* Opening and closing: from the record to what the kernel has. */
#include "network/network.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "network/inlet.h"
#include "network/internal.h"
#include "network/link.h"
#include "network/names.h"
#include "network/namespace.h"
#include "network/resolver.h"

#include "base/banned.h"

#define ENGINE_ID_LIMIT 8
#define DEFAULT_MTU     1500
#define FORWARD_PATH    "/proc/sys/net/ipv4/ip_forward"
#define CONF6_PATH      "/proc/sys/net/ipv6/conf"
#define FORWARD6_PATH   CONF6_PATH "/all/forwarding"

/* ---- predefined networks ---- */

static struct network *predefined(const char *name, const char *driver)
{
    struct network_entry *entry = NEW(struct network_entry);
    struct network *network = &entry->network;
    char id[ID_LENGTH + 1];

    id_generate(id);
    atomic_init(&entry->references, 1);
    entry->driver = network_driver_find(driver);
    network->id = xstrdup(id);
    network->name = xstrdup(name);
    network->driver = xstrdup(driver);
    network->scope = xstrdup("local");
    network->created_ns = clock_wall_ns();
    network->enable_ipv4 = true;
    map_init_empty(&network->options, free);
    map_init_empty(&network->labels, free);
    return network;
}

static int assert_without_bridge(struct networks *networks, const char *name, const char *driver,
                                 struct error *err)
{
    CLEANUP(network_unref) struct network *network = NULL;

    if (network_find(networks, name, &network, NULL) == 0)
        return 0;
    network = predefined(name, driver);
    if (record_network_insert(networks, network, err) < 0)
        return -1;
    networks_add(networks, TAKE(network));
    return 0;
}

static void describe_default_bridge(struct networks *networks, struct network_entry *entry)
{
    struct network *network = &entry->network;
    struct network_pool *pool;
    struct subnet subnet = { subnet_first(&entry->subnet), entry->subnet.prefix_length };
    char text[SUBNET_TEXT_SIZE], gateway[ADDRESS_TEXT_SIZE], mtu[16];

    subnet_format(&subnet, text);
    address_format(entry->subnet.address, gateway);
    snprintf(mtu, sizeof(mtu), "%d", networks->mtu);
    pool = json_list_add(&network->pools, sizeof(*pool));
    pool->subnet = xstrdup(text);
    pool->gateway = xstrdup(gateway);
    map_set_text(&network->options, "com.docker.network.bridge.default_bridge", "true");
    map_set_text(&network->options, "com.docker.network.bridge.enable_icc",
                 networks->icc ? "true" : "false");
    map_set_text(&network->options, "com.docker.network.bridge.enable_ip_masquerade",
                 networks->masquerade ? "true" : "false");
    map_set_text(&network->options, "com.docker.network.bridge.host_binding_ipv4",
                 networks->default_binding);
    map_set_text(&network->options, "com.docker.network.bridge.name", network->bridge_name);
    map_set_text(&network->options, "com.docker.network.driver.mtu", mtu);
}

static char *default_bridge_name(const struct networks *networks)
{
    if (networks->engine_id[0] == '\0')
        return xstrdup("berth0");
    return xasprintf("berth0-%.8s", networks->engine_id);
}

/* 'wished' (--bip) or a free subnet; the caller holds the host's lock of subnets. */
static int choose_default_subnet(struct networks *networks, const char *wished, struct subnet *out,
                                 struct error *err)
{
    CLEANUP(subnets_done) struct subnets taken = {};

    if (wished)
        return subnet_parse(wished, out, err);
    if (host_subnets(&taken, err) < 0 ||
        subnet_choose(&networks->address_pools, &taken, out, err) < 0)
        return -1;
    out->address = subnet_first(out) + 1;
    return 0;
}

static int make_default_bridge(struct networks *networks, const struct network *old,
                               const char *wished, struct error *err)
{
    CLEANUP(network_unref) struct network *network = predefined("bridge", "bridge");
    struct network_entry *entry = network_entry(network);
    CLEANUP(close) int lock_fd = -1;

    if (old) {
        free(network->id);
        network->id = xstrdup(old->id);
        network->created_ns = old->created_ns;
    }
    entry->is_subnet_chosen = true;
    network->bridge_name = default_bridge_name(networks);
    if (host_subnets_lock(&lock_fd, err) < 0 ||
        choose_default_subnet(networks, wished, &entry->subnet, err) < 0)
        return -1;
    describe_default_bridge(networks, entry);
    if (entry->driver->read_options(networks, entry, err) < 0 ||
        record_network_update(networks, network, err) < 0 ||
        entry->driver->assert(networks, entry, err) < 0)
        return -1;
    networks_drop(networks, network->id);
    networks_add(networks, TAKE(network));
    return 0;
}

/* Nobody depends on its addresses: another engine or a new route of the host may have taken them.
 */
static bool may_move(struct networks *networks, const struct network *network)
{
    CLEANUP(endpoint_rows_done) struct endpoint_rows rows = {};

    return record_endpoints(networks, network->id, NULL, &rows, NULL) == 0 && rows.count == 0 &&
           if_nametoindex(network->bridge_name) == 0;
}

static bool is_as_wished(const struct network_entry *entry, const char *wished)
{
    struct subnet subnet;

    return !wished ||
           (subnet_parse(wished, &subnet, NULL) == 0 && subnet.address == entry->subnet.address &&
            subnet.prefix_length == entry->subnet.prefix_length);
}

static int assert_default_bridge(struct networks *networks, const char *wished, struct error *err)
{
    CLEANUP(network_unref) struct network *network = NULL;
    CLEANUP(endpoint_rows_done) struct endpoint_rows rows = {};

    if (network_find(networks, "bridge", &network, NULL) < 0)
        return make_default_bridge(networks, NULL, wished, err);
    if (is_as_wished(network_entry(network), wished) && (wished || !may_move(networks, network)))
        return 0;
    if (record_endpoints(networks, network->id, NULL, &rows, err) < 0)
        return -1;
    if (rows.count > 0)
        return error_set(err, ERROR_CONFLICT,
                         "cannot move the default bridge to %s: it has active endpoints", wished);
    if (link_remove(network->bridge_name, err) < 0)
        return -1;
    return make_default_bridge(networks, network, wished, err);
}

int networks_assert_links(struct networks *networks, struct error *err)
{
    struct network **list;
    size_t count;
    int result = network_list(networks, &list, &count, err);

    if (result < 0)
        return -1;
    for (size_t i = 0; i < count && result == 0; i++)
        if (network_entry(list[i])->driver->assert)
            result = network_entry(list[i])->driver->assert(networks, network_entry(list[i]), err);
    network_list_free(list, count);
    return result;
}

/* Those of networks whose removal was cut off. A name may be another network's by now. */
static int remove_leaving_links(struct networks *networks, struct error *err)
{
    CLEANUP(strv_done) struct strv leaving = {};
    struct network **list;
    size_t count;

    if (record_leaving_links(networks, &leaving, err) < 0 ||
        network_list(networks, &list, &count, err) < 0)
        return -1;
    int result = 0;
    for (size_t i = 0; i < leaving.count && result == 0; i++) {
        bool is_used = false;

        for (size_t n = 0; n < count; n++)
            is_used |= text_equal(list[n]->bridge_name, leaving.items[i]);
        if (!is_used)
            result = link_remove(leaving.items[i], err);
        if (result == 0)
            result = record_link_left(networks, leaving.items[i], err);
    }
    network_list_free(list, count);
    return result;
}

/* ---- opening ---- */

static int check_options(const struct networks_options *options, struct error *err)
{
    const char *id = options->engine_id ? options->engine_id : "";
    uint32_t address;

    if (strlen(id) > ENGINE_ID_LIMIT || !text_is_hex(id, strlen(id)))
        return error_set(err, ERROR_INVALID, "invalid engine id: %s", id);
    if (options->default_binding && address_parse(options->default_binding, &address, err) < 0)
        return -1;
    for (size_t i = 0; options->address_pools && i < options->address_pools->count; i++) {
        struct address_pool pool;

        if (address_pool_parse(options->address_pools->items[i], &pool, err) < 0)
            return -1;
    }
    return 0;
}

static struct networks *networks_new(const struct networks_options *options,
                                     struct database *database)
{
    struct networks *networks = NEW(struct networks);

    mutex_init(&networks->lock);
    mutex_init(&networks->names_lock);
    mutex_lock(&networks->names_lock);
    map_init_empty(&networks->names, names_free);
    mutex_unlock(&networks->names_lock);
    networks->names_path = xstrdup(options->names_path);
    networks->engine_id = xstrdup(options->engine_id ? options->engine_id : "");
    networks->default_binding = xstrdup(options->default_binding ? options->default_binding
                                                                 : "0.0.0.0");
    if (options->address_pools)
        strv_copy(&networks->address_pools, options->address_pools);
    networks->mtu = options->mtu ? options->mtu : DEFAULT_MTU;
    networks->icc = options->icc;
    networks->ip_forward = options->ip_forward;
    networks->masquerade = options->ip_masquerade;
    networks->is_strict = options->firewall_strict;
    networks->home_fd = -1;
    networks->database = database;
    return networks;
}

/* Packets between containers and the world are forwarded ones. */
static int enable_forwarding(struct error *err)
{
    CLEANUP(str_done) struct str now = {};

    if (file_read(FORWARD_PATH, 16, &now, err) < 0)
        return -1;
    return str_text(&now)[0] == '0' ? file_write_existing(FORWARD_PATH, "1", err) : 0;
}

/* A host that forwards takes no routes from routers any more, unless it is told to insist. */
static void keep_router_advertisements(void)
{
    DIR *directory = opendir(CONF6_PATH);

    for (struct dirent *entry; directory && (entry = readdir(directory));) {
        CLEANUP(free) char *path = xasprintf(CONF6_PATH "/%s/accept_ra", entry->d_name);
        CLEANUP(str_done) struct str now = {};

        if (strcmp(entry->d_name, "all") != 0 && strcmp(entry->d_name, "default") != 0 &&
            file_read(path, 16, &now, NULL) == 0 && str_text(&now)[0] == '1')
            file_write_existing(path, "2", NULL);
    }
    if (directory)
        closedir(directory);
}

/* Only where a network asks for it: not everybody's host is to become a router of IPv6. */
int network_enable_forwarding6(struct networks *networks, struct error *err)
{
    CLEANUP(str_done) struct str now = {};

    if (!networks->ip_forward)
        return 0;
    if (file_read(FORWARD6_PATH, 16, &now, err) < 0)
        return error_context(err, "this kernel has no IPv6");
    if (str_text(&now)[0] != '0')
        return 0;
    keep_router_advertisements();
    return file_write_existing(FORWARD6_PATH, "1", err);
}

static int open_firewall(struct networks *networks, const char *table, bool is_shared,
                         struct error *err)
{
    struct inlet inlet = inlet_of(networks->engine_id);
    struct firewall_options options = {
        .table = table, .is_shared = is_shared, .fill = networks_fill_firewall, .data = networks
    };

    if (networks->is_strict) {
        options.inlet_name = inlet.name;
        options.inlet_outer_name = inlet.outer_name;
        if (inlet_assert(&inlet, err) < 0)
            return -1;
    }
    if (firewall_open(&options, &networks->firewall, err) < 0 ||
        firewall_assert_user_table(networks->firewall, err) < 0)
        return -1;
    if (firewall_rebuild(networks->firewall, err) < 0)
        return error_context(err, "firewall mode %s", networks->is_strict ? "strict" : "docker");
    return networks->is_strict ? 0 : link_remove(inlet.name, err); /* of a time before */
}

static int start_helper(struct networks *networks, struct error *err)
{
    struct helper_duties duties = { .home_fd = networks->home_fd,
                                    .firewall = networks->firewall,
                                    .is_ours = networks_have_link,
                                    .repair_links = networks_repair_links,
                                    .data = networks };

    return helper_start(&duties, &networks->helper, err);
}

int networks_open(const struct networks_options *options, struct database *database,
                  struct networks **out, struct error *err)
{
    CLEANUP(networks_close) struct networks *networks = NULL;
    CLEANUP(free) char *table = NULL;

    if (check_options(options, err) < 0 || record_migrate(database, err) < 0)
        return -1;
    networks = networks_new(options, database);
    table = networks->engine_id[0] ? xasprintf("berth_%s", networks->engine_id) : xstrdup("berth");
    if (namespace_current(&networks->home_fd, err) < 0 ||
        dir_make(networks->names_path, 0700, err) < 0 ||
        (options->ip_forward && enable_forwarding(err) < 0) ||
        record_networks_load(networks, err) < 0 || remove_leaving_links(networks, err) < 0 ||
        assert_default_bridge(networks, options->bridge_address, err) < 0 ||
        assert_without_bridge(networks, "host", "host", err) < 0 ||
        assert_without_bridge(networks, "none", "null", err) < 0 ||
        networks_assert_links(networks, err) < 0 ||
        open_firewall(networks, table, options->firewall_shared, err) < 0 ||
        start_helper(networks, err) < 0)
        return -1;
    *out = TAKE(networks);
    return 0;
}

void networks_close(struct networks *networks)
{
    if (!networks)
        return;
    helper_stop(networks->helper);
    firewall_close(networks->firewall);
    if (networks->home_fd >= 0)
        close(networks->home_fd);
    mutex_lock(&networks->lock);
    network_list_free(networks->list, networks->count);
    mutex_unlock(&networks->lock);
    mutex_done(&networks->lock);
    mutex_lock(&networks->names_lock);
    map_done(&networks->names);
    mutex_unlock(&networks->names_lock);
    mutex_done(&networks->names_lock);
    free(networks->names_path);
    strv_done(&networks->address_pools);
    free(networks->default_binding);
    free(networks->engine_id);
    free(networks);
}

int networks_destroy(struct networks *networks, struct error *err)
{
    CLEANUP(endpoint_rows_done) struct endpoint_rows rows = {};
    struct network **list;
    size_t count;
    int result;

    if (record_endpoints(networks, NULL, NULL, &rows, err) < 0)
        return -1;
    if (rows.count > 0)
        return error_set(err, ERROR_CONFLICT, "%zu containers are connected to networks",
                         rows.count);
    /* The thread that puts the table back when it is gone must not see this. */
    helper_stop(TAKE(networks->helper));
    result = firewall_remove(networks->firewall, err);
    if (network_list(networks, &list, &count, err) < 0)
        return -1;
    for (size_t i = 0; i < count && result == 0; i++)
        if (!text_is_empty(list[i]->bridge_name))
            result = link_remove(list[i]->bridge_name, err);
    network_list_free(list, count);
    return result < 0 ? -1 : link_remove(inlet_of(networks->engine_id).name, err);
}

int network_resolver_open(struct networks *networks, int namespace_fd, int *out_udp_fd,
                          int *out_tcp_fd, struct error *err)
{
    return resolver_open(networks->home_fd, namespace_fd, out_udp_fd, out_tcp_fd, err);
}

int network_namespace_prepare(struct networks *networks, int fd, struct error *err)
{
    return namespace_prepare(networks->home_fd, fd, err);
}

int network_namespace_new(struct networks *networks, int *out_fd, struct error *err)
{
    return helper_namespace(networks->helper, out_fd, err);
}
