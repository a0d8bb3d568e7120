/* What a supervisor knows of its container, kept in "<bundle>/state.json" so that the outcome can
 * be told even if the supervisor is killed. Written in one step (rename), not forced to disk: with
 * the machine the container is gone too. */
#ifndef BERTH_SHIM_STATE_H
#define BERTH_SHIM_STATE_H

#include "codec/json.h"
#include "shim/shim.h"

struct shim_state {
    char *status; /* "created", "running", "exited" */
    int64_t pid, shim_pid;
    int64_t exit_code;
    bool oom_killed;
    int64_t started_ns, exited_ns;
    char *cgroup_path;
};

int shim_state_write(const char *bundle_path, const struct shim_state *state, struct error *err);
/* NOT_FOUND if there is none. */
int shim_state_read(const char *bundle_path, struct shim_state *out, struct error *err);
void shim_state_remove(const char *bundle_path);
void shim_state_done(struct shim_state *state);
CLEANUP_VALUE(shim_state_done, struct shim_state)

#endif
