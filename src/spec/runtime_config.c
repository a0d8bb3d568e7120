/* The JSON tables of the runtime configuration, and what in a document makes it unacceptable: keys
 * whose demand this runtime could not meet are refused rather than ignored. */
#include "spec/runtime_config.h"

#include <string.h>

#include "base/text.h"

#include "base/banned.h"

/* clang-format off */
static const struct json_field runtime_user_fields[] = {
    JSON_INT64         (struct runtime_user, uid,               "uid"),
    JSON_INT64         (struct runtime_user, gid,               "gid"),
    JSON_OPTIONAL_INT64(struct runtime_user, umask,             "umask",            .omit_empty = true),
    JSON_RAW           (struct runtime_user, additional_gids,   "additionalGids",   .omit_empty = true),
    JSON_STRING        (struct runtime_user, username,          "username",         .omit_empty = true),
    JSON_STRV          (struct runtime_user, additional_groups, "additionalGroups", .omit_empty = true),
    JSON_END,
};

static const struct json_field runtime_rlimit_fields[] = {
    JSON_STRING(struct runtime_rlimit, type, "type"),
    JSON_UINT64(struct runtime_rlimit, hard, "hard"),
    JSON_UINT64(struct runtime_rlimit, soft, "soft"),
    JSON_END,
};

static const struct json_field runtime_capabilities_fields[] = {
    JSON_STRV(struct runtime_capabilities, bounding,    "bounding",    .omit_empty = true),
    JSON_STRV(struct runtime_capabilities, effective,   "effective",   .omit_empty = true),
    JSON_STRV(struct runtime_capabilities, inheritable, "inheritable", .omit_empty = true),
    JSON_STRV(struct runtime_capabilities, permitted,   "permitted",   .omit_empty = true),
    JSON_STRV(struct runtime_capabilities, ambient,     "ambient",     .omit_empty = true),
    JSON_END,
};

/* consoleSize is an object of its own in JSON; the two members lie side by side in the process. */
struct console_size {
    int64_t height, width;
};
_Static_assert(offsetof(struct runtime_process, console_width) ==
                   offsetof(struct runtime_process, console_height) + sizeof(int64_t),
               "console size is read in one piece");
static const struct json_field console_size_fields[] = {
    JSON_INT64(struct console_size, height, "height"),
    JSON_INT64(struct console_size, width,  "width"),
    JSON_END,
};

const struct json_field runtime_process_fields[] = {
    JSON_BOOL          (struct runtime_process, terminal,          "terminal",        .omit_empty = true),
    { .name = "consoleSize", .type = JSON_FIELD_OBJECT, .offset = offsetof(struct runtime_process, console_height),
      .fields = console_size_fields, .element_size = sizeof(struct console_size) },
    JSON_OBJECT        (struct runtime_process, user,              "user", struct runtime_user, runtime_user_fields),
    JSON_STRV          (struct runtime_process, args,              "args"),
    JSON_STRV          (struct runtime_process, env,               "env",             .omit_empty = true),
    JSON_STRING        (struct runtime_process, cwd,               "cwd"),
    JSON_OBJECT_POINTER(struct runtime_process, capabilities,      "capabilities", struct runtime_capabilities,
                        runtime_capabilities_fields, .omit_empty = true),
    JSON_OBJECTS       (struct runtime_process, rlimits,           "rlimits", struct runtime_rlimit, runtime_rlimit_fields,
                        .omit_empty = true),
    JSON_BOOL          (struct runtime_process, no_new_privileges, "noNewPrivileges", .omit_empty = true),
    JSON_OPTIONAL_INT64(struct runtime_process, oom_score_adj,     "oomScoreAdj",     .omit_empty = true),
    JSON_STRING        (struct runtime_process, apparmor_profile,  "apparmorProfile", .omit_empty = true),
    JSON_STRING        (struct runtime_process, selinux_label,     "selinuxLabel",    .omit_empty = true),
    JSON_END,
};

static const struct json_field runtime_root_fields[] = {
    JSON_STRING(struct runtime_root, path,     "path"),
    JSON_BOOL  (struct runtime_root, readonly, "readonly", .omit_empty = true),
    JSON_END,
};

