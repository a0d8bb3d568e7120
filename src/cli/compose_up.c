/* compose up, create and scale: plans, and how they are carried out. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"
#include "cli/api_socket.h"
#include "cli/compose_image.h"
#include "cli/compose_remote.h"
#include "cli/compose_up.h"

#include "base/banned.h"

/* clang-format off */
#define AT(member) offsetof(struct up_options, member)
static const struct option_row up_rows[] = {
    { 0,   "abort-on-container-exit",    OPTION_BOOL,    AT(abort_on_exit),        "Stop all containers when one of them ends" },
    { 0,   "abort-on-container-failure", OPTION_BOOL,    AT(abort_on_failure),     "Stop all containers when one of them fails" },
    { 0,   "always-recreate-deps",       OPTION_BOOL,    AT(always_recreate_deps), "Make containers of dependencies anew, too" },
    { 0,   "attach",                     OPTION_LIST,    AT(attach),               "Show the output of these services only" },
    { 0,   "attach-dependencies",        OPTION_BOOL,    AT(attach_dependencies),  "Show the output of dependencies, too" },
    { 0,   "build",                      OPTION_BOOL,    AT(build),                "Build images even if they are there" },
    { 'd', "detach",                     OPTION_BOOL,    AT(detach),               "Leave the containers running in the background" },
    { 0,   "exit-code-from",             OPTION_TEXT,    AT(exit_code_from),       "End with the exit code of this service" },
    { 0,   "force-recreate",             OPTION_BOOL,    AT(force_recreate),       "Make containers anew even if nothing changed" },
    { 0,   "menu",                       OPTION_BOOL,    AT(menu),                 "Shortcuts on the keyboard (false; nothing else is supported)" },
    { 0,   "no-attach",                  OPTION_LIST,    AT(no_attach),            "Do not show the output of these services" },
    { 0,   "no-build",                   OPTION_BOOL,    AT(no_build),             "Build nothing" },
    { 0,   "no-color",                   OPTION_BOOL,    AT(no_color),             "No colours in front of lines" },
    { 0,   "no-deps",                    OPTION_BOOL,    AT(no_deps),              "Leave out what the services depend on" },
    { 0,   "no-log-prefix",              OPTION_BOOL,    AT(no_log_prefix),        "No names in front of lines" },
    { 0,   "no-recreate",                OPTION_BOOL,    AT(no_recreate),          "Leave existing containers as they are" },
    { 0,   "no-start",                   OPTION_BOOL,    AT(no_start),             "Make containers, but do not start them" },
    { 0,   "pull",                       OPTION_TEXT,    AT(pull),                 "When to pull: always, missing or never" },
    { 0,   "quiet-build",                OPTION_BOOL,    AT(quiet_build),          "Print nothing of builds" },
    { 0,   "quiet-pull",                 OPTION_BOOL,    AT(quiet_pull),           "Print nothing of pulls" },
    { 0,   "remove-orphans",             OPTION_BOOL,    AT(remove_orphans),       "Remove containers of services that the file has not" },
    { 'V', "renew-anon-volumes",         OPTION_BOOL,    AT(renew_volumes),        "Make anonymous volumes anew" },
    { 0,   "scale",                      OPTION_LIST,    AT(scale),                "Number of containers (SERVICE=N)" },
    { 't', "timeout",                    OPTION_INTEGER, AT(timeout),              "Seconds before a container is killed" },
    { 0,   "timestamps",                 OPTION_BOOL,    AT(timestamps),           "Show times" },
    { 0,   "wait",                       OPTION_BOOL,    AT(wait),                 "Wait until all run, or are healthy" },
    { 0,   "wait-timeout",               OPTION_INTEGER, AT(wait_timeout),         "Longest wait, in seconds" },
    { 'w', "watch",                      OPTION_BOOL,    AT(watch),                "Copy, build or restart as files change" },
    { 'y', "yes",                        OPTION_BOOL,    AT(yes),                  "Answer yes to all questions" },
    {},
};

