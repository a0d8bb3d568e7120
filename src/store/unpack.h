/* An archive becomes a directory. The archive is hostile until proven otherwise: every name is
 * looked up below the directory as if that were "/" (links of the archive's own included), names
 * that climb out with ".." are refused, and limits bound what it can cost. */
#ifndef BERTH_STORE_UNPACK_H
#define BERTH_STORE_UNPACK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/stream.h"
#include "base/strv.h"

struct unpack {
    int root_fd;          /* where to; O_RDONLY */
    bool marks_by_name;   /* how whiteouts are kept: see whiteout.h */
    uint64_t size_limit;  /* of all files together */
    uint64_t entry_limit; /* number of entries */
    /* Directories below, top first (may be NULL): a directory that the archive does not mention but
     * needs looks as it does there. */
    const struct strv *lower;
};

/* Reads a plain tar from 'archive' (taken) to its very end. Gives the size of all files. INVALID
 * for whatever is the archive's fault. */
int unpack_archive(const struct unpack *options, struct stream *archive, int64_t *out_size,
                   struct error *err);

#endif
