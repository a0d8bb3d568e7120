/* Where we are in a compose file, for messages: "services.web.ports.0". Spots live on the stack of
 * the walk, each pointing to the one above it. */
#ifndef BERTH_COMPOSE_SPOT_H
#define BERTH_COMPOSE_SPOT_H

#include "base/error.h"
#include "codec/yaml.h"

struct spot {
    const struct spot *above;
    const char *name; /* NULL: the element 'index' of a list */
    size_t index;
};

/* "services.web.ports.0"; "" at the top. Long names are cut. Yours. */
char *spot_text(const struct spot *spot);

/* What stands at a spot of the tree, or the nearest above it that came from a file; NULL: none did.
 */
const struct yaml *spot_find(const struct yaml *root, const struct spot *spot);

/* Says where the fault is that the message tells already: adds " (<file>:<line>: <spot>; <remedy>)"
 * (NULL spot: the message has the key; NULL remedy: it is plain what to do). Returns -1. */
int spot_place(const struct spot *spot, const struct yaml *node, const char *remedy,
               struct error *err);

/* INVALID "validating <file>: <spot> <words> (line N)". 'node' says the file and line. */
int spot_error(const struct spot *spot, const struct yaml *node, struct error *err,
               const char *format, ...) PRINTF(4, 5);

#endif
