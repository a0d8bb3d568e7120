/* What the server's files share: connections that are accepted, and who looks after them. Not for
 * users of http/.
 *
 * A visitor belongs to exactly one party at a time. PARKED ones (waiting for a request) belong to
 * the loop thread: they are armed in its epoll, once. ACTIVE ones belong to the worker that serves
 * them (or to the queue of jobs). Parking is the only way from a worker to the loop, handing out a
 * job the only way back, so visitors need no lock of their own; server->lock guards the lists. */
#ifndef BERTH_HTTP_SERVER_STATE_H
#define BERTH_HTTP_SERVER_STATE_H

#include "base/list.h"
#include "base/thread.h"
#include "http/server.h"
#include "http/transport.h"

enum source_kind { SOURCE_LISTENER, SOURCE_VISITOR, SOURCE_WAKE };

/* What epoll knows: first member of all that is registered there. */
struct source {
    enum source_kind kind;
};

struct listener {
    struct source source;
    struct list link;
    int fd;
    struct tls_context *tls;
};

enum head_state {
    HEAD_PARTIAL,
    HEAD_WHOLE,
    HEAD_TOO_LARGE,
    HEAD_ALIEN, /* does not begin like HTTP: TLS, mostly; its end cannot be waited for */
    HEAD_LATE,
    HEAD_ENDED, /* the client has gone */
};

struct visitor {
    struct source source;
    struct list link; /* in one of the server's lists */
    struct list job_link;
    struct http_server *server;
    struct http_connection *connection; /* NULL after a hijack */
    struct tls_context *tls;            /* NULL: plain */
    bool is_shaking;                    /* TLS hands (changed under server->lock, as the next) */
    int fd;                             /* of the connection; -1 after a hijack */
    bool is_unix;
    bool is_known;        /* to the epoll: from its first parking on */
    bool is_late;         /* its head took too long */
    int64_t uid;          /* -1: none */
    size_t scanned;       /* of the head, see http_head_size */
    size_t head_size;     /* once it is whole */
    uint64_t deadline_ns; /* for the head, 0 while none has begun */
};

struct uid_count {
    int64_t uid;
    size_t count;
};

struct http_server {
    struct http_limits limits;
    http_handler handler;
    void *data;
    int epoll_fd;
    int wake_fd; /* eventfd: the loop looks around */
    int stop_fd; /* eventfd: readable for good once the server stops */
    pthread_t loop;

    struct mutex lock;
    struct condition changed; /* a thread has ended */
    bool is_running GUARDED_BY(lock);
    bool is_stopping GUARDED_BY(lock);
    struct list listeners GUARDED_BY(lock);
    struct list parked GUARDED_BY(lock);  /* nothing of a request has come */
    struct list heading GUARDED_BY(lock); /* parts of a head have; by deadline */
    struct list active GUARDED_BY(lock);
    size_t visitor_count GUARDED_BY(lock);
    struct uid_count *uids GUARDED_BY(lock);
    size_t uid_count GUARDED_BY(lock);
    uint64_t accept_after_ns GUARDED_BY(lock); /* listeners rest until then; 0: they do not */

    struct list jobs GUARDED_BY(lock);
    size_t job_count GUARDED_BY(lock);
    size_t thread_count GUARDED_BY(lock);
    size_t idle_count GUARDED_BY(lock);
    struct condition work; /* a job has come, or the server stops */
};

/* ---- server.c: visitors come and go ---- */
/* Counts a newcomer on a connected socket (taken). UNAVAILABLE when there are too many. */
int visitor_new(struct http_server *server, int fd, struct tls_context *tls, struct visitor **out,
                struct error *err);
void visitor_free(struct visitor *visitor);
/* Gives an owned visitor to the loop. */
void visitor_park(struct visitor *visitor);

/* ---- loop.c ---- */
void *loop_run(void *server);
void loop_wake(struct http_server *server);
/* Reads what has come of a request's head, never blocking. */
enum head_state visitor_receive(struct visitor *visitor);

/* ---- worker.c ---- */
/* Hands an owned visitor to a worker. */
void worker_serve(struct visitor *visitor);

/* ---- exchange.c ---- */
/* Answers the request whose head is in the connection's 'ahead'. False: the connection is to be
 * closed, or is gone (visitor->connection NULL). */
bool exchange_run(struct visitor *visitor, enum head_state state);

#endif
