/* update: other limits, another restart policy, other mounts, other published ports. */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/mount_spec.h"
#include "cli/port_spec.h"
#include "cli/run_check.h"

#include "base/banned.h"

struct update_options {
    const char *cpuset_cpus, *cpuset_mems, *restart, *health_on_failure;
    struct strv publish_add, publish_rm, mount_add, mount_rm;
    struct strv dns, dns_search, dns_option, add_host, rm_host;
    struct optional_int64 blkio_weight, cpu_period, cpu_quota, cpu_rt_period, cpu_rt_runtime,
        cpu_shares, cpus, memory, memory_reservation, memory_swap, pids_limit;
};

#define AT(member) offsetof(struct update_options, member)

/* clang-format off */
static const struct option_row rows[] = {
    { 0,   "add-host",           OPTION_LIST,    AT(add_host),           "Add a line to its /etc/hosts (name:ip)", .check = check_add_host },
    { 0,   "blkio-weight",       OPTION_INTEGER, AT(blkio_weight),       "Share of block I/O, 10 to 1000 (0: off)" },
    { 0,   "cpu-period",         OPTION_INTEGER, AT(cpu_period),         "Period of the CPU quota, in microseconds" },
    { 0,   "cpu-quota",          OPTION_INTEGER, AT(cpu_quota),          "CPU time per period, in microseconds" },
    { 0,   "cpu-rt-period",      OPTION_INTEGER, AT(cpu_rt_period),      "Period of real-time scheduling, in microseconds" },
    { 0,   "cpu-rt-runtime",     OPTION_INTEGER, AT(cpu_rt_runtime),     "Real-time CPU per period, in microseconds" },
    { 'c', "cpu-shares",         OPTION_INTEGER, AT(cpu_shares),         "CPU weight against others" },
    { 0,   "cpus",               OPTION_DECIMAL, AT(cpus),               "How many CPUs it may use" },
    { 0,   "cpuset-cpus",        OPTION_TEXT,    AT(cpuset_cpus),        "CPUs it may run on (0-3, 0,1)" },
    { 0,   "cpuset-mems",        OPTION_TEXT,    AT(cpuset_mems),        "Memory nodes it may use (0-3, 0,1)" },
    { 0,   "dns",                OPTION_LIST,    AT(dns),                "Name servers to ask from now on (none: those of the engine or host)" },
    { 0,   "dns-option",         OPTION_LIST,    AT(dns_option),         "Options for its resolv.conf from now on (or none)" },
    { 0,   "dns-search",         OPTION_LIST,    AT(dns_search),         "Domains to complete names with from now on (or none)" },
    { 0,   "health-on-failure",  OPTION_TEXT,    AT(health_on_failure),  "When unhealthy: none, restart, stop or kill" },
    { 'm', "memory",             OPTION_BYTES,   AT(memory),             "Most memory it may use" },
    { 0,   "memory-reservation", OPTION_BYTES,   AT(memory_reservation), "Memory it is to have when memory is short" },
    { 0,   "memory-swap",        OPTION_BYTES,   AT(memory_swap),        "Most memory and swap together (-1: no limit)" },
    { 0,   "mount-add",          OPTION_LIST,    AT(mount_add),          "Add a mount, written as for run --mount; a running container has it at once" },
    { 0,   "mount-rm",           OPTION_LIST,    AT(mount_rm),           "Take off the mount on this path of the container" },
    { 0,   "pids-limit",         OPTION_INTEGER, AT(pids_limit),         "Most processes (-1: no limit)" },
    { 0,   "publish-add",        OPTION_LIST,    AT(publish_add),        "Publish a further port, as run -p does; connections go on" },
    { 0,   "publish-rm",         OPTION_LIST,    AT(publish_rm),         "Publish a port no longer ([[ip:]hostPort:]containerPort[/protocol])" },
    { 0,   "rm-host",            OPTION_LIST,    AT(rm_host),            "Take a line out of its /etc/hosts again (name or name:ip)" },
    { 0,   "restart",            OPTION_TEXT,    AT(restart),            "Restart policy when it ends" },
    {},
};
/* clang-format on */

