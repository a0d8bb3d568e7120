/* A client attached to a process: its socket, what it sends to stdin, what it wants to see. The
 * output that it has not taken yet waits in a buffer of ATTACH_BUFFER_LIMIT; beyond that the
 * process' output is not read until it caught up. */
#ifndef BERTH_SHIM_ATTACH_H
#define BERTH_SHIM_ATTACH_H

#include "base/buf.h"
#include "base/list.h"
#include "shim/detach.h"
#include "shim/log_write.h"
#include "shim/loop.h"
#include "shim/wire.h"

#define ATTACH_BUFFER_LIMIT ((size_t)1024 * 1024)

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
    uint64_t expire_ns; /* while leaving */
};

/* Takes the client's socket and the stream options out of the request. */
int client_new(struct supervisor *shim, struct task *task, struct wire_message *request,
               struct client **out, struct error *err);
/* What came with the request: stdin that the client had sent already. */
int client_begin(struct client *client, struct wire_message *request, struct error *err);

/* Output of the process. The client may be gone afterwards. */
void client_send(struct client *client, enum log_stream stream, const char *data, size_t size);
bool client_is_behind(const struct client *client);

/* Moves input to stdin as far as there is room. False: there is none. */
bool client_feed(struct client *client);

/* The process has ended: the client gets what is left, then the end of the stream. */
void client_finish(struct client *client);
/* Nothing more is waited for. */
void client_free(struct client *client);

#endif
