/* A tree put together of detached mounts, in a mount namespace that no process lives in: what is in
 * a container, seen without its processes and by nobody else. Whoever holds its descriptors can
 * look up paths in it (linux/path.h) as long as they are open.
 *
 * The calls run in threads of their own: one that enters a mount namespace has left the root of its
 * process for good. Such a thread makes system calls on descriptors and ends. */
#ifndef BERTH_LINUX_MOUNT_VIEW_H
#define BERTH_LINUX_MOUNT_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct mount_view {
    int root_fd;                   /* O_PATH */
    int namespace_fd;              /* keeps it together */
    uint32_t maker_uid, maker_gid; /* whose the targets are that are made (user_make_files_as) */
};

/* 'root_mount_fd', a detached mount (kept by the caller), becomes the root. */
int mount_view_make(int root_mount_fd, struct mount_view *out, struct error *err);

/* The tree of a mount namespace that somebody lives in, whose descriptor stays the caller's. What
 * is done to such a view is done to them. */
int mount_view_of(int namespace_fd, struct mount_view *out, struct error *err);

/* Zero it, then make it or not: an undone view has no descriptors. */
void mount_view_done(struct mount_view *view);
CLEANUP_VALUE(mount_view_done, struct mount_view)

struct mount_part {
    int mount_fd;       /* detached; stays the caller's */
    const char *target; /* looked up inside the view */
    bool makes_target;  /* a missing one is made: a directory or a file, as the mount is */
    bool
        avoids_kernel; /* INVALID if the target lies in a file system of the kernel's own (/proc) */
    uint64_t mount_id; /* out: as statx tells it; 0: there was no target */
};

/* Places mounts in their order. */
int mount_view_add(const struct mount_view *view, struct mount_part *parts, size_t count,
                   struct error *err);

/* Takes off all that is mounted exactly on 'target', with what is mounted below, lazily. NOT_FOUND
 * if nothing is. */
int mount_view_remove(const struct mount_view *view, const char *target, struct error *err);

/* Whose mounts are cloned. */
struct mount_wish {
    const char *path;   /* inside the namespace's root; "/" is the root itself */
    int64_t filesystem; /* magic number of the file system that it has to be; 0: any */
    int fd;             /* out: detached copy without what is mounted below; -1: no such mount */
};

/* Copies mounts out of the mount namespace of somebody else. The look-up stays inside and follows
 * no magic link. Only for "/" it is an error that there is none. */
int mount_clone_from(int namespace_fd, struct mount_wish *wishes, size_t count, struct error *err);

/* Makes the root read-only, not what is mounted in it. */
int mount_view_seal(const struct mount_view *view, struct error *err);

/* A detached copy of a view's root alone. */
int mount_view_clone_root(const struct mount_view *view, struct error *err);

/* The number of the mount that a descriptor is on (statx); 0 if the kernel does not tell. */
uint64_t mount_id_of(int fd);

#endif
