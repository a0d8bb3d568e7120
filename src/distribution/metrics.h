/* What the registry counts, and its text form for Prometheus. */
#ifndef BERTH_DISTRIBUTION_METRICS_H
#define BERTH_DISTRIBUTION_METRICS_H

#include <stdatomic.h>

#include "distribution/depot.h"
#include "distribution/route.h"

enum { METRICS_STATUS_COUNT = 6, METRICS_BUCKET_COUNT = 6 };

struct metrics {
    struct {
        atomic_uint_fast64_t statuses[METRICS_STATUS_COUNT]; /* by hundreds */
        atomic_uint_fast64_t buckets[METRICS_BUCKET_COUNT];  /* of durations */
        atomic_uint_fast64_t duration_us;
    } endpoints[ENDPOINT_COUNT];
    atomic_uint_fast64_t sent_bytes, received_bytes;
    atomic_uint_fast64_t events_sent, events_failed, events_dropped;
    atomic_uint_fast64_t proxy_hits, proxy_misses;
};

void metrics_count(struct metrics *metrics, enum endpoint endpoint, int status,
                   uint64_t duration_ns);
/* The counters, and sizes that the depot is asked for. */
int metrics_write(struct metrics *metrics, struct depot *depot, struct str *out, struct error *err);

#endif
