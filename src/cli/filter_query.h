/* "--filter key=value" as the API's filters parameter. */
#ifndef BERTH_CLI_FILTER_QUERY_H
#define BERTH_CLI_FILTER_QUERY_H

#include "base/error.h"
#include "base/strv.h"
#include "client/client.h"

/* Whether it is a filter: "name=value", or nothing. For rows of options. */
int filter_check(const char *filter, struct error *err);
/* Adds {"key":{"value":true}} to the path; nothing if there are no filters. INVALID for what
 * filter_check refuses. */
int filter_query_add(struct client_path *path, const struct strv *filters, struct error *err);

#endif