static const struct json_field runtime_mount_fields[] = {
    JSON_STRING(struct runtime_mount, destination, "destination"),
    JSON_STRING(struct runtime_mount, type,        "type",    .omit_empty = true),
    JSON_STRING(struct runtime_mount, source,      "source",  .omit_empty = true),
    JSON_STRV  (struct runtime_mount, options,     "options", .omit_empty = true),
    JSON_END,
};

static const struct json_field runtime_namespace_fields[] = {
    JSON_STRING(struct runtime_namespace, type, "type"),
    JSON_STRING(struct runtime_namespace, path, "path", .omit_empty = true),
    JSON_END,
};

static const struct json_field runtime_device_fields[] = {
    JSON_STRING        (struct runtime_device, path,      "path"),
    JSON_STRING        (struct runtime_device, type,      "type"),
    JSON_INT64         (struct runtime_device, major,     "major"),
    JSON_INT64         (struct runtime_device, minor,     "minor"),
    JSON_OPTIONAL_INT64(struct runtime_device, file_mode, "fileMode", .omit_empty = true),
    JSON_OPTIONAL_INT64(struct runtime_device, uid,       "uid",      .omit_empty = true),
    JSON_OPTIONAL_INT64(struct runtime_device, gid,       "gid",      .omit_empty = true),
    JSON_END,
};

static const struct json_field runtime_device_rule_fields[] = {
    JSON_BOOL          (struct runtime_device_rule, allow,  "allow"),
    JSON_STRING        (struct runtime_device_rule, type,   "type",   .omit_empty = true),
    JSON_OPTIONAL_INT64(struct runtime_device_rule, major,  "major",  .omit_empty = true),
    JSON_OPTIONAL_INT64(struct runtime_device_rule, minor,  "minor",  .omit_empty = true),
    JSON_STRING        (struct runtime_device_rule, access, "access", .omit_empty = true),
    JSON_END,
};

static const struct json_field runtime_memory_fields[] = {
    JSON_OPTIONAL_INT64(struct runtime_memory, limit,              "limit",            .omit_empty = true),
    JSON_OPTIONAL_INT64(struct runtime_memory, reservation,        "reservation",      .omit_empty = true),
    JSON_OPTIONAL_INT64(struct runtime_memory, swap,               "swap",             .omit_empty = true),
    JSON_OPTIONAL_INT64(struct runtime_memory, swappiness,         "swappiness",       .omit_empty = true),
    JSON_OPTIONAL_BOOL (struct runtime_memory, disable_oom_killer, "disableOOMKiller", .omit_empty = true),
    JSON_END,
};

static const struct json_field runtime_cpu_fields[] = {
    JSON_OPTIONAL_INT64(struct runtime_cpu, shares,           "shares",          .omit_empty = true),
    JSON_OPTIONAL_INT64(struct runtime_cpu, quota,            "quota",           .omit_empty = true),
    JSON_OPTIONAL_INT64(struct runtime_cpu, period,           "period",          .omit_empty = true),
    JSON_OPTIONAL_INT64(struct runtime_cpu, realtime_runtime, "realtimeRuntime", .omit_empty = true),
    JSON_OPTIONAL_INT64(struct runtime_cpu, realtime_period,  "realtimePeriod",  .omit_empty = true),
    JSON_STRING        (struct runtime_cpu, cpus,             "cpus",            .omit_empty = true),
    JSON_STRING        (struct runtime_cpu, mems,             "mems",            .omit_empty = true),
    JSON_END,
};

static const struct json_field runtime_pids_fields[] = {
    JSON_INT64(struct runtime_pids, limit, "limit"),
    JSON_END,
};

static const struct json_field runtime_throttle_fields[] = {
    JSON_INT64 (struct runtime_throttle, major, "major"),
    JSON_INT64 (struct runtime_throttle, minor, "minor"),
    JSON_UINT64(struct runtime_throttle, rate,  "rate"),
    JSON_END,
};

static const struct json_field runtime_weight_device_fields[] = {
    JSON_INT64(struct runtime_weight_device, major,  "major"),
    JSON_INT64(struct runtime_weight_device, minor,  "minor"),
    JSON_INT64(struct runtime_weight_device, weight, "weight"),
    JSON_END,
};