static void add_restart(struct json_writer *w, const char *text, struct error *err)
{
    const char *colon = strchr(text, ':');
    int64_t count = 0;

    if (colon && parse_int64(colon + 1, INT32_MIN, INT32_MAX, &count, err) < 0) {
        error_set(err, ERROR_INVALID,
                  "invalid restart policy format: maximum retry count must be an integer");
        return;
    }
    CLEANUP(free)
    char *name = colon ? xstrndup(text, (size_t)(colon - text)) : xstrdup(text);
    json_begin_dict(w, "RestartPolicy");
    json_add_text(w, "Name", name);
    json_add_int64(w, "MaximumRetryCount", count);
    json_end_dict(w);
}

/* False if nothing was asked for. */
static bool encode(const struct update_options *options, struct str *out, struct error *err)
{
    const struct {
        const char *key;
        const struct optional_int64 *value;
    } numbers[] = { { "BlkioWeight", &options->blkio_weight },
                    { "CpuPeriod", &options->cpu_period },
                    { "CpuQuota", &options->cpu_quota },
                    { "CpuRealtimePeriod", &options->cpu_rt_period },
                    { "CpuRealtimeRuntime", &options->cpu_rt_runtime },
                    { "CpuShares", &options->cpu_shares },
                    { "NanoCpus", &options->cpus },
                    { "Memory", &options->memory },
                    { "MemoryReservation", &options->memory_reservation },
                    { "MemorySwap", &options->memory_swap },
                    { "PidsLimit", &options->pids_limit } };
    const struct {
        const char *key, *value;
    } texts[] = { { "CpusetCpus", options->cpuset_cpus },
                  { "CpusetMems", options->cpuset_mems },
                  { "HealthOnFailure", options->health_on_failure } };
    struct json_writer w = { .out = out };
    bool is_any = options->restart;

    json_begin_dict(&w, NULL);
    for (size_t i = 0; i < COUNT(numbers); i++)
        if (numbers[i].value->is_set) {
            json_add_int64(&w, numbers[i].key, numbers[i].value->value);
            is_any = true;
        }
    for (size_t i = 0; i < COUNT(texts); i++)
        if (texts[i].value) {
            json_add_text(&w, texts[i].key, texts[i].value);
            is_any = true;
        }
    if (options->restart)
        add_restart(&w, options->restart, err);
    json_end_dict(&w);
    return is_any;
}

/* What --publish-add and --publish-rm ask for. */
static int encode_ports(const struct update_options *options, struct str *out, struct error *err)
{
    struct config_ports {
        struct map add;
    } ports = {};
    static const struct json_field fields[] = {
        JSON_MAP_OF_LISTS(struct config_ports, add, "Add", struct port_binding,
                          port_binding_fields),
        JSON_END,
    };
    CLEANUP(strv_done) struct strv exposed = {};
    struct json_writer w = { .out = out };
    int result = 0;

    for (size_t i = 0; i < options->publish_add.count && result == 0; i++)
        result = port_publish_parse(options->publish_add.items[i], &exposed, &ports.add, err);
    json_begin_dict(&w, NULL);
    json_add_members(&w, fields, &ports);
    json_add_strv(&w, "Remove", &options->publish_rm);
    json_end_dict(&w);
    map_done(&ports.add);
    return result;
}

static int encode_mounts(const struct update_options *options, struct str *out, struct error *err)
{
    struct config_mounts {
        struct json_list add;
    } mounts = {};
    static const struct json_field fields[] = {
        JSON_OBJECTS(struct config_mounts, add, "Add", struct mount_request, mount_request_fields),
        JSON_END,
    };
    struct json_writer w = { .out = out };
    int result = 0;

    for (size_t i = 0; i < options->mount_add.count && result == 0; i++)
        result = mount_spec_parse(options->mount_add.items[i],
                                  json_list_add(&mounts.add, sizeof(struct mount_request)), err);
    json_begin_dict(&w, NULL);
    json_add_members(&w, fields, &mounts);
    json_add_strv(&w, "Remove", &options->mount_rm);
    json_end_dict(&w);
    json_fields_done(fields, &mounts);
    return result;
}

static bool is_about_names(const struct update_options *options)
{
    return options->dns.count + options->dns_search.count + options->dns_option.count +
               options->add_host.count + options->rm_host.count >
           0;
}

