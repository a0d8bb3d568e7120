/* Starting a program without fork: posix_spawn, so that a daemon of any size starts it equally
 * fast. */
#ifndef BERTH_BASE_PROCESS_H
#define BERTH_BASE_PROCESS_H

#include <sys/types.h>

#include "base/error.h"

struct process_options {
    const char *path;         /* the program, also as /proc/self/fd/N */
    char *const *arguments;   /* argv, NULL-terminated */
    char *const *environment; /* NULL: ours */
    int fds[8];               /* child's descriptor i is fds[i]; -1: /dev/null */
    size_t fd_count;          /* at least 3 are set up: missing ones among 0, 1, 2 are /dev/null */
    int new_session;          /* setsid */
};

/* Starts it with default signal handlers and an empty signal mask. The child inherits exactly the
 * descriptors listed (all others of ours are O_CLOEXEC). NOT_FOUND if there is no such program. */
int process_spawn(const struct process_options *options, pid_t *out, struct error *err);

/* Lets this process have as many descriptors as its hard limit allows. What process_spawn starts
 * has the limit of before, right after its start. UNSUPPORTED where fewer than 'least' are allowed.
 */
int process_raise_descriptor_limit(unsigned least, struct error *err);

/* Waits for a child; gives its exit code, or 128 + signal. */
int process_wait(pid_t pid, int *out_code, struct error *err);

#endif
