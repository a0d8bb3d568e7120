/* compose build: a service's build section as the words of a `build`. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "cli/build.h"
#include "cli/compose_image.h"
#include "cli/compose_pull.h"
#include "cli/parallel.h"
#include "compose/spot.h"

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

/* Adds the place of the key that says what a service is built for to a message. */
static int place_platforms(const char *name, const struct yaml *service, struct error *err)
{
    const struct yaml *platforms = yaml_get_path(service, "build", "platforms");
    struct spot top = { .name = "services" }, here = { .above = &top, .name = name },
                build = { .above = &here, .name = "build" },
                spot = { .above = platforms ? &build : &here,
                         .name = platforms ? "platforms" : "platform" };

    return spot_place(&spot, platforms ?: yaml_get(service, "platform"), NULL, err);
}

/* The platforms that an image is for, joined; what runs has one of them. NULL: the engine's, or
 * what $DOCKER_DEFAULT_PLATFORM says. Yours. */
static char *choose_platforms(const struct yaml *service, bool for_running)
{
    const struct yaml *platforms = yaml_get_path(service, "build", "platforms");
    const char *platform = yaml_text(yaml_get(service, "platform"));
    CLEANUP(strv_done) struct strv list = {};

    if (!yaml_count(platforms) || (for_running && (platform || platforms->count > 1)))
        return xstrdup(platform);
    for (size_t i = 0; i < platforms->count; i++)
        strv_add(&list, platforms->items[i]->text);
    return strv_join(&list, ",");
}

static int add_platforms(struct strv *words, const char *name, const struct yaml *service,
                         bool for_running, struct error *err)
{
    const struct yaml *platforms = yaml_get_path(service, "build", "platforms");
    CLEANUP(free) char *chosen = choose_platforms(service, for_running);
    const char *standard = getenv("DOCKER_DEFAULT_PLATFORM");
    bool is_among = !yaml_count(platforms) || chosen || text_is_empty(standard);

    for (size_t i = 0; !is_among && i < platforms->count; i++)
        is_among = strcmp(platforms->items[i]->text, standard) == 0;
    if (!is_among) {
        error_set(err, ERROR_INVALID,
                  "service \"%s\" build.platforms does not support value set by "
                  "DOCKER_DEFAULT_PLATFORM: %s",
                  name, standard);
        return place_platforms(name, service, err);
    }
    add_word(words, "platform", chosen);
    return 0;
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
    const char *isolation = yaml_text(yaml_get(build, "isolation"));

    if (isolation && strcmp(isolation, "default") != 0)
        return error_set(err, ERROR_UNSUPPORTED, "isolation is not supported");
    return 0;
}

/* A Dockerfile that stands in the compose file becomes a file without a name, of which nothing is
 * left however the build ends. */
static int write_inline(const char *text, int *out_fd, struct error *err)
{
    CLEANUP(close) int fd = memfd_create("Dockerfile", MFD_CLOEXEC);

    if (fd < 0)
        return error_sys(err, "memfd_create");
    if (fd_write_all(fd, text, strlen(text), err) < 0)
        return -1;
    *out_fd = TAKE_FD(fd);
    return 0;
}

static int add_dockerfile(struct strv *words, const struct yaml *build, int *out_inline_fd,
                          struct error *err)
{
    const char *context = yaml_text(yaml_get(build, "context"));
    const char *dockerfile = yaml_text(yaml_get(build, "dockerfile"));
    const char *text = yaml_text(yaml_get(build, "dockerfile_inline"));
    bool is_here = context[0] == '/';

    if (text) {
        if (write_inline(text, out_inline_fd, err) < 0)
            return -1;
        strv_add_format(words, "--file=/proc/self/fd/%d", *out_inline_fd);
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
                       int *out_inline_fd, struct error *err)
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
    if (add_platforms(words, name, service, options->for_running, err) < 0)
        return -1;
    add_word(words, "memory", options->memory);
    add_word(words, "provenance", options->provenance ?: yaml_text(yaml_get(build, "provenance")));
    add_word(words, "sbom", options->sbom ?: yaml_text(yaml_get(build, "sbom")));
    add_flag(words, "no-cache", options->no_cache || yaml_is_true(yaml_get(build, "no_cache")));
    add_flag(words, "pull", options->pull_base || yaml_is_true(yaml_get(build, "pull")));
    add_flag(words, "check", options->check);
    add_contexts(words, project, yaml_get(build, "additional_contexts"));
    if (add_secrets(words, project, yaml_get(build, "secrets"), err) < 0 ||
        add_dockerfile(words, build, out_inline_fd, err) < 0)
        return -1;
    strv_add(words, yaml_text(yaml_get(build, "context")));
    return 0;
}

/* ---- several: those whose files others take first, the rest side by side ---- */

struct build_task {
    struct cli cli; /* of its own: its exit code, its label */
    const char *name;
    const struct yaml *service;
    struct strv words;
    bool has_platform; /* one that the file names */
    int inline_fd;     /* the Dockerfile of the compose file; -1: none */
    char *label;
    bool is_quiet;
    struct progress *progress; /* everybody's */
    struct error failure;
    bool has_failed;
};

static void run_task(void *item)
{
    struct build_task *task = item;
    struct error *err = &task->failure;

    progress_tell(task->progress, "Service", task->name, "Building", PROGRESS_WORKING);
    if (!compose_options(&task->cli)->dry_run)
        task->has_failed = cli_build(&task->cli, &task->words, task->is_quiet, err) < 0;
    if (task->has_failed && (err->kind == ERROR_UNSUPPORTED || task->label))
        error_context(err, "service \"%s\": build", task->name);
    if (task->has_failed && task->has_platform && err->kind == ERROR_UNSUPPORTED)
        place_platforms(task->name, task->service, err);
    progress_tell(task->progress, "Service", task->name, task->has_failed ? "Error" : "Built",
                  task->has_failed ? PROGRESS_FAILED : PROGRESS_DONE);
}

