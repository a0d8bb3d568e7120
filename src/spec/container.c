/* The JSON tables of containers. Order is the order on the wire. */
#include "spec/container.h"

#include "base/banned.h"

/* clang-format off */
const struct json_field health_config_fields[] = {
    JSON_STRV (struct health_config, test,              "Test",          .omit_empty = true),
    JSON_INT64(struct health_config, interval_ns,       "Interval",      .omit_empty = true),
    JSON_INT64(struct health_config, timeout_ns,        "Timeout",       .omit_empty = true),
    JSON_INT64(struct health_config, start_period_ns,   "StartPeriod",   .omit_empty = true),
    JSON_INT64(struct health_config, start_interval_ns, "StartInterval", .omit_empty = true),
    JSON_INT64(struct health_config, retries,           "Retries",       .omit_empty = true),
    JSON_END,
};

const struct json_field container_config_fields[] = {
    JSON_STRING        (struct container_config, hostname,         "Hostname"),
    JSON_STRING        (struct container_config, domainname,       "Domainname"),
    JSON_STRING        (struct container_config, user,             "User"),
    JSON_BOOL          (struct container_config, attach_stdin,     "AttachStdin"),
    JSON_BOOL          (struct container_config, attach_stdout,    "AttachStdout"),
    JSON_BOOL          (struct container_config, attach_stderr,    "AttachStderr"),
    JSON_SET           (struct container_config, exposed_ports,    "ExposedPorts",    .omit_empty = true),
    JSON_BOOL          (struct container_config, tty,              "Tty"),
    JSON_BOOL          (struct container_config, open_stdin,       "OpenStdin"),
    JSON_BOOL          (struct container_config, stdin_once,       "StdinOnce"),
    JSON_STRV          (struct container_config, env,              "Env"),
    JSON_STRV_OR_TEXT  (struct container_config, cmd,              "Cmd"),
    JSON_OBJECT_POINTER(struct container_config, healthcheck,      "Healthcheck", struct health_config,
                        health_config_fields, .omit_empty = true),
    JSON_BOOL          (struct container_config, args_escaped,     "ArgsEscaped",     .omit_empty = true),
    JSON_STRING        (struct container_config, image,            "Image"),
    JSON_SET           (struct container_config, volumes,          "Volumes"),
    JSON_STRING        (struct container_config, working_dir,      "WorkingDir"),
    JSON_STRV_OR_TEXT  (struct container_config, entrypoint,       "Entrypoint"),
    JSON_BOOL          (struct container_config, network_disabled, "NetworkDisabled", .omit_empty = true),
    JSON_STRING        (struct container_config, mac_address,      "MacAddress",      .omit_empty = true),
    JSON_STRV          (struct container_config, on_build,         "OnBuild"),
    JSON_TEXTS         (struct container_config, labels,           "Labels"),
    JSON_STRING        (struct container_config, stop_signal,      "StopSignal",      .omit_empty = true),
    JSON_OPTIONAL_INT64(struct container_config, stop_timeout_s,   "StopTimeout",     .omit_empty = true),
    JSON_STRV_OR_TEXT  (struct container_config, shell,            "Shell",           .omit_empty = true),
    JSON_END,
};

static const struct json_field log_config_fields[] = {
    JSON_STRING(struct log_config, type,   "Type"),
    JSON_TEXTS (struct log_config, config, "Config"),
    JSON_END,
};

const struct json_field restart_policy_fields[] = {
    JSON_STRING(struct restart_policy, name,                "Name"),
    JSON_INT64 (struct restart_policy, maximum_retry_count, "MaximumRetryCount"),
    JSON_END,
};

const struct json_field port_binding_fields[] = {
    JSON_STRING(struct port_binding, host_ip,   "HostIp"),
    JSON_STRING(struct port_binding, host_port, "HostPort"),
    JSON_END,
};

static const struct json_field device_mapping_fields[] = {
    JSON_STRING(struct device_mapping, path_on_host,       "PathOnHost"),
    JSON_STRING(struct device_mapping, path_in_container,  "PathInContainer"),
    JSON_STRING(struct device_mapping, cgroup_permissions, "CgroupPermissions"),
    JSON_END,
};

