/* The Dockerfile frontend: attributes become the builder's options. An attribute that is not known
 * is refused. */
#include <stdio.h>
#include <string.h>

#include "base/descriptor.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "buildkit/frontend.h"
#include "buildkit/offer.h"
#include "codec/base64.h"
#include "codec/json.h"
#include "codec/protobuf.h"
#include "engine/build.h"
#include "engine/image.h"
#include "spec/dockerignore.h"

#include "base/banned.h"

#define SOURCE_DETAIL "github.com/moby/buildkit/errdefs.Source+json"

const char *frontend_attribute(const struct frontend *frontend, const char *name)
{
    return map_get(frontend->request->attributes, name);
}

const char *frontend_file_name(const struct frontend *frontend)
{
    const char *name = frontend_attribute(frontend, "filename");

    return text_is_empty(name) ? "Dockerfile" : name;
}

static void frontend_done(struct frontend *frontend)
{
    if (frontend->context_fd >= 0)
        close(frontend->context_fd);
    MAP_EACH (&frontend->directories, entry)
        close((int)((intptr_t)entry->value - 1));
    map_done(&frontend->directories);
    map_done(&frontend->contexts);
    engine_context_give_back(frontend->buildkit->engine, &frontend->kept, frontend->kept_size);
    if (frontend->temporary_path)
        tree_remove(frontend->temporary_path, NULL);
    free(frontend->temporary_path);
    stream_close(frontend->archive);
    str_done(&frontend->file_text);
    dockerignore_free(frontend->ignored);
    strv_done(&frontend->tags);
    strv_done(&frontend->extra_hosts);
    strv_done(&frontend->no_cache_stages);
    strv_done(&frontend->cache_from);
    map_done(&frontend->arguments);
    map_done(&frontend->labels);
    for (size_t i = 0; i < frontend->ulimits.count; i++)
        free(JSON_ITEMS(&frontend->ulimits, struct ulimit)[i].name);
    free(frontend->ulimits.items);
    build_pulls_done(&frontend->pulls);
    build_attest_done(&frontend->attest);
    peer_unref(frontend->session);
    close_cleanup(&frontend->cancel_fd);
}
CLEANUP_VALUE(frontend_done, struct frontend)

/* ---- attributes ---- */

/* Those that are looked at somewhere, or that change nothing here; a '*' at the end stands for any
 * rest. */
static const char *const known[] = {
    "add-hosts",        "attest:*",      "build-arg:*",
    "cache-from",       "cache-imports", "cgroup-parent",
    "context",          "context:*",     "contextkey",
    "dockerfilekey",    "filename",      "force-network-mode",
    "frontend.caps",    "hostname",      "image-resolve-mode",
    "input-metadata:*", "label:*",       "local-sessionid:*",
    "multi-platform",   "no-cache",      "platform",
    "requestid",        "shm-size",      "target",
    "ulimit",           "vcs:*",
};

static bool is_known(const char *name)
{
    for (size_t i = 0; i < COUNT(known); i++) {
        size_t length = strlen(known[i]);

        if (known[i][length - 1] == '*' ? strncmp(known[i], name, length - 1) == 0
                                        : strcmp(known[i], name) == 0)
            return true;
    }
    return false;
}

static int check_attributes(const struct frontend *frontend, struct error *err)
{
    const char *request = frontend_attribute(frontend, "requestid");

    MAP_EACH (frontend->request->attributes, entry)
        if (!is_known(entry->key))
            return error_set(err, ERROR_UNSUPPORTED,
                             "the option %s of the Dockerfile frontend is not supported by this "
                             "engine",
                             entry->key);
    if (request && strcmp(request, "frontend.lint") != 0)
        return error_set(err, ERROR_UNSUPPORTED,
                         "the request %s is not supported by this engine's frontend", request);
    return 0;
}

/* "build-arg:X=…" and "label:X=…" */
static void take_prefixed(const struct frontend *frontend, const char *prefix, struct map *out)
{
    map_init_empty(out, free);
    MAP_EACH (frontend->request->attributes, entry)
        if (text_starts(entry->key, prefix))
            map_set_text(out, entry->key + strlen(prefix), entry->value);
}

/* "host=address,host=address" as "host:address". */
static int read_hosts(struct frontend *frontend, struct error *err)
{
    const char *text = frontend_attribute(frontend, "add-hosts");
    CLEANUP(strv_done) struct strv hosts = {};

    strv_split(&hosts, text ? text : "", ',');
    for (size_t i = 0; i < hosts.count; i++) {
        char *equals = strchr(hosts.items[i], '=');

        if (!equals || equals == hosts.items[i])
            return error_set(err, ERROR_INVALID, "invalid host %s", hosts.items[i]);
        strv_add_format(&frontend->extra_hosts, "%.*s:%s", (int)(equals - hosts.items[i]),
                        hosts.items[i], equals + 1);
    }
    return 0;
}

