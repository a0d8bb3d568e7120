/* Pulling, for the commands that need an image first. */
#ifndef BERTH_CLI_REGISTRY_H
#define BERTH_CLI_REGISTRY_H

#include <stdio.h>

#include "cli/command.h"

/* Pulls one image with the user's credentials; progress goes to 'out' (NULL: nowhere). */
int cli_pull(struct cli *cli, const char *image, const char *platform, FILE *out,
             struct error *err);

#endif
