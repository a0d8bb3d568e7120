/* Counters are atomic and never reset; what there is now is counted when somebody asks. */
#include "engine/metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "engine/internal.h"

#include "base/banned.h"

enum { STATM_LIMIT = 4096 };

/* Upper bounds in microseconds; the last bucket has none. */
static const uint64_t bounds_us[] = { 1000,   2500,   5000,    10000,   25000,   50000,   100000,
                                      250000, 500000, 1000000, 2500000, 5000000, 10000000 };

struct action {
    atomic_ullong buckets[COUNT(bounds_us) + 1];
    atomic_ullong sum_us, failures;
};

struct metrics {
    struct action actions[METRIC_COUNT];
    int64_t started_ns;
};

static const char *const action_names[] = {
#define X(name, text) text,
    METRIC_ACTIONS(X)
#undef X
};

struct metrics *metrics_new(void)
{
    struct metrics *metrics = NEW(struct metrics);

    metrics->started_ns = clock_wall_ns();
    return metrics;
}

void metrics_free(struct metrics *metrics)
{
    free(metrics);
}

int metrics_note(struct engine *engine, enum metric_action name, uint64_t began_ns, int result,
                 const struct error *err)
{
    struct action *action = &engine->metrics->actions[name];
    uint64_t took_us = (clock_monotonic_ns() - began_ns) / 1000;
    size_t bucket = 0;

    if (result < 0) {
        /* What is so already is no failure, nor is one who went away. */
        if (err && err->kind != ERROR_NOT_MODIFIED && err->kind != ERROR_CANCELLED)
            atomic_fetch_add(&action->failures, 1);
        return result;
    }
    while (bucket < COUNT(bounds_us) && took_us > bounds_us[bucket])
        bucket++;
    atomic_fetch_add(&action->buckets[bucket], 1);
    atomic_fetch_add(&action->sum_us, took_us);
    return result;
}

/* ---- text ---- */

