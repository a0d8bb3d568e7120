/* A process of the container (its init, or an exec) with its stdio: pipes, or one terminal. Output
 * goes to the log (the init's only) and to the attached clients; their input goes to stdin. */
#ifndef BERTH_SHIM_TASK_H
#define BERTH_SHIM_TASK_H

#include "base/list.h"
#include "runtime/container.h"
#include "shim/log_write.h"
#include "shim/loop.h"

struct client;
struct supervisor;

struct task {
    struct list link; /* in supervisor->execs */
    struct supervisor *shim;
    char *exec_id; /* NULL: the init */
    struct container process;
    bool is_terminal;
    bool closes_stdin; /* when a client that had it leaves */
    struct source input;
    struct source output[LOG_STREAM_COUNT]; /* a terminal: the first only */
    int full_reads[LOG_STREAM_COUNT];
    struct list clients;
    bool has_exited;
    int exit_code;
    int64_t exited_ns;
    size_t drain_left;       /* bytes that are read behind the exit at most */
    uint64_t drain_until_ns; /* 0: not draining */
    uint64_t kill_ns;        /* when its lifetime is over; 0: unlimited */
    uint64_t retry_ns;       /* a terminal that nobody has open is looked at again; 0: no */
};

/* The ends of pipes that the process gets. */
struct task_stdio {
    int fds[3]; /* -1: /dev/null */
};
void task_stdio_close(struct task_stdio *stdio);

struct task *task_new(struct supervisor *shim, const char *exec_id, bool terminal);
/* Makes pipes for what is wanted of stdin, stdout, stderr (none for a terminal). */
int task_make_pipes(struct task *task, const bool wanted[3], struct task_stdio *out,
                    struct error *err);
/* The process is there: its terminal, or its pipes, are served from now on. */
int task_serve(struct task *task, struct error *err);

/* Reads output again if no client is behind, or stops reading. */
void task_watch_output(struct task *task);
/* Hands the clients' input on; called when some came. */
void task_feed(struct task *task);
/* Writes to stdin: the count taken, 0 if there is no room now. Where there is no stdin (any more),
 * everything is taken and dropped. */
size_t task_write_input(struct task *task, const void *data, size_t size);
void task_close_input(struct task *task);
bool task_has_input(const struct task *task);

/* It is killed, with its process group, unless it ends within that time. */
void task_limit_lifetime(struct task *task, int64_t lifetime_ms);
/* The process ended with that status (as of waitpid). supervisor_task_done follows when its output
 * was read: at once, or at the deadline when somebody else keeps a pipe open. */
void task_exited(struct task *task, int status, int64_t wall_ns);
/* Nearest moment at which task_expire wants to be called, or 0. */
uint64_t task_deadline(const struct task *task);
void task_expire(struct task *task, uint64_t now_ns);
/* Clients get what is left, then the end of the stream; the task has none any more. */
void task_finish_clients(struct task *task);
/* Closes everything; clients get what is left. The memory lives until the end of the round. */
void task_free(struct task *task);

#endif
