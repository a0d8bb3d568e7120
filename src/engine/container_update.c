/* Limits and restart policy of a container that is there already. What is to be is worked out from
 * what is and what was asked; the record gets it first, then the kernel. */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "engine/container_check.h"
#include "engine/internal.h"
#include "runtime/limits.h"

#include "base/banned.h"

static int check_cpu_conflict(const struct host_config *now, const struct host_config *wish,
                              struct error *err)
{
    const struct {
        bool is_wanted, is_set;
        const char *wanted, *set;
    } rows[] = {
        { wish->nano_cpus > 0, now->cpu_period_us > 0, "Nano CPUs", "CPU Period" },
        { wish->nano_cpus > 0, now->cpu_quota_us > 0, "Nano CPUs", "CPU Quota" },
        { wish->cpu_period_us > 0, now->nano_cpus > 0, "CPU Period", "NanoCPUs" },
        { wish->cpu_quota_us > 0, now->nano_cpus > 0, "CPU Quota", "NanoCPUs" },
    };

    for (size_t i = 0; i < COUNT(rows); i++)
        if (rows[i].is_wanted && rows[i].is_set)
            return error_set(err, ERROR_CONFLICT,
                             "Conflicting options: %s cannot be updated as %s has already been set",
                             rows[i].wanted, rows[i].set);
    return 0;
}

static int check_against(const struct host_config *now, const struct host_config *wish,
                         struct error *err)
{
    if (check_cpu_conflict(now, wish, err) < 0)
        return -1;
    if (wish->memory_bytes > now->memory_swap_bytes && wish->memory_swap_bytes == 0)
        return error_set(err, ERROR_CONFLICT,
                         "Memory limit should be smaller than already set memoryswap limit, update "
                         "the memoryswap at the same time");
    if (wish->memory_swap_bytes > 0 && wish->memory_bytes == 0 &&
        wish->memory_swap_bytes < now->memory_bytes)
        return error_set(err, ERROR_CONFLICT,
                         "Memoryswap limit should be larger than already set memory limit, update "
                         "the memory at the same time");
    if (now->auto_remove && !text_is_empty(wish->restart_policy.name) &&
        strcmp(wish->restart_policy.name, "no") != 0)
        return error_set(
            err, ERROR_CONFLICT,
            "Restart policy cannot be updated because AutoRemove is enabled for the container");
    return 0;
}

static void set_number(int64_t *field, int64_t value)
{
    if (value)
        *field = value;
}

static void set_text(char **field, const char *value)
{
    if (text_is_empty(value))
        return;
    free(*field);
    *field = xstrdup(value);
}

static void merge(struct host_config *host, const struct host_config *wish)
{
    set_number(&host->blkio_weight, wish->blkio_weight);
    set_number(&host->cpu_shares, wish->cpu_shares);
    set_number(&host->nano_cpus, wish->nano_cpus);
    set_number(&host->cpu_period_us, wish->cpu_period_us);
    set_number(&host->cpu_quota_us, wish->cpu_quota_us);
    set_number(&host->cpu_realtime_period_us, wish->cpu_realtime_period_us);
    set_number(&host->cpu_realtime_runtime_us, wish->cpu_realtime_runtime_us);
    set_text(&host->cpuset_cpus, wish->cpuset_cpus);
    set_text(&host->cpuset_mems, wish->cpuset_mems);
    set_number(&host->memory_bytes, wish->memory_bytes);
    set_number(&host->memory_swap_bytes, wish->memory_swap_bytes);
    set_number(&host->memory_reservation_bytes, wish->memory_reservation_bytes);
    if (wish->pids_limit.is_set)
        host->pids_limit = (struct optional_int64){ true, MAX(wish->pids_limit.value, 0) };
    if (!text_is_empty(wish->restart_policy.name)) {
        set_text(&host->restart_policy.name, wish->restart_policy.name);
        host->restart_policy.maximum_retry_count = wish->restart_policy.maximum_retry_count;
    }
    set_text(&host->health_on_failure, wish->health_on_failure);
}

/* Limits that became none are no part of the configuration; here they have to be written. */
static int write_limits(const char *cgroup, const struct host_config *host, bool with_processes,
                        struct error *err)
{
    CLEANUP(runtime_config_done) struct runtime_config config = {};
    struct runtime_resources *resources = &config.linux_part.resources;

    if (container_resources(host, resources, err) < 0)
        return -1;
    if (with_processes && !resources->pids) {
        resources->pids = NEW(struct runtime_pids);
        resources->pids->limit = -1;
    }
    return limits_update(cgroup, resources, err);
}

static int apply(struct container *container, const struct container_info *info,
                 const struct host_config *host, bool with_processes, struct error *err)
{
    CLEANUP(free) char *cgroup = container_cgroup(container->engine, info);
    struct error failed = {};

    if (write_limits(cgroup, host, with_processes, err) == 0)
        return 0;
    err->kind = ERROR_INTERNAL;
    if (write_limits(cgroup, &info->host_config, with_processes, &failed) < 0)
        log_warn("cannot put back the limits of a container", "container", container->id, "error",
                 failed.text);
    return -1;
}

/* Operation held. */
static int update(struct container *container, const struct host_config *wish, struct error *err)
{
    CLEANUP(container_info_unref) struct container_info *info = container_snapshot(container);
    CLEANUP(container_spec_unref) struct container_spec *spec = NULL;

    if (container_change_begin(info, &spec, err) < 0)
        return -1;
    if (check_against(&info->host_config, wish, err) < 0)
        return -1;
    merge(&spec->host_config, wish);
    if (container_set_spec(container, spec, err) < 0)
        return -1;
    int result = container_is_up(info)
                     ? apply(container, info, &spec->host_config, wish->pids_limit.is_set, err)
                     : 0;
    return container_change_end(container, info->spec, result);
}

int engine_container_update(struct engine *engine, const char *text, struct host_config *wish,
                            struct strv *out_warnings, struct error *err)
{
    CLEANUP(container_unref) struct container *container = NULL;
    uint64_t began_ns = clock_monotonic_ns();

    if (host_config_check_update(wish, out_warnings, err) < 0 ||
        container_find(engine, text, &container, err) < 0)
        return -1;
    if (container_begin_operation(container, err))
        return -1;
    int result = container_is_removed(container)
                     ? error_set(err, ERROR_NOT_FOUND, "No such container: %s", text)
                     : update(container, wish, err);
    mutex_unlock(&container->operation);
    metrics_note(engine, METRIC_UPDATE, began_ns, result, err);
    if (result < 0 && err->kind != ERROR_NOT_FOUND)
        return error_context(err, "Cannot update container %s", container->id);
    return result;
}
