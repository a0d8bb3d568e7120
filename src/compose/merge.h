/* How a later file changes an earlier one: dicts are merged deep, scalars replaced, lists joined,
 * except where the tables (compose/field.h) say otherwise. "!reset" removes, "!override" replaces.
 * Both trees have passed field_apply. */
#ifndef BERTH_COMPOSE_MERGE_H
#define BERTH_COMPOSE_MERGE_H

#include "compose/field.h"

/* Changes 'base' in place. 'over' is taken. */
void merge_into(const struct field *field, struct yaml *base, struct yaml *over);

/* Elements of lists that stand for the same thing: the later one takes the place of the earlier. */
void merge_unique(const struct field *field, struct yaml *node);

/* Takes out what "!reset" marked; for files that nothing was merged into. */
void merge_drop_resets(struct yaml *node);

#endif
