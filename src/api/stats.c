/* What containers use: the stream of statistics, and the list of processes. */
#include <poll.h>
#include <string.h>

#include "api/routes.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"
#include "engine/container_usage.h"

#include "base/banned.h"

/* Of one reply the two samples are nearer to each other than those of a stream:
 * docs/decisions/0031. */
enum { STREAM_INTERVAL_MS = 1000, REPLY_INTERVAL_MS = 200 };

static void write_nonzero(struct json_writer *w, const char *key, uint64_t value)
{
    if (value)
        json_add_uint64(w, key, value);
}

static void write_io(struct json_writer *w, const char *key, const struct cgroup_io_list *list,
                     bool is_known)
{
    if (!is_known) {
        json_add_null(w, key);
        return;
    }
    json_begin_list(w, key);
    for (size_t i = 0; i < list->count; i++) {
        json_begin_dict(w, NULL);
        json_add_uint64(w, "major", list->items[i].major);
        json_add_uint64(w, "minor", list->items[i].minor);
        json_add_text(w, "op", list->items[i].operation);
        json_add_uint64(w, "value", list->items[i].value);
        json_end_dict(w);
    }
    json_end_list(w);
}

/* Version 2 has one list of the eight; of a container that does not run nothing is known. */
static void write_block_io(struct json_writer *w, const struct container_usage *usage)
{
    static const char *const others[] = { "io_queue_recursive",     "io_service_time_recursive",
                                          "io_wait_time_recursive", "io_merged_recursive",
                                          "io_time_recursive",      "sectors_recursive" };
    const struct cgroup_io_list none = {};
    bool is_running = usage->read_ns, is_v1 = is_running && !usage->groups.is_v2;

    json_begin_dict(w, "blkio_stats");
    write_io(w, "io_service_bytes_recursive", &usage->groups.io_bytes, is_running);
    write_io(w, "io_serviced_recursive", &usage->groups.io_operations, is_v1);
    for (size_t i = 0; i < COUNT(others); i++)
        write_io(w, others[i], &none, is_v1);
    json_end_dict(w);
}

static void write_cpu(struct json_writer *w, const char *key, const struct container_usage *usage)
{
    const struct cgroup_usage *groups = &usage->groups;

    json_begin_dict(w, key);
    json_begin_dict(w, "cpu_usage");
    json_add_uint64(w, "total_usage", groups->cpu_ns);
    if (groups->cpu_count) {
        json_begin_list(w, "percpu_usage");
        for (size_t i = 0; i < groups->cpu_count; i++)
            json_add_uint64(w, NULL, groups->per_cpu_ns[i]);
        json_end_list(w);
    }
    json_add_uint64(w, "usage_in_kernelmode", groups->cpu_system_ns);
    json_add_uint64(w, "usage_in_usermode", groups->cpu_user_ns);
    json_end_dict(w);
    write_nonzero(w, "system_cpu_usage", usage->machine_cpu_ns);
    write_nonzero(w, "online_cpus", (uint64_t)usage->cpu_count);
    json_begin_dict(w, "throttling_data");
    json_add_uint64(w, "periods", groups->periods);
    json_add_uint64(w, "throttled_periods", groups->throttled_periods);
    json_add_uint64(w, "throttled_time", groups->throttled_ns);
    json_end_dict(w);
    json_end_dict(w);
}

/* A limit above what the machine has is none. */
static void write_memory(struct json_writer *w, const struct container_usage *usage)
{
    const struct cgroup_usage *groups = &usage->groups;

    json_begin_dict(w, "memory_stats");
    if (usage->read_ns) {
        write_nonzero(w, "usage", groups->memory_bytes);
        write_nonzero(w, "max_usage", groups->memory_max_bytes);
        json_begin_dict(w, "stats");
        for (size_t i = 0; i < groups->memory_counter_count; i++)
            json_add_uint64(w, groups->memory_counters[i].name, groups->memory_counters[i].value);
        json_end_dict(w);
        write_nonzero(w, "failcnt", groups->memory_failures);
        json_add_uint64(w, "limit",
                        MIN(groups->memory_limit_bytes, (uint64_t)usage->machine_memory_bytes));
    }
    json_end_dict(w);
}

static void write_networks(struct json_writer *w, const struct container_usage *usage)
{
    if (!usage->interface_count)
        return;
    json_begin_dict(w, "networks");
    for (size_t i = 0; i < usage->interface_count; i++) {
        const struct interface_usage *one = &usage->interfaces[i];

        json_begin_dict(w, one->name);
        json_add_uint64(w, "rx_bytes", one->received_bytes);
        json_add_uint64(w, "rx_packets", one->received_packets);
        json_add_uint64(w, "rx_errors", one->received_errors);
        json_add_uint64(w, "rx_dropped", one->received_dropped);
        json_add_uint64(w, "tx_bytes", one->sent_bytes);
        json_add_uint64(w, "tx_packets", one->sent_packets);
        json_add_uint64(w, "tx_errors", one->sent_errors);
        json_add_uint64(w, "tx_dropped", one->sent_dropped);
        json_end_dict(w);
    }
    json_end_dict(w);
}

