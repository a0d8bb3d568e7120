/* Counters of one container at one moment. */
#include "engine/container_usage.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysinfo.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "engine/internal.h"

#include "base/banned.h"

#define NS_PER_TICK (NS_PER_S / 100)

enum { STAT_LIMIT = 16 << 20 };

/* "cpu  user nice system idle iowait irq softirq …", then a line for each CPU that is online. */
static void read_machine(struct container_usage *out)
{
    CLEANUP(str_done) struct str text = {};
    struct sysinfo memory = {};
    uint64_t ticks[7] = {};

    sysinfo(&memory);
    out->machine_memory_bytes = (int64_t)memory.totalram * memory.mem_unit;
    if (file_read("/proc/stat", STAT_LIMIT, &text, NULL) < 0)
        return;
    sscanf(str_text(&text),
           "cpu %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64,
           &ticks[0], &ticks[1], &ticks[2], &ticks[3], &ticks[4], &ticks[5], &ticks[6]);
    for (size_t i = 0; i < COUNT(ticks); i++)
        out->machine_cpu_ns += ticks[i] * NS_PER_TICK;
    for (const char *line = strchr(str_text(&text), '\n'); line && text_starts(line, "\ncpu");
         line = strchr(line + 1, '\n'))
        out->cpu_count++;
}

void engine_container_usage(struct engine *engine, const struct container_info *info,
                            struct container_usage *out)
{
    CLEANUP(free) char *cgroup = container_cgroup(engine, info);

    *out = (struct container_usage){};
    if (!container_is_up(info))
        return;
    out->read_ns = clock_wall_ns();
    out->read_elapsed_ns = clock_monotonic_ns();
    cgroup_usage_read(cgroup, &out->groups);
    read_machine(out);
    if (!text_equal(info->host_config.network_mode, "host"))
        out->interface_count = interface_usage_read(info->pid, &out->interfaces);
}

void engine_container_usage_after(struct engine *engine, const struct container_info *info,
                                  const struct container_usage *before, struct container_usage *out)
{
    engine_container_usage(engine, info, out);
    if (out->read_ns)
        out->machine_cpu_ns = before->machine_cpu_ns +
                              (out->read_elapsed_ns - before->read_elapsed_ns) *
                                  (uint64_t)out->cpu_count;
}

void container_usage_done(struct container_usage *usage)
{
    cgroup_usage_done(&usage->groups);
    free(usage->interfaces);
    *usage = (struct container_usage){};
}
