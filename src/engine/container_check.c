/* Config and HostConfig, checked in the order of spec/api.md 2.2. */
#include "engine/container_check.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "engine/internal.h"
#include "engine/log_config.h"
#include "engine/resource_check.h"
#include "engine/user_map.h"
#include "linux/capability.h"
#include "linux/cgroup.h"
#include "linux/limited_dir.h"

#include "base/banned.h"

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

static bool has_apparmor(void)
{
    CLEANUP(str_done) struct str text = {};

    return file_read("/sys/module/apparmor/parameters/enabled", 16, &text, NULL) == 0 &&
           str_text(&text)[0] == 'Y';
}

/* One "key=value" or, as of old, "key:value". */
static int check_security_option(const char *option, struct error *err)
{
    const char *split = strpbrk(option, "=:");
    CLEANUP(free) char *key = split ? xstrndup(option, (size_t)(split - option)) : NULL;
    const char *value = split ? split + 1 : "";
    bool ignored;

    if (strcmp(option, "no-new-privileges") == 0 || strcmp(option, "disable") == 0)
        return 0;
    if (!key)
        return error_set(err, ERROR_INTERNAL, "invalid --security-opt 1: \"%s\"", option);
    if (strcmp(key, "seccomp") == 0)
        return 0;
    if (strcmp(key, "no-new-privileges") == 0 || strcmp(key, "writable-cgroups") == 0)
        return text_parse_bool(value, &ignored)
                   ? 0
                   : error_set(err, ERROR_INTERNAL, "invalid --security-opt 2: \"%s\"", option);
    if (strcmp(key, "apparmor") == 0 && strcmp(value, "unconfined") != 0 && !has_apparmor())
        return error_set(err, ERROR_INVALID,
                         "the AppArmor profile \"%s\" cannot be used: this kernel has no AppArmor",
                         value);
    if (strcmp(key, "label") == 0 && strcmp(value, "disable") != 0)
        return error_set(err, ERROR_UNSUPPORTED,
                         "the label \"%s\" cannot be set: SELinux labels are not supported", value);
    if (strcmp(key, "apparmor") != 0 && strcmp(key, "label") != 0)
        return error_set(err, ERROR_INTERNAL, "invalid --security-opt 2: \"%s\"", option);
    return 0;
}

static int check_security(const struct host_config *host, struct error *err)
{
    for (size_t i = 0; i < host->security_opt.count; i++)
        if (check_security_option(host->security_opt.items[i], err) < 0)
            return -1;
    return 0;
}

static bool is_address(const char *text)
{
    unsigned char ignored[sizeof(struct in6_addr)];

    return inet_pton(AF_INET, text, ignored) == 1 || inet_pton(AF_INET6, text, ignored) == 1;
}

int host_config_check_names(const struct host_config *host, struct error *err)
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
    return 0;
}

static int check_network(const struct host_config *host, struct error *err)
{
    struct json_list ports = {};

    if (host_config_check_names(host, err) < 0)
        return -1;
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

            if (!text_is_empty(binding->host_ip) && !is_address(binding->host_ip))
                return error_set(err, ERROR_INVALID, "invalid IP address: %s", binding->host_ip);
        }
    }
    int result = container_read_bindings(&host->port_bindings, &ports, err);
    free(ports.items);
    return result;
}

static int check_storage_option(const char *key, const char *value, struct error *err)
{
    int64_t bytes;

    if (strcmp(key, "size") != 0)
        return error_set(err, ERROR_INTERNAL, "Unknown option %s", key);
    if (parse_size(value, &bytes, err) < 0)
        return -1;
    return bytes >= LIMITED_DIR_LEAST
               ? 0
               : error_set(err, ERROR_INVALID, "invalid size %s: 1 MiB is the least", value);
}

/* What is understood but not built yet is refused by name, so that nothing is silently ignored. */
static int check_unsupported(const struct host_config *host, struct error *err)
{
    const struct {
        bool is_wanted;
        const char *what;
    } rows[] = {
        { !text_is_empty(host->cgroup), "Cgroup" },
        { host->kernel_memory_tcp_bytes > 0, "KernelMemoryTCP" },
    };

    for (size_t i = 0; i < COUNT(rows); i++)
        if (rows[i].is_wanted)
            return error_set(err, ERROR_UNSUPPORTED, "%s is not supported yet", rows[i].what);
    MAP_EACH (&host->storage_opt, entry)
        if (check_storage_option(entry->key, entry->value, err) < 0)
            return -1;
    if (!text_is_empty(host->isolation) && strcmp(host->isolation, "default") != 0)
        return error_set(err, ERROR_INVALID,
                         "invalid isolation (%s): linux only supports 'default'", host->isolation);
    return 0;
}