static const struct json_field device_request_fields[] = {
    JSON_STRING(struct device_request, driver,       "Driver"),
    JSON_INT64 (struct device_request, count,        "Count"),
    JSON_STRV  (struct device_request, device_ids,   "DeviceIDs"),
    JSON_RAW   (struct device_request, capabilities, "Capabilities"),
    JSON_TEXTS (struct device_request, options,      "Options"),
    JSON_END,
};

static const struct json_field weight_device_fields[] = {
    JSON_STRING(struct weight_device, path,   "Path"),
    JSON_INT64 (struct weight_device, weight, "Weight"),
    JSON_END,
};

static const struct json_field throttle_device_fields[] = {
    JSON_STRING(struct throttle_device, path, "Path"),
    JSON_UINT64(struct throttle_device, rate, "Rate"),
    JSON_END,
};

static const struct json_field ulimit_fields[] = {
    JSON_STRING(struct ulimit, name, "Name"),
    JSON_INT64 (struct ulimit, hard, "Hard"),
    JSON_INT64 (struct ulimit, soft, "Soft"),
    JSON_END,
};

static const struct json_field bind_options_fields[] = {
    JSON_STRING(struct bind_options, propagation,               "Propagation",            .omit_empty = true),
    JSON_BOOL  (struct bind_options, non_recursive,             "NonRecursive",           .omit_empty = true),
    JSON_BOOL  (struct bind_options, create_mountpoint,         "CreateMountpoint",       .omit_empty = true),
    JSON_BOOL  (struct bind_options, read_only_non_recursive,   "ReadOnlyNonRecursive",   .omit_empty = true),
    JSON_BOOL  (struct bind_options, read_only_force_recursive, "ReadOnlyForceRecursive", .omit_empty = true),
    JSON_STRING(struct bind_options, id_map,                    "IDMap",                  .omit_empty = true),
    JSON_END,
};

static const struct json_field volume_driver_config_fields[] = {
    JSON_STRING(struct volume_driver_config, name,    "Name",    .omit_empty = true),
    JSON_TEXTS (struct volume_driver_config, options, "Options", .omit_empty = true),
    JSON_END,
};

static const struct json_field volume_options_fields[] = {
    JSON_BOOL          (struct volume_options, no_copy,       "NoCopy",  .omit_empty = true),
    JSON_TEXTS         (struct volume_options, labels,        "Labels",  .omit_empty = true),
    JSON_STRING        (struct volume_options, subpath,       "Subpath", .omit_empty = true),
    JSON_OBJECT_POINTER(struct volume_options, driver_config, "DriverConfig", struct volume_driver_config,
                        volume_driver_config_fields, .omit_empty = true),
    JSON_END,
};

static const struct json_field image_options_fields[] = {
    JSON_STRING(struct image_options, subpath, "Subpath", .omit_empty = true),
    JSON_END,
};

static const struct json_field tmpfs_options_fields[] = {
    JSON_INT64(struct tmpfs_options, size_bytes, "SizeBytes", .omit_empty = true),
    JSON_INT64(struct tmpfs_options, mode,       "Mode",      .omit_empty = true),
    JSON_RAW  (struct tmpfs_options, options,    "Options",   .omit_empty = true),
    JSON_END,
};

const struct json_field mount_request_fields[] = {
    JSON_STRING        (struct mount_request, type,        "Type",        .omit_empty = true),
    JSON_STRING        (struct mount_request, source,      "Source",      .omit_empty = true),
    JSON_STRING        (struct mount_request, target,      "Target",      .omit_empty = true),
    JSON_BOOL          (struct mount_request, read_only,   "ReadOnly",    .omit_empty = true),
    JSON_STRING        (struct mount_request, consistency, "Consistency", .omit_empty = true),
    JSON_OBJECT_POINTER(struct mount_request, bind,        "BindOptions",   struct bind_options,   bind_options_fields,   .omit_empty = true),
    JSON_OBJECT_POINTER(struct mount_request, volume,      "VolumeOptions", struct volume_options, volume_options_fields, .omit_empty = true),
    JSON_OBJECT_POINTER(struct mount_request, image,       "ImageOptions",  struct image_options,  image_options_fields,  .omit_empty = true),
    JSON_OBJECT_POINTER(struct mount_request, tmpfs,       "TmpfsOptions",  struct tmpfs_options,  tmpfs_options_fields,  .omit_empty = true),
    JSON_RAW           (struct mount_request, cluster_options, "ClusterOptions", .omit_empty = true),
    JSON_END,
};

