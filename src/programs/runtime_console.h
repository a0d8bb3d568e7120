/* The terminal of a container, handed to somebody else or relayed to our own; and waiting. */
#ifndef BERTH_PROGRAMS_RUNTIME_CONSOLE_H
#define BERTH_PROGRAMS_RUNTIME_CONSOLE_H

#include "base/error.h"
#include "runtime/container.h"

/* Sends a terminal's descriptor to a unix stream socket, as runc does. */
int console_send(const char *socket_path, int console_fd, struct error *err);

/* Signals that are passed on while we wait are blocked from here on: call before the process
 * starts. Returns a signalfd. */
int console_catch_signals(struct error *err);

/* Waits for the end of the process; relays its terminal if it has one and passes signals on. Gives
 * its exit code, or 128 + signal. */
int console_wait(struct container *container, int signal_fd, int *out_code, struct error *err);

#endif
