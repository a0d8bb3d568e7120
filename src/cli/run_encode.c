/* The options of run and create as the structs of the API. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "cli/api_socket.h"
#include "cli/csv.h"
#include "cli/env_file.h"
#include "cli/mount_spec.h"
#include "cli/port_spec.h"
#include "cli/proxies.h"
#include "cli/run_check.h"
#include "cli/run_options.h"
#include "cli/ulimit_spec.h"
#include "spec/cdi.h"
#include "spec/container.h"

#include "base/banned.h"

extern char **environ;

enum { FILE_LIMIT = 16 * 1024 * 1024 };

static char *copy(const char *text)
{
    return text ? xstrdup(text) : NULL;
}

static int add_pairs(const struct strv *list, struct map *out)
{
    for (size_t i = 0; i < list->count; i++) {
        const char *entry = list->items[i], *split = strchr(entry, '=');
        CLEANUP(free) char *key = split ? xstrndup(entry, (size_t)(split - entry)) : xstrdup(entry);

        map_set_text(out, key, split ? split + 1 : "");
    }
    return 0;
}

static int encode_health(const struct run_options *options, struct container_config *config,
                         struct error *err)
{
    bool is_given = options->health_cmd || options->health_interval.is_set ||
                    options->health_retries.is_set || options->health_start_interval.is_set ||
                    options->health_start_period.is_set || options->health_timeout.is_set;

    if (options->no_healthcheck && is_given)
        return error_set(err, ERROR_INVALID, "--no-healthcheck conflicts with --health-* options");
    if (!is_given && !options->no_healthcheck)
        return 0;
    config->healthcheck = NEW(struct health_config);
    if (options->no_healthcheck)
        strv_add(&config->healthcheck->test, "NONE");
    if (options->health_cmd) {
        strv_add(&config->healthcheck->test, "CMD-SHELL");
        strv_add(&config->healthcheck->test, options->health_cmd);
    }
    config->healthcheck->interval_ns = options->health_interval.value;
    config->healthcheck->timeout_ns = options->health_timeout.value;
    config->healthcheck->start_period_ns = options->health_start_period.value;
    config->healthcheck->start_interval_ns = options->health_start_interval.value;
    config->healthcheck->retries = options->health_retries.value;
    return 0;
}

static int encode_config(const struct run_options *options, const struct strv *arguments,
                         const struct client *client, struct container_config *config,
                         struct error *err)
{
    CLEANUP(strv_done) struct strv label_lines = {};
    bool stdin_wanted, stdout_wanted, stderr_wanted;

    run_options_streams(options, &stdin_wanted, &stdout_wanted, &stderr_wanted);
    config->hostname = copy(options->hostname);
    config->domainname = copy(options->domainname);
    config->user = copy(options->user);
    config->attach_stdin = stdin_wanted;
    config->attach_stdout = stdout_wanted;
    config->attach_stderr = stderr_wanted;
    config->tty = options->tty;
    config->open_stdin = options->interactive;
    config->stdin_once = options->interactive && stdin_wanted;
    strv_init_empty(&config->env);
    for (size_t i = 0; i < options->env_file.count; i++)
        if (env_file_read(options->env_file.items[i], &config->env, err) < 0)
            return -1;
    for (size_t i = 0; i < options->env.count; i++)
        env_add(&config->env, options->env.items[i]);
    proxies_add(client, &options->env, &config->env);
    for (size_t i = 1; i < arguments->count; i++)
        strv_add(&config->cmd, arguments->items[i]);
    config->image = xstrdup(arguments->items[0]);
    config->working_dir = copy(options->workdir);
    if (options->entrypoint)
        strv_add(&config->entrypoint, options->entrypoint);
    map_init_empty(&config->labels, free);
    for (size_t i = 0; i < options->label_file.count; i++)
        if (label_file_read(options->label_file.items[i], &label_lines, err) < 0)
            return -1;
    add_pairs(&label_lines, &config->labels);
    add_pairs(&options->label, &config->labels);
    config->stop_signal = copy(options->stop_signal);
    config->stop_timeout_s = options->stop_timeout;
    config->mac_address = copy(options->mac_address);
    return encode_health(options, config, err);
}

static int encode_restart(const char *text, struct restart_policy *policy, struct error *err)
{
    const char *colon = text ? strchr(text, ':') : NULL;

    if (!text)
        return 0;
    policy->name = colon ? xstrndup(text, (size_t)(colon - text)) : xstrdup(text);
    if (colon &&
        parse_int64(colon + 1, INT32_MIN, INT32_MAX, &policy->maximum_retry_count, err) < 0)
        return error_set(err, ERROR_INVALID,
                         "invalid restart policy format: maximum retry count must be an integer");
    return 0;
}

/* host[:container[:rwm]] */
static int add_device(const char *text, struct json_list *out, struct error *err)
{
    CLEANUP(strv_done) struct strv parts = {};
    const char *host, *inside, *access = "rwm";

    strv_split(&parts, text, ':');
    if (!parts.count || parts.count > 3)
        return error_set(err, ERROR_INVALID, "invalid device specification: %s", text);
    host = inside = parts.items[0];
    if (parts.count == 2 && parts.items[1][0] != '/' &&
        strspn(parts.items[1], "rwm") == strlen(parts.items[1]))
        access = parts.items[1];
    else if (parts.count >= 2)
        inside = parts.items[1];
    if (parts.count == 3)
        access = parts.items[2];
    if (!*access || strspn(access, "rwm") != strlen(access))
        return error_set(err, ERROR_INVALID, "bad mode specified: %s", access);
    struct device_mapping *device = json_list_add(out, sizeof(*device));
    *device = (struct device_mapping){ xstrdup(host), xstrdup(inside), xstrdup(access) };
    return 0;
}

