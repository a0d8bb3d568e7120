/* What the runtime is told about a container: Docker's environment (spec/runtime.md sections 1 to
 * 8) as an OCI configuration. */
#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "engine/internal.h"
#include "linux/capability.h"
#include "linux/cgroup.h"

#include "base/banned.h"

#define DEFAULT_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static const char *const default_capabilities[] = {
    "CAP_CHOWN",   "CAP_DAC_OVERRIDE", "CAP_FSETID",           "CAP_FOWNER",
    "CAP_MKNOD",   "CAP_NET_RAW",      "CAP_SETGID",           "CAP_SETUID",
    "CAP_SETFCAP", "CAP_SETPCAP",      "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT",
    "CAP_KILL",    "CAP_AUDIT_WRITE",
};

static char *full_capability_name(const char *name)
{
    char *full = strncasecmp(name, "CAP_", 4) == 0 ? xstrdup(name) : xasprintf("CAP_%s", name);

    for (char *at = full; *at; at++)
        *at = (char)toupper((unsigned char)*at);
    return full;
}

static void all_capabilities(struct strv *out)
{
    for (int i = 0; i <= capability_last(); i++)
        strv_add(out, capability_name(i));
}

static bool names_all(const struct strv *names)
{
    for (size_t i = 0; i < names->count; i++)
        if (strcasecmp(names->items[i], "ALL") == 0 || strcasecmp(names->items[i], "CAP_ALL") == 0)
            return true;
    return false;
}

static void remove_name(struct strv *list, const char *name)
{
    for (size_t i = list->count; i-- > 0;)
        if (strcmp(list->items[i], name) == 0)
            strv_remove(list, i);
}

int container_capabilities(const struct host_config *host, struct strv *out,
                           struct error *err UNUSED)
{
    bool adds_all = names_all(&host->cap_add), drops_all = names_all(&host->cap_drop);

    strv_init_empty(out);
    if (host->privileged || adds_all)
        all_capabilities(out);
    else if (!drops_all)
        for (size_t i = 0; i < COUNT(default_capabilities); i++)
            strv_add(out, default_capabilities[i]);
    if (host->privileged)
        return 0;
    for (size_t i = 0; i < host->cap_drop.count; i++) {
        CLEANUP(free) char *name = full_capability_name(host->cap_drop.items[i]);

        remove_name(out, name);
    }
    for (size_t i = 0; i < host->cap_add.count; i++) {
        CLEANUP(free) char *name = full_capability_name(host->cap_add.items[i]);

        if (capability_number(name) >= 0 && !strv_contains(out, name))
            strv_add(out, name);
    }
    return 0;
}

static void fill_capabilities(const struct host_config *host, struct runtime_process *process)
{
    struct runtime_capabilities *capabilities = NEW(struct runtime_capabilities);

    container_capabilities(host, &capabilities->bounding, NULL);
    strv_copy(&capabilities->effective, &capabilities->bounding);
    strv_copy(&capabilities->permitted, &capabilities->bounding);
    process->capabilities = capabilities;
}

static bool wants_no_new_privileges(const struct engine *engine, const struct host_config *host)
{
    for (size_t i = 0; i < host->security_opt.count; i++) {
        const char *option = host->security_opt.items[i];

        if (text_starts(option, "no-new-privileges"))
            return !option[17] || text_is_true(option + 18);
    }
    return engine->options.no_new_privileges;
}

/* Docker's order: PATH, HOSTNAME, TERM, then the configuration's, whose entries replace equal keys.
 */
static void fill_environment(const struct container_info *info, const struct strv *more,
                             bool terminal, struct strv *out)
{
    strv_add(out, DEFAULT_PATH);
    strv_add_format(out, "HOSTNAME=%s", info->config.hostname ? info->config.hostname : "");
    if (terminal)
        strv_add(out, "TERM=xterm");
    const struct strv *lists[] = { &info->config.env, more };
    for (size_t l = 0; l < COUNT(lists); l++)
        for (size_t i = 0; lists[l] && i < lists[l]->count; i++) {
            const char *entry = lists[l]->items[i], *split = strchr(entry, '=');
            CLEANUP(free)
            char *key = split ? xstrndup(entry, (size_t)(split - entry)) : xstrdup(entry);

            if (split)
                strv_env_set(out, key, split + 1);
            else
                strv_env_unset(out, key);
        }
}

