/* What the commands of `berth compose` share: the options before the command, and the project they
 * name. */
#ifndef BERTH_CLI_COMPOSE_H
#define BERTH_CLI_COMPOSE_H

#include "cli/command.h"
#include "compose/project.h"

struct compose_options {
    bool all_resources, compatibility, dry_run, version;
    const char *ansi, *progress, *project_directory, *project_name;
    struct strv env_files, files, profiles;
    struct optional_int64 parallel;
};

/* The options of the running command's group. */
const struct compose_options *compose_options(const struct cli *cli);

/* What project_load needs, filled from them: lists are borrowed. */
struct project_options compose_project_options(struct cli *cli);

/* Loads the project and prints its warnings. 'services' (may be NULL): named by the user, so that
 * their profiles count. */
int compose_load(struct cli *cli, const struct strv *services, struct project *out,
                 struct error *err);
/* For commands that have no way to try themselves: UNSUPPORTED with --dry-run. */
int compose_refuse_trial(const struct cli *cli, struct error *err);
void compose_warn(const struct strv *warnings);

extern const struct command command_compose;

#endif