#define THROTTLES(member, name)                                                                     \
    JSON_OBJECTS(struct runtime_block_io, member, name, struct runtime_throttle, runtime_throttle_fields, \
                 .omit_empty = true)
static const struct json_field runtime_block_io_fields[] = {
    JSON_OPTIONAL_INT64(struct runtime_block_io, weight, "weight", .omit_empty = true),
    JSON_OBJECTS       (struct runtime_block_io, weight_device, "weightDevice", struct runtime_weight_device,
                        runtime_weight_device_fields, .omit_empty = true),
    THROTTLES(read_bps,   "throttleReadBpsDevice"),
    THROTTLES(write_bps,  "throttleWriteBpsDevice"),
    THROTTLES(read_iops,  "throttleReadIOPSDevice"),
    THROTTLES(write_iops, "throttleWriteIOPSDevice"),
    JSON_END,
};

static const struct json_field runtime_huge_pages_fields[] = {
    JSON_STRING(struct runtime_huge_pages, page_size, "pageSize"),
    JSON_UINT64(struct runtime_huge_pages, limit,     "limit"),
    JSON_END,
};

const struct json_field runtime_resources_fields[] = {
    JSON_OBJECTS       (struct runtime_resources, devices,  "devices", struct runtime_device_rule, runtime_device_rule_fields,
                        .omit_empty = true),
    JSON_OBJECT        (struct runtime_resources, memory,   "memory",  struct runtime_memory, runtime_memory_fields),
    JSON_OBJECT        (struct runtime_resources, cpu,      "cpu",     struct runtime_cpu, runtime_cpu_fields),
    JSON_OBJECT_POINTER(struct runtime_resources, pids,     "pids",    struct runtime_pids, runtime_pids_fields, .omit_empty = true),
    JSON_OBJECT        (struct runtime_resources, block_io, "blockIO", struct runtime_block_io, runtime_block_io_fields),
    JSON_OBJECTS       (struct runtime_resources, huge_pages, "hugepageLimits", struct runtime_huge_pages, runtime_huge_pages_fields,
                        .omit_empty = true),
    JSON_TEXTS         (struct runtime_resources, unified,  "unified", .omit_empty = true),
    JSON_END,
};

static const struct json_field runtime_seccomp_argument_fields[] = {
    JSON_INT64 (struct runtime_seccomp_argument, index,     "index"),
    JSON_UINT64(struct runtime_seccomp_argument, value,     "value"),
    JSON_UINT64(struct runtime_seccomp_argument, value_two, "valueTwo", .omit_empty = true),
    JSON_STRING(struct runtime_seccomp_argument, op,        "op"),
    JSON_END,
};

static const struct json_field runtime_seccomp_syscall_fields[] = {
    JSON_STRV          (struct runtime_seccomp_syscall, names,     "names"),
    JSON_STRING        (struct runtime_seccomp_syscall, action,    "action"),
    JSON_OPTIONAL_INT64(struct runtime_seccomp_syscall, errno_ret, "errnoRet", .omit_empty = true),
    JSON_OBJECTS       (struct runtime_seccomp_syscall, args,      "args", struct runtime_seccomp_argument,
                        runtime_seccomp_argument_fields, .omit_empty = true),
    JSON_END,
};

const struct json_field runtime_seccomp_fields[] = {
    JSON_STRING        (struct runtime_seccomp, default_action,    "defaultAction"),
    JSON_OPTIONAL_INT64(struct runtime_seccomp, default_errno_ret, "defaultErrnoRet", .omit_empty = true),
    JSON_STRV          (struct runtime_seccomp, architectures,     "architectures",   .omit_empty = true),
    JSON_STRV          (struct runtime_seccomp, flags,             "flags",           .omit_empty = true),
    JSON_OBJECTS       (struct runtime_seccomp, syscalls,          "syscalls", struct runtime_seccomp_syscall,
                        runtime_seccomp_syscall_fields, .omit_empty = true),
    JSON_END,
};

