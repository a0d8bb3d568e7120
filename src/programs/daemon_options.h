/* How berthd was told to be: flags as dockerd has them, and daemon.json with the same settings. A
 * setting given in both places is refused, as is one that berth could not honour. */
#ifndef BERTH_PROGRAMS_DAEMON_OPTIONS_H
#define BERTH_PROGRAMS_DAEMON_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/map.h"
#include "base/strv.h"
#include "codec/json.h"
#include "engine/engine.h"

#define DEFAULT_CONFIG_PATH "/etc/berth/daemon.json"
#define DEFAULT_DATA_ROOT   "/var/lib/berth"
#define DEFAULT_EXEC_ROOT   "/run/berth"

struct daemon_options {
    bool remove_kernel_objects;
    bool help, version, validate;
    char *config_path;
    struct strv hosts;
    char *data_root, *exec_root, *pid_path, *engine_id, *shim_path, *init_path, *logger_path,
        *group;
    char *log_level, *log_format;
    char *metrics_address; /* NULL: not served on an address of their own */
    bool debug, tls, tls_verify, allow_insecure_tcp;
    char *tls_ca_path, *tls_cert_path, *tls_key_path;
    char *storage_driver, *bridge_address, *default_binding, *log_driver, *cgroup_parent;
    char *cgroupns_mode, *ipc_mode, *userns_remap, *seccomp_path;
    struct strv address_pools, labels, insecure_registries, registry_mirrors;
    struct strv dns, dns_options, dns_search, cdi_paths, plugin_paths;
    struct strv registry_certificates;
    char *http_proxy, *https_proxy, *no_proxy;
    int64_t download_limit, upload_limit, download_attempts;
    struct map log_options;           /* texts */
    struct json_list default_ulimits; /* struct ulimit */
    struct json_list runtimes;        /* struct engine_runtime */
    char *default_runtime;
    int64_t mtu, shm_size_bytes, shutdown_timeout_s;
    char *firewall_mode;
    bool firewall_shared;
    int64_t gc_interval_ns, gc_image_age_ns, gc_image_bytes, gc_cache_age_ns, gc_cache_bytes;
    bool icc, ip_forward, ip_masquerade, init, no_new_privileges;
};

/* Reads flags, then the configuration file (a missing one is fine unless --config-file names it).
 * Paths and ids that were not given get their defaults. INVALID with a text for the user. */
int daemon_options_read(int argc, char **argv, struct daemon_options *out, struct error *err);
void daemon_options_done(struct daemon_options *options);
CLEANUP_VALUE(daemon_options_done, struct daemon_options)

/* The engine's part; borrows from 'options'. */
void daemon_options_engine(const struct daemon_options *options, struct engine_options *out);

void daemon_options_print_help(void);

/* ---- one setting (shared with daemon_config.c) ---- */

enum setting_kind {
    SETTING_TEXT,
    SETTING_SWITCH,
    SETTING_NUMBER,
    SETTING_SIZE,     /* bytes, "64m" */
    SETTING_DURATION, /* nanoseconds, "1h30m" */
    SETTING_LIST,     /* struct strv; a flag may be repeated */
    SETTING_TEXTS,    /* struct map, key=value */
    SETTING_ULIMITS,  /* name=soft[:hard] */
    SETTING_RUNTIMES, /* struct json_list of struct engine_runtime; name=path */
    SETTING_POOLS,    /* struct strv of "base=…,size=…" */
    SETTING_FIXED,    /* a switch that has one position here: 'fixed' */
    SETTING_REFUSED,  /* dockerd has it, berth does not */
};

struct setting {
    const char *flag, *key; /* key NULL: not in daemon.json */
    char letter;
    enum setting_kind kind;
    size_t offset; /* in struct daemon_options */
    const char *help;
    bool fixed;
};
extern const struct setting daemon_settings[]; /* ended by a row without flag */
enum { DAEMON_SETTING_LIMIT = 128 };

/* Sets it from text, as a flag has it. */
int setting_set(const struct setting *setting, const char *text, struct daemon_options *options,
                struct error *err);

/* Reads the file over what the flags said; 'given' tells which settings flags set. */
int daemon_config_read(const char *path, const bool given[DAEMON_SETTING_LIMIT],
                       struct daemon_options *options, struct error *err);

#endif
