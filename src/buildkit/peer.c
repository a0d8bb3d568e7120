/* The connection is read by the thread of the request that brought it. */
#include "buildkit/peer.h"

#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"

#include "base/banned.h"

#define WAIT_STEP_NS (50 * NS_PER_MS)

struct peer *peer_ref(struct peer *session)
{
    atomic_fetch_add(&session->reference_count, 1);
    return session;
}

void peer_unref(struct peer *session)
{
    if (!session || atomic_fetch_sub(&session->reference_count, 1) > 1)
        return;
    free(session->id);
    free(session->name);
    free(session->shared_key);
    strv_done(&session->methods);
    http2_unref(session->channel);
    free(session);
}

static void drop(void *session)
{
    peer_unref(session);
}

bool peer_offers(const struct peer *session, const char *method)
{
    for (size_t i = 0; i < session->methods.count; i++)
        if (strcasecmp(session->methods.items[i], method) == 0)
            return true;
    return false;
}

int peer_need(const struct peer *session, const char *method, const char *what, struct error *err)
{
    if (peer_offers(session, method))
        return 0;
    return error_set(err, ERROR_UNSUPPORTED, "the client does not offer %s", what);
}

void peers_init(struct peers *sessions)
{
    mutex_init(&sessions->lock);
    condition_init(&sessions->changed);
    map_init_empty(&sessions->items, drop);
}

void peers_done(struct peers *sessions)
{
    map_done(&sessions->items);
    mutex_done(&sessions->lock);
    condition_done(&sessions->changed);
}

static int add(struct peers *sessions, struct peer *session, struct error *err)
{
    int result = 0;

    mutex_lock(&sessions->lock);
    if (map_has(&sessions->items, session->id))
        result = error_set(err, ERROR_CONFLICT, "session %s is there already", session->id);
    else if (sessions->items.count >= SESSION_LIMIT)
        result = error_set(err, ERROR_UNAVAILABLE, "more than %d sessions", SESSION_LIMIT);
    else
        map_set(&sessions->items, session->id, peer_ref(session));
    condition_broadcast(&sessions->changed);
    mutex_unlock(&sessions->lock);
    return result;
}

int peers_run(struct peers *sessions, struct http_connection *connection, const char *id,
              const char *name, const char *shared_key, const struct strv *methods, int cancel_fd,
              struct error *err)
{
    CLEANUP(peer_unref) struct peer *session = NEW(struct peer);

    atomic_init(&session->reference_count, 1);
    session->id = xstrdup(id);
    session->name = xstrdup(name ? name : "");
    session->shared_key = xstrdup(shared_key ? shared_key : "");
    strv_copy(&session->methods, methods);
    if (http2_new(connection, NULL, NULL, &session->channel, err) < 0 ||
        add(sessions, session, err) < 0)
        return -1;
    http2_run(session->channel, cancel_fd);
    mutex_lock(&sessions->lock);
    map_remove(&sessions->items, id);
    mutex_unlock(&sessions->lock);
    return 0;
}

int peers_find(struct peers *sessions, const char *id, int cancel_fd, struct peer **out,
               struct error *err)
{
    uint64_t end_ns = clock_monotonic_ns() + (uint64_t)SESSION_WAIT_MS * NS_PER_MS;
    struct peer *found = NULL;
    int result = -1;

    if (text_is_empty(id))
        return error_set(err, ERROR_INVALID, "the build names no session");
    mutex_lock(&sessions->lock);
    for (;;) {
        found = map_get(&sessions->items, id);
        if (found) {
            *out = peer_ref(found);
            result = 0;
            break;
        }
        if (fd_is_readable(cancel_fd)) {
            error_set(err, ERROR_CANCELLED, "cancelled");
            break;
        }
        if (clock_monotonic_ns() >= end_ns) {
            error_set(err, ERROR_NOT_FOUND, "no active session %s", id);
            break;
        }
        condition_wait_until(&sessions->changed, &sessions->lock,
                             clock_monotonic_ns() + WAIT_STEP_NS);
    }
    mutex_unlock(&sessions->lock);
    return result;
}
