/* The supervisor's own state: one container, its execs, their clients, and the daemon, if there is
 * one. Everything runs in one thread (shim/loop.h). */
#ifndef BERTH_SHIM_SUPERVISE_H
#define BERTH_SHIM_SUPERVISE_H

#include "base/list.h"
#include "base/strv.h"
#include "runtime/container.h"
#include "shim/log_write.h"
#include "shim/loop.h"
#include "shim/state.h"
#include "shim/wire.h"

struct resolver;
struct task;

#define STRAY_LIMIT 16

struct supervisor {
    struct loop loop;
    const char *container_id, *socket_path;
    struct source signals, listener, daemon, oom;
    struct source candidate; /* connected, becomes the daemon with its first request */
    struct list outbox;      /* messages that the daemon's socket had no room for */
    size_t outbox_count;

    /* As asked for by CREATE. */
    char *bundle_path;
    bool stdin_open, stdin_once;
    int seccomp_fd;
    int *kept_fds;
    size_t kept_count;
    char *runtime_path; /* NULL: our own library */
    struct strv runtime_arguments;
    struct mount_source *sources; /* until the container is created */
    size_t source_count;

    struct log_writer *log;
    struct task *init;    /* NULL until it is created */
    struct list execs;    /* struct task */
    struct list starting; /* struct starting: execs that are not that far */
    struct list unheard;  /* struct exec_exit: ends of execs that no daemon heard of */
    size_t unheard_count;
    struct stray_child {
        pid_t pid;
        int status;
        int64_t wall_ns;
    } strays[STRAY_LIMIT]; /* ended before anybody knew them: a ring of the last */
    size_t next_stray;
    struct list leaving; /* struct client: their process is gone, the rest is on its way */
    struct shim_state state;
    int64_t own_oom_score; /* before it protected itself: what containers get */
    int64_t oom_kills;     /* counted so far */
    bool is_paused;
    bool start_failed;         /* its end is no news */
    struct resolver *resolver; /* answers for names; NULL: nobody asks */

    /* What is set while a request is served, and done once the reply is on its way. */
    void (*afterwards)(struct supervisor *shim);

    char *buffer;     /* SUPERVISOR_BUFFER_SIZE bytes while output flows, NULL else */
    uint64_t rest_ns; /* when buffers are given back; 0: they are */
    uint64_t end_ns;  /* when it ends at the latest; 0: not yet */
    bool is_over;     /* now */
};

#define SUPERVISOR_BUFFER_SIZE ((size_t)128 * 1024)

/* The buffer that everybody reads into; its content lives until one returns to the loop. */
char *supervisor_buffer(struct supervisor *shim);
/* Sends to the daemon, if there is one, or later. */
void supervisor_send(struct supervisor *shim, const struct wire_message *message);
void supervisor_tell(struct supervisor *shim, enum wire_type event, const char *exec_id);
/* The process of a task has ended and all it wrote was handed on. */
void supervisor_task_done(struct supervisor *shim, struct task *task);
void supervisor_save(struct supervisor *shim);
struct task *supervisor_find(struct supervisor *shim, const char *exec_id);
/* Ends as soon as the last bytes have reached their clients, soon in any case. */
void supervisor_end(struct supervisor *shim);

/* The whole program: 'arguments' are those of main. Gives its exit code. */
int supervisor_main(int count, char **arguments);

#endif