static const struct option_row create_rows[] = {
    { 0,   "build",          OPTION_BOOL, AT(build),          "Build images even if they are there" },
    { 0,   "force-recreate", OPTION_BOOL, AT(force_recreate), "Make containers anew even if nothing changed" },
    { 0,   "no-build",       OPTION_BOOL, AT(no_build),       "Build nothing" },
    { 0,   "no-recreate",    OPTION_BOOL, AT(no_recreate),    "Leave existing containers as they are" },
    { 0,   "pull",           OPTION_TEXT, AT(pull),           "When to pull: always, missing or never" },
    { 0,   "quiet-pull",     OPTION_BOOL, AT(quiet_pull),     "Print nothing of pulls" },
    { 0,   "remove-orphans", OPTION_BOOL, AT(remove_orphans), "Remove containers of services that the file has not" },
    { 0,   "scale",          OPTION_LIST, AT(scale),          "Number of containers (SERVICE=N)" },
    { 'y', "yes",            OPTION_BOOL, AT(yes),            "Answer yes to all questions" },
    {},
};

static const struct option_row scale_rows[] = {
    { 0, "no-deps", OPTION_BOOL, AT(no_deps), "Leave out what the services depend on" },
    {},
};
/* clang-format on */

static int read_scales(const struct project *project, const struct strv *given, struct map *out,
                       struct error *err)
{
    map_init_empty(out, free);
    for (size_t i = 0; i < given->count; i++) {
        const char *text = given->items[i], *equals = strchr(text, '=');
        CLEANUP(free) char *name = equals ? xstrndup(text, (size_t)(equals - text)) : NULL;
        int64_t count;

        if (!equals || parse_int64(equals + 1, 0, SCALE_LIMIT, &count, err) < 0)
            return error_set(err, ERROR_INVALID,
                             "invalid --scale option \"%s\": should be SERVICE=NUM", text);
        const struct yaml *service = project_service(project, name);
        if (!service)
            return error_set(err, ERROR_NOT_FOUND, "no such service: %s", name);
        if (count > 1 && yaml_get(service, "container_name"))
            return error_set(err, ERROR_INVALID,
                             "can't set container_name and %s as container name must be unique",
                             name);
        map_set_text(out, name, equals + 1);
    }
    return 0;
}

/* External networks and volumes must be there. */
static int check_external(struct cli *cli, const struct project *project, const char *part,
                          const char *word, struct error *err)
{
    const struct yaml *resources = yaml_get(project->model, part);

    for (size_t i = 0; i < yaml_count(resources); i++) {
        CLEANUP(client_path_done) struct client_path path = {};
        const char *name = yaml_text(yaml_get(resources->items[i], "name"));

        if (!yaml_is_true(yaml_get(resources->items[i], "external")))
            continue;
        client_path_begin(&path, "/%s", part);
        client_path_segment(&path, name);
        if (client_call(cli->client, "GET", &path, NULL, NULL, err) == 0)
            continue;
        if (err->kind != ERROR_NOT_FOUND)
            return -1;
        return error_set(err, ERROR_NOT_FOUND, "%s %s declared as external, but could not be found",
                         word, name);
    }
    return 0;
}

/* ---- the plan ---- */

/* In the foreground what is made is told, then the containers have the word. */
struct handover {
    const struct up_options *options;
    struct progress *progress;
};

static void hand_over(void *data)
{
    struct handover *handover = data;

    progress_end(handover->progress);
    handover->options->hand_over(handover->options->hand_over_data);
}

