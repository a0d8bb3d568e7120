/* Secrets and configs. A file of the host with no wishes for owner or mode is mounted; everything
 * else (values of variables, contents of the compose file, other owners and modes) is put into the
 * container before it starts. */
#ifndef BERTH_COMPOSE_SECRET_H
#define BERTH_COMPOSE_SECRET_H

#include "client/client.h"
#include "compose/project.h"

/* The file to mount, NULL if this reference is put in instead; borrowed. */
const char *secret_bind_source(const struct project *project, const struct yaml *reference,
                               bool is_config);
/* Where it stands in the container: absolute. Yours. */
char *secret_target(const struct yaml *reference, bool is_config);

/* Puts what is not mounted into a container that is not running yet. */
int secret_put_all(struct client *client, const char *container_id, const struct project *project,
                   const struct yaml *service, struct error *err);

/* UNSUPPORTED for external ones, INVALID for variables that are not set. */
int secret_check(const struct project *project, const struct yaml *service, struct error *err);

#endif
