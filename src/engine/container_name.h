/* Names of containers. */
#ifndef BERTH_ENGINE_CONTAINER_NAME_H
#define BERTH_ENGINE_CONTAINER_NAME_H

#include <stdbool.h>

/* [a-zA-Z0-9][a-zA-Z0-9_.-]+ */
bool container_name_is_valid(const char *name);

/* A random name; attempts after the first carry a digit. Yours to free. */
char *container_name_generate(int attempt);

#endif
