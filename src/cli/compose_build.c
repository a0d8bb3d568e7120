/* compose build: a service's build section as the words of a `build`. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "cli/build.h"
#include "cli/compose_image.h"
#include "cli/compose_pull.h"

#include "base/banned.h"

/* ---- one service ---- */

static void add_word(struct strv *words, const char *name, const char *value)
{
    if (value)
        strv_add_format(words, "--%s=%s", name, value);
}

static void add_list(struct strv *words, const char *name, const struct yaml *list)
{
    for (size_t i = 0; i < yaml_count(list); i++)
        add_word(words, name, yaml_text(list->items[i]));
}

/* A key without a value is left to `build`, which looks into the environment. */
static void add_pairs(struct strv *words, const char *name, const struct yaml *pairs)
{
    for (size_t i = 0; i < yaml_count(pairs); i++)
        if (yaml_is_null(pairs->items[i]))
            add_word(words, name, pairs->keys[i]);
        else
            strv_add_format(words, "--%s=%s=%s", name, pairs->keys[i], yaml_text(pairs->items[i]));
}

static void add_flag(struct strv *words, const char *name, bool is_set)
{
    if (is_set)
        strv_add_format(words, "--%s", name);
}

/* "host=address" is written with a colon there. */
static void add_hosts(struct strv *words, const struct yaml *hosts)
{
    for (size_t i = 0; i < yaml_count(hosts); i++) {
        const char *text = hosts->items[i]->text, *equals = strchr(text, '=');

        strv_add_format(words, "--add-host=%.*s:%s", (int)(equals - text), text, equals + 1);
    }
}

static void add_ulimits(struct strv *words, const struct yaml *ulimits)
{
    for (size_t i = 0; i < yaml_count(ulimits); i++) {
        const struct yaml *limit = ulimits->items[i];

        if (limit->kind == YAML_DICT)
            strv_add_format(words, "--ulimit=%s=%s:%s", ulimits->keys[i],
                            yaml_text(yaml_get(limit, "soft")), yaml_text(yaml_get(limit, "hard")));
        else
            strv_add_format(words, "--ulimit=%s=%s", ulimits->keys[i], yaml_text(limit));
    }
}

static void add_platforms(struct strv *words, const struct yaml *service)
{
    const struct yaml *platforms = yaml_get_path(service, "build", "platforms");
    CLEANUP(strv_done) struct strv list = {};

    for (size_t i = 0; i < yaml_count(platforms); i++)
        strv_add(&list, platforms->items[i]->text);
    CLEANUP(free) char *joined = strv_join(&list, ",");
    add_word(words, "platform", list.count ? joined : yaml_text(yaml_get(service, "platform")));
}

/* The values of variables reach the build by our own environment: a .env file may have set them. */
static int add_secrets(struct strv *words, const struct project *project,
                       const struct yaml *secrets, struct error *err)
{
    for (size_t i = 0; i < yaml_count(secrets); i++) {
        const char *source = yaml_text(yaml_get(secrets->items[i], "source"));
        const char *target = yaml_text(yaml_get(secrets->items[i], "target"));
        const struct yaml *secret = yaml_get(yaml_get(project->model, "secrets"), source);
        const char *file = yaml_text(yaml_get(secret, "file")),
                   *variable = yaml_text(yaml_get(secret, "environment"));
        const char *id = target ? (strrchr(target, '/') ? strrchr(target, '/') + 1 : target)
                                : source;

        if (file) {
            strv_add_format(words, "--secret=id=%s,src=%s", id, file);
        } else if (variable) {
            const char *value = map_get(&project->environment, variable);

            if (value)
                setenv(variable, value, true);
            strv_add_format(words, "--secret=id=%s,env=%s", id, variable);
        } else {
            return error_set(err, ERROR_UNSUPPORTED,
                             "secret \"%s\" is neither a file nor a variable", source);
        }
    }
    return 0;
}

/* "service:x" is the image of x, which has been built by now. */
static void add_contexts(struct strv *words, const struct project *project,
                         const struct yaml *contexts)
{
    for (size_t i = 0; i < yaml_count(contexts); i++) {
        const char *where = yaml_text(contexts->items[i]);

        if (text_starts(where, "service:")) {
            CLEANUP(free) char *image = project_image_name(project, where + strlen("service:"));

            strv_add_format(words, "--build-context=%s=docker-image://%s", contexts->keys[i],
                            image);
        } else {
            strv_add_format(words, "--build-context=%s=%s", contexts->keys[i], where);
        }
    }
}

static int refuse_unsupported(const struct yaml *build, struct error *err)
{
    static const char *const attestations[] = { "provenance", "sbom" };
    const char *isolation = yaml_text(yaml_get(build, "isolation"));

    for (size_t i = 0; i < COUNT(attestations); i++) {
        const char *value = yaml_text(yaml_get(build, attestations[i]));

        if (value && strcmp(value, "false") != 0)
            return error_set(err, ERROR_UNSUPPORTED, "%s is not supported", attestations[i]);
    }
    if (isolation && strcmp(isolation, "default") != 0)
        return error_set(err, ERROR_UNSUPPORTED, "isolation is not supported");
    return 0;
}

