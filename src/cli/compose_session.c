/* See the header. */
#include "cli/compose_session.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/text.h"
#include "cli/parallel.h"
#include "cli/terminal.h"
#include "compose/log.h"

#include "base/banned.h"

bool compose_has_colors(const struct cli *cli, int fd)
{
    const char *ansi = compose_options(cli)->ansi ?: getenv("COMPOSE_ANSI");

    if (text_equal(ansi, "never") || !text_is_empty(getenv("NO_COLOR")))
        return false;
    return text_equal(ansi, "always") || terminal_is(fd);
}

/* What stands above the tree, as Docker's compose has it. */
static const char *title_of(const struct cli *cli)
{
    static const char *const titles[][2] = {
        { "build", "Building" },  { "kill", "Killing" },       { "pause", "Pausing" },
        { "pull", "Pulling" },    { "push", "Pushing" },       { "restart", "Restarting" },
        { "rm", "Removing" },     { "stop", "Stopping" },      { "unpause", "Unpausing" },
        { "create", "Creating" }, { "publish", "Publishing" },
    };
    const char *blank = strrchr(cli->command_path, ' ');

    for (size_t i = 0; blank && i < COUNT(titles); i++)
        if (strcmp(blank + 1, titles[i][0]) == 0)
            return titles[i][1];
    return "Running";
}

static struct progress *make_progress(const struct cli *cli, bool may_be_tree)
{
    const char *mode = compose_options(cli)->progress ?: getenv("COMPOSE_PROGRESS");
    bool colors = compose_has_colors(cli, STDERR_FILENO);
    enum progress_mode chosen = PROGRESS_PLAIN;

    if (text_equal(mode, "tty") ||
        ((text_is_empty(mode) || text_equal(mode, "auto")) && terminal_is(STDERR_FILENO) && colors))
        chosen = may_be_tree ? PROGRESS_TTY : PROGRESS_PLAIN;
    else if (text_equal(mode, "json"))
        chosen = PROGRESS_JSON;
    else if (text_equal(mode, "quiet"))
        chosen = PROGRESS_QUIET;
    return progress_new(chosen, STDERR_FILENO, title_of(cli), compose_options(cli)->dry_run,
                        colors);
}

struct progress *compose_progress(const struct cli *cli)
{
    return make_progress(cli, true);
}

struct progress *compose_progress_lines(const struct cli *cli)
{
    return make_progress(cli, false);
}

int compose_parallel(const struct cli *cli, const struct project *project)
{
    const struct optional_int64 *given = &compose_options(cli)->parallel;
    const char *variable = map_get(&project->environment, "COMPOSE_PARALLEL_LIMIT");
    struct error unread;
    int64_t value = 0;

    if (given->is_set)
        value = given->value;
    else if (variable && parse_int64(variable, -1, INT32_MAX, &value, &unread) < 0)
        value = 0;
    return value > 0 ? (int)value : 0;
}

void compose_session_done(struct compose_session *session)
{
    project_done(&session->project);
    actual_done(&session->actual);
}

static int check_names(const struct compose_session *session, const struct strv *services,
                       struct error *err)
{
    for (size_t i = 0; services && i < services->count; i++) {
        const char *name = services->items[i];

        if (!project_service(&session->project, name) && !actual_find(&session->actual, name, 0))
            return error_set(err, ERROR_NOT_FOUND, "no such service: %s", name);
    }
    return 0;
}

int compose_session_open(struct cli *cli, const struct strv *services, struct compose_session *out,
                         struct error *err)
{
    CLEANUP(compose_session_done) struct compose_session session = {};
    struct project_options options = compose_project_options(cli);

    if (services)
        options.services = *services;
    /* A file that happens to be here need not be that of a project that is named: containers know
     * what they are. */
    bool by_name = options.name && !options.files.count;
    if (by_name && project_load_name(&options, &session.project, err) < 0)
        return -1;
    if (!by_name && project_load(&options, &session.project, err) < 0) {
        bool has_name = options.name || !text_is_empty(getenv("COMPOSE_PROJECT_NAME"));

        if (err->kind != ERROR_NOT_FOUND || options.files.count || !has_name ||
            project_load_name(&options, &session.project, err) < 0)
            return -1;
    }
    compose_warn(&session.project.warnings);
    if (actual_read(cli->client, session.project.name, &session.actual, err) < 0 ||
        check_names(&session, services, err) < 0)
        return -1;
    *out = session;
    session = (struct compose_session){};
    return 0;
}

void compose_apply_init(struct cli *cli, const struct compose_session *session,
                        struct progress *progress, struct apply *out)
{
    apply_init(out, cli->client, &session->project, &session->actual);
    out->progress = progress;
    out->parallel = compose_parallel(cli, &session->project);
    out->is_dry = compose_options(cli)->dry_run;
}

#define LAST_LINES "10"

