/* What has to be done so that a project is as its file says: pure data, made without talking to
 * anybody. A plan is a list of steps; each names the steps that must be done before it, wherever
 * they stand in the list; none waits for itself in the end. */
#ifndef BERTH_COMPOSE_PLAN_H
#define BERTH_COMPOSE_PLAN_H

#include "compose/actual.h"
#include "compose/project.h"

enum step_kind {
    STEP_NETWORK_CREATE,
    STEP_NETWORK_REMOVE,
    STEP_VOLUME_CREATE,
    STEP_VOLUME_REMOVE,
    STEP_IMAGE_REMOVE,
    STEP_CONTAINER_CREATE,
    STEP_CONTAINER_RECREATE,
    STEP_CONTAINER_KEEP, /* it runs, and is as it should be */
    STEP_CONTAINER_START,
    STEP_CONTAINER_RESTART,
    STEP_CONTAINER_STOP,
    STEP_CONTAINER_REMOVE,
    STEP_CONTAINER_RENAME, /* a replacement that did not get its name */
    STEP_WAIT,             /* until a dependency fulfils its condition */
    STEP_BARRIER,          /* nothing to do: what comes after it waits for all before it */
};

struct step {
    enum step_kind kind;
    char *subject; /* name of the container, network, volume or image */
    char *service; /* key of the service, network or volume; NULL: none in the file */
    char *id;      /* of the container that is there; NULL: none yet */
    int number;
    char *condition;  /* WAIT: "service_healthy"… */
    bool is_required; /* WAIT: its failure ends the start of those that wait */
    bool keeps_going; /* its failure is no failure of the whole */
    size_t *after;
    size_t after_count;
};

struct plan {
    struct step *steps;
    size_t count;
};
void plan_done(struct plan *plan);
CLEANUP_VALUE(plan_done, struct plan)

struct plan_options {
    bool force_recreate, no_recreate, always_recreate_dependencies, no_start, no_dependencies;
    bool remove_orphans;
    const struct strv *named;    /* services that the user named; none: all */
    const struct map *image_ids; /* service → id of its image now (text); absent: unknown */
    const struct map *scales;    /* service → number as text; overrides the file */
};

/* Towards the wanted state. 'out_warnings' gets what the user should know: orphans, volumes that
 * differ from the file. */
void plan_up(const struct project *project, const struct actual *actual,
             const struct plan_options *options, struct plan *out, struct strv *out_warnings);

struct plan_down_options {
    bool volumes, remove_orphans;
    bool removes_networks;       /* of the whole project, not of some services */
    const char *images;          /* NULL, "local" or "all" */
    const struct strv *services; /* none: all */
};
/* Everything away; 'project' may have no model (then what exists is all there is to know). */
void plan_down(const struct project *project, const struct actual *actual,
               const struct plan_down_options *options, struct plan *out);

/* Containers of the named services (none: all), after those that they ask to be restarted with;
 * with those who ask so of them unless 'no_dependants'. Only services that are enabled. */
void plan_restart(const struct project *project, const struct actual *actual,
                  const struct strv *named, bool no_dependants, struct plan *out);

/* Adds a step; gives its index. */
size_t plan_add(struct plan *plan, enum step_kind kind, const char *subject, const char *service);
void plan_after(struct plan *plan, size_t step, size_t earlier);

/* A line for people: "create container p-web-1". Yours. */
char *step_text(const struct step *step);

#endif
