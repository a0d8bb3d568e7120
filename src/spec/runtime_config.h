/* The OCI runtime configuration (config.json of a bundle, runtime-spec 1.2): what the engine writes
 * and the runtime obeys. Only what berth's runtime carries out is in here; the decoder refuses
 * documents that demand something else (runtime_config_decode).
 * https://github.com/opencontainers/runtime-spec */
#ifndef BERTH_SPEC_RUNTIME_CONFIG_H
#define BERTH_SPEC_RUNTIME_CONFIG_H

#include "codec/json.h"

struct runtime_user {
    int64_t uid, gid;
    struct optional_int64 umask;
    char *additional_gids; /* raw JSON list of numbers */
    char *username; /* berth: "user[:group]" to be looked up in the container's files instead of uid
                       and gid */
    struct strv additional_groups; /* berth: names or numbers, looked up likewise (--group-add) */
};

struct runtime_rlimit {
    char *type; /* RLIMIT_NOFILE… */
    uint64_t hard, soft;
};

struct runtime_capabilities {
    struct strv bounding, effective, inheritable, permitted, ambient; /* CAP_CHOWN… */
};

struct runtime_process {
    bool terminal;
    int64_t console_height, console_width;
    struct runtime_user user;
    struct strv args, env;
    char *cwd;
    struct runtime_capabilities *capabilities;
    struct json_list rlimits; /* struct runtime_rlimit */
    bool no_new_privileges;
    struct optional_int64 oom_score_adj;
    char *apparmor_profile, *selinux_label;
};
extern const struct json_field runtime_process_fields[];

struct runtime_root {
    char *path;
    bool readonly;
};

struct runtime_mount {
    char *destination, *type, *source;
    struct strv options; /* as mount(8): ro nosuid rbind rprivate size=… ; "idmap" is refused */
};

struct runtime_namespace {
    char *type; /* pid network mount ipc uts user cgroup time */
    char *path; /* join this one instead of making a new one */
};

struct runtime_device {
    char *path, *type; /* c b p */
    int64_t major, minor;
    struct optional_int64 file_mode, uid, gid;
};

struct runtime_device_rule {
    bool allow;
    char *type;                         /* a c b */
    struct optional_int64 major, minor; /* unset: any */
    char *access;                       /* rwm */
};

struct runtime_memory {
    struct optional_int64 limit, reservation, swap, swappiness;
    struct optional_bool disable_oom_killer;
};
struct runtime_cpu {
    struct optional_int64 shares, quota, period, realtime_runtime, realtime_period;
    char *cpus, *mems;
};
struct runtime_pids {
    int64_t limit;
};
struct runtime_throttle {
    int64_t major, minor;
    uint64_t rate;
};
struct runtime_weight_device {
    int64_t major, minor;
    int64_t weight;
};
struct runtime_block_io {
    struct optional_int64 weight;
    struct json_list weight_device;                              /* struct runtime_weight_device */
    struct json_list read_bps, write_bps, read_iops, write_iops; /* struct runtime_throttle */
};
struct runtime_huge_pages {
    char *page_size; /* "2MB" */
    uint64_t limit;  /* bytes */
};

struct runtime_resources {
    struct json_list devices; /* struct runtime_device_rule, applied in order */
    struct runtime_memory memory;
    struct runtime_cpu cpu;
    struct runtime_pids *pids;
    struct runtime_block_io block_io;
    struct json_list huge_pages; /* struct runtime_huge_pages */
    struct map unified;          /* texts: cgroup v2 file → value */
};
extern const struct json_field runtime_resources_fields[];

struct runtime_seccomp_argument {
    int64_t index;
    uint64_t value, value_two;
    char *op; /* SCMP_CMP_EQ… */
};
struct runtime_seccomp_syscall {
    struct strv names;
    char *action; /* SCMP_ACT_ALLOW… */
    struct optional_int64 errno_ret;
    struct json_list args; /* struct runtime_seccomp_argument */
};
struct runtime_seccomp {
    char *default_action;
    struct optional_int64 default_errno_ret;
    struct strv architectures, flags;
    struct json_list syscalls; /* struct runtime_seccomp_syscall */
};
extern const struct json_field runtime_seccomp_fields[];

struct runtime_hook {
    char *path;
    struct strv args, env;
    struct optional_int64 timeout_s;
};
struct runtime_hooks {
    struct json_list prestart, create_runtime, create_container, start_container, poststart,
        poststop;
};

struct runtime_id_mapping {
    int64_t container_id, host_id, size;
};

struct runtime_linux {
    struct json_list uid_mappings, gid_mappings; /* struct runtime_id_mapping */
    struct map sysctl;                           /* texts */
    struct runtime_resources resources;
    char *cgroups_path;          /* absolute: below the root of each hierarchy */
    struct json_list namespaces; /* struct runtime_namespace */
    struct json_list devices;    /* struct runtime_device */
    struct runtime_seccomp
        *seccomp; /* NULL: none, unless the caller hands over a compiled filter */
    char *rootfs_propagation;
    struct strv masked_paths, readonly_paths;
    char *mount_label;
};

struct runtime_config {
    char *oci_version;
    struct runtime_process process;
    struct runtime_root root;
    char *hostname, *domainname;
    struct json_list mounts; /* struct runtime_mount, in order */
    struct runtime_hooks hooks;
    struct map annotations;
    struct runtime_linux linux_part;
};
extern const struct json_field runtime_config_fields[];

/* Decodes config.json. INVALID for broken JSON or values, UNSUPPORTED (naming the key) for what
 * this runtime cannot do: intelRdt, personality, scheduler, ioPriority, timeOffsets, vm, solaris,
 * windows, zos and unknown namespaces. */
int runtime_config_decode(const char *text, size_t size, struct runtime_config *out,
                          struct error *err);
void runtime_config_encode(const struct runtime_config *config, struct str *out);
void runtime_config_done(struct runtime_config *config);
CLEANUP_VALUE(runtime_config_done, struct runtime_config)

#endif
