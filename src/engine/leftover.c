/* What is left of runs whose supervisor is gone: processes that were killed and do not die yet, for
 * the kernel waits for a disk or a file system, or the machine is busy. Nobody is told when a
 * cgroup of version 1 becomes empty, so it is looked at, ever more seldom. */
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "engine/internal.h"
#include "linux/cgroup.h"

#include "base/banned.h"

#define FIRST_DELAY_NS   (100 * NS_PER_MS)
#define LONGEST_DELAY_NS (30 * NS_PER_S)
#define TRY_LIMIT        128 /* about an hour */

struct leftover {
    struct engine *engine;
    char *id, *cgroup;
    int64_t delay_ns;
    int tries;
};

static void drop(void *data)
{
    struct leftover *leftover = data;

    free(leftover->id);
    free(leftover->cgroup);
    free(leftover);
}

/* A start holds the container's operation from before it uses the cgroup until the container is
 * up: whoever has the operation of one that is not up meets nothing but leftovers. True: there is
 * no more to do. */
static bool try_container(const struct leftover *leftover, struct container *container)
{
    if (!mutex_lock_until(&container->operation, clock_monotonic_ns()))
        return false;
    CLEANUP(container_info_unref) struct container_info *info = container_snapshot(container);
    bool is_done = container_is_up(info) || cgroup_try_remove(leftover->cgroup);
    mutex_unlock(&container->operation);
    return is_done;
}

static void run(void *data);

static void try_later(struct leftover *leftover)
{
    int64_t delay_ns = leftover->delay_ns;

    leftover->delay_ns = MIN(delay_ns * 2, LONGEST_DELAY_NS);
    work_submit(leftover->engine->work, delay_ns, run, drop, leftover);
}

static void run(void *data)
{
    struct leftover *leftover = data;
    CLEANUP(container_unref)
    struct container *container = container_find_id(leftover->engine, leftover->id);

    /* A step of a build is no container, and a removed one does not start again. */
    bool is_done = container ? try_container(leftover, container)
                             : cgroup_try_remove(leftover->cgroup);
    if (!is_done && ++leftover->tries < TRY_LIMIT) {
        try_later(leftover);
        return;
    }
    if (!is_done)
        log_warn("processes do not die", "cgroup", leftover->cgroup);
    drop(leftover);
}

void leftover_end(struct engine *engine, const char *id, const char *cgroup)
{
    struct leftover *leftover = NEW(struct leftover);

    *leftover = (struct leftover){
        .engine = engine, .id = xstrdup(id), .cgroup = xstrdup(cgroup), .delay_ns = FIRST_DELAY_NS
    };
    try_later(leftover);
}
