/* All settings of the daemon, one row each; and how one is set from text. */
#include <stddef.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"
#include "programs/daemon_options.h"
#include "spec/container.h"

#include "base/banned.h"

#define AT(member) offsetof(struct daemon_options, member)

/* clang-format off */
const struct setting daemon_settings[] = {
    { "add-runtime",          "runtimes",             0,   SETTING_RUNTIMES, AT(runtimes),          "Further OCI runtime: name=path" },
    { "allow-insecure-tcp",   "allow-insecure-tcp",   0,   SETTING_SWITCH,  AT(allow_insecure_tcp), "Allow tcp:// hosts without TLS: whoever reaches them is root here" },
    { "bip",                  "bip",                  0,   SETTING_TEXT,    AT(bridge_address),     "IPv4 address of the default bridge, with prefix length" },
    { "cdi-spec-dir",         "cdi-spec-dirs",        0,   SETTING_LIST,    AT(cdi_paths),          "Directory of CDI files (default /etc/cdi and /var/run/cdi)" },
    { "cgroup-parent",        "cgroup-parent",        0,   SETTING_TEXT,    AT(cgroup_parent),      "Parent cgroup for all containers" },
    { "config-file",          NULL,                   0,   SETTING_TEXT,    AT(config_path),        "Configuration file (default " DEFAULT_CONFIG_PATH ")" },
    { "data-root",            "data-root",            0,   SETTING_TEXT,    AT(data_root),          "Directory of persistent state (default " DEFAULT_DATA_ROOT ")" },
    { "debug",                "debug",                'D', SETTING_SWITCH,  AT(debug),              "Say more in the log" },
    { "default-address-pool", "default-address-pools", 0,  SETTING_POOLS,   AT(address_pools),      "Pool for networks: base=10.200.0.0/16,size=24" },
    { "default-cgroupns-mode", "default-cgroupns-mode", 0, SETTING_TEXT,    AT(cgroupns_mode),      "Cgroup namespace of containers: host or private (default private on cgroup v2)" },
    { "default-ipc-mode",     "default-ipc-mode",     0,   SETTING_TEXT,    AT(ipc_mode),           "IPC namespace of containers: private or shareable (default private)" },
    { "default-runtime",      "default-runtime",      0,   SETTING_TEXT,    AT(default_runtime),    "Runtime of containers that ask for none (default berth)" },
    { "default-shm-size",     "default-shm-size",     0,   SETTING_SIZE,    AT(shm_size_bytes),     "Default size of /dev/shm (default 64MiB)" },
    { "default-ulimit",       "default-ulimits",      0,   SETTING_ULIMITS, AT(default_ulimits),    "Default ulimit of containers: nofile=1024:524288" },
    { "dns",                  "dns",                  0,   SETTING_LIST,    AT(dns),                "DNS server of containers" },
    { "dns-opt",              "dns-opts",             0,   SETTING_LIST,    AT(dns_options),        "DNS option of containers" },
    { "dns-search",           "dns-search",           0,   SETTING_LIST,    AT(dns_search),         "DNS search domain of containers" },
    { "engine-id",            "engine-id",            0,   SETTING_TEXT,    AT(engine_id),          "Up to 8 hex digits in names of kernel objects (default: from the data root)" },
    { "exec-root",            "exec-root",            0,   SETTING_TEXT,    AT(exec_root),          "Directory of run state (default " DEFAULT_EXEC_ROOT ")" },
    { "firewall-mode",        "firewall-mode",        0,   SETTING_TEXT,    AT(firewall_mode),      "Published ports pass by the host's input rules (docker) or obey them (strict); default docker" },
    { "firewall-shared",      "firewall-shared",      0,   SETTING_SWITCH,  AT(firewall_shared),    "Let other programs change and flush the engine's firewall table" },
    { "gc-build-cache-age",   "gc-build-cache-age",   0,   SETTING_DURATION, AT(gc_cache_age_ns),   "Remove build cache that was not used for so long (default: never)" },
    { "gc-build-cache-size",  "gc-build-cache-size",  0,   SETTING_SIZE,    AT(gc_cache_bytes),     "Keep no more build cache than this (default: a tenth of the disk)" },
    { "gc-image-age",         "gc-image-age",         0,   SETTING_DURATION, AT(gc_image_age_ns),   "Remove images that had neither name nor container for so long (default: never)" },
    { "gc-image-size",        "gc-image-size",        0,   SETTING_SIZE,    AT(gc_image_bytes),     "Keep no more of images without name and container than this (default: all)" },
    { "gc-interval",          "gc-interval",          0,   SETTING_DURATION, AT(gc_interval_ns),    "Time between looks for what nothing uses (default 1h; 0: never)" },
    { "group",                "group",                'G', SETTING_TEXT,    AT(group),              "Group of the unix socket (default docker, else berth)" },
    { "help",                 NULL,                   'h', SETTING_SWITCH,  AT(help),               "Print this" },
    { "host",                 "hosts",                'H', SETTING_LIST,    AT(hosts),              "Socket to listen on: unix://, tcp://, fd://" },
    { "icc",                  "icc",                  0,   SETTING_SWITCH,  AT(icc),                "Let containers of the default bridge talk to each other (default true)" },
    { "init",                 "init",                 0,   SETTING_SWITCH,  AT(init),               "Run an init in containers by default" },
    { "init-path",            "init-path",            0,   SETTING_TEXT,    AT(init_path),          "Program that --init runs" },
    { "insecure-registry",    "insecure-registries",  0,   SETTING_LIST,    AT(insecure_registries), "Registry to speak to without TLS or without checking it" },
    { "ip",                   "ip",                   0,   SETTING_TEXT,    AT(default_binding),    "Address that ports are published on (default 0.0.0.0)" },
    { "ip-forward",           "ip-forward",           0,   SETTING_SWITCH,  AT(ip_forward),         "Switch on IPv4 forwarding (default true)" },
    { "ip-masq",              "ip-masq",              0,   SETTING_SWITCH,  AT(ip_masquerade),      "Masquerade what containers send (default true)" },
    { "label",                "labels",               0,   SETTING_LIST,    AT(labels),             "Label of the engine: key=value" },
    { "live-restore",         "live-restore",         0,   SETTING_FIXED,   0,                      "Containers outlive the daemon: always on", .fixed = true },
    { "log-driver",           "log-driver",           0,   SETTING_TEXT,    AT(log_driver),         "Default log driver of containers (default json-file)" },
    { "log-format",           "log-format",           0,   SETTING_TEXT,    AT(log_format),         "Form of the daemon's log: text or json" },
    { "log-level",            "log-level",            'l', SETTING_TEXT,    AT(log_level),          "debug, info, warn, error, fatal (default info)" },
    { "log-opt",              "log-opts",             0,   SETTING_TEXTS,   AT(log_options),        "Default option of the log driver: key=value" },
    { "logger-path",          "logger-path",          0,   SETTING_TEXT,    AT(logger_path),        "The program berth-log (default: beside berthd)" },
    { "metrics-addr",         "metrics-addr",         0,   SETTING_TEXT,    AT(metrics_address),    "Address (host:port) to serve GET /metrics on, to everybody who reaches it" },
    { "mtu",                  "mtu",                  0,   SETTING_NUMBER,  AT(mtu),                "MTU of the default bridge (default 1500)" },
    { "no-new-privileges",    "no-new-privileges",    0,   SETTING_SWITCH,  AT(no_new_privileges),  "Set no-new-privileges for containers by default" },
    { "pidfile",              "pidfile",              'p', SETTING_TEXT,    AT(pid_path),           "File for the daemon's process id (default <exec-root>/berth.pid)" },
    { "http-proxy",           "http-proxy",           0,   SETTING_TEXT,    AT(http_proxy),         "Proxy for registries with plain HTTP" },
    { "https-proxy",          "https-proxy",          0,   SETTING_TEXT,    AT(https_proxy),        "Proxy for registries with TLS" },
    { "max-concurrent-downloads", "max-concurrent-downloads", 0, SETTING_NUMBER, AT(download_limit), "Layers that are downloaded at a time (default 3)" },
    { "max-concurrent-uploads", "max-concurrent-uploads", 0, SETTING_NUMBER, AT(upload_limit),       "Layers of one push that are sent at a time (default 5)" },
    { "max-download-attempts", "max-download-attempts", 0, SETTING_NUMBER,   AT(download_attempts),  "How often a transfer is tried (default 5)" },
    { "no-proxy",             "no-proxy",             0,   SETTING_TEXT,    AT(no_proxy),           "Hosts that need no proxy" },
    { "registry-certificates", "registry-certificates", 0, SETTING_LIST,     AT(registry_certificates), "Directory with certificates of registries, besides /etc/berth/certs.d and /etc/docker/certs.d" },
    { "plugin-dir",           "plugin-dirs",          0,   SETTING_LIST,    AT(plugin_paths),       "Directory of volume plugins' sockets and spec files (default Docker's, and plugins below the exec root)" },
    { "registry-mirror",      "registry-mirrors",     0,   SETTING_LIST,    AT(registry_mirrors),   "Mirror to ask before docker.io, or HOST=URL for another registry" },
    { "remove-kernel-objects", NULL,                  0,   SETTING_SWITCH,  AT(remove_kernel_objects), "Remove bridge, firewall table and cgroups of this engine, and end" },
    { "seccomp-profile",      "seccomp-profile",      0,   SETTING_TEXT,    AT(seccomp_path),       "Seccomp profile of containers: a file, builtin or unconfined (default builtin)" },
    { "shim-path",            "shim-path",            0,   SETTING_TEXT,    AT(shim_path),          "The program berth-shim (default: beside berthd)" },
    { "shutdown-timeout",     "shutdown-timeout",     0,   SETTING_NUMBER,  AT(shutdown_timeout_s), "Seconds that requests in progress get at the end (default 15)" },
    { "storage-driver",       "storage-driver",       's', SETTING_TEXT,    AT(storage_driver),     "overlay2 or vfs (default: the best that works)" },
    { "tls",                  "tls",                  0,   SETTING_SWITCH,  AT(tls),                "Use TLS on tcp:// hosts" },
    { "tlscacert",            "tlscacert",            0,   SETTING_TEXT,    AT(tls_ca_path),        "Certificates that clients must be signed by" },
    { "tlscert",              "tlscert",              0,   SETTING_TEXT,    AT(tls_cert_path),      "Our certificate" },
    { "tlskey",               "tlskey",               0,   SETTING_TEXT,    AT(tls_key_path),       "Our key" },
    { "tlsverify",            "tlsverify",            0,   SETTING_SWITCH,  AT(tls_verify),         "Use TLS and demand certificates of clients" },
    { "validate",             NULL,                   0,   SETTING_SWITCH,  AT(validate),           "Check the configuration and end" },
    { "version",              NULL,                   'v', SETTING_SWITCH,  AT(version),            "Print the version and end" },

    /* Switches of dockerd with the one position that describes berth. */
    { "experimental",         "experimental",         0,   SETTING_FIXED,   0, NULL, .fixed = false },
    { "iptables",             "iptables",             0,   SETTING_FIXED,   0, NULL, .fixed = true },
    { "ipv6",                 "ipv6",                 0,   SETTING_FIXED,   0, NULL, .fixed = false },
    { "raw-logs",             "raw-logs",             0,   SETTING_FIXED,   0, NULL, .fixed = false },
    { "rootless",             NULL,                   0,   SETTING_FIXED,   0, NULL, .fixed = false },
    { "selinux-enabled",      "selinux-enabled",      0,   SETTING_FIXED,   0, NULL, .fixed = false },
    { "userland-proxy",       "userland-proxy",       0,   SETTING_FIXED,   0, NULL, .fixed = false },
    { "userns-remap",         "userns-remap",         0,   SETTING_TEXT,    AT(userns_remap),       "Users of containers: default, or user[:group] of the host's /etc/subuid and /etc/subgid" },

    /* What dockerd has besides. */
    { "allow-direct-routing",         "allow-direct-routing",         0,   SETTING_REFUSED },
    { "authorization-plugin",         "authorization-plugins",        0,   SETTING_REFUSED },
    { "bip6",                         "bip6",                         0,   SETTING_REFUSED },
    { "bridge",                       "bridge",                       'b', SETTING_REFUSED },
    { "bridge-accept-fwmark",         "bridge-accept-fwmark",         0,   SETTING_REFUSED },
    { "containerd",                   "containerd",                   0,   SETTING_REFUSED },
    { "containerd-namespace",         "containerd-namespace",         0,   SETTING_REFUSED },
    { "containerd-plugins-namespace", "containerd-plugin-namespace",  0,   SETTING_REFUSED },
    { "cpu-rt-period",                "cpu-rt-period",                0,   SETTING_REFUSED },
    { "cpu-rt-runtime",               "cpu-rt-runtime",               0,   SETTING_REFUSED },
    { "cri-containerd",               "cri-containerd",               0,   SETTING_REFUSED },
    { "default-gateway",              "default-gateway",              0,   SETTING_REFUSED },
    { "default-gateway-v6",           "default-gateway-v6",           0,   SETTING_REFUSED },
    { "default-network-opt",          "default-network-opts",         0,   SETTING_REFUSED },
    { "exec-opt",                     "exec-opts",                    0,   SETTING_REFUSED },
    { "feature",                      "features",                     0,   SETTING_REFUSED },
    { "firewall-backend",             "firewall-backend",             0,   SETTING_REFUSED },
    { "fixed-cidr",                   "fixed-cidr",                   0,   SETTING_REFUSED },
    { "fixed-cidr-v6",                "fixed-cidr-v6",                0,   SETTING_REFUSED },
    { "host-gateway-ip",              "host-gateway-ips",             0,   SETTING_REFUSED },
    { "ip-forward-no-drop",           "ip-forward-no-drop",           0,   SETTING_REFUSED },
    { "ip6tables",                    "ip6tables",                    0,   SETTING_REFUSED },
    { "network-control-plane-mtu",    "network-control-plane-mtu",    0,   SETTING_REFUSED },
    { "node-generic-resource",        "node-generic-resources",       0,   SETTING_REFUSED },
    { "storage-opt",                  "storage-opts",                 0,   SETTING_REFUSED },
    { "swarm-default-advertise-addr", "swarm-default-advertise-addr", 0,   SETTING_REFUSED },
    { "userland-proxy-path",          "userland-proxy-path",          0,   SETTING_REFUSED },
    {},
};
/* clang-format on */

