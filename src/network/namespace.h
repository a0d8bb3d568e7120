/* Network namespaces, each kept alive by a descriptor only: nothing of them is to be seen in the
 * file system, and nothing is left when the last descriptor and the last process are gone. */
#ifndef BERTH_NETWORK_NAMESPACE_H
#define BERTH_NETWORK_NAMESPACE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* The namespace of the calling thread. */
int namespace_current(int *out_fd, struct error *err);

/* A new one, loopback up, Docker's sysctls set; other links have no IPv6 until they are told so.
 * The calling thread visits it and comes back to 'home_fd'. */
int namespace_create(int home_fd, int *out_fd, struct error *err);
/* Does to an empty one what namespace_create does to its own. */
int namespace_prepare(int home_fd, int fd, struct error *err);

/* A setting of the calling thread's namespace: a path below /proc/sys and its value. */
struct sysctl {
    const char *path, *value;
    bool is_optional; /* a kernel without it is fine */
};
/* Writes them in this order. Costs the same however many namespaces there are, which is not so with
 * the machine's own /proc: there all namespaces' files of one name are in one chain. */
int sysctls_write(const struct sysctl *rows, size_t count, struct error *err);

/* Runs something in 'fd' on the calling thread: sockets opened there belong to it, /proc/sys/net is
 * its own. A thread that cannot come back must not go on: the process ends then. */
int namespace_visit(int home_fd, int fd, int (*run)(void *data, struct error *err), void *data,
                    struct error *err);

#endif
