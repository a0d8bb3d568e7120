/* The commands of berth-runtime, and what they share. *out_code is the exit code if it is not 0 or
 * 1. */
#ifndef BERTH_PROGRAMS_RUNTIME_COMMAND_H
#define BERTH_PROGRAMS_RUNTIME_COMMAND_H

#include "base/buf.h"
#include "base/error.h"
#include "programs/runtime_options.h"
#include "programs/runtime_state.h"
#include "runtime/container.h"
#include "runtime/hooks.h"

/* runtime_create.c */
int command_create(const struct options *options, int *out_code, struct error *err);
int command_run(const struct options *options, int *out_code, struct error *err);
int command_start(const struct options *options, int *out_code, struct error *err);
/* The configuration's profile into 'filter', which 'out' borrows; nothing if there is none. */
int command_compile_seccomp(const struct runtime_config *config, struct buf *filter,
                            struct seccomp_program *out, struct error *err);
/* Whether a terminal has somebody to hold it, and a console socket a terminal. */
int command_check_terminal(const struct options *options, bool terminal, bool detached,
                           struct error *err);

/* runtime_exec.c */
int command_exec(const struct options *options, int *out_code, struct error *err);

/* runtime_manage.c */
int command_delete(const struct options *options, int *out_code, struct error *err);
int command_features(const struct options *options, int *out_code, struct error *err);
int command_kill(const struct options *options, int *out_code, struct error *err);
int command_list(const struct options *options, int *out_code, struct error *err);
int command_pause(const struct options *options, int *out_code, struct error *err);
int command_ps(const struct options *options, int *out_code, struct error *err);
int command_resume(const struct options *options, int *out_code, struct error *err);
int command_state(const struct options *options, int *out_code, struct error *err);
int command_update(const struct options *options, int *out_code, struct error *err);

/* The one argument, an id; *out is borrowed. */
int command_id(const struct options *options, const char **out, struct error *err);
/* --preserve-fds; 0 without it. */
int command_preserve_count(const struct options *options, int *out, struct error *err);
int command_write_pid_file(const char *path, pid_t pid, struct error *err); /* NULL: none */
/* The recorded state of the container that the argument names. */
int command_load(const struct options *options, struct state *out, struct error *err);
struct hook_state command_hook_state(const struct state *state, const char *status);

#endif
