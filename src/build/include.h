/* INCLUDE, berth's own instruction: another file of the context, or of a further one, in its place.
 * It is there only in files whose first line is "# syntax=berth/1". */
#ifndef BERTH_BUILD_INCLUDE_H
#define BERTH_BUILD_INCLUDE_H

#include "base/map.h"
#include "build/parse.h"

#define INCLUDE_DEPTH_LIMIT 8

/* Where files are looked up. */
struct include_roots {
    int context_fd;
    const struct map *contexts; /* struct build_context; may be NULL */
};

/* Puts the files in place of "INCLUDE [--from=context] path [NAME=value…]"; each NAME becomes an
 * ARG in front. A file comes once in a stage, and not in itself. 'out_at' is set to the instruction
 * that was wrong. INVALID. */
int include_all(struct dockerfile *file, const struct include_roots *roots,
                const struct instruction **out_at, struct error *err);

#endif