/* A Dockerfile that stands in the compose file becomes a file for the time of the build. */
static int write_inline(const char *text, char **out_path, struct error *err)
{
    char path[] = "/tmp/berth-dockerfile-XXXXXX";
    CLEANUP(close) int fd = mkostemp(path, O_CLOEXEC);

    if (fd < 0)
        return error_sys(err, "create %s", path);
    *out_path = xstrdup(path);
    return fd_write_all(fd, text, strlen(text), err);
}

static int add_dockerfile(struct strv *words, const struct yaml *build, char **out_temporary,
                          struct error *err)
{
    const char *context = yaml_text(yaml_get(build, "context"));
    const char *dockerfile = yaml_text(yaml_get(build, "dockerfile"));
    const char *text = yaml_text(yaml_get(build, "dockerfile_inline"));
    bool is_here = context[0] == '/';

    if (text) {
        if (write_inline(text, out_temporary, err) < 0)
            return -1;
        add_word(words, "file", *out_temporary);
        return 0;
    }
    CLEANUP(free)
    char *path = is_here && dockerfile[0] != '/' ? path_join(context, dockerfile)
                                                 : xstrdup(dockerfile);
    if (is_here && !file_exists(path))
        return error_set(err, ERROR_NOT_FOUND,
                         "failed to read dockerfile: open %s: no such file or directory", path);
    add_word(words, "file", path);
    return 0;
}

static int write_words(const struct project *project, const char *name,
                       const struct compose_image_options *options, struct strv *words,
                       char **out_temporary, struct error *err)
{
    const struct yaml *service = project_any_service(project, name),
                      *build = yaml_get(service, "build");
    CLEANUP(free) char *image = project_image_name(project, name);

    if (refuse_unsupported(build, err) < 0)
        return -1;
    add_word(words, "tag", image);
    add_list(words, "tag", yaml_get(build, "tags"));
    add_pairs(words, "build-arg", yaml_get(build, "args"));
    for (size_t i = 0; options->build_args && i < options->build_args->count; i++)
        add_word(words, "build-arg", options->build_args->items[i]);
    add_pairs(words, "label", yaml_get(build, "labels"));
    add_word(words, "label", "com.docker.compose.image.builder=classic");
    add_hosts(words, yaml_get(build, "extra_hosts"));
    add_ulimits(words, yaml_get(build, "ulimits"));
    add_list(words, "allow", yaml_get(build, "entitlements"));
    if (yaml_is_true(yaml_get(build, "privileged")))
        add_word(words, "allow", "security.insecure");
    add_list(words, "cache-from", yaml_get(build, "cache_from"));
    add_list(words, "cache-to", yaml_get(build, "cache_to"));
    add_list(words, "no-cache-filter", yaml_get(build, "no_cache_filter"));
    add_list(words, "ssh", yaml_get(build, "ssh"));
    for (size_t i = 0; options->ssh && i < options->ssh->count; i++)
        add_word(words, "ssh", options->ssh->items[i]);
    add_word(words, "target", yaml_text(yaml_get(build, "target")));
    add_word(words, "network", yaml_text(yaml_get(build, "network")));
    add_word(words, "shm-size", yaml_text(yaml_get(build, "shm_size")));
    add_platforms(words, service);
    add_word(words, "memory", options->memory);
    add_flag(words, "no-cache", options->no_cache || yaml_is_true(yaml_get(build, "no_cache")));
    add_flag(words, "pull", options->pull_base || yaml_is_true(yaml_get(build, "pull")));
    add_flag(words, "check", options->check);
    add_contexts(words, project, yaml_get(build, "additional_contexts"));
    if (add_secrets(words, project, yaml_get(build, "secrets"), err) < 0 ||
        add_dockerfile(words, build, out_temporary, err) < 0)
        return -1;
    strv_add(words, yaml_text(yaml_get(build, "context")));
    return 0;
}

static int build_one(struct cli *cli, const struct project *project, const char *name,
                     const struct compose_image_options *options, struct error *err)
{
    CLEANUP(progress_free) struct progress *progress = compose_progress(cli);
    CLEANUP(strv_done) struct strv words = {};
    CLEANUP(free) char *temporary = NULL;

    progress_tell(progress, "Service", name, "Building", PROGRESS_WORKING);
    int result = write_words(project, name, options, &words, &temporary, err);
    if (result == 0 && !compose_options(cli)->dry_run)
        result = cli_build(cli, &words, options->quiet_build, err);
    if (result < 0 && err->kind == ERROR_UNSUPPORTED)
        error_context(err, "service \"%s\": build", name);
    progress_tell(progress, "Service", name, result < 0 ? "Error" : "Built",
                  result < 0 ? PROGRESS_FAILED : PROGRESS_DONE);
    if (temporary)
        unlink(temporary);
    return result;
}

/* ---- several, each after those whose images it takes files from ---- */

