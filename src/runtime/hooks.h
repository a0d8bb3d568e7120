/* Hooks of a runtime configuration: programs that are told a container's state on stdin. */
#ifndef BERTH_RUNTIME_HOOKS_H
#define BERTH_RUNTIME_HOOKS_H

#include <sys/types.h>

#include "base/error.h"
#include "spec/runtime_config.h"

struct hook_state {
    const char *id, *bundle_path, *status; /* creating created running stopped */
    pid_t pid;                             /* 0: none any more */
    const struct map *annotations;
};

/* The state as JSON (also what `state` prints). */
void hook_state_encode(const struct hook_state *state, struct str *out);

/* Runs a list in order; stops at the first that fails, exits non-zero or exceeds its timeout. */
int hooks_run(const struct json_list *hooks, const struct hook_state *state, struct error *err);

#endif
