/* The devices of a container: those that all have, those that were asked for, or all of the host's.
 */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "engine/runtime_config.h"

#include "base/banned.h"

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

void device_config_add(struct runtime_config *config, const struct stat *status, const char *path,
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
        device_config_add(config, &status, path, access);
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
            device_config_add(config, &status, path, "rwm");
    }
    if (dir)
        closedir(dir);
}

/* [["gpu"],["gpu","utility"]] */
static char *show_capabilities(const struct device_request *request)
{
    CLEANUP(json_free) struct json *lists = NULL;
    CLEANUP(str_done) struct str text = {};
    const char *raw = request->capabilities ? request->capabilities : "[]";

    str_add(&text, "[");
    if (json_parse(raw, strlen(raw), &lists, NULL) == 0)
        for (size_t i = 0; i < json_count(lists); i++) {
            const struct json *words = json_at(lists, i);

            str_add(&text, i ? " [" : "[");
            for (size_t w = 0; w < json_count(words); w++)
                str_add_format(&text, "%s%s", w ? " " : "", json_text(json_at(words, w)) ?: "");
            str_add(&text, "]");
        }
    str_add(&text, "]");
    return str_take(&text);
}

/* Devices by name are the one kind of request that there is a driver for. */
static int add_requested(const struct engine *engine, const struct host_config *host,
                         struct runtime_config *config, struct error *err)
{
    CLEANUP(strv_done) struct strv names = {};

    for (size_t i = 0; i < host->device_requests.count; i++) {
        const struct device_request *request = &JSON_ITEMS(&host->device_requests,
                                                           struct device_request)[i];

        if (text_equal(request->driver, "cdi")) {
            strv_add_all(&names, &request->device_ids);
            continue;
        }
        CLEANUP(free) char *capabilities = show_capabilities(request);
        return error_set(err, ERROR_INTERNAL,
                         "could not select device driver \"%s\" with capabilities: %s",
                         request->driver ? request->driver : "", capabilities);
    }
    return names.count ? cdi_inject(engine->options.cdi_paths, &names, config, err) : 0;
}

int device_config_fill(const struct engine *engine, const struct host_config *host,
                       struct runtime_config *config, struct error *err)
{
    struct runtime_resources *resources = &config->linux_part.resources;

    if (host->privileged) {
        add_host_devices(config, "/dev", 0);
        add_rule(resources, true, "a", -1, -1, "rwm");
        return add_requested(engine, host, config, err);
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
    return add_requested(engine, host, config, err);
}
