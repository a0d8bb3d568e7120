/* Requests about one process of the container and the clients of its stdio; further processes are
 * in exec.h. */
#ifndef BERTH_SHIM_REQUEST_PROCESS_H
#define BERTH_SHIM_REQUEST_PROCESS_H

#include "shim/supervise.h"

int request_signal(struct supervisor *shim, struct wire_message *request,
                   struct wire_message *reply, struct error *err);
int request_resize(struct supervisor *shim, struct wire_message *request,
                   struct wire_message *reply, struct error *err);
int request_attach(struct supervisor *shim, struct wire_message *request,
                   struct wire_message *reply, struct error *err);

/* config.json of the bundle, read again whenever it is needed: a supervisor keeps no copy. */
int request_read_config(const struct supervisor *shim, struct runtime_config *out,
                        struct error *err);
/* The compiled filter, mapped while it is needed; none is a zeroed struct. */
int request_map_seccomp(const struct supervisor *shim, struct seccomp_program *out,
                        struct error *err);
void request_unmap_seccomp(struct seccomp_program *program);

#endif
