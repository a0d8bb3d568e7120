/* compose down and rm */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "cli/compose_session.h"
#include "cli/terminal.h"

#include "base/banned.h"

struct down_options {
    bool remove_orphans, volumes;
    const char *images;
    struct optional_int64 timeout;
};

/* clang-format off */
static const struct option_row down_rows[] = {
    { 0,   "remove-orphans", OPTION_BOOL,    offsetof(struct down_options, remove_orphans), "Remove containers of services that the file has not" },
    { 0,   "rmi",            OPTION_TEXT,    offsetof(struct down_options, images),         "Remove images, too: local (built here) or all" },
    { 't', "timeout",        OPTION_INTEGER, offsetof(struct down_options, timeout),        "Seconds before a container is killed" },
    { 'v', "volumes",        OPTION_BOOL,    offsetof(struct down_options, volumes),        "Remove volumes, too: their data is lost" },
    {},
};
/* clang-format on */

static int down(struct cli *cli, const void *parsed, const struct strv *arguments,
                struct error *err)
{
    const struct down_options *options = parsed;
    CLEANUP(compose_session_done) struct compose_session session = {};
    CLEANUP(plan_done) struct plan plan = {};

    if (options->images && strcmp(options->images, "local") != 0 &&
        strcmp(options->images, "all") != 0)
        return error_set(err, ERROR_INVALID, "invalid value for --rmi: \"%s\"", options->images);
    if (compose_session_open(cli, arguments, &session, err) < 0)
        return -1;
    struct plan_down_options wish = { .volumes = options->volumes,
                                      .remove_orphans = options->remove_orphans,
                                      .removes_networks = arguments->count == 0,
                                      .images = options->images,
                                      .services = arguments };
    plan_down(&session.project, &session.actual, &wish, &plan);
    if (!plan.count && !session.project.model) {
        CLEANUP(strv_done) struct strv warnings = {};

        strv_add_format(&warnings, "Warning: No resource found to remove for project \"%s\".",
                        session.project.name);
        compose_warn(&warnings);
    }

    CLEANUP(progress_free) struct progress *progress = compose_progress(cli);
    CLEANUP(apply_done) struct apply apply;
    compose_apply_init(cli, &session, progress, &apply);
    apply.timeout_s = options->timeout;
    apply.remove_volumes = options->volumes;
    return apply_plan(&apply, &plan, err);
}

const struct command command_compose_down = {
    .name = "down",
    .usage = "[OPTIONS] [SERVICE...]",
    .summary = "Stop the containers, and remove them and their networks",
    .most = MANY_ARGUMENTS,
    .options = down_rows,
    .options_size = sizeof(struct down_options),
    .run = down,
};

/* ---- rm ---- */

struct rm_options {
    bool force, stop, volumes;
};

/* clang-format off */
static const struct option_row rm_rows[] = {
    { 'f', "force",   OPTION_BOOL, offsetof(struct rm_options, force),   "Do not ask" },
    { 's', "stop",    OPTION_BOOL, offsetof(struct rm_options, stop),    "Stop what runs, then remove it, too" },
    { 'v', "volumes", OPTION_BOOL, offsetof(struct rm_options, volumes), "Remove anonymous volumes, too" },
    {},
};
/* clang-format on */

static bool is_stopped(const struct actual_container *container)
{
    return !actual_is_running(container);
}

/* The names of what would go; true if the user agrees. */
static bool ask(const struct compose_session *session, const struct strv *services, bool force,
                bool *out_has_any)
{
    CLEANUP(strv_done) struct strv names = {};
    char answer[16];

    for (size_t i = 0; i < session->actual.count; i++) {
        const struct actual_container *container = &session->actual.containers[i];

        if (!container->is_oneoff && is_stopped(container) &&
            (!services->count || strv_contains(services, container->service)))
            strv_add(&names, container->name);
    }
    *out_has_any = names.count > 0;
    if (!names.count)
        return false;
    CLEANUP(free) char *list = strv_join(&names, ", ");
    printf("Going to remove %s\n", list);
    if (force)
        return true;
    printf("Are you sure? [yN] ");
    fflush(stdout);
    return fgets(answer, sizeof(answer), stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

static int rm(struct cli *cli, const void *parsed, const struct strv *arguments, struct error *err)
{
    const struct rm_options *options = parsed;
    CLEANUP(compose_session_done) struct compose_session session = {};
    bool has_any;

    if (compose_session_open(cli, arguments, &session, err) < 0)
        return -1;
    if (options->stop) {
        struct compose_action stopping = { .fits = actual_is_running,
                                           .act = step_container_stop,
                                           .begins = "Stopping",
                                           .ends = "Stopped" };

        if (compose_each(cli, &session, arguments, &stopping, err) < 0)
            return -1;
        actual_done(&session.actual);
        session.actual = (struct actual){};
        if (actual_read(cli->client, session.project.name, &session.actual, err) < 0)
            return -1;
    }
    if (!ask(&session, arguments, options->force, &has_any)) {
        if (!has_any)
            fprintf(stderr, "No stopped containers\n");
        return 0;
    }
    fflush(stdout);
    struct compose_action removal = { .fits = is_stopped,
                                      .act = step_container_remove,
                                      .begins = "Removing",
                                      .ends = "Removed",
                                      .removes_volumes = options->volumes };
    return compose_each(cli, &session, arguments, &removal, err);
}

const struct command command_compose_rm = {
    .name = "rm",
    .usage = "[OPTIONS] [SERVICE...]",
    .summary = "Remove containers that have stopped",
    .most = MANY_ARGUMENTS,
    .options = rm_rows,
    .options_size = sizeof(struct rm_options),
    .run = rm,
};
