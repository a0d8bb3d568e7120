/* Building from a context that the client sends along. */
#include "engine/build.h"
#include "engine/build_cache.h"
#include "engine/build_lender.h"
#include "engine/image_registry.h"

#include <string.h>

#include "api/build_query.h"
#include "api/build_session.h"
#include "api/progress.h"
#include "api/routes.h"
#include "base/memory.h"
#include "base/text.h"
#include "engine/image.h"
#include "engine/image_files.h"

#include "base/banned.h"

/* One build on its way. */
struct build {
    struct request *req;
    bool quiet;
};

/* What this builder is asked for but is not. */
static int check_supported(struct request *req, struct error *err)
{
    const char *version = request_query(req, "version") ?: "";

    if (*version && !text_equal(version, "1"))
        return error_set(err, ERROR_INVALID, "invalid version \"%s\"", version);
    if (request_query_bool(req, "squash"))
        return error_set(err, ERROR_INVALID, "squash is only supported with experimental mode");
    if (build_query_text(req, "outputs") && !text_equal(request_query(req, "outputs"), "[]"))
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
    if (event->platform)
        json_add_text(&w, "platform", event->platform);
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
    const char *id = build_query_text(req, "lender");

    if (!id && request_query_bool(req, "hold"))
        return error_set(err, ERROR_INVALID, "hold needs a lender: the image stays as long as it");
    if (!id)
        return 0;
    if (engine_build_lender_find(req->engine, id, out, err) < 0)
        return -1;
    *secrets = build_lender_secrets(*out);
    options->secrets = secrets;
    options->holds_image = request_query_bool(req, "hold");
    return 0;
}

#define DOCKERFILE_LIMIT ((size_t)16 << 20)

/* The context that the client keeps up to date here; the body is then the Dockerfile. */
static int read_context(struct request *req, struct context_sync **out, struct str *dockerfile,
                        struct build_options *options, struct error *err)
{
    const char *id = build_query_text(req, "context");
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

/* {"aux":{"Images":["linux/amd64=sha256:…",…]}} of a build for several platforms. */
static void tell_images(struct request *req, const struct build_result *result)
{
    CLEANUP(strv_done) struct strv images = {};

    for (size_t i = 0; i < result->image_count; i++)
        strv_add_format(&images, "%s=%s", result->images[i].platform, result->images[i].image_id);
    if (images.count > 0)
        progress_aux_list(req, "Images", &images);
}

/* Builds; the image is the lender's to let go of, if it is held. */
static int build_image(struct request *req, const struct build_input *input,
                       const struct build_query *query, const struct build_options *options,
                       const struct build_pulls *pulls, struct build_lender *lender,
                       struct build_result *out, struct error *err)
{
    if (engine_build(req->engine, input, options, out, err) < 0)
        return -1;
    if (options->holds_image && !options->checks_only && out->image_count == 0)
        build_lender_take_image(lender, out->image_id);
    for (size_t i = 0; i < out->image_count; i++)
        build_lender_take_image(lender, out->images[i].image_id);
    tell_images(req, out);
    return give_caches(req, query, pulls, out, err);
}

/* Parameters attest, cacheimages, cacheto, context, nocachefilter, allow, check, contexts, hold,
 * lender, steps and verify are berth's own. */
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

    if (text_equal(request_query(req, "version"), "2"))
        return api_build_session(req, err);
    build_pulls_decode(http_header(req->exchange, "X-Registry-Config"), &pulls);
    options.pull_data = &pulls;
    if (check_supported(req, err) < 0 || build_query_read(req, &query, &options, err) < 0 ||
        read_lender(req, &lender, &secrets, &options, err) < 0 ||
        read_context(req, &synced, &dockerfile, &options, err) < 0)
        return -1;
    if (request_query_bool(req, "steps")) {
        options.event = send_event;
        options.stream = NULL;
    }
    build.quiet = options.quiet;
    pulls.watcher = build.quiet ? NULL : &watcher;
    const struct build_input input = {
        .archive = http_body_stream(req->exchange),
        .remote = build_query_text(req, "remote"),
        .synced = synced,
        .contexts = &query.contexts,
        .is_verified = request_query_bool(req, "verify"),
    };
    if (build_image(req, &input, &query, &options, &pulls, lender, &result, err) < 0) {
        if (!result.has_begun && !http_reply_has_begun(req->exchange))
            return refuse(&result, err);
        if (result.location.length > 0)
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

/* The image of the path; and with berth's own parameter "with" others, for further platforms: each
 * in a directory of its own unless "split" is 0. */
static int find_images(struct request *req, struct image *images[BUILD_PLATFORM_LIMIT],
                       struct image_files *out, struct error *err)
{
    size_t count = 1 + http_query_count(req->exchange, "with");

    if (count > BUILD_PLATFORM_LIMIT)
        return error_set(err, ERROR_INVALID, "more than %d images", BUILD_PLATFORM_LIMIT);
    out->images = images;
    for (; out->count < count; out->count++) {
        const char *name = out->count == 0 ? request_parameter(req, 0)
                                           : http_query_at(req->exchange, "with", out->count - 1);

        if (engine_image_get(req->engine, name, &images[out->count], err) < 0)
            return -1;
    }
    out->is_split = count > 1 && !text_equal(request_query(req, "split"), "0");
    out->attested = request_query_bool(req, "attestations");
    out->cancel_fd = http_cancel_fd(req->exchange);
    return out->is_split ? 0 : engine_images_overlap_check(req->engine, images, count, err);
}

static int send_images(struct request *req, const struct image_files *files, struct error *err)
{
    if (reply_stream_begin(req, "application/x-tar", err) < 0)
        return -1;
    if (engine_images_files(req->engine, files, http_reply_stream(req->exchange), err) == 0)
        return 0;
    http_reply_break(req->exchange);
    return -1;
}

int api_image_files(struct request *req, struct error *err)
{
    struct image *images[BUILD_PLATFORM_LIMIT] = {};
    struct image_files files = {};
    int result = find_images(req, images, &files, err);

    if (result == 0)
        result = send_images(req, &files, err);
    for (size_t i = 0; i < files.count; i++)
        image_unref(images[i]);
    return result;
}
