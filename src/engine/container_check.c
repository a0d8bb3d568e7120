/* Config and HostConfig, checked in the order of spec/api.md 2.2. */
#include "engine/container_check.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>
#include <sys/sysinfo.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "engine/internal.h"
#include "linux/capability.h"
#include "linux/cgroup.h"

#include "base/banned.h"

#define MEMORY_MINIMUM   (6 * 1024 * 1024)
#define DEFAULT_SHM_SIZE (64 * 1024 * 1024)

static int check_health(const struct health_config *health, struct error *err)
{
    const struct {
        const char *name;
        int64_t ns;
    } durations[] = { { "Interval", health->interval_ns },
                      { "Timeout", health->timeout_ns },
                      { "StartPeriod", health->start_period_ns },
                      { "StartInterval", health->start_interval_ns } };

    for (size_t i = 0; i < COUNT(durations); i++)
        if (durations[i].ns != 0 && durations[i].ns < 1000000)
            return error_set(err, ERROR_INVALID, "%s in Healthcheck cannot be less than 1ms",
                             durations[i].name);
    if (health->retries < 0)
        return error_set(err, ERROR_INVALID, "Retries in Healthcheck cannot be negative");
    return 0;
}

int container_config_check(const struct container_config *config, struct error *err)
{
    int signal;

    if (!text_is_empty(config->working_dir) && config->working_dir[0] != '/')
        return error_set(err, ERROR_INVALID,
                         "the working directory '%s' is invalid, it needs to be an absolute path",
                         config->working_dir);
    for (size_t i = 0; i < config->env.count; i++)
        if (config->env.items[i][0] == '=' || !config->env.items[i][0])
            return error_set(err, ERROR_INVALID, "invalid environment variable: %s",
                             config->env.items[i]);
    if (!text_is_empty(config->stop_signal) && signal_parse(config->stop_signal, &signal, err) < 0)
        return -1;
    if (config->healthcheck && check_health(config->healthcheck, err) < 0)
        return -1;
    if (config->network_disabled)
        return error_set(err, ERROR_UNSUPPORTED,
                         "NetworkDisabled is not supported: use network mode \"none\"");
    return 0;
}

static int check_restart(const struct host_config *host, struct error *err)
{
    const char *name = host->restart_policy.name ? host->restart_policy.name : "";
    bool is_none = !*name || strcmp(name, "no") == 0, on_failure = strcmp(name, "on-failure") == 0;

    if (!is_none && !on_failure && strcmp(name, "always") != 0 &&
        strcmp(name, "unless-stopped") != 0)
        return error_set(err, ERROR_INVALID,
                         "invalid restart policy: unknown policy '%s'; use one of 'no', 'always', "
                         "'on-failure', or "
                         "'unless-stopped'",
                         name);
    if (host->restart_policy.maximum_retry_count < 0)
        return error_set(err, ERROR_INVALID,
                         "invalid restart policy: maximum retry count cannot be negative");
    if (host->restart_policy.maximum_retry_count > 0 && !on_failure)
        return error_set(
            err, ERROR_INVALID,
            "invalid restart policy: maximum retry count can only be used with 'on-failure'");
    if (host->auto_remove && !is_none)
        return error_set(err, ERROR_INVALID,
                         "can't create 'AutoRemove' container with restart policy");
    return 0;
}

