/* The keys of a compose file. The order of the rows is the order of the canonical form (`config`),
 * which Docker's compose fixes by its structs; configuration hashes depend on it. */
#include <limits.h>

#include "compose/expand.h"
#include "compose/field.h"
#include "compose/project.h"

#include "base/banned.h"

/* clang-format off */
static const struct field secret_reference_fields[] = {
    { "source", FIELD_TEXT, .is_required = true },
    { "target", FIELD_TEXT },
    { "uid",    FIELD_SCALAR },
    { "gid",    FIELD_SCALAR },
    { "mode",   FIELD_MODE },
    {},
};

static const struct field build_fields[] = {
    { "context",             FIELD_TEXT },
    { "dockerfile",          FIELD_TEXT },
    { "dockerfile_inline",   FIELD_TEXT },
    { "entitlements",        FIELD_TEXTS },
    { "args",                FIELD_ENVIRONMENT },
    { "provenance",          FIELD_SCALAR },
    { "sbom",                FIELD_SCALAR },
    { "ssh",                 FIELD_TEXT_OR_LIST, .expand = expand_ssh },
    { "labels",              FIELD_PAIRS },
    { "cache_from",          FIELD_TEXTS },
    { "cache_to",            FIELD_TEXTS },
    { "no_cache",            FIELD_BOOL },
    { "no_cache_filter",     FIELD_TEXT_OR_LIST },
    { "additional_contexts", FIELD_PAIRS, .expand = expand_contexts },
    { "pull",                FIELD_BOOL },
    { "extra_hosts",         FIELD_TEXTS, .expand = expand_extra_hosts },
    { "isolation",           FIELD_TEXT },
    { "network",             FIELD_TEXT },
    { "target",              FIELD_TEXT },
    { "secrets",             FIELD_OBJECTS, secret_reference_fields, expand_references, identity_secret },
    { "shm_size",            FIELD_SIZE },
    { "tags",                FIELD_TEXTS },
    { "ulimits",             FIELD_LIMITS, .expand = expand_ulimits },
    { "platforms",           FIELD_TEXTS },
    { "privileged",          FIELD_BOOL },
    {},
};

static const struct field hook_fields[] = {
    { "command",     FIELD_COMMAND, .replaces = true, .is_required = true },
    { "user",        FIELD_TEXT },
    { "privileged",  FIELD_BOOL },
    { "working_dir", FIELD_TEXT },
    { "environment", FIELD_ENVIRONMENT },
    {},
};

static const struct field watch_fields[] = {
    { "path",         FIELD_TEXT, .is_required = true },
    { "action",       FIELD_TEXT, .choices = "rebuild|sync|restart|sync+restart|sync+exec", .is_required = true },
    { "target",       FIELD_TEXT },
    { "exec",         FIELD_OBJECT, hook_fields },
    { "include",      FIELD_TEXT_OR_LIST },
    { "ignore",       FIELD_TEXT_OR_LIST },
    { "initial_sync", FIELD_BOOL },
    {},
};

static const struct field develop_fields[] = {
    { "watch", FIELD_OBJECTS, watch_fields, .identity = identity_path },
    {},
};

static const struct field weight_device_fields[] = {
    { "path",   FIELD_TEXT, .is_required = true },
    { "weight", FIELD_INTEGER, .is_required = true },
    {},
};

static const struct field throttle_device_fields[] = {
    { "path", FIELD_TEXT, .is_required = true },
    { "rate", FIELD_SIZE, .is_required = true },
    {},
};

static const struct field blkio_fields[] = {
    { "weight",            FIELD_INTEGER },
    { "weight_device",     FIELD_OBJECTS, weight_device_fields, .identity = identity_path },
    { "device_read_bps",   FIELD_OBJECTS, throttle_device_fields, .identity = identity_path },
    { "device_read_iops",  FIELD_OBJECTS, throttle_device_fields, .identity = identity_path },
    { "device_write_bps",  FIELD_OBJECTS, throttle_device_fields, .identity = identity_path },
    { "device_write_iops", FIELD_OBJECTS, throttle_device_fields, .identity = identity_path },
    {},
};

static const struct field credential_fields[] = {
    { "config",   FIELD_TEXT },
    { "file",     FIELD_TEXT },
    { "registry", FIELD_TEXT },
    {},
};