int compose_converge(struct cli *cli, struct compose_session *session,
                     const struct up_options *options, const struct strv *named, struct error *err)
{
    CLEANUP(map_done) struct map image_ids = {}, scales = {};
    CLEANUP(strv_done) struct strv warnings = {};
    CLEANUP(plan_done) struct plan plan = {};
    struct compose_image_options images = { .build = options->build,
                                            .no_build = options->no_build,
                                            .quiet_build = options->quiet_build,
                                            .quiet_pull = options->quiet_pull,
                                            .pull = options->pull };
    struct plan_options wish = { .force_recreate = options->force_recreate,
                                 .no_recreate = options->no_recreate,
                                 .always_recreate_dependencies = options->always_recreate_deps,
                                 .no_start = options->no_start,
                                 .no_dependencies = options->no_deps,
                                 .remove_orphans =
                                     options->remove_orphans ||
                                     text_is_true(map_get(&session->project.environment,
                                                          "COMPOSE_REMOVE_ORPHANS")),
                                 .named = named,
                                 .image_ids = &image_ids,
                                 .scales = &scales };

    if (options->force_recreate && options->no_recreate)
        return error_set(err, ERROR_INVALID, "--force-recreate and --no-recreate are incompatible");
    if (apply_check(&session->project, err) < 0 ||
        api_socket_serve(cli->client, session->project.model, err) < 0 ||
        read_scales(&session->project, &options->scale, &scales, err) < 0 ||
        compose_images_prepare(cli, &session->project, &images, &image_ids, err) < 0 ||
        check_external(cli, &session->project, "networks", "network", err) < 0 ||
        check_external(cli, &session->project, "volumes", "volume", err) < 0)
        return -1;
    plan_up(&session->project, &session->actual, &wish, &plan, &warnings);
    if (!text_is_true(map_get(&session->project.environment, "COMPOSE_IGNORE_ORPHANS")))
        compose_warn(&warnings);

    struct progress *progress = compose_progress(cli);
    CLEANUP(apply_done) struct apply apply;
    compose_apply_init(cli, session, progress, &apply);
    apply.image_ids = &image_ids;
    apply.timeout_s = options->timeout;
    apply.renew_volumes = options->renew_volumes;
    apply.is_called_off = options->is_called_off;
    struct handover handover = { options, progress };
    if (options->hand_over) {
        apply.before_starts = hand_over;
        apply.data = &handover;
    }
    int result = apply_plan(&apply, &plan, err);
    progress_free(progress);
    if (result < 0 && apply.broken_id && !options->hand_over)
        compose_tell_broken(cli, &session->project, apply.broken_id);
    return result;
}

/* A container without a health check is up when it runs, or has ended well. */
static int wait_for_one(struct apply *apply, const struct actual_container *container,
                        struct error *err)
{
    CLEANUP(json_free) struct json *document = NULL;
    struct step step = { .kind = STEP_WAIT,
                         .service = (char *)container->service,
                         .subject = (char *)container->name,
                         .condition = (char *)"service_healthy",
                         .is_required = true };

    progress_tell(apply->progress, "Container", container->name, "Waiting", PROGRESS_WORKING);
    if (container_inspect(apply->client, container->id, &document, err) < 0)
        return -1;
    const struct json *state = json_get(document, "State");
    if (json_get(state, "Health")) {
        if (step_wait(apply, &step, err) < 0)
            return -1;
    } else if (!json_is_true(json_get(state, "Running"))) {
        long long code = json_to_int64(json_get(state, "ExitCode"));

        if (code || json_is_true(json_get(state, "OOMKilled"))) {
            apply->broken_id = xstrdup(container->id);
            return error_set(err, ERROR_CONFLICT, "container %s exited (%lld)", container->name,
                             code);
        }
    }
    progress_tell(apply->progress, "Container", container->name, "Healthy", PROGRESS_DONE);
    return 0;
}

int compose_wait_until_up(struct cli *cli, struct compose_session *session,
                          const struct optional_int64 *limit_s, struct error *err)
{
    CLEANUP(actual_done) struct actual actual = {};
    CLEANUP(apply_done) struct apply apply;
    struct progress *progress;
    int result = 0;

    if (actual_read_containers(cli->client, session->project.name, &actual, err) < 0)
        return -1;
    progress = compose_progress(cli);
    compose_apply_init(cli, session, progress, &apply);
    apply.wait_limit_s = limit_s->value;
    if (limit_s->is_set)
        apply.deadline_ns = clock_monotonic_ns() + (uint64_t)(limit_s->value * NS_PER_S);
    for (size_t i = 0; result == 0 && i < actual.count; i++)
        if (!actual.containers[i].is_oneoff &&
            project_service(&session->project, actual.containers[i].service))
            result = wait_for_one(&apply, &actual.containers[i], err);
    progress_free(progress);
    if (result < 0 && apply.broken_id)
        compose_tell_broken(cli, &session->project, apply.broken_id);
    return result;
}

/* ---- commands ---- */

