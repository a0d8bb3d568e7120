/* Relative paths of a file, made absolute. */
#ifndef BERTH_COMPOSE_PATHS_H
#define BERTH_COMPOSE_PATHS_H

#include "codec/yaml.h"

/* Resolves the paths of a whole file against 'directory': contexts, env files, bind sources,
 * secrets' files and so on; "~" is the home directory. URLs and names of volumes stay. */
void paths_resolve(struct yaml *file, const char *directory);

/* One path. Yours. */
char *paths_absolute(const char *path, const char *directory);

#endif