static void encode_names(const struct update_options *options, struct str *out)
{
    CLEANUP(strv_done) struct strv hosts = {};
    struct json_writer w = { .out = out };

    for (size_t i = 0; i < options->add_host.count; i++)
        strv_add_take(&hosts, host_entry(options->add_host.items[i]));
    json_begin_dict(&w, NULL);
    json_add_strv(&w, "Dns", &options->dns);
    json_add_strv(&w, "DnsSearch", &options->dns_search);
    json_add_strv(&w, "DnsOptions", &options->dns_option);
    json_add_strv(&w, "AddHosts", &hosts);
    json_add_strv(&w, "RemoveHosts", &options->rm_host);
    json_end_dict(&w);
}

static int change_names(struct cli *cli, const char *container, const void *body, struct error *err)
{
    CLEANUP(client_path_done) struct client_path path = {};

    client_path_begin(&path, "/containers");
    client_path_segment(&path, container);
    client_path_begin(&path, "/names");
    return client_call(cli->client, "POST", &path, body, NULL, err);
}

static int change_mounts(struct cli *cli, const char *container, const void *body,
                         struct error *err)
{
    CLEANUP(client_path_done) struct client_path path = {};

    client_path_begin(&path, "/containers");
    client_path_segment(&path, container);
    client_path_begin(&path, "/mounts");
    return client_call(cli->client, "POST", &path, body, NULL, err);
}

static int change_ports(struct cli *cli, const char *container, const void *body, struct error *err)
{
    CLEANUP(client_path_done) struct client_path path = {};

    client_path_begin(&path, "/containers");
    client_path_segment(&path, container);
    client_path_begin(&path, "/ports");
    return client_call(cli->client, "POST", &path, body, NULL, err);
}

static int update_one(struct cli *cli, const char *container, const void *body, struct error *err)
{
    CLEANUP(client_path_done) struct client_path path = {};
    CLEANUP(json_free) struct json *answer = NULL;

    client_path_begin(&path, "/containers");
    client_path_segment(&path, container);
    client_path_begin(&path, "/update");
    if (client_call(cli->client, "POST", &path, body, &answer, err) < 0)
        return -1;
    const struct json *warnings = json_get(answer, "Warnings");
    for (size_t i = 0; i < json_count(warnings); i++)
        fprintf(stderr, "%s\n", json_text(json_at(warnings, i)));
    return 0;
}

static int update(struct cli *cli, const void *parsed, const struct strv *arguments,
                  struct error *err)
{
    const struct update_options *options = parsed;
    CLEANUP(str_done) struct str limits = {}, ports = {}, mounts = {}, names = {};
    const struct {
        bool is_wanted;
        int (*call)(struct cli *cli, const char *container, const void *body, struct error *err);
        const struct str *body;
    } steps[] = {
        { encode(options, &limits, err), update_one, &limits },
        { options->mount_add.count || options->mount_rm.count, change_mounts, &mounts },
        { options->publish_add.count || options->publish_rm.count, change_ports, &ports },
        { is_about_names(options), change_names, &names },
    };
    size_t last = COUNT(steps);

    for (size_t i = 0; i < COUNT(steps); i++)
        last = steps[i].is_wanted ? i : last;
    if (last == COUNT(steps))
        return error_set(err, ERROR_INVALID,
                         "you must provide one or more flags when using this command");
    if (err->kind != ERROR_NONE ||
        (steps[1].is_wanted && encode_mounts(options, &mounts, err) < 0) ||
        (steps[2].is_wanted && encode_ports(options, &ports, err) < 0))
        return -1;
    encode_names(options, &names);
    /* A container's name is told once, by the last step. */
    for (size_t step = 0; step < last; step++)
        for (size_t i = 0; steps[step].is_wanted && i < arguments->count; i++)
            if (steps[step].call(cli, arguments->items[i], str_text(steps[step].body), err) < 0)
                return -1;
    return cli_each(cli, arguments, steps[last].call, str_text(steps[last].body), err);
}

const struct command command_update = {
    .name = "update",
    .usage = "[OPTIONS] CONTAINER [CONTAINER...]",
    .summary = "Change limits, restart policy, mounts, ports and names of containers",
    .least = 1,
    .most = MANY_ARGUMENTS,
    .options = rows,
    .options_size = sizeof(struct update_options),
    .run = update,
};
