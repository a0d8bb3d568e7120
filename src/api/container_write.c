/* Containers in JSON. */
#include "api/container_write.h"

#include <stdio.h>
#include <string.h>

#include "api/version.h"
#include "base/clock.h"
#include "base/text.h"
#include "engine/network.h"

#include "base/banned.h"

static bool is_up(const struct container_info *info)
{
    return info->state == CONTAINER_RUNNING || info->state == CONTAINER_PAUSED;
}

/* ---- shared parts ---- */

char *container_command_text(const struct container_info *info)
{
    struct str out = {};

    str_add(&out, info->path ?: "");
    for (size_t i = 0; i < info->args.count; i++)
        str_add_format(&out, strchr(info->args.items[i], ' ') ? " '%s'" : " %s",
                       info->args.items[i]);
    return str_take(&out);
}

static void write_labels(struct json_writer *w, const struct map *labels)
{
    if (labels->count > 0) {
        json_add_texts(w, "Labels", labels);
        return;
    }
    json_begin_dict(w, "Labels");
    json_end_dict(w);
}

/* "80/tcp" apart. */
static int port_number(const char *port)
{
    int64_t number = 0;
    char digits[8] = "";

    snprintf(digits, sizeof(digits), "%.*s", (int)MIN(strcspn(port, "/"), sizeof(digits) - 1),
             port);
    parse_int64(digits, 0, 65535, &number, NULL);
    return (int)number;
}

static const char *port_protocol(const char *port)
{
    const char *slash = strchr(port, '/');

    return slash ? slash + 1 : "tcp";
}

static bool is_mapping_of(const struct port_mapping *mapping, const char *port)
{
    return mapping->container_port == port_number(port) &&
           strcmp(mapping->protocol, port_protocol(port)) == 0;
}

static bool is_published(const struct container_info *info, const char *port)
{
    const struct port_mapping *ports = JSON_ITEMS(&info->ports, struct port_mapping);

    for (size_t i = 0; i < info->ports.count; i++)
        if (is_mapping_of(&ports[i], port))
            return true;
    return false;
}

/* ---- an entry of a list ---- */

static void write_item_ports(struct json_writer *w, const struct container_info *info)
{
    const struct port_mapping *ports = JSON_ITEMS(&info->ports, struct port_mapping);
    const struct strv *exposed = &info->config.exposed_ports;

    json_begin_list(w, "Ports");
    for (size_t i = 0; is_up(info) && i < info->ports.count; i++) {
        json_begin_dict(w, NULL);
        json_add_text(w, "IP", ports[i].host_ip);
        json_add_int64(w, "PrivatePort", ports[i].container_port);
        if (ports[i].host_port != 0)
            json_add_int64(w, "PublicPort", ports[i].host_port);
        json_add_text(w, "Type", ports[i].protocol);
        json_end_dict(w);
    }
    for (size_t i = 0; is_up(info) && i < exposed->count; i++)
        if (!is_published(info, exposed->items[i])) {
            json_begin_dict(w, NULL);
            json_add_int64(w, "PrivatePort", port_number(exposed->items[i]));
            json_add_text(w, "Type", port_protocol(exposed->items[i]));
            json_end_dict(w);
        }
    json_end_list(w);
}

static void write_item_networks(struct json_writer *w, const struct container_info *info)
{
    json_begin_dict(w, "NetworkSettings");
    json_begin_dict(w, "Networks");
    MAP_EACH (&info->endpoints, entry) {
        struct endpoint_settings endpoint = {};

        if (entry->value)
            endpoint = *(const struct endpoint_settings *)entry->value;
        endpoint.aliases = (struct strv){};
        endpoint.dns_names = (struct strv){};
        json_add_object(w, entry->key, endpoint_settings_fields, &endpoint);
    }
    json_end_dict(w);
    json_end_dict(w);
}

static void write_item_mounts(struct json_writer *w, const struct container_info *info)
{
    const struct mount_point *mounts = JSON_ITEMS(&info->mounts, struct mount_point);

    json_begin_list(w, "Mounts");
    for (size_t i = 0; i < info->mounts.count; i++) {
        struct mount_point mount = mounts[i];

        if (mount.name && text_is_hex(mount.name, ID_LENGTH)) /* Anonymous. */
            mount.source = NULL;
        json_add_object(w, NULL, mount_point_fields, &mount);
    }
    json_end_list(w);
}