static int fill_process(const struct engine *engine, const struct container_info *info,
                        const struct container_spec *spec, struct runtime_process *process,
                        struct error *err)
{
    const struct host_config *host = &info->host_config;

    process->terminal = info->config.tty;
    process->console_height = host->console_size[0];
    process->console_width = host->console_size[1];
    process->user.username = xstrdup(text_is_empty(info->config.user) ? "0" : info->config.user);
    strv_copy(&process->user.additional_groups, &host->group_add);
    if (spec->init_path) {
        strv_add(&process->args, "/sbin/docker-init");
        strv_add(&process->args, "--");
    }
    strv_add(&process->args, info->path);
    strv_add_all(&process->args, &info->args);
    fill_environment(info, NULL, info->config.tty, &process->env);
    process->cwd = xstrdup(text_is_empty(info->config.working_dir) ? "/"
                                                                   : info->config.working_dir);
    fill_capabilities(host, process);
    process->no_new_privileges = wants_no_new_privileges(engine, host);
    process->oom_score_adj = (struct optional_int64){ true, host->oom_score_adj };
    for (size_t i = 0; i < host->ulimits.count; i++) {
        const struct ulimit *limit = &JSON_ITEMS(&host->ulimits, struct ulimit)[i];
        struct runtime_rlimit *rlimit = json_list_add(&process->rlimits, sizeof(*rlimit));

        rlimit->type = xasprintf("RLIMIT_%s", limit->name ? limit->name : "");
        for (char *at = rlimit->type; *at; at++)
            *at = (char)toupper((unsigned char)*at);
        rlimit->soft = (uint64_t)limit->soft;
        rlimit->hard = (uint64_t)limit->hard;
    }
    if (!process->args.count)
        return error_set(err, ERROR_INVALID, "no command specified");
    return 0;
}

/* ---- mounts ---- */

static struct runtime_mount *add_mount(struct runtime_config *config, const char *destination,
                                       const char *type, const char *source, const char *options)
{
    struct runtime_mount *mount = json_list_add(&config->mounts, sizeof(*mount));

    mount->destination = xstrdup(destination);
    mount->type = xstrdup(type);
    mount->source = xstrdup(source);
    strv_split(&mount->options, options, ',');
    return mount;
}

static bool is_below(const char *path, const char *parent)
{
    size_t length = strlen(parent);

    return strncmp(path, parent, length) == 0 && (!path[length] || path[length] == '/');
}

/* A user's mount on the same target replaces a default one; one on /dev removes all defaults below
 * it. */
static bool is_replaced(const struct container_spec *spec, const char *destination)
{
    for (size_t i = 0; i < spec->mounts.count; i++) {
        const char *theirs = JSON_ITEMS(&spec->mounts, struct container_mount)[i].destination;

        if (strcmp(theirs, destination) == 0 ||
            (strcmp(theirs, "/dev") == 0 && is_below(destination, "/dev")))
            return true;
    }
    return false;
}

static void add_default_mounts(const struct container_info *info, const struct container_spec *spec,
                               struct runtime_config *config)
{
    const struct host_config *host = &info->host_config;
    bool host_network = strcmp(host->network_mode, "host") == 0;
    CLEANUP(free)
    char *shm = xasprintf("nosuid,noexec,nodev,mode=1777,size=%lld",
                          (long long)host->shm_size_bytes);
    const char *sysfs = host->privileged ? "nosuid,noexec,nodev,rw" : "nosuid,noexec,nodev,ro";
    const struct {
        const char *destination, *type, *source, *options;
    } rows[] = {
        { "/proc", "proc", "proc", "nosuid,noexec,nodev" },
        { "/dev", "tmpfs", "tmpfs", "nosuid,strictatime,mode=755,size=65536k" },
        { "/dev/pts", "devpts", "devpts",
          "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5" },
        { "/sys", "sysfs", "sysfs", sysfs },
        { "/sys/fs/cgroup", "cgroup", "cgroup",
          host->privileged ? "nosuid,noexec,nodev,rw" : "ro,nosuid,noexec,nodev" },
        { "/dev/mqueue", "mqueue", "mqueue", "nosuid,noexec,nodev" },
        { "/dev/shm", "tmpfs", "shm", shm },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        if (is_replaced(spec, rows[i].destination))
            continue;
        bool is_shm = strcmp(rows[i].destination, "/dev/shm") == 0;
        bool host_ipc = text_equal(host->ipc_mode, "host");

        if (is_shm && text_equal(host->ipc_mode, "none"))
            continue;
        if (is_shm && host_ipc)
            add_mount(config, "/dev/shm", "bind", "/dev/shm", "rbind,rprivate");
        else if (host_ipc && strcmp(rows[i].type, "mqueue") == 0)
            add_mount(config, "/dev/mqueue", "bind", "/dev/mqueue", "rbind,nosuid,noexec,nodev");
        else if (host_network && strcmp(rows[i].type, "sysfs") == 0)
            add_mount(config, "/sys", "bind", "/sys",
                      host->privileged ? "bind,nosuid,noexec,nodev,rw"
                                       : "bind,nosuid,noexec,nodev,ro");
        else
            add_mount(config, rows[i].destination, rows[i].type, rows[i].source, rows[i].options);
    }
}

