/* The two kinds of ranges: what a client wants of a blob (Range, RFC 9110), and which part of one
 * it sends ("Content-Range: 0-99", the distribution protocol's own form). */
#ifndef BERTH_DISTRIBUTION_RANGE_H
#define BERTH_DISTRIBUTION_RANGE_H

#include <stdbool.h>
#include <stdint.h>

enum range_kind {
    RANGE_WHOLE,         /* nothing that we follow: answer the whole */
    RANGE_PART,          /* 'first' to 'last', both included */
    RANGE_UNSATISFIABLE, /* outside of what there is */
};

/* Several ranges, other units and broken ones count as none, as the RFC allows. 'text' may be NULL.
 */
enum range_kind range_parse(const char *text, int64_t size, int64_t *out_first, int64_t *out_last);

/* "first-last", also behind "bytes " and with "/total" or "/" and a star behind. */
bool content_range_parse(const char *text, int64_t *out_first, int64_t *out_last);

#endif
