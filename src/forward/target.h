/* Where entries go: a connection that is made anew when it breaks. */
#ifndef BERTH_FORWARD_TARGET_H
#define BERTH_FORWARD_TARGET_H

#include "base/error.h"
#include "forward/entry.h"
#include "forward/settings.h"

struct target;

/* Connects. UNAVAILABLE if nobody is there: a container is not started then. 'settings' is
 * borrowed. */
int target_open(const struct forward_settings *settings, struct target **out, struct error *err);

/* Sends one entry, over a new connection if the old one has ended. -1: not sent; may be tried
 * again. */
int target_send(struct target *target, const struct forward_entry *entry, const char *text,
                struct error *err);

void target_free(struct target *target);
CLEANUP_POINTER(target_free, struct target)

#endif
