/* compose start, stop, restart, kill, pause, unpause, wait */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "cli/compose_up.h"
#include "cli/parallel.h"

#include "base/banned.h"

struct timeout_options {
    struct optional_int64 timeout, wait_timeout;
    bool no_deps, remove_orphans, wait;
    const char *signal;
};

/* clang-format off */
static const struct option_row timeout_rows[] = {
    { 't', "timeout", OPTION_INTEGER, offsetof(struct timeout_options, timeout), "Seconds before a container is killed" },
    {},
};
static const struct option_row restart_rows[] = {
    { 0,   "no-deps", OPTION_BOOL,    offsetof(struct timeout_options, no_deps), "Leave services that depend on these alone" },
    { 't', "timeout", OPTION_INTEGER, offsetof(struct timeout_options, timeout), "Seconds before a container is killed" },
    {},
};
static const struct option_row kill_rows[] = {
    { 0,   "remove-orphans", OPTION_BOOL, offsetof(struct timeout_options, remove_orphans), "Remove containers of services that the file has not" },
    { 's', "signal",         OPTION_TEXT, offsetof(struct timeout_options, signal),         "Signal to send (SIGKILL)" },
    {},
};
static const struct option_row start_rows[] = {
    { 0, "wait",         OPTION_BOOL,    offsetof(struct timeout_options, wait),         "Wait until all run, or are healthy" },
    { 0, "wait-timeout", OPTION_INTEGER, offsetof(struct timeout_options, wait_timeout), "Longest wait, in seconds" },
    {},
};
static const struct option_row no_rows[] = { {} };
/* clang-format on */

static bool is_stopped(const struct actual_container *container)
{
    return !actual_is_running(container);
}

static bool is_paused(const struct actual_container *container)
{
    return strcmp(container->state, "paused") == 0;
}

static bool is_unpaused(const struct actual_container *container)
{
    return strcmp(container->state, "running") == 0;
}

/* Starts in the order of dependencies: a plan that changes nothing else. */
static int start(struct cli *cli, const void *parsed, const struct strv *arguments,
                 struct error *err)
{
    const struct timeout_options *options = parsed;
    CLEANUP(compose_session_done) struct compose_session session = {};
    CLEANUP(map_done) struct map scales = {};
    CLEANUP(strv_done) struct strv unheard = {};
    CLEANUP(plan_done) struct plan plan = {};

    if (compose_session_open(cli, arguments, &session, err) < 0)
        return -1;
    if (!session.project.model) {
        struct compose_action action = {
            .fits = is_stopped, .act = step_container_start, .begins = "Starting", .ends = "Started"
        };

        return compose_each(cli, &session, arguments, &action, err);
    }
    if (project_select(&session.project, arguments, false, err) < 0)
        return -1;
    map_init_empty(&scales, free);
    const struct yaml *services = yaml_get(session.project.model, "services");
    for (size_t i = 0; i < yaml_count(services); i++) {
        int count = 0;

        for (size_t j = 0; j < session.actual.count; j++)
            count += !session.actual.containers[j].is_oneoff &&
                     strcmp(session.actual.containers[j].service, services->keys[i]) == 0;
        CLEANUP(free) char *text = xasprintf("%d", count);
        map_set_text(&scales, services->keys[i], text);
        if (!count && strv_contains(arguments, services->keys[i]))
            return error_set(err, ERROR_NOT_FOUND, "service \"%s\" has no container to start",
                             services->keys[i]);
    }
    /* Networks that are missing are not made here. */
    yaml_remove(session.project.model, "networks");
    yaml_remove(session.project.model, "volumes");
    struct plan_options wish = { .no_recreate = true, .scales = &scales };
    plan_up(&session.project, &session.actual, &wish, &plan, &unheard);
    if (compose_apply(cli, &session, NULL, &plan, err) < 0)
        return -1;
    return options->wait && !compose_options(cli)->dry_run
               ? compose_wait_until_up(cli, &session, &options->wait_timeout, err)
               : 0;
}

