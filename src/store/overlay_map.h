/* Overlays whose directories are mounts that show other owners. */
#ifndef BERTH_STORE_OVERLAY_MAP_H
#define BERTH_STORE_OVERLAY_MAP_H

#include "linux/mount.h"
#include "store/internal.h"

/* Mounts 'plain' with the owners of its directories seen through a user namespace; 'writable' (may
 * be NULL) names its upper ones. Gives the overlay, detached, or -1. */
int overlay_mount_mapped(const struct store *store, const struct mount_overlay *plain,
                         const struct writable *writable, int user_namespace_fd, struct error *err);

#endif
