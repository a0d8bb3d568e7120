/* A dependency's condition, looked at until it is fulfilled or cannot be any more. */
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"
#include "compose/apply.h"

#include "base/banned.h"

enum { FIRST_PAUSE_MS = 20, LONGEST_PAUSE_MS = 500 };

enum verdict {
    VERDICT_WAIT,
    VERDICT_GOOD,
    VERDICT_BAD,
    VERDICT_ABSURD, /* the condition can never be told */
};

static enum verdict judge_health(const struct json *container, const char *name, struct error *err)
{
    const struct json *state = json_get(container, "State");
    const char *status = json_text(json_get(json_get(state, "Health"), "Status"));

    if (!json_is_true(json_get(state, "Running"))) {
        error_set(err, ERROR_CONFLICT, "dependency failed to start: container %s exited (%lld)",
                  name, (long long)json_to_int64(json_get(state, "ExitCode")));
        return VERDICT_BAD;
    }
    if (!status || strcmp(status, "none") == 0) {
        error_set(err, ERROR_CONFLICT,
                  "dependency failed to start: container %s has no healthcheck configured", name);
        return VERDICT_ABSURD;
    }
    if (strcmp(status, "unhealthy") == 0) {
        error_set(err, ERROR_CONFLICT, "dependency failed to start: container %s is unhealthy",
                  name);
        return VERDICT_BAD;
    }
    return strcmp(status, "healthy") == 0 ? VERDICT_GOOD : VERDICT_WAIT;
}

static enum verdict judge_end(const struct json *container, const char *service, struct error *err)
{
    const struct json *state = json_get(container, "State");
    long long code = json_to_int64(json_get(state, "ExitCode"));
    const char *status = json_text(json_get(state, "Status"));

    if (!text_equal(status, "exited") && !text_equal(status, "dead"))
        return VERDICT_WAIT;
    if (code == 0)
        return VERDICT_GOOD;
    error_set(err, ERROR_CONFLICT, "service \"%s\" didn't complete successfully: exit %lld",
              service, code);
    return VERDICT_BAD;
}

static void pause_ms(int ms)
{
    nanosleep(&(struct timespec){ .tv_nsec = (long)ms * NS_PER_MS }, NULL);
}

static void remember_broken(struct apply *apply, const char *id)
{
    mutex_lock(&apply->lock);
    if (!apply->broken_id)
        apply->broken_id = xstrdup(id);
    mutex_unlock(&apply->lock);
}

static int wait_for(struct apply *apply, const struct step *step, const char *id, const char *name,
                    struct error *err)
{
    bool is_health = strcmp(step->condition, "service_healthy") == 0;

    progress_tell(apply->progress, "Container", name, "Waiting", PROGRESS_WORKING);
    for (int pause = FIRST_PAUSE_MS;; pause = MIN(pause * 2, LONGEST_PAUSE_MS)) {
        CLEANUP(json_free) struct json *container = NULL;
        enum verdict verdict;

        if (apply_check_called_off(apply, err) < 0 ||
            container_inspect(apply->client, id, &container, err) < 0)
            return -1;
        verdict = is_health ? judge_health(container, name, err)
                            : judge_end(container, step->service, err);
        if (verdict == VERDICT_GOOD) {
            progress_tell(apply->progress, "Container", name, is_health ? "Healthy" : "Exited",
                          PROGRESS_DONE);
            return 0;
        }
        if (verdict == VERDICT_BAD)
            remember_broken(apply, id);
        if (verdict == VERDICT_BAD || verdict == VERDICT_ABSURD) {
            progress_tell(apply->progress, "Container", name, is_health ? "Error" : err->text,
                          PROGRESS_FAILED);
            return -1;
        }
        if (apply->deadline_ns && clock_monotonic_ns() > apply->deadline_ns) {
            remember_broken(apply, id);
            return error_set(err, ERROR_UNAVAILABLE, "application not healthy after %llds",
                             (long long)apply->wait_limit_s);
        }
        pause_ms(pause);
    }
}

int step_wait(struct apply *apply, const struct step *step, struct error *err)
{
    CLEANUP(actual_done) struct actual actual = {};
    int count = 0;

    if (actual_read_containers(apply->client, apply->project->name, &actual, err) < 0)
        return -1;
    for (size_t i = 0; i < actual.count; i++) {
        const struct actual_container *container = &actual.containers[i];

        if (container->is_oneoff || strcmp(container->service, step->service) != 0)
            continue;
        count++;
        if (wait_for(apply, step, container->id, container->name, err) < 0)
            return step->is_required ? -1 : 0;
    }
    if (count || !step->is_required)
        return 0;
    return error_set(err, ERROR_NOT_FOUND, "service \"%s\" has no container to start",
                     step->service);
}