const struct json_field host_config_fields[] = {
    JSON_STRV          (struct host_config, binds,                    "Binds"),
    JSON_STRING        (struct host_config, container_id_file,        "ContainerIDFile"),
    JSON_OBJECT        (struct host_config, log_config,               "LogConfig", struct log_config, log_config_fields),
    JSON_STRING        (struct host_config, network_mode,             "NetworkMode"),
    JSON_MAP_OF_LISTS  (struct host_config, port_bindings,            "PortBindings", struct port_binding, port_binding_fields),
    JSON_OBJECT        (struct host_config, restart_policy,           "RestartPolicy", struct restart_policy, restart_policy_fields),
    JSON_BOOL          (struct host_config, auto_remove,              "AutoRemove"),
    JSON_STRING        (struct host_config, volume_driver,            "VolumeDriver"),
    JSON_STRV          (struct host_config, volumes_from,             "VolumesFrom"),
    JSON_INT64_PAIR    (struct host_config, console_size,             "ConsoleSize"),
    JSON_TEXTS         (struct host_config, annotations,              "Annotations", .omit_empty = true),
    JSON_STRV_OR_TEXT  (struct host_config, cap_add,                  "CapAdd"),
    JSON_STRV_OR_TEXT  (struct host_config, cap_drop,                 "CapDrop"),
    JSON_STRING        (struct host_config, cgroupns_mode,            "CgroupnsMode"),
    JSON_STRV          (struct host_config, dns,                      "Dns"),
    JSON_STRV          (struct host_config, dns_options,              "DnsOptions"),
    JSON_STRV          (struct host_config, dns_search,               "DnsSearch"),
    JSON_STRV          (struct host_config, extra_hosts,              "ExtraHosts"),
    JSON_STRV          (struct host_config, group_add,                "GroupAdd"),
    JSON_STRING        (struct host_config, ipc_mode,                 "IpcMode"),
    JSON_STRING        (struct host_config, cgroup,                   "Cgroup"),
    JSON_STRV          (struct host_config, links,                    "Links"),
    JSON_INT64         (struct host_config, oom_score_adj,            "OomScoreAdj"),
    JSON_STRING        (struct host_config, pid_mode,                 "PidMode"),
    JSON_BOOL          (struct host_config, privileged,               "Privileged"),
    JSON_BOOL          (struct host_config, publish_all_ports,        "PublishAllPorts"),
    JSON_BOOL          (struct host_config, readonly_rootfs,          "ReadonlyRootfs"),
    JSON_STRV          (struct host_config, security_opt,             "SecurityOpt"),
    JSON_TEXTS         (struct host_config, storage_opt,              "StorageOpt", .omit_empty = true),
    JSON_TEXTS         (struct host_config, tmpfs,                    "Tmpfs", .omit_empty = true),
    JSON_STRING        (struct host_config, uts_mode,                 "UTSMode"),
    JSON_STRING        (struct host_config, userns_mode,              "UsernsMode"),
    JSON_INT64         (struct host_config, shm_size_bytes,           "ShmSize"),
    JSON_TEXTS         (struct host_config, sysctls,                  "Sysctls", .omit_empty = true),
    JSON_STRING        (struct host_config, runtime,                  "Runtime"),
    JSON_STRING        (struct host_config, isolation,                "Isolation"),
    JSON_INT64         (struct host_config, cpu_shares,               "CpuShares"),
    JSON_INT64         (struct host_config, memory_bytes,             "Memory"),
    JSON_INT64         (struct host_config, nano_cpus,                "NanoCpus"),
    JSON_STRING        (struct host_config, cgroup_parent,            "CgroupParent"),
    JSON_INT64         (struct host_config, blkio_weight,             "BlkioWeight"),
    JSON_OBJECTS       (struct host_config, blkio_weight_device,      "BlkioWeightDevice",    struct weight_device,   weight_device_fields),
    JSON_OBJECTS       (struct host_config, blkio_device_read_bps,    "BlkioDeviceReadBps",   struct throttle_device, throttle_device_fields),
    JSON_OBJECTS       (struct host_config, blkio_device_write_bps,   "BlkioDeviceWriteBps",  struct throttle_device, throttle_device_fields),
    JSON_OBJECTS       (struct host_config, blkio_device_read_iops,   "BlkioDeviceReadIOps",  struct throttle_device, throttle_device_fields),
    JSON_OBJECTS       (struct host_config, blkio_device_write_iops,  "BlkioDeviceWriteIOps", struct throttle_device, throttle_device_fields),
    JSON_INT64         (struct host_config, cpu_period_us,            "CpuPeriod"),
    JSON_INT64         (struct host_config, cpu_quota_us,             "CpuQuota"),
    JSON_INT64         (struct host_config, cpu_realtime_period_us,   "CpuRealtimePeriod"),
    JSON_INT64         (struct host_config, cpu_realtime_runtime_us,  "CpuRealtimeRuntime"),
    JSON_STRING        (struct host_config, cpuset_cpus,              "CpusetCpus"),
    JSON_STRING        (struct host_config, cpuset_mems,              "CpusetMems"),
    JSON_OBJECTS       (struct host_config, devices,                  "Devices", struct device_mapping, device_mapping_fields),
    JSON_STRV          (struct host_config, device_cgroup_rules,      "DeviceCgroupRules"),
    JSON_OBJECTS       (struct host_config, device_requests,          "DeviceRequests", struct device_request, device_request_fields),
    JSON_INT64         (struct host_config, kernel_memory_tcp_bytes,  "KernelMemoryTCP", .omit_empty = true),
    JSON_INT64         (struct host_config, memory_reservation_bytes, "MemoryReservation"),
    JSON_INT64         (struct host_config, memory_swap_bytes,        "MemorySwap"),
    JSON_OPTIONAL_INT64(struct host_config, memory_swappiness,        "MemorySwappiness"),
    JSON_OPTIONAL_BOOL (struct host_config, oom_kill_disable,         "OomKillDisable"),
    JSON_OPTIONAL_INT64(struct host_config, pids_limit,               "PidsLimit"),
    JSON_OBJECTS       (struct host_config, ulimits,                  "Ulimits", struct ulimit, ulimit_fields),
    JSON_INT64         (struct host_config, cpu_count,                "CpuCount"),
    JSON_INT64         (struct host_config, cpu_percent,              "CpuPercent"),
    JSON_INT64         (struct host_config, io_maximum_iops,          "IOMaximumIOps"),
    JSON_INT64         (struct host_config, io_maximum_bandwidth,     "IOMaximumBandwidth"),
    JSON_OBJECTS       (struct host_config, mounts,                   "Mounts", struct mount_request, mount_request_fields, .omit_empty = true),
    JSON_STRV          (struct host_config, masked_paths,             "MaskedPaths"),
    JSON_STRV          (struct host_config, readonly_paths,           "ReadonlyPaths"),
    JSON_OPTIONAL_BOOL (struct host_config, init,                     "Init", .omit_empty = true),
    JSON_STRING        (struct host_config, health_on_failure,        "HealthOnFailure", .omit_empty = true),
    JSON_END,
};

