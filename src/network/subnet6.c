/* Arithmetic on IPv6 subnets, octet by octet. */
#include "network/subnet6.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "codec/sha256.h"

#include "base/banned.h"

/* Who asks for an address has at most so many neighbours. */
#define REACH 65536

int address6_parse(const char *text, struct in6_addr *out, struct error *err)
{
    if (!text || inet_pton(AF_INET6, text, out) != 1)
        return error_set(err, ERROR_INVALID, "invalid IPv6 address: %s", text ? text : "");
    return 0;
}

void address6_format(const struct in6_addr *address, char out[ADDRESS6_TEXT_SIZE])
{
    inet_ntop(AF_INET6, address, out, ADDRESS6_TEXT_SIZE);
}

int subnet6_parse(const char *text, struct subnet6 *out, struct error *err)
{
    const char *slash = text ? strchr(text, '/') : NULL;
    CLEANUP(free) char *address = slash ? xstrndup(text, (size_t)(slash - text)) : NULL;
    struct subnet6 subnet;
    int64_t length;

    if (!slash || address6_parse(address, &subnet.address, NULL) < 0 ||
        parse_int64(slash + 1, 0, 128, &length, NULL) < 0)
        return error_set(err, ERROR_INVALID, "invalid CIDR address: %s", text ? text : "");
    subnet.prefix_length = (int)length;
    *out = subnet;
    return 0;
}

void subnet6_format(const struct subnet6 *subnet, char out[SUBNET6_TEXT_SIZE])
{
    char address[ADDRESS6_TEXT_SIZE];

    address6_format(&subnet->address, address);
    snprintf(out, SUBNET6_TEXT_SIZE, "%s/%u", address, (unsigned)subnet->prefix_length % 129);
}

/* The octet's bits that belong to the prefix. */
static uint8_t prefix_bits(int prefix_length, int octet)
{
    int bits = prefix_length - octet * 8;

    return bits >= 8 ? 0xff : bits <= 0 ? 0 : (uint8_t)(0xff << (8 - bits));
}

struct in6_addr subnet6_first(const struct subnet6 *subnet)
{
    struct in6_addr first = subnet->address;

    for (int i = 0; i < 16; i++)
        first.s6_addr[i] &= prefix_bits(subnet->prefix_length, i);
    return first;
}

struct in6_addr subnet6_last(const struct subnet6 *subnet)
{
    struct in6_addr last = subnet->address;

    for (int i = 0; i < 16; i++)
        last.s6_addr[i] |= (uint8_t)~prefix_bits(subnet->prefix_length, i);
    return last;
}

bool subnet6_contains(const struct subnet6 *subnet, const struct in6_addr *address)
{
    for (int i = 0; i < 16; i++)
        if ((subnet->address.s6_addr[i] ^ address->s6_addr[i]) &
            prefix_bits(subnet->prefix_length, i))
            return false;
    return true;
}

bool subnet6_overlaps(const struct subnet6 *a, const struct subnet6 *b)
{
    return subnet6_contains(a, &b->address) || subnet6_contains(b, &a->address);
}

struct in6_addr subnet6_at(const struct subnet6 *subnet, uint64_t offset)
{
    struct in6_addr address = subnet6_first(subnet);

    for (int i = 15; i >= 0 && offset > 0; i--) {
        uint64_t sum = address.s6_addr[i] + (offset & 0xff);

        address.s6_addr[i] = (uint8_t)sum;
        offset = (offset >> 8) + (sum >> 8);
    }
    return address;
}

/* Neighbours differ in their last octets mostly: these stay as they are where the others are zero
 * or the same. */
void mac_from_address6(const struct in6_addr *address, char out[MAC_TEXT_SIZE])
{
    uint8_t folded[4] = {};

    for (int i = 0; i < 16; i++)
        folded[i % 4] ^= address->s6_addr[i];
    snprintf(out, MAC_TEXT_SIZE, "02:42:%02x:%02x:%02x:%02x", folded[0], folded[1], folded[2],
             folded[3]);
}

struct subnet6 subnet6_local(const char *seed, uint16_t index)
{
    struct subnet6 subnet = { .prefix_length = 64 };
    char digest[DIGEST_SIZE];

    sha256_digest(seed, strlen(seed), digest);
    subnet.address.s6_addr[0] = 0xfd;
    for (int i = 0; i < 5; i++) {
        unsigned octet = 0;

        sscanf(digest_hex(digest) + i * 2, "%2x", &octet);
        subnet.address.s6_addr[1 + i] = (uint8_t)octet;
    }
    subnet.address.s6_addr[6] = (uint8_t)(index >> 8);
    subnet.address.s6_addr[7] = (uint8_t)index;
    return subnet;
}

bool address6_choose(const struct subnet6 *subnet, const struct subnet6 *range, uint64_t wanted,
                     address6_is_taken *is_taken, void *data, struct in6_addr *out)
{
    struct in6_addr first = subnet6_first(subnet);
    int host_bits = 128 - range->prefix_length;
    uint64_t count = host_bits > 16 ? REACH : (uint64_t)1 << host_bits;

    for (uint64_t i = 0; i < count; i++) {
        struct in6_addr address = subnet6_at(range, (wanted + i) % count);

        if (memcmp(&address, &first, sizeof(first)) == 0 || is_taken(&address, data))
            continue;
        *out = address;
        return true;
    }
    return false;
}
