/* The query of BuildKit's form of POST /build, as attributes of the Dockerfile frontend. */
#include "api/build_session.h"

#include <inttypes.h>
#include <string.h>

#include "api/build_query.h"
#include "api/progress.h"
#include "api/routes.h"
#include "base/memory.h"
#include "base/text.h"
#include "buildkit/buildkit.h"
#include "codec/base64.h"
#include "codec/json.h"

#include "base/banned.h"

#define UPLOAD_PREFIX "upload-request:"

/* One build, in the words of BuildKit. */
struct session_query {
    struct map attributes, exporter_attributes;
    struct strv entitlements;
    char *exporter; /* NULL: none */
};

static void session_query_done(struct session_query *query)
{
    map_done(&query->attributes);
    map_done(&query->exporter_attributes);
    strv_done(&query->entitlements);
    free(query->exporter);
}
CLEANUP_VALUE(session_query_done, struct session_query)

/* ---- reading ---- */

static int check_supported(struct request *req, const struct build_options *options,
                           struct error *err)
{
    const struct build_run *limits = &options->limits;

    if (request_query_bool(req, "squash"))
        return error_set(err, ERROR_INVALID, "squash is only supported with experimental mode");
    if (limits->memory_bytes || limits->memory_swap_bytes || limits->cpu_shares ||
        limits->cpu_period_us || limits->cpu_quota_us || limits->cpuset_cpus || limits->cpuset_mems)
        return error_set(err, ERROR_UNSUPPORTED,
                         "limits of memory and processors are not part of BuildKit's form of "
                         "builds: build with DOCKER_BUILDKIT=0");
    return 0;
}

static void set_if(struct map *attributes, const char *name, const char *value)
{
    if (!text_is_empty(value))
        map_set_text(attributes, name, value);
}

static void set_joined(struct map *attributes, const char *name, const struct strv *values)
{
    CLEANUP(free) char *joined = strv_join(values, ",");

    set_if(attributes, name, joined);
}

static void set_prefixed(struct map *attributes, const char *prefix, const struct map *values)
{
    MAP_EACH (values, entry) {
        CLEANUP(free) char *name = xasprintf("%s%s", prefix, entry->key);

        if (entry->value) /* an argument without value is only declared */
            map_set_text(attributes, name, entry->value);
    }
}

/* "host:address" as "host=address" */
static void set_hosts(struct map *attributes, const struct strv *hosts)
{
    CLEANUP(strv_done) struct strv entries = {};

    for (size_t i = 0; i < hosts->count; i++) {
        const char *entry = hosts->items[i], *colon = strchr(entry, ':');

        strv_add_format(&entries, "%.*s=%s", (int)(colon ? colon - entry : (int)strlen(entry)),
                        entry, colon ? colon + 1 : "");
    }
    set_joined(attributes, "add-hosts", &entries);
}

static void set_ulimits(struct map *attributes, const struct json_list *limits)
{
    CLEANUP(strv_done) struct strv entries = {};

    for (size_t i = 0; i < limits->count; i++) {
        const struct ulimit *limit = &JSON_ITEMS(limits, struct ulimit)[i];

        strv_add_format(&entries, "%s=%" PRId64 ":%" PRId64, limit->name, limit->soft, limit->hard);
    }
    set_joined(attributes, "ulimit", &entries);
}

static int set_network(struct session_query *query, const char *mode, struct error *err)
{
    if (text_is_empty(mode) || strcmp(mode, "default") == 0)
        return 0;
    if (strcmp(mode, "host") != 0 && strcmp(mode, "none") != 0)
        return error_set(err, ERROR_INVALID, "network mode \"%s\" not supported by buildkit", mode);
    if (strcmp(mode, "host") == 0)
        strv_add(&query->entitlements, "network.host");
    map_set_text(&query->attributes, "force-network-mode", mode);
    return 0;
}

/* [{"Type":"local","Attrs":{…}}]; none means an image here. */
static int read_output(struct request *req, const struct strv *tags, struct session_query *out,
                       struct error *err)
{
    const char *text = build_query_text(req, "outputs");
    CLEANUP(json_free) struct json *list = NULL;

    if (text && json_parse(text, strlen(text), &list, err) < 0) {
        err->kind = ERROR_INVALID;
        return error_context(err, "error reading outputs");
    }
    if (json_count(list) > 1)
        return error_set(err, ERROR_INVALID, "multiple outputs not supported");
    const struct json *output = list ? json_at(list, 0) : NULL;
    const char *type = json_text(json_get(output, "Type"));

    JSON_EACH (json_get(output, "Attrs"), key)
        if (strcmp(key, "dest") != 0) /* a file of the client's: the client sees to it */
            map_set_text(&out->exporter_attributes, key, json_text(json_key_value(key)) ?: "");
    if (text_equal(type, "cacheonly"))
        return 0;
    out->exporter = xstrdup(text_is_empty(type) ? "image" : type);
    if (!map_get(&out->exporter_attributes, "name"))
        set_joined(&out->exporter_attributes, "name", tags);
    return 0;
}

