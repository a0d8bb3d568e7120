/* The daemon's handle on the supervisors. berth-shim runs once per container: it creates the
 * container (runtime library), owns its stdio or terminal, writes its log, serves attached clients,
 * reaps, and keeps the exit code until it is told to go. It needs no daemon while it runs; a
 * restarted daemon finds it again by its socket "<run>/shims/<container id>.sock".
 *
 * Wire: shim/wire.h (framed messages over a unix seqpacket socket with descriptor passing,
 * versioned). All functions may be called from any thread; calls on one handle are answered in
 * order, except for shim_exec, which takes its time; a shim that does not answer within the limits
 * below is UNAVAILABLE (a stop or wait is not a call: it is an event). An event may be told before
 * the call that led to it has returned: 'exited' of a short exec before shim_exec. */
#ifndef BERTH_SHIM_SHIM_H
#define BERTH_SHIM_SHIM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/map.h"
#include "base/strv.h"
#include "spec/names.h"
#include "spec/runtime_config.h"

#define SHIM_REPLY_LIMIT_MS  30000
#define SHIM_EXEC_LIMIT_MS   15000 /* it says itself when a process does not start */
#define SHIM_SIGNAL_LIMIT_MS 5000  /* for signals, sizes, attaching */
#define SHIM_STATUS_LIMIT_MS 3000  /* for what it knows already */

struct shim;         /* one supervisor, reference-counted */
struct shim_monitor; /* the one thread that reads what all supervisors have to say */

/* What a supervisor tells unasked. Called on the monitor's thread: be short, take no lock that is
 * held across a shim call, hand the work on. 'exec_id' is NULL for the container itself. 'wall_ns'
 * is when it happened. */
struct shim_events {
    void (*exited)(void *data, const char *container_id, const char *exec_id, int exit_code,
                   bool oom_killed, int64_t wall_ns);
    void (*out_of_memory)(void *data, const char *container_id, int64_t wall_ns);
    /* The detach keys were pressed, or an attached client went away. */
    void (*detached)(void *data, const char *container_id, const char *exec_id);
    /* The supervisor died without an exit (somebody killed it). The container died with it or is
     * orphaned: 'pid' is its init. */
    void (*lost)(void *data, const char *container_id, pid_t pid);
    void *data;
};

int shim_monitor_new(const char *run_path, const struct shim_events *events,
                     struct shim_monitor **out, struct error *err);
/* Ends the thread; supervisors go on. */
void shim_monitor_free(struct shim_monitor *monitor);

/* How the log is kept. */
struct shim_log_options {
    const char *driver;     /* "json-file" or "none" */
    const char *path;       /* of the current file; rotated ones get ".1" … */
    int64_t max_size_bytes; /* 0: never rotate */
    int max_files;
    bool compress;          /* rotated files are gzipped, by berth-log */
    const char *attributes; /* JSON object for "attrs", NULL: none */
    const char *forward;    /* JSON of forward_settings: where entries go besides; NULL: nowhere */
    bool non_blocking;      /* what the other side has no room for is dropped at once */
    int64_t buffer_bytes;   /* what waits for it at most */
};

/* A detached mount that stands for the source of the configuration's bind at 'destination'. */
struct shim_mount {
    const char *destination;
    int fd;
};

struct shim_options {
    const char *program_path; /* berth-shim */
    const char *container_id;
    const char *bundle_path;  /* holds config.json; the supervisor keeps its state.json there too */
    const char *seccomp_path; /* file with the compiled filter, NULL: none */
    const char *runtime_path; /* OCI runtime to call; NULL: berth's own library */
    const struct strv *runtime_arguments;
    const char *init_path; /* --init program on the host, NULL: none */
    int rootfs_fd;         /* detached root mount (borrowed), -1: bundle's root.path */
    int network_fd;        /* network namespace (borrowed), -1: as the config says */
    const int *kept_fds;   /* descriptors that the supervisor holds as long as it lives (port
                              reservations) */
    size_t kept_fd_count;
    const struct shim_mount *mounts; /* sources of binds that are descriptors (borrowed) */
    size_t mount_count;
    bool stdin_open; /* OpenStdin: keep a pipe for stdin; otherwise stdin is /dev/null */
    bool stdin_once; /* close stdin when the first attached client that had it leaves */
    struct shim_log_options log;
    int logger_fd; /* the program berth-log (borrowed), -1: none */
};

/* Starts a supervisor and lets it create the container (init waiting, not yet running the command).
 * Errors of the creation come back as they are (see runtime/container.h). Nothing remains on
 * failure. */
int shim_create(struct shim_monitor *monitor, const struct shim_options *options, struct shim **out,
                pid_t *out_pid, struct error *err);

