/* Resources: cgroup limits, ulimits and block devices. */
#include "base/memory.h"

#include "compose/body.h"

#include "base/banned.h"

static double number(const struct yaml *node)
{
    return node->kind == YAML_REAL ? node->real : (double)node->integer;
}

static void add_weights(struct json_writer *w, const char *key, const struct yaml *devices)
{
    if (!yaml_count(devices))
        return;
    json_begin_list(w, key);
    for (size_t i = 0; i < devices->count; i++) {
        json_begin_dict(w, NULL);
        body_text(w, "Path", yaml_get(devices->items[i], "path"));
        body_integer(w, "Weight", yaml_get(devices->items[i], "weight"));
        body_integer(w, "Rate", yaml_get(devices->items[i], "rate"));
        json_end_dict(w);
    }
    json_end_list(w);
}

static void add_blkio(struct json_writer *w, const struct yaml *blkio)
{
    body_integer(w, "BlkioWeight", yaml_get(blkio, "weight"));
    add_weights(w, "BlkioWeightDevice", yaml_get(blkio, "weight_device"));
    add_weights(w, "BlkioDeviceReadBps", yaml_get(blkio, "device_read_bps"));
    add_weights(w, "BlkioDeviceReadIOps", yaml_get(blkio, "device_read_iops"));
    add_weights(w, "BlkioDeviceWriteBps", yaml_get(blkio, "device_write_bps"));
    add_weights(w, "BlkioDeviceWriteIOps", yaml_get(blkio, "device_write_iops"));
}

static void add_ulimits(struct json_writer *w, const struct yaml *limits)
{
    if (!yaml_count(limits))
        return;
    json_begin_list(w, "Ulimits");
    for (size_t i = 0; i < limits->count; i++) {
        const struct yaml *item = limits->items[i];
        bool is_pair = item->kind == YAML_DICT;

        json_begin_dict(w, NULL);
        json_add_text(w, "Name", limits->keys[i]);
        body_integer(w, "Soft", is_pair ? yaml_get(item, "soft") : item);
        body_integer(w, "Hard", is_pair ? yaml_get(item, "hard") : item);
        json_end_dict(w);
    }
    json_end_list(w);
}

/* Devices by request: GPUs. */
static void add_requests(struct json_writer *w, const struct yaml *gpus, const struct yaml *devices)
{
    const struct yaml *lists[] = { gpus, devices };

    if (!yaml_count(gpus) && !yaml_count(devices))
        return;
    json_begin_list(w, "DeviceRequests");
    for (size_t i = 0; i < COUNT(lists); i++)
        for (size_t j = 0; j < yaml_count(lists[i]); j++) {
            const struct yaml *item = lists[i]->items[j];
            CLEANUP(str_done) struct str capabilities = {};

            json_begin_dict(w, NULL);
            body_text(w, "Driver", yaml_get(item, "driver"));
            body_integer(w, "Count", yaml_get(item, "count"));
            body_raw(w, "DeviceIDs", yaml_get(item, "device_ids"));
            if (yaml_get(item, "capabilities"))
                yaml_write_json(yaml_get(item, "capabilities"), &capabilities);
            else
                str_add(&capabilities, "[\"gpu\"]");
            str_add_char(&capabilities, ']');
            CLEANUP(free) char *nested = xasprintf("[%s", str_text(&capabilities));
            json_add_raw(w, "Capabilities", nested);
            body_raw(w, "Options", yaml_get(item, "options"));
            json_end_dict(w);
        }
    json_end_list(w);
}

void body_add_limits(struct json_writer *w, const struct yaml *service)
{
    static const struct {
        const char *key, *member;
    } integers[] = {
        { "cpu_count", "CpuCount" },
        { "cpu_period", "CpuPeriod" },
        { "cpu_quota", "CpuQuota" },
        { "cpu_rt_period", "CpuRealtimePeriod" },
        { "cpu_rt_runtime", "CpuRealtimeRuntime" },
        { "cpu_shares", "CpuShares" },
        { "memswap_limit", "MemorySwap" },
        { "mem_swappiness", "MemorySwappiness" },
        { "oom_score_adj", "OomScoreAdj" },
        { "shm_size", "ShmSize" },
    };
    const struct yaml *limits = yaml_get_path(yaml_get(service, "deploy"), "resources", "limits");
    const struct yaml *reserved = yaml_get_path(yaml_get(service, "deploy"), "resources",
                                                "reservations");
    const struct yaml *cpus = yaml_get(limits, "cpus") ?: yaml_get(service, "cpus");

    for (size_t i = 0; i < COUNT(integers); i++)
        body_integer(w, integers[i].member, yaml_get(service, integers[i].key));
    if (cpus)
        json_add_int64(w, "NanoCpus", (int64_t)(number(cpus) * 1e9 + 0.5));
    if (yaml_get(service, "cpu_percent"))
        json_add_int64(w, "CpuPercent", (int64_t)number(yaml_get(service, "cpu_percent")));
    body_integer(w, "Memory", yaml_get(limits, "memory") ?: yaml_get(service, "mem_limit"));
    body_integer(w, "MemoryReservation",
                 yaml_get(reserved, "memory") ?: yaml_get(service, "mem_reservation"));
    body_integer(w, "PidsLimit", yaml_get(limits, "pids") ?: yaml_get(service, "pids_limit"));
    body_text(w, "CpusetCpus", yaml_get(service, "cpuset"));
    body_bool(w, "OomKillDisable", yaml_get(service, "oom_kill_disable"));
    add_blkio(w, yaml_get(service, "blkio_config"));
    add_ulimits(w, yaml_get(service, "ulimits"));
    add_requests(w, yaml_get(service, "gpus"), yaml_get(reserved, "devices"));
}