static const struct json_field endpoint_ipam_fields[] = {
    JSON_STRING(struct endpoint_ipam, ipv4_address,   "IPv4Address",  .omit_empty = true),
    JSON_STRING(struct endpoint_ipam, ipv6_address,   "IPv6Address",  .omit_empty = true),
    JSON_STRV  (struct endpoint_ipam, link_local_ips, "LinkLocalIPs", .omit_empty = true),
    JSON_END,
};

const struct json_field endpoint_settings_fields[] = {
    JSON_OBJECT_POINTER(struct endpoint_settings, ipam_config,            "IPAMConfig", struct endpoint_ipam, endpoint_ipam_fields),
    JSON_STRV          (struct endpoint_settings, links,                  "Links"),
    JSON_STRV          (struct endpoint_settings, aliases,                "Aliases"),
    JSON_STRING        (struct endpoint_settings, mac_address,            "MacAddress"),
    JSON_TEXTS         (struct endpoint_settings, driver_opts,            "DriverOpts"),
    JSON_INT64         (struct endpoint_settings, gw_priority,            "GwPriority"),
    JSON_STRING        (struct endpoint_settings, network_id,             "NetworkID"),
    JSON_STRING        (struct endpoint_settings, endpoint_id,            "EndpointID"),
    JSON_STRING        (struct endpoint_settings, gateway,                "Gateway"),
    JSON_STRING        (struct endpoint_settings, ip_address,             "IPAddress"),
    JSON_INT64         (struct endpoint_settings, ip_prefix_len,          "IPPrefixLen"),
    JSON_STRING        (struct endpoint_settings, ipv6_gateway,           "IPv6Gateway"),
    JSON_STRING        (struct endpoint_settings, global_ipv6_address,    "GlobalIPv6Address"),
    JSON_INT64         (struct endpoint_settings, global_ipv6_prefix_len, "GlobalIPv6PrefixLen"),
    JSON_STRV          (struct endpoint_settings, dns_names,              "DNSNames"),
    JSON_END,
};