/* path:rate or path:weight */
static int split_rate(const char *text, bool is_size, char **out_path, int64_t *out,
                      struct error *err)
{
    const char *colon = strrchr(text, ':');

    if (!colon || text_starts(text, "/dev/") == false)
        return error_set(err, ERROR_INVALID, "bad format: %s", text);
    if ((is_size ? parse_size(colon + 1, out, err)
                 : parse_int64(colon + 1, 0, INT64_MAX, out, err)) < 0)
        return error_context(err, "invalid rate for device: %s", text);
    *out_path = xstrndup(text, (size_t)(colon - text));
    return 0;
}

static int add_throttles(const struct strv *texts, bool is_size, struct json_list *out,
                         struct error *err)
{
    for (size_t i = 0; i < texts->count; i++) {
        char *path;
        int64_t rate;

        if (split_rate(texts->items[i], is_size, &path, &rate, err) < 0)
            return -1;
        struct throttle_device *device = json_list_add(out, sizeof(*device));
        *device = (struct throttle_device){ path, (uint64_t)rate };
    }
    return 0;
}

/* --security-opt: seccomp=FILE is read here; systempaths=unconfined empties the lists of paths. */
static int encode_security(const struct strv *texts, struct host_config *host, struct error *err)
{
    for (size_t i = 0; i < texts->count; i++) {
        const char *text = texts->items[i];

        if (strcmp(text, "systempaths=unconfined") == 0) {
            strv_init_empty(&host->masked_paths);
            strv_init_empty(&host->readonly_paths);
            continue;
        }
        if (text_starts(text, "seccomp=") && strcmp(text + 8, "unconfined") != 0 &&
            strcmp(text + 8, "builtin") != 0) {
            CLEANUP(str_done) struct str profile = {};

            if (file_read(text + 8, FILE_LIMIT, &profile, err) < 0)
                return error_context(err, "opening seccomp profile (%s) failed", text + 8);
            strv_add_format(&host->security_opt, "seccomp=%s", str_text(&profile));
            continue;
        }
        strv_add(&host->security_opt, text);
    }
    return 0;
}

static void encode_resources(const struct run_options *options, struct host_config *host)
{
    host->memory_bytes = options->memory.value;
    host->memory_swap_bytes = options->memory_swap.value;
    host->memory_reservation_bytes = options->memory_reservation.value;
    host->memory_swappiness = options->memory_swappiness;
    if (options->oom_kill_disable)
        host->oom_kill_disable = (struct optional_bool){ true, true };
    host->cpu_shares = options->cpu_shares.value;
    host->cpu_period_us = options->cpu_period.value;
    host->cpu_quota_us = options->cpu_quota.value;
    host->cpu_realtime_period_us = options->cpu_rt_period.value;
    host->cpu_realtime_runtime_us = options->cpu_rt_runtime.value;
    host->nano_cpus = options->cpus.value;
    host->cpuset_cpus = copy(options->cpuset_cpus);
    host->cpuset_mems = copy(options->cpuset_mems);
    host->pids_limit = options->pids_limit;
    host->blkio_weight = options->blkio_weight.value;
    host->oom_score_adj = options->oom_score_adj.value;
    host->shm_size_bytes = options->shm_size.value;
    host->cgroup_parent = copy(options->cgroup_parent);
}