static const struct json_field runtime_hook_fields[] = {
    JSON_STRING        (struct runtime_hook, path,      "path"),
    JSON_STRV          (struct runtime_hook, args,      "args",    .omit_empty = true),
    JSON_STRV          (struct runtime_hook, env,       "env",     .omit_empty = true),
    JSON_OPTIONAL_INT64(struct runtime_hook, timeout_s, "timeout", .omit_empty = true),
    JSON_END,
};

#define HOOKS(member, name) \
    JSON_OBJECTS(struct runtime_hooks, member, name, struct runtime_hook, runtime_hook_fields, .omit_empty = true)
static const struct json_field runtime_hooks_fields[] = {
    HOOKS(prestart,         "prestart"),
    HOOKS(create_runtime,   "createRuntime"),
    HOOKS(create_container, "createContainer"),
    HOOKS(start_container,  "startContainer"),
    HOOKS(poststart,        "poststart"),
    HOOKS(poststop,         "poststop"),
    JSON_END,
};

static const struct json_field runtime_id_mapping_fields[] = {
    JSON_INT64(struct runtime_id_mapping, container_id, "containerID"),
    JSON_INT64(struct runtime_id_mapping, host_id,      "hostID"),
    JSON_INT64(struct runtime_id_mapping, size,         "size"),
    JSON_END,
};

static const struct json_field runtime_linux_fields[] = {
    JSON_OBJECTS       (struct runtime_linux, uid_mappings, "uidMappings", struct runtime_id_mapping, runtime_id_mapping_fields,
                        .omit_empty = true),
    JSON_OBJECTS       (struct runtime_linux, gid_mappings, "gidMappings", struct runtime_id_mapping, runtime_id_mapping_fields,
                        .omit_empty = true),
    JSON_TEXTS         (struct runtime_linux, sysctl,             "sysctl",       .omit_empty = true),
    JSON_OBJECT        (struct runtime_linux, resources,          "resources", struct runtime_resources, runtime_resources_fields),
    JSON_STRING        (struct runtime_linux, cgroups_path,       "cgroupsPath",  .omit_empty = true),
    JSON_OBJECTS       (struct runtime_linux, namespaces,         "namespaces", struct runtime_namespace, runtime_namespace_fields,
                        .omit_empty = true),
    JSON_OBJECTS       (struct runtime_linux, devices,            "devices", struct runtime_device, runtime_device_fields,
                        .omit_empty = true),
    JSON_OBJECT_POINTER(struct runtime_linux, seccomp,            "seccomp", struct runtime_seccomp, runtime_seccomp_fields,
                        .omit_empty = true),
    JSON_STRING        (struct runtime_linux, rootfs_propagation, "rootfsPropagation", .omit_empty = true),
    JSON_STRV          (struct runtime_linux, masked_paths,       "maskedPaths",   .omit_empty = true),
    JSON_STRV          (struct runtime_linux, readonly_paths,     "readonlyPaths", .omit_empty = true),
    JSON_STRING        (struct runtime_linux, mount_label,        "mountLabel",    .omit_empty = true),
    JSON_END,
};

const struct json_field runtime_config_fields[] = {
    JSON_STRING (struct runtime_config, oci_version, "ociVersion"),
    JSON_OBJECT (struct runtime_config, process,     "process",     struct runtime_process, runtime_process_fields),
    JSON_OBJECT (struct runtime_config, root,        "root",        struct runtime_root, runtime_root_fields),
    JSON_STRING (struct runtime_config, hostname,    "hostname",    .omit_empty = true),
    JSON_STRING (struct runtime_config, domainname,  "domainname",  .omit_empty = true),
    JSON_OBJECTS(struct runtime_config, mounts,      "mounts",      struct runtime_mount, runtime_mount_fields, .omit_empty = true),
    JSON_OBJECT (struct runtime_config, hooks,       "hooks",       struct runtime_hooks, runtime_hooks_fields),
    JSON_TEXTS  (struct runtime_config, annotations, "annotations", .omit_empty = true),
    JSON_OBJECT (struct runtime_config, linux_part,  "linux",       struct runtime_linux, runtime_linux_fields),
    JSON_END,
};