static void add_head(struct str *out, const char *name, const char *type, const char *help)
{
    str_add_format(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void add_label(struct str *out, const char *name, const char *value)
{
    str_add_format(out, "%s=\"", name);
    for (; *value; value++)
        if (*value == '\n')
            str_add(out, "\\n");
        else if (*value == '"' || *value == '\\')
            str_add_format(out, "\\%c", *value);
        else
            str_add_char(out, *value);
    str_add_char(out, '"');
}

static void add_number(struct str *out, const char *name, const char *type, const char *help,
                       double value)
{
    add_head(out, name, type, help);
    str_add_format(out, "%s %.15g\n", name, value);
}

static void add_labelled(struct str *out, const char *name, const char *label, const char *value,
                         double number)
{
    str_add_format(out, "%s{", name);
    add_label(out, label, value);
    str_add_format(out, "} %.15g\n", number);
}

static void write_actions(const struct metrics *metrics, struct str *out)
{
    static const char name[] = "engine_daemon_container_actions_seconds";
    static const char failures[] = "berth_container_action_failures_total";

    add_head(out, name, "histogram", "Seconds that actions on containers took");
    for (size_t i = 0; i < METRIC_COUNT; i++) {
        const struct action *action = &metrics->actions[i];
        uint64_t count = 0;

        for (size_t b = 0; b < COUNT(bounds_us); b++) {
            count += atomic_load(&action->buckets[b]);
            str_add_format(out, "%s_bucket{action=\"%s\",le=\"%g\"} %" PRIu64 "\n", name,
                           action_names[i], (double)bounds_us[b] / 1e6, count);
        }
        count += atomic_load(&action->buckets[COUNT(bounds_us)]);
        str_add_format(out, "%s_bucket{action=\"%s\",le=\"+Inf\"} %" PRIu64 "\n", name,
                       action_names[i], count);
        str_add_format(out, "%s_sum{action=\"%s\"} %.15g\n%s_count{action=\"%s\"} %" PRIu64 "\n",
                       name, action_names[i], (double)atomic_load(&action->sum_us) / 1e6, name,
                       action_names[i], count);
    }
    add_head(out, failures, "counter", "Actions on containers that failed");
    for (size_t i = 0; i < METRIC_COUNT; i++)
        add_labelled(out, failures, "action", action_names[i],
                     (double)atomic_load(&metrics->actions[i].failures));
}

static void write_containers(struct engine *engine, struct str *out)
{
    static const char *const states[] = { "paused", "running", "stopped" };
    static const char *const healths[] = { "healthy", "none", "starting", "unhealthy" };
    int64_t by_state[COUNT(states)] = {}, by_health[COUNT(healths)] = {};

    mutex_lock(&engine->lock);
    MAP_EACH (&engine->containers, entry) {
        CLEANUP(container_info_unref)
        struct container_info *info = container_snapshot(entry->value);
        bool is_running = info->state == CONTAINER_RUNNING || info->state == CONTAINER_RESTARTING;

        by_state[info->state == CONTAINER_PAUSED ? 0 : is_running ? 1 : 2]++;
        for (size_t i = 0; container_is_up(info) && i < COUNT(healths); i++)
            by_health[i] += strcmp(health_status(info->health), healths[i]) == 0;
    }
    mutex_unlock(&engine->lock);
    add_head(out, "engine_daemon_container_states_containers", "gauge", "Containers by state");
    for (size_t i = 0; i < COUNT(states); i++)
        add_labelled(out, "engine_daemon_container_states_containers", "state", states[i],
                     (double)by_state[i]);
    add_head(out, "berth_container_health_containers", "gauge",
             "Containers that are up, by health");
    for (size_t i = 0; i < COUNT(healths); i++)
        add_labelled(out, "berth_container_health_containers", "health", healths[i],
                     (double)by_health[i]);
}

static void write_machine(struct engine *engine, struct str *out)
{
    struct sysinfo memory = {};
    struct utsname host = {};

    sysinfo(&memory);
    uname(&host);
    add_head(out, "engine_daemon_engine_info", "gauge", "What the engine is");
    str_add(out, "engine_daemon_engine_info{");
    const char *const labels[][2] = { { "architecture", host.machine },
                                      { "daemon_id", engine->uuid },
                                      { "graphdriver", store_driver(engine->store) },
                                      { "kernel", host.release },
                                      { "os_type", "linux" },
                                      { "version", BERTH_VERSION } };
    for (size_t i = 0; i < COUNT(labels); i++) {
        if (i)
            str_add_char(out, ',');
        add_label(out, labels[i][0], labels[i][1]);
    }
    str_add(out, "} 1\n");
    add_number(out, "engine_daemon_engine_cpus_cpus", "gauge", "CPUs of the machine", get_nprocs());
    add_number(out, "engine_daemon_engine_memory_bytes", "gauge", "Memory of the machine",
               (double)memory.totalram * memory.mem_unit);
}

static void write_process(const struct metrics *metrics, struct str *out)
{
    CLEANUP(str_done) struct str text = {};
    struct rusage usage = {};
    long pages = 0;

    if (file_read("/proc/self/statm", STATM_LIMIT, &text, NULL) == 0)
        sscanf(str_text(&text), "%*d %ld", &pages);
    getrusage(RUSAGE_SELF, &usage);
    add_number(out, "process_resident_memory_bytes", "gauge", "Memory of the daemon",
               (double)pages * (double)sysconf(_SC_PAGESIZE));
    add_number(out, "process_cpu_seconds_total", "counter", "CPU time of the daemon",
               (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                   (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
    add_number(out, "process_start_time_seconds", "gauge", "When the daemon began, since 1970",
               (double)metrics->started_ns / (double)NS_PER_S);
}

void engine_metrics_write(struct engine *engine, struct str *out)
{
    int64_t probes, failures;

    health_counts(engine, &probes, &failures);
    write_machine(engine, out);
    write_containers(engine, out);
    write_actions(engine->metrics, out);
    add_number(out, "engine_daemon_events_total", "counter", "Events that were told",
               (double)event_ring_total(engine->events));
    add_number(out, "engine_daemon_events_subscribers_total", "gauge", "Clients that follow events",
               event_ring_listeners(engine->events));
    add_number(out, "engine_daemon_health_checks_total", "counter", "Health checks that ended",
               (double)probes);
    add_number(out, "engine_daemon_health_checks_failed_total", "counter",
               "Health checks that failed", (double)failures);
    write_process(engine->metrics, out);
}
