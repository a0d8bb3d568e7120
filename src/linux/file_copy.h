/* The content of one file into another, in the fastest way that the kernel and the file systems
 * have for it: blocks are shared where that can be (btrfs, XFS), small files are copied by the
 * kernel, and large ones by two threads, of which one reads while the other writes. */
#ifndef BERTH_LINUX_FILE_COPY_H
#define BERTH_LINUX_FILE_COPY_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"

struct file_copy {
    const char *name; /* of the file, for errors: "write NAME: no space left on device" */
    int cancel_fd;    /* CANCELLED soon after it became readable; -1: never */
    /* The caller is going to wait until all is on disk: the disk begins at once, and works while
     * the caller does. */
    bool is_kept;
    /* Called with how much is copied of the file, from its beginning on; -1 ends the copying. One
     * thread copies then, in order: who follows it has a processor to keep busy. Nothing is told of
     * blocks that are shared. NULL: nobody follows. */
    int (*reached)(void *data, off_t offset, struct error *err);
    void *data;
};

/* Copies the first 'size' bytes of 'from_fd' into 'to_fd', a file without content: empty, or of
 * that size and all a hole. Holes stay holes. Neither offset counts, and that of 'from_fd' may
 * move. If the file becomes shorter meanwhile, what was cut off may be missing or read as zeros. */
int file_copy_content(int from_fd, int to_fd, off_t size, const struct file_copy *options,
                      struct error *err);

/* Whether a descriptor that somebody else opened may be copied from: a regular file, open for
 * reading, on a file system of this machine's own. One of a network, or that a program serves
 * (FUSE), can keep its reader waiting for as long as it likes. */
bool file_copy_is_fit(int fd);

#endif
