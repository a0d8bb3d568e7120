/* One file that is in memory only, as a mount. */
#ifndef BERTH_LINUX_MEMORY_FILE_H
#define BERTH_LINUX_MEMORY_FILE_H

#include <sys/types.h>

#include "base/error.h"

struct memory_file {
    const void *data;
    size_t size;
    mode_t mode;
    uid_t uid;
    gid_t gid;
};

/* A detached, read-only mount of a file with this content, to be placed on a file. The bytes are
 * kept from swap where the kernel can (Linux 6.4), and are gone with the last descriptor and place
 * of the mount. */
int memory_file_mount(const struct memory_file *file, struct error *err);

#endif
