/* A program's talk with a service manager (systemd's protocol): sockets that were opened for it,
 * and word of how it is. */
#ifndef BERTH_PROGRAMS_SERVICE_H
#define BERTH_PROGRAMS_SERVICE_H

#include <stdbool.h>

#include "base/error.h"

enum { SERVICE_FIRST_FD = 3 };

/* How many sockets were passed (LISTEN_FDS), from SERVICE_FIRST_FD on. */
int service_passed_count(void);
/* INVALID if the descriptor is no listening socket. Children do not inherit it afterwards. */
int service_take_fd(int fd, bool *out_is_tcp, struct error *err);

/* "READY=1", "STOPPING=1" to NOTIFY_SOCKET, if there is one. */
void service_notify(const char *state);

#endif