/* Finds a supervisor that runs already. NOT_FOUND if there is no socket or nobody answers (the
 * stale socket is removed). */
struct shim_status {
    bool is_running; /* started and not exited */
    bool is_created; /* created, start not called yet */
    pid_t pid;
    int exit_code;
    bool oom_killed;
    int64_t started_ns, exited_ns;
};
int shim_connect(struct shim_monitor *monitor, const char *container_id, struct shim **out,
                 struct shim_status *out_status, struct error *err);
int shim_get_status(struct shim *shim, struct shim_status *out, struct error *err);
/* Execs that still run, for a restarted daemon: of those that ended while there was none, 'exited'
 * is told after shim_connect and before the answer to this (the container's own exit is not: it is
 * in the status). */
int shim_list_execs(struct shim *shim, struct strv *out_ids, struct error *err);
/* The end of an exec is on record. Until then the supervisor tells it again after each connect. */
void shim_exec_heard(struct shim *shim, const char *exec_id);
/* Container ids of all sockets in the run directory. */
int shim_list(const char *run_path, struct strv *out_ids, struct error *err);

int shim_start(struct shim *shim, struct error *err); /* errors as container_start */
int shim_signal(struct shim *shim, const char *exec_id, int signal, struct error *err);
int shim_resize(struct shim *shim, const char *exec_id, int height, int width,
                struct error *err); /* without a terminal nothing happens */
int shim_pause(struct shim *shim, bool paused, struct error *err);
/* Lets the supervisor answer for names on two sockets of the container's network namespace (bound
 * already, the second listens; all three borrowed); -1, -1, -1 changes the settings of one that
 * does so already. It goes on without the daemon. UNSUPPORTED by supervisors of older releases. */
int shim_set_names(struct shim *shim, const struct resolver_settings *settings, int namespace_fd,
                   int udp_fd, int tcp_fd, struct error *err);
/* Gives the supervisor further descriptors to hold (port reservations). */
int shim_hold(struct shim *shim, const int *fds, size_t count, struct error *err);
/* Closes those that are bound to one of 'ports' ("6 0.0.0.0 80": protocol number, address, port);
 * NULL: all of them. */
int shim_release(struct shim *shim, const struct strv *ports, struct error *err);
/* New log settings, restart of the log file after somebody truncated it… are for later; the log is
 * the supervisor's alone. */

/* Streams of a client, for attach and exec. */
struct shim_stream_options {
    bool stdin_wanted, stdout_wanted, stderr_wanted;
    bool framed;             /* multiplexed: 8-byte headers; otherwise raw bytes */
    const char *detach_keys; /* bytes of the sequence; NULL: none */
    size_t detach_keys_size;
    const void *pending; /* bytes that the client sent already: they are stdin */
    size_t pending_size;
    int64_t lifetime_ms; /* exec: it is killed with its process group after that time; 0: never */
};

/* Hands a client's socket (taken, also on failure) to the supervisor: bytes then flow without the
 * daemon. Half-closing it ends stdin only. The supervisor closes it at the end of the process'
 * output. A slow reader has a bounded buffer: the container waits for an attached client while that
 * takes something now and then, never for a dead one (shim/attach.h). A container that is created
 * but not yet started may be attached: output begins with the start. */
int shim_attach(struct shim *shim, int client_fd, const struct shim_stream_options *options,
                struct error *err);

/* Starts a further process. 'client_fd' -1: detached (output is dropped). Ends with an 'exited'
 * event with that exec id. Errors as container_exec; then nothing runs, and 'client_fd' is given
 * back unclosed through *client_fd (else set to -1) so that the caller can still write the error to
 * the client. */
int shim_exec(struct shim *shim, const char *exec_id, const struct runtime_process *process,
              int *client_fd, const struct shim_stream_options *options, pid_t *out_pid,
              struct error *err);

/* The container has exited and was recorded: the supervisor removes the cgroup, its socket, state
 * and ends. On one that still runs: kills the container first. */
int shim_forget(struct shim *shim, struct error *err);

/* Ends a supervisor that does not answer, by the process that holds its socket: it may be stopped,
 * of an earlier daemon, or both. Its container is orphaned then ('lost' is told where there was a
 * handle). Nothing to end is fine; UNAVAILABLE if it does not go. */
int shim_kill(const char *container_id, struct error *err);

const char *shim_container_id(const struct shim *shim);
struct shim *shim_ref(struct shim *shim);
void shim_unref(
    struct shim *shim); /* closes the connection with the last reference; the supervisor goes on */
CLEANUP_POINTER(shim_unref, struct shim)

#endif