static int stop(struct cli *cli, const void *parsed, const struct strv *arguments,
                struct error *err)
{
    const struct timeout_options *options = parsed;
    CLEANUP(compose_session_done) struct compose_session session = {};

    if (compose_session_open(cli, arguments, &session, err) < 0)
        return -1;
    return compose_stop_in_order(cli, &session, arguments, &options->timeout, err);
}

static int restart(struct cli *cli, const void *parsed, const struct strv *arguments,
                   struct error *err)
{
    const struct timeout_options *options = parsed;
    CLEANUP(compose_session_done) struct compose_session session = {};
    CLEANUP(plan_done) struct plan plan = {};

    if (compose_session_open(cli, arguments, &session, err) < 0)
        return -1;
    plan_restart(&session.project, &session.actual, arguments, options->no_deps, &plan);
    return compose_apply(cli, &session, &options->timeout, &plan, err);
}

/* Opens the project and does one thing to its containers. */
static int act_on(struct cli *cli, const struct strv *services, const struct compose_action *action,
                  struct error *err)
{
    CLEANUP(compose_session_done) struct compose_session session = {};

    if (compose_session_open(cli, services, &session, err) < 0)
        return -1;
    return compose_each(cli, &session, services, action, err);
}

static int remove_orphans(struct cli *cli, const struct compose_session *session, struct error *err)
{
    struct compose_action action = { .act = step_container_remove,
                                     .begins = "Removing",
                                     .ends = "Removed" };
    CLEANUP(strv_done) struct strv names = {};

    for (size_t i = 0; i < session->actual.count; i++) {
        const char *service = session->actual.containers[i].service;

        if (!project_any_service(&session->project, service) && !strv_contains(&names, service))
            strv_add(&names, service);
    }
    return names.count ? compose_each(cli, session, &names, &action, err) : 0;
}

static int kill_command(struct cli *cli, const void *parsed, const struct strv *arguments,
                        struct error *err)
{
    const struct timeout_options *options = parsed;
    struct compose_action action = { .fits = actual_is_running,
                                     .act = step_container_kill,
                                     .begins = "Killing",
                                     .ends = "Killed",
                                     .signal = options->signal };

    CLEANUP(compose_session_done) struct compose_session session = {};

    if (compose_session_open(cli, arguments, &session, err) < 0 ||
        compose_each(cli, &session, arguments, &action, err) < 0)
        return -1;
    /* Without files nobody knows which services are orphans. */
    return options->remove_orphans && session.project.model ? remove_orphans(cli, &session, err)
                                                            : 0;
}

static int pause_command(struct cli *cli, const void *parsed UNUSED, const struct strv *arguments,
                         struct error *err)
{
    struct compose_action action = { .fits = is_unpaused,
                                     .act = step_container_pause,
                                     .ends = "Paused" };

    return act_on(cli, arguments, &action, err);
}

static int unpause_command(struct cli *cli, const void *parsed UNUSED, const struct strv *arguments,
                           struct error *err)
{
    struct compose_action action = { .fits = is_paused,
                                     .act = step_container_unpause,
                                     .ends = "Unpaused" };

    return act_on(cli, arguments, &action, err);
}

/* ---- wait ---- */

struct wait_options {
    bool down_project;
};

/* clang-format off */
static const struct option_row wait_rows[] = {
    { 0, "down-project", OPTION_BOOL, offsetof(struct wait_options, down_project), "Take the project down when the first of them ends" },
    {},
};
/* clang-format on */

struct waiting {
    struct cli *cli;
    const char *id;
    int code;
    bool has_failed;
    struct error failure;
    struct waiting *next; /* in the order of ends */
    /* Shared by all. */
    struct ends {
        struct mutex lock;
        struct waiting *first, *last;
        bool ends_all; /* the end of the first is that of the project */
    } * ends;
};

extern const struct command command_compose_down;

