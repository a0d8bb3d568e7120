/* Events: a ring of the last ones for replay, and a bounded queue per subscriber. A subscriber that
 * does not keep up is told so instead of losing some silently. */
#include "engine/events.h"

#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"
#include "engine/internal.h"

#include "base/banned.h"

/* Docker keeps 256; a client that comes back after a break wants those of the break. */
enum { RING_LIMIT = 4096, RING_SIZE_LIMIT = 1 << 20 };
enum { QUEUE_LIMIT = 8192, QUEUE_SIZE_LIMIT = 8 << 20 };

struct event_subscription {
    struct list link;
    struct event_ring *ring;
    struct event **queue;
    size_t start, count, capacity;
    size_t size; /* of the texts in the queue */
    bool has_lost;
    int wake_fd;
    int64_t until_ns;
};

struct event_ring {
    struct mutex lock;
    struct event *events[RING_LIMIT] GUARDED_BY(lock);
    size_t first GUARDED_BY(lock), count GUARDED_BY(lock);
    size_t size GUARDED_BY(lock); /* of their texts */
    struct list subscriptions GUARDED_BY(lock);
    int listeners GUARDED_BY(lock);
    uint64_t total GUARDED_BY(lock);
};

struct event *event_ref(struct event *event)
{
    __atomic_add_fetch(&event->reference_count, 1, __ATOMIC_RELAXED);
    return event;
}

