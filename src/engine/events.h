/* What happened: a ring of the last events, subscribers with bounded queues. */
#ifndef BERTH_ENGINE_EVENTS_H
#define BERTH_ENGINE_EVENTS_H

#include <stdint.h>

#include "base/error.h"
#include "base/map.h"
#include "engine/engine.h"

struct event {
    int reference_count;   /* private */
    char *type, *action;   /* "container", "start" */
    char *id;              /* Actor.ID */
    struct map attributes; /* texts */
    int64_t wall_ns;
};
struct event *event_ref(struct event *event);
void event_unref(struct event *event);
CLEANUP_POINTER(event_unref, struct event)

/* Publishes; 'attributes' is copied, may be NULL. */
void engine_event(struct engine *engine, const char *type, const char *action, const char *id,
                  const struct map *attributes);

/* From 'since_ns' (0: from now on), at most until 'until_ns' (0: endless). */
struct event_subscription;
int engine_events_subscribe(struct engine *engine, int64_t since_ns, int64_t until_ns,
                            struct event_subscription **out, struct error *err);
/* 1: an event (a reference); 0: 'until' is reached or cancel_fd fired; -1 UNAVAILABLE: this
 * subscriber was too slow and lost some. */
int event_subscription_next(struct event_subscription *subscription, int cancel_fd,
                            struct event **out, struct error *err);
void event_subscription_free(struct event_subscription *subscription);
CLEANUP_POINTER(event_subscription_free, struct event_subscription)

#endif
