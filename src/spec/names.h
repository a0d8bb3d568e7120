/* Who is called how on networks: what the engine writes and each container's resolver reads. The
 * table of a network is a small text file, replaced in one step, which all resolvers of that
 * network look into; a resolver's own settings come over the supervisor's wire. */
#ifndef BERTH_SPEC_NAMES_H
#define BERTH_SPEC_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "base/strv.h"
#include "codec/json.h"

/* ---- tables: a line "IPv4 IPv6 name other-name…" per endpoint, "-" where it has none ---- */

/* 'names' are separated by blanks, the container's own comes first. */
void name_table_add(struct str *table, const char *address, const char *address6,
                    const char *names);

struct name_address {
    uint8_t bytes[16];
};
/* Writes the addresses of a family (AF_INET, AF_INET6) of all who are called 'name' (compared
 * without case) to 'out', at most 'limit', and gives their count. *out_is_known becomes true if
 * somebody is called so, be it without such an address. */
size_t name_table_find(const char *table, size_t size, const char *name, int family,
                       struct name_address *out, size_t limit, bool *out_is_known);

/* Who has that address: the first name of its line, borrowed from the table (ends at a blank).
 * Gives its length, 0 if nobody has it. */
size_t name_table_owner(const char *table, size_t size, int family, const void *address,
                        const char **out_name);

/* ---- settings of one container's resolver ---- */

struct resolver_network {
    char *name;
    char *path;       /* of its table */
    struct map links; /* what this container calls others: alias → name */
};

struct resolver_settings {
    struct json_list networks; /* struct resolver_network, the one to look at first comes first */
    struct strv servers;      /* asked from inside the container; none: the host's, from the host */
    bool is_closed;           /* nothing is asked outside */
    bool keeps_single_labels; /* names without a dot are not asked outside */
};
extern const struct json_field resolver_settings_fields[];
void resolver_settings_done(struct resolver_settings *settings);
CLEANUP_VALUE(resolver_settings_done, struct resolver_settings)

/* Words of lines "nameserver …" of a resolv.conf: addresses only. */
void resolv_servers(const char *text, struct strv *out);

#endif
