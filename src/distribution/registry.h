/* The registry behind an HTTP server: the distribution protocol (OCI distribution specification
 * 1.1, and what Docker's clients use beyond it) over a depot. */
#ifndef BERTH_DISTRIBUTION_REGISTRY_H
#define BERTH_DISTRIBUTION_REGISTRY_H

#include "base/strv.h"
#include "distribution/authority.h"
#include "distribution/depot.h"
#include "http/server.h"

/* Of a cache in front of another registry. */
struct proxy_options {
    const char *url; /* NULL: this is no cache */
    const char *credentials_path;
    int64_t fresh_ns; /* a tag is taken as it is here for so long; 0: always asked for */
};

struct registry_options {
    bool is_read_only;
    bool refuses_delete;
    bool logs_access;          /* a line per request */
    const struct strv *quotas; /* "pattern=size": bytes that a repository may hold; may be NULL */
    const struct strv *event_urls, *event_headers; /* who is told of changes; may be NULL */
    struct authority_options authority;
    struct proxy_options proxy;
    int64_t writer_limit; /* requests that write uploads at a time; 0: 256 */
};

struct registry;
/* Over a depot that it borrows. */
int registry_new(const struct registry_options *options, struct depot *depot, struct registry **out,
                 struct error *err);
void registry_free(struct registry *registry);
CLEANUP_POINTER(registry_free, struct registry)

/* Reads again what may change while it runs: passwords, keys and rules. */
int registry_reload(struct registry *registry, struct error *err);

/* A http_handler; 'registry' is the data. */
void registry_handle(struct http_exchange *exchange, void *registry);

/* The same for another listener, of operators: /metrics and /debug/health. */
void registry_handle_debug(struct http_exchange *exchange, void *registry);

#endif
