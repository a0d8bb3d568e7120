/* What one of several prints while the others print, too: whole lines, each behind its label. */
#ifndef BERTH_CLI_LABELLED_H
#define BERTH_CLI_LABELLED_H

#include "base/str.h"

/* With a NULL label the text goes to stdout as it is. */
struct labelled {
    const char *label;
    struct str line; /* that is not whole yet */
};

void labelled_print(struct labelled *out, const char *format, ...) PRINTF(2, 3);
/* Ends the line that is not whole. */
void labelled_done(struct labelled *out);
CLEANUP_VALUE(labelled_done, struct labelled)

#endif
