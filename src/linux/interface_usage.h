/* Counters of network interfaces, as /proc/<pid>/net/dev tells them. */
#ifndef BERTH_LINUX_INTERFACE_USAGE_H
#define BERTH_LINUX_INTERFACE_USAGE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct interface_usage {
    char name[16];
    uint64_t received_bytes, received_packets, received_errors, received_dropped;
    uint64_t sent_bytes, sent_packets, sent_errors, sent_dropped;
};

/* The interfaces of the network namespace of 'pid', by name, without the loopback and those that
 * the kernel puts into every namespace. Returns the count; the array is yours (NULL if 0). */
size_t interface_usage_read(pid_t pid, struct interface_usage **out);
size_t interface_usage_parse(const char *text, struct interface_usage **out);

#endif
