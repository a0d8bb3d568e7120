/* Images of services on their way from and to registries. */
#ifndef BERTH_CLI_COMPOSE_PULL_H
#define BERTH_CLI_COMPOSE_PULL_H

#include "cli/compose_session.h"

/* One image that is wanted; the texts are borrowed. */
struct compose_pull {
    const char *service, *image, *platform;
    struct error failure;
    bool has_failed;
};

/* Pulls them side by side (within --parallel), each image once, with the user's credentials; tells
 * the progress of each service unless 'is_quiet'. What failed is marked. */
void compose_pull_images(struct cli *cli, const struct project *project, struct compose_pull *pulls,
                         size_t count, bool is_quiet);

/* Pushes the images of the named services and their further tags, one after the other. With
 * 'keeps_going' failures are told and passed over. */
int compose_push_services(struct cli *cli, const struct project *project, const struct strv *names,
                          bool is_quiet, bool keeps_going, struct error *err);

#endif
