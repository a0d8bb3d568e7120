/* Log drivers of containers and their options: what is known, what makes sense, and what the
 * supervisor is told of it. All drivers but "none" keep a log that can be read back; where that is
 * not the driver's own, it is a cache, as Docker has it. */
#ifndef BERTH_ENGINE_LOG_CONFIG_H
#define BERTH_ENGINE_LOG_CONFIG_H

#include "engine/container.h"
#include "shim/shim.h"

/* NULL-terminated, for info. */
extern const char *const log_driver_names[];

/* What Docker refuses at creation, in its words: INVALID for unknown drivers, unknown options and
 * some values; UNSUPPORTED for Docker's drivers that berth does not have. */
int log_config_check(const struct log_config *config, struct error *err);

/* Where the log that is read back is kept, below the container's directory; "" for none at all.
 * Yours. */
char *log_config_path(const struct log_config *config, const char *directory, const char *id);

/* What the supervisor is told. Values that make no sense are found here, as Docker finds them at
 * the start. */
struct log_settings {
    struct shim_log_options options; /* borrows from below and from the container */
    char *attributes, *forward;
};
int log_settings_read(const struct container_info *info, struct log_settings *out,
                      struct error *err);
void log_settings_done(struct log_settings *settings);
CLEANUP_VALUE(log_settings_done, struct log_settings)

#endif
