/* WWW-Authenticate: what a server wants to see before it answers (RFC 9110, 11.6.1; RFC 6750, 3).
 * The header may name several schemes, and may come several times: then the values are joined with
 * commas, which separate parameters too. */
#ifndef BERTH_REGISTRY_CHALLENGE_H
#define BERTH_REGISTRY_CHALLENGE_H

#include "base/error.h"
#include "base/map.h"

struct challenge {
    char *scheme;          /* lower case */
    struct map parameters; /* texts by lower-case name */
};
struct challenges {
    struct challenge *items;
    size_t count;
};
/* INVALID for what does not follow the grammar. */
int challenges_parse(const char *text, struct challenges *out, struct error *err);
/* NULL if the scheme is not among them. */
const struct challenge *challenges_find(const struct challenges *challenges, const char *scheme);
/* "" if it is not there. */
const char *challenge_get(const struct challenge *challenge, const char *name);
void challenges_done(struct challenges *challenges);
CLEANUP_VALUE(challenges_done, struct challenges)

#endif
