/* --use-api-socket: a container that speaks to the engine it runs on, as the user who made it. Its
 * parts are those of Docker's client: the socket at its usual place, and what the user has for
 * registries in a config.json of the container's own. */
#ifndef BERTH_CLI_API_SOCKET_H
#define BERTH_CLI_API_SOCKET_H

#include "base/error.h"
#include "base/str.h"
#include "base/strv.h"
#include "client/client.h"
#include "codec/yaml.h"
#include "spec/container.h"

/* The mount of the socket: the one that 'client' speaks to; for an engine that is reached otherwise
 * the one that engines have by custom. */
void api_socket_mount(const struct client *client, struct mount_request *out);

/* Writes the config.json that is to be put into the container, and adds the variable that leads to
 * it. Nothing of both if the user keeps no credentials, or if 'env' names a config already. */
int api_socket_credentials(struct strv *env, struct str *out, struct error *err);

/* The same for every service of a compose file that says "use_api_socket: true": the mount, the
 * variable, and the file as a config of the project. */
int api_socket_serve(const struct client *client, struct yaml *model, struct error *err);

/* Puts that file into a container that has not started. */
int api_socket_put(struct client *client, const char *id, const struct str *credentials,
                   struct error *err);

#endif
