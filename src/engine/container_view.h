/* The files of a container as somebody outside sees them, whether it runs or not: its root, its
 * volumes and binds, the three files of its network, and while it runs its tmpfs mounts. What the
 * kernel makes (/proc, /sys, /dev) is not there; neither is what its processes mounted.
 *
 * Two overlays over one directory of changes must not exist: views of a container share one, with
 * each other, with its processes, and with a start that comes while they last. */
#ifndef BERTH_ENGINE_CONTAINER_VIEW_H
#define BERTH_ENGINE_CONTAINER_VIEW_H

#include <stdbool.h>

#include "base/list.h"
#include "engine/internal.h"
#include "linux/mount_view.h"

struct container_view {
    struct list link; /* container->views */
    struct container *container;
    struct container_info *info; /* as it was when the view was opened */
    char *volume_user;           /* NULL: its volumes are not in use */
    struct mount_view mounts;
    int cancel_fd;          /* readable once the container is removed */
    uint64_t root_mount_id; /* 0: the kernel does not tell */
};

/* Takes the container's operation lock for a moment. CONFLICT if the container is dead or about to
 * be removed. */
int container_view_open(struct container *container, bool with_mounts, struct container_view **out,
                        struct error *err);
void container_view_close(struct container_view *view);
CLEANUP_POINTER(container_view_close, struct container_view)

/* A descriptor of the mount namespace that the init of a running container is in. */
int container_mount_namespace(const struct container_info *info, struct error *err);

#endif
