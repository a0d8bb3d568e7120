/* nf_tables by netlink: a batch is one atomic transaction on one table of family inet, and on those
 * of the same name in other families. Rules are written as small tables of steps, sets and maps by
 * rows:
 *
 *     static const struct nft_step drop_martians[] = {
 *         NFT_LOAD_META(NFT_META_IIFNAME, NFT_REGISTER(0)),
 *         NFT_IN("bridges", NFT_REGISTER(0)),
 *         NFT_VERDICT(NF_DROP),
 *         NFT_END,
 *     };
 *
 * Only libmnl is below: libnftables would cost each daemon a megabyte to parse text, and the rules
 * here never change. */
#ifndef BERTH_LINUX_NFTABLES_H
#define BERTH_LINUX_NFTABLES_H

#include <netinet/in.h> /* before the kernel's headers, which then leave out what it has */

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include "base/error.h"
#include "linux/netlink.h"

/* ---- what a table is made of ---- */

/* Numbers by which the nft command knows types of data when it lists a set; several make a
 * concatenation, first one first. */
enum {
    NFT_TYPE_IPV4 = 7,
    NFT_TYPE_IPV6 = 8,
    NFT_TYPE_PROTOCOL = 12,
    NFT_TYPE_PORT = 13,
    NFT_TYPE_INTERFACE = 41
};
#define NFT_TYPE_2(a, b)    (((uint32_t)(a) << 6) | (b))
#define NFT_TYPE_3(a, b, c) ((NFT_TYPE_2(a, b) << 6) | (c))

struct nft_set {
    const char *name;
    uint32_t flags; /* NFT_SET_MAP, NFT_SET_INTERVAL */
    uint32_t key_type, key_size;
    uint32_t data_type, data_size; /* of a map */
    uint32_t field_sizes[4];       /* of the parts of a concatenation with ranges */
};

struct nft_chain {
    const char *name;
    const char *type; /* "filter", "nat" */
    uint32_t hook;    /* NF_INET_… */
    int32_t priority;
};

enum nft_step_kind {
    NFT_STEP_END,
    NFT_STEP_META,
    NFT_STEP_PAYLOAD,
    NFT_STEP_CT,
    NFT_STEP_ADDRESS_TYPE,
    NFT_STEP_AND,
    NFT_STEP_COMPARE,
    NFT_STEP_LOOKUP,
    NFT_STEP_MAP,
    NFT_STEP_VERDICT,
    NFT_STEP_DNAT,
    NFT_STEP_MASQUERADE,
    NFT_STEP_VALUE,
    NFT_STEP_WRITE,
    NFT_STEP_OR,
    NFT_STEP_SET_META,
    NFT_STEP_DUPLICATE,
    NFT_STEP_SNAT,
};

struct nft_step {
    enum nft_step_kind kind;
    uint32_t from, to;     /* registers */
    uint32_t what, offset; /* key to load, or how to compare */
    uint32_t value, size;
    const char *set;
};

/* The machine has sixteen registers of four bytes; a longer value takes the ones behind, too. */
#define NFT_REGISTER(n) (NFT_REG32_00 + (n))

/* clang-format off */
#define NFT_LOAD_META(key, register_)      { NFT_STEP_META, .what = (key), .to = (register_) }
#define NFT_LOAD_CT(key, register_)        { NFT_STEP_CT, .what = (key), .to = (register_) }
#define NFT_LOAD_NETWORK(offset_, size_, register_)                                                \
    { NFT_STEP_PAYLOAD, .what = NFT_PAYLOAD_NETWORK_HEADER, .offset = (offset_), .size = (size_), .to = (register_) }
#define NFT_LOAD_TRANSPORT(offset_, size_, register_)                                              \
    { NFT_STEP_PAYLOAD, .what = NFT_PAYLOAD_TRANSPORT_HEADER, .offset = (offset_), .size = (size_), .to = (register_) }
/* The routing type of the destination: RTN_LOCAL… */
#define NFT_LOAD_ADDRESS_TYPE(register_)   { NFT_STEP_ADDRESS_TYPE, .to = (register_) }
#define NFT_AND(register_, mask)           { NFT_STEP_AND, .from = (register_), .to = (register_), .value = (mask), .size = 4 }
#define NFT_OR(register_, bits)            { NFT_STEP_OR, .from = (register_), .to = (register_), .value = (bits), .size = 4 }
#define NFT_SET_META(key, register_)       { NFT_STEP_SET_META, .what = (key), .from = (register_) }
/* A copy of the packet goes to the neighbour of that address by the link of that index (tables of
 * the families IPv4 and IPv6 only); conntrack does not know the copy. */
