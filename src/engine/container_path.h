/* Paths that clients name in containers, by Docker's rules. Pure, but for the look-ups. */
#ifndef BERTH_ENGINE_CONTAINER_PATH_H
#define BERTH_ENGINE_CONTAINER_PATH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/error.h"

struct container_path {
    char *path;        /* cleaned, absolute */
    const char *name;  /* last element as archives show it: borrowed, "/" or "." */
    bool is_directory; /* "/" or "/." stands behind it: a link is followed, a file refused */
};
int container_path_parse(const char *text, struct container_path *out, struct error *err);
void container_path_done(struct container_path *path);
CLEANUP_VALUE(container_path_done, struct container_path)

/* Go's os.FileMode of a file. */
uint32_t go_file_mode(mode_t mode);

/* Where a path leads when all its links are followed below 'root_fd', as far as there is something;
 * the rest is kept as it stands. */
char *container_path_resolve(int root_fd, const char *path);

/* Whether 'path' is 'parent' or below it. */
bool container_path_is_below(const char *path, const char *parent);

#endif
