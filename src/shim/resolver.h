/* The name server that a container finds at 127.0.0.11. It lives in the supervisor, so that names
 * go on being answered while there is no daemon: containers of the same networks come out of the
 * networks' tables (spec/names.h), everything else is asked of the servers outside. Every message
 * may be hostile: from within, from neighbours and from outside. */
#ifndef BERTH_SHIM_RESOLVER_H
#define BERTH_SHIM_RESOLVER_H

#include <stdint.h>

#include "spec/names.h"

struct resolver;
struct supervisor;

/* All descriptors are taken: the container's network namespace, and two sockets of it. */
struct resolver *resolver_new(struct supervisor *shim, int namespace_fd, int udp_fd, int tcp_fd);
void resolver_set(struct resolver *resolver, struct resolver_settings *settings); /* taken */
void resolver_free(struct resolver *resolver);                                    /* NULL is fine */

uint64_t resolver_deadline(const struct resolver *resolver); /* 0: none */
void resolver_expire(struct resolver *resolver, uint64_t now_ns);

#endif
