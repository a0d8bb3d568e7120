/* What a control group used so far, read from the kernel's files of either version. */
#ifndef BERTH_LINUX_CGROUP_USAGE_H
#define BERTH_LINUX_CGROUP_USAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"

#define CGROUP_UNLIMITED UINT64_MAX

/* One line of a block device's counters. */
struct cgroup_io {
    uint64_t major, minor, value;
    char operation[16]; /* version 1: "Read", "Write", "Sync", …; version 2: "read", "write" */
};
struct cgroup_io_list {
    struct cgroup_io *items;
    size_t count;
};

/* One number of memory.stat. */
struct cgroup_counter {
    const char *name;
    uint64_t value;
};

struct cgroup_usage {
    bool is_v2;
    uint64_t cpu_ns, cpu_user_ns, cpu_system_ns;
    uint64_t *per_cpu_ns; /* version 1 only */
    size_t cpu_count;
    uint64_t periods, throttled_periods, throttled_ns;
    uint64_t memory_bytes, memory_max_bytes, memory_limit_bytes, memory_failures;
    struct cgroup_counter *memory_counters; /* those that clients know, by name */
    size_t memory_counter_count;
    uint64_t process_count, process_limit;
    struct cgroup_io_list io_bytes, io_operations; /* operations: version 1 only */
};

/* What cannot be read stays 0. A group that is gone gives zeroes. */
void cgroup_usage_read(const char *path, struct cgroup_usage *out);
void cgroup_usage_done(struct cgroup_usage *usage);
CLEANUP_VALUE(cgroup_usage_done, struct cgroup_usage)

/* ---- the texts of the files ---- */

/* "254:0 Read 102400" lines; the line of the sum is left out. */
void cgroup_io_parse_v1(const char *text, struct cgroup_io_list *out);
/* "254:0 rbytes=1 wbytes=2 …" lines. */
void cgroup_io_parse_v2(const char *text, struct cgroup_io_list *out);
/* The number behind "name " at the start of a line; 0 if there is none. */
uint64_t cgroup_stat_value(const char *text, const char *name);

#endif
