/* A layer's directory becomes an archive, always the same for the same directory: large files
 * first, sorted by name, whole seconds, whiteouts as .wh. files, hard links among its files kept.
 */
#ifndef BERTH_STORE_PACK_H
#define BERTH_STORE_PACK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/stream.h"

/* Who looks after the contents of files apart from the rest of the archive. */
struct pack_contents {
    /* Asked before each content: 1: it is taken care of, filled up to a record, and not written. */
    int (*take)(struct pack_contents *self, const struct stat *file, int fd, struct error *err);
    /* A content was written, filled up to a record. */
    void (*written)(struct pack_contents *self);
};

/* Part of the record: a layer leaves in the order that its digest was made in. */
enum pack_order {
    PACK_BY_NAME = 0, /* of layers that are older than the other one */
    /* Files of 1 MiB and more come first, each behind the directories above it, then all else; both
     * sorted by name. What changes often is small: the archive is the same for longer. */
    PACK_LARGE_FIRST = 1,
};

/* Writes a plain tar to 'out' (borrowed). 'contents' may be NULL. 'out_size' (may be NULL) is that
 * of all files. 'marks_by_name': the directory has whiteouts by name (see whiteout.h). */
int pack_directory(int dir_fd, enum pack_order order, bool marks_by_name, struct stream *out,
                   struct pack_contents *contents, int64_t *out_size, struct error *err);

#endif
