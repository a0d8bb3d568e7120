/* What follows the end of a container: record, network, waiters, then removal or the next start. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "engine/internal.h"
#include "network/subnet6.h"

#include "base/banned.h"

#define FIRST_DELAY_NS   (100 * NS_PER_MS)
#define LONGEST_DELAY_NS (60 * NS_PER_S)
#define GOOD_RUN_NS      (10 * NS_PER_S) /* a run this long starts the delays anew */

static void tell_unmounted(struct container *container, const struct container_info *info)
{
    for (size_t i = 0; i < info->mounts.count; i++) {
        const struct mount_point *mount = &JSON_ITEMS(&info->mounts, struct mount_point)[i];
        CLEANUP(map_done) struct map attributes = {};

        if (strcmp(mount->type, "volume") != 0)
            continue;
        map_set_text(&attributes, "container", container->id);
        map_set_text(&attributes, "driver", mount->driver ? mount->driver : "local");
        engine_event(container->engine, "volume", "unmount", mount->name, &attributes);
    }
}

/* One that was made from the address goes with it, one that was wished for stays. */
static void forget_mac_address(struct endpoint_settings *endpoint)
{
    char made[MAC_TEXT_SIZE];
    struct in6_addr address6;
    uint32_t address;

    if (address_parse(endpoint->ip_address ?: "", &address, NULL) == 0)
        mac_from_address(address, made);
    else if (address6_parse(endpoint->global_ipv6_address ?: "", &address6, NULL) == 0)
        mac_from_address6(&address6, made);
    else
        return;
    if (text_equal(endpoint->mac_address, made))
        free(TAKE(endpoint->mac_address));
}

/* The addresses that it had are no longer its own. */
static void clear_endpoints(struct container_info *info)
{
    MAP_EACH (&info->endpoints, entry) {
        struct endpoint_settings *endpoint = entry->value;
        char **const texts[] = { &endpoint->endpoint_id, &endpoint->gateway, &endpoint->ip_address,
                                 &endpoint->ipv6_gateway, &endpoint->global_ipv6_address };

        forget_mac_address(endpoint);

        for (size_t i = 0; i < COUNT(texts); i++) {
            free(*texts[i]);
            *texts[i] = NULL;
        }
        endpoint->ip_prefix_len = 0;
        endpoint->global_ipv6_prefix_len = 0;
    }
    free(info->ports.items);
    info->ports = (struct json_list){};
}

/* Whether the policy wants another run. */
static bool wants_restart(struct container *container, const struct container_info *info,
                          int exit_code)
{
    const struct restart_policy *policy = &info->host_config.restart_policy;

    mutex_lock(&container->lock);
    bool is_stopped = container->manually_stopped;
    mutex_unlock(&container->lock);
    if (is_stopped)
        return false;
    if (strcmp(policy->name, "always") == 0 || strcmp(policy->name, "unless-stopped") == 0)
        return true;
    if (strcmp(policy->name, "on-failure") != 0 || exit_code == 0)
        return false;
    return policy->maximum_retry_count == 0 || info->restart_count < policy->maximum_retry_count;
}

static void run_restart(void *data)
{
    CLEANUP(container_unref) struct container *container = data;
    struct error err = {};

    mutex_lock(&container->operation);
    CLEANUP(container_info_unref) struct container_info *info = container_snapshot(container);
    mutex_lock(&container->lock);
    bool is_cancelled = container->manually_stopped || container->is_removed;
    mutex_unlock(&container->lock);
    if (info->state == CONTAINER_RESTARTING && !is_cancelled) {
        struct container_info *next = container_info_copy(info);

        next->restart_count++;
        container_publish_only(container, next);
        if (container_start_locked(container, &err) < 0)
            log_warn("cannot restart a container", "container", container->id, "error", err.text);
    }
    mutex_unlock(&container->operation);
}

static void drop_restart(void *data)
{
    container_unref(data);
}

static void plan_restart(struct container *container, const struct container_info *info)
{
    int64_t ran_ns = info->finished_ns - info->started_ns;
    int64_t delay_ns = container->restart_delay_ns;

    if (delay_ns == 0 || ran_ns >= GOOD_RUN_NS)
        delay_ns = FIRST_DELAY_NS;
    else
        delay_ns = MIN(delay_ns * 2, LONGEST_DELAY_NS);
    container->restart_delay_ns = delay_ns;
    work_submit(container->engine->work, delay_ns, run_restart, drop_restart,
                container_ref(container));
}

/* What does not run is not healthy, as Docker has it. */
static void end_health(struct container *container, const struct container_info *info)
{
    CLEANUP(health_unref) struct container_health *health = NULL;

    health_unwatch(container);
    if (!info->health)
        return;
    mutex_lock(&container->lock);
    uint64_t run_number = container->run_number;
    mutex_unlock(&container->lock);
    health = health_with_status(info->health, "unhealthy");
    container_set_health(container, run_number, health);
    container_record_health(container);
}

void container_settle_exit(struct container *container, const struct run_end *end)
{
    CLEANUP(container_info_unref) struct container_info *info = container_snapshot(container);
    bool again = wants_restart(container, info, end->exit_code);
    struct container_info *next = container_info_copy(info);
    CLEANUP(free) char *cgroup = container_cgroup(container->engine, info);
    CLEANUP(shim_unref) struct shim *shim = NULL;

    end_health(container, info);
    next->state = again ? CONTAINER_RESTARTING : CONTAINER_EXITED;
    next->exit_code = end->exit_code;
    next->oom_killed = end->oom_killed;
    next->is_held = false;
    next->finished_ns = end->wall_ns;
    if (end->reason) {
        free(next->error);
        next->error = xstrdup(end->reason);
    }
    next->pid = 0;
    clear_endpoints(next);

    mutex_lock(&container->lock);
    shim = TAKE(container->shim);
    mutex_unlock(&container->lock);
    container_list_exec(container, NULL, false);
    execs_forget(container->engine, container->id);
    container_release_network(container, info);
    tell_unmounted(container, info);
    /* What was measured while it began to run may have been taken for the size at rest. */
    engine_usage_touch_container(container);
    /* The supervisor keeps the exit code until the record has it. */
    container_publish(container, next);
    launch_end(container->engine, container->id, cgroup, shim);
    container_mounts_end(container->engine, container->id, info->spec);

    CLEANUP(map_done) struct map attributes = {};
    char code[16], duration[24];
    snprintf(code, sizeof(code), "%d", end->exit_code);
    snprintf(duration, sizeof(duration), "%lld",
             (long long)((end->wall_ns - info->started_ns) / NS_PER_S));
    map_set_text(&attributes, "exitCode", code);
    map_set_text(&attributes, "execDuration", duration);
    container_event(container, info, "die", &attributes);
    container_wake_waiters(container, false, end->exit_code, NULL);
    if (again) {
        CLEANUP(container_info_unref) struct container_info *now = container_snapshot(container);

        plan_restart(container, now);
    }
}

void container_exited(struct container *container, uint64_t run_number, const struct run_end *end)
{
    struct error err = {};

    mutex_lock(&container->operation);
    CLEANUP(container_info_unref) struct container_info *info = container_snapshot(container);
    mutex_lock(&container->lock);
    bool is_late = container->run_number != run_number;
    mutex_unlock(&container->lock);
    if (container_is_up(info) && !is_late) {
        container_settle_exit(container, end);
        if (info->host_config.auto_remove && container_remove_locked(container, true, &err) < 0)
            log_warn("cannot remove a container that ended", "container", container->id, "error",
                     err.text);
    }
    mutex_unlock(&container->operation);
}
