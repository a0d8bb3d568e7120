/* The tag of a container's log: a template over what the container is. */
#ifndef BERTH_ENGINE_LOG_TAG_H
#define BERTH_ENGINE_LOG_TAG_H

#include "engine/container.h"

/* 'text' NULL or "": the short id, as Docker has it. */
int log_tag_expand(const struct container_info *info, const char *text, char **out,
                   struct error *err);

#endif
