/* Containers that another runtime makes: its OCI command line (create, start, exec, delete) is
 * called where berth's own library would do the work. All else is the same: the supervisor is the
 * processes' reaper, holds their stdio or terminal, and signals them by descriptors of its own.
 *
 * The runtime sees the root and what else has no path of its own in a mount namespace of the
 * supervisor's, which ends with it. */
#ifndef BERTH_SHIM_OCI_H
#define BERTH_SHIM_OCI_H

#include "runtime/container.h"
#include "shim/supervise.h"

/* As container_create. The runtime was named by CREATE. Errors have the runtime's own words. */
int oci_create(struct supervisor *shim, const struct container_options *options,
               struct container *out, struct error *err);
int oci_start(struct supervisor *shim, struct error *err);

/* Where the runtime sends the terminal of an exec to; -1: there is none. */
struct oci_terminal {
    int listen_fd, dir_fd;
};
void oci_terminal_done(struct oci_terminal *terminal);

/* Starts the runtime for an exec; *out_pid is its own process. When that has ended with 'status',
 * _finish says what became of it, and ends 'terminal'. */
int oci_exec_begin(struct supervisor *shim, const char *exec_id,
                   const struct runtime_process *process, const int stdio[3], pid_t *out_pid,
                   struct oci_terminal *out_terminal, struct error *err);
int oci_exec_finish(struct supervisor *shim, const char *exec_id, int status,
                    struct oci_terminal *terminal, struct container *out, struct error *err);

/* Takes away what the runtime keeps of the container. */
int oci_delete(struct supervisor *shim, struct error *err);

#endif
