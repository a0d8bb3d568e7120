/* Capabilities: names, numbers, and the five sets of a process. A set is a mask of 1 << number. */
#ifndef BERTH_LINUX_CAPABILITY_H
#define BERTH_LINUX_CAPABILITY_H

#include <stdint.h>

#include "base/error.h"
#include "base/strv.h"

/* The last one that this kernel knows; looked up once, safe from any thread. */
int capability_last(void);

/* "CAP_CHOWN"; NULL for a number that has no name here. */
const char *capability_name(int number);

/* Of "CAP_CHOWN" (any case, the prefix may be missing); -1 if unknown to us or to the kernel. */
int capability_number(const char *name);

/* Names to mask; unknown ones are left out. */
uint64_t capability_mask(const struct strv *names);

struct capability_sets {
    uint64_t bounding, effective, permitted, inheritable, ambient;
};

/* Those of the calling thread. */
void capability_get(struct capability_sets *out);

/* Changes the calling thread. drop_bounding keeps what is in the mask and drops the rest; it needs
 * CAP_SETPCAP unless there is nothing to drop. set replaces effective, permitted and inheritable;
 * set_ambient replaces that set. */
int capability_drop_bounding(uint64_t keep, struct error *err);
int capability_set(const struct capability_sets *sets, struct error *err);
int capability_set_ambient(uint64_t mask, struct error *err);

#endif
