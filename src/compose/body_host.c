/* How the container is run: the members of Docker's HostConfig. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "compose/body.h"

#include "base/banned.h"

enum { PROFILE_LIMIT = 4 * 1024 * 1024 };

static int add_restart(struct json_writer *w, const struct yaml *service, struct error *err)
{
    const struct yaml *policy = yaml_get_path(service, "deploy", "restart_policy");
    const char *given = yaml_text(yaml_get(service, "restart"));
    const char *condition = yaml_text(yaml_get(policy, "condition"));
    CLEANUP(free) char *name = NULL;
    int64_t count = 0;

    if (given) {
        const char *colon = strchr(given, ':');

        if (colon && parse_int64(colon + 1, 0, INT32_MAX, &count, err) < 0)
            return error_set(err, ERROR_INVALID,
                             "invalid restart policy: maximum retry count must be an integer");
        name = xstrndup(given, colon ? (size_t)(colon - given) : strlen(given));
    } else if (policy) {
        if (text_equal(condition, "none"))
            name = xstrdup("no");
        else if (text_equal(condition, "on-failure"))
            name = xstrdup("on-failure");
        else
            name = xstrdup("always");
        if (strcmp(name, "on-failure") == 0)
            count = body_to_int64(yaml_get(policy, "max_attempts"));
    }
    if (!name)
        return 0;
    json_begin_dict(w, "RestartPolicy");
    json_add_text(w, "Name", name);
    json_add_int64(w, "MaximumRetryCount", count);
    json_end_dict(w);
    return 0;
}

static bool is_same_port(const struct yaml *a, const struct yaml *b)
{
    const char *left = yaml_text(yaml_get(a, "protocol")),
               *right = yaml_text(yaml_get(b, "protocol"));

    return body_to_int64(yaml_get(a, "target")) == body_to_int64(yaml_get(b, "target")) &&
           strcmp(left ? left : "tcp", right ? right : "tcp") == 0;
}

/* Bindings are grouped by the container's port. */
static void add_ports(struct json_writer *w, const struct yaml *ports)
{
    json_begin_dict(w, "PortBindings");
    for (size_t i = 0; i < yaml_count(ports); i++) {
        const struct yaml *port = ports->items[i];
        const char *protocol = yaml_text(yaml_get(port, "protocol"));
        size_t first = 0;

        while (!is_same_port(ports->items[first], port))
            first++;
        if (first != i)
            continue;
        CLEANUP(free)
        char *name = xasprintf("%lld/%s", (long long)body_to_int64(yaml_get(port, "target")),
                               protocol ? protocol : "tcp");
        json_begin_list(w, name);
        for (size_t j = i; j < ports->count; j++) {
            if (!is_same_port(ports->items[j], port))
                continue;
            json_begin_dict(w, NULL);
            json_add_text(w, "HostIp", yaml_text(yaml_get(ports->items[j], "host_ip")) ?: "");
            json_add_text(w, "HostPort", yaml_text(yaml_get(ports->items[j], "published")) ?: "");
            json_end_dict(w);
        }
        json_end_list(w);
    }
    json_end_dict(w);
}

static void add_devices(struct json_writer *w, const struct yaml *devices)
{
    if (!yaml_count(devices))
        return;
    json_begin_list(w, "Devices");
    for (size_t i = 0; i < devices->count; i++) {
        json_begin_dict(w, NULL);
        body_text(w, "PathOnHost", yaml_get(devices->items[i], "source"));
        body_text(w, "PathInContainer", yaml_get(devices->items[i], "target"));
        json_add_text(w, "CgroupPermissions",
                      yaml_text(yaml_get(devices->items[i], "permissions")) ?: "rwm");
        json_end_dict(w);
    }
    json_end_list(w);
}

/* "host=address" becomes "host:address". */
static void add_hosts(struct json_writer *w, const struct yaml *hosts)
{
    json_begin_list(w, "ExtraHosts");
    for (size_t i = 0; i < yaml_count(hosts); i++) {
        const char *text = hosts->items[i]->text, *equals = strchr(text, '=');

        if (equals)
            json_add_text_format(w, NULL, "%.*s:%s", (int)(equals - text), text, equals + 1);
        else
            json_add_text(w, NULL, text);
    }
    json_end_list(w);
}

