/* Version 1 keeps a file per number, version 2 flat lists. Both are told in the same units. */
#include "linux/cgroup_usage.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"
#include "linux/cgroup.h"

#include "base/banned.h"

#define NS_PER_TICK (NS_PER_S / 100) /* USER_HZ is 100 wherever Linux tells ticks */

enum { IO_LIMIT = 4096, CPU_LIMIT = 8192 };

/* clang-format off */
static const char *const counters_v1[] = {
    "active_anon", "active_file", "cache", "dirty", "hierarchical_memory_limit", "hierarchical_memsw_limit", "inactive_anon",
    "inactive_file", "mapped_file", "pgfault", "pgmajfault", "pgpgin", "pgpgout", "rss", "rss_huge", "total_active_anon",
    "total_active_file", "total_cache", "total_dirty", "total_inactive_anon", "total_inactive_file", "total_mapped_file",
    "total_pgfault", "total_pgmajfault", "total_pgpgin", "total_pgpgout", "total_rss", "total_rss_huge", "total_unevictable",
    "total_writeback", "unevictable", "writeback",
};
static const char *const counters_v2[] = {
    "active_anon", "active_file", "anon", "anon_thp", "file", "file_dirty", "file_mapped", "file_writeback", "inactive_anon",
    "inactive_file", "kernel_stack", "pgactivate", "pgdeactivate", "pgfault", "pglazyfree", "pglazyfreed", "pgmajfault",
    "pgrefill", "pgscan", "pgsteal", "shmem", "slab", "slab_reclaimable", "slab_unreclaimable", "sock", "thp_collapse_alloc",
    "thp_fault_alloc", "unevictable", "workingset_activate", "workingset_nodereclaim", "workingset_refault",
};
/* clang-format on */

uint64_t cgroup_stat_value(const char *text, const char *name)
{
    size_t length = strlen(name);

    for (const char *line = text; line; line = strchr(line, '\n'), line += line != NULL)
        if (strncmp(line, name, length) == 0 && line[length] == ' ')
            return strtoull(line + length + 1, NULL, 10);
    return 0;
}

static void add_io(struct cgroup_io_list *list, uint64_t major, uint64_t minor,
                   const char *operation, uint64_t value)
{
    if (list->count == IO_LIMIT)
        return;
    list->items = xrealloc(list->items, list->count + 1, sizeof(*list->items));
    struct cgroup_io *entry = &list->items[list->count++];
    *entry = (struct cgroup_io){ .major = major, .minor = minor, .value = value };
    snprintf(entry->operation, sizeof(entry->operation), "%s", operation);
}

void cgroup_io_parse_v1(const char *text, struct cgroup_io_list *out)
{
    for (const char *line = text; line; line = strchr(line, '\n'), line += line != NULL) {
        uint64_t major, minor, value;
        char operation[16];

        if (sscanf(line, "%" SCNu64 ":%" SCNu64 " %15s %" SCNu64, &major, &minor, operation,
                   &value) == 4)
            add_io(out, major, minor, operation, value);
    }
}

/* "key=" in the line that begins at 'line'. */
static uint64_t field_of(const char *line, const char *key)
{
    const char *end = strchrnul(line, '\n');
    const char *at = strstr(line, key);

    return at && at < end ? strtoull(at + strlen(key), NULL, 10) : 0;
}

void cgroup_io_parse_v2(const char *text, struct cgroup_io_list *out)
{
    for (const char *line = text; line; line = strchr(line, '\n'), line += line != NULL) {
        uint64_t major, minor;

        if (sscanf(line, "%" SCNu64 ":%" SCNu64, &major, &minor) != 2)
            continue;
        add_io(out, major, minor, "read", field_of(line, " rbytes="));
        add_io(out, major, minor, "write", field_of(line, " wbytes="));
    }
}

/* A number, or CGROUP_UNLIMITED for "max"; 0 if there is no such file. */
static uint64_t number(const char *path, const char *controller, const char *file)
{
    CLEANUP(free) char *text = cgroup_read(path, controller, file);

    if (text && strcmp(text, "max") == 0)
        return CGROUP_UNLIMITED;
    return text ? strtoull(text, NULL, 10) : 0;
}

/* The whole text of a file, "" if there is none; yours. */
static char *text_of(const char *path, const char *controller, const char *file)
{
    char *text = cgroup_read(path, controller, file);

    return text ? text : xstrdup("");
}

static void keep_counters(const char *text, const char *const *names, size_t count,
                          struct cgroup_usage *out)
{
    out->memory_counters = xcalloc(count, sizeof(*out->memory_counters));
    out->memory_counter_count = count;
    for (size_t i = 0; i < count; i++)
        out->memory_counters[i] = (struct cgroup_counter){ names[i],
                                                           cgroup_stat_value(text, names[i]) };
}

/* ---- version 1 ---- */