_Static_assert(COUNT(daemon_settings) <= DAEMON_SETTING_LIMIT, "more settings than are counted");

/* ---- from text ---- */

static int read_switch(const char *text, bool *out, struct error *err)
{
    return text_parse_bool(text, out)
               ? 0
               : error_set(err, ERROR_INVALID, "must be true or false, not \"%s\"", text);
}

static int read_fixed(const struct setting *setting, const char *text, struct error *err)
{
    bool value;

    if (read_switch(text, &value, err) < 0)
        return -1;
    if (value != setting->fixed)
        return error_set(err, ERROR_INVALID, "berth cannot do with %s", value ? "true" : "false");
    return 0;
}

static int read_duration(const char *text, int64_t *out, struct error *err)
{
    int64_t value;

    if (duration_parse(text, &value, err) < 0)
        return -1;
    if (value < 0)
        return error_set(err, ERROR_INVALID, "must not be negative, as \"%s\" is", text);
    *out = value;
    return 0;
}

static int read_ulimit(const char *text, struct json_list *out, struct error *err)
{
    const char *equals = strchr(text, '=');
    CLEANUP(free) char *soft_text = NULL;
    int64_t soft, hard;

    if (!equals || equals == text)
        return error_set(err, ERROR_INVALID, "invalid ulimit argument: %s", text);

    const char *colon = strchr(equals, ':');
    soft_text = colon ? xstrndup(equals + 1, (size_t)(colon - equals - 1)) : xstrdup(equals + 1);
    if (parse_int64(soft_text, -1, INT64_MAX, &soft, err) < 0)
        return -1;
    hard = soft;
    if (colon && parse_int64(colon + 1, -1, INT64_MAX, &hard, err) < 0)
        return -1;
    if (hard != -1 && (soft == -1 || soft > hard))
        return error_set(err, ERROR_INVALID,
                         "ulimit soft limit must be less than or equal to hard limit: %s", text);

    struct ulimit *ulimit = json_list_add(out, sizeof(*ulimit));
    *ulimit = (struct ulimit){ .name = xstrndup(text, (size_t)(equals - text)),
                               .soft = soft,
                               .hard = hard };
    return 0;
}

