/* User-defined networks: what is asked for is checked in plain data, then recorded, then made. */
#include <ctype.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/str.h"
#include "base/text.h"
#include "network/internal.h"
#include "network/link.h"
#include "network/names.h"

#include "base/banned.h"

#define MACHINE_ID_PATH  "/etc/machine-id"
#define MACHINE_ID_LIMIT ((size_t)4096)

/* ---- checks ---- */

bool network_name_is_predefined(const char *name)
{
    static const char *const names[] = { "bridge", "default", "host", "none" };

    for (size_t i = 0; i < COUNT(names); i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

static bool is_blank(const char *text)
{
    while (text && isspace((unsigned char)*text))
        text++;
    return text_is_empty(text);
}

static int check_driver(const char *name, struct error *err)
{
    const struct network_driver *driver = network_driver_find(name);

    if (driver && !driver->has_endpoints)
        return error_set(err, ERROR_FORBIDDEN, "only one instance of \"%s\" network is allowed",
                         name);
    if (name && strcmp(name, "overlay") == 0)
        return error_set(err, ERROR_UNSUPPORTED, "network driver %s is not supported", name);
    if (!driver)
        return error_set(err, ERROR_NOT_FOUND, "plugin \"%s\" not found", name);
    return 0;
}

static int check_wish(struct networks *networks, const struct network_create *wish,
                      struct error *err)
{
    CLEANUP(network_unref) struct network *other = NULL;

    if (is_blank(wish->name))
        return error_set(err, ERROR_INVALID, "invalid name: name is empty");
    if (network_name_is_predefined(wish->name))
        return error_set(err, ERROR_FORBIDDEN,
                         "operation is not permitted on predefined %s network ", wish->name);
    if (!wish->is_config_only && check_driver(wish->driver, err) < 0)
        return -1;
    if (!wish->is_config_only && wish->disable_ipv4 && !wish->enable_ipv6)
        return error_set(err, ERROR_INVALID, "IPv4 or IPv6 must be enabled");
    if (network_find(networks, wish->name, &other, NULL) == 0 &&
        strcmp(other->name, wish->name) == 0)
        return error_set(err, ERROR_CONFLICT, "network with name %s already exists", wish->name);
    return 0;
}

/* ---- addresses ---- */

/* A subnet of either family. */
struct block {
    bool is_ipv6;
    struct subnet ipv4;
    struct subnet6 ipv6;
};

static int block_parse(const char *text, struct block *out)
{
    out->is_ipv6 = text && strchr(text, ':');
    return out->is_ipv6 ? subnet6_parse(text, &out->ipv6, NULL)
                        : subnet_parse(text, &out->ipv4, NULL);
}

static void block_format(const struct block *block, char out[SUBNET6_TEXT_SIZE])
{
    if (block->is_ipv6)
        subnet6_format(&block->ipv6, out);
    else
        subnet_format(&block->ipv4, out);
}

static int block_length(const struct block *block)
{
    return block->is_ipv6 ? block->ipv6.prefix_length : block->ipv4.prefix_length;
}

/* Without the bits behind the prefix. True if there were none. */
static bool block_mask(struct block *block)
{
    struct in6_addr address = block->ipv6.address;
    uint32_t address4 = block->ipv4.address;

    if (!block->is_ipv6) {
        block->ipv4.address = subnet_first(&block->ipv4);
        return block->ipv4.address == address4;
    }
    block->ipv6.address = subnet6_first(&block->ipv6);
    return memcmp(&block->ipv6.address, &address, sizeof(address)) == 0;
}

static bool block_overlaps(const struct block *a, const struct block *b)
{
    return a->is_ipv6 == b->is_ipv6 && (a->is_ipv6 ? subnet6_overlaps(&a->ipv6, &b->ipv6)
                                                   : subnet_overlaps(&a->ipv4, &b->ipv4));
}

static void check_address(const struct block *subnet, const char *what, const char *name,
                          const char *text, struct strv *errors)
{
    char subnet_text[SUBNET6_TEXT_SIZE];
    struct in6_addr address6;
    uint32_t address;
    bool is_ipv6, is_inside;

    if (text_is_empty(text))
        return;
    block_format(subnet, subnet_text);
    is_ipv6 = strchr(text, ':') != NULL;
    if ((is_ipv6 ? address6_parse(text, &address6, NULL) : address_parse(text, &address, NULL)) <
        0) {
        strv_add_format(errors, "invalid %s %s: invalid address", what, name ? name : text);
        return;
    }
    if (is_ipv6 != subnet->is_ipv6) {
        strv_add_format(errors, "invalid %s %s: parent subnet is an IPv%d block", what, text,
                        subnet->is_ipv6 ? 6 : 4);
        return;
    }
    is_inside = is_ipv6 ? subnet6_contains(&subnet->ipv6, &address6)
                        : subnet_contains(&subnet->ipv4, address);
    if (!is_inside)
        strv_add_format(errors, "invalid %s %s: parent subnet %s doesn't contain this address",
                        what, text, subnet_text);
}

static void check_range(const struct block *subnet, const char *text, struct strv *errors)
{
    struct block range;
    char wanted[SUBNET6_TEXT_SIZE], subnet_text[SUBNET6_TEXT_SIZE];

    if (text_is_empty(text))
        return;
    block_format(subnet, subnet_text);
    if (block_parse(text, &range) < 0) {
        strv_add_format(errors, "invalid ip-range %s: invalid CIDR block notation", text);
        return;
    }
    if (range.is_ipv6 != subnet->is_ipv6) {
        strv_add_format(errors, "invalid ip-range %s: parent subnet is an IPv%d block", text,
                        subnet->is_ipv6 ? 6 : 4);
        return;
    }
    if (block_length(&range) < block_length(subnet))
        strv_add_format(errors,
                        "invalid ip-range %s: CIDR block is bigger than its parent subnet %s", text,
                        subnet_text);
    if (!block_mask(&range)) {
        block_format(&range, wanted);
        strv_add_format(errors, "invalid ip-range %s: it should be %s", text, wanted);
    }
    if (!block_overlaps(subnet, &range))
        strv_add_format(errors, "invalid ip-range %s: parent subnet %s doesn't contain ip-range",
                        text, subnet_text);
}

static void check_pool(const struct network_pool *pool, struct strv *errors)
{
    struct block subnet;
    char wanted[SUBNET6_TEXT_SIZE];

    if (block_parse(pool->subnet, &subnet) < 0) {
        strv_add_format(errors, "invalid subnet %s: invalid CIDR block notation",
                        pool->subnet ? pool->subnet : "");
        return;
    }
    if (!block_mask(&subnet)) {
        block_format(&subnet, wanted);
        strv_add_format(errors, "invalid subnet %s: it should be %s", pool->subnet, wanted);
    }
    check_range(&subnet, pool->ip_range, errors);
    check_address(&subnet, "gateway", NULL, pool->gateway, errors);
    MAP_EACH (&pool->auxiliary, entry)
        check_address(&subnet, "auxiliary address", entry->key, entry->value, errors);
}

static int tell_errors(const struct strv *errors, struct error *err)
{
    CLEANUP(str_done) struct str text = {};

    if (errors->count == 0)
        return 0;
    for (size_t i = 0; i < errors->count; i++)
        str_add_format(&text, "\n%s%s", errors->count > 1 ? "* " : "", errors->items[i]);
    return error_set(err, ERROR_INVALID, "invalid network config:%s", str_text(&text));
}

static bool is_empty_pool(const struct network_pool *pool)
{
    return text_is_empty(pool->subnet) && text_is_empty(pool->gateway) &&
           text_is_empty(pool->ip_range) && pool->auxiliary.count == 0;
}

struct wished_pools {
    const struct network_pool *ipv4, *ipv6; /* NULL: the engine is to choose */
};

static int wished_pools(const struct network_create *wish, struct wished_pools *out,
                        struct error *err)
{
    CLEANUP(strv_done) struct strv errors = {};

    *out = (struct wished_pools){};
    for (size_t i = 0; wish->pools && i < wish->pools->count; i++) {
        const struct network_pool *pool = &JSON_ITEMS(wish->pools, struct network_pool)[i];
        bool is_ipv6 = pool->subnet && strchr(pool->subnet, ':');
        const struct network_pool **place = is_ipv6 ? &out->ipv6 : &out->ipv4;

        if (is_empty_pool(pool))
            continue;
        if (*place && !wish->is_config_only)
            return error_set(err, ERROR_INVALID,
                             "%s driver does not support more than one IPv%d subnet",
                             network_driver_find(wish->driver)->name, is_ipv6 ? 6 : 4);
        check_pool(pool, &errors);
        *place = pool;
    }
    if (tell_errors(&errors, err) < 0)
        return -1;
    if (wish->is_config_only) /* who depends on it is asked */
        return 0;
    if (out->ipv4 && wish->disable_ipv4)
        return error_set(err, ERROR_INVALID,
                         "invalid network config:\ninvalid subnet %s: IPv4 is not enabled for this "
                         "network (EnableIPv4, --ipv4)",
                         out->ipv4->subnet);
    if (out->ipv6 && !wish->enable_ipv6)
        return error_set(err, ERROR_INVALID,
                         "invalid network config:\ninvalid subnet %s: IPv6 is not enabled for this "
                         "network (EnableIPv6, --ipv6)",
                         out->ipv6->subnet);
    return 0;
}

static int check_overlap(struct networks *networks, const struct subnet *subnet, struct error *err)
{
    struct network **list;
    size_t count;
    bool overlaps = false;

    if (network_list(networks, &list, &count, err) < 0)
        return -1;
    for (size_t i = 0; i < count; i++)
        overlaps |= network_entry(list[i])->driver->has_endpoints && list[i]->enable_ipv4 &&
                    subnet_overlaps(&network_entry(list[i])->subnet, subnet);
    network_list_free(list, count);
    if (overlaps)
        return error_set(err, ERROR_FORBIDDEN,
                         "invalid pool request: Pool overlaps with other one on this address "
                         "space");
    return 0;
}

static int use_wished_pool(struct networks *networks, struct network_entry *entry,
                           const struct network_pool *wish, struct error *err)
{
    struct network_pool *pool = json_list_add(&entry->network.pools, sizeof(*pool));

    json_fields_copy(network_pool_fields, wish, pool);
    if (subnet_parse(wish->subnet, &entry->subnet, err) < 0 ||
        check_overlap(networks, &entry->subnet, err) < 0)
        return -1;
    if (text_is_empty(wish->gateway)) {
        entry->subnet.address = subnet_first(&entry->subnet) + 1;
        return 0;
    }
    return address_parse(wish->gateway, &entry->subnet.address, err);
}

/* Neither what the host has nor what any network of ours has, be its bridge there or not. */
static int use_chosen_pool(struct networks *networks, struct network_entry *entry,
                           struct error *err)
{
    CLEANUP(subnets_done) struct subnets taken = {};
    struct network_pool *pool;
    struct network **list;
    size_t count;
    char text[SUBNET_TEXT_SIZE], gateway[ADDRESS_TEXT_SIZE];

    if (host_subnets(&taken, err) < 0 || network_list(networks, &list, &count, err) < 0)
        return -1;
    for (size_t i = 0; i < count; i++)
        if (network_entry(list[i])->driver->has_endpoints && list[i]->enable_ipv4)
            subnets_add(&taken, network_entry(list[i])->subnet);
    network_list_free(list, count);
    if (subnet_choose(&networks->address_pools, &taken, &entry->subnet, err) < 0)
        return -1;
    subnet_format(&entry->subnet, text);
    entry->subnet.address++;
    address_format(entry->subnet.address, gateway);
    entry->is_subnet_chosen = true;
    pool = json_list_add(&entry->network.pools, sizeof(*pool));
    pool->subnet = xstrdup(text);
    pool->gateway = xstrdup(gateway);
    return 0;
}

static int overlaps_ipv6(struct networks *networks, const struct subnet6 *subnet, bool *out,
                         struct error *err)
{
    struct network **list;
    size_t count;

    *out = false;
    if (network_list(networks, &list, &count, err) < 0)
        return -1;
    for (size_t i = 0; i < count; i++)
        *out |= network_entry(list[i])->driver->has_endpoints && list[i]->enable_ipv6 &&
                subnet6_overlaps(&network_entry(list[i])->subnet6, subnet);
    network_list_free(list, count);
    return 0;
}

static int use_wished_pool6(struct networks *networks, struct network_entry *entry,
                            const struct network_pool *wish, struct error *err)
{
    struct network_pool *pool = json_list_add(&entry->network.pools, sizeof(*pool));
    bool overlaps;

    json_fields_copy(network_pool_fields, wish, pool);
    if (subnet6_parse(wish->subnet, &entry->subnet6, err) < 0 ||
        overlaps_ipv6(networks, &entry->subnet6, &overlaps, err) < 0)
        return -1;
    if (overlaps)
        return error_set(err, ERROR_FORBIDDEN,
                         "invalid pool request: Pool overlaps with other one on this address "
                         "space");
    if (!text_is_empty(wish->gateway))
        return address6_parse(wish->gateway, &entry->subnet6.address, err);
    entry->subnet6.address = subnet6_at(&entry->subnet6, 1);
    return 0;
}

/* One /64 after the other of this host's own /48. */
static int use_chosen_pool6(struct networks *networks, struct network_entry *entry,
                            struct error *err)
{
    CLEANUP(str_done) struct str seed = {};
    struct network_pool *pool;
    bool overlaps = true;
    char text[SUBNET6_TEXT_SIZE], gateway[ADDRESS6_TEXT_SIZE];

    if (file_read(MACHINE_ID_PATH, MACHINE_ID_LIMIT, &seed, NULL) < 0)
        str_add(&seed, entry->network.id); /* at least different each time */
    str_add(&seed, networks->engine_id);
    for (uint32_t i = 0; overlaps && i <= UINT16_MAX; i++) {
        entry->subnet6 = subnet6_local(str_text(&seed), (uint16_t)i);
        if (overlaps_ipv6(networks, &entry->subnet6, &overlaps, err) < 0)
            return -1;
    }
    if (overlaps)
        return error_set(err, ERROR_INVALID,
                         "all predefined address pools have been fully subnetted");
    subnet6_format(&entry->subnet6, text);
    entry->subnet6.address = subnet6_at(&entry->subnet6, 1);
    address6_format(&entry->subnet6.address, gateway);
    entry->network.is_subnet6_chosen = true;
    pool = json_list_add(&entry->network.pools, sizeof(*pool));
    pool->subnet = xstrdup(text);
    pool->gateway = xstrdup(gateway);
    return 0;
}

static int use_pools(struct networks *networks, struct network_entry *entry,
                     const struct wished_pools *pools, struct error *err)
{
    if (entry->network.enable_ipv4 &&
        (pools->ipv4 ? use_wished_pool(networks, entry, pools->ipv4, err)
                     : use_chosen_pool(networks, entry, err)) < 0)
        return -1;
    if (!entry->network.enable_ipv6)
        return 0;
    return pools->ipv6 ? use_wished_pool6(networks, entry, pools->ipv6, err)
                       : use_chosen_pool6(networks, entry, err);
}

/* ---- making it ---- */

static struct network *wished_network(const struct network_create *wish)
{
    struct network_entry *entry = NEW(struct network_entry);
    struct network *network = &entry->network;
    char id[ID_LENGTH + 1];

    id_generate(id);
    atomic_init(&entry->references, 1);
    entry->driver = wish->is_config_only ? &driver_null : network_driver_find(wish->driver);
    network->id = xstrdup(id);
    network->name = xstrdup(wish->name);
    network->driver = xstrdup(entry->driver->name);
    network->scope = xstrdup("local");
    network->created_ns = clock_wall_ns();
    network->internal = wish->internal;
    network->attachable = wish->attachable;
    network->enable_ipv4 = !wish->disable_ipv4;
    network->enable_ipv6 = wish->enable_ipv6;
    network->is_config_only = wish->is_config_only;
    if (!text_is_empty(wish->config_from))
        network->config_from = xstrdup(wish->config_from);
    map_init_empty(&network->options, free);
    map_init_empty(&network->labels, free);
    if (wish->options)
        MAP_EACH (wish->options, option)
            map_set_text(&network->options, option->key, option->value);
    if (wish->labels)
        MAP_EACH (wish->labels, label)
            map_set_text(&network->labels, label->key, label->value);
    return network;
}

static int put_into_kernel(struct networks *networks, struct network_entry *entry,
                           struct error *err)
{
    CLEANUP(nft_batch_done) struct nft_batch batch = {};
    struct firewall_bridge bridge = network_firewall_bridge(entry);

    if (entry->driver->assert(networks, entry, err) < 0)
        return -1;
    if (!entry->driver->has_bridge)
        return 0;
    firewall_begin(networks->firewall, &batch);
    firewall_bridge_add(&batch, &bridge);
    return firewall_commit(networks->firewall, &batch, err);
}

/* It is what the user said, no more. */
static void keep_pools(struct network *network, const struct network_create *wish)
{
    for (size_t i = 0; wish->pools && i < wish->pools->count; i++)
        json_fields_copy(network_pool_fields, &JSON_ITEMS(wish->pools, struct network_pool)[i],
                         json_list_add(&network->pools, sizeof(struct network_pool)));
}

static int make_config(struct networks *networks, const struct network_create *wish,
                       struct network *network, struct error *err)
{
    keep_pools(network, wish);
    if (record_network_insert(networks, network, err) < 0)
        return -1;
    networks_add(networks, network_ref(network));
    return names_write(networks, network->id, err);
}

static int make_network(struct networks *networks, struct network *network,
                        const struct wished_pools *pools, struct error *err)
{
    struct network_entry *entry = network_entry(network);

    if (entry->driver->prepare(networks, entry, err) < 0 ||
        use_pools(networks, entry, pools, err) < 0 ||
        entry->driver->read_options(networks, entry, err) < 0)
        return -1;
    if (record_network_insert(networks, network, err) < 0) {
        if (err && err->kind == ERROR_CONFLICT) /* somebody was faster */
            error_set(err, ERROR_CONFLICT, "network with name %s already exists", network->name);
        return -1;
    }
    networks_add(networks, network_ref(network));
    if (put_into_kernel(networks, entry, err) == 0 && names_write(networks, network->id, err) == 0)
        return 0;
    network_remove(networks, network->id, NULL);
    return -1;
}

int network_create(struct networks *networks, const struct network_create *wished,
                   struct network **out, struct error *err)
{
    CLEANUP(network_unref) struct network *network = NULL, *config = NULL;
    CLEANUP(close) int lock_fd = -1;
    struct network_create wish;
    struct wished_pools pools;

    if (host_subnets_lock(&lock_fd, err) < 0 ||
        config_apply(networks, wished, &wish, &config, err) < 0 ||
        check_wish(networks, &wish, err) < 0 || wished_pools(&wish, &pools, err) < 0)
        return -1;
    network = wished_network(&wish);
    if ((wish.is_config_only ? make_config(networks, &wish, network, err)
                             : make_network(networks, network, &pools, err)) < 0)
        return -1;
    *out = TAKE(network);
    return 0;
}

/* ---- removing it ---- */

static int check_unused(struct networks *networks, const struct network *network, struct error *err)
{
    CLEANUP(endpoint_rows_done) struct endpoint_rows rows = {};
    CLEANUP(str_done) struct str users = {};

    if (record_endpoints(networks, network->id, NULL, &rows, err) < 0)
        return -1;
    if (rows.count == 0)
        return 0;
    for (size_t i = 0; i < rows.count; i++)
        str_add_format(&users, "%s(name:\"%s\" id:\"%.*s\")", i ? ", " : "",
                       rows.items[i].container_name ? rows.items[i].container_name : "",
                       SHORT_ID_LENGTH, rows.items[i].endpoint.id);
    return error_set(err, ERROR_FORBIDDEN,
                     "error while removing network: network %s has active endpoints %s",
                     network->name, str_text(&users));
}

int network_remove(struct networks *networks, const char *id, struct error *err)
{
    CLEANUP(network_unref) struct network *network = networks_get(networks, id);
    CLEANUP(nft_batch_done) struct nft_batch batch = {};
    CLEANUP(close) int lock_fd = -1; /* nobody comes to depend on it meanwhile */
    struct firewall_bridge bridge;

    if (!network)
        return error_set(err, ERROR_NOT_FOUND, "network %s not found", id);
    if (network_name_is_predefined(network->name))
        return error_set(err, ERROR_FORBIDDEN, "%s is a pre-defined network and cannot be removed",
                         network->name);
    if ((network->is_config_only && host_subnets_lock(&lock_fd, err) < 0) ||
        check_unused(networks, network, err) < 0 ||
        config_check_unused(networks, network, err) < 0 ||
        record_network_delete(networks, network, err) < 0)
        return -1;
    networks_drop(networks, network->id);
    names_remove(networks, network->id);
    if (network_entry(network)->driver->has_bridge) {
        bridge = network_firewall_bridge(network_entry(network));
        firewall_begin(networks->firewall, &batch);
        firewall_bridge_remove(&batch, &bridge);
        if (firewall_commit(networks->firewall, &batch, err) < 0)
            return -1;
    }
    if (text_is_empty(network->bridge_name))
        return 0;
    return link_remove(network->bridge_name, err) < 0
               ? -1
               : record_link_left(networks, network->bridge_name, err);
}
