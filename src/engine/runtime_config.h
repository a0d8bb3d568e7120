/* Parts of what the runtime is told about a container: Docker's environment (spec/runtime.md
 * sections 1 to 8) as an OCI configuration. Each fills its part of 'config'. */
#ifndef BERTH_ENGINE_RUNTIME_CONFIG_H
#define BERTH_ENGINE_RUNTIME_CONFIG_H

#include <sys/stat.h>

#include "engine/internal.h"

/* The value of the last --security-opt with that key; "" for one without a value, NULL for none. */
const char *security_option(const struct host_config *host, const char *key);

int process_config_fill(const struct engine *engine, const struct container_info *info,
                        const struct container_spec *spec, struct runtime_process *out,
                        struct error *err);

/* The defaults, the files about the network, then the user's. */
void mount_config_fill(const struct container_info *info, const struct container_spec *spec,
                       const struct runtime_config_paths *paths, struct runtime_config *config);

/* The options of one of the user's, as they are in an OCI configuration; yours. */
char *mount_config_options(const struct container_mount *mount);

/* Nodes in /dev, and the rules of the cgroup about them. */
int device_config_fill(const struct engine *engine, const struct host_config *host,
                       struct runtime_config *config, struct error *err);
/* A node of that kind, number, mode and owner, and the right to use it. */
void device_config_add(struct runtime_config *config, const struct stat *status, const char *path,
                       const char *access);

/* Works devices named as "vendor/class=device" into the configuration. Files are read anew each
 * time, so what an administrator changes counts from the next start on. INTERNAL if one is not
 * known. */
int cdi_inject(const struct strv *directories, const struct strv *names,
               struct runtime_config *config, struct error *err);

#endif
