/* Threads take steps from the plan as they become ready. */
#include "compose/apply.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "compose/secret.h"
#include "compose/spot.h"

#include "base/banned.h"

enum { THREAD_LIMIT = 32 };

enum step_state { STEP_PENDING, STEP_RUNNING, STEP_DONE };

struct run {
    struct apply *apply;
    const struct plan *plan;
    struct mutex lock;
    struct condition changed;
    enum step_state *states;
    size_t running, done;
    bool has_failed;
    struct error failure;
};

static int refuse_key(const char *name, const struct yaml *service, const char *key,
                      struct error *err)
{
    struct spot top = { .name = "services" }, here = { .above = &top, .name = name },
                spot = { .above = &here, .name = key };

    error_set(err, ERROR_UNSUPPORTED, "service \"%s\": `%s` is not supported", name, key);
    return spot_place(&spot, yaml_get(service, key), NULL, err);
}

int apply_check(const struct project *project, struct error *err)
{
    static const char *const keys[] = { "provider", "models", "credential_spec" };
    const struct yaml *services = yaml_get(project->model, "services");

    for (size_t i = 0; i < yaml_count(services); i++) {
        for (size_t j = 0; j < COUNT(keys); j++)
            if (!yaml_is_null(yaml_get(services->items[i], keys[j])))
                return refuse_key(services->keys[i], services->items[i], keys[j], err);
        if (secret_check(project, services->items[i], err) < 0)
            return -1;
    }
    return 0;
}

void apply_init(struct apply *apply, struct client *client, const struct project *project,
                const struct actual *actual)
{
    *apply = (struct apply){ .client = client, .project = project, .actual = actual };
    mutex_init(&apply->lock);
    map_init_empty(&apply->made, free);
}

void apply_done(struct apply *apply)
{
    map_done(&apply->made);
    free(apply->broken_id);
    mutex_done(&apply->lock);
}

char *apply_container_of(void *data, const char *service)
{
    struct apply *apply = data;
    const struct actual_container *there;
    char *id;

    mutex_lock(&apply->lock);
    id = xstrdup(map_get(&apply->made, service));
    mutex_unlock(&apply->lock);
    if (id)
        return id;
    there = actual_find(apply->actual, service, 0);
    return there ? xstrdup(there->id) : NULL;
}

/* ---- one step ---- */

int apply_check_called_off(const struct apply *apply, struct error *err)
{
    if (!apply->is_called_off || !atomic_load(apply->is_called_off))
        return 0;
    return error_set(err, ERROR_CANCELLED, "called off");
}

struct kind_row {
    int (*run)(struct apply *apply, const struct step *step, struct error *err);
    const char *subject, *begins, *ends; /* words for the user; NULL: nothing is told */
};

static int keep(struct apply *apply, const struct step *step, struct error *err)
{
    (void)apply, (void)step, (void)err;
    return 0;
}

static int pass_barrier(struct apply *apply, const struct step *step, struct error *err)
{
    (void)step, (void)err;
    if (apply->before_starts)
        apply->before_starts(apply->data);
    return 0;
}

/* clang-format off */
static const struct kind_row kinds[] = {
    [STEP_NETWORK_CREATE]     = { step_network_create,     "Network",   "Creating",   "Created" },
    [STEP_NETWORK_REMOVE]     = { step_network_remove,     "Network",   "Removing",   "Removed" },
    [STEP_VOLUME_CREATE]      = { step_volume_create,      "Volume",    "Creating",   "Created" },
    [STEP_VOLUME_REMOVE]      = { step_volume_remove,      "Volume",    "Removing",   "Removed" },
    [STEP_IMAGE_REMOVE]       = { step_image_remove,       "Image",     "Removing",   "Removed" },
    [STEP_CONTAINER_CREATE]   = { step_container_create,   "Container", "Creating",   "Created" },
    [STEP_CONTAINER_RECREATE] = { step_container_recreate, "Container", "Recreate",   "Recreated" },
    [STEP_CONTAINER_KEEP]     = { keep,                    "Container", NULL,         "Running" },
    [STEP_CONTAINER_START]    = { step_container_start,    "Container", "Starting",   "Started" },
    [STEP_CONTAINER_RESTART]  = { step_container_restart,  "Container", "Restarting", "Started" },
    [STEP_CONTAINER_STOP]     = { step_container_stop,     "Container", "Stopping",   "Stopped" },
    [STEP_CONTAINER_REMOVE]   = { step_container_remove,   "Container", "Removing",   "Removed" },
    [STEP_CONTAINER_RENAME]   = { step_container_rename,   "Container", NULL,         "Renamed" },
    [STEP_WAIT]               = { step_wait,               NULL,        NULL,         NULL },
    [STEP_BARRIER]            = { pass_barrier,            NULL,        NULL,         NULL },
};
/* clang-format on */

