/* WWW-Authenticate headers (RFC 9110): what a server wants to know before it answers. */
#ifndef BERTH_DISTRIBUTION_CHALLENGE_H
#define BERTH_DISTRIBUTION_CHALLENGE_H

#include <stdbool.h>

#include "base/macros.h"

struct challenge {
    bool wants_basic, wants_bearer;
    char *realm, *service, *scope; /* of Bearer; NULL if not said */
};

/* Several challenges, as one header or joined with commas. What is not understood is left out: a
 * Bearer challenge needs a realm. */
void challenge_parse(const char *text, struct challenge *out);
void challenge_done(struct challenge *challenge);
CLEANUP_VALUE(challenge_done, struct challenge)

#endif
