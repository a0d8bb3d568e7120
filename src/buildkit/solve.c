/* Builds and results, by the names that clients have for them. */
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "buildkit/internal.h"
#include "codec/protobuf.h"
#include "engine/image.h"

#include "base/banned.h"

#define WAIT_STEP_NS (50 * NS_PER_MS)

static void buf_free(void *data)
{
    buf_done(data);
    free(data);
}

static struct solve *solve_new(const char *ref)
{
    struct solve *solve = NEW(struct solve);

    atomic_init(&solve->reference_count, 1);
    solve->ref = xstrdup(ref);
    trace_init(&solve->progress, ref);
    mutex_init(&solve->lock);
    condition_init(&solve->changed);
    map_init_empty(&solve->metadata, buf_free);
    solve->over_fd = eventfd(0, EFD_CLOEXEC);
    return solve;
}

static struct solve *solve_ref(struct solve *solve)
{
    atomic_fetch_add(&solve->reference_count, 1);
    return solve;
}

void solve_unref(struct solve *solve)
{
    if (!solve || atomic_fetch_sub(&solve->reference_count, 1) > 1)
        return;
    free(solve->ref);
    free(solve->session_id);
    trace_done(&solve->progress);
    failure_done(&solve->failure);
    map_done(&solve->metadata);
    strv_done(&solve->entitlements);
    strv_done(&solve->cache_images);
    strv_done(&solve->held_images);
    close_cleanup(&solve->over_fd);
    mutex_done(&solve->lock);
    condition_done(&solve->changed);
    free(solve);
}

struct solve *solve_get(struct buildkit *buildkit, const char *ref)
{
    mutex_lock(&buildkit->lock);
    struct solve *solve = map_get(&buildkit->solves, ref);
    if (!solve) {
        solve = solve_new(ref);
        map_set(&buildkit->solves, ref, solve);
    }
    solve_ref(solve);
    mutex_unlock(&buildkit->lock);
    return solve;
}

/* One that was asked for and never came. */
static void forget_unknown(struct buildkit *buildkit, const char *ref)
{
    mutex_lock(&buildkit->lock);
    struct solve *solve = map_get(&buildkit->solves, ref);
    if (solve) {
        mutex_lock(&solve->lock);
        bool is_known = solve->is_known;
        mutex_unlock(&solve->lock);
        if (!is_known)
            map_remove(&buildkit->solves, ref);
    }
    mutex_unlock(&buildkit->lock);
}

int solve_find(struct buildkit *buildkit, const char *ref, int cancel_fd, struct solve **out,
               struct error *err)
{
    CLEANUP(solve_unref) struct solve *solve = NULL;
    uint64_t end_ns = clock_monotonic_ns() + (uint64_t)SOLVE_WAIT_MS * NS_PER_MS;
    int result = 0;

    if (text_is_empty(ref))
        return error_set(err, ERROR_INVALID, "the call names no build");
    solve = solve_get(buildkit, ref);
    mutex_lock(&solve->lock);
    while (!solve->is_known && result == 0) {
        condition_wait_until(&solve->changed, &solve->lock, clock_monotonic_ns() + WAIT_STEP_NS);
        if (fd_is_readable(cancel_fd))
            result = error_set(err, ERROR_CANCELLED, "cancelled");
        else if (clock_monotonic_ns() > end_ns)
            result = error_set(err, ERROR_NOT_FOUND, "no such build: %s", ref);
    }
    mutex_unlock(&solve->lock);
    if (result == 0)
        *out = TAKE(solve);
    else
        forget_unknown(buildkit, ref);
    return result;
}

void solve_finish(struct buildkit *buildkit, struct solve *solve)
{
    trace_finish(&solve->progress);
    eventfd_write(solve->over_fd, 1);
    mutex_lock(&buildkit->lock);
    strv_add(&buildkit->finished, solve->ref);
    while (buildkit->finished.count > FINISHED_LIMIT) {
        map_remove(&buildkit->solves, buildkit->finished.items[0]);
        strv_remove(&buildkit->finished, 0);
    }
    mutex_unlock(&buildkit->lock);
}

/* ---- results ---- */

void built_add(struct buildkit *buildkit, struct built *built)
{
    char id[ID_LENGTH + 1];
    struct built *copy = NEW(struct built);

    id_generate(id);
    snprintf(built->id, sizeof(built->id), "%.32s", id);
    *copy = *built;
    mutex_lock(&buildkit->lock);
    while (buildkit->results.count >= RESULT_LIMIT) /* the oldest is the first */
        map_remove(&buildkit->results, buildkit->results.entries[0].key);
    map_set(&buildkit->results, built->id, copy);
    mutex_unlock(&buildkit->lock);
}

bool built_find(struct buildkit *buildkit, const char *id, struct built *out)
{
    mutex_lock(&buildkit->lock);
    const struct built *found = map_get(&buildkit->results, id);
    if (found)
        *out = *found;
    mutex_unlock(&buildkit->lock);
    return found != NULL;
}

/* ---- failures ---- */

void failure_done(struct failure *failure)
{
    buf_done(&failure->details);
}

int failure_tell(const struct failure *failure, struct grpc_call *call, struct error *err)
{
    struct protobuf_reader reader = protobuf_read(buf_bytes(&failure->details),
                                                  failure->details.size);
    struct protobuf_field any, field;

    while (call && protobuf_next(&reader, &any, NULL) > 0) {
        struct protobuf_reader inside = protobuf_inside(&any);
        CLEANUP(free) char *type = NULL;
        struct protobuf_field value = {};

        while (protobuf_next(&inside, &field, NULL) > 0)
            if (field.number == 1 && !type)
                type = protobuf_text(&field);
            else if (field.number == 2 && field.type == PROTOBUF_BYTES)
                value = field;
        if (type)
            grpc_add_detail(call, type, value.bytes, value.size);
    }
    return error_set(err, failure->error.kind, "%s", failure->error.text);
}

void solve_hold_image(struct buildkit *buildkit, struct solve *solve, const char *image_id)
{
    mutex_lock(&solve->lock);
    bool is_held = !solve->is_let_go;
    if (is_held)
        strv_add(&solve->held_images, image_id);
    mutex_unlock(&solve->lock);
    if (!is_held)
        engine_image_let_go(buildkit->engine, image_id, false);
}