/* "name=soft[:hard],…" */
static int read_ulimits(struct frontend *frontend, struct error *err)
{
    const char *text = frontend_attribute(frontend, "ulimit");
    CLEANUP(strv_done) struct strv limits = {};

    strv_split(&limits, text ? text : "", ',');
    for (size_t i = 0; i < limits.count; i++) {
        char *equals = strchr(limits.items[i], '=');
        char *colon = equals ? strchr(equals, ':') : NULL;
        struct ulimit limit = {};

        if (colon)
            *colon = 0;
        if (!equals || parse_int64(equals + 1, -1, INT64_MAX, &limit.soft, NULL) < 0 ||
            parse_int64(colon ? colon + 1 : equals + 1, -1, INT64_MAX, &limit.hard, NULL) < 0)
            return error_set(err, ERROR_INVALID, "invalid ulimit %s", limits.items[i]);
        limit.name = xstrndup(limits.items[i], (size_t)(equals - limits.items[i]));
        *(struct ulimit *)json_list_add(&frontend->ulimits, sizeof(limit)) = limit;
    }
    return 0;
}

/* "attest:provenance", "attest:sbom"; what version control the client's context is under. */
static int read_attestations(struct frontend *frontend, struct error *err)
{
    struct build_attest *attest = &frontend->attest;

    MAP_EACH (frontend->request->attributes, entry)
        if (text_starts(entry->key, "attest:") &&
            build_attest_read(entry->key + strlen("attest:"), entry->value, attest, err) < 0)
            return -1;
    if (frontend_attribute(frontend, "vcs:source"))
        attest->vcs_source = xstrdup(frontend_attribute(frontend, "vcs:source"));
    if (frontend_attribute(frontend, "vcs:revision"))
        attest->vcs_revision = xstrdup(frontend_attribute(frontend, "vcs:revision"));
    return 0;
}

/* ---- building ---- */

static void tell_event(void *data, const struct build_event *event)
{
    const struct frontend *frontend = data;

    trace_event(frontend->progress, event);
}

static int make_options(struct frontend *frontend, struct build_options *out, struct error *err)
{
    const char *no_cache = frontend_attribute(frontend, "no-cache"),
               *shm_size = frontend_attribute(frontend, "shm-size");
    const struct cache_imports imports = { frontend->buildkit, frontend->request->solve,
                                           frontend->session, frontend->cancel_fd,
                                           no_cache && !*no_cache };

    take_prefixed(frontend, "build-arg:", &frontend->arguments);
    take_prefixed(frontend, "label:", &frontend->labels);
    map_init_empty(&frontend->pulls.credentials, NULL);
    frontend->pulls.find = offer_credentials;
    frontend->pulls.data = frontend->session;
    frontend->secrets = offer_secrets(frontend->session);
    if (read_hosts(frontend, err) < 0 || read_ulimits(frontend, err) < 0 ||
        cache_imports_run(&imports, frontend->request->attributes, &frontend->cache_from, err) <
            0 ||
        read_attestations(frontend, err) < 0)
        return -1;
    if (!text_is_empty(no_cache))
        strv_split(&frontend->no_cache_stages, no_cache, ',');
    *out = (struct build_options){
        .context_fd = -1,
        .dockerfile = frontend_attribute(frontend, "filename"),
        .dockerfile_text = frontend->has_file ? &frontend->file_text : NULL,
        .tags = &frontend->tags,
        .arguments = &frontend->arguments,
        .labels = &frontend->labels,
        .target = frontend_attribute(frontend, "target"),
        .platform = frontend_attribute(frontend, "platform"),
        .network_mode = frontend_attribute(frontend, "force-network-mode"),
        .hostname = frontend_attribute(frontend, "hostname"),
        .no_cache = no_cache && !*no_cache,
        .no_cache_stages = &frontend->no_cache_stages,
        .cache_from = &frontend->cache_from,
        .pull = text_equal(frontend_attribute(frontend, "image-resolve-mode"), "pull"),
        .remove_intermediate = true,
        .force_remove = true,
        .checks_only = frontend_attribute(frontend, "requestid") != NULL,
        .holds_image = true,
        .entitlements = &frontend->request->solve->entitlements,
        .secrets = &frontend->secrets,
        .extra_hosts = &frontend->extra_hosts,
        .limits = { .cgroup_parent = frontend_attribute(frontend, "cgroup-parent"),
                    .ulimits = &frontend->ulimits },
        .cancel_fd = frontend->cancel_fd,
        .event = tell_event,
        .data = frontend,
        .pull_data = &frontend->pulls,
        .attest = &frontend->attest,
        .cache_mode = frontend->request->solve->cache_mode,
    };
    if (!text_is_empty(shm_size) &&
        parse_int64(shm_size, 0, INT64_MAX, &out->limits.shm_size_bytes, err) < 0)
        return error_context(err, "shm-size");
    return 0;
}

