/* The text format of Prometheus, version 0.0.4. */
#include "distribution/metrics.h"

#include <inttypes.h>

#include "base/banned.h"

static const char *const endpoint_names[] = {
    [ENDPOINT_NONE] = "none",         [ENDPOINT_BASE] = "base", [ENDPOINT_CATALOG] = "catalog",
    [ENDPOINT_MANIFEST] = "manifest", [ENDPOINT_BLOB] = "blob", [ENDPOINT_UPLOADS] = "uploads",
    [ENDPOINT_UPLOAD] = "upload",     [ENDPOINT_TAGS] = "tags", [ENDPOINT_REFERRERS] = "referrers",
};
_Static_assert(COUNT(endpoint_names) == ENDPOINT_COUNT, "every endpoint has a name");

static const struct {
    uint64_t most_us;
    const char *text;
} buckets[METRICS_BUCKET_COUNT] = {
    { 1000, "0.001" }, { 10000, "0.01" },  { 100000, "0.1" },
    { 1000000, "1" },  { 10000000, "10" }, { UINT64_MAX, "+Inf" },
};

void metrics_count(struct metrics *metrics, enum endpoint endpoint, int status,
                   uint64_t duration_ns)
{
    uint64_t duration_us = duration_ns / 1000;
    size_t bucket = 0;

    while (duration_us > buckets[bucket].most_us)
        bucket++;
    if (status > 0 && status / 100 < METRICS_STATUS_COUNT)
        metrics->endpoints[endpoint].statuses[status / 100]++;
    metrics->endpoints[endpoint].buckets[bucket]++;
    metrics->endpoints[endpoint].duration_us += duration_us;
}

static void add_family(struct str *out, const char *name, const char *type, const char *help)
{
    str_add_format(out, "# HELP berth_registry_%s %s\n# TYPE berth_registry_%s %s\n", name, help,
                   name, type);
}

static void add_single(struct str *out, const char *name, const char *type, const char *help,
                       uint64_t value)
{
    add_family(out, name, type, help);
    str_add_format(out, "berth_registry_%s %" PRIu64 "\n", name, value);
}

static void add_requests(struct metrics *metrics, struct str *out)
{
    add_family(out, "requests_total", "counter", "Answers by endpoint and kind of status.");
    for (size_t i = 0; i < ENDPOINT_COUNT; i++)
        for (size_t j = 2; j < METRICS_STATUS_COUNT; j++) {
            uint64_t count = metrics->endpoints[i].statuses[j];

            if (count)
                str_add_format(out,
                               "berth_registry_requests_total{endpoint=\"%s\",status=\"%zuxx\"} "
                               "%" PRIu64 "\n",
                               endpoint_names[i], j, count);
        }
}

static void add_durations_of(struct metrics *metrics, size_t endpoint, struct str *out)
{
    const char *name = endpoint_names[endpoint];
    uint64_t count = 0;

    for (size_t i = 0; i < METRICS_BUCKET_COUNT; i++) {
        count += metrics->endpoints[endpoint].buckets[i];
        str_add_format(out,
                       "berth_registry_request_duration_seconds_bucket{endpoint=\"%s\",le=\"%s\"} "
                       "%" PRIu64 "\n",
                       name, buckets[i].text, count);
    }
    uint64_t us = metrics->endpoints[endpoint].duration_us;
    str_add_format(out,
                   "berth_registry_request_duration_seconds_sum{endpoint=\"%s\"} %" PRIu64
                   ".%06" PRIu64 "\n"
                   "berth_registry_request_duration_seconds_count{endpoint=\"%s\"} %" PRIu64 "\n",
                   name, us / 1000000, us % 1000000, name, count);
}

static void add_durations(struct metrics *metrics, struct str *out)
{
    add_family(out, "request_duration_seconds", "histogram",
               "From the head of a request to the end of its answer.");
    for (size_t i = 0; i < ENDPOINT_COUNT; i++)
        add_durations_of(metrics, i, out);
}

int metrics_write(struct metrics *metrics, struct depot *depot, struct str *out, struct error *err)
{
    struct depot_sizes sizes = {};

    if (depot_measure(depot, &sizes, err) < 0)
        return -1;
    add_requests(metrics, out);
    add_durations(metrics, out);
    add_single(out, "sent_bytes_total", "counter", "Bytes of blobs and manifests sent.",
               metrics->sent_bytes);
    add_single(out, "received_bytes_total", "counter", "Bytes of blobs received.",
               metrics->received_bytes);
    add_single(out, "repositories", "gauge", "Repositories.", (uint64_t)sizes.repositories);
    add_single(out, "manifests", "gauge", "Manifests in all repositories.",
               (uint64_t)sizes.manifests);
    add_single(out, "tags", "gauge", "Tags in all repositories.", (uint64_t)sizes.tags);
    add_single(out, "blobs", "gauge", "Blobs, each once.", (uint64_t)sizes.blobs);
    add_single(out, "blob_bytes", "gauge", "Bytes of all blobs, each once.",
               (uint64_t)sizes.blob_bytes);
    add_single(out, "uploads", "gauge", "Uploads that are open.", (uint64_t)sizes.uploads);
    add_single(out, "collections_total", "counter", "Collections of garbage that ended well.",
               (uint64_t)sizes.collections);
    add_single(out, "collected_bytes_total", "counter", "Bytes that collections freed.",
               (uint64_t)sizes.collected_bytes);
    add_single(out, "events_sent_total", "counter", "Events that an endpoint took.",
               metrics->events_sent);
    add_single(out, "events_failed_total", "counter", "Events that an endpoint did not take.",
               metrics->events_failed);
    add_single(out, "events_dropped_total", "counter", "Events for which there was no room.",
               metrics->events_dropped);
    add_single(out, "proxy_hits_total", "counter", "Requests answered from what was here.",
               metrics->proxy_hits);
    add_single(out, "proxy_misses_total", "counter", "Requests for which upstream was asked.",
               metrics->proxy_misses);
    return 0;
}
