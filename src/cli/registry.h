/* Pulling and pushing, for commands that need an image moved on their way. Safe from several
 * threads. */
#ifndef BERTH_CLI_REGISTRY_H
#define BERTH_CLI_REGISTRY_H

#include <stdio.h>

#include "cli/command.h"

/* Pulls one image with the user's credentials; progress goes to 'out' (NULL: nowhere). */
int cli_pull(struct cli *cli, const char *image, const char *platform, FILE *out,
             struct error *err);

/* The same the other way; a name without a tag means "latest". INVALID for one with a digest. */
int cli_push(struct cli *cli, const char *image, FILE *out, struct error *err);

/* Images for several platforms, by their ids, as one. 'out_digest' (NULL: not wanted) is yours. */
int cli_push_images(struct cli *cli, const char *image, const struct strv *ids, char **out_digest,
                    struct error *err);

#endif
