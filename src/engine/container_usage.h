/* What a container uses, and which processes it has: asked of the kernel when somebody wants to
 * know. Nothing of the container is run for it. */
#ifndef BERTH_ENGINE_CONTAINER_USAGE_H
#define BERTH_ENGINE_CONTAINER_USAGE_H

#include "engine/container.h"
#include "linux/cgroup_usage.h"
#include "linux/interface_usage.h"

struct container_usage {
    int64_t read_ns;          /* wall clock; 0: it did not run */
    uint64_t read_elapsed_ns; /* the same moment by the monotonic clock */
    struct cgroup_usage groups;
    uint64_t machine_cpu_ns; /* time that all CPUs spent since boot, idling included */
    int64_t cpu_count;
    int64_t machine_memory_bytes;
    struct interface_usage *interfaces; /* none in the host's network namespace */
    size_t interface_count;
};

/* All zero for a container that does not run. */
void engine_container_usage(struct engine *engine, const struct container_info *info,
                            struct container_usage *out);
/* One more sample, soon after 'before'. The kernel counts the machine's time in steps of 10 ms,
 * which is too coarse for a short while: it is before's plus what passed by the clock, for each
 * CPU. */
void engine_container_usage_after(struct engine *engine, const struct container_info *info,
                                  const struct container_usage *before,
                                  struct container_usage *out);
void container_usage_done(struct container_usage *usage);
CLEANUP_VALUE(container_usage_done, struct container_usage)

/* Its processes as the host's `ps` shows them with those arguments ("-ef"). CONFLICT if it does not
 * run, INTERNAL with the words of ps if that refuses. */
struct process_table {
    struct strv titles;
    struct strv *rows;
    size_t row_count;
};
int engine_container_top(struct engine *engine, const char *text, const char *arguments,
                         int cancel_fd, struct process_table *out, struct error *err);
void process_table_done(struct process_table *table);
CLEANUP_VALUE(process_table_done, struct process_table)

/* Chooses from what ps printed the rows of those processes. */
int process_table_parse(const char *text, const pid_t *pids, size_t count,
                        struct process_table *out, struct error *err);

#endif