/* Keys that demand what this runtime has no means to give. */
static const struct {
    const char *parts[4];
} refused_keys[] = {
    { { "linux", "intelRdt" } },
    { { "linux", "memoryPolicy" } },
    { { "linux", "netDevices" } },
    { { "linux", "personality" } },
    { { "linux", "resources", "network" } },
    { { "linux", "resources", "rdma" } },
    { { "linux", "seccomp", "listenerPath" } },
    { { "linux", "timeOffsets" } },
    { { "process", "execCPUAffinity" } },
    { { "process", "ioPriority" } },
    { { "process", "scheduler" } },
    { { "solaris" } },
    { { "vm" } },
    { { "windows" } },
    { { "zos" } },
};

static const char *const namespace_types[] = {
    "cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts",
};
/* clang-format on */

static bool is_said(const struct json *value)
{
    switch (json_type(value)) {
    case JSON_NULL:
    case JSON_FALSE:
        return false;
    case JSON_TEXT:
        return *json_text(value) != 0;
    case JSON_LIST:
    case JSON_DICT:
        return json_count(value) > 0;
    default:
        return true;
    }
}

static int check_refused_keys(const struct json *document, struct error *err)
{
    for (size_t i = 0; i < COUNT(refused_keys); i++) {
        const char *const *parts = refused_keys[i].parts;
        const struct json *value = document;

        for (size_t p = 0; p < COUNT(refused_keys[i].parts) && parts[p]; p++)
            value = json_type(value) == JSON_DICT ? json_get(value, parts[p]) : NULL;
        if (is_said(value))
            return error_set(err, ERROR_UNSUPPORTED, "config.json: %s%s%s%s%s is not supported",
                             parts[0], parts[1] ? "." : "", parts[1] ?: "", parts[2] ? "." : "",
                             parts[2] ?: "");
    }
    const struct json *mounts = json_get(document, "mounts");
    for (size_t i = 0; json_type(mounts) == JSON_LIST && i < json_count(mounts); i++) {
        const struct json *mount = json_at(mounts, i);

        if (json_type(mount) == JSON_DICT &&
            (is_said(json_get(mount, "uidMappings")) || is_said(json_get(mount, "gidMappings"))))
            return error_set(err, ERROR_UNSUPPORTED,
                             "config.json: mounts.uidMappings is not supported");
    }
    return 0;
}

static int check_namespaces(const struct json_list *namespaces, struct error *err)
{
    unsigned seen = 0;

    for (size_t i = 0; i < namespaces->count; i++) {
        const struct runtime_namespace *one = &JSON_ITEMS(namespaces,
                                                          const struct runtime_namespace)[i];
        size_t type = 0;

        while (type < COUNT(namespace_types) && !text_equal(namespace_types[type], one->type))
            type++;
        if (type == COUNT(namespace_types))
            return error_set(err, ERROR_UNSUPPORTED,
                             "config.json: linux.namespaces: unknown namespace \"%s\"",
                             one->type ?: "");
        if (seen & 1U << type)
            return error_set(err, ERROR_INVALID,
                             "config.json: linux.namespaces: duplicate namespace \"%s\"",
                             one->type);
        if (!text_is_empty(one->path) && one->path[0] != '/')
            return error_set(err, ERROR_INVALID,
                             "config.json: linux.namespaces: path \"%s\" is not absolute",
                             one->path);
        seen |= 1U << type;
    }
    return 0;
}

static int check_mounts(const struct json_list *mounts, struct error *err)
{
    for (size_t i = 0; i < mounts->count; i++) {
        const struct runtime_mount *mount = &JSON_ITEMS(mounts, const struct runtime_mount)[i];

        if (text_is_empty(mount->destination) || mount->destination[0] != '/')
            return error_set(err, ERROR_INVALID,
                             "config.json: mount destination \"%s\" is not absolute",
                             mount->destination ?: "");
        if (strv_contains(&mount->options, "idmap") || strv_contains(&mount->options, "ridmap"))
            return error_set(err, ERROR_UNSUPPORTED,
                             "config.json: mount option idmap is not supported");
    }
    return 0;
}

