/* Carries a plan out: steps whose predecessors are done run side by side. */
#ifndef BERTH_COMPOSE_APPLY_H
#define BERTH_COMPOSE_APPLY_H

#include <stdatomic.h>

#include "base/thread.h"
#include "client/client.h"
#include "compose/plan.h"
#include "compose/progress.h"

struct apply {
    struct client *client;
    const struct project *project;
    const struct actual *actual;
    struct progress *progress;         /* may be NULL */
    const struct map *image_ids;       /* service → id of its image, texts; may be NULL */
    int parallel;                      /* at most so many steps at once; 0: no limit of ours */
    struct optional_int64 timeout_s;   /* of stops; not set: what the container says */
    const char *signal;                /* of kills; NULL: SIGKILL */
    uint64_t deadline_ns;              /* of waits, monotonic; 0: none */
    int64_t wait_limit_s;              /* what that deadline came from, for its message */
    bool renew_volumes;                /* anonymous volumes are not carried over */
    bool remove_volumes;               /* anonymous volumes go with their containers */
    bool is_dry;                       /* only say what would be done */
    void (*before_starts)(void *data); /* all is made, nothing is started yet; may be NULL */
    void *data;
    const atomic_bool *is_called_off; /* becomes true: no step begins, waits end; may be NULL */
    /* Ours: containers made or started by this run. */
    struct mutex lock;
    struct map made; /* service → id of its first container, texts */
    char *broken_id; /* of the first container that failed a condition; NULL: none did */
};
/* Can the engine serve all that the services ask for? UNSUPPORTED and INVALID with the service's
 * name; to be asked before anything is made. */
int apply_check(const struct project *project, struct error *err);

void apply_init(struct apply *apply, struct client *client, const struct project *project,
                const struct actual *actual);
void apply_done(struct apply *apply);
CLEANUP_VALUE(apply_done, struct apply)

/* CANCELLED when it has been called off. */
int apply_check_called_off(const struct apply *apply, struct error *err);

/* The first failure ends it: what runs is waited for, what has not begun is left. */
int apply_plan(struct apply *apply, const struct plan *plan, struct error *err);

/* ---- steps (step_container.c, step_resource.c, step_wait.c) ---- */
int step_network_create(struct apply *apply, const struct step *step, struct error *err);
int step_network_remove(struct apply *apply, const struct step *step, struct error *err);
int step_volume_create(struct apply *apply, const struct step *step, struct error *err);
int step_volume_remove(struct apply *apply, const struct step *step, struct error *err);
int step_image_remove(struct apply *apply, const struct step *step, struct error *err);
int step_container_create(struct apply *apply, const struct step *step, struct error *err);
int step_container_recreate(struct apply *apply, const struct step *step, struct error *err);
int step_container_start(struct apply *apply, const struct step *step, struct error *err);
int step_container_restart(struct apply *apply, const struct step *step, struct error *err);
int step_container_kill(struct apply *apply, const struct step *step, struct error *err);
int step_container_pause(struct apply *apply, const struct step *step, struct error *err);
int step_container_unpause(struct apply *apply, const struct step *step, struct error *err);
int step_container_stop(struct apply *apply, const struct step *step, struct error *err);
int step_container_rename(struct apply *apply, const struct step *step, struct error *err);
int step_container_remove(struct apply *apply, const struct step *step, struct error *err);
/* Until a dependency fulfils its condition. */
int step_wait(struct apply *apply, const struct step *step, struct error *err);

/* The id of a container of a service: of this run, or one that was there. NULL if there is none.
 * Yours. */
char *apply_container_of(void *apply, const char *service);
/* A simple call on a container: POST /containers/<id>/<verb>. Being so already is fine. */
int container_post(struct client *client, const char *id, const char *verb,
                   const struct optional_int64 *timeout_s, struct error *err);
int container_inspect(struct client *client, const char *id, struct json **out, struct error *err);

/* Runs the hooks ("post_start", "pre_stop") of a service in a container (hook.c). */
int hook_run_all(struct client *client, const char *id, const struct yaml *hooks,
                 struct error *err);

#endif
