/* A volume as a row of a list. */
#ifndef BERTH_CLI_VOLUME_ROW_H
#define BERTH_CLI_VOLUME_ROW_H

#include "cli/format.h"

extern const struct format_column volume_columns[];

/* Of what the API says about it. */
struct json *volume_row(const struct json *volume);

#endif
