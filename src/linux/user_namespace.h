/* User namespaces as tables of numbers: nobody lives in them, mounts are seen through them
 * (mount_map_owners). */
#ifndef BERTH_LINUX_USER_NAMESPACE_H
#define BERTH_LINUX_USER_NAMESPACE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* 'count' numbers from 'inside' on are those from 'outside' on in the namespace around. */
struct id_range {
    uint32_t inside, outside, count;
};

enum { ID_SWAP_RANGES = 5 };

/* The table in which a and b have changed places and every other number is itself; the number of
 * ranges. 4294967295 is no user and left out. */
size_t id_ranges_swap(uint32_t a, uint32_t b, struct id_range out[ID_SWAP_RANGES]);

/* A namespace with these tables; its descriptor. Ranges must not overlap, on neither side. */
int user_namespace_make(const struct id_range *uids, size_t uid_count, const struct id_range *gids,
                        size_t gid_count, struct error *err);

#endif
