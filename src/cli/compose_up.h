/* What up, create and scale share: their options, and the steps of an `up` (compose_up.c), in the
 * foreground too (compose_foreground.c). */
#ifndef BERTH_CLI_COMPOSE_UP_H
#define BERTH_CLI_COMPOSE_UP_H

#include <stdatomic.h>

#include "cli/compose_session.h"

struct up_options {
    bool abort_on_exit, abort_on_failure, always_recreate_deps, attach_dependencies, build, detach,
        force_recreate, menu, no_build, no_color, no_deps, no_log_prefix, no_recreate, no_start,
        quiet_build, quiet_pull, remove_orphans, renew_volumes, timestamps, wait, watch, yes;
    struct strv attach, no_attach, scale;
    /* Ours: all is made, and the containers have the word from here on; NULL: in the background. */
    void (*hand_over)(void *data);
    void *hand_over_data;
    const atomic_bool *is_called_off; /* true: what has not been started is not started */
    const char *exit_code_from, *pull;
    struct optional_int64 timeout, wait_timeout;
};

/* The project with only the named services (none: all) and what they depend on. */
int compose_open_selected(struct cli *cli, const struct strv *named, bool no_dependencies,
                          struct compose_session *out, struct error *err);

/* Makes images, networks, volumes and containers as the file says, and starts them. */
int compose_converge(struct cli *cli, struct compose_session *session,
                     const struct up_options *options, const struct strv *named, struct error *err);

/* The same, and then the output of the containers until all have ended, or an interrupt, which
 * stops them (a further one kills them). Sets the exit code. */
int compose_run_foreground(struct cli *cli, struct compose_session *session,
                           const struct up_options *options, const struct strv *named,
                           struct error *err);

/* --wait: until every service of the project runs, or is healthy where it has a health check. At
 * most for so long. */
int compose_wait_until_up(struct cli *cli, struct compose_session *session,
                          const struct optional_int64 *limit_s, struct error *err);

#endif