/* /dev/shm of a joined container, seen through its init's mount namespace. */
static void join_shm(struct runtime_config *config, pid_t pid)
{
    for (size_t i = 0; i < config->mounts.count; i++) {
        struct runtime_mount *mount = &JSON_ITEMS(&config->mounts, struct runtime_mount)[i];

        if (strcmp(mount->destination, "/dev/shm") != 0)
            continue;
        free(mount->type);
        free(mount->source);
        strv_done(&mount->options);
        mount->type = xstrdup("bind");
        mount->source = xasprintf("/proc/%d/root/dev/shm", (int)pid);
        strv_split(&mount->options, "rbind,rprivate", ',');
    }
}

static void add_user_mount(const struct container_mount *mount, struct runtime_config *config)
{
    CLEANUP(str_done) struct str options = {};

    if (strcmp(mount->type, "tmpfs") == 0) {
        str_add(&options, "noexec,nosuid,nodev,rprivate");
        if (!text_is_empty(mount->options))
            str_add_format(&options, ",%s", mount->options);
        add_mount(config, mount->destination, "tmpfs", "tmpfs", str_text(&options));
        return;
    }
    str_add(&options, mount->non_recursive ? "bind" : "rbind");
    str_add_format(&options, ",%s",
                   text_is_empty(mount->propagation) ? "rprivate" : mount->propagation);
    if (!mount->rw)
        str_add(&options, mount->read_only_non_recursive ? ",ro" : ",rro");
    add_mount(config, mount->destination, "bind", mount->source, str_text(&options));
}

static void add_user_mounts(const struct container_info *info, const struct container_spec *spec,
                            const struct runtime_config_paths *paths, struct runtime_config *config)
{
    const struct {
        const char *destination, *source;
    } files[] = { { "/etc/resolv.conf", paths->resolv },
                  { "/etc/hostname", paths->hostname },
                  { "/etc/hosts", paths->hosts } };

    for (size_t i = 0; i < COUNT(files); i++)
        if (files[i].source && !is_replaced(spec, files[i].destination))
            add_mount(config, files[i].destination, "bind", files[i].source,
                      info->host_config.readonly_rootfs ? "bind,rprivate,ro" : "bind,rprivate");
    for (size_t i = 0; i < spec->mounts.count; i++)
        add_user_mount(&JSON_ITEMS(&spec->mounts, struct container_mount)[i], config);
}

/* ---- namespaces, devices, resources ---- */

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

static void add_rule(struct runtime_resources *resources, bool allow, const char *type,
                     int64_t major, int64_t minor, const char *access)
{
    struct runtime_device_rule *rule = json_list_add(&resources->devices, sizeof(*rule));

    *rule = (struct runtime_device_rule){ .allow = allow,
                                          .type = xstrdup(type),
                                          .access = xstrdup(access) };
    if (major >= 0)
        rule->major = (struct optional_int64){ true, major };
    if (minor >= 0)
        rule->minor = (struct optional_int64){ true, minor };
}

static void add_default_rules(struct runtime_resources *resources)
{
    static const struct {
        const char *type;
        int major, minor;
        const char *access;
    } rules[] = { { "c", -1, -1, "m" }, { "b", -1, -1, "m" },    { "c", 1, 3, "rwm" },
                  { "c", 1, 5, "rwm" }, { "c", 1, 7, "rwm" },    { "c", 1, 8, "rwm" },
                  { "c", 1, 9, "rwm" }, { "c", 5, 0, "rwm" },    { "c", 5, 1, "rwm" },
                  { "c", 5, 2, "rwm" }, { "c", 136, -1, "rwm" }, { "c", 10, 200, "rwm" } };

    add_rule(resources, false, "a", -1, -1, "rwm");
    for (size_t i = 0; i < COUNT(rules); i++)
        add_rule(resources, true, rules[i].type, rules[i].major, rules[i].minor, rules[i].access);
}

