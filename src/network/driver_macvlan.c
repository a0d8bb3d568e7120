/* macvlan and ipvlan: containers get links that are part of a link of the host, and so are
 * neighbours of the host's neighbours. The host itself cannot talk to them, and there is nothing to
 * publish. A parent "eth0.50" that is missing is made as VLAN 50 of eth0; without a parent a dummy
 * link stands in, which leads nowhere. */
#include <errno.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "network/internal.h"
#include "network/link.h"

#include "base/banned.h"

#define LONELY_PREFIX "dm-"

/* clang-format off */
static const struct {
    const struct network_driver *driver;
    const char *option, *name;
    uint32_t value;
} modes[] = {
    { &driver_macvlan, "macvlan_mode", "bridge",   MACVLAN_MODE_BRIDGE },
    { &driver_macvlan, "macvlan_mode", "passthru", MACVLAN_MODE_PASSTHRU },
    { &driver_macvlan, "macvlan_mode", "private",  MACVLAN_MODE_PRIVATE },
    { &driver_macvlan, "macvlan_mode", "vepa",     MACVLAN_MODE_VEPA },
    { &driver_ipvlan,  "ipvlan_mode",  "l2",       IPVLAN_MODE_L2 },
    { &driver_ipvlan,  "ipvlan_mode",  "l3",       IPVLAN_MODE_L3 },
    { &driver_ipvlan,  "ipvlan_mode",  "l3s",      IPVLAN_MODE_L3S },
    { &driver_ipvlan,  "ipvlan_flag",  "bridge",   0 },
    { &driver_ipvlan,  "ipvlan_flag",  "private",  IPVLAN_F_PRIVATE },
    { &driver_ipvlan,  "ipvlan_flag",  "vepa",     IPVLAN_F_VEPA },
};
/* clang-format on */

static int read_mode(const struct network_entry *entry, const char *option, uint32_t fallback,
                     uint32_t *out, struct error *err)
{
    const char *mode = map_get(&entry->network.options, option);

    *out = fallback;
    if (text_is_empty(mode))
        return 0;
    for (size_t i = 0; i < COUNT(modes); i++)
        if (strcmp(modes[i].option, option) == 0 && strcmp(modes[i].name, mode) == 0) {
            *out = modes[i].value;
            return 0;
        }
    return error_set(err, ERROR_INVALID, "unknown %s driver %s: %s", entry->driver->name, option,
                     mode);
}

static bool is_known_option(const struct network_entry *entry, const char *option)
{
    if (strcmp(option, "parent") == 0 || strcmp(option, NETWORK_OPTION_MTU) == 0)
        return true;
    for (size_t i = 0; i < COUNT(modes); i++)
        if (modes[i].driver == entry->driver && strcmp(modes[i].option, option) == 0)
            return true;
    return false;
}

static int read_options(struct networks *networks, struct network_entry *entry, struct error *err)
{
    MAP_EACH (&entry->network.options, option)
        if (!is_known_option(entry, option->key))
            return error_set(err, ERROR_UNSUPPORTED,
                             "network option %s of driver %s is not supported", option->key,
                             entry->driver->name);
    entry->interface_prefix = "eth";
    entry->icc = true;
    if (network_read_mtu(networks, entry, 0, err) < 0 || network_read_ranges(entry, err) < 0)
        return -1;
    if (entry->driver == &driver_macvlan)
        return read_mode(entry, "macvlan_mode", MACVLAN_MODE_BRIDGE, &entry->link_mode, err);
    if (read_mode(entry, "ipvlan_mode", IPVLAN_MODE_L2, &entry->link_mode, err) < 0)
        return -1;
    entry->routes_by_link = entry->link_mode != IPVLAN_MODE_L2;
    return read_mode(entry, "ipvlan_flag", 0, &entry->link_flags, err);
}

/* ---- the parent ---- */

static const char *parent_of(const struct network_entry *entry)
{
    const char *parent = map_get(&entry->network.options, "parent");

    return text_is_empty(parent) ? entry->network.bridge_name : parent;
}

/* "eth0.50": the name in front of the last dot, and the number. */
static int split_vlan(const char *parent, char out_master[IFNAMSIZ], uint16_t *out_id,
                      struct error *err)
{
    const char *dot = strrchr(parent, '.');
    int64_t id;

