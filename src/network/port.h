/* Ports of this host that containers publish. A bound socket keeps a port from everybody else; it
 * never listens, packets are sent on by the firewall before they would reach it. */
#ifndef BERTH_NETWORK_PORT_H
#define BERTH_NETWORK_PORT_H

#include <stdbool.h>

#include "base/error.h"
#include "network/network.h"

/* IPPROTO_TCP and so on; INVALID for an unknown name. */
int port_protocol(const char *name, uint8_t *out, struct error *err);

/* Binds what 'wish' asks for (its host_ip is filled in) and writes to 'got' what it became. The
 * descriptor is no socket if the kernel has none for the protocol (sctp); *out_is_held is false
 * then. CONFLICT "Bind for 0.0.0.0:80 failed: port is already allocated". */
int port_bind(const struct port_mapping *wish, struct port_mapping *got, int *out_fd,
              bool *out_is_held, struct error *err);

/* "nginx, pid 123": who has a socket of that port. Slow; for error texts. NULL if it cannot be
 * told. */
char *port_holder(const char *protocol, uint16_t port);

#endif
