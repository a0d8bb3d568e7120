/* Each blob is fetched by one request at a time; the others wait for it. */
#include "distribution/proxy.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "base/thread.h"
#include "distribution/upstream.h"

#include "base/banned.h"

enum { FRESH_LIMIT = 10000 };

struct proxy {
    struct upstream *upstream;
    int64_t fresh_ns;
    struct mutex lock; /* guards what follows */
    struct condition changed;
    struct map fresh;    /* "repository\ntag" → until when */
    struct map fetching; /* "repository\ndigest" of blobs */
};

int proxy_new(const struct proxy_options *options, struct proxy **out, struct error *err)
{
    CLEANUP(proxy_free) struct proxy *proxy = NEW(struct proxy);

    mutex_init(&proxy->lock);
    condition_init(&proxy->changed);
    map_init_empty(&proxy->fresh, free);
    map_init_empty(&proxy->fetching, NULL);
    proxy->fresh_ns = options->fresh_ns;
    if (upstream_new(options->url, options->credentials_path, &proxy->upstream, err) < 0)
        return -1;
    *out = TAKE(proxy);
    return 0;
}

void proxy_free(struct proxy *proxy)
{
    if (!proxy)
        return;
    upstream_free(proxy->upstream);
    map_done(&proxy->fresh);
    map_done(&proxy->fetching);
    condition_done(&proxy->changed);
    mutex_done(&proxy->lock);
    free(proxy);
}

static char *key_of(const struct call *call)
{
    return xasprintf("%s\n%s", call->repository, call->reference);
}

static struct proxy *proxy_of(const struct call *call)
{
    return call->registry->proxy;
}

/* What the other registry's status means for our client. */
static int tell_status(struct call *call, int status)
{
    bool is_blob = strstr(http_path(call->exchange), "/blobs/");

    if (status == 404)
        return problem_set(&call->problem,
                           is_blob ? PROBLEM_BLOB_UNKNOWN : PROBLEM_MANIFEST_UNKNOWN,
                           call->reference, NULL);
    if (status == 429)
        return problem_set(&call->problem, PROBLEM_TOOMANYREQUESTS, NULL,
                           "the other registry answers no more requests for now");
    problem_set(&call->problem, PROBLEM_UNAVAILABLE, NULL, "the other registry answered %d",
                status);
    return problem_set_status(&call->problem, 502);
}

static int tell_error(struct call *call, const struct error *err)
{
    problem_set(&call->problem, PROBLEM_UNAVAILABLE, NULL, "the other registry: %s", err->text);
    return problem_set_status(&call->problem, 502);
}

/* ---- manifests ---- */

static bool is_fresh(struct proxy *proxy, const char *key)
{
    mutex_lock(&proxy->lock);
    const uint64_t *until = map_get(&proxy->fresh, key);
    bool result = until && *until > clock_monotonic_ns();
    mutex_unlock(&proxy->lock);
    return result;
}

static void set_fresh(struct proxy *proxy, const char *key)
{
    if (proxy->fresh_ns <= 0)
        return;
    uint64_t *until = NEW(uint64_t);
    *until = clock_monotonic_ns() + (uint64_t)proxy->fresh_ns;
    mutex_lock(&proxy->lock);
    if (proxy->fresh.count >= FRESH_LIMIT) {
        map_done(&proxy->fresh);
        map_init_empty(&proxy->fresh, free);
    }
    map_set(&proxy->fresh, key, until);
    mutex_unlock(&proxy->lock);
}

static int ask_manifest(struct call *call, const char *method, struct ask_answer *out,
                        struct error *err)
{
    CLEANUP(free)
    char *path = xasprintf("/v2/%s/manifests/%s", call->repository, call->reference);
    const struct upstream_question question = { .method = method,
                                                .path = path,
                                                .repository = call->repository };

    return upstream_ask(proxy_of(call)->upstream, &question, out, err);
}

/* Keeps a manifest, whose blobs may come later or never. */
static int keep_manifest(struct call *call, const struct ask_answer *answer)
{
    CLEANUP(document_done) struct document document = {};
    CLEANUP(strv_done) struct strv tags = {};
    char digest[CONTENT_DIGEST_SIZE];
    struct error err = {};
    bool by_digest = strchr(call->reference, ':');

    hash_digest(by_digest ? call->reference : "sha256", str_text(&answer->body),
                answer->body.length, digest);
    if (by_digest && strcmp(digest, call->reference) != 0)
        return tell_error(call, &(struct error){ .text = "its manifest has another digest" });
    if (answer->body.length > DOCUMENT_SIZE_LIMIT ||
        document_parse(map_get(&answer->headers, "content-type"), str_text(&answer->body),
                       answer->body.length, &document, &err) < 0)
        return tell_error(call, &err);
    if (!by_digest)
        strv_add(&tags, call->reference);
    const struct manifest_push push = { .repository = call->repository,
                                        .digest = digest,
                                        .bytes = answer->body.data,
                                        .size = answer->body.length,
                                        .document = &document,
                                        .tags = &tags,
                                        .is_partial = true,
                                        .quota = call->quota };
    return depot_manifest_put(call->depot, &push, &call->problem);
}

