/* Limits against sense, against each other, and against what the kernel has; in Docker's order,
 * since the first fault is the one that is told. */
#include "engine/resource_check.h"

#include <ctype.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/str.h"
#include "base/text.h"
#include "linux/cgroup.h"

#include "base/banned.h"

enum { MEMORY_MINIMUM = 6 * 1024 * 1024, WEIGHT_MINIMUM = 10, WEIGHT_MAXIMUM = 1000 };

/* A file of a controller of version 1 (NULL: the controller itself), or a controller of version 2
 * (NULL: it has no such thing). */
static bool is_offered(const char *v1_controller, const char *v1_file, const char *v2_controller)
{
    if (cgroup_version() == CGROUP_V2)
        return v2_controller && cgroup_has_controller(v2_controller);
    const char *mount_point = cgroup_mount_point(v1_controller);
    if (!mount_point || !v1_file)
        return mount_point != NULL;
    CLEANUP(free) char *path = path_join(mount_point, v1_file);
    return file_exists(path);
}

/* ---- what the kernel lacks ---- */

static void drop_memory(struct host_config *host)
{
    host->memory_bytes = 0;
    host->memory_swap_bytes = -1;
}

static void drop_swap(struct host_config *host)
{
    host->memory_swap_bytes = -1;
}

static void drop_swappiness(struct host_config *host)
{
    host->memory_swappiness = (struct optional_int64){};
}

static void drop_reservation(struct host_config *host)
{
    host->memory_reservation_bytes = 0;
}

static void drop_oom_kill_disable(struct host_config *host)
{
    host->oom_kill_disable = (struct optional_bool){};
}

static void drop_pids(struct host_config *host)
{
    host->pids_limit = (struct optional_int64){};
}

static void drop_shares(struct host_config *host)
{
    host->cpu_shares = 0;
}

static void drop_quota(struct host_config *host)
{
    host->cpu_period_us = host->cpu_quota_us = 0;
}

static void drop_cpuset(struct host_config *host)
{
    free(TAKE(host->cpuset_cpus));
    free(TAKE(host->cpuset_mems));
}

static void drop_weight(struct host_config *host)
{
    host->blkio_weight = 0;
}

/* Elements of both kinds begin with their path. */
_Static_assert(offsetof(struct weight_device, path) == 0 &&
                   offsetof(struct throttle_device, path) == 0,
               "the path comes first");
static void drop_list(struct json_list *list, size_t size)
{
    for (size_t i = 0; i < list->count; i++)
        free(*(char **)((char *)list->items + i * size));
    free(list->items);
    *list = (struct json_list){};
}

static void drop_weight_devices(struct host_config *host)
{
    drop_list(&host->blkio_weight_device, sizeof(struct weight_device));
}

static void drop_read_bps(struct host_config *host)
{
    drop_list(&host->blkio_device_read_bps, sizeof(struct throttle_device));
}

static void drop_write_bps(struct host_config *host)
{
    drop_list(&host->blkio_device_write_bps, sizeof(struct throttle_device));
}

static void drop_read_iops(struct host_config *host)
{
    drop_list(&host->blkio_device_read_iops, sizeof(struct throttle_device));
}

static void drop_write_iops(struct host_config *host)
{
    drop_list(&host->blkio_device_write_iops, sizeof(struct throttle_device));
}

/* Warns and drops, if it is wanted and not there. */
static void drop_unless(bool is_there, bool is_wanted, const char *text,
                        void (*drop)(struct host_config *host), struct host_config *host,
                        struct strv *warnings)
{
    if (is_there || !is_wanted)
        return;
    strv_add(warnings, text);
    drop(host);
}

/* ---- memory ---- */

static int check_memory(struct host_config *host, bool is_update, struct strv *warnings,
                        struct error *err)
{
    if (host->memory_swappiness.value == -1)
        drop_swappiness(host);
    if (host->memory_bytes && host->memory_bytes < MEMORY_MINIMUM)
        return error_set(err, ERROR_INVALID, "Minimum memory limit allowed is 6MB");
    drop_unless(is_offered("memory", "memory.limit_in_bytes", "memory"), host->memory_bytes > 0,
                "Your kernel does not support memory limit capabilities or the cgroup is not "
                "mounted. Limitation discarded.",
                drop_memory, host, warnings);
    drop_unless(is_offered("memory", "memory.memsw.limit_in_bytes", "memory"),
                host->memory_bytes > 0 && host->memory_swap_bytes != -1,
                "Your kernel does not support swap limit capabilities or the cgroup is not "
                "mounted. Memory limited without swap.",
                drop_swap, host, warnings);
    if (host->memory_bytes > 0 && host->memory_swap_bytes > 0 &&
        host->memory_swap_bytes < host->memory_bytes)
        return error_set(err, ERROR_INVALID,
                         "Minimum memoryswap limit should be larger than memory limit, see usage");
    if (host->memory_bytes == 0 && host->memory_swap_bytes > 0 && !is_update)
        return error_set(
            err, ERROR_INVALID,
            "You should always set the Memory limit when using Memoryswap limit, see usage");
    drop_unless(is_offered("memory", "memory.swappiness", NULL), host->memory_swappiness.is_set,
                "Your kernel does not support memory swappiness capabilities or the cgroup is not "
                "mounted. Memory swappiness discarded.",
                drop_swappiness, host, warnings);
    if (host->memory_swappiness.value < 0 || host->memory_swappiness.value > 100)
        return error_set(err, ERROR_INVALID,
                         "Invalid value: %lld, valid memory swappiness range is 0-100",
                         (long long)host->memory_swappiness.value);
    return 0;
}

