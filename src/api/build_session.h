/* BuildKit's form of POST /build (version=2), as clients before 23.0 use it. */
#ifndef BERTH_API_BUILD_SESSION_H
#define BERTH_API_BUILD_SESSION_H

#include "api/request.h"

/* The context comes over the session that the query names; progress goes back as messages
 * {"id":"moby.buildkit.trace","aux":"<base64 of a StatusResponse>"} (spec/api.md). */
int api_build_session(struct request *req, struct error *err);

#endif
