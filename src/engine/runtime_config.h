/* Parts of what the runtime is told about a container: Docker's environment (spec/runtime.md
 * sections 1 to 8) as an OCI configuration. Each fills its part of 'config'. */
#ifndef BERTH_ENGINE_RUNTIME_CONFIG_H
#define BERTH_ENGINE_RUNTIME_CONFIG_H

#include "engine/internal.h"

int process_config_fill(const struct engine *engine, const struct container_info *info,
                        const struct container_spec *spec, struct runtime_process *out,
                        struct error *err);

/* The defaults, the files about the network, then the user's. */
void mount_config_fill(const struct container_info *info, const struct container_spec *spec,
                       const struct runtime_config_paths *paths, struct runtime_config *config);

/* Nodes in /dev, and the rules of the cgroup about them. */
int device_config_fill(const struct host_config *host, struct runtime_config *config,
                       struct error *err);

#endif
