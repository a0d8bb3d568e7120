/* Images of services: built or pulled when they are needed. */
#ifndef BERTH_CLI_COMPOSE_IMAGE_H
#define BERTH_CLI_COMPOSE_IMAGE_H

#include "cli/compose_session.h"

struct compose_image_options {
    bool build; /* even if it is there */
    bool no_build;
    bool no_cache, pull_base, check;
    bool for_running; /* builds are for the one platform that a container has */
    bool quiet_build, quiet_pull;
    const char *pull;                    /* policy over that of the file; NULL: the file's */
    const char *memory;                  /* of the build */
    const char *provenance, *sbom;       /* over those of the build section; NULL: not given */
    const struct strv *build_args, *ssh; /* may be NULL */
};

/* Makes sure that each service has its image; 'out_ids' (service → image id, texts) gets what they
 * are. */
int compose_images_prepare(struct cli *cli, const struct project *project,
                           const struct compose_image_options *options, struct map *out_ids,
                           struct error *err);

/* Builds the images of the named services (those without a build section are passed over), and
 * before each those that its build takes files from. */
int compose_build_services(struct cli *cli, const struct project *project, const struct strv *names,
                           const struct compose_image_options *options, struct error *err);

/* The image's id, NULL (and no error) if there is none of that name. Yours. */
int compose_image_id(struct cli *cli, const char *image, char **out, struct error *err);

#endif
