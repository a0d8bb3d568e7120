/* Ending containers that are sick: frozen by somebody, stuck in the kernel, or with a supervisor
 * that does not answer. What a healthy one needs is done by its supervisor; here is the rest. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "engine/internal.h"
#include "linux/cgroup.h"
#include "linux/pidfd.h"

#include "base/banned.h"

enum { KILL_WAIT_MS = 10000, ORPHAN_WAIT_MS = 10000, SHOWN_PIDS = 8 };

void container_thaw(const struct container *container, const struct container_info *info)
{
    CLEANUP(free) char *cgroup = container_cgroup(container->engine, info);

    cgroup_thaw(cgroup);
}

/* ---- what does not go */

static void describe_pids(const char *cgroup, struct str *out)
{
    pid_t *pids = NULL;
    size_t count = 0;

    if (cgroup_pids(cgroup, &pids, &count, NULL) < 0)
        count = 0;
    for (size_t i = 0; i < MIN(count, SHOWN_PIDS); i++)
        str_add_format(out, "%s%d", i ? ", " : "", (int)pids[i]);
    if (count > SHOWN_PIDS)
        str_add_format(out, " and %zu more", count - SHOWN_PIDS);
    free(pids);
}

int container_check_left(struct container *container, const struct container_info *info,
                         struct error *err)
{
    CLEANUP(free) char *cgroup = container_cgroup(container->engine, info);
    CLEANUP(str_done) struct str pids = {};

    if (!cgroup_exists(cgroup) || cgroup_remove(cgroup, NULL) == 0)
        return 0;
    describe_pids(cgroup, &pids);
    if (pids.length == 0)
        return error_set(err, ERROR_INTERNAL, "what is left of it is cgroup %s", cgroup);
    return error_set(err, ERROR_INTERNAL,
                     "what is left of it are processes that do not end (%s in cgroup %s): the "
                     "kernel waits for something that they use, such as a file system that does "
                     "not answer",
                     str_text(&pids), cgroup);
}

/* ---- the end by force */

static bool wait_for_end(struct container *container, int timeout_ms)
{
    struct container_waiter *waiter;
    struct error ignored;
    int exit_code;

    return container_wait_begin(container, WAIT_NOT_RUNNING, &waiter, &ignored) == 0 &&
           container_waiter_finish_within(waiter, timeout_ms, -1, &exit_code, NULL, &ignored) == 0;
}

static bool answers(struct shim *shim)
{
    struct shim_status status;
    struct error err = {};

    return shim && (shim_get_status(shim, &status, &err) == 0 || err.kind != ERROR_UNAVAILABLE);
}

/* Its supervisor knows all and does what there is to do, if the kernel lets it. */
static int end_supervised(struct container *container, const struct container_info *info,
                          struct shim *shim, struct error *err)
{
    CLEANUP(free) char *cgroup = container_cgroup(container->engine, info);
    CLEANUP(str_done) struct str pids = {};
    struct error ignored;

    shim_signal(shim, NULL, SIGKILL, &ignored);
    container_thaw(container, info);
    if (wait_for_end(container, KILL_WAIT_MS))
        return 0;
    describe_pids(cgroup, &pids);
    return error_set(err, ERROR_INTERNAL,
                     "could not kill: it did not end after SIGKILL; what is left of it are "
                     "processes %s, for which the kernel waits for something that they use, such "
                     "as a file system that does not answer",
                     pids.length ? str_text(&pids) : "none");
}

/* Processes first: a supervisor that is killed takes nothing with it. Its end is told by its
 * connection; where there is none, it is found out. */
static int end_orphan(struct container *container, const struct container_info *info,
                      struct error *err)
{
    CLEANUP(free) char *cgroup = container_cgroup(container->engine, info);
    struct error failure = {};

    log_warn("a supervisor does not answer and is killed", "container", container->id);
    cgroup_kill(cgroup, SIGKILL, &failure);
    container_thaw(container, info);
    if (shim_kill(container->id, err) < 0)
        return -1;
    container_take_over(container);
    if (wait_for_end(container, ORPHAN_WAIT_MS))
        return 0;
    return error_set(err, ERROR_INTERNAL, "could not kill: its supervisor did not answer");
}

int container_force_end(struct container *container, struct error *err)
{
    container_mark_stopped(container);
    CLEANUP(container_info_unref) struct container_info *info = container_snapshot(container);
    CLEANUP(shim_unref) struct shim *shim = container_shim(container);

    if (!container_is_up(info))
        return 0;
    container_event_text(container, info, "kill", "signal", "9");
    int result = answers(shim) ? end_supervised(container, info, shim, err)
                               : end_orphan(container, info, err);
    return result < 0 ? error_context(err, "cannot remove container \"%s\"", info->name) : 0;
}

/* ---- another container's namespaces */

int container_open_init(struct container *container, const struct container_info *info,
                        int *out_pidfd, struct error *err)
{
    CLEANUP(shim_unref) struct shim *shim = container_shim(container);
    CLEANUP(close) int pidfd = pidfd_open_process(info->pid, err);
    struct shim_status status;

    if (pidfd < 0)
        return -1;
    if (!shim)
        return error_set(err, ERROR_UNAVAILABLE, "the supervisor of container %s does not answer",
                         info->id);
    /* Nobody else has that number before its supervisor has reaped it, which it has not yet: so
     * the descriptor is of no other process. */
    if (shim_get_status(shim, &status, err) < 0)
        return -1;
    if ((!status.is_running && !status.is_created) || status.pid != info->pid)
        return error_set(err, ERROR_CONFLICT, "container %s is not running", info->id);
    *out_pidfd = TAKE_FD(pidfd);
    return 0;
}
