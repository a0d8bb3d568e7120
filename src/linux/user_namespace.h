/* User namespaces as tables of numbers: mounts are seen through them (mount_map_owners), and
 * containers live in them. */
#ifndef BERTH_LINUX_USER_NAMESPACE_H
#define BERTH_LINUX_USER_NAMESPACE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* 'count' numbers from 'inside' on are those from 'outside' on in the namespace around. */
struct id_range {
    uint32_t inside, outside, count;
};

enum { ID_RANGE_LIMIT = 5 };

struct id_table {
    struct id_range ranges[ID_RANGE_LIMIT];
    size_t count;
};
struct id_map {
    struct id_table uids, gids;
};

#define ID_NOBODY 65534u /* how a number looks that the table does not have */

void id_table_add(struct id_table *table, uint32_t inside, uint32_t outside, uint32_t count);
/* The table in which a and b have changed places and every other number is itself. 4294967295 is
 * no user and left out. */
void id_table_swap(struct id_table *out, uint32_t a, uint32_t b);

/* What a number of the namespace around is inside; ID_NOBODY if it is not there. */
uint32_t id_table_inside(const struct id_table *table, uint32_t outside);
/* What a number inside is outside; -1 if the table does not have it. */
int64_t id_table_outside(const struct id_table *table, uint32_t inside);

/* A namespace with these tables; its descriptor. Ranges must not overlap, on neither side. With
 * 'out_network_fd' (NULL: none) also a new network namespace that belongs to it. */
int user_namespace_make(const struct id_map *map, int *out_network_fd, struct error *err);

/* What this thread makes belongs to these numbers from now on, while it may do all that it could:
 * for mounts that do not have its own. 0 and 0 make everything as it was, which must be before the
 * thread starts a program. */
int user_make_files_as(uint32_t uid, uint32_t gid, struct error *err);

#endif