static int read_pair(const char *text, struct map *out, struct error *err)
{
    const char *equals = strchr(text, '=');
    CLEANUP(free) char *key = NULL;

    if (!equals || equals == text)
        return error_set(err, ERROR_INVALID, "must be key=value, not \"%s\"", text);
    key = xstrndup(text, (size_t)(equals - text));
    map_set_text(out, key, equals + 1);
    return 0;
}

static int read_runtime(const char *text, struct json_list *out, struct error *err)
{
    const char *equals = strchr(text, '=');

    if (!equals || equals == text || !equals[1])
        return error_set(err, ERROR_INVALID, "must be name=path, not \"%s\"", text);
    CLEANUP(free) char *name = xstrndup(text, (size_t)(equals - text));
    if (strcmp(name, "berth") == 0)
        return error_set(err, ERROR_INVALID, "runtime name 'berth' is reserved");
    for (size_t i = 0; i < out->count; i++)
        if (strcmp(JSON_ITEMS(out, struct engine_runtime)[i].name, name) == 0)
            return error_set(err, ERROR_INVALID, "runtime '%s' was already registered", name);
    struct engine_runtime *runtime = json_list_add(out, sizeof(*runtime));
    runtime->name = TAKE(name);
    runtime->path = xstrdup(equals + 1);
    return 0;
}

static int read_value(const struct setting *setting, const char *text, void *value,
                      struct error *err)
{
    switch (setting->kind) {
    case SETTING_TEXT:
        free(*(char **)value);
        *(char **)value = xstrdup(text);
        return 0;
    case SETTING_SWITCH:
        return read_switch(text, value, err);
    case SETTING_NUMBER:
        return parse_int64(text, 0, INT32_MAX, value, err);
    case SETTING_SIZE:
        return parse_size(text, value, err);
    case SETTING_DURATION:
        return read_duration(text, value, err);
    case SETTING_LIST:
    case SETTING_POOLS:
        strv_add(value, text);
        return 0;
    case SETTING_TEXTS:
        return read_pair(text, value, err);
    case SETTING_ULIMITS:
        return read_ulimit(text, value, err);
    case SETTING_RUNTIMES:
        return read_runtime(text, value, err);
    case SETTING_FIXED:
        return read_fixed(setting, text, err);
    case SETTING_REFUSED:
        return error_set(err, ERROR_INVALID, "berth has no such setting, though dockerd does");
    }
    return 0;
}

int setting_set(const struct setting *setting, const char *text, struct daemon_options *options,
                struct error *err)
{
    return read_value(setting, text, (char *)options + setting->offset, err);
}
