/* A thread takes the lowest layer that nobody has taken: so the lowest that is missing always has
 * one, and whoever waits for the layer below waits for somebody who works. */
#include "registry/stack.h"

#include <stdatomic.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/thread.h"

#include "base/banned.h"

enum { THREAD_LIMIT = 8, ACTIVE_MINIMUM = 2, ACTIVE_LIMIT = 4, TURN_WAIT_MS = 50 };

struct stack_layer {
    struct stack *stack;
    size_t index;
    enum stack_state state; /* under the stack's lock, like 'is_active' */
    bool is_active;         /* counts among those that use the processor and the disk */
    atomic_llong done, total;
};

struct stack {
    struct stack_plan plan;
    size_t count; /* of all layers, with those below 'first' */
    struct mutex lock;
    struct condition changed;
    struct stack_layer *layers;
    size_t next GUARDED_BY(lock);  /* to be taken by a thread */
    size_t ready GUARDED_BY(lock); /* layers from the base up that are there */
    int active GUARDED_BY(lock), active_limit;
    bool has_failed GUARDED_BY(lock);
    struct error failure GUARDED_BY(lock);
    atomic_bool is_over;
    pthread_t threads[THREAD_LIMIT];
    size_t thread_count;
};

struct stack *stack_new(const struct stack_plan *plan)
{
    struct stack *stack = NEW(struct stack);
    long processors = sysconf(_SC_NPROCESSORS_ONLN);

    stack->plan = *plan;
    stack->count = plan->install->chain_ids.count;
    stack->next = stack->ready = plan->first;
    stack->active_limit = (int)MAX(ACTIVE_MINIMUM, MIN(processors, ACTIVE_LIMIT));
    stack->layers = xcalloc(stack->count + 1, sizeof(*stack->layers));
    for (size_t i = 0; i < stack->count; i++) {
        stack->layers[i].stack = stack;
        stack->layers[i].index = i;
    }
    mutex_init(&stack->lock);
    condition_init(&stack->changed);
    return stack;
}

bool stack_is_over(struct stack *stack)
{
    return stack->is_over;
}

static int stopped(struct error *err)
{
    return error_set(err, ERROR_CANCELLED, "context canceled");
}

/* ---- one layer ---- */

/* Few layers are unpacked at a time: more would only compete for the same disk. */
static void become_active(struct stack_layer *layer)
{
    struct stack *stack = layer->stack;

    mutex_lock(&stack->lock);
    while (stack->active >= stack->active_limit && !stack->is_over)
        condition_wait(&stack->changed, &stack->lock);
    stack->active++;
    layer->is_active = true;
    layer->state = STACK_UNPACKING;
    condition_broadcast(&stack->changed);
    mutex_unlock(&stack->lock);
}

static void become_passive_locked(struct stack_layer *layer) REQUIRES(layer->stack->lock)
{
    if (!layer->is_active)
        return;
    layer->is_active = false;
    layer->stack->active--;
    condition_broadcast(&layer->stack->changed);
}

/* Who waits for the layer below leaves the processor to it. */
static int await_parent(void *data, struct error *err)
{
    struct stack_layer *layer = data;
    struct stack *stack = layer->stack;

    mutex_lock(&stack->lock);
    if (stack->ready < layer->index)
        become_passive_locked(layer);
    while (stack->ready < layer->index && !stack->is_over)
        condition_wait(&stack->changed, &stack->lock);
    bool is_there = stack->ready >= layer->index;
    mutex_unlock(&stack->lock);
    return is_there ? 0 : stopped(err);
}

static int on_progress(void *data, int64_t done, int64_t total)
{
    struct stack_layer *layer = data;

    layer->done = done;
    layer->total = total;
    return layer->stack->is_over;
}

static int unpack(struct stack_layer *layer, const char *blob_digest, struct error *err)
{
    struct stack *stack = layer->stack;
    struct layer_source source = { .blob_digest = blob_digest,
                                   .progress = on_progress,
                                   .await_parent = await_parent,
                                   .data = layer };

    become_active(layer);
    int result = install_unpack(stack->plan.install, layer->index, &source, err);
    mutex_lock(&stack->lock);
    become_passive_locked(layer);
    mutex_unlock(&stack->lock);
    return result;
}

