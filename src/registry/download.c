/* Each download has a thread of its own, which waits for its turn first. */
#include "registry/download.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/map.h"
#include "base/memory.h"
#include "base/thread.h"
#include "registry/fetch.h"

#include "base/banned.h"

#define DEFAULT_LIMIT 3

struct downloads {
    struct store *store;
    int limit;
    struct mutex lock;
    struct condition changed;
    struct map active GUARDED_BY(lock); /* key → struct download */
    struct map turns GUARDED_BY(lock);
    int running GUARDED_BY(lock), threads GUARDED_BY(lock);
    bool is_closing GUARDED_BY(lock);
};

struct download {
    struct downloads *owner;
    struct session *session;
    char *key, *media_type;
    char digest[DIGEST_TEXT_SIZE];
    int64_t size;
    struct strv urls;
    atomic_llong received;
    atomic_bool is_unwanted;
    int holders; /* who waits, and the thread; under the owner's lock like what follows */
    int waiters;
    enum download_state state;
    struct error failure;
};

struct downloads *downloads_new(struct store *store, int limit)
{
    struct downloads *downloads = NEW(struct downloads);

    downloads->store = store;
    downloads->limit = limit ?: DEFAULT_LIMIT;
    mutex_init(&downloads->lock);
    condition_init(&downloads->changed);
    map_init_empty(&downloads->active, NULL);
    map_init_empty(&downloads->turns, NULL);
    return downloads;
}

void downloads_free(struct downloads *downloads)
{
    if (!downloads)
        return;
    mutex_lock(&downloads->lock);
    downloads->is_closing = true;
    MAP_EACH (&downloads->active, entry)
        ((struct download *)entry->value)->is_unwanted = true;
    condition_broadcast(&downloads->changed);
    while (downloads->threads > 0)
        condition_wait(&downloads->changed, &downloads->lock);
    mutex_unlock(&downloads->lock);
    map_done(&downloads->active);
    map_done(&downloads->turns);
    condition_done(&downloads->changed);
    mutex_done(&downloads->lock);
    free(downloads);
}

static void download_free(struct download *download)
{
    session_unref(download->session);
    free(download->key);
    free(download->media_type);
    strv_done(&download->urls);
    free(download);
}

/* The last one ends the claim on the blob. */
static void drop(struct download *download) REQUIRES(download->owner->lock)
{
    if (--download->holders > 0)
        return;
    if (map_get(&download->owner->active, download->key) == download)
        map_remove(&download->owner->active, download->key);
    if (download->state == DOWNLOAD_DONE)
        blob_release(download->owner->store, download->digest);
    download_free(download);
}

/* ---- the thread ---- */

static bool is_unwanted(void *data)
{
    return ((struct download *)data)->is_unwanted;
}

static void on_received(void *data, int64_t size)
{
    struct download *download = data;

    download->received = size;
    if (size == download->size) {
        mutex_lock(&download->owner->lock);
        download->state = DOWNLOAD_VERIFYING;
        mutex_unlock(&download->owner->lock);
    }
}

static bool wait_for_turn(struct download *download)
{
    struct downloads *owner = download->owner;

    mutex_lock(&owner->lock);
    while (owner->running >= owner->limit && !download->is_unwanted)
        condition_wait(&owner->changed, &owner->lock);
    bool has_turn = !download->is_unwanted;
    if (has_turn) {
        owner->running++;
        download->state = DOWNLOAD_RUNNING;
    }
    mutex_unlock(&owner->lock);
    return has_turn;
}

