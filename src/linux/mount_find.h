/* What is mounted where, as this process sees it. */
#ifndef BERTH_LINUX_MOUNT_FIND_H
#define BERTH_LINUX_MOUNT_FIND_H

#include <stdbool.h>

#include "base/error.h"

/* The mount that a path lies on. */
struct mount_place {
    char *target;             /* where it is mounted; yours (mount_place_done) */
    bool is_shared, is_slave; /* passes events on; receives them */
};
/* 'path' is absolute and has no links in it. */
int mount_find(const char *path, struct mount_place *out, struct error *err);
/* The same in the text of a mountinfo file; the last line that fits counts. */
int mount_find_in(char *mountinfo, const char *path, struct mount_place *out, struct error *err);
void mount_place_done(struct mount_place *place);
CLEANUP_VALUE(mount_place_done, struct mount_place)

/* Whether something is mounted exactly there. Does not wait for a server that is gone. */
bool mount_is_at(const char *path);

#endif
