/* One request on its way through the registry. Inside of distribution/. */
#ifndef BERTH_DISTRIBUTION_SERVE_H
#define BERTH_DISTRIBUTION_SERVE_H

#include <stdatomic.h>

#include "distribution/authority.h"
#include "distribution/metrics.h"
#include "distribution/notify.h"
#include "distribution/registry.h"
#include "distribution/route.h"

/* The first one whose pattern fits a repository counts. */
struct quota_rule {
    char *pattern;
    int64_t size;
};

struct proxy; /* distribution/proxy.h */

struct registry {
    struct registry_options options;
    struct depot *depot;
    struct authority *authority;
    struct quota_rule *quotas;
    size_t quota_count;
    atomic_int writers;
    struct metrics metrics;
    struct notifier *notifier;
    struct proxy *proxy; /* NULL: this is the registry itself */
};

struct call {
    struct registry *registry;
    struct depot *depot;
    struct http_exchange *exchange;
    const char *repository, *reference; /* of the route */
    enum action action;
    struct subject subject;
    bool is_head;
    int status;    /* that was answered */
    uint64_t sent; /* bytes behind its head */
    int64_t quota; /* of the repository, 0: none */
    struct problem problem;
};

/* Handlers answer and return 0, or return -1 with the problem. */
typedef int (*call_handler)(struct call *call);

/* A whole answer; a client that went away is no problem. All return 0. */
int call_reply(struct call *call, int status, const char *content_type, const void *body,
               size_t size);
int call_reply_empty(struct call *call, int status);
int call_reply_problem(struct call *call);

void call_set_header_format(struct call *call, const char *name, const char *format, ...)
    PRINTF(3, 4);
/* Tells who listens what the client did just now. 'size' -1: not known; texts may be NULL. */
void call_tell(struct call *call, const char *action, const char *digest, const char *media_type,
               int64_t size, const char *tag, const char *from);
/* True if the client has what has this digest already (If-None-Match). */
bool call_has_current(const struct call *call, const char *digest);
/* -1 with DIGEST_INVALID if 'text' is no digest of a known kind. */
int call_check_digest(struct call *call, const char *text);
/* Whether the client may do that; -1 with UNAUTHORIZED or DENIED. */
int call_check_access(struct call *call, const char *repository, enum action action);

/* serve_blob.c */
int serve_blob(struct call *call);
int serve_blob_delete(struct call *call);
/* serve_upload.c */
int serve_upload_begin(struct call *call);
int serve_upload_status(struct call *call);
int serve_upload_chunk(struct call *call);
int serve_upload_finish(struct call *call);
int serve_upload_cancel(struct call *call);
/* serve_manifest.c */
int serve_manifest(struct call *call);
int serve_manifest_put(struct call *call);
int serve_manifest_delete(struct call *call);
/* serve_list.c */
int serve_base(struct call *call);
int serve_catalog(struct call *call);
int serve_tags(struct call *call);
int serve_referrers(struct call *call);

#endif
