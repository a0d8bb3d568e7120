/* Trees that nobody can find any more, one after the other. What an end of the engine leaves of
 * them is removed by the next one: they lie where that looks. */
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "engine/internal.h"

#include "base/banned.h"

/* How long an answer waits: long enough for what is small; and where room is scarce. */
#define PATIENCE_NS        (2 * NS_PER_MS)
#define SCARCE_PATIENCE_NS (60 * NS_PER_S)
#define LATER_NS           (20 * NS_PER_MS)
#define NICENESS           15 /* while nobody waits */
/* Room is scarce with less than both of these. */
#define SCARCE_BYTES   (UINT64_C(32) << 30)
#define SCARCE_PERCENT 10

struct trash {
    struct engine *engine;
    struct mutex lock;
    struct condition changed;
    struct strv paths GUARDED_BY(lock); /* to be removed, the first one now */
    uint64_t added GUARDED_BY(lock), done GUARDED_BY(lock);
    int waiting GUARDED_BY(lock);
    bool has_job GUARDED_BY(lock);
    id_t thread GUARDED_BY(lock);  /* that removes; 0: none */
    int niceness GUARDED_BY(lock); /* that it had */
    atomic_bool is_ending;
};

struct trash *trash_new(struct engine *engine)
{
    struct trash *trash = NEW(struct trash);

    trash->engine = engine;
    mutex_init(&trash->lock);
    condition_init(&trash->changed);
    return trash;
}

void trash_end(struct trash *trash)
{
    if (!trash)
        return;
    mutex_lock(&trash->lock);
    trash->is_ending = true;
    condition_broadcast(&trash->changed);
    mutex_unlock(&trash->lock);
}

void trash_free(struct trash *trash)
{
    if (!trash)
        return;
    strv_done(&trash->paths);
    mutex_done(&trash->lock);
    condition_done(&trash->changed);
    free(trash);
}

/* ---- removing ---- */

static void set_niceness(struct trash *trash) REQUIRES(trash->lock)
{
    if (trash->thread)
        setpriority(PRIO_PROCESS, trash->thread,
                    trash->waiting ? trash->niceness : MAX(trash->niceness, NICENESS));
}

static void remove_first(struct trash *trash) REQUIRES(trash->lock)
{
    CLEANUP(free) char *path = xstrdup(trash->paths.items[0]);
    struct error err = {};

    mutex_unlock(&trash->lock);
    if (tree_remove_until(path, &trash->is_ending, &err) < 0 && err.kind != ERROR_CANCELLED)
        log_warn("cannot remove what nobody uses", "path", path, "error", err.text);
    mutex_lock(&trash->lock);
    strv_remove(&trash->paths, 0);
    trash->done++;
    condition_broadcast(&trash->changed);
}

static void empty(void *data)
{
    struct trash *trash = data;

    mutex_lock(&trash->lock);
    trash->thread = (id_t)gettid();
    trash->niceness = getpriority(PRIO_PROCESS, trash->thread);
    set_niceness(trash);
    while (trash->paths.count && !trash->is_ending)
        remove_first(trash);
    setpriority(PRIO_PROCESS, trash->thread, trash->niceness);
    trash->thread = 0;
    trash->has_job = false;
    mutex_unlock(&trash->lock);
}

/* ---- adding ---- */

static void add(struct trash *trash, const char *path, int64_t delay_ns) REQUIRES(trash->lock)
{
    strv_add(&trash->paths, path);
    trash->added++;
    if (trash->has_job)
        return;
    trash->has_job = true;
    work_submit(trash->engine->work, delay_ns, empty, NULL, trash);
}

/* Whoever removes something on a full disk does so because of the room. */
static bool is_room_scarce(const struct trash *trash)
{
    struct statvfs status;

    if (statvfs(trash->engine->options.data_path, &status) < 0)
        return false;
    return status.f_bavail < status.f_blocks / 100 * SCARCE_PERCENT &&
           status.f_bavail * status.f_frsize < SCARCE_BYTES;
}

static void wait_until_done(struct trash *trash, uint64_t wanted, int64_t patience_ns)
    REQUIRES(trash->lock)
{
    uint64_t end_ns = clock_monotonic_ns() + (uint64_t)patience_ns;
    bool has_time = true;

    trash->waiting++;
    set_niceness(trash);
    while (trash->done < wanted && !trash->is_ending && has_time)
        has_time = condition_wait_until(&trash->changed, &trash->lock, end_ns);
    trash->waiting--;
    set_niceness(trash);
}

void engine_discard(struct engine *engine, struct strv *paths)
{
    struct trash *trash = engine->trash;

    if (!paths->count)
        return;
    int64_t patience_ns = is_room_scarce(trash) ? SCARCE_PATIENCE_NS : PATIENCE_NS;
    mutex_lock(&trash->lock);
    for (size_t i = 0; i < paths->count; i++)
        add(trash, paths->items[i], 0);
    wait_until_done(trash, trash->added, patience_ns);
    mutex_unlock(&trash->lock);
}

void engine_discard_later(struct engine *engine, const char *path)
{
    struct trash *trash = engine->trash;
    bool is_scarce = is_room_scarce(trash);

    mutex_lock(&trash->lock);
    add(trash, path, is_scarce ? 0 : LATER_NS);
    if (is_scarce)
        wait_until_done(trash, trash->added, SCARCE_PATIENCE_NS);
    mutex_unlock(&trash->lock);
}
