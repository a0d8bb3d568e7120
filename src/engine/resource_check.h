/* Checks of the limits that a client asks for, at creation and later. */
#ifndef BERTH_ENGINE_RESOURCE_CHECK_H
#define BERTH_ENGINE_RESOURCE_CHECK_H

#include "base/error.h"
#include "base/strv.h"
#include "spec/container.h"

/* Values that make no sense are INVALID. What this kernel has no means for is taken out of
 * 'host_config' and told in 'warnings'. Texts of both are Docker's. */
int resources_check(struct host_config *host_config, bool is_update, struct strv *warnings,
                    struct error *err);

#endif