static int check_memory(struct host_config *host, bool is_update, struct strv *warnings,
                        struct error *err)
{
    if (host->memory_bytes && host->memory_bytes < MEMORY_MINIMUM)
        return error_set(err, ERROR_INVALID, "Minimum memory limit allowed is 6MB");
    if (host->memory_bytes && !cgroup_has_controller("memory")) {
        strv_add(warnings, "Your kernel does not support memory limit capabilities or the cgroup "
                           "is not mounted. Limitation "
                           "discarded.");
        host->memory_bytes = host->memory_swap_bytes = 0;
    }
    if (host->memory_bytes > 0 && host->memory_swap_bytes > 0 &&
        host->memory_swap_bytes < host->memory_bytes)
        return error_set(err, ERROR_INVALID,
                         "Minimum memoryswap limit should be larger than memory limit, see usage");
    if (host->memory_bytes == 0 && host->memory_swap_bytes > 0 && !is_update)
        return error_set(
            err, ERROR_INVALID,
            "You should always set the Memory limit when using Memoryswap limit, see usage");
    if (host->memory_reservation_bytes && host->memory_reservation_bytes < MEMORY_MINIMUM)
        return error_set(err, ERROR_INVALID, "Minimum memory reservation allowed is 6MB");
    if (host->memory_bytes && host->memory_reservation_bytes > host->memory_bytes)
        return error_set(
            err, ERROR_INVALID,
            "Minimum memory limit can not be less than memory reservation limit, see usage");
    if (host->memory_swappiness.is_set && host->memory_swappiness.value != -1 &&
        (host->memory_swappiness.value < 0 || host->memory_swappiness.value > 100))
        return error_set(err, ERROR_INVALID,
                         "Invalid value: %lld, valid memory swappiness range is 0-100",
                         (long long)host->memory_swappiness.value);
    if (cgroup_version() == CGROUP_V2 && host->memory_swappiness.is_set &&
        host->memory_swappiness.value != -1) {
        strv_add(warnings, "Your kernel does not support memory swappiness capabilities or the "
                           "cgroup is not mounted. Memory "
                           "swappiness discarded.");
        host->memory_swappiness = (struct optional_int64){};
    }
    if (cgroup_version() == CGROUP_V2 && host->oom_kill_disable.value) {
        strv_add(warnings,
                 "Your kernel does not support OomKillDisable. OomKillDisable discarded.");
        host->oom_kill_disable = (struct optional_bool){};
    }
    return 0;
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

static int check_cpu(const struct host_config *host, struct error *err)
{
    int cpus = get_nprocs();

    if (host->nano_cpus && host->cpu_period_us)
        return error_set(err, ERROR_INVALID,
                         "Conflicting options: Nano CPUs and CPU Period cannot both be set");
    if (host->nano_cpus && host->cpu_quota_us)
        return error_set(err, ERROR_INVALID,
                         "Conflicting options: Nano CPUs and CPU Quota cannot both be set");
    if (host->nano_cpus &&
        (host->nano_cpus < 10000000 || host->nano_cpus > cpus * INT64_C(1000000000)))
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
    if (host->cpu_realtime_period_us || host->cpu_realtime_runtime_us)
        return error_set(err, ERROR_UNSUPPORTED, "real-time CPU limits are not supported");
    if (host->cpuset_cpus &&
        check_cpu_list(host->cpuset_cpus, get_nprocs_conf(), "cpus", "CPUs", err) < 0)
        return -1;
    if (host->cpuset_mems && check_cpu_list(host->cpuset_mems, 1, "mems", "memory nodes", err) < 0)
        return -1;
    return 0;
}

static int check_modes(const struct host_config *host, struct error *err)
{
    const struct {
        const char *what, *value, *allowed[6];
        bool joins; /* container:X */
    } modes[] = {
        { "IPC mode", host->ipc_mode, { "", "private", "shareable", "host", "none" }, true },
        { "PID mode", host->pid_mode, { "", "host" }, true },
        { "UTS mode", host->uts_mode, { "", "host" }, false },
        { "cgroup namespace mode", host->cgroupns_mode, { "", "host", "private" }, false },
        { "user namespace mode", host->userns_mode, { "", "host" }, false },
    };

    for (size_t i = 0; i < COUNT(modes); i++) {
        const char *value = modes[i].value ? modes[i].value : "";
        bool known = modes[i].joins && text_starts(value, "container:") && value[10];

        for (size_t a = 0; !known && a < COUNT(modes[i].allowed) && modes[i].allowed[a]; a++)
            known = strcmp(value, modes[i].allowed[a]) == 0;
        if (!known)
            return error_set(err, ERROR_INVALID, "invalid %s: %s", modes[i].what, value);
    }
    if (host->network_mode && strcmp(host->network_mode, "container:") == 0)
        return error_set(err, ERROR_INVALID,
                         "invalid network mode: invalid container format container:<name|id>");
    return 0;
}

static int check_capabilities(const struct strv *names, const char *field, struct error *err)
{
    for (size_t i = 0; i < names->count; i++) {
        CLEANUP(free) char *name = xstrdup(names->items[i]);

        for (char *at = name; *at; at++)
            *at = (char)toupper((unsigned char)*at);
        if (strcmp(name, "ALL") == 0 || strcmp(name, "CAP_ALL") == 0)
            continue;
        CLEANUP(free)
        char *full = text_starts(name, "CAP_") ? xstrdup(name) : xasprintf("CAP_%s", name);
        if (capability_number(full) < 0)
            return error_set(err, ERROR_INVALID, "invalid %s: unknown capability: \"%s\"", field,
                             full);
    }
    return 0;
}

static int check_security(const struct host_config *host, struct error *err)
{
    for (size_t i = 0; i < host->security_opt.count; i++) {
        const char *option = host->security_opt.items[i];
        const char *split = strpbrk(option, "=:");

        if (strcmp(option, "no-new-privileges") == 0 || strcmp(option, "disable") == 0)
            continue;
        if (!split)
            return error_set(err, ERROR_INTERNAL, "invalid --security-opt 1: \"%s\"", option);
        if (text_starts(option, "no-new-privileges") || text_starts(option, "seccomp"))
            continue;
        if (text_starts(option, "apparmor") && strcmp(split + 1, "unconfined") != 0)
            return error_set(err, ERROR_UNSUPPORTED, "AppArmor profiles are not supported yet");
        if (text_starts(option, "label") && strcmp(split + 1, "disable") != 0)
            return error_set(err, ERROR_UNSUPPORTED, "SELinux labels are not supported");
        if (text_starts(option, "writable-cgroups"))
            return error_set(err, ERROR_UNSUPPORTED, "writable-cgroups is not supported yet");
        if (!text_starts(option, "apparmor") && !text_starts(option, "label"))
            return error_set(err, ERROR_INTERNAL, "invalid --security-opt 2: \"%s\"", option);
    }
    return 0;
}

static bool is_address(const char *text)
{
    unsigned char ignored[sizeof(struct in6_addr)];

    return inet_pton(AF_INET, text, ignored) == 1 || inet_pton(AF_INET6, text, ignored) == 1;
}

static int check_network(const struct host_config *host, struct error *err)
{
    for (size_t i = 0; i < host->extra_hosts.count; i++) {
        const char *entry = host->extra_hosts.items[i], *split = strchr(entry, ':');

        if (!split || split == entry || !split[1])
            return error_set(err, ERROR_INVALID, "bad format for add-host: \"%s\"", entry);
        if (strcmp(split + 1, "host-gateway") != 0 && !is_address(split + 1))
            return error_set(err, ERROR_INVALID, "invalid IP address in add-host: \"%s\"",
                             split + 1);
    }
    for (size_t i = 0; i < host->dns.count; i++)
        if (!is_address(host->dns.items[i]))
            return error_set(err, ERROR_INVALID, "invalid IP address in dns: \"%s\"",
                             host->dns.items[i]);
    MAP_EACH (&host->port_bindings, entry) {
        int64_t port;
        struct error ignored;
        CLEANUP(free) char *text = xstrdup(entry->key);
        char *slash = strchr(text, '/');

        if (slash)
            *slash = 0;
        const char *protocol = slash ? slash + 1 : "tcp";
        if (parse_int64(text, 1, 65535, &port, &ignored) < 0 ||
            (strcmp(protocol, "tcp") != 0 && strcmp(protocol, "udp") != 0 &&
             strcmp(protocol, "sctp") != 0))
            return error_set(err, ERROR_INVALID, "invalid port specification: \"%s\"", entry->key);
        const struct json_list *bindings = entry->value;
        for (size_t i = 0; bindings && i < bindings->count; i++) {
            const struct port_binding *binding = &JSON_ITEMS(bindings, struct port_binding)[i];
            const char *first = binding->host_port ? binding->host_port : "";

            if (strspn(first, "0123456789-") != strlen(first))
                return error_set(err, ERROR_INVALID, "invalid port specification: \"%s\"", first);
            if (!text_is_empty(binding->host_ip) && !is_address(binding->host_ip))
                return error_set(err, ERROR_INVALID, "invalid IP address: %s", binding->host_ip);
        }
    }
    return 0;
}

static int check_log(const struct host_config *host, struct error *err)
{
    static const char *const known[] = { "max-size", "max-file",       "labels", "labels-regex",
                                         "env",      "env-regex",      "tag",    "compress",
                                         "mode",     "max-buffer-size" };
    static const char *const supported[] = { "max-size", "max-file", "mode" };
    const char *type = text_is_empty(host->log_config.type) ? "json-file" : host->log_config.type;

    if (strcmp(type, "local") == 0 || strcmp(type, "syslog") == 0 || strcmp(type, "journald") == 0)
        return error_set(err, ERROR_UNSUPPORTED, "log driver %s is not supported yet", type);
    if (strcmp(type, "json-file") != 0 && strcmp(type, "none") != 0)
        return error_set(err, ERROR_INVALID,
                         "error looking up logging plugin %s: plugin \"%s\" not found", type, type);
    MAP_EACH (&host->log_config.config, entry) {
        bool is_known = false, is_supported = false;

        for (size_t i = 0; i < COUNT(known); i++)
            is_known |= strcmp(known[i], entry->key) == 0;
        for (size_t i = 0; i < COUNT(supported); i++)
            is_supported |= strcmp(supported[i], entry->key) == 0;
        if (!is_known)
            return error_set(err, ERROR_INVALID, "unknown log opt '%s' for %s log driver",
                             entry->key, type);
        if (!is_supported ||
            (strcmp(entry->key, "mode") == 0 && strcmp(entry->value, "blocking") != 0))
            return error_set(err, ERROR_UNSUPPORTED, "log option %s=%s is not supported yet",
                             entry->key, (char *)entry->value);
    }
    return 0;
}

/* What is understood but not built yet is refused by name, so that nothing is silently ignored. */
static int check_unsupported(const struct host_config *host, struct error *err)
{
    const struct {
        bool is_wanted;
        const char *what;
    } rows[] = {
        { host->storage_opt.count > 0, "StorageOpt" },
        { !text_is_empty(host->volume_driver) && strcmp(host->volume_driver, "local") != 0,
          "VolumeDriver" },
        { host->device_requests && strcmp(host->device_requests, "[]") != 0,
          "DeviceRequests (GPUs)" },
        { !text_is_empty(host->cgroup), "Cgroup" },
        { host->cpu_count || host->cpu_percent || host->io_maximum_iops ||
              host->io_maximum_bandwidth,
          "a limit that only Windows has" },
        { host->kernel_memory_tcp_bytes > 0, "KernelMemoryTCP" },
    };

    for (size_t i = 0; i < COUNT(rows); i++)
        if (rows[i].is_wanted)
            return error_set(err, ERROR_UNSUPPORTED, "%s is not supported yet", rows[i].what);
    if (!text_is_empty(host->isolation) && strcmp(host->isolation, "default") != 0)
        return error_set(err, ERROR_INVALID,
                         "invalid isolation (%s): linux only supports 'default'", host->isolation);
    if (!text_is_empty(host->runtime) && strcmp(host->runtime, "berth") != 0 &&
        strcmp(host->runtime, "runc") != 0)
        return error_set(err, ERROR_INVALID, "unknown or invalid runtime name: %s", host->runtime);
    return 0;
}

int host_config_check_update(struct host_config *host, struct strv *warnings, struct error *err)
{
    if (check_memory(host, true, warnings, err) < 0 || check_cpu(host, err) < 0 ||
        health_check_on_failure(host->health_on_failure, err) < 0)
        return -1;
    return text_is_empty(host->restart_policy.name) ? 0 : check_restart(host, err);
}

int host_config_check(struct engine *engine UNUSED, struct host_config *host, struct strv *warnings,
                      struct error *err)
{
    if (check_restart(host, err) < 0 || check_memory(host, false, warnings, err) < 0 ||
        check_cpu(host, err) < 0)
        return -1;
    if (host->oom_score_adj < -1000 || host->oom_score_adj > 1000)
        return error_set(err, ERROR_INVALID,
                         "Invalid value %lld, range for oom score adj is [-1000, 1000]",
                         (long long)host->oom_score_adj);
    if (host->shm_size_bytes < 0)
        return error_set(err, ERROR_INVALID, "SHM size can not be less than 0");
    if (map_has(&host->annotations, ""))
        return error_set(
            err, ERROR_INVALID,
            "invalid Annotations: the empty string is not permitted as an annotation key");
    if (host->pids_limit.is_set && host->pids_limit.value <= 0)
        host->pids_limit = (struct optional_int64){};
    if (check_modes(host, err) < 0 || check_capabilities(&host->cap_add, "CapAdd", err) < 0 ||
        check_capabilities(&host->cap_drop, "CapDrop", err) < 0 || check_security(host, err) < 0 ||
        check_network(host, err) < 0 || check_unsupported(host, err) < 0 ||
        health_check_on_failure(host->health_on_failure, err) < 0)
        return -1;
    if (host->blkio_weight && !cgroup_has_controller("blkio") && !cgroup_has_controller("io")) {
        strv_add(warnings, "Your kernel does not support Block I/O weight or the cgroup is not "
                           "mounted. Weight discarded.");
        host->blkio_weight = 0;
    }
    return check_log(host, err);
}

static void fill_text(char **field, const char *value)
{
    if (!text_is_empty(*field))
        return;
    free(*field);
    *field = xstrdup(value);
}

/* Docker's way to say that SELinux does not separate these from the host. */
static void fill_security(struct host_config *host)
{
    for (size_t i = 0; i < host->security_opt.count; i++)
        if (text_starts(host->security_opt.items[i], "label"))
            return;
    if (host->privileged || text_equal(host->ipc_mode, "host") ||
        text_equal(host->pid_mode, "host"))
        strv_add(&host->security_opt, "label=disable");
}

void host_config_fill(struct engine *engine, struct host_config *host)
{
    if (text_is_empty(host->network_mode) || strcmp(host->network_mode, "default") == 0) {
        free(host->network_mode);
        host->network_mode = xstrdup("bridge");
    }
    fill_security(host);
    fill_text(&host->restart_policy.name, "no");
    fill_text(&host->ipc_mode, "private");
    fill_text(&host->cgroupns_mode, cgroup_version() == CGROUP_V2 ? "private" : "host");
    fill_text(&host->runtime, "berth");
    fill_text(&host->log_config.type,
              engine->options.log_driver ? engine->options.log_driver : "json-file");
    if (!host->log_config.config.entries)
        map_init_empty(&host->log_config.config, free);
    if (engine->options.log_options && strcmp(host->log_config.type, "none") != 0)
        MAP_EACH (engine->options.log_options, entry)
            if (!map_has(&host->log_config.config, entry->key))
                map_set_text(&host->log_config.config, entry->key, entry->value);
    if (!host->shm_size_bytes)
        host->shm_size_bytes = engine->options.shm_size_bytes ? engine->options.shm_size_bytes
                                                              : DEFAULT_SHM_SIZE;
    if (host->memory_bytes > 0 && !host->memory_swap_bytes)
        host->memory_swap_bytes = 2 * host->memory_bytes;
    if (!host->oom_kill_disable.is_set && cgroup_version() == CGROUP_V1)
        host->oom_kill_disable = (struct optional_bool){ true, false };

    static const char *const masked[] = { "/proc/asound",      "/proc/acpi",
                                          "/proc/interrupts",  "/proc/kcore",
                                          "/proc/keys",        "/proc/latency_stats",
                                          "/proc/timer_list",  "/proc/timer_stats",
                                          "/proc/sched_debug", "/proc/scsi",
                                          "/sys/firmware",     "/sys/devices/virtual/powercap" };
    static const char *const read_only[] = { "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
                                             "/proc/sysrq-trigger" };
    bool fill_masked = !host->masked_paths.items, fill_read_only = !host->readonly_paths.items;
    for (size_t i = 0; fill_masked && !host->privileged && i < COUNT(masked); i++)
        strv_add(&host->masked_paths, masked[i]);
    for (size_t i = 0; fill_read_only && !host->privileged && i < COUNT(read_only); i++)
        strv_add(&host->readonly_paths, read_only[i]);

    for (size_t i = 0;
         engine->options.default_ulimits && i < engine->options.default_ulimits->count; i++) {
        const struct ulimit *wanted = &JSON_ITEMS(engine->options.default_ulimits,
                                                  struct ulimit)[i];
        bool is_given = false;

        for (size_t u = 0; u < host->ulimits.count; u++)
            is_given |= text_equal(JSON_ITEMS(&host->ulimits, struct ulimit)[u].name, wanted->name);
        if (is_given)
            continue;
        struct ulimit *added = json_list_add(&host->ulimits, sizeof(*added));
        *added = (struct ulimit){ xstrdup(wanted->name), wanted->soft, wanted->hard };
    }
}