static void *run(void *data)
{
    struct download *download = data;
    struct downloads *owner = download->owner;
    struct blob_fetch fetch = { .session = download->session,
                                .store = owner->store,
                                .digest = download->digest,
                                .media_type = download->media_type,
                                .size = download->size,
                                .urls = &download->urls,
                                .is_cancelled = is_unwanted,
                                .received = on_received,
                                .data = download };
    struct error err = {};
    bool had_turn = wait_for_turn(download);
    int result = had_turn ? fetch_blob(&fetch, &err)
                          : error_set(&err, ERROR_CANCELLED, "context canceled");

    mutex_lock(&owner->lock);
    if (had_turn)
        owner->running--;
    download->state = result == 0 ? DOWNLOAD_DONE : DOWNLOAD_FAILED;
    download->failure = err;
    /* Whoever comes now finds the blob in the store, or tries anew. */
    if (map_get(&owner->active, download->key) == download)
        map_remove(&owner->active, download->key);
    drop(download);
    owner->threads--;
    condition_broadcast(&owner->changed);
    mutex_unlock(&owner->lock);
    return NULL;
}

/* ---- those who wait ---- */

static struct download *make(struct downloads *downloads, struct session *session,
                             const struct descriptor *descriptor, char *key)
{
    struct download *download = NEW(struct download);

    download->owner = downloads;
    download->session = session_ref(session);
    download->key = key;
    download->media_type = xstrdup(descriptor->media_type);
    memcpy(download->digest, descriptor->digest, sizeof(download->digest));
    download->size = descriptor->size;
    strv_copy(&download->urls, &descriptor->urls);
    download->holders = 1; /* the thread */
    return download;
}

static int start_locked(struct downloads *downloads, struct session *session,
                        const struct descriptor *descriptor, struct download **out,
                        struct error *err) REQUIRES(downloads->lock)
{
    char identity[DIGEST_TEXT_SIZE];
    session_identity(session, identity); /* Nobody gets with others' rights what is not theirs. */
    char *key = xasprintf("%s/%s@%s %s", session_base(session), session_repository(session),
                          descriptor->digest, identity);
    struct download *download = map_get(&downloads->active, key);

    if (download && !download->is_unwanted) {
        free(key);
    } else {
        download = make(downloads, session, descriptor, key);
        if (thread_start_detached("download", run, download, err) < 0) {
            download_free(download);
            return -1;
        }
        downloads->threads++;
        map_set(&downloads->active, key, download);
    }
    download->holders++;
    download->waiters++;
    *out = download;
    return 0;
}

int download_start(struct downloads *downloads, struct session *session,
                   const struct descriptor *descriptor, struct download **out, struct error *err)
{
    mutex_lock(&downloads->lock);
    int result = downloads->is_closing
                     ? error_set(err, ERROR_CANCELLED, "the engine is about to end")
                     : start_locked(downloads, session, descriptor, out, err);
    mutex_unlock(&downloads->lock);
    return result;
}

enum download_state download_look(struct download *download, int64_t *out_received,
                                  struct error *err)
{
    mutex_lock(&download->owner->lock);
    enum download_state state = download->state;
    if (state == DOWNLOAD_FAILED && err)
        *err = download->failure;
    mutex_unlock(&download->owner->lock);
    *out_received = download->received;
    return state;
}

void downloads_wait(struct downloads *downloads, int timeout_ms)
{
    mutex_lock(&downloads->lock);
    condition_wait_until(&downloads->changed, &downloads->lock,
                         clock_monotonic_ns() + (uint64_t)(timeout_ms * NS_PER_MS));
    mutex_unlock(&downloads->lock);
}

void download_leave(struct download *download)
{
    if (!download)
        return;
    struct downloads *owner = download->owner;
    mutex_lock(&owner->lock);
    if (--download->waiters == 0)
        download->is_unwanted = true;
    drop(download);
    condition_broadcast(&owner->changed);
    mutex_unlock(&owner->lock);
}

/* ---- turns ---- */

bool downloads_take_turn(struct downloads *downloads, const char *key)
{
    mutex_lock(&downloads->lock);
    bool is_free = !map_has(&downloads->turns, key);
    if (is_free)
        map_set(&downloads->turns, key, downloads);
    mutex_unlock(&downloads->lock);
    return is_free;
}

void downloads_end_turn(struct downloads *downloads, const char *key)
{
    mutex_lock(&downloads->lock);
    map_remove(&downloads->turns, key);
    condition_broadcast(&downloads->changed);
    mutex_unlock(&downloads->lock);
}