/* --device vendor/class=name: all such become one request. */
static void add_cdi_device(const char *name, struct json_list *out)
{
    struct device_request *request = NULL;

    for (size_t i = 0; i < out->count; i++)
        if (text_equal(JSON_ITEMS(out, struct device_request)[i].driver, "cdi"))
            request = &JSON_ITEMS(out, struct device_request)[i];
    if (!request) {
        request = json_list_add(out, sizeof(*request));
        request->driver = xstrdup("cdi");
    }
    strv_add(&request->device_ids, name);
}

/* --gpus: "all", a number, or fields: count=, device=a, driver=, capabilities= (in CSV, so that a
 * field with commas is in quotes). */
static int add_gpus(const char *text, struct json_list *out, struct error *err)
{
    CLEANUP(strv_done) struct strv fields = {}, capabilities = {};
    CLEANUP(str_done) struct str list = {};
    struct json_writer w = { .out = &list };
    struct device_request *request = json_list_add(out, sizeof(*request));

    if (csv_split(text, &fields, err) < 0)
        return -1;
    request->count = 1;
    for (size_t i = 0; i < fields.count; i++) {
        char *field = fields.items[i], *value = strchr(field, '=');

        if (value)
            *value++ = 0;
        if (!value || strcmp(field, "count") == 0) {
            const char *count = value ? value : field;

            if (strcmp(count, "all") == 0)
                request->count = -1;
            else if (parse_int64(count, 0, INT32_MAX, &request->count, NULL) < 0)
                return error_set(err, ERROR_INVALID,
                                 "invalid count (%s): value must be either \"all\" or an integer",
                                 count);
        } else if (strcmp(field, "device") == 0) {
            strv_split(&request->device_ids, value, ',');
            request->count = 0;
        } else if (strcmp(field, "driver") == 0) {
            request->driver = xstrdup(value);
        } else if (strcmp(field, "capabilities") == 0) {
            strv_split(&capabilities, value, ',');
        } else {
            return error_set(err, ERROR_INVALID, "unexpected key '%s' in '%s=%s'", field, field,
                             value);
        }
    }
    if (!strv_contains(&capabilities, "gpu"))
        strv_add(&capabilities, "gpu");
    json_begin_list(&w, NULL);
    json_add_strv(&w, NULL, &capabilities);
    json_end_list(&w);
    request->capabilities = str_take(&list);
    return 0;
}

static int encode_devices(const struct run_options *options, struct host_config *host,
                          struct error *err)
{
    if (options->gpus && add_gpus(options->gpus, &host->device_requests, err) < 0)
        return error_context(err, "invalid argument \"%s\" for \"--gpus\" flag", options->gpus);
    for (size_t i = 0; i < options->device.count; i++)
        if (cdi_name_is_valid(options->device.items[i]))
            add_cdi_device(options->device.items[i], &host->device_requests);
        else if (add_device(options->device.items[i], &host->devices, err) < 0)
            return -1;
    for (size_t i = 0; i < options->ulimit.count; i++)
        if (ulimit_spec_parse(options->ulimit.items[i],
                              json_list_add(&host->ulimits, sizeof(struct ulimit)), err) < 0)
            return -1;
    for (size_t i = 0; i < options->blkio_weight_device.count; i++) {
        char *path;
        int64_t weight;

        if (split_rate(options->blkio_weight_device.items[i], false, &path, &weight, err) < 0)
            return -1;
        struct weight_device *device = json_list_add(&host->blkio_weight_device, sizeof(*device));
        *device = (struct weight_device){ path, weight };
    }
    strv_copy(&host->device_cgroup_rules, &options->device_cgroup_rule);
    if (add_throttles(&options->device_read_bps, true, &host->blkio_device_read_bps, err) < 0 ||
        add_throttles(&options->device_write_bps, true, &host->blkio_device_write_bps, err) < 0 ||
        add_throttles(&options->device_read_iops, false, &host->blkio_device_read_iops, err) < 0)
        return -1;
    return add_throttles(&options->device_write_iops, false, &host->blkio_device_write_iops, err);
}

