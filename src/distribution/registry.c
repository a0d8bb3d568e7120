/* From a request to its handler. The table is the protocol. */
#include "distribution/registry.h"

#include <stdarg.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "codec/json.h"
#include "distribution/name.h"
#include "distribution/proxy.h"
#include "distribution/serve.h"

#include "base/banned.h"

enum { DEFAULT_WRITER_LIMIT = 256 };

/* clang-format off */
static const struct door {
    enum endpoint endpoint;
    const char *method; /* GET stands for HEAD too */
    enum action action;
    call_handler handle;
} doors[] = {
    { ENDPOINT_BASE,      "GET",    ACTION_NONE,    serve_base            },
    { ENDPOINT_CATALOG,   "GET",    ACTION_CATALOG, serve_catalog         },
    { ENDPOINT_MANIFEST,  "GET",    ACTION_PULL,    serve_manifest        },
    { ENDPOINT_MANIFEST,  "PUT",    ACTION_PUSH,    serve_manifest_put    },
    { ENDPOINT_MANIFEST,  "DELETE", ACTION_DELETE,  serve_manifest_delete },
    { ENDPOINT_BLOB,      "GET",    ACTION_PULL,    serve_blob            },
    { ENDPOINT_BLOB,      "DELETE", ACTION_DELETE,  serve_blob_delete     },
    { ENDPOINT_UPLOADS,   "POST",   ACTION_PUSH,    serve_upload_begin    },
    { ENDPOINT_UPLOAD,    "GET",    ACTION_PUSH,    serve_upload_status   },
    { ENDPOINT_UPLOAD,    "PATCH",  ACTION_PUSH,    serve_upload_chunk    },
    { ENDPOINT_UPLOAD,    "PUT",    ACTION_PUSH,    serve_upload_finish   },
    { ENDPOINT_UPLOAD,    "DELETE", ACTION_PUSH,    serve_upload_cancel   },
    { ENDPOINT_TAGS,      "GET",    ACTION_PULL,    serve_tags            },
    { ENDPOINT_REFERRERS, "GET",    ACTION_PULL,    serve_referrers       },
};
/* clang-format on */

/* ---- what handlers use ---- */

int call_reply(struct call *call, int status, const char *content_type, const void *body,
               size_t size)
{
    struct error err = {};

    call->status = status;
    call->sent = call->is_head ? 0 : size;
    if (http_reply(call->exchange, status, content_type, body, size, &err) < 0)
        log_debug("answer was not sent", "error", err.text);
    return 0;
}

int call_reply_empty(struct call *call, int status)
{
    return call_reply(call, status, NULL, NULL, 0);
}

static void challenge(struct call *call)
{
    CLEANUP(free)
    char *text = authority_challenge(call->registry->authority, &call->subject, call->repository,
                                     call->action);

    if (text)
        http_set_header(call->exchange, "WWW-Authenticate", text);
}

int call_reply_problem(struct call *call)
{
    CLEANUP(str_done) struct str body = {};

    if (call->problem.status >= 500)
        log_error("request failed", "method", http_method(call->exchange), "path",
                  http_path(call->exchange), "error", call->problem.message);
    if (http_reply_has_begun(call->exchange))
        return 0;
    if (call->problem.code == PROBLEM_UNAUTHORIZED)
        challenge(call);
    if (call->problem.status == 429 || call->problem.status == 503)
        http_set_header(call->exchange, "Retry-After", "5");
    problem_write(&call->problem, &body);
    return call_reply(call, call->problem.status, "application/json; charset=utf-8", body.data,
                      body.length);
}

void call_set_header_format(struct call *call, const char *name, const char *format, ...)
{
    CLEANUP(str_done) struct str value = {};
    va_list arguments;

    va_start(arguments, format);
    str_add_vformat(&value, format, arguments);
    va_end(arguments);
    http_set_header(call->exchange, name, str_text(&value));
}

void call_tell(struct call *call, const char *action, const char *digest, const char *media_type,
               int64_t size, const char *tag, const char *from)
{
    if (!call->registry->notifier)
        return;
    CLEANUP(free) char *peer = http_peer_address(call->exchange);
    const struct event event = { .action = action,
                                 .repository = call->repository,
                                 .digest = digest,
                                 .media_type = media_type,
                                 .size = size,
                                 .tag = tag,
                                 .from_repository = from,
                                 .peer = peer,
                                 .host = http_header(call->exchange, "Host"),
                                 .method = http_method(call->exchange),
                                 .agent = http_header(call->exchange, "User-Agent"),
                                 .user = call->subject.user };
    notifier_tell(call->registry->notifier, &event);
}

