/* The kernel remembers where it sent the packets of a flow, and goes on like that whatever the
 * firewall says by then. TCP connections end by themselves; UDP has none, so a client that never
 * falls silent would talk to a container that is gone, or to nobody, for ever. */
#ifndef BERTH_NETWORK_CONNTRACK_H
#define BERTH_NETWORK_CONNTRACK_H

#include <stdint.h>

#include "base/error.h"

/* Makes the kernel forget all flows of that protocol (IPPROTO_UDP, …) to that port of any address.
 * UNSUPPORTED before Linux 5.8. */
int conntrack_forget(uint8_t protocol, uint16_t port, struct error *err);

#endif