void container_write_item(struct json_writer *w, const struct container_info *info,
                          const struct container_view *view)
{
    CLEANUP(free) char *command = container_command_text(info);
    CLEANUP(free) char *status = container_status_text(info);

    json_begin_dict(w, NULL);
    json_add_text(w, "Id", info->id);
    json_begin_list(w, "Names");
    json_add_text_format(w, NULL, "/%s", info->name);
    json_end_list(w);
    json_add_text(w, "Image", view->image);
    json_add_text(w, "ImageID", info->image_id ?: "");
    json_add_text(w, "Command", command);
    json_add_int64(w, "Created", info->created_ns / NS_PER_S);
    write_item_ports(w, info);
    if (view->with_size && view->size_rw != 0)
        json_add_int64(w, "SizeRw", view->size_rw);
    if (view->with_size && view->size_root_fs != 0)
        json_add_int64(w, "SizeRootFs", view->size_root_fs);
    write_labels(w, &info->config.labels);
    json_add_text(w, "State", container_state_name(info->state));
    json_add_text(w, "Status", status);
    json_begin_dict(w, "HostConfig");
    json_add_text(w, "NetworkMode", info->host_config.network_mode ?: "");
    if (info->host_config.annotations.count > 0)
        json_add_texts(w, "Annotations", &info->host_config.annotations);
    json_end_dict(w);
    write_item_networks(w, info);
    write_item_mounts(w, info);
    json_end_dict(w);
}

/* ---- in full ---- */

static void write_state(struct json_writer *w, const struct container_info *info)
{
    json_begin_dict(w, "State");
    json_add_text(w, "Status", container_state_name(info->state));
    json_add_bool(w, "Running", is_up(info) || info->state == CONTAINER_RESTARTING);
    json_add_bool(w, "Paused", info->state == CONTAINER_PAUSED);
    json_add_bool(w, "Restarting", info->state == CONTAINER_RESTARTING);
    json_add_bool(w, "OOMKilled", info->oom_killed);
    json_add_bool(w, "Dead", info->state == CONTAINER_DEAD);
    json_add_int64(w, "Pid", info->pid);
    json_add_int64(w, "ExitCode", info->exit_code);
    json_add_text(w, "Error", info->error ?: "");
    json_add_time(w, "StartedAt", info->started_ns);
    json_add_time(w, "FinishedAt", info->finished_ns);
    if (info->health)
        json_add_object(w, "Health", container_health_fields, info->health);
    json_end_dict(w);
}

static void write_files(struct json_writer *w, const struct container_info *info,
                        const struct container_view *view)
{
    json_add_text(w, "ResolvConfPath", info->resolv_path ?: "");
    json_add_text(w, "HostnamePath", info->hostname_path ?: "");
    json_add_text(w, "HostsPath", info->hosts_path ?: "");
    /* As Docker has it: the others' files are nobody's business. */
    bool is_shown = text_equal(info->host_config.log_config.type, "json-file");
    json_add_text(w, "LogPath", is_shown && info->log_path ? info->log_path : "");
    json_add_text_format(w, "Name", "/%s", info->name);
    json_add_int64(w, "RestartCount", info->restart_count);
    json_add_text(w, "Driver", view->driver ?: "");
    json_add_text(w, "Platform", "linux");
    json_add_text(w, "MountLabel", "");
    json_add_text(w, "ProcessLabel", "");
    json_add_text(w, "AppArmorProfile", "");
    json_add_strv(w, "ExecIDs", &info->exec_ids);
}

static void write_graph_driver(struct json_writer *w, const struct container_info *info,
                               const struct container_view *view)
{
    json_begin_dict(w, "GraphDriver");
    json_begin_dict(w, "Data");
    json_add_text(w, "ID", info->id);
    json_add_text(w, "LowerDir", info->lower_paths ?: "");
    json_add_text(w, "MergedDir", info->merged_path ?: "");
    json_add_text(w, "UpperDir", info->upper_path ?: "");
    json_add_text(w, "WorkDir", info->work_path ?: "");
    json_end_dict(w);
    json_add_text(w, "Name", view->driver ?: "");
    json_end_dict(w);
    if (view->with_size) {
        json_add_int64(w, "SizeRw", view->size_rw);
        json_add_int64(w, "SizeRootFs", view->size_root_fs);
    }
}

static void write_port_bindings(struct json_writer *w, const struct container_info *info,
                                const char *port)
{
    const struct port_mapping *ports = JSON_ITEMS(&info->ports, struct port_mapping);

    json_begin_list(w, port);
    for (size_t i = 0; i < info->ports.count; i++)
        if (is_mapping_of(&ports[i], port)) {
            json_begin_dict(w, NULL);
            json_add_text(w, "HostIp", ports[i].host_ip);
            if (ports[i].host_port != 0)
                json_add_text_format(w, "HostPort", "%u", ports[i].host_port);
            else
                json_add_text(w, "HostPort", "");
            json_end_dict(w);
        }
    json_end_list(w);
}

