/* What the files of this folder share; not for others. A plan is everything that the parent works
 * out and opens before it clones the init, which then only carries it out. */
#ifndef BERTH_RUNTIME_INTERNAL_H
#define BERTH_RUNTIME_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "linux/capability.h"
#include "linux/mount_options.h"
#include "runtime/channel.h"
#include "runtime/container.h"
#include "runtime/user.h"

#define NAMESPACE_LIMIT 8

struct planned_mount {
    const struct runtime_mount *mount;
    struct mount_options options;
    int fd; /* binds: a detached copy of the source; -1 */
    bool is_directory;
    int *cgroup_fds; /* of a cgroup v1 view: one copy per hierarchy; NULL */
};

struct plan {
    const struct container_options *options;
    const struct runtime_config *config;
    const char *cgroup_path; /* NULL: none */
    uint64_t new_namespaces;
    struct {
        int fd;
        uint64_t flag;
        bool by_parent; /* joined around the clone: the pid namespace always, others with a new
                           user namespace, which could not enter what belongs to the host */
    } joined[NAMESPACE_LIMIT];
    size_t joined_count;
    int rootfs_fd;
    bool owns_rootfs_fd;
    struct planned_mount *mounts;
    size_t mount_count;
    int init_program_fd; /* of --init, -1 */
    int proc_fd;
    int channel_fd; /* the child's end */
    bool new_cgroup_namespace;
    bool waits_for_go;
    bool joined_by_clone;      /* the cgroup v2 group was entered by clone */
    bool joins_user_namespace; /* what is new is to belong to that one (inside.c) */
    pid_t outer_pid;
};

/* plan.c: INVALID, UNSUPPORTED and the errors of opening. The cgroup exists already. */
int plan_make(const struct container_options *options, const char *cgroup_path, struct plan *out,
              struct error *err);
void plan_done(struct plan *plan);
CLEANUP_VALUE(plan_done, struct plan)

/* rootfs.c, in the child: everything from "nothing mounted" to standing in the new root. */
int rootfs_mount(struct plan *plan, struct error *err);
int rootfs_bind_console(struct plan *plan, int slave_fd, struct error *err);
int rootfs_enter(struct plan *plan, struct error *err);
/* After entering: paths are looked up in 'root_fd'. */
int rootfs_protect(struct plan *plan, struct error *err);

/* device.c, in the child before entering. */
int devices_make(struct plan *plan, struct error *err);
/* /dev/null of that root, verified to be the real one. */
int device_open_null(int root_fd, int flags, struct error *err);

/* process.c: what an init and an exec'd process have in common, in the child. */
struct process_setup {
    const struct runtime_process *process;
    const struct seccomp_program *seccomp;
    int root_fd; /* taken: closed by prepare */
    int channel_fd, extra_fd;
    int preserve_fd_count;
    int proc_fd;            /* -1: none */
    const int *stdio;       /* from the caller; ignored when slave_fd >= 0 */
    int slave_fd;           /* terminal, -1 */
    bool in_user_namespace; /* where setgroups may be forbidden */

    struct user_identity user;
    struct capability_sets own, wanted;
    char *executable;
    struct strv env;
};
/* Signals, dumpability, umask: first thing in a child. */
void process_begin(void);
/* Closes all from 'first' on but those listed (-1: none; at most KEPT_FD_LIMIT). */
#define KEPT_FD_LIMIT 8
void process_keep_fds(unsigned first, const int *fds, size_t count);
/* Opens a terminal of the container's devpts. */
int process_open_terminal(int root_fd, const struct runtime_process *process, int *out_master,
                          int *out_slave, struct error *err);
/* User, stdio, working directory, limits, executable: all that can fail early. */
int process_prepare(struct process_setup *setup, struct error *err);
/* Drops privileges and executes; returns only on failure before the exec itself. */
int process_execute(struct process_setup *setup, struct error *err);
/* From the parent, for a child just cloned. */
int process_adjust_oom(pid_t pid, const struct runtime_process *process, struct error *err);

/* init.c: the child's life after clone. */
_Noreturn void init_run(struct plan *plan);
/* Steps of it: with 'by_parent' those namespaces that are joined before the init is cloned. */
int init_join_namespaces(const struct plan *plan, bool by_parent, struct error *err);
int init_become_root(struct plan *plan, struct error *err);

/* inside.c: clones the init from within the user namespace that it joins. */
pid_t inside_clone(struct plan *plan, int *out_pidfd, struct error *err);

#endif
