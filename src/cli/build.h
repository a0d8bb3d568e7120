/* Builds, for commands that need an image built on their way. */
#ifndef BERTH_CLI_BUILD_H
#define BERTH_CLI_BUILD_H

#include "cli/command.h"

/* What `build` does with these words ("--pull", "-t", "x", "."). With 'is_silent' nothing is
 * printed at all. */
int cli_build(struct cli *cli, const struct strv *words, bool is_silent, struct error *err);

#endif