static void task_done(struct build_task *task)
{
    if (task->inline_fd >= 0)
        close(task->inline_fd);
    free(task->label);
    strv_done(&task->words);
}

/* Builds the named services at once, as many as may be; they need nothing of each other. */
static int build_together(struct cli *cli, const struct project *project, const struct strv *names,
                          const struct compose_image_options *options, struct error *err)
{
    bool is_alone = names->count == 1;
    CLEANUP(progress_free)
    struct progress *progress = is_alone || options->quiet_build ? compose_progress(cli)
                                                                 : compose_progress_lines(cli);
    struct build_task *tasks = xcalloc(names->count + 1, sizeof(*tasks));
    int width = 0, result = 0;

    for (size_t i = 0; i < names->count; i++) {
        width = MAX(width, (int)strlen(names->items[i]));
        tasks[i].inline_fd = -1;
    }
    /* Words are written one after the other: variables may go into our own environment. */
    for (size_t i = 0; i < names->count && result == 0; i++) {
        struct build_task *task = &tasks[i];

        *task = (struct build_task){ .cli = *cli,
                                     .name = names->items[i],
                                     .service = project_any_service(project, names->items[i]),
                                     .inline_fd = -1,
                                     .is_quiet = options->quiet_build,
                                     .progress = progress };
        task->label = is_alone ? NULL : xasprintf("%-*s  | ", width, task->name);
        task->cli.label = task->label;
        result = write_words(project, task->name, options, &task->words, &task->inline_fd, err);
        if (result < 0 && err->kind == ERROR_UNSUPPORTED)
            error_context(err, "service \"%s\": build", task->name);
        CLEANUP(free) char *platforms = choose_platforms(task->service, options->for_running);
        task->has_platform = platforms;
    }
    if (result == 0)
        parallel_each(tasks, sizeof(*tasks), names->count, (size_t)compose_parallel(cli, project),
                      run_task);
    for (size_t i = 0; i < names->count; i++) {
        if (tasks[i].has_failed && result == 0) {
            *err = tasks[i].failure;
            cli->exit_code = tasks[i].cli.exit_code;
            result = -1;
        }
        task_done(&tasks[i]);
    }
    free(tasks);
    return result;
}

/* How many builds have to be over before that of 'name' (0: none), in 'depths' (service → that
 * number + 1); those that it takes files from are added to it. */
static int find_depth(const struct project *project, const char *name, struct map *depths,
                      size_t *out, struct error *err)
{
    static const char begun;
    const struct yaml *build = yaml_get(project_any_service(project, name), "build");
    const struct yaml *contexts = yaml_get(build, "additional_contexts");
    const void *state = map_get(depths, name);
    size_t depth = 0;

    if (state == &begun)
        return error_set(err, ERROR_INVALID,
                         "service \"%s\": its build takes files from itself by additional_contexts",
                         name);
    if (state) {
        *out = (size_t)state;
        return 0;
    }
    map_set(depths, name, (void *)&begun);
    for (size_t i = 0; i < yaml_count(contexts); i++) {
        const char *where = yaml_text(contexts->items[i]);
        size_t other;

        if (!text_starts(where, "service:"))
            continue;
        if (find_depth(project, where + strlen("service:"), depths, &other, err) < 0)
            return -1;
        depth = MAX(depth, other);
    }
    *out = depth + 1;
    map_set(depths, name, (void *)*out);
    return 0;
}

int compose_build_services(struct cli *cli, const struct project *project, const struct strv *names,
                           const struct compose_image_options *options, struct error *err)
{
    CLEANUP(map_done) struct map depths = {};
    size_t deepest = 0, depth;

    for (size_t i = 0; i < names->count; i++) {
        if (find_depth(project, names->items[i], &depths, &depth, err) < 0)
            return -1;
        deepest = MAX(deepest, depth);
    }
    for (depth = 1; depth <= deepest; depth++) {
        CLEANUP(strv_done) struct strv together = {};

        MAP_EACH (&depths, entry)
            if ((size_t)entry->value == depth &&
                !yaml_is_null(yaml_get(project_any_service(project, entry->key), "build")))
                strv_add(&together, entry->key);
        strv_sort(&together);
        if (together.count && build_together(cli, project, &together, options, err) < 0)
            return -1;
    }
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
    { 0,   "provenance",        OPTION_TEXT, AT(provenance),        "Attest how images were made (true, false, mode=min, mode=max)" },
    { 0,   "pull",              OPTION_BOOL, AT(pull),              "Look for newer base images" },
    { 0,   "push",              OPTION_BOOL, AT(push),              "Push the images afterwards" },
    { 'q', "quiet",             OPTION_BOOL, AT(quiet),             "Print nothing of the builds" },
    { 0,   "sbom",              OPTION_TEXT, AT(sbom),              "Attest which packages are in images (true, false)" },
    { 0,   "ssh",               OPTION_LIST, AT(ssh),               "Let RUN use an SSH agent or key (default or id=path)" },
    { 0,   "with-dependencies", OPTION_BOOL, AT(with_dependencies), "Build what the services depend on, too" },
    {},
};
/* clang-format on */

static int check_options(const struct build_options *options, struct error *err)
{
    if (!text_is_empty(options->builder) && strcmp(options->builder, "default") != 0)
        return error_set(err, ERROR_UNSUPPORTED, "--builder=%s is not supported", options->builder);
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
                                          .provenance = options->provenance,
                                          .sbom = options->sbom,
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
