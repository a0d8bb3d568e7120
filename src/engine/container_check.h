/* Checks of what a client asks of a container, and the defaults for what it left out. */
#ifndef BERTH_ENGINE_CONTAINER_CHECK_H
#define BERTH_ENGINE_CONTAINER_CHECK_H

#include "base/error.h"
#include "base/strv.h"
#include "engine/engine.h"
#include "spec/container.h"

/* Values that make no sense are INVALID with Docker's texts; what berth cannot do yet is
 * UNSUPPORTED, with its name. What this kernel cannot do is dropped from 'host_config' and told in
 * 'warnings', as Docker does. */
int container_config_check(const struct container_config *config, struct error *err);
int container_check_conflicts(const struct container_config *config,
                              const struct host_config *host_config, struct error *err);
int host_config_check(struct engine *engine, struct host_config *host_config, struct strv *warnings,
                      struct error *err);
/* Servers of names and lines of hosts. */
int host_config_check_names(const struct host_config *host_config, struct error *err);
/* The same for those parts that an update may change: limits and restart policy. */
int host_config_check_update(struct host_config *host_config, struct strv *warnings,
                             struct error *err);
/* Fills in what is not set. */
void host_config_fill(struct engine *engine, struct host_config *host_config);

#endif