/* Somebody else's work on the layer is waited for, and then it is there. */
static int take_turn(struct stack *stack, const char *chain_id, struct error *err)
{
    while (stack->plan.take_turn && !stack->plan.take_turn(stack->plan.data, chain_id)) {
        mutex_lock(&stack->lock);
        if (!stack->is_over)
            condition_wait_until(&stack->changed, &stack->lock,
                                 clock_monotonic_ns() + TURN_WAIT_MS * (uint64_t)NS_PER_MS);
        mutex_unlock(&stack->lock);
        if (stack->is_over)
            return stopped(err);
    }
    return 0;
}

static int make_layer(struct stack_layer *layer, struct error *err)
{
    struct stack *stack = layer->stack;
    const char *chain_id = stack->plan.install->chain_ids.items[layer->index];
    const char *blob_digest = stack->plan.blob(stack->plan.data, layer->index, err);

    if (!blob_digest || take_turn(stack, chain_id, err) < 0)
        return -1;
    int result = install_hold(stack->plan.install, layer->index) ? await_parent(layer, err)
                                                                 : unpack(layer, blob_digest, err);
    if (stack->plan.end_turn)
        stack->plan.end_turn(stack->plan.data, chain_id);
    return result;
}

/* ---- the threads ---- */

static void settle(struct stack_layer *layer, int result, const struct error *err)
{
    struct stack *stack = layer->stack;

    mutex_lock(&stack->lock);
    if (result == 0) {
        layer->state = STACK_DONE;
        stack->ready = layer->index + 1;
    } else {
        if (!stack->has_failed)
            stack->failure = *err;
        stack->has_failed = true;
        stack->is_over = true;
    }
    condition_broadcast(&stack->changed);
    mutex_unlock(&stack->lock);
}

static void *work(void *data)
{
    struct stack *stack = data;

    for (;;) {
        struct error err = {};

        mutex_lock(&stack->lock);
        bool has_more = stack->next < stack->count && !stack->is_over;
        struct stack_layer *layer = &stack->layers[has_more ? stack->next++ : 0];
        mutex_unlock(&stack->lock);
        if (!has_more)
            return NULL;
        int result = make_layer(layer, &err);
        settle(layer, result, &err);
    }
}

int stack_start(struct stack *stack, struct error *err)
{
    size_t wanted = MIN(stack->count - stack->plan.first, (size_t)THREAD_LIMIT);
    struct error own = {};

    while (stack->thread_count < wanted) {
        if (thread_start("unpack", work, stack, &stack->threads[stack->thread_count], &own) < 0)
            break;
        stack->thread_count++;
    }
    if (wanted && !stack->thread_count) {
        if (err)
            *err = own;
        return -1;
    }
    return 0;
}

/* ---- looking on ---- */

enum stack_state stack_look(struct stack *stack, size_t index, int64_t *out_done,
                            int64_t *out_total)
{
    struct stack_layer *layer = &stack->layers[index];

    mutex_lock(&stack->lock);
    enum stack_state state = layer->state;
    mutex_unlock(&stack->lock);
    *out_done = layer->done;
    *out_total = layer->total;
    return state;
}

int stack_wait(struct stack *stack, int timeout_ms, struct error *err)
{
    mutex_lock(&stack->lock);
    if (stack->ready < stack->count && !stack->has_failed && timeout_ms > 0)
        condition_wait_until(&stack->changed, &stack->lock,
                             clock_monotonic_ns() + (uint64_t)timeout_ms * NS_PER_MS);
    int result = stack->has_failed ? -1 : stack->ready == stack->count;
    if (result < 0 && err)
        *err = stack->failure;
    mutex_unlock(&stack->lock);
    return result;
}

void stack_free(struct stack *stack)
{
    if (!stack)
        return;
    mutex_lock(&stack->lock);
    stack->is_over = true;
    condition_broadcast(&stack->changed);
    mutex_unlock(&stack->lock);
    for (size_t i = 0; i < stack->thread_count; i++)
        pthread_join(stack->threads[i], NULL);
    condition_done(&stack->changed);
    mutex_done(&stack->lock);
    free(stack->layers);
    free(stack);
}
