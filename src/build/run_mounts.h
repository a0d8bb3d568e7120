/* The mounts of one RUN, made: detached, ready to be handed to the worker. */
#ifndef BERTH_BUILD_RUN_MOUNTS_H
#define BERTH_BUILD_RUN_MOUNTS_H

#include "build/agent_socket.h"
#include "build/job.h"
#include "build/mount_rule.h"

#define RUN_MOUNT_LIMIT 32

struct run_mount {
    struct mount_rule rule;
    char *target;             /* absolute, cleaned; NULL: a secret that is a variable only */
    int fd;                   /* the mount, -1: none (a secret that nobody gave) */
    struct writable writable; /* where changes to it go to be thrown away */
    char cache_name[CACHE_MOUNT_NAME_SIZE]; /* to be given back, "" if none */
    char *cache_path;                       /* of its directory, NULL: it is no cache */
    struct agent_socket *agent;             /* NULL: it is none */
};

struct run_mounts {
    struct run_mount items[RUN_MOUNT_LIMIT + 1]; /* one more: the script */
    size_t count;
    struct strv hidden_environment; /* once they are made: secrets, and where an agent is */
};

/* Reads the flags of a RUN. INVALID. */
int run_mounts_read(struct job *job, const struct stage *stage,
                    const struct instruction *instruction, struct run_mounts *out,
                    struct error *err);

/* Adds what makes a difference for the result: kinds, targets, ids, and the content of what is
 * bound. */
int run_mounts_add_key(struct job *job, size_t stage_index, const struct run_mounts *mounts,
                       struct cache_key *key, struct error *err);

/* Makes them; cache mounts wait for their turn. INVALID for a secret or an agent that is required
 * and that nobody has. */
int run_mounts_make(struct job *job, size_t stage_index, const struct instruction *instruction,
                    struct run_mounts *mounts, struct error *err);

/* Takes what was made for them as mount points off the changes: what was not there before and has
 * stayed empty. */
void run_mounts_tidy(struct job *job, const struct stage *stage, const struct run_mounts *mounts,
                     const struct writable *changes);

void run_mounts_done(struct job *job, struct run_mounts *mounts);

#endif