const struct json_field networking_config_fields[] = {
    JSON_MAP(struct networking_config, endpoints, "EndpointsConfig", struct endpoint_settings, endpoint_settings_fields),
    JSON_END,
};

/* The body of a create call: Config's members at the top, the rest under names of their own. */
static const struct json_field container_create_rest_fields[] = {
    JSON_OBJECT(struct container_create, host_config, "HostConfig", struct host_config, host_config_fields),
    JSON_OBJECT(struct container_create, networking,  "NetworkingConfig", struct networking_config, networking_config_fields),
    JSON_END,
};

const struct json_field mount_point_fields[] = {
    JSON_STRING(struct mount_point, type,        "Type"),
    JSON_STRING(struct mount_point, name,        "Name", .omit_empty = true),
    JSON_STRING(struct mount_point, source,      "Source"),
    JSON_STRING(struct mount_point, destination, "Destination"),
    JSON_STRING(struct mount_point, driver,      "Driver", .omit_empty = true),
    JSON_STRING(struct mount_point, mode,        "Mode"),
    JSON_BOOL  (struct mount_point, rw,          "RW"),
    JSON_STRING(struct mount_point, propagation, "Propagation"),
    JSON_END,
};

const struct json_field exec_config_fields[] = {
    JSON_STRING      (struct exec_config, user,          "User"),
    JSON_BOOL        (struct exec_config, privileged,    "Privileged"),
    JSON_BOOL        (struct exec_config, tty,           "Tty"),
    JSON_BOOL        (struct exec_config, attach_stdin,  "AttachStdin"),
    JSON_BOOL        (struct exec_config, attach_stderr, "AttachStderr"),
    JSON_BOOL        (struct exec_config, attach_stdout, "AttachStdout"),
    JSON_STRING      (struct exec_config, detach_keys,   "DetachKeys"),
    JSON_STRING      (struct exec_config, working_dir,   "WorkingDir"),
    JSON_STRV        (struct exec_config, env,           "Env"),
    JSON_STRV_OR_TEXT(struct exec_config, cmd,           "Cmd"),
    JSON_INT64_PAIR  (struct exec_config, console_size,  "ConsoleSize"),
    JSON_END,
};
/* clang-format on */

int container_create_decode(const char *text, size_t size, struct container_create *out,
                            struct error *err)
{
    CLEANUP(json_free) struct json *body = NULL;
    CLEANUP(container_create_done) struct container_create create = {};

    if (json_parse(text, size, &body, err) < 0 ||
        json_decode_value(container_config_fields, body, &create.config, err) < 0 ||
        json_decode_value(container_create_rest_fields, body, &create, err) < 0)
        return -1;
    *out = create;
    create = (struct container_create){};
    return 0;
}

void container_create_done(struct container_create *create)
{
    json_fields_done(container_config_fields, &create->config);
    json_fields_done(container_create_rest_fields, create);
}
