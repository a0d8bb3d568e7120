/* compose pull, compose push */
#include "cli/compose_pull.h"

#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "cli/compose_image.h"
#include "cli/parallel.h"
#include "cli/registry.h"

#include "base/banned.h"

/* ---- several at once ---- */

/* An image with the services that want it: the pulls from 'first' on that have its name. */
struct group {
    struct cli *cli;
    struct progress *progress;
    struct compose_pull *first, *end;
};

static bool is_same(const struct compose_pull *a, const struct compose_pull *b)
{
    return strcmp(a->image, b->image) == 0 && text_equal(a->platform, b->platform);
}

static void tell_group(const struct group *group, const char *status, enum progress_state state)
{
    for (struct compose_pull *pull = group->first; pull < group->end; pull++)
        if (is_same(pull, group->first))
            progress_tell(group->progress, "Service", pull->service, status, state);
}

static void pull_group(void *item)
{
    struct group *group = item;
    struct error failure = {};
    bool is_done;

    tell_group(group, "Pulling", PROGRESS_WORKING);
    is_done = compose_options(group->cli)->dry_run ||
              cli_pull(group->cli, group->first->image, group->first->platform, NULL, &failure) ==
                  0;
    tell_group(group, is_done ? "Pulled" : failure.text, is_done ? PROGRESS_DONE : PROGRESS_FAILED);
    for (struct compose_pull *pull = group->first; !is_done && pull < group->end; pull++)
        if (is_same(pull, group->first)) {
            pull->failure = failure;
            pull->has_failed = true;
        }
}

void compose_pull_images(struct cli *cli, const struct project *project, struct compose_pull *pulls,
                         size_t count, bool is_quiet)
{
    CLEANUP(progress_free) struct progress *progress = is_quiet ? NULL : compose_progress(cli);
    CLEANUP(free) struct group *groups = xcalloc(count + 1, sizeof(*groups));
    size_t group_count = 0;

    for (size_t i = 0; i < count; i++) {
        bool is_new = true;

        for (size_t j = 0; j < i; j++)
            is_new &= !is_same(&pulls[i], &pulls[j]);
        if (is_new)
            groups[group_count++] = (struct group){
                .cli = cli, .progress = progress, .first = &pulls[i], .end = pulls + count
            };
    }
    parallel_each(groups, sizeof(*groups), group_count, (size_t)compose_parallel(cli, project),
                  pull_group);
}

/* ---- pull ---- */

struct pull_options {
    bool ignore_buildable, ignore_failures, include_deps, quiet;
    const char *policy;
};

/* clang-format off */
#define AT(member) offsetof(struct pull_options, member)
static const struct option_row pull_rows[] = {
    { 0,   "ignore-buildable",     OPTION_BOOL, AT(ignore_buildable), "Leave out what can be built" },
    { 0,   "ignore-pull-failures", OPTION_BOOL, AT(ignore_failures),  "Go on after failures" },
    { 0,   "include-deps",         OPTION_BOOL, AT(include_deps),     "Pull for what the services depend on, too" },
    { 0,   "policy",               OPTION_TEXT, AT(policy),           "missing or always" },
    { 'q', "quiet",                OPTION_BOOL, AT(quiet),            "Print nothing" },
    {},
};
#undef AT
/* clang-format on */

/* 1: this service's image is to be pulled. */
static int wants_pull(struct cli *cli, const struct yaml *service,
                      const struct pull_options *options, struct error *err)
{
    const char *image = yaml_text(yaml_get(service, "image"));
    const char *policy = options->policy ?: yaml_text(yaml_get(service, "pull_policy"));
    bool can_build = !yaml_is_null(yaml_get(service, "build"));
    CLEANUP(free) char *id = NULL;

    if (!image || (can_build && (options->ignore_buildable || text_equal(policy, "build"))) ||
        text_equal(policy, "never"))
        return 0;
    if (!text_equal(policy, "missing") && !text_equal(policy, "if_not_present"))
        return 1;
    if (compose_image_id(cli, image, &id, err) < 0)
        return -1;
    return !id;
}

static int pull(struct cli *cli, const void *parsed, const struct strv *arguments,
                struct error *err)
{
    const struct pull_options *options = parsed;
    CLEANUP(project_done) struct project project = {};
    CLEANUP(free) struct compose_pull *pulls = NULL;
    size_t count = 0;

