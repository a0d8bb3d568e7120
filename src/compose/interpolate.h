/* Variables in the values of a tree. */
#ifndef BERTH_COMPOSE_INTERPOLATE_H
#define BERTH_COMPOSE_INTERPOLATE_H

#include "codec/yaml.h"
#include "compose/spot.h"
#include "compose/variable.h"

/* Expands all texts in place; keys stay. INVALID "error while interpolating services.a.image: …" or
 * "invalid interpolation format for services.a.image.\nYou may need to escape any $ with another
 * $.\n<text>". */
int interpolate_tree(struct yaml *node, const struct spot *spot,
                     const struct variable_source *source, struct error *err);

#endif
