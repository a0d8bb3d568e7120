/* What a build may use and not keep: secrets (RUN --mount=type=secret) and agents that hold keys
 * (RUN --mount=type=ssh). Whoever started the build has them; the builder asks when a step needs
 * one, holds a value in memory no longer than that step runs, and lets it into no layer, no cache
 * key, no history and no output of its own. */
#ifndef BERTH_BUILD_SECRETS_H
#define BERTH_BUILD_SECRETS_H

#include "base/error.h"
#include "base/str.h"

#define SECRET_SIZE_LIMIT ((size_t)500 << 10)

/* Called from the threads of stages, several at once. 'cancel_fd' (-1: none) is readable when the
 * build is called off. */
struct build_secrets {
    /* Adds the value of a secret, any bytes, to 'out': 1; 0: nobody has it. INVALID if it is larger
     * than SECRET_SIZE_LIMIT. */
    int (*get)(void *data, const char *id, int cancel_fd, struct str *out, struct error *err);
    /* 1 or 0: is there an agent of that name? */
    int (*has_agent)(void *data, const char *id, int cancel_fd, struct error *err);
    /* A new connection to the agent: a socket, which is the caller's. */
    int (*dial_agent)(void *data, const char *id, int cancel_fd, struct error *err);
    void *data;
};

/* Overwrites a value, and frees it. */
void secret_done(struct str *value);
CLEANUP_VALUE(secret_done, struct str)

#endif