/* A seccomp profile travels as its content. */
static int add_security(struct json_writer *w, const struct body_wish *wish, struct error *err)
{
    static const char prefix[] = "seccomp:", other_prefix[] = "seccomp=";
    const struct yaml *options = yaml_get(wish->service, "security_opt");

    if (!yaml_count(options))
        return 0;
    json_begin_list(w, "SecurityOpt");
    for (size_t i = 0; i < options->count; i++) {
        const char *text = options->items[i]->text;
        bool is_profile = text_starts(text, prefix) || text_starts(text, other_prefix);
        const char *value = text + sizeof(prefix) - 1;
        CLEANUP(str_done) struct str profile = {};

        if (!is_profile || strcmp(value, "unconfined") == 0 || strcmp(value, "builtin") == 0) {
            json_add_text(w, NULL, text);
            continue;
        }
        CLEANUP(free)
        char *path = value[0] == '/' ? xstrdup(value) : path_join(wish->project->directory, value);
        if (file_read(path, PROFILE_LIMIT, &profile, err) < 0)
            return error_context(err, "opening seccomp profile (%s) failed", path);
        json_add_text_format(w, NULL, "seccomp=%s", str_text(&profile));
    }
    json_end_list(w);
    return 0;
}

static void add_logging(struct json_writer *w, const struct yaml *logging)
{
    if (yaml_is_null(logging))
        return;
    json_begin_dict(w, "LogConfig");
    json_add_text(w, "Type", yaml_text(yaml_get(logging, "driver")) ?: "");
    body_raw(w, "Config", yaml_get(logging, "options"));
    json_end_dict(w);
}

/* "path" or "path:options" */
static void add_tmpfs(struct json_writer *w, const struct yaml *tmpfs)
{
    if (!yaml_count(tmpfs))
        return;
    json_begin_dict(w, "Tmpfs");
    for (size_t i = 0; i < tmpfs->count; i++) {
        const char *text = tmpfs->items[i]->text;
        size_t length = strcspn(text, ":");
        CLEANUP(free) char *path = xstrndup(text, length);

        json_add_text(w, path, text[length] ? text + length + 1 : "");
    }
    json_end_dict(w);
}

static int add_modes(struct json_writer *w, const struct body_wish *wish, struct error *err)
{
    static const struct {
        const char *key, *member;
    } modes[] = {
        { "ipc", "IpcMode" },
        { "pid", "PidMode" },
        { "uts", "UTSMode" },
    };
    CLEANUP(free) char *network = NULL;

    for (size_t i = 0; i < COUNT(modes); i++) {
        const char *given = yaml_text(yaml_get(wish->service, modes[i].key));
        CLEANUP(free) char *mode = NULL;

        if (!given)
            continue;
        if (body_mode(wish, given, &mode, err) < 0)
            return -1;
        json_add_text(w, modes[i].member, mode);
    }
    if (body_network_mode(wish, &network, err) < 0)
        return -1;
    json_add_text(w, "NetworkMode", network);
    return 0;
}

int body_add_host(struct json_writer *w, const struct body_wish *wish, struct error *err)
{
    static const struct {
        const char *key, *member;
    } lists[] = {
        { "cap_add", "CapAdd" },
        { "cap_drop", "CapDrop" },
        { "dns", "Dns" },
        { "dns_opt", "DnsOptions" },
        { "dns_search", "DnsSearch" },
        { "group_add", "GroupAdd" },
        { "sysctls", "Sysctls" },
        { "storage_opt", "StorageOpt" },
        { "annotations", "Annotations" },
        { "device_cgroup_rules", "DeviceCgroupRules" },
    };
    static const struct {
        const char *key, *member;
    } texts[] = {
        { "cgroup_parent", "CgroupParent" }, { "cgroup", "CgroupnsMode" },
        { "isolation", "Isolation" },        { "runtime", "Runtime" },
        { "userns_mode", "UsernsMode" },
    };
    const struct yaml *service = wish->service;

    for (size_t i = 0; i < COUNT(lists); i++)
        body_raw(w, lists[i].member, yaml_get(service, lists[i].key));
    for (size_t i = 0; i < COUNT(texts); i++)
        body_text(w, texts[i].member, yaml_get(service, texts[i].key));
    body_bool(w, "Init", yaml_get(service, "init"));
    body_bool(w, "Privileged", yaml_get(service, "privileged"));
    body_bool(w, "ReadonlyRootfs", yaml_get(service, "read_only"));
    json_add_bool(w, "AutoRemove", wish->auto_remove);
    add_ports(w, yaml_get(service, "ports"));
    add_devices(w, yaml_get(service, "devices"));
    add_hosts(w, yaml_get(service, "extra_hosts"));
    add_logging(w, yaml_get(service, "logging"));
    add_tmpfs(w, yaml_get(service, "tmpfs"));
    body_add_limits(w, service);
    if (!wish->slug && add_restart(w, service, err) < 0)
        return -1;
    if (add_security(w, wish, err) < 0 || add_modes(w, wish, err) < 0)
        return -1;
    return body_add_mounts(w, wish, err);
}