    if (!dot || dot == parent || dot - parent >= IFNAMSIZ || strlen(parent) >= IFNAMSIZ ||
        parse_int64(dot + 1, 1, 4094, &id, NULL) < 0)
        return error_set(err, ERROR_INVALID,
                         "invalid subinterface vlan name %s, example formatting is eth0.10",
                         parent);
    snprintf(out_master, IFNAMSIZ, "%.*s", (int)(dot - parent), parent);
    *out_id = (uint16_t)id;
    return 0;
}

static int check_parent_is_free(struct networks *networks, const struct network_entry *entry,
                                struct error *err)
{
    struct network **list;
    size_t count;
    int result = 0;

    if (network_list(networks, &list, &count, err) < 0)
        return -1;
    for (size_t i = 0; i < count && result == 0; i++) {
        const struct network_entry *other = network_entry(list[i]);

        if (other != entry && !other->driver->has_bridge && other->driver->has_endpoints &&
            text_equal(parent_of(other), parent_of(entry)))
            result = error_set(err, ERROR_FORBIDDEN,
                               "network %s is already using parent interface %s", list[i]->name,
                               parent_of(entry));
    }
    network_list_free(list, count);
    return result;
}

/* What is to be made and to go with the network has its name in the record. */
static int prepare(struct networks *networks, struct network_entry *entry, struct error *err)
{
    struct network *network = &entry->network;
    const char *parent = map_get(&network->options, "parent");
    char master[IFNAMSIZ];
    uint16_t id;

    if (text_is_empty(parent)) {
        network->bridge_name = xasprintf(LONELY_PREFIX "%.*s", SHORT_ID_LENGTH, network->id);
    } else if (if_nametoindex(parent) == 0) {
        if (split_vlan(parent, master, &id, err) < 0)
            return -1;
        if (if_nametoindex(master) == 0)
            return error_set(err, ERROR_INVALID, "parent interface %s does not exist", master);
        network->bridge_name = xstrdup(parent);
    }
    return check_parent_is_free(networks, entry, err);
}

static int assert_parent(struct networks *networks UNUSED, struct network_entry *entry,
                         struct error *err)
{
    const char *made = entry->network.bridge_name;
    const char *parent = map_get(&entry->network.options, "parent");
    char master[IFNAMSIZ];
    uint16_t id = 0;

    if (text_is_empty(made) || if_nametoindex(made) != 0)
        return 0;
    if (text_is_empty(parent))
        return lonely_create(made, err);
    if (split_vlan(parent, master, &id, err) < 0)
        return -1;
    return vlan_create(made, master, id, err);
}

/* ---- containers ---- */

static int connect_container(struct networks *networks, struct network_entry *entry,
                             struct pair *pair, int namespace_fd, struct error *err)
{
    struct sublink sublink = { .kind = entry->driver->name,
                               .parent_name = parent_of(entry),
                               .mode = entry->link_mode,
                               .flags = entry->link_flags };

    if (assert_parent(networks, entry, err) < 0)
        return -1;
    if (sublink_create(&sublink, pair, networks->home_fd, namespace_fd, err) == 0)
        return 0;
    if (err && (err->sys == EOPNOTSUPP || err->sys == ENODEV))
        return error_set(err, ERROR_UNSUPPORTED, "this kernel has no %s links",
                         entry->driver->name);
    return -1;
}

/* ipvlan is often left out of kernels: better told when the network is made. */
static int prepare_ipvlan(struct networks *networks, struct network_entry *entry, struct error *err)
{
    if (!sublink_is_supported("ipvlan"))
        return error_set(err, ERROR_UNSUPPORTED,
                         "network driver ipvlan is not supported: this kernel has no ipvlan");
    return prepare(networks, entry, err);
}

const struct network_driver driver_macvlan = {
    .name = "macvlan",
    .has_endpoints = true,
    .read_options = read_options,
    .prepare = prepare,
    .assert = assert_parent,
    .connect = connect_container,
};

const struct network_driver driver_ipvlan = {
    .name = "ipvlan",
    .has_endpoints = true,
    .read_options = read_options,
    .prepare = prepare_ipvlan,
    .assert = assert_parent,
    .connect = connect_container,
};
