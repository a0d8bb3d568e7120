/* Control groups, version 1 (also hybrid) and version 2, behind one set of calls. A group is named
 * by its path below the root of every hierarchy ("/berth-1a2b3c4d/<container id>"). Groups that are
 * not ours are never touched. */
#ifndef BERTH_LINUX_CGROUP_H
#define BERTH_LINUX_CGROUP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/map.h"
#include "base/strv.h"

enum cgroup_version { CGROUP_V1 = 1, CGROUP_V2 = 2 };

/* What the host offers; looked up once, safe from any thread. */
enum cgroup_version cgroup_version(void);
bool cgroup_has_controller(const char *controller); /* "memory", "pids", … */
/* Mount point of a v1 controller's hierarchy, or of v2's for any name; NULL if there is none. */
const char *cgroup_mount_point(const char *controller);
/* Has its files in version 2's form: also on a hybrid host, if it is in no version 1 hierarchy. */
bool cgroup_is_unified(const char *controller);
/* v1: every "controllers" mount with its directory name below /sys/fs/cgroup, for the container's
 * own view. */
struct cgroup_hierarchy {
    char *controllers; /* "cpu,cpuacct"; "name=systemd" */
    char *path;        /* where it is mounted on the host */
    char *name;        /* last component of path */
};
size_t cgroup_hierarchies(const struct cgroup_hierarchy **out);

/* Makes the group in all hierarchies we use (v2: enables the controllers on the way down). */
int cgroup_create(const char *path, struct error *err);
/* Hybrid: gives a controller that is in version 2 to a group that was made, and to those above it;
 * elsewhere there is nothing to do. */
int cgroup_hand_down(const char *path, const char *controller, struct error *err);
/* Puts the CALLING process into it, by writing "0" (v1: to each hierarchy's cgroup.procs): much
 * cheaper than moving another process. */
int cgroup_join_self(const char *path, struct error *err);
int cgroup_join(const char *path, pid_t pid, struct error *err);
/* The same for a child about to be cloned: a descriptor of the version 2 group (also of a hybrid
 * host) for namespace_clone, -1 without error where there is no version 2 at all; the child then
 * calls cgroup_join_rest for the version 1 hierarchies. Cheapest way of all. */
int cgroup_open_unified(const char *path, struct error *err);
int cgroup_join_rest(const char *path, struct error *err);
/* Kills what is in it (SIGKILL, until it is empty or 2 s passed) and removes it with its child
 * groups. Absent is fine. */
int cgroup_kill(const char *path, int signal, struct error *err); /* all in it and below, once */
int cgroup_remove(const char *path, struct error *err);
/* The same without waiting: true if nothing is left; if something is, it was told to die. */
bool cgroup_try_remove(const char *path);
bool cgroup_exists(const char *path);
/* Children directly below 'path', in any hierarchy. */
void cgroup_children(const char *path, struct strv *out);
/* Processes in it and in the groups below. */
int cgroup_pids(const char *path, pid_t **out_pids, size_t *out_count, struct error *err);

/* Writes one file of a controller. 'controller' chooses the hierarchy; on v2 there is but one.
 * Refused values are INVALID with the file's name and the value; NOT_FOUND if the kernel has no
 * such file. */
int cgroup_write(const char *path, const char *controller, const char *file, const char *value,
                 struct error *err);

/* Freezer. */
int cgroup_freeze(const char *path, bool frozen, struct error *err);
/* Lets it and all groups below go on, without waiting; what is not there is fine. */
void cgroup_thaw(const char *path);

/* A descriptor that becomes readable (v1: eventfd; v2: inotify on memory.events) when the group ran
 * out of memory, and the count of kills so far. -1 without error when the kernel has no memory
 * controller. */
int cgroup_oom_watch(const char *path, struct error *err);
int64_t cgroup_oom_kill_count(const char *path);

/* One file of a controller, trimmed; NULL if it is not there. */
char *cgroup_read(const char *path, const char *controller, const char *file);
/* A number from such a file, or 'fallback'. */
int64_t cgroup_read_int64(const char *path, const char *controller, const char *file,
                          int64_t fallback);

#endif