static void encode_lists(const struct run_options *options, struct host_config *host)
{
    strv_copy(&host->volumes_from, &options->volumes_from);
    strv_copy(&host->cap_add, &options->cap_add);
    strv_copy(&host->cap_drop, &options->cap_drop);
    strv_copy(&host->dns, &options->dns);
    strv_copy(&host->dns_options, &options->dns_option);
    strv_copy(&host->dns_search, &options->dns_search);
    strv_copy(&host->group_add, &options->group_add);
    for (size_t i = 0; i < options->add_host.count; i++)
        strv_add_take(&host->extra_hosts, host_entry(options->add_host.items[i]));
    add_pairs(&options->annotation, &host->annotations);
    add_pairs(&options->sysctl, &host->sysctls);
    add_pairs(&options->storage_opt, &host->storage_opt);
    map_init_empty(&host->log_config.config, free);
    add_pairs(&options->log_opt, &host->log_config.config);
    for (size_t i = 0; i < options->tmpfs.count; i++) {
        const char *text = options->tmpfs.items[i], *colon = strchr(text, ':');
        CLEANUP(free) char *path = colon ? xstrndup(text, (size_t)(colon - text)) : xstrdup(text);

        map_set_text(&host->tmpfs, path, colon ? colon + 1 : "");
    }
}

static int encode_volumes(const struct run_options *options, struct container_config *config,
                          struct host_config *host, struct error *err)
{
    for (size_t i = 0; i < options->volume.count; i++)
        if (volume_spec_parse(options->volume.items[i], &host->binds, &config->volumes, err) < 0)
            return -1;
    for (size_t i = 0; i < options->mount.count; i++) {
        struct mount_request *mount = json_list_add(&host->mounts, sizeof(*mount));

        if (mount_spec_parse(options->mount.items[i], mount, err) < 0)
            return -1;
    }
    return 0;
}

static void free_endpoint(void *value)
{
    json_fields_done(endpoint_settings_fields, value);
    free(value);
}

static void add_driver_option(struct endpoint_settings *endpoint, char *text)
{
    char *value = strchr(text, '=');

    if (!endpoint->driver_opts.entries)
        map_init_empty(&endpoint->driver_opts, free);
    if (value)
        *value++ = '\0';
    map_set_text(&endpoint->driver_opts, text, value ? value : "");
}

/* --network: a name, or name=…,alias=…,ip=… */
static int add_network(const char *text, struct host_config *host,
                       struct networking_config *networking, struct error *err)
{
    struct endpoint_settings *endpoint = NEW(struct endpoint_settings);
    CLEANUP(strv_done) struct strv fields = {};
    const char *name = strchr(text, '=') ? NULL : text;

    strv_split(&fields, text, ',');
    for (size_t i = 0; !name && i < fields.count; i++) {
        char *field = fields.items[i], *value = strchr(field, '=');

        if (!value) {
            free_endpoint(endpoint);
            return error_set(err, ERROR_INVALID, "invalid field %s", field);
        }
        *value++ = 0;
        if (!endpoint->ipam_config && (strcmp(field, "ip") == 0 || strcmp(field, "ip6") == 0 ||
                                       strcmp(field, "link-local-ip") == 0))
            endpoint->ipam_config = NEW(struct endpoint_ipam);
        if (strcmp(field, "alias") == 0)
            strv_add(&endpoint->aliases, value);
        else if (strcmp(field, "ip") == 0)
            endpoint->ipam_config->ipv4_address = xstrdup(value);
        else if (strcmp(field, "ip6") == 0)
            endpoint->ipam_config->ipv6_address = xstrdup(value);
        else if (strcmp(field, "mac-address") == 0)
            endpoint->mac_address = xstrdup(value);
        else if (strcmp(field, "link-local-ip") == 0)
            strv_add(&endpoint->ipam_config->link_local_ips, value);
        else if (strcmp(field, "gw-priority") == 0) {
            if (parse_int64(value, INT64_MIN, INT64_MAX, &endpoint->gw_priority, err) < 0) {
                free_endpoint(endpoint);
                return error_context(err, "invalid gw-priority");
            }
        } else if (strcmp(field, "driver-opt") == 0)
            add_driver_option(endpoint, value);
        else if (strcmp(field, "name") != 0) {
            free_endpoint(endpoint);
            return error_set(err, ERROR_UNSUPPORTED, "network option %s is not supported yet",
                             field);
        }
    }
    for (size_t i = 0; !name && i < fields.count; i++)
        if (strcmp(fields.items[i], "name") == 0)
            name = fields.items[i] + strlen("name") + 1;
    if (text_is_empty(name)) {
        free_endpoint(endpoint);
        return error_set(err, ERROR_INVALID, "network name must be given");
    }
    if (!host->network_mode)
        host->network_mode = xstrdup(name);
    if (!networking->endpoints.entries)
        map_init_empty(&networking->endpoints, free_endpoint);
    if (!text_starts(name, "container:"))
        map_set(&networking->endpoints, name, endpoint);
    else
        free_endpoint(endpoint);
    return 0;
}

