/* Large files of a layer that is copied get their contents while the layer's archive is hashed: one
 * thread copies a file, the other hashes what is there of it. In the archive a file's header comes
 * first, so all else about it has been copied before. Not for several threads. */
#ifndef BERTH_STORE_LATE_COPY_H
#define BERTH_STORE_LATE_COPY_H

#include <stddef.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/macros.h"
#include "codec/sha256.h"

#define LATE_COPY_LIMIT 64 /* each has two descriptors */

struct late_copy {
    char *path; /* for errors */
    int from_fd, to_fd;
    off_t size;
    dev_t device; /* of the copy */
    ino_t inode;
};

struct late_copies {
    struct late_copy items[LATE_COPY_LIMIT];
    size_t count;
};

/* As tree_copy's 'put_off'; 'late' is the struct. 1 for large files, as long as there is room. */
int late_copies_add(void *late, const char *path, int from_fd, int to_fd, off_t size);

/* 1: 'file' is one of them; its content was copied and added to 'hash'. 'fd' is open for reading
 * there. 0: it is none of them. */
int late_copies_follow(struct late_copies *late, const struct stat *file, int fd,
                       struct sha256 *hash, struct error *err);

/* Copies those that the archive leaves out. */
int late_copies_finish(struct late_copies *late, struct error *err);

void late_copies_done(struct late_copies *late);
CLEANUP_VALUE(late_copies_done, struct late_copies)

#endif
