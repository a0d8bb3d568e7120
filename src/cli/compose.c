/* The group `compose`: its options and its table of commands. */
#include "cli/compose.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "cli/compose_remote.h"

#include "base/banned.h"

/* clang-format off */
#define AT(member) offsetof(struct compose_options, member)
static const struct option_row rows[] = {
    { 0,   "all-resources",     OPTION_BOOL,    AT(all_resources),     "Take in what no service uses, too" },
    { 0,   "ansi",              OPTION_TEXT,    AT(ansi),              "Colours and cursor movement: never, always or auto" },
    { 0,   "compatibility",     OPTION_BOOL,    AT(compatibility),     "Join names with '_' as old versions did" },
    { 0,   "dry-run",           OPTION_BOOL,    AT(dry_run),           "Say what would be done, and do nothing", .is_inherited = true },
    { 0,   "env-file",          OPTION_LIST,    AT(env_files),         "Read variables from this file instead of .env" },
    { 'f', "file",              OPTION_LIST,    AT(files),             "Compose file; several are merged in order" },
    { 0,   "parallel",          OPTION_INTEGER, AT(parallel),          "At most so many things at once (-1: no limit)" },
    { 0,   "profile",           OPTION_LIST,    AT(profiles),          "Switch a profile on" },
    { 0,   "progress",          OPTION_TEXT,    AT(progress),          "How progress is shown: auto, tty, plain, json or quiet" },
    { 0,   "project-directory", OPTION_TEXT,    AT(project_directory), "Where relative paths begin (that of the first file)" },
    { 'p', "project-name",      OPTION_TEXT,    AT(project_name),      "Name of the project" },
    { 0,   "workdir",           OPTION_TEXT,    AT(project_directory), "", .is_hidden = true },
    { 0,   "no-ansi",           OPTION_UNSUPPORTED_FLAG, 0,            "write --ansi=never" },
    { 0,   "verbose",           OPTION_UNSUPPORTED_FLAG, 0,            "there is no more to say than is said" },
    { 'v', "version",           OPTION_BOOL,    AT(version),           "Print the version" },
    {},
};
/* clang-format on */

/* clang-format off */
extern const struct command
    command_compose_alpha,
    command_compose_attach,
    command_compose_bridge,
    command_compose_build,
    command_compose_commit,
    command_compose_config,
    command_compose_cp,
    command_compose_create,
    command_compose_down,
    command_compose_events,
    command_compose_exec,
    command_compose_export,
    command_compose_images,
    command_compose_kill,
    command_compose_logs,
    command_compose_ls,
    command_compose_pause,
    command_compose_port,
    command_compose_ps,
    command_compose_publish,
    command_compose_pull,
    command_compose_push,
    command_compose_restart,
    command_compose_rm,
    command_compose_run,
    command_compose_scale,
    command_compose_start,
    command_compose_stats,
    command_compose_stop,
    command_compose_top,
    command_compose_unpause,
    command_compose_up,
    command_compose_version,
    command_compose_volumes,
    command_compose_wait,
    command_compose_watch;

static const struct command *const compose_commands[] = {
    &command_compose_alpha,
    &command_compose_attach,
    &command_compose_bridge,
    &command_compose_build,
    &command_compose_commit,
    &command_compose_config,
    &command_compose_cp,
    &command_compose_create,
    &command_compose_down,
    &command_compose_events,
    &command_compose_exec,
    &command_compose_export,
    &command_compose_images,
    &command_compose_kill,
    &command_compose_logs,
    &command_compose_ls,
    &command_compose_pause,
    &command_compose_port,
    &command_compose_ps,
    &command_compose_publish,
    &command_compose_pull,
    &command_compose_push,
    &command_compose_restart,
    &command_compose_rm,
    &command_compose_run,
    &command_compose_scale,
    &command_compose_start,
    &command_compose_stats,
    &command_compose_stop,
    &command_compose_top,
    &command_compose_unpause,
    &command_compose_up,
    &command_compose_version,
    &command_compose_volumes,
    &command_compose_wait,
    &command_compose_watch,
    NULL,
};
/* clang-format on */

static int show_version(struct cli *cli, const void *parsed UNUSED,
                        const struct strv *arguments UNUSED, struct error *err)
{
    CLEANUP(strv_done) struct strv no_words = {};

    if (!compose_options(cli)->version)
        return 1;
    strv_init_empty(&no_words);
    return cli_call(cli, &command_compose_version, &no_words, err);
}

const struct command command_compose = {
    .name = "compose",
    .usage = "[OPTIONS] COMMAND",
    .summary = "Run applications of several containers out of one file",
    .options = rows,
    .options_size = sizeof(struct compose_options),
    .is_local = true,
    .run = show_version,
    .children = compose_commands,
};

const struct compose_options *compose_options(const struct cli *cli)
{
    return cli->group_options;
}

struct project_options compose_project_options(struct cli *cli)
{
    const struct compose_options *given = compose_options(cli);

    return (struct project_options){ .files = given->files,
                                     .profiles = given->profiles,
                                     .env_files = given->env_files,
                                     .keeps_unused = given->all_resources,
                                     .compatibility = given->compatibility,
                                     .directory = given->project_directory,
                                     .name = given->project_name,
                                     .remotes = compose_remote_files(cli) };
}

int compose_refuse_trial(const struct cli *cli, struct error *err)
{
    return compose_options(cli)->dry_run
               ? error_set(err, ERROR_UNSUPPORTED, "--dry-run is not supported by %s",
                           cli->command_path)
               : 0;
}

void compose_warn(const struct strv *warnings)
{
    char now[TIME_TEXT_SIZE];

    time_format(clock_wall_ns() / NS_PER_S * NS_PER_S, now);
    for (size_t i = 0; i < warnings->count; i++) {
        CLEANUP(str_done) struct str words = {};

        json_quote_plain(&words, warnings->items[i], strlen(warnings->items[i]));
        fprintf(stderr, "time=\"%s\" level=warning msg=%s\n", now, str_text(&words));
    }
}

int compose_load(struct cli *cli, const struct strv *services, struct project *out,
                 struct error *err)
{
    struct project_options options = compose_project_options(cli);

    if (services)
        options.services = *services;
    if (project_load(&options, out, err) < 0)
        return -1;
    compose_warn(&out->warnings);
    return 0;
}
