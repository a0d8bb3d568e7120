/* What a supervisor does when the daemon asks: one function per request of shim/wire.h. */
#ifndef BERTH_SHIM_REQUEST_H
#define BERTH_SHIM_REQUEST_H

#include "shim/supervise.h"

/* Serves one request and answers it. */
void request_serve(struct supervisor *shim, struct wire_message *request);

/* An exec has ended: told now, and again to each new daemon until one says that it heard. */
void request_tell_exec_exit(struct supervisor *shim, const char *exec_id, int exit_code,
                            int64_t exited_ns);
void request_forget_exec_exits(struct supervisor *shim);

/* Closes what came for the creation of the container and was not needed. */
void request_drop_sources(struct supervisor *shim);

#endif