static const struct field dependency_fields[] = {
    { "condition", FIELD_TEXT },
    { "restart",   FIELD_BOOL },
    { "required",  FIELD_BOOL, .keeps_zero = true },
    {},
};

static const struct field update_fields[] = {
    { "parallelism",       FIELD_INTEGER, .keeps_zero = true },
    { "delay",             FIELD_DURATION },
    { "failure_action",    FIELD_TEXT },
    { "monitor",           FIELD_DURATION },
    { "max_failure_ratio", FIELD_NUMBER },
    { "order",             FIELD_TEXT, .choices = "start-first|stop-first" },
    {},
};

static const struct field discrete_resource_fields[] = {
    { "kind",  FIELD_TEXT },
    { "value", FIELD_INTEGER },
    {},
};

static const struct field generic_resource_fields[] = {
    { "discrete_resource_spec", FIELD_OBJECT, discrete_resource_fields },
    {},
};

static const struct field device_request_fields[] = {
    { "capabilities", FIELD_TEXTS },
    { "driver",       FIELD_TEXT },
    { "count",        FIELD_INTEGER, .expand = expand_device_count },
    { "device_ids",   FIELD_TEXTS },
    { "options",      FIELD_PAIRS },
    {},
};

static const struct field device_reservation_fields[] = {
    { "capabilities", FIELD_TEXTS, .is_required = true },
    { "driver",       FIELD_TEXT },
    { "count",        FIELD_INTEGER, .expand = expand_device_count },
    { "device_ids",   FIELD_TEXTS },
    { "options",      FIELD_PAIRS },
    {},
};

static const struct field limit_fields[] = {
    { "cpus",   FIELD_NUMBER },
    { "memory", FIELD_SIZE },
    { "pids",   FIELD_INTEGER },
    {},
};

static const struct field reservation_fields[] = {
    { "cpus",              FIELD_NUMBER },
    { "memory",            FIELD_SIZE },
    { "devices",           FIELD_OBJECTS, device_reservation_fields },
    { "generic_resources", FIELD_OBJECTS, generic_resource_fields },
    {},
};

static const struct field resources_fields[] = {
    { "limits",       FIELD_OBJECT, limit_fields },
    { "reservations", FIELD_OBJECT, reservation_fields },
    {},
};

static const struct field restart_policy_fields[] = {
    { "condition",    FIELD_TEXT },
    { "delay",        FIELD_DURATION, .keeps_zero = true },
    { "max_attempts", FIELD_INTEGER, .keeps_zero = true },
    { "window",       FIELD_DURATION, .keeps_zero = true },
    {},
};

static const struct field preference_fields[] = {
    { "spread", FIELD_TEXT },
    {},
};

static const struct field placement_fields[] = {
    { "constraints",           FIELD_TEXTS },
    { "preferences",           FIELD_OBJECTS, preference_fields },
    { "max_replicas_per_node", FIELD_INTEGER },
    {},
};

static const struct field deploy_fields[] = {
    { "mode",            FIELD_TEXT },
    { "replicas",        FIELD_INTEGER, .keeps_zero = true, .most = SCALE_LIMIT },
    { "labels",          FIELD_PAIRS },
    { "update_config",   FIELD_OBJECT, update_fields },
    { "rollback_config", FIELD_OBJECT, update_fields },
    { "resources",       FIELD_OBJECT, resources_fields },
    { "restart_policy",  FIELD_OBJECT, restart_policy_fields },
    { "placement",       FIELD_OBJECT, placement_fields },
    { "endpoint_mode",   FIELD_TEXT },
    {},
};

static const struct field device_fields[] = {
    { "source",      FIELD_TEXT, .is_required = true },
    { "target",      FIELD_TEXT, .is_required = true },
    { "permissions", FIELD_TEXT },
    {},
};

static const struct field env_file_fields[] = {
    { "path",     FIELD_TEXT, .is_required = true },
    { "required", FIELD_BOOL, .keeps_zero = true },
    { "format",   FIELD_TEXT },
    {},
};

static const struct field extends_fields[] = {
    { "file",    FIELD_TEXT },
    { "service", FIELD_TEXT },
    {},
};

