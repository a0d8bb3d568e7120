/* HEALTHCHECK: its flags and arguments as a configuration. */
#ifndef BERTH_BUILD_HEALTHCHECK_H
#define BERTH_BUILD_HEALTHCHECK_H

#include "build/instruction.h"
#include "spec/container.h"

/* Fills 'out' (zeroed). INVALID 'Unknown type "X" in HEALTHCHECK (try
 * CMD)', 'Interval "interval" cannot be less than 1ms'… */
int healthcheck_read(const struct instruction *instruction, struct health_config *out,
                     struct error *err);
int healthcheck_check(const struct instruction *instruction, struct error *err);

#endif
