/* The daemon's side of the wire, inside: shared by handle*.c only; shim/shim.h is for everybody.
 *
 * Locks: monitor->lock guards reference counts and the lists of the monitor; shim->lock guards the
 * waiting calls. Neither is held while something is sent, waited for or told to the daemon, and no
 * function takes the one while it holds the other. */
#ifndef BERTH_SHIM_HANDLE_H
#define BERTH_SHIM_HANDLE_H

#include "base/list.h"
#include "base/thread.h"
#include "shim/shim.h"
#include "shim/wire.h"

#define SOCKET_SUFFIX ".sock" /* of a supervisor, behind the container's id */

/* What epoll gives back: a connection, or the end of a process that we started. */
struct monitored {
    enum { MONITORED_SHIM, MONITORED_CHILD } kind;
};

/* A supervisor that this daemon started is its child until the daemon ends. It is reaped by pidfd,
 * so that SIGCHLD stays as it is and others may wait for their children as they like. */
struct child {
    struct monitored monitored;
    struct list link;
    pid_t pid;
    int pidfd;
};

struct shim_monitor {
    struct mutex lock; /* of the four below */
    unsigned references;
    struct list children;
    struct list dead; /* handles without references: the thread frees them */
    bool is_stopping;
    int epoll_fd, stop_fd;
    char *run_path, *sockets_path;
    struct shim_events events;
    pthread_t thread;
};

struct shim {
    struct monitored monitored;
    struct list link; /* in monitor->dead */
    struct shim_monitor *monitor;
    unsigned references; /* under monitor->lock */
    char *container_id;
    int fd;
    struct mutex lock; /* of all below */
    struct list calls;
    uint32_t next_number;
    bool is_closed;
    bool is_ending; /* the end of the connection is no surprise */
    pid_t pid;      /* of the init while it lives */
};

/* A request that waits for its reply, on the stack of the thread that asks. */
struct call {
    struct list link;
    enum wire_type type;
    uint32_t number;
    bool is_done, is_failed;
    struct wire_message *reply;
    struct condition done;
};

/* A new handle with one reference; takes 'fd', also on failure. */
int handle_new(struct shim_monitor *monitor, const char *container_id, int fd, struct shim **out,
               struct error *err);
/* Sends a request and waits for its reply, whose error becomes ours. */
int handle_call(struct shim *shim, struct wire_message *request, struct wire_message *reply,
                struct error *err);
int handle_send(struct shim *shim, const struct wire_message *message, struct error *err);
void handle_read_status(const struct wire_message *reply, struct shim_status *out);
void handle_expect_end(struct shim *shim);

int monitor_add(struct shim_monitor *monitor, struct monitored *monitored, int fd,
                struct error *err);
int monitor_add_child(struct shim_monitor *monitor, pid_t pid, struct error *err);
void monitor_kill_child(struct shim_monitor *monitor, pid_t pid); /* if it is there still */
void monitor_unref(struct shim_monitor *monitor);

#endif