/* Where in the Dockerfile it went wrong, as clients of this protocol look for it. */
static void add_place(const struct build_result *result, struct failure *failure)
{
    CLEANUP(str_done) struct str json = {};
    CLEANUP(buf_done) struct buf any = {};
    struct json_writer w = { .out = &json };

    if (result->line <= 0)
        return;
    CLEANUP(free)
    char *data = base64_encode(str_text(&result->file_text), result->file_text.length);
    json_begin_dict(&w, NULL);
    json_begin_dict(&w, "info");
    json_add_text(&w, "filename", result->file_name);
    json_add_text(&w, "data", data);
    json_add_text(&w, "language", "Dockerfile");
    json_end_dict(&w);
    json_begin_list(&w, "ranges");
    line_range_write(&w, result->line);
    json_end_list(&w);
    json_end_dict(&w);
    protobuf_add_text(&any, 1, SOURCE_DETAIL);
    protobuf_add_bytes(&any, 2, str_text(&json), json.length);
    protobuf_add_message(&failure->details, 3, &any);
}

/* Says it in this protocol's words: 'process "…" did not complete successfully: exit code: 1'. */
static void say_exit(const struct build_result *result, struct error *err)
{
    static const char before[] = "The command '", behind[] = "' returned a non-zero code";
    const char *end = strstr(err->text, behind);

    if (result->exit_code == 0 || !text_starts(err->text, before) || !end)
        return;
    const char *start = err->text + strlen(before);
    CLEANUP(free) char *command = xstrndup(start, (size_t)(end - start));
    error_set(err, err->kind, "process \"%s\" did not complete successfully: exit code: %d",
              command, result->exit_code);
}

static void take_result(struct frontend *frontend, const struct build_result *result,
                        struct frontend_result *out)
{
    struct solve *solve = frontend->request->solve;
    struct built *built = &out->built;

    snprintf(built->image_id, sizeof(built->image_id), "%s", result->image_id);
    built->hides_attestations = frontend->attest.is_inline_only;
    for (size_t i = 0; i < result->image_count; i++) {
        built->images[built->image_count++] = result->images[i];
        solve_hold_image(frontend->buildkit, solve, result->images[i].image_id);
    }
    if (result->image_count == 0)
        solve_hold_image(frontend->buildkit, solve, result->image_id);
    built_add(frontend->buildkit, built);
    mutex_lock(&solve->lock);
    strv_add_all(&solve->cache_images, &result->cache_images);
    mutex_unlock(&solve->lock);
}

static int build(struct frontend *frontend, struct frontend_result *out, struct failure *failure)
{
    struct error *err = &failure->error;
    CLEANUP(build_result_done) struct build_result result = {};
    const struct build_directories directories = { frontend->context_fd, &frontend->directories,
                                                   frontend->ignored };
    struct stream *archive = frontend->request->archive ?: frontend->archive;
    struct build_input input = {
        .directories = frontend->context_fd >= 0 ? &directories : NULL,
        .archive = archive,
        .remote = archive ? NULL : frontend_attribute(frontend, "context"),
        .contexts = &frontend->contexts,
    };
    const struct checks_request checks = { frontend->buildkit->engine, frontend_file_name(frontend),
                                           &frontend->file_text };
    struct build_options options;

    if (make_options(frontend, &options, err) < 0)
        return -1;
    int built = options.checks_only
                    ? checks_run(&checks, &input, &options, &result, out, err)
                    : engine_build(frontend->buildkit->engine, &input, &options, &result, err);
    if (built < 0) {
        say_exit(&result, err);
        add_place(&result, failure);
        return -1;
    }
    if (options.checks_only)
        return 0;
    take_result(frontend, &result, out);
    return 0;
}

static int watch_cancellation(struct frontend *frontend, struct error *err)
{
    frontend->cancel_fd = descriptor_either(frontend->request->cancel_fd,
                                            frontend->request->solve->over_fd, err);
    return frontend->cancel_fd < 0 ? -1 : 0;
}

int frontend_build(struct buildkit *buildkit, const struct frontend_request *request,
                   struct frontend_result *out, struct failure *failure)
{
    struct error *err = &failure->error;
    CLEANUP(frontend_done)
    struct frontend frontend = { .buildkit = buildkit,
                                 .request = request,
                                 .progress = &request->solve->progress,
                                 .kept_size = -1,
                                 .context_fd = -1,
                                 .cancel_fd = -1 };

    map_init_empty(&frontend.directories, NULL);
    if (check_attributes(&frontend, err) < 0 || watch_cancellation(&frontend, err) < 0 ||
        peers_find(&buildkit->sessions, request->solve->session_id, frontend.cancel_fd,
                   &frontend.session, err) < 0 ||
        !(frontend.temporary_path = engine_temporary_directory(buildkit->engine, err)) ||
        frontend_bring(&frontend, err) < 0)
        return -1;
    return build(&frontend, out, failure);
}