/* A digest is in no other one's text, so looking for it is enough. */
bool call_has_current(const struct call *call, const char *digest)
{
    const char *known = http_header(call->exchange, "If-None-Match");

    return known && (strcmp(known, "*") == 0 || strstr(known, digest));
}

int call_check_digest(struct call *call, const char *text)
{
    if (content_digest_is_valid(text))
        return 0;
    return problem_set(&call->problem, PROBLEM_DIGEST_INVALID, text,
                       "this is no sha256 or sha512 digest");
}

int call_check_access(struct call *call, const char *repository, enum action action)
{
    return authority_check(call->registry->authority, &call->subject, repository, action,
                           &call->problem);
}

/* ---- the way to a handler ---- */

static const struct door *find_door(enum endpoint endpoint, const char *method)
{
    for (size_t i = 0; i < COUNT(doors); i++)
        if (doors[i].endpoint == endpoint && strcmp(doors[i].method, method) == 0)
            return &doors[i];
    return NULL;
}

/* The methods that the endpoint has, for the client that used another one. */
static int refuse_method(struct call *call, enum endpoint endpoint)
{
    CLEANUP(str_done) struct str allowed = {};

    for (size_t i = 0; i < COUNT(doors); i++) {
        if (doors[i].endpoint != endpoint)
            continue;
        str_add_format(&allowed, "%s%s", allowed.length ? ", " : "", doors[i].method);
        if (strcmp(doors[i].method, "GET") == 0)
            str_add(&allowed, ", HEAD");
    }
    http_set_header(call->exchange, "Allow", str_text(&allowed));
    return problem_set(&call->problem, PROBLEM_UNSUPPORTED, NULL, NULL);
}

static int check_mode(struct call *call, enum action action)
{
    const struct registry_options *options = &call->registry->options;

    if (call->registry->proxy && (action == ACTION_PUSH || action == ACTION_DELETE))
        return problem_set(&call->problem, PROBLEM_UNSUPPORTED, NULL,
                           "this is a cache of another registry");
    if (options->is_read_only && (action == ACTION_PUSH || action == ACTION_DELETE))
        return problem_set(&call->problem, PROBLEM_UNSUPPORTED, NULL, "the registry is read-only");
    if (options->refuses_delete && action == ACTION_DELETE)
        return problem_set(&call->problem, PROBLEM_UNSUPPORTED, NULL, "deleting is switched off");
    return 0;
}

static int run(struct call *call, const struct route *route)
{
    const char *method = call->is_head ? "GET" : http_method(call->exchange);
    const struct door *door = find_door(route->endpoint, method);

    if (!door)
        return refuse_method(call, route->endpoint);
    call->action = door->action;
    if (authority_identify(call->registry->authority, http_header(call->exchange, "Authorization"),
                           &call->subject, &call->problem) < 0 ||
        call_check_access(call, route->repository, door->action) < 0 ||
        check_mode(call, door->action) < 0)
        return -1;
    return door->handle(call);
}

/* Everything that is not the protocol's: a sign of life, or nothing. */
static int answer_elsewhere(struct call *call)
{
    static const char nothing[] = "404 page not found\n";

    if (strcmp(http_path(call->exchange), "/") == 0)
        return call_reply(call, 200, "text/plain; charset=utf-8", NULL, 0);
    return call_reply(call, 404, "text/plain; charset=utf-8", nothing, sizeof(nothing) - 1);
}

static void log_access(const struct call *call, uint64_t duration_ns)
{
    CLEANUP(free) char *peer = http_peer_address(call->exchange);
    CLEANUP(free) char *status = xasprintf("%d", call->status);
    CLEANUP(free) char *sent = xasprintf("%llu", (unsigned long long)call->sent);
    CLEANUP(free) char *ms = xasprintf("%.3f", (double)duration_ns / (double)NS_PER_MS);
    const char *agent = http_header(call->exchange, "User-Agent");

    log_info("request", "method", http_method(call->exchange), "path", http_path(call->exchange),
             "status", status, "bytes", sent, "ms", ms, "peer", peer ?: "", "user",
             call->subject.user ?: "", "agent", agent ?: "");
}

static int64_t quota_of(const struct registry *registry, const char *repository)
{
    for (size_t i = 0; repository && i < registry->quota_count; i++)
        if (name_matches(registry->quotas[i].pattern, repository))
            return registry->quotas[i].size;
    return 0;
}