static void add_device(struct runtime_config *config, const struct stat *status, const char *path,
                       const char *access)
{
    const char *type = S_ISBLK(status->st_mode) ? "b" : "c";
    struct runtime_device *device = json_list_add(&config->linux_part.devices, sizeof(*device));

    *device = (struct runtime_device){
        .path = xstrdup(path),
        .type = xstrdup(type),
        .major = major(status->st_rdev),
        .minor = minor(status->st_rdev),
        .file_mode = { true, status->st_mode & 07777 },
        .uid = { true, status->st_uid },
        .gid = { true, status->st_gid },
    };
    add_rule(&config->linux_part.resources, true, type, major(status->st_rdev),
             minor(status->st_rdev), access);
}

/* A device node, or all nodes below a directory. */
static int add_device_tree(struct runtime_config *config, const char *host_path, const char *path,
                           const char *access, int depth, struct error *err)
{
    struct stat status;

    if (stat(host_path, &status) < 0) {
        error_sys(err, "error gathering device information while adding custom device \"%s\"",
                  host_path);
        return -1;
    }
    if (S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode)) {
        add_device(config, &status, path, access);
        return 0;
    }
    if (!S_ISDIR(status.st_mode) || depth > 16)
        return error_set(err, ERROR_INTERNAL,
                         "error gathering device information while adding custom device \"%s\": "
                         "not a device node",
                         host_path);
    DIR *dir = opendir(host_path);
    struct dirent *entry;
    int result = 0;
    while (dir && result == 0 && (entry = readdir(dir))) {
        if (entry->d_name[0] == '.' || entry->d_type == DT_LNK || entry->d_type == DT_REG ||
            entry->d_type == DT_SOCK)
            continue;
        CLEANUP(free) char *below_host = path_join(host_path, entry->d_name);
        CLEANUP(free) char *below = path_join(path, entry->d_name);
        result = add_device_tree(config, below_host, below, access, depth + 1, err);
    }
    if (dir)
        closedir(dir);
    return result;
}

/* --privileged: every node of the host's /dev but what the container has of its own. */
static void add_host_devices(struct runtime_config *config, const char *directory, int depth)
{
    static const char *const own[] = { "pts",     "shm",  "fd",    "mqueue", "console",
                                       "ptmx",    "null", "zero",  "full",   "random",
                                       "urandom", "tty",  "stdin", "stdout", "stderr" };
    DIR *dir = opendir(directory);
    struct dirent *entry;

    while (dir && (entry = readdir(dir))) {
        struct stat status;
        bool is_own = entry->d_name[0] == '.';
        CLEANUP(free) char *path = path_join(directory, entry->d_name);

        for (size_t i = 0; depth == 0 && i < COUNT(own); i++)
            is_own |= strcmp(entry->d_name, own[i]) == 0;
        if (is_own || lstat(path, &status) < 0)
            continue;
        if (S_ISDIR(status.st_mode) && depth < 8)
            add_host_devices(config, path, depth + 1);
        else if (S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode))
            add_device(config, &status, path, "rwm");
    }
    if (dir)
        closedir(dir);
}

static int fill_devices(const struct host_config *host, struct runtime_config *config,
                        struct error *err)
{
    struct runtime_resources *resources = &config->linux_part.resources;

    if (host->privileged) {
        add_host_devices(config, "/dev", 0);
        add_rule(resources, true, "a", -1, -1, "rwm");
        return 0;
    }
    add_default_rules(resources);
    for (size_t i = 0; i < host->devices.count; i++) {
        const struct device_mapping *device = &JSON_ITEMS(&host->devices, struct device_mapping)[i];
        const char *inside = text_is_empty(device->path_in_container) ? device->path_on_host
                                                                      : device->path_in_container;
        const char *access = text_is_empty(device->cgroup_permissions) ? "rwm"
                                                                       : device->cgroup_permissions;

        if (add_device_tree(config, device->path_on_host ? device->path_on_host : "", inside,
                            access, 0, err) < 0)
            return -1;
    }
    for (size_t i = 0; i < host->device_cgroup_rules.count; i++) {
        char type[2] = "", major_text[12] = "", minor_text[12] = "", access[4] = "";

        if (sscanf(host->device_cgroup_rules.items[i], "%1[acb] %11[0-9*]:%11[0-9*] %3[rwm]", type,
                   major_text, minor_text, access) != 4)
            return error_set(err, ERROR_INVALID, "invalid device cgroup rule format: '%s'",
                             host->device_cgroup_rules.items[i]);
        add_rule(resources, true, type, major_text[0] == '*' ? -1 : strtol(major_text, NULL, 10),
                 minor_text[0] == '*' ? -1 : strtol(minor_text, NULL, 10), access);
    }
    return 0;
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

