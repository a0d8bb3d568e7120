/* A tree of this engine's goes to a directory of the client's (output type=local). */
#ifndef BERTH_BUILDKIT_SEND_H
#define BERTH_BUILDKIT_SEND_H

#include "buildkit/peer.h"

/* Sends all below 'tree_fd'; 'prefix' (NULL: none) is a directory that it goes into. 'exporter' is
 * the place of the exporter among those of the build. */
int send_directory(struct peer *session, size_t exporter, int tree_fd, const char *prefix,
                   int cancel_fd, struct error *err);

#endif
