/* Execs on their way: from the request until the process is what it is to be. The supervisor does
 * not wait for that, for it may take as long as the container is frozen, or as a file system in it
 * does not answer; beyond a limit it is given up. */
#ifndef BERTH_SHIM_EXEC_H
#define BERTH_SHIM_EXEC_H

#include "shim/supervise.h"

/* Answers later, unless it fails at once (-1). */
int request_exec(struct supervisor *shim, struct wire_message *request, struct error *err);

bool exec_is_starting(const struct supervisor *shim, const char *exec_id);
/* The ids of all, as fields of a status. */
void exec_list_starting(const struct supervisor *shim, struct wire_message *reply);
/* For when it is there. False if there is none of that id. */
bool exec_resize_later(struct supervisor *shim, const char *exec_id, int height, int width);
/* A child ended: false if it was none of these. */
bool exec_child_ended(struct supervisor *shim, pid_t pid, int status, int64_t wall_ns);
/* Who asked is gone: nobody is answered any more. */
void exec_forget_daemon(struct supervisor *shim);

uint64_t exec_deadline(const struct supervisor *shim); /* 0: none */
void exec_expire(struct supervisor *shim, uint64_t now_ns);
void exec_abandon_all(struct supervisor *shim);

#endif
