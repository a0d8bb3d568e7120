/* Building from a context that the client sends along. */
#include "engine/build.h"
#include "engine/build_cache.h"
#include "engine/build_lender.h"
#include "engine/image_registry.h"

#include <string.h>

#include "api/progress.h"
#include "api/routes.h"
#include "base/memory.h"
#include "base/text.h"
#include "engine/image.h"
#include "engine/image_files.h"

#include "base/banned.h"

/* What the query says; build_options borrows from it. */
struct build_query {
    struct build_attest attest;
    struct strv tags, extra_hosts, cache_from, cache_to, no_cache_stages, entitlements;
    struct map arguments, labels, contexts;
    struct json_list ulimits;
};

/* One build on its way. */
struct build {
    struct request *req;
    bool quiet;
};

/* clang-format off */
struct ulimit_list {
    struct json_list items;
};
static const struct json_field ulimit_fields[] = {
    JSON_STRING(struct ulimit, name, "Name"),
    JSON_INT64 (struct ulimit, hard, "Hard"),
    JSON_INT64 (struct ulimit, soft, "Soft"),
    JSON_END,
};
static const struct json_field ulimit_list_fields[] = {
    JSON_OBJECTS(struct ulimit_list, items, "items", struct ulimit, ulimit_fields),
    JSON_END,
};
/* clang-format on */

static void build_query_done(struct build_query *query)
{
    struct ulimit_list ulimits = { .items = query->ulimits };

    build_attest_done(&query->attest);
    strv_done(&query->tags);
    strv_done(&query->extra_hosts);
    strv_done(&query->cache_from);
    strv_done(&query->cache_to);
    strv_done(&query->no_cache_stages);
    strv_done(&query->entitlements);
    map_done(&query->contexts);
    map_done(&query->arguments);
    map_done(&query->labels);
    json_fields_done(ulimit_list_fields, &ulimits);
}
CLEANUP_VALUE(build_query_done, struct build_query)

/* ---- reading ---- */

static void read_repeated(struct request *req, const char *name, struct strv *out)
{
    for (size_t i = 0; i < http_query_count(req->exchange, name); i++)
        if (!text_is_empty(http_query_at(req->exchange, name, i)))
            strv_add(out, http_query_at(req->exchange, name, i));
}

static int parse(const char *text, const char *what, struct json **out, struct error *err)
{
    if (json_parse(text, strlen(text), out, err) == 0)
        return 0;
    err->kind = ERROR_INVALID;
    return error_context(err, "error reading %s", what);
}

/* A JSON object of texts; null stands for a value that is not given. */
static int read_texts(struct request *req, const char *name, const char *what, struct map *out,
                      struct error *err)
{
    const char *text = request_query(req, name);
    CLEANUP(json_free) struct json *given = NULL;

    map_init_empty(out, free);
    if (text_is_empty(text))
        return 0;
    if (parse(text, what, &given, err) < 0)
        return -1;
    JSON_EACH (given, key)
        map_set(out, key, xstrdup(json_text(json_key_value(key))));
    return 0;
}

static int read_list(struct request *req, const char *name, const char *what, struct strv *out,
                     struct error *err)
{
    const char *text = request_query(req, name);
    CLEANUP(json_free) struct json *given = NULL;

    if (text_is_empty(text))
        return 0;
    if (parse(text, what, &given, err) < 0)
        return -1;
    for (size_t i = 0; i < json_count(given); i++)
        if (json_text(json_at(given, i)))
            strv_add(out, json_text(json_at(given, i)));
    return 0;
}

static int read_ulimits(struct request *req, struct json_list *out, struct error *err)
{
    const char *text = request_query(req, "ulimits");
    CLEANUP(free) char *wrapped = NULL;
    struct ulimit_list list = {};

    if (text_is_empty(text))
        return 0;
    wrapped = xasprintf("{\"items\":%s}", text);
    if (json_decode(ulimit_list_fields, wrapped, strlen(wrapped), &list, err) < 0)
        return error_context(err, "error reading ulimits");
    *out = list.items;
    return 0;
}