static const struct field healthcheck_fields[] = {
    { "test",           FIELD_TEXTS, .expand = expand_health_test, .replaces = true },
    { "timeout",        FIELD_DURATION, .keeps_zero = true },
    { "interval",       FIELD_DURATION, .keeps_zero = true },
    { "retries",        FIELD_INTEGER, .keeps_zero = true },
    { "start_period",   FIELD_DURATION, .keeps_zero = true },
    { "start_interval", FIELD_DURATION, .keeps_zero = true },
    { "disable",        FIELD_BOOL },
    {},
};

static const struct field logging_fields[] = {
    { "driver",  FIELD_TEXT },
    { "options", FIELD_PAIRS },
    {},
};

static const struct field endpoint_fields[] = {
    { "aliases",        FIELD_TEXTS },
    { "driver_opts",    FIELD_PAIRS, .expand = expand_mapping },
    { "gw_priority",    FIELD_INTEGER },
    { "interface_name", FIELD_TEXT },
    { "ipv4_address",   FIELD_TEXT },
    { "ipv6_address",   FIELD_TEXT },
    { "link_local_ips", FIELD_TEXTS },
    { "mac_address",    FIELD_TEXT },
    { "priority",       FIELD_INTEGER },
    {},
};

static const struct field port_fields[] = {
    { "name",         FIELD_TEXT },
    { "mode",         FIELD_TEXT },
    { "host_ip",      FIELD_TEXT },
    { "target",       FIELD_INTEGER },
    { "published",    FIELD_SCALAR },
    { "protocol",     FIELD_TEXT },
    { "app_protocol", FIELD_TEXT },
    {},
};

static const struct field bind_fields[] = {
    { "selinux",          FIELD_TEXT, .choices = "z|Z" },
    { "propagation",      FIELD_TEXT },
    { "create_host_path", FIELD_BOOL },
    { "recursive",        FIELD_TEXT, .choices = "enabled|disabled|writable|readonly" },
    {},
};

static const struct field mount_volume_fields[] = {
    { "labels",  FIELD_PAIRS },
    { "nocopy",  FIELD_BOOL },
    { "subpath", FIELD_TEXT },
    {},
};

static const struct field mount_tmpfs_fields[] = {
    { "size", FIELD_SIZE, .most = INT_MAX },
    { "mode", FIELD_INTEGER },
    {},
};

static const struct field mount_image_fields[] = {
    { "subpath", FIELD_TEXT },
    {},
};

static const struct field mount_fields[] = {
    { "type",        FIELD_TEXT },
    { "source",      FIELD_TEXT },
    { "target",      FIELD_TEXT },
    { "read_only",   FIELD_BOOL },
    { "consistency", FIELD_TEXT },
    { "bind",        FIELD_OBJECT, bind_fields },
    { "volume",      FIELD_OBJECT, mount_volume_fields },
    { "tmpfs",       FIELD_OBJECT, mount_tmpfs_fields },
    { "image",       FIELD_OBJECT, mount_image_fields },
    {},
};

static const struct field provider_fields[] = {
    { "type",    FIELD_TEXT, .is_required = true },
    { "options", FIELD_ANY, .expand = expand_provider_options },
    {},
};

static const struct field service_model_fields[] = {
    { "endpoint_var", FIELD_TEXT },
    { "model_var",    FIELD_TEXT },
    {},
};