        if (!wish->path || stat(wish->path, &status) < 0 || !S_ISBLK(status.st_mode))
            return error_set(err, ERROR_INVALID, "invalid device path %s",
                             wish->path ? wish->path : "");
        throttle = json_list_add(out, sizeof(*throttle));
        *throttle = (struct runtime_throttle){ major(status.st_rdev), minor(status.st_rdev),
                                               wish->rate };
    }
    return 0;
}

static int fill_resources(const struct host_config *host, struct runtime_config *config,
                          struct error *err)
{
    struct runtime_resources *resources = &config->linux_part.resources;
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

        if (!wish->path || stat(wish->path, &status) < 0)
            return error_set(err, ERROR_INVALID, "invalid device path %s",
                             wish->path ? wish->path : "");
        struct runtime_weight_device *device = json_list_add(&io->weight_device, sizeof(*device));
        *device = (struct runtime_weight_device){ major(status.st_rdev), minor(status.st_rdev),
                                                  wish->weight };
    }
    if (add_throttles(&io->read_bps, &host->blkio_device_read_bps, err) < 0 ||
        add_throttles(&io->write_bps, &host->blkio_device_write_bps, err) < 0 ||
        add_throttles(&io->read_iops, &host->blkio_device_read_iops, err) < 0 ||
        add_throttles(&io->write_iops, &host->blkio_device_write_iops, err) < 0)
        return -1;
    return fill_devices(host, config, err);
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
    if (fill_process(engine, info, spec, &config.process, err) < 0)
        return -1;
    add_default_mounts(info, spec, &config);
    if (paths->ipc_namespace_of)
        join_shm(&config, paths->ipc_namespace_of);
    add_user_mounts(info, spec, paths, &config);
    fill_namespaces(host, paths, &config);
    if (fill_resources(host, &config, err) < 0)
        return -1;
    config.linux_part.cgroups_path = xstrdup(paths->cgroup);
    config.linux_part.rootfs_propagation = xstrdup(root_propagation(spec));
    strv_copy(&config.linux_part.masked_paths, &host->masked_paths);
    strv_copy(&config.linux_part.readonly_paths, &host->readonly_paths);
    config.linux_part.sysctl.free_value = free;
    MAP_EACH (&host->sysctls, entry)
        map_set_text(&config.linux_part.sysctl, entry->key, entry->value);
    *out = config;
    config = (struct runtime_config){};
    return 0;
}

int exec_runtime_process(const struct engine *engine, const struct container_info *info,
                         const struct exec_config *wish, struct runtime_process *out,
                         struct error *err)
{
    struct runtime_process process = {};

    process.terminal = wish->tty;
    process.console_height = wish->console_size[0];
    process.console_width = wish->console_size[1];
    const char *user = text_is_empty(wish->user) ? info->config.user : wish->user;
    process.user.username = xstrdup(text_is_empty(user) ? "0" : user);
    strv_copy(&process.user.additional_groups, &info->host_config.group_add);
    strv_copy(&process.args, &wish->cmd);
    fill_environment(info, &wish->env, wish->tty, &process.env);
    const char *cwd = text_is_empty(wish->working_dir) ? info->config.working_dir
                                                       : wish->working_dir;
    process.cwd = xstrdup(text_is_empty(cwd) ? "/" : cwd);
    if (wish->privileged) {
        const struct host_config privileged = { .privileged = true };

        fill_capabilities(&privileged, &process);
    } else {
        fill_capabilities(&info->host_config, &process);
    }
    process.no_new_privileges = wants_no_new_privileges(engine, &info->host_config);
    process.oom_score_adj = (struct optional_int64){ true, info->host_config.oom_score_adj };
    if (!process.args.count)
        return error_set(err, ERROR_INVALID, "No exec command specified");
    *out = process;
    return 0;
}
