/* compose build: a service's build section as one call of the engine. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "cli/compose_image.h"
#include "cli/context.h"
#include "compose/body.h"

#include "base/banned.h"

static void add_pairs(struct client_path *path, const char *name, const struct yaml *pairs,
                      const struct strv *more)
{
    CLEANUP(yaml_drop) struct yaml *all = pairs ? yaml_clone(pairs) : yaml_new(YAML_DICT);
    CLEANUP(str_done) struct str text = {};

    for (size_t i = 0; more && i < more->count; i++) {
        const char *entry = more->items[i], *equals = strchr(entry, '=');
        CLEANUP(free)
        char *key = equals ? xstrndup(entry, (size_t)(equals - entry)) : xstrdup(entry);
        const char *value = equals ? equals + 1 : getenv(key);

        if (value)
            yaml_set(all, key, yaml_new_text(value));
    }
    yaml_write_json(all, &text);
    client_path_query(path, name, str_text(&text));
}

/* What only other protocols can carry. */
static int refuse_unsupported(const char *name, const struct yaml *build, struct error *err)
{
    static const char *const keys[] = { "additional_contexts", "secrets",  "ssh",
                                        "privileged",          "cache_to", "entitlements",
                                        "isolation",           "ulimits",  "no_cache_filter" };

    for (size_t i = 0; i < COUNT(keys); i++)
        if (!yaml_is_null(yaml_get(build, keys[i])))
            return error_set(err, ERROR_UNSUPPORTED,
                             "service \"%s\": build.%s is not supported yet", name, keys[i]);
    if (yaml_count(yaml_get(build, "platforms")) > 1)
        return error_set(err, ERROR_UNSUPPORTED,
                         "service \"%s\": builds for several platforms are not supported yet",
                         name);
    return 0;
}

static void add_query(struct client_path *path, const struct project *project, const char *name,
                      const struct yaml *build, const char *dockerfile,
                      const struct compose_image_options *options)
{
    CLEANUP(free) char *image = project_image_name(project, name);
    const struct yaml *tags = yaml_get(build, "tags"), *hosts = yaml_get(build, "extra_hosts");
    const struct yaml *platforms = yaml_get(build, "platforms");
    CLEANUP(yaml_drop)
    struct yaml *labels = yaml_get(build, "labels") ? yaml_clone(yaml_get(build, "labels"))
                                                    : yaml_new(YAML_DICT);

    yaml_set(labels, "com.docker.compose.image.builder", yaml_new_text("classic"));
    client_path_query(path, "t", image);
    for (size_t i = 0; i < yaml_count(tags); i++)
        client_path_query(path, "t", tags->items[i]->text);
    for (size_t i = 0; i < yaml_count(hosts); i++) {
        char *equals = strchr(hosts->items[i]->text, '=');
        CLEANUP(free) char *host = xstrdup(hosts->items[i]->text);

        if (equals)
            host[equals - hosts->items[i]->text] = ':';
        client_path_query(path, "extrahosts", host);
    }
    client_path_query(path, "dockerfile", dockerfile);
    add_pairs(path, "buildargs", yaml_get(build, "args"), options->build_args);
    add_pairs(path, "labels", labels, NULL);
    client_path_query(path, "target", yaml_text(yaml_get(build, "target")));
    client_path_query(path, "networkmode", yaml_text(yaml_get(build, "network")));
    client_path_query(path, "shmsize", yaml_text(yaml_get(build, "shm_size")));
    client_path_query(path, "platform",
                      yaml_count(platforms)
                          ? platforms->items[0]->text
                          : yaml_text(yaml_get(project_service(project, name), "platform")));
    client_path_query(path, "memory", options->memory);
    if (options->no_cache || yaml_is_true(yaml_get(build, "no_cache")))
        client_path_query(path, "nocache", "1");
    if (options->pull_base || yaml_is_true(yaml_get(build, "pull")))
        client_path_query(path, "pull", "1");
    client_path_query(path, "rm", "1");
}

/* Prints what the engine says. */
static int follow(struct client_messages *messages, bool quiet, struct error *err)
{
    struct json *message = NULL;
    int more;

    while ((more = client_messages_next(messages, &message, err)) > 0) {
        const char *text = json_text(json_get(message, "stream")),
                   *failed = json_text(json_get(message, "error"));

        if (text && !quiet)
            fputs(text, stdout);
        fflush(stdout);
        if (failed)
            more = error_set(err, ERROR_INTERNAL, "%s", failed);
        json_free(message);
        if (more < 0)
            break;
    }
    return more;
}

/* A Dockerfile that stands in the compose file, or outside the context, is sent along under a name
 * of its own. */
