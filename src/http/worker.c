/* Threads that serve active visitors, one at a time each. They come on demand; at most a few stay
 * when there is nothing to do, as each costs the memory that its stack has touched. */
#include "http/server_state.h"

#include "base/clock.h"
#include "base/heap.h"

#include "base/banned.h"

enum { IDLE_THREAD_COUNT = 2 };
#define REST_NS NS_PER_S /* until a thread that has nothing to do looks after the heap */

static bool shake_hands(struct visitor *visitor)
{
    struct http_server *server = visitor->server;
    int result = tls_serve(visitor->tls, visitor->connection, server->limits.header_timeout_ms,
                           NULL);

    mutex_lock(&server->lock);
    visitor->is_shaking = false;
    mutex_unlock(&server->lock);
    return result == 0;
}

static void forget_head(struct visitor *visitor)
{
    visitor->scanned = 0;
    visitor->head_size = 0;
    visitor->deadline_ns = 0;
}

/* Answers one request after the other, as long as they have come already. */
static void serve(struct visitor *visitor)
{
    if (visitor->is_shaking && !shake_hands(visitor)) {
        visitor_free(visitor);
        return;
    }
    for (;;) {
        enum head_state state = visitor_receive(visitor);

        if (state == HEAD_PARTIAL) {
            visitor_park(visitor);
            return;
        }
        if (state == HEAD_ENDED || !exchange_run(visitor, state))
            break;
        forget_head(visitor);
    }
    visitor_free(visitor);
}

/* True if some time went by without any. Work often comes again soon, so it is worth a wait. */
static bool rest_locked(struct http_server *server, bool has_rested) REQUIRES(server->lock)
{
    bool is_over = false;

    server->idle_count++;
    if (has_rested)
        condition_wait(&server->work, &server->lock);
    else
        is_over = !condition_wait_until(&server->work, &server->lock,
                                        clock_monotonic_ns() + REST_NS);
    server->idle_count--;
    return is_over;
}

/* NULL when the thread is to end: nothing of it runs after the server any more. */
static struct visitor *next_job_locked(struct http_server *server) REQUIRES(server->lock)
{
    bool has_rested = false;

    while (list_is_empty(&server->jobs)) {
        bool is_spare = server->idle_count >= IDLE_THREAD_COUNT;

        if (server->is_stopping || (is_spare && has_rested))
            return NULL;
        if (!is_spare && !rest_locked(server, has_rested))
            continue;
        mutex_unlock(&server->lock);
        heap_give_back();
        mutex_lock(&server->lock);
        has_rested = true;
    }
    struct visitor *visitor = CONTAINER_OF(server->jobs.next, struct visitor, job_link);
    list_remove(&visitor->job_link);
    server->job_count--;
    return visitor;
}

static struct visitor *next_job(struct http_server *server)
{
    mutex_lock(&server->lock);
    struct visitor *visitor = next_job_locked(server);
    if (!visitor) {
        server->thread_count--;
        condition_broadcast(&server->changed);
    }
    mutex_unlock(&server->lock);
    return visitor;
}

static void *work(void *data)
{
    struct http_server *server = data;
    struct visitor *visitor;

    while ((visitor = next_job(server)))
        serve(visitor);
    return NULL;
}

/* False when there is nobody, now or later, to do the job. */
static bool find_thread_locked(struct http_server *server) REQUIRES(server->lock)
{
    if (server->idle_count >= server->job_count) {
        condition_signal(&server->work);
        return true;
    }
    if (thread_start_detached("http-worker", work, server, NULL) < 0)
        return server->thread_count > 0; /* it waits for one that is busy */
    server->thread_count++;
    return true;
}

static bool add_job_locked(struct http_server *server, struct visitor *visitor)
    REQUIRES(server->lock)
{
    list_add(&server->jobs, &visitor->job_link);
    server->job_count++;
    if (find_thread_locked(server))
        return true;
    list_remove(&visitor->job_link);
    server->job_count--;
    return false;
}

void worker_serve(struct visitor *visitor)
{
    struct http_server *server = visitor->server;

    mutex_lock(&server->lock);
    bool is_added = add_job_locked(server, visitor);
    mutex_unlock(&server->lock);
    if (!is_added)
        visitor_free(visitor);
}