static void write_process_count(struct json_writer *w, const struct container_usage *usage)
{
    /* Version 1 leaves the limit out when there is none, as Docker does. */
    bool has_limit = usage->groups.is_v2 || usage->groups.process_limit != CGROUP_UNLIMITED;

    json_begin_dict(w, "pids_stats");
    write_nonzero(w, "current", usage->groups.process_count);
    if (has_limit)
        write_nonzero(w, "limit", usage->groups.process_limit);
    json_end_dict(w);
}

/* One sample, with the CPU times of the one before. 'info' NULL: without name and id. */
static void write_sample(struct str *out, const struct container_info *info,
                         const struct container_usage *usage, const struct container_usage *before)
{
    struct json_writer w = { .out = out };

    json_begin_dict(&w, NULL);
    if (info) {
        json_add_text_format(&w, "name", "/%s", info->name);
        json_add_text(&w, "id", info->id);
    }
    json_add_time(&w, "read", usage->read_ns);
    json_add_time(&w, "preread", before->read_ns);
    write_process_count(&w, usage);
    write_block_io(&w, usage);
    json_add_int64(&w, "num_procs", 0);
    json_add_raw(&w, "storage_stats", "{}");
    write_cpu(&w, "cpu_stats", usage);
    write_cpu(&w, "precpu_stats", before);
    write_memory(&w, usage);
    write_networks(&w, usage);
    json_end_dict(&w);
}

/* False if the client went away. */
static bool pause_between(struct request *req, int interval_ms)
{
    struct pollfd cancelled = { .fd = http_cancel_fd(req->exchange), .events = POLLIN };

    return poll(&cancelled, 1, interval_ms) == 0;
}

static int reply_once(struct request *req, const struct container_info *info, struct error *err)
{
    CLEANUP(container_usage_done) struct container_usage before = {}, usage = {};
    CLEANUP(str_done) struct str body = {};
    bool one_shot = req->version >= API_VERSION(41) && request_query_bool(req, "one-shot");

    engine_container_usage(req->engine, info, &usage);
    if (!one_shot && usage.read_ns) {
        before = usage;
        usage = (struct container_usage){};
        if (!pause_between(req, REPLY_INTERVAL_MS))
            return error_set(err, ERROR_CANCELLED, "the client went away");
        engine_container_usage_after(req->engine, info, &before, &usage);
    }
    write_sample(&body, one_shot && usage.read_ns ? NULL : info, &usage, &before);
    return reply_json(req, 200, &body, err);
}

/* Until the client leaves or the container is removed. One that stops is told with zeroes. */
static int stream(struct request *req, const char *id, struct error *err)
{
    CLEANUP(container_usage_done) struct container_usage before = {};

    do {
        CLEANUP(container_usage_done) struct container_usage usage = {};
        CLEANUP(container_info_unref) struct container_info *info = NULL;
        CLEANUP(str_done) struct str line = {};
        struct error gone;

        if (engine_container_get(req->engine, id, &info, &gone) < 0)
            return 0;
        engine_container_usage(req->engine, info, &usage);
        if (!usage.read_ns)
            container_usage_done(&before);
        write_sample(&line, info, &usage, &before);
        str_add_char(&line, '\n');
        if (http_reply_write(req->exchange, line.data, line.length, err) < 0)
            return -1;
        container_usage_done(&before);
        before = usage;
        usage = (struct container_usage){};
    } while (pause_between(req, STREAM_INTERVAL_MS));
    return 0;
}

int api_container_stats(struct request *req, struct error *err)
{
    CLEANUP(container_info_unref) struct container_info *info = NULL;
    const char *wants_stream = request_query(req, "stream");

    if (engine_container_get(req->engine, request_parameter(req, 0), &info, err) < 0)
        return -1;
    if (wants_stream && !text_is_true(wants_stream))
        return reply_once(req, info, err);
    if (req->version >= API_VERSION(41) && request_query_bool(req, "one-shot"))
        return error_set(err, ERROR_INVALID, "cannot have stream=true and one-shot=true");
    if (reply_stream_begin(req, "application/json", err) < 0)
        return -1;
    return stream(req, info->id, err);
}

int api_container_top(struct request *req, struct error *err)
{
    CLEANUP(process_table_done) struct process_table table = {};
    CLEANUP(str_done) struct str body = {};
    struct json_writer w = { .out = &body };

    if (engine_container_top(req->engine, request_parameter(req, 0), request_query(req, "ps_args"),
                             http_cancel_fd(req->exchange), &table, err) < 0)
        return -1;
    json_begin_dict(&w, NULL);
    if (table.row_count) {
        json_begin_list(&w, "Processes");
        for (size_t i = 0; i < table.row_count; i++)
            json_add_strv(&w, NULL, &table.rows[i]);
        json_end_list(&w);
    } else {
        json_add_null(&w, "Processes");
    }
    json_add_strv(&w, "Titles", &table.titles);
    json_end_dict(&w);
    return reply_json(req, 200, &body, err);
}
