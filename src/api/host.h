/* What the engine tells of the machine it runs on. */
#ifndef BERTH_API_HOST_H
#define BERTH_API_HOST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"

struct host {
    char *kernel;           /* "6.1.0-28-amd64" */
    char *machine;          /* "x86_64" */
    char *name;             /* host name */
    char *operating_system; /* "Debian GNU/Linux 12 (bookworm)" */
    char *os_version;       /* "12" */
    int64_t cpu_count, memory_bytes;
    int64_t open_file_count, thread_count; /* of this process */
    bool cgroup_v2;
    bool memory_limit, swap_limit, kernel_memory_tcp, oom_kill_disable;
    bool cpu_shares, cpu_cfs, cpuset, pids_limit;
    bool ipv4_forwarding;
    bool apparmor, cgroup_namespaces;
};

/* Reads it all anew. What cannot be read is "", 0 or false. */
void host_read(struct host *out);
void host_done(struct host *host);
CLEANUP_VALUE(host_done, struct host)

#endif
