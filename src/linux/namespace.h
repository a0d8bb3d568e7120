/* Namespaces: names, descriptors, entering them, and clone3. */
#ifndef BERTH_LINUX_NAMESPACE_H
#define BERTH_LINUX_NAMESPACE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

/* CLONE_NEW… of the runtime spec's name ("network", "mount", …); 0 for an unknown one. */
uint64_t namespace_flag(const char *type);
/* Name of the file below /proc/<pid>/ns ("net", "mnt", …) for a single flag. */
const char *namespace_file(uint64_t flag);

/* Opens a namespace's file and verifies that it is one of that kind. NOT_FOUND, INVALID. */
int namespace_open(const char *path, uint64_t flag, struct error *err);

/* setns for a descriptor of a namespace (one flag), or of a process (pidfd; several flags at
 * once). */
int namespace_join(int fd, uint64_t flags, struct error *err);

/* Whether the process is in the same one as the caller; true if the kernel has no such kind. */
bool namespace_is_shared(pid_t pid, uint64_t flag);

/* fork into new namespaces: 0 in the child, its pid in the parent. Signal handlers are reset in the
 * child. 'cgroup_fd' (-1: none) is the cgroup v2 directory that it is born in; kernels before 5.7
 * are told to do without. With CLONE_PARENT among the flags the child is a sister of the caller and
 * tells its end like the caller will. The caller must have one thread. */
pid_t namespace_clone(uint64_t flags, int cgroup_fd, int *out_pidfd, struct error *err);

#endif