static int encode_network(const struct run_options *options, struct host_config *host,
                          struct networking_config *networking, struct error *err)
{
    for (size_t i = 0; i < options->network.count; i++)
        if (add_network(options->network.items[i], host, networking, err) < 0)
            return -1;
    bool is_user = networking->endpoints.count > 0 && strcmp(host->network_mode, "bridge") != 0 &&
                   strcmp(host->network_mode, "default") != 0;
    if (!is_user)
        strv_add_all(&host->links, &options->link);
    bool has_address = options->ip || options->ip6 || options->link_local_ip.count;
    if (!has_address && !options->network_alias.count && !(is_user && options->link.count))
        return 0;
    if (!networking->endpoints.count && add_network("bridge", host, networking, err) < 0)
        return -1;
    struct endpoint_settings *first = networking->endpoints.entries[0].value;
    if (!first->ipam_config && has_address)
        first->ipam_config = NEW(struct endpoint_ipam);
    if (options->ip)
        first->ipam_config->ipv4_address = xstrdup(options->ip);
    if (options->ip6)
        first->ipam_config->ipv6_address = xstrdup(options->ip6);
    if (options->link_local_ip.count)
        strv_add_all(&first->ipam_config->link_local_ips, &options->link_local_ip);
    strv_add_all(&first->aliases, &options->network_alias);
    if (is_user)
        strv_add_all(&first->links, &options->link);
    return 0;
}

static int encode_host(const struct run_options *options, struct container_create *create,
                       struct error *err)
{
    struct host_config *host = &create->host_config;

    host->container_id_file = copy(options->cidfile);
    host->log_config.type = copy(options->log_driver);
    host->auto_remove = options->remove;
    host->volume_driver = copy(options->volume_driver);
    host->cgroupns_mode = copy(options->cgroupns);
    host->ipc_mode = copy(options->ipc);
    host->pid_mode = copy(options->pid);
    host->privileged = options->privileged;
    host->publish_all_ports = options->publish_all;
    host->readonly_rootfs = options->read_only;
    host->uts_mode = copy(options->uts);
    host->userns_mode = copy(options->userns);
    host->runtime = copy(options->runtime);
    host->isolation = copy(options->isolation);
    if (options->init)
        host->init = (struct optional_bool){ true, true };
    encode_resources(options, host);
    encode_lists(options, host);
    for (size_t i = 0; i < options->publish.count; i++)
        if (port_publish_parse(options->publish.items[i], &create->config.exposed_ports,
                               &host->port_bindings, err) < 0)
            return -1;
    for (size_t i = 0; i < options->expose.count; i++)
        if (port_expose_parse(options->expose.items[i], &create->config.exposed_ports, err) < 0)
            return -1;
    host->health_on_failure = copy(options->health_on_failure);
    if (encode_restart(options->restart, &host->restart_policy, err) < 0 ||
        encode_devices(options, host, err) < 0 ||
        encode_security(&options->security_opt, host, err) < 0 ||
        encode_volumes(options, &create->config, host, err) < 0)
        return -1;
    return encode_network(options, host, &create->networking, err);
}

int run_options_encode(const struct run_options *options, const struct strv *arguments,
                       const struct client *client, struct str *out, struct str *out_credentials,
                       struct error *err)
{
    CLEANUP(container_create_done) struct container_create create = {};
    struct json_writer w = { .out = out };

    if (encode_config(options, arguments, client, &create.config, err) < 0 ||
        encode_host(options, &create, err) < 0)
        return -1;
    if (options->use_api_socket) {
        api_socket_mount(client,
                         json_list_add(&create.host_config.mounts, sizeof(struct mount_request)));
        if (api_socket_credentials(&create.config.env, out_credentials, err) < 0)
            return -1;
    }
    json_begin_dict(&w, NULL);
    json_add_members(&w, container_config_fields, &create.config);
    json_add_object(&w, "HostConfig", host_config_fields, &create.host_config);
    json_add_object(&w, "NetworkingConfig", networking_config_fields, &create.networking);
    json_end_dict(&w);
    return 0;
}
