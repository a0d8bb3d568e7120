/* Which engine to talk to, and what the user's configuration says: -H, DOCKER_HOST, contexts,
 * config.json. Loaded once. */
#ifndef BERTH_CLI_SETTINGS_H
#define BERTH_CLI_SETTINGS_H

#include <stdbool.h>

#include "base/error.h"
#include "client/client.h"

struct settings_wish {
    const char *config, *context, *host;
    bool tls, tls_verify;
    const char *ca, *cert, *key;
};

/* Reads flags, environment and config.json. INVALID for -H together with -c. */
int settings_load(const struct settings_wish *wish, struct error *err);

/* Opens a client of the engine that was chosen. NOT_FOUND for a context that does not exist. */
int settings_connect(struct client **out, struct error *err);

/* The context in use: "default" is what flags, environment or nobody chose. */
const char *settings_context(void);
/* The engine of the default context. */
const char *settings_default_host(void);

/* A text of config.json ("detachKeys", "psFormat"), NULL if it is not there. */
const char *settings_text(const char *key);
/* Where config.json is. */
const char *settings_directory(void);
/* The whole of config.json; NULL if there is none. */
const struct json *settings_document(void);
/* Writes one member of config.json ('json' NULL: takes it out) and leaves the others as they are.
 */
int settings_replace(const char *key, const char *json, struct error *err);

#endif
