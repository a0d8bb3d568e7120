/* The attributes of nf_tables, as linux/netfilter/nf_tables.h lists them: integers are big-endian,
 * everything hangs in nests. */
#include "linux/nftables.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>

#include "base/banned.h"

/* NFT_TABLE_F_PERSIST, which the headers of older kernels lack. */
#define TABLE_PERSISTS (1U << 2)

#define NFT_TYPE(type) ((uint16_t)((NFNL_SUBSYS_NFTABLES << 8) | (type)))

/* ---- batches ---- */

static void put_nfgen(struct nl_msg *msg, uint8_t family, uint16_t resource)
{
    struct nfgenmsg *header = nl_put_header(msg, sizeof(*header));

    header->nfgen_family = family;
    header->version = NFNETLINK_V0;
    header->res_id = htons(resource);
}

static void nft_message(struct nft_batch *batch, uint16_t type, uint16_t flags)
{
    nl_msg_next(&batch->msg, NFT_TYPE(type), flags);
    nl_msg_silent(&batch->msg);
    put_nfgen(&batch->msg, batch->family, 0);
}

void nft_batch_init(struct nft_batch *batch, const char *table)
{
    *batch = (struct nft_batch){ .table = table, .family = NFPROTO_INET };
    nl_msg_init(&batch->msg, NFNL_MSG_BATCH_BEGIN, 0);
    nl_msg_silent(&batch->msg);
    put_nfgen(&batch->msg, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
}

void nft_batch_done(struct nft_batch *batch)
{
    nl_msg_done(&batch->msg);
}

int nft_commit(struct netlink *netlink, struct nft_batch *batch, struct error *err)
{
    nl_msg_next(&batch->msg, NFNL_MSG_BATCH_END, 0);
    nl_msg_silent(&batch->msg); /* Old kernels acknowledge no end: no news is good news. */
    put_nfgen(&batch->msg, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
    if (netlink_call(netlink, &batch->msg, err) < 0)
        return error_context(err, "nftables, table %s", batch->table);
    return 0;
}

/* ---- tables, sets, chains ---- */

void nft_table_add(struct nft_batch *batch)
{
    nft_message(batch, NFT_MSG_NEWTABLE, NLM_F_CREATE);
    nl_put_string(&batch->msg, NFTA_TABLE_NAME, batch->table);
}

void nft_table_make(struct nft_batch *batch)
{
    nft_message(batch, NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL);
    nl_put_string(&batch->msg, NFTA_TABLE_NAME, batch->table);
}

void nft_table_own(struct nft_batch *batch)
{
    nft_table_add(batch);
    nl_put_be32(&batch->msg, NFTA_TABLE_FLAGS, NFT_TABLE_F_OWNER | TABLE_PERSISTS);
}

void nft_table_remove(struct nft_batch *batch)
{
    nft_message(batch, NFT_MSG_DELTABLE, 0);
    nl_put_string(&batch->msg, NFTA_TABLE_NAME, batch->table);
}

static void put_fields(struct nl_msg *msg, const struct nft_set *set)
{
    NL_NEST (msg, NFTA_SET_DESC)
        NL_NEST (msg, NFTA_SET_DESC_CONCAT)
            for (size_t i = 0; i < COUNT(set->field_sizes) && set->field_sizes[i]; i++)
                NL_NEST (msg, NFTA_LIST_ELEM)
                    nl_put_be32(msg, NFTA_SET_FIELD_LEN, set->field_sizes[i]);
}

void nft_set_add(struct nft_batch *batch, const struct nft_set *set)
{
    struct nl_msg *msg = &batch->msg;

    nft_message(batch, NFT_MSG_NEWSET, NLM_F_CREATE);
    nl_put_string(msg, NFTA_SET_TABLE, batch->table);
    nl_put_string(msg, NFTA_SET_NAME, set->name);
    nl_put_be32(msg, NFTA_SET_ID, ++batch->set_count);
    nl_put_be32(msg, NFTA_SET_FLAGS, set->flags | (set->field_sizes[0] ? NFT_SET_CONCAT : 0));
    nl_put_be32(msg, NFTA_SET_KEY_TYPE, set->key_type);
    nl_put_be32(msg, NFTA_SET_KEY_LEN, set->key_size);
    if (set->flags & NFT_SET_MAP) {
        nl_put_be32(msg, NFTA_SET_DATA_TYPE, set->data_type);
        nl_put_be32(msg, NFTA_SET_DATA_LEN, set->data_size);
    }
    if (set->field_sizes[0])
        put_fields(msg, set);
}

void nft_chain_add(struct nft_batch *batch, const struct nft_chain *chain)
{
    struct nl_msg *msg = &batch->msg;

    nft_message(batch, NFT_MSG_NEWCHAIN, NLM_F_CREATE);
    nl_put_string(msg, NFTA_CHAIN_TABLE, batch->table);
    nl_put_string(msg, NFTA_CHAIN_NAME, chain->name);
    NL_NEST (msg, NFTA_CHAIN_HOOK) {
        nl_put_be32(msg, NFTA_HOOK_HOOKNUM, chain->hook);
        nl_put_be32(msg, NFTA_HOOK_PRIORITY, (uint32_t)chain->priority);
    }
    nl_put_be32(msg, NFTA_CHAIN_POLICY, NF_ACCEPT);
    nl_put_string(msg, NFTA_CHAIN_TYPE, chain->type);
}

/* ---- rules ---- */

static void put_value(struct nl_msg *msg, uint16_t type, uint32_t value, uint32_t size)
{
    uint8_t byte = (uint8_t)value;

    NL_NEST (msg, type) {
        if (size == 1)
            nl_put(msg, NFTA_DATA_VALUE, &byte, 1);
        else
            nl_put(msg, NFTA_DATA_VALUE, &value, sizeof(value));
    }
}

static void put_meta(struct nl_msg *msg, const struct nft_step *step)
{
    nl_put_be32(msg, NFTA_META_KEY, step->what);
    nl_put_be32(msg, NFTA_META_DREG, step->to);
}

static void put_payload(struct nl_msg *msg, const struct nft_step *step)
{
    nl_put_be32(msg, NFTA_PAYLOAD_DREG, step->to);
    nl_put_be32(msg, NFTA_PAYLOAD_BASE, step->what);
    nl_put_be32(msg, NFTA_PAYLOAD_OFFSET, step->offset);
    nl_put_be32(msg, NFTA_PAYLOAD_LEN, step->size);
}

static void put_ct(struct nl_msg *msg, const struct nft_step *step)
{
    nl_put_be32(msg, NFTA_CT_KEY, step->what);
    nl_put_be32(msg, NFTA_CT_DREG, step->to);
}

static void put_address_type(struct nl_msg *msg, const struct nft_step *step)
{
    nl_put_be32(msg, NFTA_FIB_DREG, step->to);
    nl_put_be32(msg, NFTA_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
    nl_put_be32(msg, NFTA_FIB_FLAGS, NFTA_FIB_F_DADDR);
}

static void put_and(struct nl_msg *msg, const struct nft_step *step)
{
    nl_put_be32(msg, NFTA_BITWISE_SREG, step->from);
    nl_put_be32(msg, NFTA_BITWISE_DREG, step->to);
    nl_put_be32(msg, NFTA_BITWISE_LEN, step->size);
    put_value(msg, NFTA_BITWISE_MASK, step->value, step->size);
    put_value(msg, NFTA_BITWISE_XOR, 0, step->size);
}

static void put_or(struct nl_msg *msg, const struct nft_step *step)
{
    nl_put_be32(msg, NFTA_BITWISE_SREG, step->from);
    nl_put_be32(msg, NFTA_BITWISE_DREG, step->to);
    nl_put_be32(msg, NFTA_BITWISE_LEN, step->size);
    put_value(msg, NFTA_BITWISE_MASK, ~step->value, step->size);
    put_value(msg, NFTA_BITWISE_XOR, step->value, step->size);
}

static void put_set_meta(struct nl_msg *msg, const struct nft_step *step)
{
    nl_put_be32(msg, NFTA_META_KEY, step->what);
    nl_put_be32(msg, NFTA_META_SREG, step->from);
}

static void put_duplicate(struct nl_msg *msg, const struct nft_step *step)
{
    nl_put_be32(msg, NFTA_DUP_SREG_ADDR, step->from);
    nl_put_be32(msg, NFTA_DUP_SREG_DEV, step->to);
}

static void put_compare(struct nl_msg *msg, const struct nft_step *step)
{
    nl_put_be32(msg, NFTA_CMP_SREG, step->from);
    nl_put_be32(msg, NFTA_CMP_OP, step->what);
    put_value(msg, NFTA_CMP_DATA, step->value, step->size);
}

static void put_lookup(struct nl_msg *msg, const struct nft_step *step)
{
    nl_put_string(msg, NFTA_LOOKUP_SET, step->set);
    nl_put_be32(msg, NFTA_LOOKUP_SREG, step->from);
    if (step->what)
        nl_put_be32(msg, NFTA_LOOKUP_FLAGS, step->what);
}

static void put_map(struct nl_msg *msg, const struct nft_step *step)
{
    put_lookup(msg, step);
    nl_put_be32(msg, NFTA_LOOKUP_DREG, step->to);
}

static void put_verdict(struct nl_msg *msg, const struct nft_step *step)
{
    nl_put_be32(msg, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
    NL_NEST (msg, NFTA_IMMEDIATE_DATA)
        NL_NEST (msg, NFTA_DATA_VERDICT)
            nl_put_be32(msg, NFTA_VERDICT_CODE, step->value);
}

static void put_dnat(struct nl_msg *msg, const struct nft_step *step)
{
    nl_put_be32(msg, NFTA_NAT_TYPE, NFT_NAT_DNAT);
    nl_put_be32(msg, NFTA_NAT_FAMILY, step->what);
    nl_put_be32(msg, NFTA_NAT_REG_ADDR_MIN, step->from);
    nl_put_be32(msg, NFTA_NAT_REG_PROTO_MIN, step->to);
}

static void put_snat(struct nl_msg *msg, const struct nft_step *step)
{
    nl_put_be32(msg, NFTA_NAT_TYPE, NFT_NAT_SNAT);
    nl_put_be32(msg, NFTA_NAT_FAMILY, step->what);
    nl_put_be32(msg, NFTA_NAT_REG_ADDR_MIN, step->from);
}

static void put_immediate(struct nl_msg *msg, const struct nft_step *step)
{
    nl_put_be32(msg, NFTA_IMMEDIATE_DREG, step->to);
    put_value(msg, NFTA_IMMEDIATE_DATA, step->value, step->size);
}

static void put_write(struct nl_msg *msg, const struct nft_step *step)
{
    nl_put_be32(msg, NFTA_PAYLOAD_SREG, step->from);
    nl_put_be32(msg, NFTA_PAYLOAD_BASE, step->what);
    nl_put_be32(msg, NFTA_PAYLOAD_OFFSET, step->offset);
    nl_put_be32(msg, NFTA_PAYLOAD_LEN, step->size);
    nl_put_be32(msg, NFTA_PAYLOAD_CSUM_TYPE, NFT_PAYLOAD_CSUM_INET);
    nl_put_be32(msg, NFTA_PAYLOAD_CSUM_OFFSET, step->value);
}

static void put_nothing(struct nl_msg *msg UNUSED, const struct nft_step *step UNUSED)
{
}

/* clang-format off */
static const struct {
    const char *name;
    void (*put)(struct nl_msg *msg, const struct nft_step *step);
} expressions[] = {
    [NFT_STEP_META]         = { "meta",      put_meta         },
    [NFT_STEP_PAYLOAD]      = { "payload",   put_payload      },
    [NFT_STEP_CT]           = { "ct",        put_ct           },
    [NFT_STEP_ADDRESS_TYPE] = { "fib",       put_address_type },
    [NFT_STEP_AND]          = { "bitwise",   put_and          },
    [NFT_STEP_COMPARE]      = { "cmp",       put_compare      },
    [NFT_STEP_LOOKUP]       = { "lookup",    put_lookup       },
    [NFT_STEP_MAP]          = { "lookup",    put_map          },
    [NFT_STEP_VERDICT]      = { "immediate", put_verdict      },
    [NFT_STEP_DNAT]         = { "nat",       put_dnat         },
    [NFT_STEP_MASQUERADE]   = { "masq",      put_nothing      },
    [NFT_STEP_VALUE]        = { "immediate", put_immediate    },
    [NFT_STEP_WRITE]        = { "payload",   put_write        },
    [NFT_STEP_OR]           = { "bitwise",   put_or           },
    [NFT_STEP_SET_META]     = { "meta",      put_set_meta     },
    [NFT_STEP_DUPLICATE]    = { "dup",       put_duplicate    },
    [NFT_STEP_SNAT]         = { "nat",       put_snat         },
};
/* clang-format on */

void nft_rule_add(struct nft_batch *batch, const char *chain, const struct nft_step *steps)
{
    struct nl_msg *msg = &batch->msg;

    nft_message(batch, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
    nl_put_string(msg, NFTA_RULE_TABLE, batch->table);
    nl_put_string(msg, NFTA_RULE_CHAIN, chain);
    NL_NEST (msg, NFTA_RULE_EXPRESSIONS)
        for (const struct nft_step *step = steps; step->kind != NFT_STEP_END; step++)
            NL_NEST (msg, NFTA_LIST_ELEM) {
                nl_put_string(msg, NFTA_EXPR_NAME, expressions[step->kind].name);
                NL_NEST (msg, NFTA_EXPR_DATA)
                    expressions[step->kind].put(msg, step);
            }
}

/* ---- elements ---- */

static void put_key(struct nl_msg *msg, uint16_t type, const void *key, size_t size)
{
    NL_NEST (msg, type)
        nl_put(msg, NFTA_DATA_VALUE, key, size);
}

static void put_element(struct nft_batch *batch, const char *set, uint32_t flags,
                        const struct nft_element *element)
{
    struct nl_msg *msg = &batch->msg;

    nl_put_string(msg, NFTA_SET_ELEM_LIST_TABLE, batch->table);
    nl_put_string(msg, NFTA_SET_ELEM_LIST_SET, set);
    NL_NEST (msg, NFTA_SET_ELEM_LIST_ELEMENTS)
        NL_NEST (msg, NFTA_LIST_ELEM) {
            put_key(msg, NFTA_SET_ELEM_KEY, element->key, element->key_size);
            if (element->last_size > 0)
                put_key(msg, NFTA_SET_ELEM_KEY_END, element->last, element->last_size);
            if (element->data_size > 0)
                put_key(msg, NFTA_SET_ELEM_DATA, element->data, element->data_size);
            if (flags)
                nl_put_be32(msg, NFTA_SET_ELEM_FLAGS, flags);
        }
}

static void change_element(struct nft_batch *batch, bool add, const char *set,
                           const struct nft_element *element)
{
    nft_message(batch, add ? NFT_MSG_NEWSETELEM : NFT_MSG_DELSETELEM, add ? NLM_F_CREATE : 0);
    put_element(batch, set, element->is_range_end ? NFT_SET_ELEM_INTERVAL_END : 0, element);
}

void nft_element_add(struct nft_batch *batch, const char *set, const void *key, size_t key_size,
                     const void *data, size_t data_size)
{
    change_element(batch, true, set,
                   &(struct nft_element){
                       .key = key, .key_size = key_size, .data = data, .data_size = data_size });
}

void nft_element_remove(struct nft_batch *batch, const char *set, const void *key, size_t key_size)
{
    change_element(batch, false, set, &(struct nft_element){ .key = key, .key_size = key_size });
}

void nft_range_end_add(struct nft_batch *batch, const char *set, const void *key, size_t key_size)
{
    change_element(batch, true, set,
                   &(struct nft_element){ .key = key, .key_size = key_size, .is_range_end = true });
}

void nft_range_end_remove(struct nft_batch *batch, const char *set, const void *key,
                          size_t key_size)
{
    change_element(batch, false, set,
                   &(struct nft_element){ .key = key, .key_size = key_size, .is_range_end = true });
}

void nft_ranges_add(struct nft_batch *batch, const char *set, const void *first, const void *last,
                    size_t key_size)
{
    change_element(batch, true, set,
                   &(struct nft_element){
                       .key = first, .key_size = key_size, .last = last, .last_size = key_size });
}

void nft_ranges_remove(struct nft_batch *batch, const char *set, const void *first,
                       const void *last, size_t key_size)
{
    change_element(batch, false, set,
                   &(struct nft_element){
                       .key = first, .key_size = key_size, .last = last, .last_size = key_size });
}

/* ---- looking ---- */

static void read_value(const struct nlattr *nest, const void **out, size_t *out_size)
{
    const struct nlattr *attributes[NFTA_DATA_VALUE + 1];

    nl_attributes_nested(nest, attributes, NFTA_DATA_VALUE);
    *out = attributes[NFTA_DATA_VALUE] ? nl_data(attributes[NFTA_DATA_VALUE]) : NULL;
    *out_size = nl_size(attributes[NFTA_DATA_VALUE]);
}

int nft_elements_read(const struct nlmsghdr *message, nft_each_element *each, void *data,
                      struct error *err)
{
    const struct nlattr *list[NFTA_SET_ELEM_LIST_ELEMENTS + 1];
    const struct nlattr *item = NULL;

    nl_attributes(message, sizeof(struct nfgenmsg), list, NFTA_SET_ELEM_LIST_ELEMENTS);
    while ((item = nl_attribute_next(list[NFTA_SET_ELEM_LIST_ELEMENTS], item))) {
        const struct nlattr *parts[NFTA_SET_ELEM_KEY_END + 1];
        struct nft_element element = {};

        nl_attributes_nested(item, parts, NFTA_SET_ELEM_KEY_END);
        read_value(parts[NFTA_SET_ELEM_KEY], &element.key, &element.key_size);
        read_value(parts[NFTA_SET_ELEM_KEY_END], &element.last, &element.last_size);
        read_value(parts[NFTA_SET_ELEM_DATA], &element.data, &element.data_size);
        element.is_range_end = (ntohl(nl_get_u32(parts[NFTA_SET_ELEM_FLAGS])) &
                                NFT_SET_ELEM_INTERVAL_END) != 0;
        if (each(&element, data, err) < 0)
            return -1;
    }
    return 0;
}

struct element_reader {
    nft_each_element *each;
    void *data;
};

static int read_elements_message(const struct nlmsghdr *message, void *data, struct error *err)
{
    struct element_reader *reader = data;

    return nft_elements_read(message, reader->each, reader->data, err);
}

static int nft_dump(struct netlink *netlink, struct nl_msg *msg, netlink_each *each, void *data,
                    struct error *err)
{
    struct error failure = {};

    if (netlink_dump(netlink, msg, each, data, &failure) == 0)
        return 0;
    if (failure.sys == ENOENT)
        failure.kind = ERROR_NOT_FOUND;
    return error_set(err, failure.kind, "%s", failure.text);
}

bool nft_table_is_there(struct netlink *netlink, const char *table)
{
    CLEANUP(nl_msg_done) struct nl_msg msg = {};

    nl_msg_init(&msg, NFT_TYPE(NFT_MSG_GETTABLE), 0);
    put_nfgen(&msg, NFPROTO_INET, 0);
    nl_put_string(&msg, NFTA_TABLE_NAME, table);
    return netlink_call(netlink, &msg, NULL) == 0;
}

int nft_elements(struct netlink *netlink, const char *table, const char *set,
                 nft_each_element *each, void *data, struct error *err)
{
    CLEANUP(nl_msg_done) struct nl_msg msg = {};
    struct element_reader reader = { each, data };

    nl_msg_init(&msg, NFT_TYPE(NFT_MSG_GETSETELEM), NLM_F_DUMP);
    put_nfgen(&msg, NFPROTO_INET, 0);
    nl_put_string(&msg, NFTA_SET_ELEM_LIST_TABLE, table);
    nl_put_string(&msg, NFTA_SET_ELEM_LIST_SET, set);
    if (nft_dump(netlink, &msg, read_elements_message, &reader, err) < 0)
        return error_context(err, "nftables, set %s of table %s", set, table);
    return 0;
}

void nft_rule_read(const struct nlmsghdr *message, const char *table, nft_each_rule *each,
                   void *data)
{
    const struct nlattr *attributes[NFTA_RULE_CHAIN + 1];

    nl_attributes(message, sizeof(struct nfgenmsg), attributes, NFTA_RULE_CHAIN);
    if (strcmp(nl_get_string(attributes[NFTA_RULE_TABLE]), table) == 0)
        each(nl_get_string(attributes[NFTA_RULE_CHAIN]), data);
}

struct rule_reader {
    const char *table;
    nft_each_rule *each;
    void *data;
};

static int read_rule_message(const struct nlmsghdr *message, void *data, struct error *err UNUSED)
{
    struct rule_reader *reader = data;

    nft_rule_read(message, reader->table, reader->each, reader->data);
    return 0;
}

int nft_rules(struct netlink *netlink, uint8_t family, const char *table, nft_each_rule *each,
              void *data, struct error *err)
{
    CLEANUP(nl_msg_done) struct nl_msg msg = {};
    struct rule_reader reader = { table, each, data };

    nl_msg_init(&msg, NFT_TYPE(NFT_MSG_GETRULE), NLM_F_DUMP);
    put_nfgen(&msg, family, 0);
    nl_put_string(&msg, NFTA_RULE_TABLE, table);
    if (nft_dump(netlink, &msg, read_rule_message, &reader, err) < 0)
        return error_context(err, "nftables, rules of table %s", table);
    return 0;
}

/* The table's name is the first attribute of all these messages. */
static bool is_about(const struct nlmsghdr *message, const char *table)
{
    const struct nlattr *attributes[2];
    const struct nfgenmsg *header = (const void *)(message + 1);

    if (message->nlmsg_len < NLMSG_LENGTH(sizeof(*header)))
        return false;
    nl_attributes(message, sizeof(*header), attributes, 1);
    return strcmp(nl_get_string(attributes[1]), table) == 0;
}

bool nft_tells_of_loss(const struct nlmsghdr *message, const char *table)
{
    switch (message->nlmsg_type) {
    case NFT_TYPE(NFT_MSG_NEWTABLE): /* Its "dormant" flag may have been set. */
    case NFT_TYPE(NFT_MSG_DELTABLE):
    case NFT_TYPE(NFT_MSG_DELCHAIN):
    case NFT_TYPE(NFT_MSG_DELRULE):
    case NFT_TYPE(NFT_MSG_DELSET):
    case NFT_TYPE(NFT_MSG_DELSETELEM):
        return is_about(message, table);
    default:
        return false;
    }
}

bool nft_tells_of_lost_chain(const struct nlmsghdr *message, const char *table)
{
    return (message->nlmsg_type == NFT_TYPE(NFT_MSG_DELTABLE) ||
            message->nlmsg_type == NFT_TYPE(NFT_MSG_DELCHAIN)) &&
           is_about(message, table);
}
