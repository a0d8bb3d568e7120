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

/* Reads flags, environment, contexts and config.json. INVALID for -H together with -c, NOT_FOUND
 * for an unknown context. */
int settings_load(const struct settings_wish *wish, struct error *err);

int settings_connect(struct client **out, struct error *err);

/* A text of config.json ("detachKeys", "psFormat"), NULL if it is not there. */
const char *settings_text(const char *key);
/* Where config.json is. */
const char *settings_directory(void);
/* The whole of config.json; NULL if there is none. */
const struct json *settings_document(void);

#endif