/* {"provenance":"mode=max","sbom":""} */
static int read_attestations(struct request *req, struct build_attest *out, struct error *err)
{
    CLEANUP(map_done) struct map wanted = {};

    if (read_texts(req, "attest", "attest", &wanted, err) < 0)
        return -1;
    MAP_EACH (&wanted, entry)
        if (build_attest_read(entry->key, entry->value ? entry->value : "", out, err) < 0)
            return -1;
    return 0;
}

/* What is no number counts as 0 here. */
static int64_t read_number(struct request *req, const char *name)
{
    int64_t value = 0;

    parse_int64(request_query(req, name) ?: "", INT64_MIN, INT64_MAX, &value, NULL);
    return value;
}

static const char *text_or_null(struct request *req, const char *name)
{
    const char *text = request_query(req, name);

    return text_is_empty(text) ? NULL : text;
}

static void read_limits(struct request *req, struct build_run *out)
{
    out->memory_bytes = read_number(req, "memory");
    out->memory_swap_bytes = read_number(req, "memswap");
    out->cpu_shares = read_number(req, "cpushares");
    out->cpu_period_us = read_number(req, "cpuperiod");
    out->cpu_quota_us = read_number(req, "cpuquota");
    out->shm_size_bytes = read_number(req, "shmsize");
    out->cpuset_cpus = text_or_null(req, "cpusetcpus");
    out->cpuset_mems = text_or_null(req, "cpusetmems");
    out->cgroup_parent = text_or_null(req, "cgroupparent");
}

/* What this builder is asked for but is not. */
static int check_supported(struct request *req, struct error *err)
{
    const char *version = request_query(req, "version") ?: "";

    if (text_equal(version, "2"))
        return error_set(
            err, ERROR_UNSUPPORTED,
            "BuildKit's form of POST /build is of clients before 23.0: install buildx, or "
            "build with DOCKER_BUILDKIT=0");
    if (*version && !text_equal(version, "1"))
        return error_set(err, ERROR_INVALID, "invalid version \"%s\"", version);
    if (request_query_bool(req, "squash"))
        return error_set(err, ERROR_INVALID, "squash is only supported with experimental mode");
    if (text_or_null(req, "outputs") && !text_equal(request_query(req, "outputs"), "[]"))
        return error_set(err, ERROR_UNSUPPORTED,
                         "build outputs other than an image are not supported by berth yet");
    return 0;
}

/* ---- telling ---- */

static void send_text(void *data, const char *text, size_t size)
{
    struct build *build = data;

    if (!build->quiet)
        progress_stream(build->req, text, size);
}

static void send_id(void *data, const char *image_id)
{
    struct build *build = data;

    if (!build->quiet)
        progress_aux_id(build->req, image_id);
}

/* {"step":{"stage":…,"number":…,"count":…,"state":"began","text":…,"elapsed":<ns>}} */
static void send_event(void *data, const struct build_event *event)
{
    static const char *const states[] = {
        [BUILD_STEP_BEGAN] = "began", [BUILD_STEP_CACHED] = "cached", [BUILD_STEP_SAID] = "said",
        [BUILD_STEP_DONE] = "done",   [BUILD_STEP_FAILED] = "failed", [BUILD_NOTE] = "note",
        [BUILD_FINDING] = "note",
    };
    struct build *build = data;
    CLEANUP(free)
    char *text = event->type == BUILD_FINDING
                     ? xasprintf("[Warning] %s: %.*s (line %d)\n", event->rule, (int)event->size,
                                 event->text, event->line)
                     : xstrndup(event->text, event->size);
    CLEANUP(str_done) struct str line = {};
    struct json_writer w = { .out = &line };

    json_begin_dict(&w, NULL);
    json_begin_dict(&w, "step");
    json_add_uint64(&w, "stage", event->stage);
    json_add_uint64(&w, "number", event->step);
    json_add_uint64(&w, "count", event->step_count);
    json_add_text(&w, "state", states[event->type]);
    json_add_text(&w, "text", text);
    json_add_uint64(&w, "elapsed", event->elapsed_ns);
    json_end_dict(&w);
    json_end_dict(&w);
    progress_raw(build->req, &line);
}

