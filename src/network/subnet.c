/* Arithmetic on IPv4 subnets. */
#include "network/subnet.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"

#include "base/banned.h"

/* Docker's order: the five /16 and the three /14 of 172.16/12 without its first, then 192.168/16 in
 * pieces of /20. Those are 31 networks; ours go on with 16384 more. */
static const char *const default_pools[] = {
    "base=172.17.0.0/16,size=16",  "base=172.18.0.0/16,size=16", "base=172.19.0.0/16,size=16",
    "base=172.20.0.0/14,size=16",  "base=172.24.0.0/14,size=16", "base=172.28.0.0/14,size=16",
    "base=192.168.0.0/16,size=20", "base=10.64.0.0/10,size=24",
};

int address_parse(const char *text, uint32_t *out, struct error *err)
{
    struct in_addr address;

    if (!text || inet_pton(AF_INET, text, &address) != 1)
        return error_set(err, ERROR_INVALID, "invalid IPv4 address: %s", text ? text : "");
    *out = ntohl(address.s_addr);
    return 0;
}

void address_format(uint32_t address, char out[ADDRESS_TEXT_SIZE])
{
    snprintf(out, ADDRESS_TEXT_SIZE, "%u.%u.%u.%u", address >> 24, address >> 16 & 255,
             address >> 8 & 255, address & 255);
}

int subnet_parse(const char *text, struct subnet *out, struct error *err)
{
    const char *slash = text ? strchr(text, '/') : NULL;
    CLEANUP(free) char *address = slash ? xstrndup(text, (size_t)(slash - text)) : NULL;
    struct subnet subnet;
    int64_t length;

    if (!slash || address_parse(address, &subnet.address, NULL) < 0 ||
        parse_int64(slash + 1, 0, 32, &length, NULL) < 0)
        return error_set(err, ERROR_INVALID, "invalid CIDR address: %s", text ? text : "");
    subnet.prefix_length = (int)length;
    *out = subnet;
    return 0;
}

void subnet_format(const struct subnet *subnet, char out[SUBNET_TEXT_SIZE])
{
    char address[ADDRESS_TEXT_SIZE];

    address_format(subnet->address, address);
    snprintf(out, SUBNET_TEXT_SIZE, "%s/%u", address, (unsigned)subnet->prefix_length % 33);
}

uint32_t subnet_mask(const struct subnet *subnet)
{
    return subnet->prefix_length == 0 ? 0 : UINT32_MAX << (32 - subnet->prefix_length);
}

uint32_t subnet_first(const struct subnet *subnet)
{
    return subnet->address & subnet_mask(subnet);
}

uint32_t subnet_last(const struct subnet *subnet)
{
    return subnet->address | ~subnet_mask(subnet);
}

bool subnet_contains(const struct subnet *subnet, uint32_t address)
{
    return (address & subnet_mask(subnet)) == subnet_first(subnet);
}

bool subnet_overlaps(const struct subnet *a, const struct subnet *b)
{
    return subnet_contains(a, subnet_first(b)) || subnet_contains(b, subnet_first(a));
}

void subnets_add(struct subnets *list, struct subnet subnet)
{
    if (list->count == list->capacity) {
        list->capacity = MAX(list->capacity * 2, (size_t)16);
        list->items = xrealloc(list->items, list->capacity, sizeof(list->items[0]));
    }
    list->items[list->count++] = subnet;
}

bool subnets_overlap(const struct subnets *list, const struct subnet *subnet)
{
    for (size_t i = 0; i < list->count; i++)
        if (subnet_overlaps(&list->items[i], subnet))
            return true;
    return false;
}

void subnets_done(struct subnets *list)
{
    free(list->items);
    *list = (struct subnets){};
}

