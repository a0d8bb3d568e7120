/* Which devices a cgroup v2 group may use: a small eBPF program that does what version 1's
 * devices.allow and devices.deny did. */
#ifndef BERTH_LINUX_DEVICE_FILTER_H
#define BERTH_LINUX_DEVICE_FILTER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

#define DEVICE_MKNOD 1
#define DEVICE_READ  2
#define DEVICE_WRITE 4

struct device_rule {
    bool allow;
    char type;            /* 'a' (everything: resets what was said before), 'c' or 'b' */
    int64_t major, minor; /* -1: any */
    unsigned access;      /* DEVICE_… */
};

/* Encodes rules, applied in order as version 1 does, into a program (an array of struct bpf_insn).
 * Starts from "all denied". Needs nothing of the kernel. */
void device_filter_encode(const struct device_rule *rules, size_t count, struct buf *out);

/* Loads a program and attaches it to the group behind the descriptor, replacing none. */
int device_filter_attach(int cgroup_fd, const struct buf *program, struct error *err);

#endif