static int open_context(const struct yaml *build, struct stream **out, char **out_dockerfile,
                        char **out_temporary, struct error *err)
{
    const char *context = yaml_text(yaml_get(build, "context"));
    const char *dockerfile = yaml_text(yaml_get(build, "dockerfile"));
    const char *inline_text = yaml_text(yaml_get(build, "dockerfile_inline"));
    CLEANUP(free) char *path = NULL;
    struct context_part part = { .directory = context, .name = "" };
    size_t length = strlen(context);

    if (strstr(context, "://") || text_starts(context, "git@"))
        return error_set(err, ERROR_UNSUPPORTED, "remote build contexts are not supported yet: %s",
                         context);
    if (inline_text) {
        *out_temporary = xasprintf("/tmp/berth-dockerfile.%d", (int)getpid());
        if (file_write_atomic(*out_temporary, inline_text, strlen(inline_text), 0600, false, err) <
            0)
            return -1;
        *out_dockerfile = xasprintf(".dockerfile.%d", (int)getpid());
        return context_stream(&part, 1, *out_temporary, *out_dockerfile, out, err);
    }
    path = dockerfile[0] == '/' ? xstrdup(dockerfile) : path_join(context, dockerfile);
    if (!file_exists(path))
        return error_set(err, ERROR_NOT_FOUND,
                         "failed to read dockerfile: open %s: no such file or directory", path);
    char *clean = path_clean(path);
    free(path);
    path = clean;
    if (strncmp(path, context, length) == 0 && path[length] == '/') {
        *out_dockerfile = xstrdup(path + length + 1);
        return context_stream(&part, 1, NULL, NULL, out, err);
    }
    *out_dockerfile = xasprintf(".dockerfile.%d", (int)getpid());
    return context_stream(&part, 1, path, *out_dockerfile, out, err);
}

static int send_build(struct cli *cli, const struct project *project, const char *name,
                      const struct compose_image_options *options, struct error *err)
{
    const struct yaml *build = yaml_get(project_service(project, name), "build");
    CLEANUP(client_path_done) struct client_path path = {};
    CLEANUP(stream_close) struct stream *body = NULL;
    CLEANUP(free) char *dockerfile = NULL, *temporary = NULL;
    struct client_messages messages = {};
    int result;

    if (refuse_unsupported(name, build, err) < 0)
        return -1;
    result = open_context(build, &body, &dockerfile, &temporary, err);
    if (result == 0) {
        client_path_begin(&path, "/build");
        add_query(&path, project, name, build, dockerfile, options);
        result = client_stream(cli->client, "POST", &path, NULL, body, "application/x-tar",
                               &messages.response, err);
    }
    if (result == 0)
        result = follow(&messages, options->quiet_build, err);
    client_messages_done(&messages);
    if (temporary)
        unlink(temporary);
    return result;
}

int compose_build_service(struct cli *cli, const struct project *project, const char *name,
                          const struct compose_image_options *options, struct error *err)
{
    CLEANUP(progress_free) struct progress *progress = compose_progress(cli);
    int result = 0;

    progress_tell(progress, "Service", name, "Building", PROGRESS_WORKING);
    if (!compose_options(cli)->dry_run)
        result = send_build(cli, project, name, options, err);
    progress_tell(progress, "Service", name, result < 0 ? "Error" : "Built",
                  result < 0 ? PROGRESS_FAILED : PROGRESS_DONE);
    return result;
}

/* ---- the command ---- */

struct build_options {
    bool no_cache, pull, quiet, with_dependencies;
    struct strv build_arg;
    const char *memory;
};

/* clang-format off */
#define AT(member) offsetof(struct build_options, member)
static const struct option_row rows[] = {
    { 0,   "build-arg",         OPTION_LIST, AT(build_arg),         "Set a variable of the builds" },
    { 0,   "builder",           OPTION_UNSUPPORTED, 0, NULL },
    { 0,   "check",             OPTION_UNSUPPORTED_FLAG, 0, NULL },
    { 'm', "memory",            OPTION_TEXT, AT(memory),            "Memory limit of RUN, in bytes" },
    { 0,   "no-cache",          OPTION_BOOL, AT(no_cache),          "Do every step anew" },
    { 0,   "print",             OPTION_UNSUPPORTED_FLAG, 0, NULL },
    { 0,   "provenance",        OPTION_UNSUPPORTED, 0, NULL },
    { 0,   "pull",              OPTION_BOOL, AT(pull),              "Look for newer base images" },
    { 0,   "push",              OPTION_UNSUPPORTED_FLAG, 0, NULL },
    { 'q', "quiet",             OPTION_BOOL, AT(quiet),             "Print nothing of the builds" },
    { 0,   "sbom",              OPTION_UNSUPPORTED, 0, NULL },
    { 0,   "ssh",               OPTION_UNSUPPORTED, 0, NULL },
    { 0,   "with-dependencies", OPTION_BOOL, AT(with_dependencies), "Build what the services depend on, too" },
    {},
};
/* clang-format on */

static int build(struct cli *cli, const void *parsed, const struct strv *arguments,
                 struct error *err)
{
    const struct build_options *options = parsed;
    CLEANUP(project_done) struct project project = {};
    struct compose_image_options wish = { .no_cache = options->no_cache,
                                          .pull_base = options->pull,
                                          .quiet_build = options->quiet,
                                          .memory = options->memory,
                                          .build_args = &options->build_arg };

    if (compose_load(cli, arguments, &project, err) < 0 ||
        project_select(&project, arguments, !options->with_dependencies, err) < 0)
        return -1;
    const struct yaml *services = yaml_get(project.model, "services");
    for (size_t i = 0; i < yaml_count(services); i++)
        if (!yaml_is_null(yaml_get(services->items[i], "build")) &&
            compose_build_service(cli, &project, services->keys[i], &wish, err) < 0)
            return -1;
    return 0;
}

const struct command command_compose_build = {
    .name = "build",
    .usage = "[OPTIONS] [SERVICE...]",
    .summary = "Build the images of services",
    .most = MANY_ARGUMENTS,
    .options = rows,
    .options_size = sizeof(struct build_options),
    .run = build,
};