static const struct field service_fields[] = {
    { "profiles",            FIELD_TEXTS },
    { "annotations",         FIELD_PAIRS },
    { "attach",              FIELD_BOOL, .keeps_zero = true },
    { "build",               FIELD_OBJECT, build_fields, expand_build },
    { "develop",             FIELD_OBJECT, develop_fields },
    { "blkio_config",        FIELD_OBJECT, blkio_fields },
    { "cap_add",             FIELD_TEXTS },
    { "cap_drop",            FIELD_TEXTS },
    { "cgroup_parent",       FIELD_TEXT },
    { "cgroup",              FIELD_TEXT, .choices = "host|private" },
    { "cpu_count",           FIELD_INTEGER, .most = INT_MAX },
    { "cpu_percent",         FIELD_NUMBER, .most = 100 },
    { "cpu_period",          FIELD_INTEGER },
    { "cpu_quota",           FIELD_INTEGER },
    { "cpu_rt_period",       FIELD_INTEGER },
    { "cpu_rt_runtime",      FIELD_INTEGER },
    { "cpus",                FIELD_NUMBER },
    { "cpuset",              FIELD_TEXT },
    { "cpu_shares",          FIELD_INTEGER },
    { "command",             FIELD_COMMAND, .replaces = true },
    { "configs",             FIELD_OBJECTS, secret_reference_fields, expand_references, identity_config },
    { "container_name",      FIELD_TEXT, .pattern = "[a-zA-Z0-9][a-zA-Z0-9_.-]+" },
    { "credential_spec",     FIELD_OBJECT, credential_fields },
    { "depends_on",          FIELD_MAP, dependency_fields, expand_depends_on },
    { "deploy",              FIELD_OBJECT, deploy_fields },
    { "device_cgroup_rules", FIELD_TEXTS },
    { "devices",             FIELD_OBJECTS, device_fields, expand_devices, identity_target },
    { "dns",                 FIELD_TEXT_OR_LIST },
    { "dns_opt",             FIELD_TEXTS },
    { "dns_search",          FIELD_TEXT_OR_LIST },
    { "domainname",          FIELD_TEXT },
    { "entrypoint",          FIELD_COMMAND, .replaces = true },
    { "provider",            FIELD_OBJECT, provider_fields },
    { "environment",         FIELD_ENVIRONMENT },
    { "env_file",            FIELD_OBJECTS, env_file_fields, expand_env_file, identity_path },
    { "expose",              FIELD_TEXTS, .takes_numbers = true },
    { "extends",             FIELD_OBJECT, extends_fields, expand_extends, .replaces = true },
    { "external_links",      FIELD_TEXTS, .is_unique = true },
    { "extra_hosts",         FIELD_TEXTS, .expand = expand_extra_hosts },
    { "group_add",           FIELD_TEXTS, .takes_numbers = true, .is_unique = true },
    { "gpus",                FIELD_OBJECTS, device_request_fields, expand_gpus },
    { "hostname",            FIELD_TEXT },
    { "healthcheck",         FIELD_OBJECT, healthcheck_fields },
    { "image",               FIELD_TEXT },
    { "init",                FIELD_BOOL, .keeps_zero = true },
    { "ipc",                 FIELD_TEXT },
    { "isolation",           FIELD_TEXT },
    { "labels",              FIELD_PAIRS },
    { "label_file",          FIELD_TEXT_OR_LIST },
    { "links",               FIELD_TEXTS },
    { "logging",             FIELD_OBJECT, logging_fields },
    { "mem_limit",           FIELD_SIZE },
    { "mem_reservation",     FIELD_SIZE },
    { "memswap_limit",       FIELD_SIZE },
    { "mem_swappiness",      FIELD_SIZE },
    { "mac_address",         FIELD_TEXT },
    { "models",              FIELD_MAP, service_model_fields, expand_networks },
    { "network_mode",        FIELD_TEXT },
    { "networks",            FIELD_MAP, endpoint_fields, expand_networks },
    { "oom_kill_disable",    FIELD_BOOL },
    { "oom_score_adj",       FIELD_INTEGER, .least = -1000, .most = 1000 },
    { "pid",                 FIELD_TEXT },
    { "pids_limit",          FIELD_INTEGER },
    { "platform",            FIELD_TEXT },
    { "ports",               FIELD_OBJECTS, port_fields, expand_ports, identity_port },
    { "privileged",          FIELD_BOOL },
    { "pull_policy",         FIELD_TEXT, .pattern = "always|never|build|if_not_present|missing|refresh|daily|weekly|every_([0-9]+[wdhms])+" },
    { "pull_refresh_after",  FIELD_DURATION },
    { "read_only",           FIELD_BOOL },
    { "restart",             FIELD_TEXT },
    { "runtime",             FIELD_TEXT },
    { "scale",               FIELD_INTEGER, .keeps_zero = true, .most = SCALE_LIMIT },
    { "secrets",             FIELD_OBJECTS, secret_reference_fields, expand_references, identity_secret },
    { "security_opt",        FIELD_TEXTS, .is_unique = true },
    { "shm_size",            FIELD_SIZE },
    { "stdin_open",          FIELD_BOOL },
    { "stop_grace_period",   FIELD_DURATION, .keeps_zero = true },
    { "stop_signal",         FIELD_TEXT },
    { "storage_opt",         FIELD_PAIRS, .expand = expand_mapping },
    { "sysctls",             FIELD_PAIRS },
    { "tmpfs",               FIELD_TEXT_OR_LIST },
    { "tty",                 FIELD_BOOL },
    { "ulimits",             FIELD_LIMITS, .expand = expand_ulimits },
    { "use_api_socket",      FIELD_BOOL },
    { "user",                FIELD_TEXT },
    { "userns_mode",         FIELD_TEXT },
    { "uts",                 FIELD_TEXT },
    { "volumes",             FIELD_OBJECTS, mount_fields, expand_volumes, identity_target },
    { "volumes_from",        FIELD_TEXTS },
    { "working_dir",         FIELD_TEXT },
    { "post_start",          FIELD_OBJECTS, hook_fields },
    { "pre_stop",            FIELD_OBJECTS, hook_fields },
    {},
};

