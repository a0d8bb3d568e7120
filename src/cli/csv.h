/* Options that are lines of CSV: --mount, --gpus. */
#ifndef BERTH_CLI_CSV_H
#define BERTH_CLI_CSV_H

#include "base/error.h"
#include "base/strv.h"

/* Fields between commas; one in double quotes may hold commas, and quotes written twice. INVALID
 * for quotes in the middle of a field, or that do not end. */
int csv_split(const char *text, struct strv *out, struct error *err);

#endif