#define NFT_DUPLICATE_TO(address, link)    { NFT_STEP_DUPLICATE, .from = (address), .to = (link) }
/* A size of 1 or 4; the value as the machine has it. */
#define NFT_IS(register_, value_, size_)   { NFT_STEP_COMPARE, .what = NFT_CMP_EQ, .from = (register_), .value = (value_), .size = (size_) }
#define NFT_ISNT(register_, value_, size_) { NFT_STEP_COMPARE, .what = NFT_CMP_NEQ, .from = (register_), .value = (value_), .size = (size_) }
#define NFT_IN(set_, register_)            { NFT_STEP_LOOKUP, .set = (set_), .from = (register_) }
#define NFT_NOT_IN(set_, register_)        { NFT_STEP_LOOKUP, .set = (set_), .from = (register_), .what = NFT_LOOKUP_F_INV }
#define NFT_MAP_TO(map, register_, to_)    { NFT_STEP_MAP, .set = (map), .from = (register_), .to = (to_) }
#define NFT_VERDICT(verdict)               { NFT_STEP_VERDICT, .value = (uint32_t)(verdict) }
#define NFT_DNAT_TO(address, port)         { NFT_STEP_DNAT, .what = NFPROTO_IPV4, .from = (address), .to = (port) }
#define NFT_DNAT6_TO(address, port)        { NFT_STEP_DNAT, .what = NFPROTO_IPV6, .from = (address), .to = (port) }
#define NFT_SNAT_TO(address)               { NFT_STEP_SNAT, .what = NFPROTO_IPV4, .from = (address) }
#define NFT_SNAT6_TO(address)              { NFT_STEP_SNAT, .what = NFPROTO_IPV6, .from = (address) }
#define NFT_MASQUERADE                     { NFT_STEP_MASQUERADE }
#define NFT_VALUE(value_, register_)       { NFT_STEP_VALUE, .value = (value_), .size = 4, .to = (register_) }
/* Writes into the transport header; 'checksum' is where its checksum is. */
#define NFT_WRITE_TRANSPORT(offset_, size_, register_, checksum)                                   \
    { NFT_STEP_WRITE, .what = NFT_PAYLOAD_TRANSPORT_HEADER, .offset = (offset_), .size = (size_), .from = (register_), .value = (checksum) }
#define NFT_END                            { NFT_STEP_END }
/* clang-format on */

/* ---- changing it ---- */

struct nft_batch {
    struct nl_msg msg;
    const char *table; /* borrowed */
    uint8_t family;    /* NFPROTO_INET; may be changed between two calls */
    uint32_t set_count;
};

void nft_batch_init(struct nft_batch *batch, const char *table);
void nft_batch_done(struct nft_batch *batch);
CLEANUP_VALUE(nft_batch_done, struct nft_batch)

void nft_table_add(struct nft_batch *batch);  /* one that is there is fine */
void nft_table_make(struct nft_batch *batch); /* one that is there is EEXIST */
/* One that nobody but the owner of the committing socket may change, flushes of all tables
 * included; it stays when that socket is closed, and can be changed by all until somebody owns it
 * again. Not there yet; EOPNOTSUPP or EINVAL before Linux 6.9. */
void nft_table_own(struct nft_batch *batch);
void nft_table_remove(struct nft_batch *batch);
void nft_set_add(struct nft_batch *batch, const struct nft_set *set);
void nft_chain_add(struct nft_batch *batch, const struct nft_chain *chain);
void nft_rule_add(struct nft_batch *batch, const char *chain, const struct nft_step *steps);

/* Keys and data are padded to whole registers, in network order. Adding what is there is fine;
 * other data for the same key is EBUSY or EEXIST, removing what is not there ENOENT. */
void nft_element_add(struct nft_batch *batch, const char *set, const void *key, size_t key_size,
                     const void *data, size_t data_size);
void nft_element_remove(struct nft_batch *batch, const char *set, const void *key, size_t key_size);
/* The end of a range that nft_element_add began: the first key behind it (sets of ranges). */
void nft_range_end_add(struct nft_batch *batch, const char *set, const void *key, size_t key_size);
void nft_range_end_remove(struct nft_batch *batch, const char *set, const void *key,
                          size_t key_size);

/* From 'first' to 'last' in each part of a key (sets of concatenations with ranges). */
void nft_ranges_add(struct nft_batch *batch, const char *set, const void *first, const void *last,
                    size_t key_size);
void nft_ranges_remove(struct nft_batch *batch, const char *set, const void *first,
                       const void *last, size_t key_size);

/* Carries out all of it or nothing. */
int nft_commit(struct netlink *netlink, struct nft_batch *batch, struct error *err);

/* ---- looking at it ---- */

/* Is there a table of that name, of family inet? A batch that the kernel refuses costs it ten
 * milliseconds and more, as it waits until no packet can have seen any of it: better asked before.
 */
bool nft_table_is_there(struct netlink *netlink, const char *table);

struct nft_element {
    const void *key, *data;
    const void *last; /* of ranges in parts */
    size_t key_size, data_size, last_size;
    bool is_range_end;
};
typedef int nft_each_element(const struct nft_element *element, void *data, struct error *err);
/* NOT_FOUND if the table or the set is missing. */
int nft_elements(struct netlink *netlink, const char *table, const char *set,
                 nft_each_element *each, void *data, struct error *err);
/* Reads the elements of one message of the answer (what nft_elements does with each). */
int nft_elements_read(const struct nlmsghdr *message, nft_each_element *each, void *data,
                      struct error *err);

/* Hands the name of the chain of each rule of the table of that family. */
typedef void nft_each_rule(const char *chain, void *data);
int nft_rules(struct netlink *netlink, uint8_t family, const char *table, nft_each_rule *each,
              void *data, struct error *err);
/* The same with one message of the answer. */
void nft_rule_read(const struct nlmsghdr *message, const char *table, nft_each_rule *each,
                   void *data);

/* Does this notification (of group NFNLGRP_NFTABLES) say that something of 'table' was removed or,
 * for tables, changed? */
bool nft_tells_of_loss(const struct nlmsghdr *message, const char *table);
/* The same of 'table' as a whole or of a chain of it only. */
bool nft_tells_of_lost_chain(const struct nlmsghdr *message, const char *table);

#endif