static int read_query(struct request *req, struct build_query *query, struct build_options *options,
                      struct error *err)
{
    read_repeated(req, "t", &query->tags);
    read_repeated(req, "extrahosts", &query->extra_hosts);
    if (read_texts(req, "buildargs", "build args", &query->arguments, err) < 0 ||
        read_texts(req, "labels", "labels", &query->labels, err) < 0 ||
        read_list(req, "cachefrom", "cachefrom", &query->cache_from, err) < 0 ||
        read_list(req, "cacheto", "cacheto", &query->cache_to, err) < 0 ||
        read_list(req, "nocachefilter", "nocachefilter", &query->no_cache_stages, err) < 0 ||
        read_list(req, "allow", "allow", &query->entitlements, err) < 0 ||
        read_texts(req, "contexts", "contexts", &query->contexts, err) < 0 ||
        read_ulimits(req, &query->ulimits, err) < 0 ||
        read_attestations(req, &query->attest, err) < 0)
        return -1;
    options->attest = &query->attest;
    options->dockerfile = text_or_null(req, "dockerfile");
    options->tags = &query->tags;
    options->arguments = &query->arguments;
    options->labels = &query->labels;
    options->target = text_or_null(req, "target");
    options->platform = text_or_null(req, "platform");
    options->network_mode = text_or_null(req, "networkmode");
    options->no_cache = request_query_bool(req, "nocache");
    options->quiet = request_query_bool(req, "q");
    options->force_remove = request_query_bool(req, "forcerm");
    options->remove_intermediate = /* On, unless it is switched off. */
        options->force_remove || !text_or_null(req, "rm") || request_query_bool(req, "rm");
    options->pull = request_query_bool(req, "pull");
    options->no_cache_stages = &query->no_cache_stages;
    options->checks_only = request_query_bool(req, "check");
    options->entitlements = &query->entitlements;
    if (request_query_bool(req, "steps")) {
        options->event = send_event;
        options->stream = NULL;
    }
    options->extra_hosts = &query->extra_hosts;
    options->cache_from = &query->cache_from;
    if (query->cache_to.count > 0 || request_query_bool(req, "cacheimages"))
        options->cache_mode = BUILD_CACHE_MAX;
    read_limits(req, &options->limits);
    options->limits.ulimits = &query->ulimits;
    return 0;
}

/* ---- building ---- */

/* An error before the first step: the place is part of its text. */
static int refuse(const struct build_result *result, struct error *err)
{
    if (result->location.length > 0) {
        CLEANUP(free) char *text = xstrdup(err->text);

        error_set(err, err->kind, "%s\n%s", text, result->location.data);
    }
    return -1;
}

/* Whom the build asks for secrets. */
static int read_lender(struct request *req, struct build_lender **out,
                       struct build_secrets *secrets, struct build_options *options,
                       struct error *err)
{
    const char *id = text_or_null(req, "lender");

    if (!id)
        return 0;
    if (engine_build_lender_find(req->engine, id, out, err) < 0)
        return -1;
    *secrets = build_lender_secrets(*out);
    options->secrets = secrets;
    return 0;
}

#define DOCKERFILE_LIMIT ((size_t)16 << 20)

/* The context that the client keeps up to date here; the body is then the Dockerfile. */
static int read_context(struct request *req, struct context_sync **out, struct str *dockerfile,
                        struct build_options *options, struct error *err)
{
    const char *id = text_or_null(req, "context");
    CLEANUP(buf_done) struct buf body = {};

    if (!id)
        return 0;
    if (engine_context_find(req->engine, id, out, err) < 0 ||
        http_read_all(req->exchange, DOCKERFILE_LIMIT, &body, err) < 0)
        return -1;
    str_add_bytes(dockerfile, buf_bytes(&body), body.size);
    options->dockerfile_text = dockerfile;
    return 0;
}

