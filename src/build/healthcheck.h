/* HEALTHCHECK: its flags and arguments as a configuration. */
#ifndef BERTH_BUILD_HEALTH_H
#define BERTH_BUILD_HEALTH_H

#include "build/instruction.h"
#include "spec/container.h"

/* Fills 'out' (zeroed). INVALID 'Unknown type "X" in HEALTHCHECK (try
 * CMD)', 'Interval "interval" cannot be less than 1ms'… */
int health_read(const struct instruction *instruction, struct health_config *out,
                struct error *err);
int health_check(const struct instruction *instruction, struct error *err);

#endif