int address_pool_parse(const char *text, struct address_pool *out, struct error *err)
{
    CLEANUP(strv_done) struct strv parts = {};
    struct address_pool pool = { .prefix_length = -1 };
    bool has_base = false;
    int64_t size;

    strv_split(&parts, text, ',');
    for (size_t i = 0; i < parts.count; i++) {
        const char *part = parts.items[i];

        if (text_starts(part, "base=") && subnet_parse(part + 5, &pool.base, NULL) == 0)
            has_base = true;
        else if (text_starts(part, "size=") && parse_int64(part + 5, 1, 30, &size, NULL) == 0)
            pool.prefix_length = (int)size;
        else
            return error_set(err, ERROR_INVALID, "invalid address pool: %s", text);
    }
    if (!has_base || pool.prefix_length < pool.base.prefix_length)
        return error_set(err, ERROR_INVALID, "invalid address pool: %s", text);
    pool.base.address = subnet_first(&pool.base);
    *out = pool;
    return 0;
}

static bool choose_piece(const struct address_pool *pool, const struct subnets *taken,
                         struct subnet *out)
{
    uint64_t step = (uint64_t)1 << (32 - pool->prefix_length);
    uint64_t end = (uint64_t)subnet_last(&pool->base) + 1;

    for (uint64_t address = pool->base.address; address < end; address += step) {
        struct subnet piece = { (uint32_t)address, pool->prefix_length };

        if (subnets_overlap(taken, &piece))
            continue;
        *out = piece;
        return true;
    }
    return false;
}

int subnet_choose(const struct strv *pools, const struct subnets *taken, struct subnet *out,
                  struct error *err)
{
    bool is_default = !pools || pools->count == 0;
    size_t count = is_default ? COUNT(default_pools) : pools->count;

    for (size_t i = 0; i < count; i++) {
        struct address_pool pool;

        if (address_pool_parse(is_default ? default_pools[i] : pools->items[i], &pool, err) < 0)
            return -1;
        if (choose_piece(&pool, taken, out))
            return 0;
    }
    return error_set(err, ERROR_INVALID, "all predefined address pools have been fully subnetted");
}

bool address_choose(const struct subnet *subnet, const struct subnet *range, uint32_t last,
                    address_is_taken *is_taken, void *data, uint32_t *out)
{
    uint64_t low = MAX(subnet_first(range), subnet_first(subnet) + 1);
    uint64_t high = MIN(subnet_last(range), subnet_last(subnet) - 1);
    uint64_t address = last >= low && last < high ? (uint64_t)last + 1 : low;

    if (subnet->prefix_length > 30 || low > high)
        return false;
    for (uint64_t tried = 0; tried <= high - low; tried++) {
        if (!is_taken((uint32_t)address, data)) {
            *out = (uint32_t)address;
            return true;
        }
        address = address == high ? low : address + 1;
    }
    return false;
}

void mac_from_address(uint32_t address, char out[MAC_TEXT_SIZE])
{
    snprintf(out, MAC_TEXT_SIZE, "02:42:%02x:%02x:%02x:%02x", address >> 24, address >> 16 & 255,
             address >> 8 & 255, address & 255);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int mac_parse(const char *text, uint8_t out[6], struct error *err)
{
    uint8_t mac[6];

    if (strlen(text) != MAC_TEXT_SIZE - 1)
        return error_set(err, ERROR_INVALID, "invalid MAC address: %s", text);
    for (size_t i = 0; i < 6; i++) {
        int high = hex_digit(text[i * 3]), low = hex_digit(text[i * 3 + 1]);
        char between = text[i * 3 + 2];

        if (high < 0 || low < 0 || (i < 5 && between != ':' && between != '-'))
            return error_set(err, ERROR_INVALID, "invalid MAC address: %s", text);
        mac[i] = (uint8_t)(high << 4 | low);
    }
    if (mac[0] & 1)
        return error_set(err, ERROR_INVALID, "invalid MAC address: %s (a group's address)", text);
    memcpy(out, mac, sizeof(mac));
    return 0;
}
