/* Which endpoint answers: https first, then what the rules allow. */
#include "registry/registry.h"

#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "registry/internal.h"

#include "base/banned.h"

struct registry *registry_new(const struct registry_options *options, struct store *store)
{
    struct registry *registry = NEW(struct registry);

    registry->transport = transport_new(options);
    registry->store = store;
    registry->downloads = downloads_new(store, options->download_limit);
    mutex_init(&registry->lock);
    map_init_empty(&registry->known, NULL);
    return registry;
}

void registry_free(struct registry *registry)
{
    if (!registry)
        return;
    downloads_free(registry->downloads);
    transport_free(registry->transport);
    map_done(&registry->known);
    mutex_done(&registry->lock);
    free(registry);
}

const char *reference_target(const struct reference *reference)
{
    return reference->digest ?: reference->tag ?: "latest";
}

/* ---- endpoints ---- */

static bool is_known(struct registry *registry, const char *base)
{
    mutex_lock(&registry->lock);
    bool known = map_has(&registry->known, base);
    mutex_unlock(&registry->lock);
    return known;
}

static void set_known(struct registry *registry, const char *base, bool answers)
{
    mutex_lock(&registry->lock);
    if (answers)
        map_set(&registry->known, base, registry);
    else
        map_remove(&registry->known, base);
    mutex_unlock(&registry->lock);
}

struct ping {
    const struct registry_watcher *watcher;
};

static bool ping_is_cancelled(void *data)
{
    return watcher_is_cancelled(((struct ping *)data)->watcher);
}

/* Any answer will do: who we have to be is found out when it matters. */
static int ping(struct registry *registry, const char *base, const struct registry_watcher *watcher,
                struct error *err)
{
    CLEANUP(answer_done) struct answer answer = {};
    CLEANUP(free) char *url = xasprintf("%s/v2/", base);
    struct ping data = { watcher };
    struct call call = {
        .method = "GET", .url = url, .is_cancelled = ping_is_cancelled, .data = &data
    };

    if (transport_call(registry->transport, &call, &answer, err) < 0)
        return -1;
    set_known(registry, base, true);
    return 0;
}

/* With several ways to one host, the one that answered before comes first. */
static void prefer_known(struct registry *registry, struct endpoints *endpoints)
{
    size_t last = endpoints->count - 1;

    if (last == 0 || endpoints->items[last - 1].is_mirror ||
        is_known(registry, endpoints->items[last - 1].base) ||
        !is_known(registry, endpoints->items[last].base))
        return;
    struct endpoint swapped = endpoints->items[last];
    endpoints->items[last] = endpoints->items[last - 1];
    endpoints->items[last - 1] = swapped;
}

/* A mirror's failure is never the last word; the registry's own refusal is. */
static bool tries_next(const struct endpoint *endpoint, const struct error *err)
{
    if (err->kind == ERROR_CANCELLED)
        return false;
    return endpoint->is_mirror || (err->kind == ERROR_UNAVAILABLE && err->sys != 0);
}

int registry_each_endpoint(struct registry *registry, const struct reference *reference,
                           enum session_action action, const struct credentials *credentials,
                           const struct registry_watcher *watcher,
                           int (*use)(struct session *session, void *data, struct error *err),
                           void *data, struct error *err)
{
    CLEANUP(endpoints_done) struct endpoints endpoints = {};
    const struct registry_options *options = transport_options(registry->transport);
    int result = -1;

    if (endpoints_find(reference->domain, options->insecure_registries, options->mirrors,
                       action == SESSION_PULL, &endpoints, err) < 0)
        return -1;
    prefer_known(registry, &endpoints);
    for (size_t i = 0; i < endpoints.count && result < 0; i++) {
        const struct endpoint *endpoint = &endpoints.items[i];
        CLEANUP(session_unref)
        struct session *session = session_new(registry->transport, endpoint, reference->path,
                                              action, credentials);

        *err = (struct error){};
        if (!is_known(registry, endpoint->base) && ping(registry, endpoint->base, watcher, err) < 0)
            result = -1;
        else
            result = use(session, data, err);
        if (result < 0 && err->kind == ERROR_UNAVAILABLE)
            set_known(registry, endpoint->base, false);
        if (result < 0 && !tries_next(endpoint, err))
            break;
    }
    return result;
}

/* ---- words ---- */

int registry_pull_error(const struct reference *reference, bool all_tags, struct error *err)
{
    CLEANUP(free) char *familiar = reference_familiar(reference);
    CLEANUP(free) char *name = reference_familiar_name(reference);

    if (err->kind == ERROR_FORBIDDEN && text_starts(err->text, "denied: ")) {
        err->kind = ERROR_NOT_FOUND;
        return error_context(err,
                             "pull access denied for %s, repository does not exist or may require "
                             "'docker login'",
                             name);
    }
    if (err->kind == ERROR_NOT_FOUND && all_tags)
        return error_context(err, "repository %s not found", name);
    if (err->kind == ERROR_NOT_FOUND &&
        (text_starts(err->text, "manifest unknown") || text_starts(err->text, "name unknown")))
        return error_context(err, "manifest for %s not found", familiar);
    if (err->kind == ERROR_UNSUPPORTED || err->kind == ERROR_INVALID)
        return error_context(err, "cannot pull %s", familiar);
    return -1;
}
