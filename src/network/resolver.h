/* The sockets at 127.0.0.11 in a container's network namespace, where it asks for names. Who
 * answers on them is none of this folder's business. */
#ifndef BERTH_NETWORK_RESOLVER_H
#define BERTH_NETWORK_RESOLVER_H

#include "base/error.h"

/* Opens both, bound to ports that the kernel chose, so that the container's own programs may still
 * have port 53; a table in the namespace makes 127.0.0.11:53 lead there. */
int resolver_open(int home_fd, int namespace_fd, int *out_udp_fd, int *out_tcp_fd,
                  struct error *err);

#endif
