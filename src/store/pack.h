/* A layer's directory becomes an archive, always the same for the same directory: sorted by name,
 * whole seconds, whiteouts as .wh. files, hard links among its files kept. */
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

/* Writes a plain tar to 'out' (borrowed). 'contents' may be NULL. 'out_size' (may be NULL) is that
 * of all files. 'marks_by_name': the directory has whiteouts by name (see whiteout.h). */
int pack_directory(int dir_fd, bool marks_by_name, struct stream *out,
                   struct pack_contents *contents, int64_t *out_size, struct error *err);

#endif
