/* Directories whose content cannot grow past a size. Where the file system counts projects, the
 * directory becomes one. Elsewhere it is a file system of its own in a sparse file beside it,
 * mounted on it from its making to its removal; that takes a little room for itself, so that the
 * content has the size that was asked for at least, and some percent more at most. */
#ifndef BERTH_LINUX_LIMITED_DIR_H
#define BERTH_LINUX_LIMITED_DIR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

#define LIMITED_DIR_LEAST (1 << 20) /* bytes; less is INVALID */

/* 'path' is an empty directory of ours, or one that this has made before: then it is as it was
 * afterwards, mounted if need be. 'image_path' is where the file would be. A crash leaves something
 * that the same call completes. UNSUPPORTED if there is no way on this host, and says why. */
int limited_dir_make(const char *path, const char *image_path, uint64_t size_bytes,
                     struct error *err);

/* Whether 'path' is limited by a file at 'image_path' that is not mounted. */
bool limited_dir_is_missing(const char *path, const char *image_path);

/* Before it is removed: no mount, no limit. */
int limited_dir_end(const char *path, struct error *err);

#endif
