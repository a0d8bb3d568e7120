/* Which addresses an endpoint gets: what is taken is derived from the record each time. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "network/attachment.h"

#include "base/banned.h"

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
    if (is_ipv6 ? !network->enable_ipv6 || network->is_subnet6_chosen
                : !network->enable_ipv4 || entry->is_subnet_chosen)
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

/* The same place in its subnet as the IPv4 address has, or the one behind the last one, where that
 * is free. */
static uint64_t wanted_place(const struct attachment *attachment)
{
    struct network_entry *entry = network_entry(attachment->network);

    if (attachment->network->enable_ipv4)
        return attachment->row.address - subnet_first(&entry->subnet);
    return (uint64_t)atomic_load(&entry->last_address) + 1;
}

static void remember_place(struct network_entry *entry, const struct in6_addr *address)
{
    struct in6_addr first = subnet6_first(&entry->range6);
    uint32_t from, to;

    memcpy(&from, &first.s6_addr[12], sizeof(from));
    memcpy(&to, &address->s6_addr[12], sizeof(to));
    atomic_store(&entry->last_address, ntohl(to) - ntohl(from));
}

static int choose_address6(struct attachment *attachment, struct error *err)
{
    struct network_entry *entry = network_entry(attachment->network);
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
        if (!address6_choose(&entry->subnet6, &entry->range6, wanted_place(attachment), is_taken6,
                             attachment, &address))
            return error_set(err, ERROR_INTERNAL,
                             "no available IPv6 addresses on this network's address pools: %s (%s)",
                             attachment->network->name, attachment->network->id);
        if (!attachment->network->enable_ipv4)
            remember_place(entry, &address);
        address6_format(&address, text);
    }
    attachment->row.endpoint.address6 = xstrdup(text);
    return 0;
}

static int choose_address(struct attachment *attachment, struct error *err)
{
    struct network_entry *entry = network_entry(attachment->network);

    if (!text_is_empty(attachment->wish->address))
        return use_wished_address(attachment, err);
    if (!attachment->network->enable_ipv4)
        return 0;
    if (!address_choose(&entry->subnet, &entry->range, atomic_load(&entry->last_address), is_taken,
                        attachment, &attachment->row.address))
        return error_set(err, ERROR_INTERNAL,
                         "no available IPv4 addresses on this network's address pools: %s (%s)",
                         attachment->network->name, attachment->network->id);
    atomic_store(&entry->last_address, attachment->row.address);
    return 0;
}

static int choose_mac(struct attachment *attachment, struct error *err)
{
    const char *wished = attachment->wish->mac_address;
    char mac[MAC_TEXT_SIZE];
    struct in6_addr address6;
    uint8_t octets[6];

    if (!text_is_empty(wished)) {
        if (mac_parse(wished, octets, err) < 0)
            return -1;
        snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", octets[0], octets[1], octets[2],
                 octets[3], octets[4], octets[5]);
    } else if (attachment->network->enable_ipv4) {
        mac_from_address(attachment->row.address, mac);
    } else {
        if (address6_parse(attachment->row.endpoint.address6, &address6, err) < 0)
            return -1;
        mac_from_address6(&address6, mac);
    }
    attachment->row.endpoint.mac_address = xstrdup(mac);
    return 0;
}

int attachment_choose_address(struct attachment *attachment, struct error *err)
{
    char address[ADDRESS_TEXT_SIZE] = "";

    if (choose_address(attachment, err) < 0)
        return -1;
    if (attachment->network->enable_ipv4)
        address_format(attachment->row.address, address);
    attachment->row.endpoint.address = xstrdup(address);
    return choose_address6(attachment, err) < 0 ? -1 : choose_mac(attachment, err);
}
