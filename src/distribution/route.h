/* Which endpoint of the distribution protocol a path means. A repository's name may have the words
 * of the protocol as parts: the last ones count. */
#ifndef BERTH_DISTRIBUTION_ROUTE_H
#define BERTH_DISTRIBUTION_ROUTE_H

#include "distribution/problem.h"

enum endpoint {
    ENDPOINT_NONE,
    ENDPOINT_BASE,      /* /v2/ */
    ENDPOINT_CATALOG,   /* /v2/_catalog */
    ENDPOINT_MANIFEST,  /* /v2/NAME/manifests/REFERENCE: a tag or a digest */
    ENDPOINT_BLOB,      /* /v2/NAME/blobs/DIGEST */
    ENDPOINT_UPLOADS,   /* /v2/NAME/blobs/uploads/ */
    ENDPOINT_UPLOAD,    /* /v2/NAME/blobs/uploads/ID */
    ENDPOINT_TAGS,      /* /v2/NAME/tags/list */
    ENDPOINT_REFERRERS, /* /v2/NAME/referrers/DIGEST */
    ENDPOINT_COUNT,
};

struct route {
    enum endpoint endpoint;
    char *repository; /* a valid name; NULL for those without */
    char *reference;  /* tag, digest or id; not checked */
};

/* ENDPOINT_NONE without a problem for a path that is none of them. NAME_INVALID. */
int route_parse(const char *path, struct route *out, struct problem *problem);
void route_done(struct route *route);
CLEANUP_VALUE(route_done, struct route)

#endif
