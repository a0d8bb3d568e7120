/* Trees that nobody can find any more go by the work queue. What an end of the engine leaves of
 * them is removed by the next one: they lie where that looks. */
#include <stdatomic.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "engine/internal.h"

#include "base/banned.h"

#define PATIENCE_NS (2 * NS_PER_MS)
#define LATER_NS    (20 * NS_PER_MS)

/* Shared by who removes and who waits; the last one frees it. */
struct removal {
    char *path;
    atomic_int references;
    struct mutex lock;
    struct condition changed;
    bool is_done GUARDED_BY(lock);
};

static void removal_unref(void *data)
{
    struct removal *removal = data;

    if (atomic_fetch_sub(&removal->references, 1) > 1)
        return;
    mutex_done(&removal->lock);
    condition_done(&removal->changed);
    free(removal->path);
    free(removal);
}

static void removal_run(void *data)
{
    struct removal *removal = data;
    struct error err;

    if (tree_remove(removal->path, &err) < 0)
        log_warn("cannot remove what nobody uses", "path", removal->path, "error", err.text);
    mutex_lock(&removal->lock);
    removal->is_done = true;
    condition_signal(&removal->changed);
    mutex_unlock(&removal->lock);
    removal_unref(removal);
}

static struct removal *submit(struct engine *engine, char *path, int64_t delay_ns, int references)
{
    struct removal *removal = NEW(struct removal);

    removal->path = path;
    removal->references = references;
    mutex_init(&removal->lock);
    condition_init(&removal->changed);
    work_submit(engine->work, delay_ns, removal_run, removal_unref, removal);
    return removal;
}

void engine_discard(struct engine *engine, char *path)
{
    uint64_t end_ns = clock_monotonic_ns() + PATIENCE_NS;

    if (!path)
        return;
    struct removal *removal = submit(engine, path, 0, 2);
    mutex_lock(&removal->lock);
    while (!removal->is_done && condition_wait_until(&removal->changed, &removal->lock, end_ns))
        ;
    mutex_unlock(&removal->lock);
    removal_unref(removal);
}

void engine_discard_later(struct engine *engine, char *path)
{
    submit(engine, path, LATER_NS, 1);
}