int compose_open_selected(struct cli *cli, const struct strv *named, bool no_dependencies,
                          struct compose_session *out, struct error *err)
{
    CLEANUP(compose_session_done) struct compose_session session = {};

    if (compose_load(cli, named, &session.project, err) < 0 ||
        project_select(&session.project, named, no_dependencies, err) < 0 ||
        actual_read(cli->client, session.project.name, &session.actual, err) < 0)
        return -1;
    *out = session;
    session = (struct compose_session){};
    return 0;
}

static int up(struct cli *cli, const void *parsed, const struct strv *arguments, struct error *err)
{
    const struct up_options *options = parsed;
    CLEANUP(compose_session_done) struct compose_session session = {};
    bool is_background = options->detach || options->no_start || options->wait ||
                         compose_options(cli)->dry_run;

    if (options->menu)
        return error_set(err, ERROR_UNSUPPORTED,
                         "--menu is not supported: the keyboard is the terminal's own; `watch` and "
                         "`up -d` do what "
                         "its keys would");
    if (options->watch && is_background)
        return error_set(err, ERROR_INVALID,
                         "--watch needs the foreground: it does not go with --detach, --no-start "
                         "and --wait");
    if (options->detach && (options->abort_on_exit || options->exit_code_from))
        return error_set(err, ERROR_INVALID,
                         "--abort-on-container-exit and --detach are incompatible");
    if (compose_open_selected(cli, arguments, options->no_deps, &session, err) < 0)
        return -1;
    if (options->exit_code_from && !project_service(&session.project, options->exit_code_from))
        return error_set(err, ERROR_NOT_FOUND, "no such service: %s", options->exit_code_from);
    if (compose_remote_confirm(cli, &session.project, options->yes, err) < 0)
        return -1;
    if (!is_background)
        return compose_run_foreground(cli, &session, options, arguments, err);
    if (compose_converge(cli, &session, options, arguments, err) < 0)
        return -1;
    return options->wait && !compose_options(cli)->dry_run
               ? compose_wait_until_up(cli, &session, &options->wait_timeout, err)
               : 0;
}

const struct command command_compose_up = {
    .name = "up",
    .usage = "[OPTIONS] [SERVICE...]",
    .summary = "Make and start the containers of the project",
    .most = MANY_ARGUMENTS,
    .options = up_rows,
    .options_size = sizeof(struct up_options),
    .run = up,
};

static int create(struct cli *cli, const void *parsed, const struct strv *arguments,
                  struct error *err)
{
    struct up_options options = *(const struct up_options *)parsed;
    CLEANUP(compose_session_done) struct compose_session session = {};

    options.no_start = true;
    if (compose_open_selected(cli, arguments, false, &session, err) < 0 ||
        compose_remote_confirm(cli, &session.project, options.yes, err) < 0)
        return -1;
    return compose_converge(cli, &session, &options, arguments, err);
}

const struct command command_compose_create = {
    .name = "create",
    .usage = "[OPTIONS] [SERVICE...]",
    .summary = "Make the containers of the project without starting them",
    .most = MANY_ARGUMENTS,
    .options = create_rows,
    .options_size = sizeof(struct up_options),
    .run = create,
};

static int scale(struct cli *cli, const void *parsed, const struct strv *arguments,
                 struct error *err)
{
    struct up_options options = *(const struct up_options *)parsed;
    CLEANUP(compose_session_done) struct compose_session session = {};
    CLEANUP(strv_done) struct strv names = {};

    for (size_t i = 0; i < arguments->count; i++) {
        const char *text = arguments->items[i];

        strv_add_take(&names, xstrndup(text, strcspn(text, "=")));
    }
    options.scale = *arguments;
    if (compose_open_selected(cli, &names, options.no_deps, &session, err) < 0)
        return -1;
    return compose_converge(cli, &session, &options, &names, err);
}

const struct command command_compose_scale = {
    .name = "scale",
    .usage = "[OPTIONS] SERVICE=NUMBER...",
    .summary = "Set the number of containers of services",
    .least = 1,
    .most = MANY_ARGUMENTS,
    .options = scale_rows,
    .options_size = sizeof(struct up_options),
    .run = scale,
};