static int run_step(struct apply *apply, const struct step *step, struct error *err)
{
    const struct kind_row *kind = &kinds[step->kind];
    int result = 0;

    if (apply_check_called_off(apply, err) < 0)
        return -1;
    if (kind->begins)
        progress_tell(apply->progress, kind->subject, step->subject, kind->begins,
                      PROGRESS_WORKING);
    if (!apply->is_dry)
        result = kind->run(apply, step, err);
    if (kind->ends && result == 0)
        progress_tell(apply->progress, kind->subject, step->subject, kind->ends, PROGRESS_DONE);
    if (result < 0 && kind->subject)
        progress_tell(apply->progress, kind->subject, step->subject,
                      step->keeps_going ? err->text : "Error", PROGRESS_FAILED);
    return result;
}

/* ---- all of them ---- */

static bool is_ready(const struct run *run, size_t index)
{
    const struct step *step = &run->plan->steps[index];

    if (run->states[index] != STEP_PENDING)
        return false;
    for (size_t i = 0; i < step->after_count; i++)
        if (run->states[step->after[i]] != STEP_DONE)
            return false;
    return true;
}

/* The next step to take, or the count if there is none now. Labels of containers may contradict
 * each other: when nothing runs and nothing is ready, the first that is left goes. */
static size_t next_locked(const struct run *run)
{
    size_t first = run->plan->count;

    for (size_t i = run->plan->count; i-- > 0;) {
        if (run->states[i] == STEP_PENDING)
            first = i;
    }
    for (size_t i = 0; i < run->plan->count; i++)
        if (is_ready(run, i))
            return i;
    return run->running ? run->plan->count : first;
}

static void *work(void *data)
{
    struct run *run = data;

    mutex_lock(&run->lock);
    while (run->done < run->plan->count && !run->has_failed) {
        size_t index = next_locked(run);

        if (index == run->plan->count) {
            condition_wait(&run->changed, &run->lock);
            continue;
        }
        run->states[index] = STEP_RUNNING;
        run->running++;
        mutex_unlock(&run->lock);

        struct error err = {};
        int result = run_step(run->apply, &run->plan->steps[index], &err);

        mutex_lock(&run->lock);
        run->states[index] = STEP_DONE;
        run->running--;
        run->done++;
        if (result < 0 && !run->plan->steps[index].keeps_going && !run->has_failed) {
            run->has_failed = true;
            run->failure = err;
        }
        condition_broadcast(&run->changed);
    }
    mutex_unlock(&run->lock);
    return NULL;
}

int apply_plan(struct apply *apply, const struct plan *plan, struct error *err)
{
    struct run run = { .apply = apply, .plan = plan };
    size_t count = apply->parallel > 0 ? (size_t)apply->parallel : THREAD_LIMIT;
    CLEANUP(free) pthread_t *threads = NULL;
    size_t started = 0;
    struct error unheard;

    count = MIN(count, MIN(plan->count, (size_t)THREAD_LIMIT));
    threads = xcalloc(count + 1, sizeof(*threads));
    run.states = xcalloc(plan->count + 1, sizeof(*run.states));
    mutex_init(&run.lock);
    condition_init(&run.changed);
    /* This thread works too. */
    while (started + 1 < count &&
           thread_start("compose", work, &run, &threads[started], &unheard) == 0)
        started++;
    work(&run);
    for (size_t i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    condition_done(&run.changed);
    mutex_done(&run.lock);
    free(run.states);
    if (!run.has_failed)
        return 0;
    *err = run.failure;
    return -1;
}
