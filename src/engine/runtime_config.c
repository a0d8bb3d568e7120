/* What the runtime is told about a container: namespaces and limits here, process, mounts and
 * devices in files of their own. */
#include "engine/runtime_config.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/text.h"

#include "base/banned.h"

static void add_namespace(struct runtime_config *config, const char *type, const char *path)
{
    struct runtime_namespace *namespace = json_list_add(&config->linux_part.namespaces,
                                                        sizeof(*namespace));

    namespace->type = xstrdup(type);
    namespace->path = xstrdup(path);
}

static void add_joined(struct runtime_config *config, const char *type, const char *file, pid_t pid)
{
    CLEANUP(free) char *path = pid ? xasprintf("/proc/%d/ns/%s", (int)pid, file) : NULL;

    add_namespace(config, type, path);
}

static void fill_namespaces(const struct host_config *host,
                            const struct runtime_config_paths *paths, struct runtime_config *config)
{
    add_namespace(config, "mount", NULL);
    if (paths->user_namespace_fd > 0) {
        CLEANUP(free)
        char *path = xasprintf("/proc/%d/fd/%d", (int)getpid(), paths->user_namespace_fd);

        add_namespace(config, "user", path);
    }
    if (strcmp(host->network_mode, "host") != 0)
        add_namespace(config, "network", NULL); /* the descriptor handed over says which */
    if (!text_equal(host->pid_mode, "host"))
        add_joined(config, "pid", "pid", paths->pid_namespace_of);
    if (!text_equal(host->ipc_mode, "host"))
        add_joined(config, "ipc", "ipc", paths->ipc_namespace_of);
    if (!text_equal(host->uts_mode, "host"))
        add_namespace(config, "uts", NULL);
    if (text_equal(host->cgroupns_mode, "private"))
        add_namespace(config, "cgroup", NULL);
}

static void set_if(struct optional_int64 *field, int64_t value)
{
    if (value)
        *field = (struct optional_int64){ true, value };
}

static int add_throttles(struct json_list *out, const struct json_list *wishes, struct error *err)
{
    for (size_t i = 0; i < wishes->count; i++) {
        const struct throttle_device *wish = &JSON_ITEMS(wishes, struct throttle_device)[i];
        struct runtime_throttle *throttle;
        struct stat status;

        if (stat(wish->path ?: "", &status) < 0)
            return error_sys(err, "stat %s", wish->path ?: "");
        if (!S_ISBLK(status.st_mode))
            return error_set(err, ERROR_INVALID, "invalid device path %s", wish->path);
        throttle = json_list_add(out, sizeof(*throttle));
        *throttle = (struct runtime_throttle){ major(status.st_rdev), minor(status.st_rdev),
                                               wish->rate };
    }
    return 0;
}

int container_resources(const struct host_config *host, struct runtime_resources *resources,
                        struct error *err)
{
    struct runtime_block_io *io = &resources->block_io;

    set_if(&resources->memory.limit, host->memory_bytes);
    set_if(&resources->memory.swap, host->memory_swap_bytes);
    set_if(&resources->memory.reservation, host->memory_reservation_bytes);
    if (host->memory_swappiness.is_set && host->memory_swappiness.value >= 0)
        resources->memory.swappiness = host->memory_swappiness;
    if (host->oom_kill_disable.value)
        resources->memory.disable_oom_killer = host->oom_kill_disable;
    set_if(&resources->cpu.shares, host->cpu_shares);
    set_if(&resources->cpu.period, host->cpu_period_us);
    set_if(&resources->cpu.quota, host->cpu_quota_us);
    set_if(&resources->cpu.realtime_period, host->cpu_realtime_period_us);
    set_if(&resources->cpu.realtime_runtime, host->cpu_realtime_runtime_us);
    if (host->nano_cpus) {
        set_if(&resources->cpu.period, 100000);
        set_if(&resources->cpu.quota, host->nano_cpus / 10000);
    }
    if (!text_is_empty(host->cpuset_cpus))
        resources->cpu.cpus = xstrdup(host->cpuset_cpus);
    if (!text_is_empty(host->cpuset_mems))
        resources->cpu.mems = xstrdup(host->cpuset_mems);
    if (host->pids_limit.is_set) {
        resources->pids = NEW(struct runtime_pids);
        resources->pids->limit = host->pids_limit.value;
    }
    set_if(&io->weight, host->blkio_weight);
    for (size_t i = 0; i < host->blkio_weight_device.count; i++) {
        const struct weight_device *wish = &JSON_ITEMS(&host->blkio_weight_device,
                                                       struct weight_device)[i];
        struct stat status;

        if (stat(wish->path ?: "", &status) < 0)
            return error_sys(err, "stat %s", wish->path ?: "");
        struct runtime_weight_device *device = json_list_add(&io->weight_device, sizeof(*device));
        *device = (struct runtime_weight_device){ major(status.st_rdev), minor(status.st_rdev),
                                                  wish->weight };
    }
    if (add_throttles(&io->read_bps, &host->blkio_device_read_bps, err) < 0 ||
        add_throttles(&io->write_bps, &host->blkio_device_write_bps, err) < 0 ||
        add_throttles(&io->read_iops, &host->blkio_device_read_iops, err) < 0 ||
        add_throttles(&io->write_iops, &host->blkio_device_write_iops, err) < 0)
        return -1;
    return 0;
}

/* The propagation of the root must allow what the mounts in it ask for. */
static const char *root_propagation(const struct container_spec *spec)
{
    const char *propagation = "rprivate";

    for (size_t i = 0; i < spec->mounts.count; i++) {
        const char *wanted = JSON_ITEMS(&spec->mounts, struct container_mount)[i].propagation;

        if (wanted && (strcmp(wanted, "shared") == 0 || strcmp(wanted, "rshared") == 0))
            return "shared";
        if (wanted && (strcmp(wanted, "slave") == 0 || strcmp(wanted, "rslave") == 0))
            propagation = "rslave";
    }
    return propagation;
}

int container_runtime_config(struct engine *engine, const struct container_info *info,
                             const struct container_spec *spec,
                             const struct runtime_config_paths *paths, struct runtime_config *out,
                             struct error *err)
{
    CLEANUP(runtime_config_done) struct runtime_config config = {};
    const struct host_config *host = &info->host_config;

    config.oci_version = xstrdup("1.2.0");
    config.root.path = xstrdup("rootfs");
    config.root.readonly = host->readonly_rootfs;
    if (!text_equal(host->uts_mode, "host")) {
        config.hostname = xstrdup(info->config.hostname);
        config.domainname = text_is_empty(info->config.domainname)
                                ? NULL
                                : xstrdup(info->config.domainname);
    }
    if (process_config_fill(engine, info, spec, &config.process, err) < 0)
        return -1;
    mount_config_fill(info, spec, paths, &config);
    fill_namespaces(host, paths, &config);
    if (container_resources(host, &config.linux_part.resources, err) < 0 ||
        device_config_fill(engine, host, &config, err) < 0)
        return -1;
    config.linux_part.cgroups_path = xstrdup(paths->cgroup);
    config.linux_part.rootfs_propagation = xstrdup(root_propagation(spec));
    strv_copy(&config.linux_part.masked_paths, &host->masked_paths);
    strv_copy(&config.linux_part.readonly_paths, &host->readonly_paths);
    map_copy_texts(&config.annotations, &host->annotations);
    config.linux_part.sysctl.free_value = free;
    MAP_EACH (&host->sysctls, entry)
        map_set_text(&config.linux_part.sysctl, entry->key, entry->value);
    *out = config;
    config = (struct runtime_config){};
    return 0;
}
