/* Mounts of other containers: sources "/proc/<pid>/root/<path>". */
#ifndef BERTH_RUNTIME_BORROW_H
#define BERTH_RUNTIME_BORROW_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"

/* Whether that is such a source; *out_path is borrowed from it. */
bool borrow_names(const char *source, pid_t *out_pid, const char **out_path);
/* A detached copy of the mount there, with all below. The path is looked up as that process would.
 * The caller has one thread. */
int borrow_mount(pid_t pid, const char *path, struct error *err);

#endif
