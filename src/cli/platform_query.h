/* "--platform os/arch[/variant]": where nothing is given, and as the JSON that the API takes. */
#ifndef BERTH_CLI_PLATFORM_QUERY_H
#define BERTH_CLI_PLATFORM_QUERY_H

#include "base/error.h"
#include "client/client.h"

/* What is given, else $DOCKER_DEFAULT_PLATFORM, else NULL. */
const char *platform_or_default(const char *given);

/* Adds the parameter 'name' to the path; nothing if no platform is given. INVALID. */
int platform_query_add(struct client_path *path, const char *name, const char *platform,
                       struct error *err);

#endif
