/* build --secret, --ssh and caches that are directories: what a build may use of ours, for as long
 * as it goes on. */
#ifndef BERTH_CLI_BUILD_LEND_H
#define BERTH_CLI_BUILD_LEND_H

#include "base/strv.h"
#include "cli/command.h"

/* A connection that lends; NULL where nothing is lent. */
struct build_lending;

struct build_loan {
    const struct strv *secrets; /* "id=x,src=file", "id=x,env=NAME", or "id=x" (the variable of that
                                 * name, else the file) */
    const struct strv *agents;  /* "default" (SSH_AUTH_SOCK) or "id=socket" */
    bool holds_image;           /* it is there until the lending ends (parameter "hold") */
    bool has_caches;            /* directories (build_cache_bring) */
};
/* With none of it *out is NULL. INVALID, NOT_FOUND. */
int build_lending_begin(struct cli *cli, const struct build_loan *loan, struct build_lending **out,
                        struct error *err);

/* For the parameter "lender" of the build; NULL if nothing is lent. */
const char *build_lending_id(const struct build_lending *lending);

/* The engine forgets everything. NULL is fine. */
void build_lending_end(struct build_lending *lending);
CLEANUP_POINTER(build_lending_end, struct build_lending)

#endif
