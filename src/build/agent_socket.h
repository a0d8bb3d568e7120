/* The socket by which a step reaches an agent that is elsewhere: each connection to it becomes one
 * to the agent. */
#ifndef BERTH_BUILD_AGENT_SOCKET_H
#define BERTH_BUILD_AGENT_SOCKET_H

#include <sys/types.h>

#include "build/secrets.h"

#define AGENT_CONNECTION_LIMIT 16 /* of one socket at once; more are turned away */

struct agent_socket;

/* Makes the socket 'name' in the directory at 'directory_path' (of ours) and serves it from threads
 * of its own until it is closed. 'secrets' is borrowed until then. */
int agent_socket_open(const struct build_secrets *secrets, const char *id,
                      const char *directory_path, const char *name, struct agent_socket **out,
                      struct error *err);

/* Ends all connections and waits for the threads. The file stays. */
void agent_socket_close(struct agent_socket *socket);

#endif