static int check_devices(const struct runtime_linux *part, struct error *err)
{
    for (size_t i = 0; i < part->devices.count; i++) {
        const struct runtime_device *device = &JSON_ITEMS(&part->devices,
                                                          const struct runtime_device)[i];

        if (text_is_empty(device->path) || device->path[0] != '/' || text_is_empty(device->type) ||
            device->type[1] || !strchr("cubp", device->type[0]))
            return error_set(err, ERROR_INVALID, "config.json: bad device \"%s\" of type \"%s\"",
                             device->path ?: "", device->type ?: "");
    }
    for (size_t i = 0; i < part->resources.devices.count; i++) {
        const struct runtime_device_rule *rule = &JSON_ITEMS(&part->resources.devices,
                                                             const struct runtime_device_rule)[i];
        const char *type = text_is_empty(rule->type) ? "a" : rule->type;
        const char *access = text_is_empty(rule->access) ? "rwm" : rule->access;

        if (type[1] || !strchr("acb", type[0]) || strspn(access, "rwm") != strlen(access))
            return error_set(err, ERROR_INVALID, "config.json: bad device rule \"%s %s\"", type,
                             access);
    }
    return 0;
}

static int check_mappings(const struct json_list *mappings, struct error *err)
{
    for (size_t i = 0; i < mappings->count; i++) {
        const struct runtime_id_mapping *one = &JSON_ITEMS(mappings,
                                                           const struct runtime_id_mapping)[i];

        if (one->container_id < 0 || one->host_id < 0 || one->size < 1 ||
            one->container_id > UINT32_MAX || one->host_id > UINT32_MAX || one->size > UINT32_MAX)
            return error_set(err, ERROR_INVALID, "config.json: bad id mapping");
    }
    return 0;
}

static int check_config(const struct runtime_config *config, struct error *err)
{
    const char *cgroup = config->linux_part.cgroups_path;

    if (text_is_empty(config->oci_version))
        return error_set(err, ERROR_INVALID, "config.json: ociVersion is missing");
    if (!text_starts(config->oci_version, "1."))
        return error_set(err, ERROR_UNSUPPORTED, "config.json: ociVersion %s is not supported",
                         config->oci_version);
    if (!config->process.args.count)
        return error_set(err, ERROR_INVALID, "config.json: process.args is empty");
    if (text_is_empty(config->process.cwd) || config->process.cwd[0] != '/')
        return error_set(err, ERROR_INVALID, "config.json: process.cwd \"%s\" is not absolute",
                         config->process.cwd ?: "");
    if (cgroup && (strchr(cgroup, ':') || strstr(cgroup, "..")))
        return error_set(err, ERROR_UNSUPPORTED,
                         "config.json: linux.cgroupsPath \"%s\" is not a plain path", cgroup);
    if (check_namespaces(&config->linux_part.namespaces, err) < 0 ||
        check_mounts(&config->mounts, err) < 0 || check_devices(&config->linux_part, err) < 0 ||
        check_mappings(&config->linux_part.uid_mappings, err) < 0 ||
        check_mappings(&config->linux_part.gid_mappings, err) < 0)
        return -1;
    return 0;
}

int runtime_config_decode(const char *text, size_t size, struct runtime_config *out,
                          struct error *err)
{
    CLEANUP(json_free) struct json *document = NULL;
    CLEANUP(runtime_config_done) struct runtime_config config = {};

    if (json_parse(text, size, &document, err) < 0)
        return error_context(err, "config.json");
    if (json_type(document) != JSON_DICT)
        return error_set(err, ERROR_INVALID, "config.json: not an object");
    if (check_refused_keys(document, err) < 0)
        return -1;
    if (json_decode_value(runtime_config_fields, document, &config, err) < 0)
        return error_context(err, "config.json");
    if (check_config(&config, err) < 0)
        return -1;
    *out = config;
    config = (struct runtime_config){};
    return 0;
}

void runtime_config_encode(const struct runtime_config *config, struct str *out)
{
    json_encode(runtime_config_fields, config, out);
}

void runtime_config_done(struct runtime_config *config)
{
    json_fields_done(runtime_config_fields, config);
}
