/* The resource limits of a runtime configuration, written into a cgroup. */
#ifndef BERTH_RUNTIME_LIMITS_H
#define BERTH_RUNTIME_LIMITS_H

#include "base/error.h"
#include "spec/runtime_config.h"

/* Unset values are left alone. v1 values are converted for v2 (shares to weight, swap = total minus
 * memory, blkio weight to io.weight). Also installs the device rules (v1: devices.allow/deny; v2:
 * an eBPF program on the group). */
int limits_apply(const char *cgroup_path, const struct runtime_resources *resources,
                 struct error *err);

/* For `update` of a running container: the same without devices; orders memory and swap writes so
 * that both go through. */
int limits_update(const char *cgroup_path, const struct runtime_resources *resources,
                  struct error *err);

#endif
