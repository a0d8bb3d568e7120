/* Limits on directories by the file system's own account of them (ext4, xfs with prjquota): a
 * directory belongs to a project, what is made in it does too, and the project has a limit. The
 * project of a directory of ours is the number of its inode, which no other has. */
#ifndef BERTH_LINUX_PROJECT_QUOTA_H
#define BERTH_LINUX_PROJECT_QUOTA_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* Whether the file system of 'dir_fd' counts projects and enforces their limits. */
bool project_quota_works(int dir_fd);

/* Makes the (empty) directory a project that holds at most 'size_bytes'; again with another size:
 * changes the limit. */
int project_quota_set(int dir_fd, uint64_t size_bytes, struct error *err);

/* What the directory's project holds; -1 if it has none. */
int project_quota_used(int dir_fd, uint64_t *out_bytes);

/* Takes the limit away, for one that is removed. None is fine. */
void project_quota_clear(int dir_fd);

#endif
