/* A client attached to a process: its socket, what it sends to stdin, what it wants to see. The
 * output that it has not taken yet waits in a buffer of ATTACH_BUFFER_LIMIT; beyond that the
 * process' output is not read until it caught up. A container waits for nobody who takes nothing at
 * all for ATTACH_STALL_MS, if its output is in a log: that client is dropped. */
#ifndef BERTH_SHIM_ATTACH_H
#define BERTH_SHIM_ATTACH_H

#include "base/buf.h"
#include "base/list.h"
#include "shim/detach.h"
#include "shim/log_write.h"
#include "shim/loop.h"
#include "shim/wire.h"

#define ATTACH_BUFFER_LIMIT ((size_t)1024 * 1024)
#define ATTACH_STALL_MS     15000

struct supervisor;
struct task;

struct client {
    struct list link; /* in task->clients, later in supervisor->leaving */
    struct supervisor *shim;
    struct task *task; /* NULL once it is leaving */
    struct source source;
    bool wants_stdin, is_framed;
    bool wants[LOG_STREAM_COUNT];
    bool input_ended;  /* half-closed by the client */
    bool output_ended; /* half-closed by us */
    struct detach_keys keys;
    struct buf input;   /* what stdin has no room for */
    struct buf output;  /* what the client has no room for */
    uint64_t expire_ns; /* while leaving; of one that the process waits for: when it is dropped */
};

/* Takes the client's socket and the stream options out of the request. */
int client_new(struct supervisor *shim, struct task *task, struct wire_message *request,
               struct client **out, struct error *err);
/* From here on it is served. 'pending' is stdin that it had sent already. */
void client_begin(struct client *client, const struct buf *pending);

/* Output of the process. The client may be gone afterwards. */
void client_send(struct client *client, enum log_stream stream, const char *data, size_t size);
bool client_is_behind(const struct client *client);
uint64_t client_deadline(const struct client *client); /* 0: none */
void client_expire(struct client *client, uint64_t now_ns);

/* Moves input to stdin as far as there is room. False: there is none. */
bool client_feed(struct client *client);

/* The process has ended: the client gets what is left, then the end of the stream. */
void client_finish(struct client *client);
/* Nothing more is waited for. */
void client_free(struct client *client);

#endif
