/* One run of a compose command that changes something: the project, what is there of it, and how it
 * is told. */
#ifndef BERTH_CLI_COMPOSE_SESSION_H
#define BERTH_CLI_COMPOSE_SESSION_H

#include "cli/compose.h"
#include "compose/apply.h"

/* By --progress, --ansi and what stderr is. */
struct progress *compose_progress(const struct cli *cli);
/* The same, but never a tree: other output stands between the lines. */
struct progress *compose_progress_lines(const struct cli *cli);
bool compose_has_colors(const struct cli *cli, int fd);
/* By --parallel and COMPOSE_PARALLEL_LIMIT. */
int compose_parallel(const struct cli *cli, const struct project *project);

struct compose_session {
    struct project project;
    struct actual actual;
    bool is_attached; /* containers' output goes on meanwhile: no tree */
};
void compose_session_done(struct compose_session *session);
CLEANUP_VALUE(compose_session_done, struct compose_session)

/* The project by its file, or by its name alone where there is no file or -p names it without -f
 * (then project.model is NULL), and its containers. Named services must be known to one of them:
 * NOT_FOUND "no such service: x". */
int compose_session_open(struct cli *cli, const struct strv *services, struct compose_session *out,
                         struct error *err);

/* An apply with everything that the options before the command say; the caller sets the rest, runs
 * plans, and calls apply_done. */
void compose_apply_init(struct cli *cli, const struct compose_session *session,
                        struct progress *progress, struct apply *out);

/* Why a container is broken: the last lines that it wrote, and what its health check said; on
 * stderr. */
void compose_tell_broken(struct cli *cli, const struct project *project, const char *container_id);

/* Carries out a plan that needs nothing more; 'stop_timeout_s' may be NULL. */
int compose_apply(struct cli *cli, const struct compose_session *session,
                  const struct optional_int64 *stop_timeout_s, const struct plan *plan,
                  struct error *err);

/* Stops the running containers of the services (none: of all), each after those that depend on it;
 * 'timeout_s' may be NULL. */
int compose_stop_in_order(struct cli *cli, const struct compose_session *session,
                          const struct strv *services, const struct optional_int64 *timeout_s,
                          struct error *err);

/* One thing that is done to many containers. */
struct compose_action {
    bool (*fits)(const struct actual_container *container); /* NULL: all */
    int (*act)(struct apply *apply, const struct step *step, struct error *err);
    const char *begins, *ends; /* words of progress; begins may be NULL */
    struct optional_int64 timeout_s;
    const char *signal;
    bool removes_volumes;
};
/* Does it to each container of the services (none: of all) that fits, side by side; the first
 * failure is told. */
int compose_each(struct cli *cli, const struct compose_session *session,
                 const struct strv *services, const struct compose_action *action,
                 struct error *err);

#endif