void compose_tell_broken(struct cli *cli, const struct project *project, const char *container_id)
{
    CLEANUP(log_printer_done) struct log_printer printer;
    CLEANUP(json_free) struct json *document = NULL;
    struct error unheard;

    log_printer_init(&printer);
    printer.all_to = stderr;
    printer.has_colors = compose_has_colors(cli, STDERR_FILENO);
    if (container_inspect(cli->client, container_id, &document, &unheard) < 0)
        return;
    const struct json *probes = json_get(json_get(json_get(document, "State"), "Health"), "Log");
    const char *name = json_text(json_get(document, "Name")) ?: "/";
    struct actual_container container = { .name = name + 1 };
    struct log_wish wish = { .container_id = container_id,
                             .name = log_name(&container, project->name),
                             .tail = LAST_LINES };
    fprintf(stderr, "Last lines of %s:\n", container.name);
    log_print(cli->client, &printer, &wish, &unheard);
    const char *said = json_text(
        json_get(json_at(probes, json_count(probes) ? json_count(probes) - 1 : 0), "Output"));
    if (json_count(probes))
        fprintf(stderr, "Its health check said: %s\n", text_is_empty(said) ? "nothing" : said);
}

int compose_apply(struct cli *cli, const struct compose_session *session,
                  const struct optional_int64 *stop_timeout_s, const struct plan *plan,
                  struct error *err)
{
    CLEANUP(progress_free) struct progress *progress = make_progress(cli, !session->is_attached);
    CLEANUP(apply_done) struct apply apply;

    compose_apply_init(cli, session, progress, &apply);
    if (stop_timeout_s)
        apply.timeout_s = *stop_timeout_s;
    return apply_plan(&apply, plan, err);
}

/* ---- the same for each container ---- */

int compose_stop_in_order(struct cli *cli, const struct compose_session *session,
                          const struct strv *services, const struct optional_int64 *timeout_s,
                          struct error *err)
{
    CLEANUP(plan_done) struct plan plan = {};
    struct plan_down_options wish = { .services = services };

    /* The part of a `down` that stops: what would be removed is passed over, the order stays. */
    plan_down(&session->project, &session->actual, &wish, &plan);
    for (size_t i = 0; i < plan.count; i++)
        if (plan.steps[i].kind == STEP_CONTAINER_REMOVE)
            plan.steps[i].kind = STEP_BARRIER;
    for (size_t i = 0; i < plan.count; i++)
        for (size_t j = 0; j < session->actual.count; j++)
            if (plan.steps[i].kind == STEP_CONTAINER_STOP &&
                strcmp(plan.steps[i].id, session->actual.containers[j].id) == 0 &&
                !actual_is_running(&session->actual.containers[j]))
                plan.steps[i].kind = STEP_BARRIER;
    return compose_apply(cli, session, timeout_s, &plan, err);
}

struct each_task {
    struct apply *apply;
    const struct compose_action *action;
    const struct actual_container *container;
    struct error failure;
    bool has_failed;
};

static void run_task(void *item)
{
    struct each_task *task = item;
    struct apply *apply = task->apply;
    struct step step = { .subject = (char *)task->container->name,
                         .service = (char *)task->container->service,
                         .id = (char *)task->container->id };

    if (task->action->begins)
        progress_tell(apply->progress, "Container", step.subject, task->action->begins,
                      PROGRESS_WORKING);
    if (!apply->is_dry && task->action->act(apply, &step, &task->failure) < 0) {
        task->has_failed = true;
        progress_tell(apply->progress, "Container", step.subject, task->failure.text,
                      PROGRESS_FAILED);
    } else {
        progress_tell(apply->progress, "Container", step.subject, task->action->ends,
                      PROGRESS_DONE);
    }
}

int compose_each(struct cli *cli, const struct compose_session *session,
                 const struct strv *services, const struct compose_action *action,
                 struct error *err)
{
    CLEANUP(progress_free) struct progress *progress = make_progress(cli, !session->is_attached);
    CLEANUP(apply_done) struct apply apply;
    CLEANUP(free)
    struct each_task *tasks = xcalloc(session->actual.count + 1, sizeof(*tasks));
    size_t count = 0;
    int result = 0;

    compose_apply_init(cli, session, progress, &apply);
    apply.timeout_s = action->timeout_s;
    apply.signal = action->signal;
    apply.remove_volumes = action->removes_volumes;
    for (size_t i = 0; i < session->actual.count; i++) {
        const struct actual_container *container = &session->actual.containers[i];

        if (container->is_oneoff || (action->fits && !action->fits(container)) ||
            (services && services->count && !strv_contains(services, container->service)))
            continue;
        tasks[count] =
            (struct each_task){ .apply = &apply, .action = action, .container = container };
        count++;
    }
    parallel_each(tasks, sizeof(*tasks), count, (size_t)apply.parallel, run_task);
    for (size_t i = 0; i < count && result == 0; i++)
        if (tasks[i].has_failed) {
            *err = tasks[i].failure;
            result = -1;
        }
    return result;
}
