/* Drivers whose log goes elsewhere: their options, and what berth-log is told. */
#ifndef BERTH_ENGINE_LOG_FORWARD_H
#define BERTH_ENGINE_LOG_FORWARD_H

#include "engine/container.h"

/* syslog-address, -facility, -format, as Docker refuses them. */
int log_forward_check_syslog(const struct map *options, struct error *err);

/* struct forward_settings (forward/settings.h) as JSON; NULL on failure. */
char *log_forward_settings(const struct container_info *info, const char *tag,
                           const struct map *attributes, struct error *err);

#endif
