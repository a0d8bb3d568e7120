/* Files of ours that change while the project runs: copied in, or the service built anew or
 * restarted, as `develop.watch` says. */
#ifndef BERTH_CLI_COMPOSE_WATCH_H
#define BERTH_CLI_COMPOSE_WATCH_H

#include "cli/compose_session.h"

struct compose_watch_options {
    bool quiet;
    bool prune;  /* images that a rebuild left without a name go */
    int stop_fd; /* ends it when it is readable; -1: only an error does */
};

/* Watches for the named services (none: all that have a section). Failures of single changes are
 * told, and it goes on. INVALID if there is nothing to watch. */
int compose_watch_run(struct cli *cli, const struct project *project, const struct strv *services,
                      const struct compose_watch_options *options, struct error *err);

#endif
