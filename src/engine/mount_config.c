/* The mounts of a container: Docker's defaults, less what the user replaces, and the user's. */
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "engine/runtime_config.h"

#include "base/banned.h"

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

static bool has_writable_cgroups(const struct host_config *host)
{
    const char *wish = security_option(host, "writable-cgroups");
    bool is_wanted = host->privileged;

    if (wish)
        text_parse_bool(wish, &is_wanted);
    return is_wanted;
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
          has_writable_cgroups(host) ? "nosuid,noexec,nodev,rw" : "ro,nosuid,noexec,nodev" },
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

char *mount_config_options(const struct container_mount *mount)
{
    struct str options = {};

    if (strcmp(mount->type, "tmpfs") == 0) {
        str_add(&options, "noexec,nosuid,nodev,rprivate");
        if (!text_is_empty(mount->options))
            str_add_format(&options, ",%s", mount->options);
        return str_take(&options);
    }
    if (strcmp(mount->type, "image") == 0)
        return xstrdup("rbind,rprivate,ro");
    str_add(&options, mount->non_recursive ? "bind" : "rbind");
    str_add_format(&options, ",%s",
                   text_is_empty(mount->propagation) ? "rprivate" : mount->propagation);
    if (!mount->rw)
        str_add(&options, mount->read_only_non_recursive ? ",ro" : ",rro");
    return str_take(&options);
}

static void add_user_mount(const struct container_mount *mount, struct runtime_config *config)
{
    CLEANUP(free) char *options = mount_config_options(mount);
    bool is_tmpfs = strcmp(mount->type, "tmpfs") == 0;

    add_mount(config, mount->destination, is_tmpfs ? "tmpfs" : "bind",
              is_tmpfs ? "tmpfs" : mount->source, options);
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

void mount_config_fill(const struct container_info *info, const struct container_spec *spec,
                       const struct runtime_config_paths *paths, struct runtime_config *config)
{
    add_default_mounts(info, spec, config);
    if (paths->ipc_namespace_of)
        join_shm(config, paths->ipc_namespace_of);
    add_user_mounts(info, spec, paths, config);
}