    if (options->policy && strcmp(options->policy, "missing") != 0 &&
        strcmp(options->policy, "always") != 0)
        return error_set(err, ERROR_INVALID,
                         "--policy must be \"always\" or \"missing\", not \"%s\"", options->policy);
    if (compose_load(cli, arguments, &project, err) < 0 ||
        project_select(&project, arguments, !options->include_deps, err) < 0)
        return -1;
    const struct yaml *services = yaml_get(project.model, "services");
    pulls = xcalloc(yaml_count(services) + 1, sizeof(*pulls));
    for (size_t i = 0; i < yaml_count(services); i++) {
        const struct yaml *service = services->items[i];
        int wanted = wants_pull(cli, service, options, err);

        if (wanted < 0)
            return -1;
        if (wanted)
            pulls[count++] =
                (struct compose_pull){ .service = services->keys[i],
                                       .image = yaml_text(yaml_get(service, "image")),
                                       .platform = yaml_text(yaml_get(service, "platform")) };
    }
    compose_pull_images(cli, &project, pulls, count, options->quiet);
    for (size_t i = 0; i < count && !options->ignore_failures; i++)
        /* What can be built need not be there to be pulled. */
        if (pulls[i].has_failed &&
            !yaml_get(project_service(&project, pulls[i].service), "build")) {
            *err = pulls[i].failure;
            return -1;
        }
    return 0;
}

const struct command command_compose_pull = {
    .name = "pull",
    .usage = "[OPTIONS] [SERVICE...]",
    .summary = "Pull the images of services",
    .most = MANY_ARGUMENTS,
    .options = pull_rows,
    .options_size = sizeof(struct pull_options),
    .run = pull,
};

/* ---- push ---- */

struct push_options {
    bool ignore_failures, include_deps, quiet;
};

/* clang-format off */
#define AT(member) offsetof(struct push_options, member)
static const struct option_row push_rows[] = {
    { 0,   "ignore-push-failures", OPTION_BOOL, AT(ignore_failures), "Go on after failures" },
    { 0,   "include-deps",         OPTION_BOOL, AT(include_deps),    "Push for what the services depend on, too" },
    { 'q', "quiet",                OPTION_BOOL, AT(quiet),           "Print nothing" },
    {},
};
#undef AT
/* clang-format on */

static int push_service(struct cli *cli, struct progress *progress, const char *name,
                        const struct yaml *service, struct error *err)
{
    const struct yaml *tags = yaml_get_path(service, "build", "tags");
    const char *image = yaml_text(yaml_get(service, "image"));
    bool is_dry = compose_options(cli)->dry_run;
    int result = 0;

    progress_tell(progress, "Service", name, "Pushing", PROGRESS_WORKING);
    if (image && !is_dry)
        result = cli_push(cli, image, NULL, err);
    for (size_t i = 0; result == 0 && !is_dry && i < yaml_count(tags); i++)
        result = cli_push(cli, tags->items[i]->text, NULL, err);
    progress_tell(progress, "Service", name, result == 0 ? "Pushed" : err->text,
                  result == 0 ? PROGRESS_DONE : PROGRESS_FAILED);
    return result;
}

int compose_push_services(struct cli *cli, const struct project *project, const struct strv *names,
                          bool is_quiet, bool keeps_going, struct error *err)
{
    CLEANUP(progress_free) struct progress *progress = is_quiet ? NULL : compose_progress(cli);

    for (size_t i = 0; i < names->count; i++) {
        const struct yaml *service = project_service(project, names->items[i]);
        bool has_name = yaml_get(service, "image") || yaml_get_path(service, "build", "tags");

        /* Only what is built here is ours to push, and only names that someone chose. */
        if (yaml_is_null(yaml_get(service, "build")))
            continue;
        if (!has_name) {
            progress_tell(progress, "Service", names->items[i], "Skipped", PROGRESS_DONE);
            continue;
        }
        if (push_service(cli, progress, names->items[i], service, err) < 0 && !keeps_going)
            return -1;
    }
    return 0;
}

static int push(struct cli *cli, const void *parsed, const struct strv *arguments,
                struct error *err)
{
    const struct push_options *options = parsed;
    CLEANUP(project_done) struct project project = {};
    CLEANUP(strv_done) struct strv names = {};

    if (compose_load(cli, arguments, &project, err) < 0 ||
        project_select(&project, arguments, !options->include_deps, err) < 0)
        return -1;
    const struct yaml *services = yaml_get(project.model, "services");
    for (size_t i = 0; i < yaml_count(services); i++)
        strv_add(&names, services->keys[i]);
    return compose_push_services(cli, &project, &names, options->quiet, options->ignore_failures,
                                 err);
}

const struct command command_compose_push = {
    .name = "push",
    .usage = "[OPTIONS] [SERVICE...]",
    .summary = "Push the images of services that are built here",
    .most = MANY_ARGUMENTS,
    .options = push_rows,
    .options_size = sizeof(struct push_options),
    .run = push,
};
