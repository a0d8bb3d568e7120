/* Jobs that need each other: each of them has to be run while the others are. */
#include <criterion/criterion.h>
#include <stdatomic.h>
#include <time.h>

#include "base/clock.h"
#include "engine/internal.h"

enum { ROUNDS = 200, FEW = 8, MANY = 24 /* more than there are threads usually */ };

static struct work_queue *queue;
static pthread_barrier_t barrier;
static atomic_int dropped;

static void set_up(void)
{
    struct error err;

    cr_assert_eq(work_queue_new(&queue, &err), 0, "%s", err.text);
}

static void tear_down(void)
{
    cr_assert(work_queue_end(queue));
    work_queue_free(queue);
}

TestSuite(work, .init = set_up, .fini = tear_down, .timeout = 60);

static void meet(void *data UNUSED)
{
    pthread_barrier_wait(&barrier);
}

static void drop(void *data UNUSED)
{
    atomic_fetch_add(&dropped, 1);
}

/* 'count' jobs and the caller meet. */
static void run_at_once(unsigned count, int64_t delay_ns)
{
    pthread_barrier_init(&barrier, NULL, count + 1);
    for (unsigned i = 0; i < count; i++)
        work_submit(queue, delay_ns * (int64_t)(i % 3), meet, NULL, NULL);
    pthread_barrier_wait(&barrier);
    pthread_barrier_destroy(&barrier);
}

Test(work, is_done_side_by_side)
{
    for (unsigned i = 0; i < ROUNDS; i++)
        run_at_once(1 + i % FEW, i % 2 ? NS_PER_MS : 0);
}

Test(work, is_done_beside_what_is_due_later)
{
    work_submit(queue, 3600 * NS_PER_S, meet, drop, NULL);
    for (unsigned i = 0; i < ROUNDS; i++)
        run_at_once(1 + i % FEW, NS_PER_MS / 10);
    cr_assert(work_queue_end(queue));
    cr_expect_eq(dropped, 0);
    work_queue_free(queue);
    cr_expect_eq(dropped, 1);
    set_up();
}

Test(work, is_done_beside_what_is_stuck)
{
    run_at_once(MANY, 0);
}

Test(work, is_dropped_when_all_has_ended)
{
    cr_assert(work_queue_end(queue));
    work_submit(queue, 0, meet, drop, NULL);
    cr_expect_eq(dropped, 1);
}