static void read_cpu_v1(const char *path, struct cgroup_usage *out)
{
    CLEANUP(free) char *each = text_of(path, "cpuacct", "cpuacct.usage_percpu");
    CLEANUP(free) char *split = text_of(path, "cpuacct", "cpuacct.stat");
    CLEANUP(free) char *throttled = text_of(path, "cpu", "cpu.stat");
    char *at = each, *end;

    out->cpu_ns = number(path, "cpuacct", "cpuacct.usage");
    out->cpu_user_ns = cgroup_stat_value(split, "user") * NS_PER_TICK;
    out->cpu_system_ns = cgroup_stat_value(split, "system") * NS_PER_TICK;
    for (; out->cpu_count < CPU_LIMIT; at = end) {
        uint64_t value = strtoull(at, &end, 10);

        if (end == at)
            break;
        out->per_cpu_ns = xrealloc(out->per_cpu_ns, out->cpu_count + 1, sizeof(value));
        out->per_cpu_ns[out->cpu_count++] = value;
    }
    out->periods = cgroup_stat_value(throttled, "nr_periods");
    out->throttled_periods = cgroup_stat_value(throttled, "nr_throttled");
    out->throttled_ns = cgroup_stat_value(throttled, "throttled_time");
}

static void read_memory_v1(const char *path, struct cgroup_usage *out)
{
    CLEANUP(free) char *text = text_of(path, "memory", "memory.stat");

    out->memory_bytes = number(path, "memory", "memory.usage_in_bytes");
    out->memory_max_bytes = number(path, "memory", "memory.max_usage_in_bytes");
    out->memory_limit_bytes = number(path, "memory", "memory.limit_in_bytes");
    out->memory_failures = number(path, "memory", "memory.failcnt");
    keep_counters(text, counters_v1, COUNT(counters_v1), out);
}

static void read_io_v1(const char *path, struct cgroup_usage *out)
{
    CLEANUP(free) char *bytes = text_of(path, "blkio", "blkio.throttle.io_service_bytes");
    CLEANUP(free) char *operations = text_of(path, "blkio", "blkio.throttle.io_serviced");

    cgroup_io_parse_v1(bytes, &out->io_bytes);
    cgroup_io_parse_v1(operations, &out->io_operations);
}

/* ---- version 2 ---- */

static void read_cpu_v2(const char *path, struct cgroup_usage *out)
{
    CLEANUP(free) char *text = text_of(path, "cpu", "cpu.stat");

    out->cpu_ns = cgroup_stat_value(text, "usage_usec") * 1000;
    out->cpu_user_ns = cgroup_stat_value(text, "user_usec") * 1000;
    out->cpu_system_ns = cgroup_stat_value(text, "system_usec") * 1000;
    out->periods = cgroup_stat_value(text, "nr_periods");
    out->throttled_periods = cgroup_stat_value(text, "nr_throttled");
    out->throttled_ns = cgroup_stat_value(text, "throttled_usec") * 1000;
}

static void read_memory_v2(const char *path, struct cgroup_usage *out)
{
    CLEANUP(free) char *text = text_of(path, "memory", "memory.stat");
    CLEANUP(free) char *events = text_of(path, "memory", "memory.events");

    out->memory_bytes = number(path, "memory", "memory.current");
    out->memory_limit_bytes = number(path, "memory", "memory.max");
    out->memory_failures = cgroup_stat_value(events, "oom");
    keep_counters(text, counters_v2, COUNT(counters_v2), out);
    for (size_t i = 0; i < out->memory_counter_count; i++) {
        struct cgroup_counter *counter = &out->memory_counters[i];

        /* The kernel tells pages of files and of anonymous memory apart since 5.9. */
        if (strcmp(counter->name, "workingset_refault") == 0 && !counter->value)
            counter->value = cgroup_stat_value(text, "workingset_refault_anon") +
                             cgroup_stat_value(text, "workingset_refault_file");
        else if (strcmp(counter->name, "workingset_activate") == 0 && !counter->value)
            counter->value = cgroup_stat_value(text, "workingset_activate_anon") +
                             cgroup_stat_value(text, "workingset_activate_file");
    }
}

static void read_io_v2(const char *path, struct cgroup_usage *out)
{
    CLEANUP(free) char *text = text_of(path, "io", "io.stat");

    cgroup_io_parse_v2(text, &out->io_bytes);
}

void cgroup_usage_read(const char *path, struct cgroup_usage *out)
{
    *out = (struct cgroup_usage){ .is_v2 = cgroup_version() == CGROUP_V2 };
    if (out->is_v2) {
        read_cpu_v2(path, out);
        read_memory_v2(path, out);
        read_io_v2(path, out);
    } else {
        read_cpu_v1(path, out);
        read_memory_v1(path, out);
        read_io_v1(path, out);
    }
    out->process_count = number(path, "pids", "pids.current");
    out->process_limit = number(path, "pids", "pids.max");
}

void cgroup_usage_done(struct cgroup_usage *usage)
{
    free(usage->per_cpu_ns);
    free(usage->memory_counters);
    free(usage->io_bytes.items);
    free(usage->io_operations.items);
    *usage = (struct cgroup_usage){};
}