static void end_project(struct waiting *waiting)
{
    CLEANUP(strv_done) struct strv none = {};

    strv_init_empty(&none);
    if (cli_call(waiting->cli, &command_compose_down, &none, &waiting->failure) < 0)
        waiting->has_failed = true;
}

static void wait_for(void *item)
{
    struct waiting *waiting = item;
    CLEANUP(client_path_done) struct client_path path = {};
    CLEANUP(json_free) struct json *answer = NULL;
    struct ends *ends = waiting->ends;

    client_path_begin(&path, "/containers/%s/wait", waiting->id);
    if (client_call(waiting->cli->client, "POST", &path, NULL, &answer, &waiting->failure) < 0) {
        waiting->has_failed = true;
        return;
    }
    waiting->code = (int)json_to_int64(json_get(answer, "StatusCode"));
    printf("container \"%s\" exited with status code %d\n", waiting->id, waiting->code);
    mutex_lock(&ends->lock);
    bool is_first = !ends->first;
    if (is_first)
        ends->first = waiting;
    else
        ends->last->next = waiting;
    ends->last = waiting;
    mutex_unlock(&ends->lock);
    if (is_first && ends->ends_all)
        end_project(waiting);
}

static int wait_command(struct cli *cli, const void *parsed, const struct strv *arguments,
                        struct error *err)
{
    const struct wait_options *options = parsed;
    CLEANUP(compose_session_done) struct compose_session session = {};
    CLEANUP(free) struct waiting *list = NULL;
    struct ends ends = { .ends_all = options->down_project };
    size_t count = 0;

    if (compose_refuse_trial(cli, err) < 0)
        return -1;
    if (compose_session_open(cli, arguments, &session, err) < 0)
        return -1;
    list = xcalloc(session.actual.count + 1, sizeof(*list));
    for (size_t i = 0; i < session.actual.count; i++) {
        const struct actual_container *container = &session.actual.containers[i];

        if (!container->is_oneoff && strv_contains(arguments, container->service))
            list[count++] = (struct waiting){ .cli = cli, .id = container->id, .ends = &ends };
    }
    if (!count)
        return error_set(err, ERROR_NOT_FOUND, "no containers for project \"%s\"",
                         session.project.name);
    mutex_init(&ends.lock);
    parallel_each(list, sizeof(*list), count, count, wait_for);
    mutex_done(&ends.lock);
    for (size_t i = 0; i < count; i++)
        if (list[i].has_failed) {
            *err = list[i].failure;
            return -1;
        }
    /* With --down-project the others were stopped: the first one counts. */
    cli->exit_code = (options->down_project ? ends.first : ends.last)->code;
    return 0;
}

#define LIFECYCLE(variable, word, table, function, words)                                          \
    const struct command command_compose_##variable = { .name = word,                              \
                                                        .usage = "[OPTIONS] [SERVICE...]",         \
                                                        .summary = words,                          \
                                                        .most = MANY_ARGUMENTS,                    \
                                                        .options = table,                          \
                                                        .options_size =                            \
                                                            sizeof(struct timeout_options),        \
                                                        .run = function }

LIFECYCLE(start, "start", start_rows, start, "Start containers that are there");
LIFECYCLE(stop, "stop", timeout_rows, stop, "Stop containers without removing them");
LIFECYCLE(restart, "restart", restart_rows, restart, "Restart containers");
LIFECYCLE(kill, "kill", kill_rows, kill_command, "End containers at once");
LIFECYCLE(pause, "pause", no_rows, pause_command, "Freeze containers");
LIFECYCLE(unpause, "unpause", no_rows, unpause_command, "Let frozen containers go on");

const struct command command_compose_wait = {
    .name = "wait",
    .usage = "[OPTIONS] SERVICE [SERVICE...]",
    .summary = "Wait until containers end, and give the exit code of the last",
    .least = 1,
    .most = MANY_ARGUMENTS,
    .options = wait_rows,
    .options_size = sizeof(struct wait_options),
    .run = wait_command,
};
