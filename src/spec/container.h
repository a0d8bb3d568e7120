/* What a client asks of a container and what the record keeps of it: Docker's Config, HostConfig
 * and NetworkingConfig, with the JSON tables for API and record. Field meaning: Docker Engine
 * API 1.51. All strings may be NULL. */
#ifndef BERTH_SPEC_CONTAINER_H
#define BERTH_SPEC_CONTAINER_H

#include "codec/json.h"

struct health_config {
    struct strv test; /* none: inherit; ["NONE"]; ["CMD", …]; ["CMD-SHELL", text] */
    int64_t interval_ns, timeout_ns, start_period_ns, start_interval_ns;
    int64_t retries;
};
extern const struct json_field health_config_fields[];

/* "Config": shared by containers and images (spec/image.h writes it with another set of omissions).
 */
struct container_config {
    char *hostname, *domainname, *user;
    bool attach_stdin, attach_stdout, attach_stderr;
    struct strv exposed_ports; /* set of "80/tcp" */
    bool tty, open_stdin, stdin_once;
    struct strv env, cmd;
    struct health_config *healthcheck;
    bool args_escaped;
    char *image;
    struct strv volumes; /* set of paths */
    char *working_dir;
    struct strv entrypoint;
    bool network_disabled;
    char *mac_address;
    struct strv on_build;
    struct map labels;
    char *stop_signal;
    struct optional_int64 stop_timeout_s;
    struct strv shell;
};
extern const struct json_field container_config_fields[];

struct log_config {
    char *type;
    struct map config;
};

struct restart_policy {
    char *name;
    int64_t maximum_retry_count;
};
extern const struct json_field restart_policy_fields[];

struct port_binding {
    char *host_ip, *host_port;
};
extern const struct json_field port_binding_fields[];

struct device_mapping {
    char *path_on_host, *path_in_container, *cgroup_permissions;
};

struct device_request {
    char *driver;
    int64_t count; /* -1: all */
    struct strv device_ids;
    char *capabilities; /* raw JSON: lists of lists of texts */
    struct map options;
};

struct weight_device {
    char *path;
    int64_t weight;
};

struct throttle_device {
    char *path;
    uint64_t rate;
};

struct ulimit {
    char *name;
    int64_t soft, hard;
};

/* HostConfig.Mounts */
struct bind_options {
    char *propagation;
    char *id_map; /* berth's own: "match-user" */
    bool non_recursive, create_mountpoint, read_only_non_recursive, read_only_force_recursive;
};
struct volume_driver_config {
    char *name;
    struct map options;
};
struct volume_options {
    bool no_copy;
    struct map labels;
    struct volume_driver_config *driver_config;
    char *subpath;
};
struct image_options {
    char *subpath;
};
struct tmpfs_options {
    int64_t size_bytes, mode;
    char *options; /* raw JSON: [[key, value], [key]] */
};
struct mount_request {
    char *type, *source, *target;
    bool read_only;
    char *consistency;
    struct bind_options *bind;
    struct volume_options *volume;
    struct image_options *image;
    struct tmpfs_options *tmpfs;
    char *cluster_options; /* raw JSON; refused */
};

extern const struct json_field mount_request_fields[];

struct host_config {
    struct strv binds;
    char *container_id_file;
    struct log_config log_config;
    char *network_mode;
    struct map port_bindings; /* "80/tcp" → struct json_list of struct port_binding */
    struct restart_policy restart_policy;
    bool auto_remove;
    char *volume_driver;
    struct strv volumes_from;
    int64_t console_size[2]; /* height, width */
    struct map annotations;
    struct strv cap_add, cap_drop;
    char *cgroupns_mode;
    struct strv dns, dns_options, dns_search, extra_hosts, group_add;
    char *ipc_mode, *cgroup;
    struct strv links;
    int64_t oom_score_adj;
    char *pid_mode;
    bool privileged, publish_all_ports, readonly_rootfs;
    struct strv security_opt;
    struct map storage_opt, tmpfs; /* tmpfs: path → options */
    char *uts_mode, *userns_mode;
    int64_t shm_size_bytes;
    struct map sysctls;
    char *runtime, *isolation;
    /* Resources */
    int64_t cpu_shares, memory_bytes, nano_cpus;
    char *cgroup_parent;
    int64_t blkio_weight;
    struct json_list blkio_weight_device; /* struct weight_device */
    struct json_list blkio_device_read_bps, blkio_device_write_bps, blkio_device_read_iops,
        blkio_device_write_iops; /* struct throttle_device */
    int64_t cpu_period_us, cpu_quota_us, cpu_realtime_period_us, cpu_realtime_runtime_us;
    char *cpuset_cpus, *cpuset_mems;
    struct json_list devices; /* struct device_mapping */
    struct strv device_cgroup_rules;
    struct json_list device_requests; /* struct device_request */
    int64_t kernel_memory_tcp_bytes;
    int64_t memory_reservation_bytes, memory_swap_bytes;
    struct optional_int64 memory_swappiness;
    struct optional_bool oom_kill_disable;
    struct optional_int64 pids_limit;
    struct json_list ulimits; /* struct ulimit */
    int64_t cpu_count, cpu_percent, io_maximum_iops, io_maximum_bandwidth;
    struct json_list mounts;                  /* struct mount_request */
    struct strv masked_paths, readonly_paths; /* none: defaults */
    struct optional_bool init;
    char *health_on_failure; /* berth's own: none, restart, stop, kill */
};
extern const struct json_field host_config_fields[];

struct endpoint_ipam {
    char *ipv4_address, *ipv6_address;
    struct strv link_local_ips;
};

/* One network of one container: the wish (first part) and, while attached, what it got. */
struct endpoint_settings {
    struct endpoint_ipam *ipam_config;
    struct strv links, aliases;
    char *mac_address;
    struct map driver_opts;
    int64_t gw_priority;
    char *network_id, *endpoint_id, *gateway, *ip_address;
    int64_t ip_prefix_len;
    char *ipv6_gateway, *global_ipv6_address;
    int64_t global_ipv6_prefix_len;
    struct strv dns_names;
};
extern const struct json_field endpoint_settings_fields[];

struct networking_config {
    struct map endpoints; /* network name → struct endpoint_settings */
};
extern const struct json_field networking_config_fields[];

/* Body of POST /containers/create. */
struct container_create {
    struct container_config config;
    struct host_config host_config;
    struct networking_config networking;
};
int container_create_decode(const char *text, size_t size, struct container_create *out,
                            struct error *err);
void container_create_done(struct container_create *create);
CLEANUP_VALUE(container_create_done, struct container_create)

/* A mount as inspect shows it (MountPoint). */
struct mount_point {
    char *type, *name, *source, *destination, *driver, *mode;
    bool rw;
    char *propagation;
};
extern const struct json_field mount_point_fields[];

/* Exec: body of POST /containers/{id}/exec. */
struct exec_config {
    char *user;
    bool privileged, tty, attach_stdin, attach_stdout, attach_stderr;
    char *detach_keys, *working_dir;
    struct strv env, cmd;
    int64_t console_size[2];
};
extern const struct json_field exec_config_fields[];

#endif
