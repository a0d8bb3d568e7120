/* One container out of one OCI configuration: create, start, exec, signal, delete. Used by
 * berth-shim and berth-runtime. Single-threaded; forks freely. The container's own files are never
 * trusted: see DESIGN rules on paths and descriptors.
 *
 * create: clones the init into its namespaces and cgroup; the init mounts, pivots, masks, drops
 * privileges as far as it can and then waits. Whatever fails there is reported as an error here.
 * start: lets it exec; a failing exec is reported too. */
#ifndef BERTH_RUNTIME_CONTAINER_H
#define BERTH_RUNTIME_CONTAINER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "spec/runtime_config.h"

/* A compiled seccomp filter (an array of struct sock_filter), as seccomp_profile_compile writes
 * it. */
struct seccomp_program {
    void *instructions;
    size_t size_bytes;
};

/* A detached mount that stands for the source of the bind at 'destination', which need not name
 * anything then. */
struct mount_source {
    char *destination;
    int fd;
};

struct container_options {
    const struct runtime_config *config;
    const char *bundle_path; /* relative root and mount paths start here */
    int rootfs_fd;  /* a detached mount that becomes the root; -1: bind config->root.path */
    int network_fd; /* join this network namespace whatever the config's path says; -1: as
                       configured */
    const struct seccomp_program
        *seccomp; /* NULL: none. A profile in the configuration must come compiled
                     (seccomp_profile_compile): whoever starts containers does not want the compiler
                     in its memory. INVALID if it does not. */
    int stdio[3]; /* what the init gets as 0, 1, 2 (ignored with a terminal); -1: /dev/null */
    bool keep_in_cgroup;   /* the cgroup exists and is set up already */
    const char *init_path; /* --init: host path of the init program, bound read-only to
                              /sbin/docker-init; NULL */
    const char *id;        /* told to hooks */
    int preserve_fd_count; /* descriptors from 3 on that the init inherits */
    const struct mount_source *sources;
    size_t source_count;
    int start_listen_fd; /* a listening SOCK_SEQPACKET socket on which the init waits for
                            container_start instead of a socketpair, so that another process can
                            start it; 0: none */
};

struct container {
    pid_t pid; /* of the init, in our pid namespace */
    int pidfd;
    int start_fd;   /* socket to the waiting init */
    int console_fd; /* master of its terminal, -1 without */
    char *cgroup_path;
};

/* Error kinds: INVALID for a configuration that makes no sense, NOT_FOUND/FORBIDDEN for exec
 * failures found early (text as runc words them: 'exec: "x": executable file not found in $PATH'),
 * INTERNAL for the rest. Nothing is left behind on failure. */
int container_create(const struct container_options *options, struct container *out,
                     struct error *err);

/* Lets the init exec. NOT_FOUND: no such executable ('exec: "nope": executable file not found in
 * $PATH', 'exec: "/nope": stat /nope: no such file or directory'), FORBIDDEN: not executable ('…:
 * permission denied', '…: is a directory'). */
int container_start(struct container *container, struct error *err);

/* A further process in a running container (setns into 'init_pid''s namespaces, its cgroup, its
 * root). 'process' as in the configuration; 'seccomp' as above. On success *out describes it
 * (cgroup_path NULL). start happens at once: exec errors are returned from here. */
struct exec_options {
    pid_t init_pid;
    const struct runtime_process *process;
    const struct runtime_config *config; /* of the container, for what the process does not say */
    const struct seccomp_program *seccomp;
    const char *cgroup_path;
    int stdio[3];
    int preserve_fd_count;
};
int container_exec(const struct exec_options *options, struct container *out, struct error *err);

/* The same for a caller that has other things to do: a frozen container, or a file system in it
 * that does not answer, lets a process wait for ever before it is what it is to be. Continue
 * whenever start_fd is readable: 1 once it runs, 0 if it is not that far, -1 if it failed (then
 * nothing is left to be closed). Abandon kills it without waiting for its end: whoever reaps the
 * caller's children gets it. Both close start_fd at the end. */
int container_exec_begin(const struct exec_options *options, struct container *out,
                         struct error *err);
int container_exec_continue(struct container *process, struct error *err);
void container_exec_abandon(struct container *process);

int container_signal(const struct container *container, int signal, struct error *err);
int container_resize(const struct container *container, int height, int width, struct error *err);

/* Closes descriptors, removes the cgroup (killing what is left in it). */
int container_delete(struct container *container, struct error *err);

#endif