static void account(struct call *call, enum endpoint endpoint, uint64_t started_ns)
{
    struct registry *registry = call->registry;
    uint64_t duration_ns = clock_monotonic_ns() - started_ns;

    metrics_count(&registry->metrics, endpoint, call->status, duration_ns);
    registry->metrics.sent_bytes += call->sent;
    if (registry->options.logs_access)
        log_access(call, duration_ns);
}

void registry_handle(struct http_exchange *exchange, void *registry)
{
    struct registry *self = registry;
    struct call call = { .registry = self, .depot = self->depot, .exchange = exchange };
    CLEANUP(route_done) struct route route = {};
    uint64_t started_ns = clock_monotonic_ns();

    http_set_header(exchange, "Docker-Distribution-Api-Version", "registry/2.0");
    http_set_header(exchange, "X-Content-Type-Options", "nosniff");
    call.is_head = strcmp(http_method(exchange), "HEAD") == 0;
    int result = route_parse(http_path(exchange), &route, &call.problem);
    call.repository = route.repository;
    call.reference = route.reference;
    call.quota = quota_of(self, route.repository);
    if (result == 0)
        result = route.endpoint == ENDPOINT_NONE ? answer_elsewhere(&call) : run(&call, &route);
    if (result < 0)
        call_reply_problem(&call);
    account(&call, route.endpoint, started_ns);
    subject_done(&call.subject);
}

/* Well is who can read the record. */
static void answer_health(struct registry *registry, struct http_exchange *exchange)
{
    CLEANUP(str_done) struct str body = {};
    struct json_writer w = { .out = &body };
    struct depot_sizes sizes = {};
    struct error err = {};
    bool is_well = depot_measure(registry->depot, &sizes, &err) == 0;

    json_begin_dict(&w, NULL);
    if (!is_well)
        json_add_text(&w, "record", err.text);
    json_end_dict(&w);
    http_reply(exchange, is_well ? 200 : 503, "application/json", body.data, body.length, &err);
}

void registry_handle_debug(struct http_exchange *exchange, void *registry)
{
    struct registry *self = registry;
    CLEANUP(str_done) struct str out = {};
    struct error err = {};

    if (strcmp(http_path(exchange), "/debug/health") == 0)
        answer_health(self, exchange);
    else if (strcmp(http_path(exchange), "/metrics") != 0)
        http_reply(exchange, 404, "text/plain", NULL, 0, &err);
    else if (metrics_write(&self->metrics, self->depot, &out, &err) < 0)
        http_reply(exchange, 500, "text/plain", err.text, strlen(err.text), &err);
    else
        http_reply(exchange, 200, "text/plain; version=0.0.4; charset=utf-8", out.data, out.length,
                   &err);
}

static int read_quota(struct registry *registry, const char *text, struct error *err)
{
    const char *equals = strrchr(text, '=');
    int64_t size;

    if (!equals || equals == text)
        return error_set(err, ERROR_INVALID, "a quota is PATTERN=SIZE, not \"%s\"", text);
    if (parse_size(equals + 1, &size, err) < 0)
        return error_context(err, "quota \"%s\"", text);
    registry->quotas = xrealloc(registry->quotas, registry->quota_count + 1,
                                sizeof(*registry->quotas));
    registry->quotas[registry->quota_count++] =
        (struct quota_rule){ xstrndup(text, (size_t)(equals - text)), size };
    return 0;
}

int registry_new(const struct registry_options *options, struct depot *depot, struct registry **out,
                 struct error *err)
{
    CLEANUP(registry_free) struct registry *registry = NEW(struct registry);

    registry->options = *options;
    if (!registry->options.writer_limit)
        registry->options.writer_limit = DEFAULT_WRITER_LIMIT;
    registry->depot = depot;
    for (size_t i = 0; options->quotas && i < options->quotas->count; i++)
        if (read_quota(registry, options->quotas->items[i], err) < 0)
            return -1;
    if (options->event_urls && options->event_urls->count > 0 &&
        notifier_new(options->event_urls, options->event_headers, &registry->metrics,
                     &registry->notifier, err) < 0)
        return -1;
    if (options->proxy.url && proxy_new(&options->proxy, &registry->proxy, err) < 0)
        return -1;
    if (authority_new(&options->authority, &registry->authority, err) < 0)
        return -1;
    *out = TAKE(registry);
    return 0;
}

int registry_reload(struct registry *registry, struct error *err)
{
    return authority_reload(registry->authority, err);
}

void registry_free(struct registry *registry)
{
    if (!registry)
        return;
    proxy_free(registry->proxy);
    notifier_free(registry->notifier);
    authority_free(registry->authority);
    for (size_t i = 0; i < registry->quota_count; i++)
        free(registry->quotas[i].pattern);
    free(registry->quotas);
    free(registry);
}
