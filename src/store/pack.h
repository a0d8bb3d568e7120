/* A layer's directory becomes an archive, always the same for the same directory: sorted by name,
 * whole seconds, whiteouts as .wh. files, hard links among its files kept. */
#ifndef BERTH_STORE_PACK_H
#define BERTH_STORE_PACK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/stream.h"

/* Writes a plain tar to 'out' (borrowed). 'out_size' (may be NULL) is that of all files.
 * 'marks_by_name': the directory has whiteouts by name (see whiteout.h). */
int pack_directory(int dir_fd, bool marks_by_name, struct stream *out, int64_t *out_size,
                   struct error *err);

#endif
