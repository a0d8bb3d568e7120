/* Stages side by side. A stage starts when all that it needs is built; the first failure calls the
 * others off. */
#include <string.h>
#include <sys/eventfd.h>

#include "base/memory.h"
#include "build/job.h"

#include "base/banned.h"

#define STAGES_AT_ONCE_LEAST 4

struct stage_thread {
    struct job *job;
    size_t index;
};

static void fail_locked(struct job *job, const struct error *why, const struct instruction *at)
{
    uint64_t one = 1;

    if (job->failure.kind == ERROR_NONE) {
        job->failure = *why;
        job->failed_at = at;
    }
    (void)!write(job->abort_fd, &one, sizeof(one));
}

static void *run_stage(void *data)
{
    CLEANUP(free) struct stage_thread *thread = data;
    struct job *job = thread->job;
    struct stage *stage = &job->stages[thread->index];
    struct error err = {};
    const struct instruction *at = NULL;
    int result = job_build_stage(job, thread->index, &at, &err);

    if (result == 0)
        output_finish(&stage->output, stage->image_id);
    else
        output_failed(&stage->output, err.text);
    mutex_lock(&job->lock);
    if (result < 0)
        fail_locked(job, &err, at);
    job->states[thread->index] = result < 0 ? STAGE_FAILED : STAGE_DONE;
    job->running_count--;
    condition_broadcast(&job->changed);
    mutex_unlock(&job->lock);
    return NULL;
}

static bool is_ready(const struct job *job, size_t index)
{
    const struct build_stage *stage = &job->graph.stages[index];

    for (size_t i = 0; i < index; i++)
        if (stage->needs[i] && job->states[i] != STAGE_DONE)
            return false;
    return true;
}

/* The next stage that can start; NO_STAGE: none now. */
static size_t next_stage(const struct job *job)
{
    for (size_t i = 0; i < job->graph.count; i++)
        if (job->states[i] == STAGE_WAITING && is_ready(job, i))
            return i;
    return NO_STAGE;
}

static size_t stages_at_once(void)
{
    long count = sysconf(_SC_NPROCESSORS_ONLN);

    return MAX((size_t)MAX(count, 1L), (size_t)STAGES_AT_ONCE_LEAST);
}

static void start_locked(struct job *job, size_t index)
{
    struct stage_thread *thread = NEW(struct stage_thread);
    struct error err = {};

    *thread = (struct stage_thread){ job, index };
    job->states[index] = STAGE_RUNNING;
    job->running_count++;
    if (thread_start_detached("build-stage", run_stage, thread, &err) == 0)
        return;
    free(thread);
    job->states[index] = STAGE_FAILED;
    job->running_count--;
    fail_locked(job, &err, NULL);
}

/* A lone stage needs no thread. */
static int run_lone(struct job *job, size_t index, struct error *err)
{
    struct stage_thread *thread = NEW(struct stage_thread);

    *thread = (struct stage_thread){ job, index };
    job->states[index] = STAGE_RUNNING;
    job->running_count++;
    run_stage(thread);
    return job->failure.kind ? error_set(err, job->failure.kind, "%s", job->failure.text) : 0;
}

int job_run(struct job *job, struct error *err)
{
    size_t needed = 0, last = 0;

    for (size_t i = 0; i < job->graph.count; i++)
        if (job->graph.stages[i].is_needed) {
            job->states[i] = STAGE_WAITING;
            needed++;
            last = i;
        }
    if (needed == 1)
        return run_lone(job, last, err);
    mutex_lock(&job->lock);
    for (;;) {
        size_t next = job->failure.kind ? NO_STAGE : next_stage(job);

        if (next != NO_STAGE && job->running_count < stages_at_once())
            start_locked(job, next);
        else if (job->running_count > 0)
            condition_wait(&job->changed, &job->lock);
        else
            break;
    }
    mutex_unlock(&job->lock);
    if (!job->failure.kind)
        return 0;
    outputs_flush(&job->outputs);
    return error_set(err, job->failure.kind, "%s", job->failure.text);
}