static int fetch_manifest(struct call *call)
{
    CLEANUP(ask_answer_done) struct ask_answer answer = {};
    struct error err = {};

    call->registry->metrics.proxy_misses++;
    if (ask_manifest(call, "GET", &answer, &err) < 0)
        return tell_error(call, &err);
    if (answer.status != 200)
        return tell_status(call, answer.status);
    return keep_manifest(call, &answer);
}

/* Whether the tag still means what is here; a registry that does not answer has changed nothing. */
static int refresh_tag(struct call *call, const struct manifest *known)
{
    CLEANUP(ask_answer_done) struct ask_answer answer = {};
    struct error err = {};

    if (ask_manifest(call, "HEAD", &answer, &err) < 0 || answer.status >= 500 ||
        answer.status == 429) {
        log_warn("the other registry is not asked, what is here goes out", "repository",
                 call->repository, "tag", call->reference, "error", err.text);
        return 0;
    }
    if (answer.status != 200)
        return tell_status(call, answer.status);
    if (text_equal(map_get(&answer.headers, "docker-content-digest"), known->digest)) {
        call->registry->metrics.proxy_hits++;
        return 0;
    }
    return fetch_manifest(call);
}

int proxy_manifest(struct call *call)
{
    CLEANUP(manifest_unref) struct manifest *known = NULL;
    CLEANUP(free) char *key = key_of(call);
    bool is_here = depot_manifest_get(call->depot, call->repository, call->reference, &known,
                                      &call->problem) == 0;
    int result;

    if (!is_here && call->problem.code != PROBLEM_MANIFEST_UNKNOWN)
        return -1;
    if (is_here && (strchr(call->reference, ':') || is_fresh(proxy_of(call), key))) {
        call->registry->metrics.proxy_hits++;
        return depot_manifest_use(call->depot, call->repository, known->digest, &call->problem);
    }
    result = is_here ? refresh_tag(call, known) : fetch_manifest(call);
    if (result < 0)
        return -1;
    if (!strchr(call->reference, ':'))
        set_fresh(proxy_of(call), key);
    return known ? depot_manifest_use(call->depot, call->repository, known->digest, &call->problem)
                 : 0;
}

/* ---- blobs ---- */

/* A blob on its way: to our file, and to the client as long as that is there. */
struct passage {
    struct call *call;
    struct upload *upload;
    bool answers; /* the client wants all of it, from the start */
    bool has_begun, has_gone;
};

static int begin_passage(void *data, const struct map *headers, struct error *err UNUSED)
{
    struct passage *passage = data;
    struct call *call = passage->call;
    const char *length = map_get(headers, "content-length");
    struct error ignored;

    if (!passage->answers)
        return 0;
    passage->has_begun = true;
    if (length)
        http_set_header(call->exchange, "Content-Length", length);
    http_set_header(call->exchange, "Docker-Content-Digest", call->reference);
    call_set_header_format(call, "ETag", "\"%s\"", call->reference);
    call->status = 200;
    passage->has_gone = http_reply_begin(call->exchange, 200, "application/octet-stream",
                                         &ignored) < 0;
    return 0;
}

static int take_passage(void *data, const void *bytes, size_t size, struct error *err)
{
    struct passage *passage = data;
    struct error ignored;

    if (upload_write(passage->upload, bytes, size, &passage->call->problem) < 0)
        return error_set(err, ERROR_INTERNAL, "%s", passage->call->problem.message);
    passage->call->sent += passage->has_begun && !passage->has_gone ? size : 0;
    if (passage->has_begun && !passage->has_gone)
        passage->has_gone = http_reply_write(passage->call->exchange, bytes, size, &ignored) < 0;
    return 0;
}

static int ask_blob(struct call *call, const char *method, struct passage *passage,
                    struct ask_answer *out)
{
    CLEANUP(free) char *path = xasprintf("/v2/%s/blobs/%s", call->repository, call->reference);
    const struct upstream_question question = { .method = method,
                                                .path = path,
                                                .repository = call->repository,
                                                .begin = passage ? begin_passage : NULL,
                                                .take = passage ? take_passage : NULL,
                                                .data = passage };
    struct error err = {};

