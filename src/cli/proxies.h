/* Proxies that config.json wants containers and builds to use:
 * {"proxies":{"default":{"httpProxy":…}}}, or under the engine's URL in place of "default". */
#ifndef BERTH_CLI_PROXIES_H
#define BERTH_CLI_PROXIES_H

#include "base/strv.h"
#include "client/client.h"

/* Adds HTTP_PROXY=…, http_proxy=… and so on to 'env', but for names that are in there or in
 * 'given', where "KEY" alone counts too. */
void proxies_add(const struct client *client, const struct strv *given, struct strv *env);

#endif