static int check_reservation(struct host_config *host, struct strv *warnings, struct error *err)
{
    drop_unless(is_offered("memory", "memory.soft_limit_in_bytes", "memory"),
                host->memory_reservation_bytes > 0,
                "Your kernel does not support memory soft limit capabilities or the cgroup is not "
                "mounted. Limitation discarded.",
                drop_reservation, host, warnings);
    if (host->memory_reservation_bytes && host->memory_reservation_bytes < MEMORY_MINIMUM)
        return error_set(err, ERROR_INVALID, "Minimum memory reservation allowed is 6MB");
    if (host->memory_bytes && host->memory_reservation_bytes > host->memory_bytes)
        return error_set(
            err, ERROR_INVALID,
            "Minimum memory limit can not be less than memory reservation limit, see usage");
    return 0;
}

static void check_out_of_memory(struct host_config *host, struct strv *warnings)
{
    drop_unless(is_offered("memory", "memory.oom_control", NULL), host->oom_kill_disable.value,
                "Your kernel does not support OomKillDisable. OomKillDisable discarded.",
                drop_oom_kill_disable, host, warnings);
    if (host->oom_kill_disable.value && !host->memory_bytes)
        strv_add(warnings, "OOM killer is disabled for the container, but no memory limit is set, "
                           "this can result in the system running out of resources.");
}

/* ---- processors ---- */

/* One more than the highest number in the kernel's list of nodes ("0", "0-1"). */
static int memory_nodes(void)
{
    CLEANUP(str_done) struct str text = {};

    if (file_read("/sys/devices/system/node/online", 4096, &text, NULL) < 0)
        return 1;
    const char *last = strrchr(str_text(&text), '-');
    const char *comma = strrchr(str_text(&text), ',');
    const char *number = last && (!comma || last > comma) ? last + 1
                         : comma                          ? comma + 1
                                                          : str_text(&text);
    return (int)strtol(number, NULL, 10) + 1;
}

/* "0-3,5" against what the machine has ("0-1"). */
static int check_cpu_list(const char *text, int available, const char *what, const char *unit,
                          struct error *err)
{
    const char *at = text;

    while (*at) {
        char *end;

        if (!isdigit((unsigned char)*at))
            return error_set(err, ERROR_INVALID,
                             "Invalid value %s for cpuset %s: invalid format: %s", text, what,
                             text);
        long first = strtol(at, &end, 10), last = first;
        if (*end == '-' && isdigit((unsigned char)end[1]))
            last = strtol(end + 1, &end, 10);
        if ((*end && *end != ',') || last < first)
            return error_set(err, ERROR_INVALID,
                             "Invalid value %s for cpuset %s: invalid format: %s", text, what,
                             text);
        if (last >= available && available == 1)
            return error_set(err, ERROR_INVALID,
                             "Requested %s are not available - requested %s, available: 0", unit,
                             text);
        if (last >= available)
            return error_set(err, ERROR_INVALID,
                             "Requested %s are not available - requested %s, available: 0-%d", unit,
                             text, available - 1);
        at = *end ? end + 1 : end;
    }
    return 0;
}

static int check_realtime(const struct host_config *host, struct error *err)
{
    int64_t period = host->cpu_realtime_period_us, runtime = host->cpu_realtime_runtime_us;

    if ((period || runtime) && !is_offered("cpu", "cpu.rt_runtime_us", NULL))
        return error_set(err, ERROR_INVALID, "kernel does not support CPU real-time scheduler");
    if (period && runtime > period)
        return error_set(err, ERROR_INVALID,
                         "cpu real-time runtime cannot be higher than cpu real-time period");
    return 0;
}

static int check_cpu(const struct host_config *host, struct error *err)
{
    int cpus = get_nprocs();

    if (host->nano_cpus && host->cpu_period_us)
        return error_set(err, ERROR_INVALID,
                         "Conflicting options: Nano CPUs and CPU Period cannot both be set");
    if (host->nano_cpus && host->cpu_quota_us)
        return error_set(err, ERROR_INVALID,
                         "Conflicting options: Nano CPUs and CPU Quota cannot both be set");
    if (host->nano_cpus < 0 || host->nano_cpus > cpus * INT64_C(1000000000))
        return error_set(err, ERROR_INVALID,
                         "range of CPUs is from 0.01 to %d.00, as there are only %d CPUs available",
                         cpus, cpus);
    if (host->cpu_period_us && (host->cpu_period_us < 1000 || host->cpu_period_us > 1000000))
        return error_set(
            err, ERROR_INVALID,
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)");
    if (host->cpu_quota_us > 0 && host->cpu_quota_us < 1000)
        return error_set(err, ERROR_INVALID, "CPU cfs quota can not be less than 1ms (i.e. 1000)");
    if (host->cpu_shares < 0)
        return error_set(err, ERROR_INVALID,
                         "invalid CPU shares (%lld): value must be a positive integer",
                         (long long)host->cpu_shares);
    return check_realtime(host, err);
}

