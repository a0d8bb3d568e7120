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
    /* Gives the directories below, top first: a directory that the archive needs but does not
     * describe looks as it does there. Asked when the archive is over, rarely before, so it may
     * wait until those layers are whole. May be NULL. */
    int (*lower)(void *data, struct strv *out, struct error *err);
    void *data;
    struct outline *outline; /* told where files went; may be NULL */
};

struct unpacked {
    int64_t size_bytes; /* of all files */
    bool has_root;      /* owner and mode of the root directory came with the archive */
};
/* Reads a plain tar from 'archive' (taken) to its very end. INVALID for whatever is the archive's
 * fault. */
int unpack_archive(const struct unpack *options, struct stream *archive, struct unpacked *out,
                   struct error *err);

#endif
