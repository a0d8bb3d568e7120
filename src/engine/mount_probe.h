/* Looking at a path of the host that a user has named: what is mounted there may never answer. */
#ifndef BERTH_ENGINE_MOUNT_PROBE_H
#define BERTH_ENGINE_MOUNT_PROBE_H

#include <stdbool.h>

#include "base/error.h"

/* Whether there is something. UNAVAILABLE if nobody answers for a while. */
int mount_probe(const char *path, bool *out_exists, struct error *err);

#endif
