/* Collects small writes, and passes them on as large ones. What is as large as the collection goes
 * through as it is. */
#ifndef BERTH_BASE_GATHER_H
#define BERTH_BASE_GATHER_H

#include "base/stream.h"

struct gather {
    struct stream stream; /* to write to */
    struct stream *out;
    char *block;
    size_t used;
};

void gather_begin(struct gather *gather, struct stream *out); /* 'out' is borrowed */
/* What was collected goes out. Without this at the end it is lost. */
int gather_flush(struct gather *gather, struct error *err);
void gather_done(struct gather *gather);
CLEANUP_VALUE(gather_done, struct gather)

#endif
