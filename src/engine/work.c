/* A queue of jobs with due times. A thread is added when a job is due and all are busy, up to a
 * limit; idle ones but the first end after a while, so that an idle engine keeps one. */
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "engine/internal.h"

#include "base/banned.h"

enum { THREAD_LIMIT = 16, IDLE_S = 5 };

struct job {
    struct list link;
    uint64_t due_ns;
    void (*run)(void *data);
    void (*drop)(void *data);
    void *data;
};

struct work_queue {
    struct mutex lock;
    struct condition changed;
    struct list jobs GUARDED_BY(lock); /* by due time */
    int threads GUARDED_BY(lock);
    int idle GUARDED_BY(lock);
    bool is_ending GUARDED_BY(lock);
};

static struct job *next_due(struct work_queue *queue, uint64_t *out_due_ns) REQUIRES(queue->lock)
{
    *out_due_ns = UINT64_MAX;
    if (list_is_empty(&queue->jobs))
        return NULL;
    struct job *job = CONTAINER_OF(queue->jobs.next, struct job, link);
    *out_due_ns = job->due_ns;
    if (job->due_ns > clock_monotonic_ns())
        return NULL;
    list_remove(&job->link);
    return job;
}

static void *work(void *data);

static void start_thread(struct work_queue *queue) REQUIRES(queue->lock)
{
    struct error err;

    if (thread_start_detached("work", work, queue, &err) < 0) {
        log_error("cannot start a worker", "error", err.text);
        return;
    }
    queue->threads++;
}

static void *work(void *data)
{
    struct work_queue *queue = data;

    mutex_lock(&queue->lock);
    while (!queue->is_ending) {
        uint64_t due_ns, idle_end_ns = clock_monotonic_ns() + IDLE_S * (uint64_t)NS_PER_S;
        struct job *job = next_due(queue, &due_ns);

        if (job) {
            if (!queue->idle && queue->threads < THREAD_LIMIT && !list_is_empty(&queue->jobs))
                start_thread(queue);
            mutex_unlock(&queue->lock);
            job->run(job->data);
            free(job);
            mutex_lock(&queue->lock);
            continue;
        }
        queue->idle++;
        bool is_last = queue->threads == 1 || queue->idle == 1;
        bool woken = true;
        if (is_last && due_ns == UINT64_MAX)
            condition_wait(&queue->changed, &queue->lock);
        else
            woken = condition_wait_until(&queue->changed, &queue->lock,
                                         is_last ? due_ns : MIN(due_ns, idle_end_ns));
        queue->idle--;
        if (!woken && !is_last && due_ns > clock_monotonic_ns() && queue->idle > 0)
            break;
    }
    queue->threads--;
    condition_broadcast(&queue->changed);
    mutex_unlock(&queue->lock);
    return NULL;
}

int work_queue_new(struct work_queue **out, struct error *err UNUSED)
{
    struct work_queue *queue = NEW(struct work_queue);

    mutex_init(&queue->lock);
    condition_init(&queue->changed);
    list_init(&queue->jobs);
    mutex_lock(&queue->lock);
    start_thread(queue);
    mutex_unlock(&queue->lock);
    *out = queue;
    return 0;
}

void work_submit(struct work_queue *queue, int64_t delay_ns, void (*run)(void *data),
                 void (*drop)(void *data), void *data)
{
    struct job *job = NEW(struct job);

    *job = (struct job){
        .due_ns = clock_monotonic_ns() + (uint64_t)delay_ns, .run = run, .drop = drop, .data = data
    };
    mutex_lock(&queue->lock);
    if (queue->is_ending) {
        mutex_unlock(&queue->lock);
        if (drop)
            drop(data);
        free(job);
        return;
    }
    struct list *before = queue->jobs.previous;
    while (before != &queue->jobs && CONTAINER_OF(before, struct job, link)->due_ns > job->due_ns)
        before = before->previous;
    list_add(before->next, &job->link); /* in front of the element behind 'before' */
    if (!queue->idle && queue->threads < THREAD_LIMIT)
        start_thread(queue);
    condition_broadcast(&queue->changed);
    mutex_unlock(&queue->lock);
}

void work_queue_end(struct work_queue *queue)
{
    mutex_lock(&queue->lock);
    queue->is_ending = true;
    condition_broadcast(&queue->changed);
    while (queue->threads)
        condition_wait(&queue->changed, &queue->lock);
    mutex_unlock(&queue->lock);
}

void work_queue_free(struct work_queue *queue)
{
    if (!queue)
        return;
    work_queue_end(queue);
    LIST_EACH (&queue->jobs, struct job, link, job) {
        if (job->drop)
            job->drop(job->data);
        free(job);
    }
    condition_done(&queue->changed);
    mutex_done(&queue->lock);
    free(queue);
}