/* Published and exposed ports, each once, by name. */
static void write_ports(struct json_writer *w, const struct container_info *info)
{
    const struct port_mapping *ports = JSON_ITEMS(&info->ports, struct port_mapping);
    CLEANUP(strv_done) struct strv names = {};

    for (size_t i = 0; i < info->ports.count; i++) {
        char name[32];

        snprintf(name, sizeof(name), "%u/%s", ports[i].container_port, ports[i].protocol);
        if (!strv_contains(&names, name))
            strv_add(&names, name);
    }
    for (size_t i = 0; i < info->config.exposed_ports.count; i++)
        if (!is_published(info, info->config.exposed_ports.items[i]))
            strv_add(&names, info->config.exposed_ports.items[i]);
    strv_sort(&names);
    json_begin_dict(w, "Ports");
    for (size_t i = 0; is_up(info) && i < names.count; i++)
        if (is_published(info, names.items[i]))
            write_port_bindings(w, info, names.items[i]);
        else
            json_add_null(w, names.items[i]);
    json_end_dict(w);
}

/* What was at the top before networks were many: the default bridge's values, for old clients. */
static void write_default_endpoint(struct json_writer *w, const struct container_info *info)
{
    static const struct endpoint_settings none;
    const struct endpoint_settings *endpoint = map_get(&info->endpoints, "bridge") ?: &none;

    json_add_bool(w, "HairpinMode", false);
    json_add_text(w, "LinkLocalIPv6Address", "");
    json_add_int64(w, "LinkLocalIPv6PrefixLen", 0);
    json_add_null(w, "SecondaryIPAddresses");
    json_add_null(w, "SecondaryIPv6Addresses");
    json_add_text(w, "EndpointID", endpoint->endpoint_id ?: "");
    json_add_text(w, "Gateway", endpoint->gateway ?: "");
    json_add_text(w, "GlobalIPv6Address", endpoint->global_ipv6_address ?: "");
    json_add_int64(w, "GlobalIPv6PrefixLen", endpoint->global_ipv6_prefix_len);
    json_add_text(w, "IPAddress", endpoint->ip_address ?: "");
    json_add_int64(w, "IPPrefixLen", endpoint->ip_prefix_len);
    json_add_text(w, "IPv6Gateway", endpoint->ipv6_gateway ?: "");
    json_add_text(w, "MacAddress", endpoint->mac_address ?: "");
}

/* Before 1.45 the names that others find it by were among the aliases, where there were any. */
static void write_endpoint(struct json_writer *w, const char *name,
                           const struct endpoint_settings *settings, int version)
{
    struct endpoint_settings endpoint = *settings;

    if (version < API_VERSION(45) && endpoint.aliases.count && endpoint.dns_names.count > 1)
        endpoint.aliases = (struct strv){ .items = endpoint.dns_names.items + 1,
                                          .count = endpoint.dns_names.count - 1 };
    json_add_object(w, name, endpoint_settings_fields, &endpoint);
}

static void write_network_settings(struct json_writer *w, const struct container_info *info,
                                   const struct container_view *view)
{
    static const struct endpoint_settings none;

    json_begin_dict(w, "NetworkSettings");
    json_add_text(w, "Bridge", "");
    json_add_text(w, "SandboxID", is_up(info) ? info->id : "");
    /* The namespace has no name of its own; this path leads to it as well. */
    if (is_up(info))
        json_add_text_format(w, "SandboxKey", "/proc/%d/ns/net", (int)info->pid);
    else
        json_add_text(w, "SandboxKey", "");
    write_ports(w, info);
    write_default_endpoint(w, info);
    json_begin_dict(w, "Networks");
    MAP_EACH (&info->endpoints, entry)
        write_endpoint(w, entry->key, entry->value ?: &none, view->version);
    json_end_dict(w);
    json_end_dict(w);
}

static void write_config(struct json_writer *w, const struct container_info *info)
{
    struct container_config config = info->config;
    struct map_entry nothing;

    if (!config.labels.entries) /* Shown as {} */
        config.labels = (struct map){ .entries = &nothing };
    json_add_object(w, "Config", container_config_fields, &config);
}

void container_write_full(struct json_writer *w, const struct container_info *info,
                          const struct container_view *view)
{
    json_begin_dict(w, NULL);
    json_add_text(w, "Id", info->id);
    json_add_time(w, "Created", info->created_ns);
    json_add_text(w, "Path", info->path ?: "");
    if (info->args.items)
        json_add_strv(w, "Args", &info->args);
    else
        json_add_raw(w, "Args", "[]");
    write_state(w, info);
    json_add_text(w, "Image", info->image_id ?: "");
    write_files(w, info, view);
    json_add_object(w, "HostConfig", host_config_fields, &info->host_config);
    write_graph_driver(w, info, view);
    json_begin_list(w, "Mounts");
    for (size_t i = 0; i < info->mounts.count; i++)
        json_add_object(w, NULL, mount_point_fields,
                        &JSON_ITEMS(&info->mounts, struct mount_point)[i]);
    json_end_list(w);
    write_config(w, info);
    write_network_settings(w, info, view);
    json_end_dict(w);
}