    if (upstream_ask(proxy_of(call)->upstream, &question, out, &err) < 0)
        return call->problem.status == 507 ? -1 : tell_error(call, &err);
    return out->status == 200 ? 0 : tell_status(call, out->status);
}

static int fetch_blob(struct call *call, struct passage *passage)
{
    CLEANUP(ask_answer_done) struct ask_answer answer = {};
    CLEANUP(upload_release) struct upload *upload = NULL;
    struct problem ignored;

    call->registry->metrics.proxy_misses++;
    if (depot_upload_begin(call->depot, call->repository, call->reference, &upload,
                           &call->problem) < 0)
        return -1;
    passage->upload = upload;
    if (ask_blob(call, "GET", passage, &answer) < 0 ||
        upload_finish(upload, call->reference, call->quota, &call->problem) < 0) {
        upload_cancel(upload, &ignored);
        return -1;
    }
    return 0;
}

/* True if it is our turn to fetch; false after somebody else did, or tried to. */
static bool enter(struct proxy *proxy, const char *key)
{
    mutex_lock(&proxy->lock);
    bool is_ours = !map_has(&proxy->fetching, key);
    if (is_ours)
        map_set(&proxy->fetching, key, proxy);
    while (!is_ours && map_has(&proxy->fetching, key))
        condition_wait(&proxy->changed, &proxy->lock);
    mutex_unlock(&proxy->lock);
    return is_ours;
}

static void leave(struct proxy *proxy, const char *key)
{
    mutex_lock(&proxy->lock);
    map_remove(&proxy->fetching, key);
    condition_broadcast(&proxy->changed);
    mutex_unlock(&proxy->lock);
}

static int answer_head(struct call *call)
{
    CLEANUP(ask_answer_done) struct ask_answer answer = {};

    if (ask_blob(call, "HEAD", NULL, &answer) < 0)
        return -1;
    const char *length = map_get(&answer.headers, "content-length");
    http_set_header(call->exchange, "Docker-Content-Digest", call->reference);
    if (length)
        http_set_header(call->exchange, "Content-Length", length);
    call_reply(call, 200, "application/octet-stream", NULL, 0);
    return 1;
}

/* 1: it is here, 0: it is not, -1. */
static int is_here(struct call *call)
{
    int64_t size;

    if (depot_blob_stat(call->depot, call->repository, call->reference, false, &size,
                        &call->problem) == 0)
        return 1;
    return call->problem.code == PROBLEM_BLOB_UNKNOWN ? 0 : -1;
}

int proxy_blob(struct call *call)
{
    CLEANUP(free) char *key = key_of(call);
    int here;

    while ((here = is_here(call)) == 0) {
        struct passage passage = { .call = call,
                                   .answers = !http_header(call->exchange, "Range") &&
                                              !http_header(call->exchange, "If-None-Match") };

        if (call->is_head)
            return answer_head(call);
        if (!enter(proxy_of(call), key))
            continue;
        int result = is_here(call); /* it may have come between the look and our turn */
        if (result == 0)
            result = fetch_blob(call, &passage);
        leave(proxy_of(call), key);
        if (result < 0 || passage.has_begun)
            return result < 0 ? -1 : 1;
    }
    if (here > 0)
        call->registry->metrics.proxy_hits++;
    return here < 0 ? -1 : 0;
}

/* ---- the rest ---- */

int proxy_relay(struct call *call, const char *content_type)
{
    CLEANUP(ask_answer_done) struct ask_answer answer = {};
    const char *query = http_raw_query(call->exchange);
    CLEANUP(free)
    char *path = xasprintf("%s%s%s", http_path(call->exchange), *query ? "?" : "", query);
    const struct upstream_question question = { .method = "GET",
                                                .path = path,
                                                .repository = call->repository };
    struct error err = {};

    if (upstream_ask(proxy_of(call)->upstream, &question, &answer, &err) < 0)
        return tell_error(call, &err);
    if (answer.status == 404) {
        problem_set(&call->problem, PROBLEM_NAME_UNKNOWN, call->repository, NULL);
        return problem_set_detail_key(&call->problem, "name");
    }
    if (answer.status != 200)
        return tell_status(call, answer.status);
    const char *link = map_get(&answer.headers, "link");
    const char *filters = map_get(&answer.headers, "oci-filters-applied");
    if (link && text_starts(link, "</v2/")) /* one elsewhere would lead past us */
        http_set_header(call->exchange, "Link", link);
    if (filters)
        http_set_header(call->exchange, "OCI-Filters-Applied", filters);
    return call_reply(call, 200, content_type, answer.body.data, answer.body.length);
}
