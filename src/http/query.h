/* Name and value pairs of a query or a form, decoded, in the order given. */
#ifndef BERTH_HTTP_QUERY_H
#define BERTH_HTTP_QUERY_H

#include "base/error.h"
#include "base/strv.h"

enum { QUERY_PAIR_LIMIT = 10000 };

struct query {
    struct strv names, values; /* equally long */
};

/* Adds the pairs of "a=1&b=2&c". INVALID for a broken escape, which leaves the request's
 * meaning open, and if there are more than QUERY_PAIR_LIMIT. */
int query_add(struct query *query, const char *text, size_t length, struct error *err);
/* The value of the index-th pair of that name, NULL if there are fewer (borrowed). */
const char *query_get(const struct query *query, const char *name, size_t index);
size_t query_count(const struct query *query, const char *name);
void query_done(struct query *query);
CLEANUP_VALUE(query_done, struct query)

#endif