void event_unref(struct event *event)
{
    if (!event || __atomic_sub_fetch(&event->reference_count, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    free(event->type);
    free(event->action);
    free(event->id);
    map_done(&event->attributes);
    free(event);
}

struct event_ring *event_ring_new(void)
{
    struct event_ring *ring = NEW(struct event_ring);

    mutex_init(&ring->lock);
    list_init(&ring->subscriptions);
    return ring;
}

void event_ring_free(struct event_ring *ring)
{
    if (!ring)
        return;
    for (size_t i = 0; i < RING_LIMIT; i++)
        event_unref(ring->events[i]);
    mutex_done(&ring->lock);
    free(ring);
}

int event_ring_listeners(struct event_ring *ring)
{
    mutex_lock(&ring->lock);
    int listeners = ring->listeners;
    mutex_unlock(&ring->lock);
    return listeners;
}

uint64_t event_ring_total(struct event_ring *ring)
{
    mutex_lock(&ring->lock);
    uint64_t total = ring->total;
    mutex_unlock(&ring->lock);
    return total;
}

static size_t text_size(const struct event *event)
{
    size_t size = strlen(event->type) + strlen(event->action) + strlen(event->id);

    MAP_EACH (&event->attributes, entry)
        size += strlen(entry->key) + strlen(entry->value);
    return size;
}

/* Once it has lost one it gets no more: what it was told is without gaps. */
static void enqueue(struct event_subscription *subscription, struct event *event)
{
    size_t size = text_size(event);

    if (subscription->has_lost)
        return;
    if (subscription->count == QUEUE_LIMIT ||
        (subscription->count && subscription->size + size > QUEUE_SIZE_LIMIT)) {
        subscription->has_lost = true;
    } else {
        if (subscription->start + subscription->count == subscription->capacity) {
            struct event **queue = xcalloc(subscription->count * 2 + 16, sizeof(*queue));

            for (size_t i = 0; i < subscription->count; i++)
                queue[i] = subscription->queue[subscription->start + i];
            free(subscription->queue);
            subscription->queue = queue;
            subscription->start = 0;
            subscription->capacity = subscription->count * 2 + 16;
        }
        subscription->queue[subscription->start + subscription->count++] = event_ref(event);
        subscription->size += size;
    }
    eventfd_write(subscription->wake_fd, 1);
}

/* Takes it over; the oldest go. */
static void keep(struct event_ring *ring, struct event *event) REQUIRES(ring->lock)
{
    size_t size = text_size(event);

    while (ring->count == RING_LIMIT || (ring->count && ring->size + size > RING_SIZE_LIMIT)) {
        struct event *oldest = TAKE(ring->events[ring->first]);

        ring->size -= text_size(oldest);
        ring->first = (ring->first + 1) % RING_LIMIT;
        ring->count--;
        event_unref(oldest);
    }
    ring->events[(ring->first + ring->count++) % RING_LIMIT] = event;
    ring->size += size;
}

static bool changes_files(const char *type, const char *action)
{
    return (strcmp(type, "container") == 0 || strcmp(type, "image") == 0 ||
            strcmp(type, "volume") == 0) &&
           !text_starts(action, "exec_") && !text_starts(action, "health_");
}

void engine_event(struct engine *engine, const char *type, const char *action, const char *id,
                  const struct map *attributes)
{
    struct event_ring *ring = engine->events;
    struct event *event = NEW(struct event);

    event->reference_count = 1;
    event->type = xstrdup(type);
    event->action = xstrdup(action);
    event->id = xstrdup(id);
    if (attributes)
        map_copy_texts(&event->attributes, attributes);
    mutex_lock(&ring->lock);
    event->wall_ns = clock_wall_ns();
    ring->total++;
    keep(ring, event);
    LIST_EACH (&ring->subscriptions, struct event_subscription, link, subscription)
        enqueue(subscription, event);
    mutex_unlock(&ring->lock);
    if (changes_files(type, action))
        engine_usage_prepare(engine);
}

int engine_events_subscribe(struct engine *engine, int64_t since_ns, int64_t until_ns,
                            struct event_subscription **out, struct error *err)
{
    struct event_ring *ring = engine->events;
    struct event_subscription *subscription = NEW(struct event_subscription);

    subscription->ring = ring;
    subscription->until_ns = until_ns;
    subscription->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (subscription->wake_fd < 0) {
        free(subscription);
        return error_sys(err, "subscribe to events");
    }
    mutex_lock(&ring->lock);
    for (size_t i = 0; since_ns && i < ring->count; i++) {
        struct event *event = ring->events[(ring->first + i) % RING_LIMIT];

        if (event->wall_ns >= since_ns && (!until_ns || event->wall_ns <= until_ns))
            enqueue(subscription, event);
    }
    list_add(&ring->subscriptions, &subscription->link);
    ring->listeners++;
    mutex_unlock(&ring->lock);
    *out = subscription;
    return 0;
}

/* The next queued event, or NULL. */
static struct event *dequeue(struct event_subscription *subscription, bool *out_has_lost)
{
    struct event *event = NULL;

    mutex_lock(&subscription->ring->lock);
    *out_has_lost = subscription->has_lost && !subscription->count;
    if (subscription->count) {
        event = subscription->queue[subscription->start++];
        subscription->size -= text_size(event);
        if (--subscription->count == 0)
            subscription->start = 0;
    }
    mutex_unlock(&subscription->ring->lock);
    return event;
}

int event_subscription_next(struct event_subscription *subscription, int cancel_fd,
                            struct event **out, struct error *err)
{
    for (;;) {
        struct pollfd fds[] = { { .fd = subscription->wake_fd, .events = POLLIN },
                                { .fd = cancel_fd, .events = POLLIN } };
        int64_t now_ns = clock_wall_ns(), left_ns = subscription->until_ns - now_ns;
        bool has_lost;
        eventfd_t ignored;

        struct event *event = dequeue(subscription, &has_lost);
        if (event && subscription->until_ns && event->wall_ns > subscription->until_ns) {
            event_unref(event);
            return 0;
        }
        if (event) {
            *out = event;
            return 1;
        }
        if (has_lost)
            return error_set(err, ERROR_UNAVAILABLE,
                             "events came faster than they were read; some are lost");
        if (subscription->until_ns && left_ns <= 0)
            return 0;
        int timeout_ms = subscription->until_ns ? (int)MIN(left_ns / NS_PER_MS + 1, 1000000) : -1;
        if (poll(fds, 2, timeout_ms) > 0 && fds[1].revents)
            return 0;
        eventfd_read(subscription->wake_fd, &ignored);
    }
}

void event_subscription_free(struct event_subscription *subscription)
{
    if (!subscription)
        return;
    mutex_lock(&subscription->ring->lock);
    list_remove(&subscription->link);
    subscription->ring->listeners--;
    mutex_unlock(&subscription->ring->lock);
    for (size_t i = 0; i < subscription->count; i++)
        event_unref(subscription->queue[subscription->start + i]);
    free(subscription->queue);
    close(subscription->wake_fd);
    free(subscription);
}
