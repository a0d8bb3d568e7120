/* What the query of POST /build says (spec/api.md), in either form of it. */
#ifndef BERTH_API_BUILD_QUERY_H
#define BERTH_API_BUILD_QUERY_H

#include "api/request.h"
#include "engine/build.h"

/* What is not a single text; build_options borrows from it. */
struct build_query {
    struct build_attest attest;
    struct strv tags, extra_hosts, cache_from, cache_to, no_cache_stages, entitlements;
    struct map arguments, labels, contexts;
    struct json_list ulimits;
};

void build_query_done(struct build_query *query);
CLEANUP_VALUE(build_query_done, struct build_query)

/* Fills both but for where the context comes from and where progress goes. INVALID. */
int build_query_read(struct request *req, struct build_query *query, struct build_options *options,
                     struct error *err);

/* One parameter, NULL if it is missing or empty. */
const char *build_query_text(struct request *req, const char *name);

#endif