static int build_after_contexts(struct cli *cli, const struct project *project, const char *name,
                                const struct compose_image_options *options, struct map *seen,
                                struct error *err)
{
    const struct yaml *build = yaml_get(project_any_service(project, name), "build");
    const struct yaml *contexts = yaml_get(build, "additional_contexts");
    const char *state = map_get(seen, name);

    if (yaml_is_null(build) || text_equal(state, "built"))
        return 0;
    if (state)
        return error_set(err, ERROR_INVALID,
                         "service \"%s\": its build takes files from itself by additional_contexts",
                         name);
    map_set_text(seen, name, "begun");
    for (size_t i = 0; i < yaml_count(contexts); i++) {
        const char *where = yaml_text(contexts->items[i]);

        if (text_starts(where, "service:") &&
            build_after_contexts(cli, project, where + strlen("service:"), options, seen, err) < 0)
            return -1;
    }
    map_set_text(seen, name, "built");
    return build_one(cli, project, name, options, err);
}

int compose_build_services(struct cli *cli, const struct project *project, const struct strv *names,
                           const struct compose_image_options *options, struct error *err)
{
    CLEANUP(map_done) struct map seen = {};

    map_init_empty(&seen, free);
    for (size_t i = 0; i < names->count; i++)
        if (build_after_contexts(cli, project, names->items[i], options, &seen, err) < 0)
            return -1;
    return 0;
}

/* ---- the command ---- */

struct build_options {
    bool no_cache, pull, push, quiet, with_dependencies, check;
    struct strv build_arg, ssh;
    const char *builder, *memory, *provenance, *sbom;
};

/* clang-format off */
#define AT(member) offsetof(struct build_options, member)
static const struct option_row rows[] = {
    { 0,   "build-arg",         OPTION_LIST, AT(build_arg),         "Set a variable of the builds" },
    { 0,   "builder",           OPTION_TEXT, AT(builder),           "Who builds (default: the engine; there is no other)" },
    { 0,   "check",             OPTION_BOOL, AT(check),             "Only say what is unwise in the Dockerfiles" },
    { 'm', "memory",            OPTION_TEXT, AT(memory),            "Memory limit of RUN, in bytes" },
    { 0,   "no-cache",          OPTION_BOOL, AT(no_cache),          "Do every step anew" },
    { 0,   "print",             OPTION_UNSUPPORTED_FLAG, 0,         "builds are not handed to bake, whose file it prints" },
    { 0,   "provenance",        OPTION_TEXT, AT(provenance),        "Attest how images were made (false; nothing else is supported)" },
    { 0,   "pull",              OPTION_BOOL, AT(pull),              "Look for newer base images" },
    { 0,   "push",              OPTION_BOOL, AT(push),              "Push the images afterwards" },
    { 'q', "quiet",             OPTION_BOOL, AT(quiet),             "Print nothing of the builds" },
    { 0,   "sbom",              OPTION_TEXT, AT(sbom),              "Attest what images hold (false; nothing else is supported)" },
    { 0,   "ssh",               OPTION_LIST, AT(ssh),               "Let RUN use an SSH agent or key (default or id=path)" },
    { 0,   "with-dependencies", OPTION_BOOL, AT(with_dependencies), "Build what the services depend on, too" },
    {},
};
/* clang-format on */

static int check_options(const struct build_options *options, struct error *err)
{
    const struct {
        const char *name, *value, *only;
    } fixed[] = { { "builder", options->builder, "default" },
                  { "provenance", options->provenance, "false" },
                  { "sbom", options->sbom, "false" } };

    for (size_t i = 0; i < COUNT(fixed); i++)
        if (!text_is_empty(fixed[i].value) && strcmp(fixed[i].value, fixed[i].only) != 0)
            return error_set(err, ERROR_UNSUPPORTED, "--%s=%s is not supported", fixed[i].name,
                             fixed[i].value);
    return 0;
}

static int build(struct cli *cli, const void *parsed, const struct strv *arguments,
                 struct error *err)
{
    const struct build_options *options = parsed;
    CLEANUP(project_done) struct project project = {};
    CLEANUP(strv_done) struct strv names = {};
    struct compose_image_options wish = { .no_cache = options->no_cache,
                                          .pull_base = options->pull,
                                          .quiet_build = options->quiet,
                                          .check = options->check,
                                          .memory = options->memory,
                                          .ssh = &options->ssh,
                                          .build_args = &options->build_arg };

    if (check_options(options, err) < 0 || compose_load(cli, arguments, &project, err) < 0 ||
        project_select(&project, arguments, !options->with_dependencies, err) < 0)
        return -1;
    const struct yaml *services = yaml_get(project.model, "services");
    for (size_t i = 0; i < yaml_count(services); i++)
        if (!yaml_is_null(yaml_get(services->items[i], "build")))
            strv_add(&names, services->keys[i]);
    if (compose_build_services(cli, &project, &names, &wish, err) < 0)
        return -1;
    return options->push && !options->check
               ? compose_push_services(cli, &project, &names, options->quiet, false, err)
               : 0;
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