static int check_cpuset(const struct host_config *host, struct error *err)
{
    if (host->cpuset_cpus &&
        check_cpu_list(host->cpuset_cpus, get_nprocs_conf(), "cpus", "CPUs", err) < 0)
        return -1;
    if (host->cpuset_mems &&
        check_cpu_list(host->cpuset_mems, memory_nodes(), "mems", "memory nodes", err) < 0)
        return -1;
    return 0;
}

static void drop_cpu(struct host_config *host, struct strv *warnings)
{
    drop_unless(is_offered("cpu", "cpu.shares", "cpu"), host->cpu_shares > 0,
                "Your kernel does not support CPU shares or the cgroup is not mounted. Shares "
                "discarded.",
                drop_shares, host, warnings);
    drop_unless(is_offered("cpu", "cpu.cfs_quota_us", "cpu"),
                host->cpu_period_us || host->cpu_quota_us,
                "Your kernel does not support CPU CFS scheduler. CPU period/quota discarded.",
                drop_quota, host, warnings);
    drop_unless(is_offered("cpuset", NULL, "cpuset"),
                !text_is_empty(host->cpuset_cpus) || !text_is_empty(host->cpuset_mems),
                "Your kernel does not support cpuset or the cgroup is not mounted. Cpuset "
                "discarded.",
                drop_cpuset, host, warnings);
}

/* ---- block devices ---- */

static int check_block_io(struct host_config *host, struct strv *warnings, struct error *err)
{
    drop_unless(is_offered("blkio", "blkio.weight", "io"), host->blkio_weight > 0,
                "Your kernel does not support Block I/O weight or the cgroup is not mounted. "
                "Weight discarded.",
                drop_weight, host, warnings);
    if (host->blkio_weight &&
        (host->blkio_weight < WEIGHT_MINIMUM || host->blkio_weight > WEIGHT_MAXIMUM))
        return error_set(err, ERROR_INVALID, "Range of blkio weight is from 10 to 1000");
    if (host->io_maximum_bandwidth || host->io_maximum_iops)
        return error_set(err, ERROR_INVALID,
                         "Invalid QoS settings: linux does not support Maximum IO Bandwidth or "
                         "Maximum IO IOps");
    drop_unless(is_offered("blkio", "blkio.weight_device", "io"),
                host->blkio_weight_device.count > 0,
                "Your kernel does not support Block I/O weight_device or the cgroup is not "
                "mounted. Weight-device discarded.",
                drop_weight_devices, host, warnings);
    drop_unless(is_offered("blkio", "blkio.throttle.read_bps_device", "io"),
                host->blkio_device_read_bps.count > 0,
                "Your kernel does not support BPS Block I/O read limit or the cgroup is not "
                "mounted. Block I/O BPS read limit discarded.",
                drop_read_bps, host, warnings);
    drop_unless(is_offered("blkio", "blkio.throttle.write_bps_device", "io"),
                host->blkio_device_write_bps.count > 0,
                "Your kernel does not support BPS Block I/O write limit or the cgroup is not "
                "mounted. Block I/O BPS write limit discarded.",
                drop_write_bps, host, warnings);
    drop_unless(is_offered("blkio", "blkio.throttle.read_iops_device", "io"),
                host->blkio_device_read_iops.count > 0,
                "Your kernel does not support IOPS Block read limit or the cgroup is not mounted. "
                "Block I/O IOPS read limit discarded.",
                drop_read_iops, host, warnings);
    drop_unless(is_offered("blkio", "blkio.throttle.write_iops_device", "io"),
                host->blkio_device_write_iops.count > 0,
                "Your kernel does not support IOPS Block write limit or the cgroup is not mounted. "
                "Block I/O IOPS write limit discarded.",
                drop_write_iops, host, warnings);
    return 0;
}

int resources_check(struct host_config *host, bool is_update, struct strv *warnings,
                    struct error *err)
{
    if (check_memory(host, is_update, warnings, err) < 0 ||
        check_reservation(host, warnings, err) < 0)
        return -1;
    check_out_of_memory(host, warnings);
    if (!is_update && host->pids_limit.value <= 0)
        drop_pids(host);
    drop_unless(is_offered("pids", NULL, "pids"), host->pids_limit.is_set,
                "Your kernel does not support PIDs limit capabilities or the cgroup is not "
                "mounted. PIDs limit discarded.",
                drop_pids, host, warnings);
    if (check_cpu(host, err) < 0)
        return -1;
    drop_cpu(host, warnings);
    if (host->cpu_count || host->cpu_percent)
        return error_set(err, ERROR_UNSUPPORTED, "CpuCount and CpuPercent are for Windows only");
    return check_cpuset(host, err) < 0 ? -1 : check_block_io(host, warnings, err);
}