static int translate(struct request *req, const struct build_query *query,
                     const struct build_options *options, struct session_query *out,
                     struct error *err)
{
    const char *remote = build_query_text(req, "remote");
    CLEANUP(free) char *shm_size = NULL;

    map_init_empty(&out->attributes, free);
    map_init_empty(&out->exporter_attributes, free);
    set_if(&out->attributes, "filename", options->dockerfile);
    set_if(&out->attributes, "target", options->target);
    set_if(&out->attributes, "platform", options->platform);
    set_if(&out->attributes, "cgroup-parent", options->limits.cgroup_parent);
    if (remote && strcmp(remote, "client-session") != 0 && strcmp(remote, "upload-request") != 0)
        map_set_text(&out->attributes, "context", remote);
    set_joined(&out->attributes, "cache-from", &query->cache_from);
    set_prefixed(&out->attributes, "build-arg:", &query->arguments);
    set_prefixed(&out->attributes, "label:", &query->labels);
    set_hosts(&out->attributes, &query->extra_hosts);
    set_ulimits(&out->attributes, &query->ulimits);
    if (options->no_cache)
        map_set_text(&out->attributes, "no-cache", "");
    map_set_text(&out->attributes, "image-resolve-mode", options->pull ? "pull" : "default");
    if (options->limits.shm_size_bytes > 0) {
        shm_size = xasprintf("%" PRId64, options->limits.shm_size_bytes);
        map_set_text(&out->attributes, "shm-size", shm_size);
    }
    if (set_network(out, options->network_mode, err) < 0)
        return -1;
    return read_output(req, &query->tags, out, err);
}

/* ---- building ---- */

static void send_aux(struct request *req, const char *id, const char *aux)
{
    CLEANUP(str_done) struct str line = {};
    struct json_writer w = { .out = &line };

    json_begin_dict(&w, NULL);
    json_add_text(&w, "id", id);
    json_add_raw(&w, "aux", aux);
    json_end_dict(&w);
    progress_raw(req, &line);
}

static void send_status(void *data, const void *message, size_t size)
{
    CLEANUP(free) char *encoded = base64_encode(message, size);
    CLEANUP(free) char *quoted = xasprintf("\"%s\"", encoded);

    send_aux(data, "moby.buildkit.trace", quoted);
}

static void send_image_id(struct request *req, const char *image_id, bool quiet)
{
    CLEANUP(free) char *aux = xasprintf("{\"ID\":\"%s\"}", image_id);
    CLEANUP(free) char *line = xasprintf("%s\n", image_id);

    send_aux(req, "moby.image.id", aux);
    if (quiet)
        progress_stream(req, line, strlen(line));
}

static int build(struct request *req, const char *session_id, struct error *err)
{
    const char *ref = build_query_text(req, "buildid");
    CLEANUP(build_query_done) struct build_query query = {};
    CLEANUP(session_query_done) struct session_query wanted = {};
    struct build_options options = {};
    char image_id[72];

    if (buildkit_session_wait(req->buildkit, session_id, http_cancel_fd(req->exchange), err) < 0 ||
        build_query_read(req, &query, &options, err) < 0 ||
        check_supported(req, &options, err) < 0 ||
        translate(req, &query, &options, &wanted, err) < 0)
        return -1;
    const struct buildkit_build build = {
        .ref = ref,
        .session_id = session_id,
        .attributes = &wanted.attributes,
        .entitlements = &wanted.entitlements,
        .exporter = wanted.exporter,
        .exporter_attributes = &wanted.exporter_attributes,
        .is_uploaded = text_equal(build_query_text(req, "remote"), "upload-request"),
        .cancel_fd = http_cancel_fd(req->exchange),
        .status = send_status,
        .data = req,
    };
    if (build.is_uploaded && !ref)
        return error_set(err, ERROR_INVALID, "a context that is uploaded needs a build id");
    if (buildkit_build(req->buildkit, &build, image_id, err) < 0)
        return -1;
    if (*image_id)
        send_image_id(req, image_id, options.quiet);
    return 0;
}

int api_build_session(struct request *req, struct error *err)
{
    const char *ref = build_query_text(req, "buildid");
    const char *session_id = build_query_text(req, "session");

    if (ref && text_starts(ref, UPLOAD_PREFIX))
        return buildkit_upload(req->buildkit, ref + strlen(UPLOAD_PREFIX),
                               http_body_stream(req->exchange), http_cancel_fd(req->exchange),
                               err) < 0
                   ? -1
                   : reply_empty(req, 200, err);
    if (!session_id)
        return error_set(err, ERROR_INVALID, "a build of version 2 needs a session");
    if (build(req, session_id, err) == 0)
        return 0;
    /* Clients of that time wait for ever when a build ends before they have begun to serve. */
    buildkit_session_end(req->buildkit, session_id);
    if (!http_reply_has_begun(req->exchange))
        return -1;
    progress_error(req, 0, err->text);
    return 0;
}

int api_build_cancel(struct request *req, struct error *err)
{
    const char *ref = build_query_text(req, "id");

    if (!ref)
        return error_set(err, ERROR_INVALID, "build ID not provided");
    buildkit_cancel(req->buildkit, ref);
    return reply_empty(req, 200, err);
}
