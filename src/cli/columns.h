/* Tables whose columns are as wide as what is in them. */
#ifndef BERTH_CLI_COLUMNS_H
#define BERTH_CLI_COLUMNS_H

#include "base/strv.h"

struct columns {
    struct strv *rows;
    size_t count;
};
void columns_done(struct columns *columns);
CLEANUP_VALUE(columns_done, struct columns)

/* A new row, to be filled. */
struct strv *columns_row(struct columns *columns);
/* Each column is 'least' wide, or its widest text and 'gap' blanks. */
void columns_print(const struct columns *columns, int least, int gap);

#endif
