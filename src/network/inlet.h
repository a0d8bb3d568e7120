/* The way back from the host's input. In the firewall's mode "strict" what asks for a published
 * port goes to the host first, as if a program of the host listened there; what the rules for the
 * host's input accept is sent out by one end of a pair of links and comes in again by the other,
 * where it is translated and forwarded. Only the first packet of a connection goes that way: the
 * kernel remembers the translation for the rest. Source addresses stay as they are. */
#ifndef BERTH_NETWORK_INLET_H
#define BERTH_NETWORK_INLET_H

#include <net/if.h>

#include "base/error.h"

/* Where duplicated packets are sent to, in host order: no host has these addresses (RFC 7335, RFC
 * 6666). */
#define INLET_ADDRESS        0xc0000006 /* 192.0.0.6 */
#define INLET_ADDRESS6_FIRST 0x01000000 /* 100::6 */
#define INLET_ADDRESS6_LAST  6

struct inlet {
    char name[IFNAMSIZ], outer_name[IFNAMSIZ];
};
/* The names of an engine's pair. */
struct inlet inlet_of(const char *engine_id);

/* Makes the pair, or brings what is there into shape. */
int inlet_assert(const struct inlet *inlet, struct error *err);

#endif
