/* Mounts as descriptors: a mount is made detached (belongs to no directory and vanishes with its
 * last descriptor) and then placed on a descriptor of its target. Flags are MOUNT_ATTR_* and MS_*
 * of <sys/mount.h>. */
#ifndef BERTH_LINUX_MOUNT_H
#define BERTH_LINUX_MOUNT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/mount.h>

#include "base/error.h"
#include "base/strv.h"

#ifndef MOUNT_ATTR_RDONLY
#include <linux/mount.h>
#endif

/* One option of a filesystem; 'value' NULL: a switch ("ro"). The key "source" is what mountinfo
 * shows as source. */
struct mount_setting {
    const char *key, *value;
};

/* A new filesystem, detached. Errors carry the kernel's own words where it has some. UNSUPPORTED if
 * it does not know the type. */
int mount_create(const char *type, const struct mount_setting *settings, size_t count,
                 unsigned attributes, struct error *err);

/* A detached copy of the mount at 'path' (dir_fd and path as in openat; "" is dir_fd itself). With
 * 'recursive' all mounts below come along. NOT_FOUND if there is no such path. */
int mount_clone(int dir_fd, const char *path, bool recursive, struct error *err);

/* Puts a detached mount on what the descriptor stands for. */
int mount_place(int mount_fd, int target_fd, struct error *err);
int mount_place_at(int mount_fd, const char *path, struct error *err); /* a path of ours */

/* Changes attributes of a mount (detached or not). 'propagation' is 0 (as it is), MS_PRIVATE,
 * MS_SLAVE, MS_SHARED or MS_UNBINDABLE. Clearing atime attributes clears all of MOUNT_ATTR__ATIME,
 * as the kernel demands. */
int mount_change(int mount_fd, bool recursive, uint64_t set, uint64_t clear, uint64_t propagation,
                 struct error *err);
int mount_change_at(const char *path, bool recursive, uint64_t set, uint64_t clear,
                    uint64_t propagation, struct error *err);

/* Shows the owners of files through a user namespace: what belongs to its user N on disk belongs to
 * that user's number outside here, and the same for what is made. The mount must be detached.
 * UNSUPPORTED if a filesystem below cannot do that. */
int mount_map_owners(int mount_fd, bool recursive, int user_namespace_fd, struct error *err);

/* Takes away what is mounted at a path of ours, lazily; not mounted is fine. */
int mount_remove(const char *path, struct error *err);

/* An overlay, detached. 'lower' from top to bottom; 'upper' and 'work' NULL: read-only. Uses one
 * lowerdir+ per layer where the kernel has it (6.8), so their number is not bound by a page of
 * text. */
struct mount_overlay {
    const struct strv *lower;
    const char *upper, *work;
    const struct mount_setting *more; /* index, metacopy, volatile… */
    size_t more_count;
};
int mount_overlay(const struct mount_overlay *options, struct error *err);

/* A program as seen through a read-only mount of its own: what is executed through this descriptor
 * (path "/proc/self/fd/<n>", or execveat) cannot be opened for writing through /proc/<pid>/exe,
 * whatever rights the opener has in its container. Keeps the program alive over an upgrade. */
int mount_program(const char *path, struct error *err);
/* Whether this process was started that way (or from a read-only filesystem). */
bool mount_program_is_sealed(void);

#endif
