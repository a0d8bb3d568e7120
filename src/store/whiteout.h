/* How a layer says that something below it is gone. In archives: an empty file ".wh.<name>", and
 * ".wh..wh..opq" in a directory that hides what is below. On disk for overlayfs: a 0:0 character
 * device, and an attribute of the directory. On disk without overlayfs: as in archives. */
#ifndef BERTH_STORE_WHITEOUT_H
#define BERTH_STORE_WHITEOUT_H

#include <stdbool.h>
#include <sys/stat.h>

#include "base/error.h"

#define WHITEOUT_PREFIX      ".wh."
#define WHITEOUT_META_PREFIX ".wh..wh."
#define OPAQUE_NAME          ".wh..wh..opq"
#define OPAQUE_ATTRIBUTE     "trusted.overlay.opaque"

bool whiteout_is_device(const struct stat *status);
bool whiteout_is_name(const char *name); /* .wh.something */

/* Hides 'name' of the layers below. An entry of that name in this layer stays; a directory becomes
 * opaque. */
int whiteout_make(bool by_name, int dir_fd, const char *name, struct error *err);

int opaque_make(bool by_name, int dir_fd, struct error *err);
bool opaque_is(int dir_fd); /* in either form */

/* Attributes that a layer keeps, in archives and on disk. */
bool layer_keeps_xattr(const char *name);

#endif
