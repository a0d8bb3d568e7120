/* What the files of the client share. */
#ifndef BERTH_REGISTRY_INTERNAL_H
#define BERTH_REGISTRY_INTERNAL_H

#include "base/map.h"
#include "base/thread.h"
#include "registry/auth.h"
#include "registry/download.h"
#include "registry/registry.h"

struct registry {
    struct transport *transport;
    struct store *store;
    struct downloads *downloads;
    struct mutex lock;
    struct map known GUARDED_BY(lock); /* endpoint base → known to answer */
};

/* Sessions with the endpoints of a reference that answer, in order: 'use' is called with one after
 * the other until it does not fail. Of several failures the last one is told. */
int registry_each_endpoint(struct registry *registry, const struct reference *reference,
                           enum session_action action, const struct credentials *credentials,
                           const struct registry_watcher *watcher,
                           int (*use)(struct session *session, void *data, struct error *err),
                           void *data, struct error *err);

/* The tag, or the digest if there is one. */
const char *reference_target(const struct reference *reference);

/* Docker's words around a refusal, and its kind. */
int registry_pull_error(const struct reference *reference, bool all_tags, struct error *err);

static inline bool watcher_is_cancelled(const struct registry_watcher *watcher)
{
    return watcher && watcher->is_cancelled && watcher->is_cancelled(watcher->data);
}

#endif
