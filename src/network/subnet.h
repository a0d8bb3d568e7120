/* IPv4 subnets and what may be handed out of them. Pure: no kernel, no record. Addresses are in
 * host order. */
#ifndef BERTH_NETWORK_SUBNET_H
#define BERTH_NETWORK_SUBNET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/strv.h"

#define ADDRESS_TEXT_SIZE 16 /* "255.255.255.255" */
#define SUBNET_TEXT_SIZE  19
#define MAC_TEXT_SIZE     18

struct subnet {
    uint32_t address; /* first one of the subnet, or the address that stood before the slash */
    int prefix_length;
};

int address_parse(const char *text, uint32_t *out, struct error *err);
void address_format(uint32_t address, char out[ADDRESS_TEXT_SIZE]);

/* "172.17.0.1/16", the bits behind the prefix are kept. INVALID. */
int subnet_parse(const char *text, struct subnet *out, struct error *err);
void subnet_format(const struct subnet *subnet, char out[SUBNET_TEXT_SIZE]);
uint32_t subnet_mask(const struct subnet *subnet);
uint32_t subnet_first(const struct subnet *subnet);
uint32_t subnet_last(const struct subnet *subnet);
bool subnet_contains(const struct subnet *subnet, uint32_t address);
bool subnet_overlaps(const struct subnet *a, const struct subnet *b);

/* A list of subnets, taken or on offer. A zeroed one is empty. */
struct subnets {
    struct subnet *items;
    size_t count, capacity;
};
void subnets_add(struct subnets *list, struct subnet subnet);
bool subnets_overlap(const struct subnets *list, const struct subnet *subnet);
void subnets_done(struct subnets *list);
CLEANUP_VALUE(subnets_done, struct subnets)

/* A pool is cut into subnets of one size. */
struct address_pool {
    struct subnet base;
    int prefix_length; /* of the pieces */
};
/* "base=10.200.0.0/16,size=24", in any order. INVALID. */
int address_pool_parse(const char *text, struct address_pool *out, struct error *err);

/* The first piece of the pools (NULL: Docker's defaults) that overlaps nothing that is taken.
 * INVALID if there is none. */
int subnet_choose(const struct strv *pools, const struct subnets *taken, struct subnet *out,
                  struct error *err);

/* The next free address of 'range' behind 'last' (0: from the start), round the end back to the
 * beginning, so that an address rests as long as possible before somebody else gets it. The first
 * and the last address of 'subnet' are never handed out. False if all are taken. */
typedef bool address_is_taken(uint32_t address, void *data);
bool address_choose(const struct subnet *subnet, const struct subnet *range, uint32_t last,
                    address_is_taken *is_taken, void *data, uint32_t *out);

/* Docker's 02:42 and the address: whoever gets the address next has the same, so that nobody's
 * neighbour table is wrong. */
void mac_from_address(uint32_t address, char out[MAC_TEXT_SIZE]);
/* Six octets of "02:42:ac:11:00:02" (':' or '-'). INVALID, also for group addresses. */
int mac_parse(const char *text, uint8_t out[6], struct error *err);

#endif
