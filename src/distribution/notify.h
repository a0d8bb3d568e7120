/* Word of what happened in the registry, sent to HTTP endpoints in the envelope of Docker's
 * registry. Events wait in a queue of limited length while an endpoint does not answer, and are
 * tried again with growing pauses; then they are dropped, and counted. */
#ifndef BERTH_DISTRIBUTION_NOTIFY_H
#define BERTH_DISTRIBUTION_NOTIFY_H

#include "base/error.h"
#include "base/strv.h"
#include "distribution/metrics.h"

struct notifier;

/* One queue and thread for each URL. 'headers' ("Name: value") go along; may be NULL. */
int notifier_new(const struct strv *urls, const struct strv *headers, struct metrics *metrics,
                 struct notifier **out, struct error *err);
/* Ends within seconds; what waits still is dropped. NULL is fine. */
void notifier_free(struct notifier *notifier);
CLEANUP_POINTER(notifier_free, struct notifier)

struct event {
    const char *action; /* "push", "pull", "mount" or "delete" */
    const char *repository, *digest, *tag, *media_type, *from_repository; /* NULL: not said */
    int64_t size;                                                         /* -1: not said */
    const char *peer, *host, *method, *agent, *user;                      /* NULL: not said */
};
/* Never waits. */
void notifier_tell(struct notifier *notifier, const struct event *event);

#endif
