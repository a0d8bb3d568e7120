/* Images of a project by their digests. */
#ifndef BERTH_CLI_COMPOSE_DIGEST_H
#define BERTH_CLI_COMPOSE_DIGEST_H

#include "cli/compose.h"

/* Each service's image becomes "name:tag@sha256:…", as its registry has it now. */
int compose_resolve_digests(struct cli *cli, struct project *project, struct error *err);

/* Leaves what fixes the images when it is merged over the files, and nothing else. */
void compose_keep_images(struct project *project);

#endif
