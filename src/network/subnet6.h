/* IPv6 subnets and what may be handed out of them. Pure, as subnet.h; addresses are in network
 * order. */
#ifndef BERTH_NETWORK_SUBNET6_H
#define BERTH_NETWORK_SUBNET6_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "network/subnet.h"

#define ADDRESS6_TEXT_SIZE INET6_ADDRSTRLEN
#define SUBNET6_TEXT_SIZE  (INET6_ADDRSTRLEN + 4)

struct subnet6 {
    struct in6_addr address; /* first one of the subnet, or what stood before the slash */
    int prefix_length;
};

int address6_parse(const char *text, struct in6_addr *out, struct error *err);
void address6_format(const struct in6_addr *address, char out[ADDRESS6_TEXT_SIZE]);

/* "fd00::1/64", the bits behind the prefix are kept. INVALID. */
int subnet6_parse(const char *text, struct subnet6 *out, struct error *err);
void subnet6_format(const struct subnet6 *subnet, char out[SUBNET6_TEXT_SIZE]);
struct in6_addr subnet6_first(const struct subnet6 *subnet);
struct in6_addr subnet6_last(const struct subnet6 *subnet);
bool subnet6_contains(const struct subnet6 *subnet, const struct in6_addr *address);
bool subnet6_overlaps(const struct subnet6 *a, const struct subnet6 *b);
/* The address that is 'offset' behind the first one. */
struct in6_addr subnet6_at(const struct subnet6 *subnet, uint64_t offset);

/* Docker's 02:42 and four octets that follow from the address: as mac_from_address. */
void mac_from_address6(const struct in6_addr *address, char out[MAC_TEXT_SIZE]);

/* The 'index'th /64 of the /48 of unique local addresses (RFC 4193) that belongs to 'seed'. */
struct subnet6 subnet6_local(const char *seed, uint16_t index);

/* A free address of 'range': 'wanted' places behind its start if that is free, else the next one.
 * The first address of 'subnet' is never handed out. False if there is none within reach. */
typedef bool address6_is_taken(const struct in6_addr *address, void *data);
bool address6_choose(const struct subnet6 *subnet, const struct subnet6 *range, uint64_t wanted,
                     address6_is_taken *is_taken, void *data, struct in6_addr *out);

#endif
