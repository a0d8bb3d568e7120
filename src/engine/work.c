/* A queue of jobs with due times. A thread is added when a job is due and all are busy, up to a
 * usual number; idle ones but the first end after a while, so that an idle engine keeps one.
 *
 * Only a job that becomes the first one wakes an idle thread: those know when the first one is due.
 * Whoever takes it wakes the next thread for what comes behind it.
 *
 * Jobs may be stuck: with a supervisor that was stopped, with a lock that another stuck one holds.
 * While all threads are busy and jobs wait, a watchman looks whether any job was begun lately; if
 * not, the threads there are count as stuck and one more is added, beyond the usual number. */
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "engine/internal.h"

#include "base/banned.h"

enum {
    USUAL_THREADS = 16,
    THREAD_LIMIT = 2048, /* stuck ones included: their stacks are all that they cost */
    IDLE_S = 5,
    STUCK_MS = 200, /* without a job begun */
    END_S = 10,     /* for what runs when the engine ends */
};

struct job {
    struct list link;
    uint64_t due_ns;
    void (*run)(void *data);
    void (*drop)(void *data);
    void *data;
};

struct work_queue {
    struct mutex lock;
    struct condition first; /* for idle threads: another job is the first one, or all ends */
    struct condition ends;  /* a thread has ended, or all ends */
    struct list jobs GUARDED_BY(lock); /* by due time */
    int threads GUARDED_BY(lock);
    int idle GUARDED_BY(lock);
    uint64_t begun GUARDED_BY(lock); /* jobs so far */
    bool has_watchman GUARDED_BY(lock);
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
    queue->begun++;
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

static bool is_waiting(struct work_queue *queue) REQUIRES(queue->lock)
{
    return !queue->is_ending && !list_is_empty(&queue->jobs) && !queue->idle;
}

static void *watch(void *data)
{
    struct work_queue *queue = data;

    mutex_lock(&queue->lock);
    while (is_waiting(queue)) {
        uint64_t begun = queue->begun, now_ns = clock_monotonic_ns();
        uint64_t end_ns = now_ns + STUCK_MS * (uint64_t)NS_PER_MS;

        while (!queue->is_ending && condition_wait_until(&queue->ends, &queue->lock, end_ns))
            ;
        bool is_due = is_waiting(queue) &&
                      CONTAINER_OF(queue->jobs.next, struct job, link)->due_ns < now_ns;
        if (is_due && queue->begun == begun && queue->threads < THREAD_LIMIT)
            start_thread(queue);
    }
    queue->has_watchman = false;
    condition_broadcast(&queue->ends);
    mutex_unlock(&queue->lock);
    return NULL;
}

/* For the first job: a thread, or one who sees to it that there will be one. */
static void need_thread(struct work_queue *queue) REQUIRES(queue->lock)
{
    struct error err;

    if (queue->idle)
        condition_signal(&queue->first);
    else if (queue->threads < USUAL_THREADS)
        start_thread(queue);
    else if (!queue->has_watchman) {
        if (thread_start_detached("watch", watch, queue, &err) < 0)
            log_error("cannot start a watchman", "error", err.text);
        else
            queue->has_watchman = true;
    }
}

static void *work(void *data)
{
    struct work_queue *queue = data;

    mutex_lock(&queue->lock);
    while (!queue->is_ending) {
        uint64_t due_ns, idle_end_ns = clock_monotonic_ns() + IDLE_S * (uint64_t)NS_PER_S;
        struct job *job = next_due(queue, &due_ns);

        if (job) {
            if (!list_is_empty(&queue->jobs))
                need_thread(queue);
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
            condition_wait(&queue->first, &queue->lock);
        else
            woken = condition_wait_until(&queue->first, &queue->lock,
                                         is_last ? due_ns : MIN(due_ns, idle_end_ns));
        queue->idle--;
        if (!woken && !is_last && due_ns > clock_monotonic_ns() && queue->idle > 0)
            break;
    }
    queue->threads--;
    condition_signal(&queue->first); /* It may have come to this one, which was about to end. */
    condition_broadcast(&queue->ends);
    mutex_unlock(&queue->lock);
    return NULL;
}

int work_queue_new(struct work_queue **out, struct error *err UNUSED)
{
    struct work_queue *queue = NEW(struct work_queue);

    mutex_init(&queue->lock);
    condition_init(&queue->first);
    condition_init(&queue->ends);
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
    if (before == &queue->jobs || !queue->idle)
        need_thread(queue);
    mutex_unlock(&queue->lock);
}

bool work_queue_end(struct work_queue *queue)
{
    uint64_t deadline_ns = clock_monotonic_ns() + END_S * (uint64_t)NS_PER_S;

    mutex_lock(&queue->lock);
    queue->is_ending = true;
    condition_broadcast(&queue->first);
    condition_broadcast(&queue->ends);
    while ((queue->threads || queue->has_watchman) &&
           condition_wait_until(&queue->ends, &queue->lock, deadline_ns))
        ;
    bool has_ended = !queue->threads && !queue->has_watchman;
    mutex_unlock(&queue->lock);
    return has_ended;
}

void work_queue_free(struct work_queue *queue)
{
    if (!queue)
        return;
    LIST_EACH (&queue->jobs, struct job, link, job) {
        if (job->drop)
            job->drop(job->data);
        free(job);
    }
    condition_done(&queue->first);
    condition_done(&queue->ends);
    mutex_done(&queue->lock);
    free(queue);
}
