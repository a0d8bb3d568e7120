/* The networks in memory: immutable objects in a small list, in the order of their making. */
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "network/internal.h"

#include "base/banned.h"

/* clang-format off */
const struct json_field network_pool_fields[] = {
    JSON_STRING(struct network_pool, subnet,    "Subnet",             .omit_empty = true),
    JSON_STRING(struct network_pool, ip_range,  "IPRange",            .omit_empty = true),
    JSON_STRING(struct network_pool, gateway,   "Gateway",            .omit_empty = true),
    JSON_TEXTS (struct network_pool, auxiliary, "AuxiliaryAddresses", .omit_empty = true),
    JSON_END,
};

const struct json_field network_fields[] = {
    JSON_STRING (struct network, id,          "Id"),
    JSON_STRING (struct network, name,        "Name"),
    JSON_STRING (struct network, driver,      "Driver"),
    JSON_STRING (struct network, scope,       "Scope"),
    JSON_INT64  (struct network, created_ns,  "Created"),
    JSON_BOOL   (struct network, internal,    "Internal"),
    JSON_BOOL   (struct network, attachable,  "Attachable"),
    JSON_BOOL   (struct network, enable_ipv4, "EnableIPv4"),
    JSON_BOOL   (struct network, enable_ipv6, "EnableIPv6"),
    JSON_BOOL   (struct network, is_subnet6_chosen, "ChosenSubnet6", .omit_empty = true),
    JSON_BOOL   (struct network, is_config_only, "ConfigOnly", .omit_empty = true),
    JSON_STRING (struct network, config_from, "ConfigFrom", .omit_empty = true),
    JSON_OBJECTS(struct network, pools,       "Pools", struct network_pool, network_pool_fields),
    JSON_TEXTS  (struct network, options,     "Options"),
    JSON_TEXTS  (struct network, labels,      "Labels"),
    JSON_STRING (struct network, bridge_name, "Bridge"),
    JSON_END,
};
/* clang-format on */

struct network *network_ref(struct network *network)
{
    atomic_fetch_add(&network_entry(network)->references, 1);
    return network;
}

void network_unref(struct network *network)
{
    if (!network || atomic_fetch_sub(&network_entry(network)->references, 1) > 1)
        return;
    json_fields_done(network_fields, network);
    free(network_entry(network));
}

void networks_add(struct networks *networks, struct network *network)
{
    mutex_lock(&networks->lock);
    networks->list = xrealloc(networks->list, networks->count + 1, sizeof(struct network *));
    networks->list[networks->count++] = network;
    mutex_unlock(&networks->lock);
}

void networks_drop(struct networks *networks, const char *id)
{
    struct network *dropped = NULL;

    mutex_lock(&networks->lock);
    for (size_t i = 0; i < networks->count && !dropped; i++)
        if (strcmp(networks->list[i]->id, id) == 0) {
            dropped = networks->list[i];
            memmove(&networks->list[i], &networks->list[i + 1],
                    (networks->count - i - 1) * sizeof(struct network *));
            networks->count--;
        }
    mutex_unlock(&networks->lock);
    network_unref(dropped);
}

struct network *networks_get(struct networks *networks, const char *id)
{
    struct network *found = NULL;

    mutex_lock(&networks->lock);
    for (size_t i = 0; i < networks->count && !found; i++)
        if (strcmp(networks->list[i]->id, id) == 0)
            found = network_ref(networks->list[i]);
    mutex_unlock(&networks->lock);
    return found;
}

/* An id or a name beats any number of prefixes. */
static struct network *find_locked(struct networks *networks, const char *text,
                                   size_t *out_prefix_count) REQUIRES(networks->lock)
{
    struct network *by_name = NULL, *by_prefix = NULL;

    *out_prefix_count = 0;
    for (size_t i = 0; i < networks->count; i++) {
        struct network *network = networks->list[i];

        if (strcmp(network->id, text) == 0)
            return network;
        if (strcmp(network->name, text) == 0)
            by_name = network;
        if (text[0] && text_starts(network->id, text)) {
            by_prefix = network;
            (*out_prefix_count)++;
        }
    }
    return by_name ? by_name : *out_prefix_count == 1 ? by_prefix : NULL;
}

int network_find(struct networks *networks, const char *text, struct network **out,
                 struct error *err)
{
    struct network *found;
    size_t prefix_count;

    mutex_lock(&networks->lock);
    found = find_locked(networks, text, &prefix_count);
    if (found)
        network_ref(found);
    mutex_unlock(&networks->lock);
    if (!found && prefix_count > 1)
        return error_set(err, ERROR_INVALID,
                         "network %s is ambiguous (%zu matches found based on ID prefix)", text,
                         prefix_count);
    if (!found)
        return error_set(err, ERROR_NOT_FOUND, "network %s not found", text);
    *out = found;
    return 0;
}

int network_list(struct networks *networks, struct network ***out, size_t *out_count,
                 struct error *err UNUSED)
{
    struct network **list;

    mutex_lock(&networks->lock);
    list = xcalloc(networks->count + 1, sizeof(struct network *));
    for (size_t i = 0; i < networks->count; i++)
        list[i] = network_ref(networks->list[i]);
    *out_count = networks->count;
    mutex_unlock(&networks->lock);
    *out = list;
    return 0;
}

void network_list_free(struct network **list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        network_unref(list[i]);
    free(list);
}