/* What cannot be had together with a namespace that is another's. */
int container_check_conflicts(const struct container_config *config, const struct host_config *host,
                              struct error *err)
{
    const char *mode = host->network_mode ? host->network_mode : "";
    bool joins = text_starts(mode, "container:"), has_name = !text_is_empty(config->hostname);
    const struct {
        bool is_wrong;
        const char *what;
    } rows[] = {
        { joins && has_name, "hostname and the network mode" },
        { joins && host->links.count,
          "container type network can't be used with links. This would result in undefined "
          "behavior" },
        { joins && host->dns.count, "dns and the network mode" },
        { joins && host->extra_hosts.count, "custom host-to-IP mapping and the network mode" },
        { joins && !text_is_empty(config->mac_address), "mac-address and the network mode" },
        { joins && (host->port_bindings.count || host->publish_all_ports),
          "port publishing and the container type network mode" },
        { joins && config->exposed_ports.count,
          "port exposing and the container type network mode" },
        { has_name && text_equal(host->uts_mode, "host"), "hostname and the UTS mode" },
        { strcmp(mode, "host") == 0 && host->links.count,
          "host type networking can't be used with links. This would result in undefined "
          "behavior" },
    };

    for (size_t i = 0; i < COUNT(rows); i++)
        if (rows[i].is_wrong)
            return error_set(err, ERROR_INVALID, "conflicting options: %s", rows[i].what);
    return 0;
}

int host_config_check_update(struct host_config *host, struct strv *warnings, struct error *err)
{
    if (resources_check(host, true, warnings, err) < 0 ||
        health_check_on_failure(host->health_on_failure, err) < 0)
        return -1;
    return text_is_empty(host->restart_policy.name) ? 0 : check_restart(host, err);
}

int host_config_check(struct engine *engine, struct host_config *host, struct strv *warnings,
                      struct error *err)
{
    if (check_restart(host, err) < 0 || resources_check(host, false, warnings, err) < 0)
        return -1;
    if (host->oom_score_adj < -1000 || host->oom_score_adj > 1000)
        return error_set(err, ERROR_INVALID,
                         "Invalid value %lld, range for oom score adj is [-1000, 1000]",
                         (long long)host->oom_score_adj);
    const struct engine_runtime *runtime;
    if (!text_is_empty(host->runtime) && runtime_find(engine, host->runtime, &runtime, err) < 0)
        return -1;
    if (host->shm_size_bytes < 0)
        return error_set(err, ERROR_INVALID, "SHM size can not be less than 0");
    if (map_has(&host->annotations, ""))
        return error_set(
            err, ERROR_INVALID,
            "invalid Annotations: the empty string is not permitted as an annotation key");
    if (check_modes(host, err) < 0 || user_map_check(engine, host, err) < 0 ||
        check_capabilities(&host->cap_add, "CapAdd", err) < 0 ||
        check_capabilities(&host->cap_drop, "CapDrop", err) < 0 || check_security(host, err) < 0 ||
        check_network(host, err) < 0 || check_unsupported(host, err) < 0 ||
        health_check_on_failure(host->health_on_failure, err) < 0)
        return -1;
    return log_config_check(&host->log_config, err);
}

int runtime_find(const struct engine *engine, const char *name, const struct engine_runtime **out,
                 struct error *err)
{
    static const char *const own[] = { "berth", "runc", "io.containerd.runc.v2" };
    const struct json_list *runtimes = engine->options.runtimes;

    *out = NULL;
    for (size_t i = 0; runtimes && i < runtimes->count; i++)
        if (strcmp(JSON_ITEMS(runtimes, struct engine_runtime)[i].name, name) == 0) {
            *out = &JSON_ITEMS(runtimes, struct engine_runtime)[i];
            return 0;
        }
    for (size_t i = 0; i < COUNT(own); i++)
        if (strcmp(own[i], name) == 0)
            return 0;
    return error_set(err, ERROR_INVALID, "unknown or invalid runtime name: %s", name);
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
    fill_text(&host->ipc_mode, engine->options.ipc_mode ? engine->options.ipc_mode : "private");
    if (!text_is_empty(engine->options.cgroupns_mode))
        fill_text(&host->cgroupns_mode, engine->options.cgroupns_mode);
    fill_text(&host->cgroupns_mode, cgroup_version() == CGROUP_V2 ? "private" : "host");
    fill_text(&host->runtime,
              engine->options.default_runtime ? engine->options.default_runtime : "berth");
    fill_text(&host->log_config.type,
              engine->options.log_driver ? engine->options.log_driver : "json-file");
    if (!host->log_config.config.entries)
        map_init_empty(&host->log_config.config, free);
    /* The options of the daemon are for its driver. */
    const char *usual = engine->options.log_driver ? engine->options.log_driver : "json-file";
    if (engine->options.log_options && strcmp(host->log_config.type, usual) == 0)
        MAP_EACH (engine->options.log_options, entry)
            if (!map_has(&host->log_config.config, entry->key))
                map_set_text(&host->log_config.config, entry->key, entry->value);
    if (!host->shm_size_bytes)
        host->shm_size_bytes = engine->options.shm_size_bytes ? engine->options.shm_size_bytes
                                                              : DEFAULT_SHM_SIZE;
    if (host->memory_bytes > 0 && !host->memory_swap_bytes)
        host->memory_swap_bytes = MIN(host->memory_bytes, INT64_MAX / 2) * 2;
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