/* Those that the caller wants to save are told, and are his to remove; the others have gone to
 * their registries, and go. */
static int give_caches(struct request *req, const struct build_query *query,
                       const struct build_pulls *pulls, const struct build_result *result,
                       struct error *err)
{
    const struct strv *images = &result->cache_images;
    int done = 0;

    for (size_t i = 0; i < query->cache_to.count && done == 0; i++)
        done = engine_build_cache_push(req->engine, query->cache_to.items[i], images, pulls,
                                       http_cancel_fd(req->exchange), err);
    if (done == 0 && request_query_bool(req, "cacheimages"))
        progress_aux_list(req, "CacheImages", images);
    else
        engine_build_cache_drop(req->engine, images);
    return done;
}

/* Parameters attest, cacheimages, cacheto, context, nocachefilter, allow, check, contexts, lender,
 * steps and verify are berth's own. */
int api_build(struct request *req, struct error *err)
{
    CLEANUP(build_query_done) struct build_query query = {};
    CLEANUP(build_lender_unref) struct build_lender *lender = NULL;
    CLEANUP(context_sync_unref) struct context_sync *synced = NULL;
    CLEANUP(str_done) struct str dockerfile = {};
    struct build_secrets secrets;
    struct build build = { .req = req };
    struct build_options options = { .context_fd = -1,
                                     .cancel_fd = http_cancel_fd(req->exchange),
                                     .stream = send_text,
                                     .aux_id = send_id,
                                     .data = &build };
    CLEANUP(build_result_done) struct build_result result = {};
    CLEANUP(build_pulls_done) struct build_pulls pulls = {};
    const struct registry_watcher watcher = registry_progress(req);

    build_pulls_decode(http_header(req->exchange, "X-Registry-Config"), &pulls);
    options.pull_data = &pulls;
    if (check_supported(req, err) < 0 || read_query(req, &query, &options, err) < 0 ||
        read_lender(req, &lender, &secrets, &options, err) < 0 ||
        read_context(req, &synced, &dockerfile, &options, err) < 0)
        return -1;
    build.quiet = options.quiet;
    pulls.watcher = build.quiet ? NULL : &watcher;
    const struct build_input input = {
        .archive = http_body_stream(req->exchange),
        .remote = text_or_null(req, "remote"),
        .synced = synced,
        .contexts = &query.contexts,
        .is_verified = request_query_bool(req, "verify"),
    };
    if (engine_build(req->engine, &input, &options, &result, err) < 0 ||
        give_caches(req, &query, &pulls, &result, err) < 0) {
        if (!result.has_begun && !http_reply_has_begun(req->exchange))
            return refuse(&result, err);
        if (result.location.length > 0 && !build.quiet)
            progress_stream(req, result.location.data, result.location.length);
        progress_error(req, result.exit_code, err->text);
        return 0;
    }
    if (result.finding_count > 0 && options.checks_only) {
        CLEANUP(free)
        char *text = xasprintf("Check complete, %zu warning%s been found!", result.finding_count,
                               result.finding_count == 1 ? " has" : "s have");

        progress_error(req, 1, text);
    }
    if (build.quiet && !options.checks_only) {
        CLEANUP(free) char *line = xasprintf("%s\n", result.image_id);
        progress_stream(req, line, strlen(line));
    }
    return 0;
}

int api_image_files(struct request *req, struct error *err)
{
    CLEANUP(image_unref) struct image *image = NULL;

    if (engine_image_get(req->engine, request_parameter(req, 0), &image, err) < 0 ||
        reply_stream_begin(req, "application/x-tar", err) < 0)
        return -1;
    if (engine_image_files(req->engine, image, request_query_bool(req, "attestations"),
                           http_cancel_fd(req->exchange), http_reply_stream(req->exchange),
                           err) == 0)
        return 0;
    http_reply_break(req->exchange);
    return -1;
}

int api_build_cancel(struct request *req, struct error *err)
{
    if (text_is_empty(request_query(req, "id")))
        return error_set(err, ERROR_INVALID, "build ID not provided");
    return api_not_supported(req, err);
}
