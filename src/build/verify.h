/* Were two builds of the same thing the same? */
#ifndef BERTH_BUILD_VERIFY_H
#define BERTH_BUILD_VERIFY_H

#include "base/error.h"
#include "base/str.h"
#include "store/store.h"

/* 1 if both images are made of the same files and configuration; 0 and the first difference as a
 * sentence. */
int verify_compare(struct store *store, const char *first_id, const char *second_id,
                   struct str *out_difference, struct error *err);

#endif
