/* What the files of linux/cgroup*.c share: the hierarchies of this host. Not for other folders. */
#ifndef BERTH_LINUX_CGROUP_HOST_H
#define BERTH_LINUX_CGROUP_HOST_H

#include "linux/cgroup.h"

/* Version 2's mount point, also on hybrid hosts; NULL without. */
const char *cgroup_unified_path(void);

/* Every hierarchy's mount point, version 1 first, version 2 (if any) last. */
size_t cgroup_roots(const char *const **out);

/* "<mount point of the controller><path>/<file>", yours; NULL if there is no such hierarchy. */
char *cgroup_file_path(const char *path, const char *controller, const char *file);

/* INVALID unless the path starts with '/' and stays below the root. */
int cgroup_check_path(const char *path, struct error *err);

#endif