static const struct field pool_fields[] = {
    { "subnet",        FIELD_TEXT },
    { "gateway",       FIELD_TEXT },
    { "ip_range",      FIELD_TEXT },
    { "aux_addresses", FIELD_PAIRS },
    {},
};

static const struct field ipam_fields[] = {
    { "driver",  FIELD_TEXT },
    { "config",  FIELD_OBJECTS, pool_fields },
    { "options", FIELD_PAIRS },
    {},
};

static const struct field network_fields[] = {
    { "name",        FIELD_TEXT },
    { "driver",      FIELD_TEXT },
    { "driver_opts", FIELD_PAIRS, .expand = expand_mapping },
    { "ipam",        FIELD_OBJECT, ipam_fields },
    { "external",    FIELD_BOOL, .expand = expand_external },
    { "internal",    FIELD_BOOL },
    { "attachable",  FIELD_BOOL },
    { "labels",      FIELD_PAIRS },
    { "enable_ipv4", FIELD_BOOL, .keeps_zero = true },
    { "enable_ipv6", FIELD_BOOL, .keeps_zero = true },
    {},
};

static const struct field volume_fields[] = {
    { "name",        FIELD_TEXT },
    { "driver",      FIELD_TEXT },
    { "driver_opts", FIELD_PAIRS, .expand = expand_mapping },
    { "external",    FIELD_BOOL, .expand = expand_external },
    { "labels",      FIELD_PAIRS },
    {},
};

static const struct field secret_fields[] = {
    { "name",            FIELD_TEXT },
    { "file",            FIELD_TEXT },
    { "environment",     FIELD_TEXT },
    { "content",         FIELD_TEXT },
    { "external",        FIELD_BOOL, .expand = expand_external },
    { "labels",          FIELD_PAIRS },
    { "driver",          FIELD_TEXT },
    { "driver_opts",     FIELD_PAIRS, .expand = expand_mapping },
    { "template_driver", FIELD_TEXT },
    {},
};

static const struct field model_fields[] = {
    { "name",          FIELD_TEXT },
    { "model",         FIELD_TEXT, .is_required = true },
    { "context_size",  FIELD_INTEGER },
    { "runtime_flags", FIELD_TEXTS },
    {},
};

static const struct field include_fields[] = {
    { "path",              FIELD_TEXT_OR_LIST },
    { "env_file",          FIELD_TEXT_OR_LIST },
    { "project_directory", FIELD_TEXT },
    {},
};

static const struct field file_fields[] = {
    { "name",     FIELD_TEXT },
    { "version",  FIELD_SCALAR },
    { "include",  FIELD_OBJECTS, include_fields, expand_include },
    { "services", FIELD_MAP, service_fields, expand_services, .keeps_zero = true },
    { "networks", FIELD_MAP, network_fields, expand_resources },
    { "volumes",  FIELD_MAP, volume_fields, expand_resources },
    { "secrets",  FIELD_MAP, secret_fields, expand_resources },
    { "configs",  FIELD_MAP, secret_fields, expand_resources },
    { "models",   FIELD_MAP, model_fields },
    {},
};
/* clang-format on */

const struct field field_file = { "", FIELD_OBJECT, file_fields };
const struct field field_service = { "", FIELD_OBJECT, service_fields };
const struct field field_network = { "", FIELD_OBJECT, network_fields };
const struct field field_volume = { "", FIELD_OBJECT, volume_fields };
