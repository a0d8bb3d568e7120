/* What berth-runtime remembers of a container between its calls: a directory "<root>/<id>" with
 * state.json, a copy of config.json, and, until it is started, the socket on which its init
 * waits. */
#ifndef BERTH_PROGRAMS_RUNTIME_STATE_H
#define BERTH_PROGRAMS_RUNTIME_STATE_H

#include "base/error.h"
#include "spec/runtime_config.h"

struct state {
    char *id, *bundle, *rootfs, *cgroup_path;
    int64_t pid;
    uint64_t start_time; /* of the process, so that another one with its number is told apart */
    int64_t created_ns;
    struct runtime_config config;
    char *directory;
};

/* INVALID for an id that is no plain file name. */
int state_check_id(const char *id, struct error *err);
/* Claims the id by making its directory: CONFLICT if there is one. */
int state_claim(const char *root, const char *id, char **out_directory, struct error *err);
int state_save(const struct state *state, const char *config_text, size_t config_size,
               struct error *err);
/* NOT_FOUND: "container \"x\" does not exist". */
int state_load(const char *root, const char *id, struct state *out, struct error *err);
int state_remove(const struct state *state, struct error *err);
void state_done(struct state *state);
CLEANUP_VALUE(state_done, struct state)

/* "created", "running", "paused" or "stopped": asked of the kernel, never remembered. */
const char *state_status(const struct state *state);

/* The two ends of the start socket; the listening one goes to container_create. */
int state_listen(const char *directory, struct error *err);
int state_connect(const struct state *state, struct error *err);
void state_forget_socket(const struct state *state);

#endif
