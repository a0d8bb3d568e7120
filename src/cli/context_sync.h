/* A build context that the engine keeps: only what has changed since the last build, and what the
 * build can need, is sent. */
#ifndef BERTH_CLI_CONTEXT_SYNC_H
#define BERTH_CLI_CONTEXT_SYNC_H

#include "cli/command.h"

struct context_syncing {
    struct http_connection *connection; /* the engine keeps the context for as long as it is open */
    char *id; /* for the parameter "context"; NULL: nothing was agreed on */
    struct str dockerfile;
};
void context_syncing_done(struct context_syncing *syncing);
CLEANUP_VALUE(context_syncing_done, struct context_syncing)

/* Brings the engine up to date with a directory, less what its .dockerignore excludes. 1; or 0 if
 * the context is so small that sending all of it costs less, or the engine has no such thing.
 * 'dockerfile_path' is the file itself. 'wants_all': the Dockerfile alone does not tell what is
 * needed. */
int context_sync(struct cli *cli, const char *directory, const char *dockerfile_path,
                 bool wants_all, struct context_syncing *out, struct error *err);

#endif
