/* gRPC over HTTP/2, in both roles: a call carries messages in both directions and ends with a
 * status. Messages are bytes here; compressed ones are refused (nobody is offered compression). */
#ifndef BERTH_BUILDKIT_GRPC_H
#define BERTH_BUILDKIT_GRPC_H

#include "base/buf.h"
#include "base/error.h"
#include "base/strv.h"
#include "http/http2.h"

#define GRPC_MESSAGE_LIMIT ((size_t)16 << 20)

struct grpc_call;

/* 1: a message, 0: there will be none any more, -1. On the client's side the end of the messages is
 * also the end of the call: a status that is none of success is an error. */
int grpc_receive(struct grpc_call *call, struct buf *out, struct error *err);
/* INVALID "… no message" instead of 0. */
int grpc_receive_one(struct grpc_call *call, struct buf *out, struct error *err);
int grpc_send(struct grpc_call *call, const struct buf *message, struct error *err);
/* Receiving and sending end with CANCELLED when the descriptor is readable. */
void grpc_set_cancel(struct grpc_call *call, int cancel_fd);
/* Ends the call for both sides: whoever sends or receives in another thread fails. */
void grpc_cancel(struct grpc_call *call);

/* What a status code means here; INTERNAL for one that means nothing. */
enum error_kind grpc_kind(int64_t code);

/* ---- server ---- */

struct grpc_method {
    const char *path; /* "/package.Service/Method" */
    /* Its error becomes the status of the call. */
    int (*handle)(struct grpc_call *call, void *data, struct error *err);
};

/* Takes the connection and serves calls of the methods (ended by a row without a path), each in a
 * thread of its own, until the client closes or 'cancel_fd' is readable. */
int grpc_serve(struct http_connection *connection, const struct grpc_method *methods, void *data,
               int cancel_fd, struct error *err);

/* Metadata of the request; NULL if there is none of that name. Borrowed. */
const char *grpc_metadata(struct grpc_call *call, const char *name);
void grpc_metadata_list(struct grpc_call *call, const char *name, struct strv *out);
/* Readable when the client does not wait for the end any more; the call's. */
int grpc_cancel_fd(struct grpc_call *call);
/* A detail that goes along with the error that the handler will return. */
void grpc_add_detail(struct grpc_call *call, const char *type_url, const void *value, size_t size);

/* ---- client ---- */

/* Names and values of metadata, side by side; names in lower case, values in ASCII. */
struct grpc_metadata {
    struct strv names, values;
};
void grpc_metadata_add(struct grpc_metadata *metadata, const char *name, const char *value);
void grpc_metadata_done(struct grpc_metadata *metadata);
CLEANUP_VALUE(grpc_metadata_done, struct grpc_metadata)

/* Begins a call; 'metadata' may be NULL. */
int grpc_call_new(struct http2 *channel, const char *path, const struct grpc_metadata *metadata,
                  int cancel_fd, struct grpc_call **out, struct error *err);
/* No message will follow. */
int grpc_finish_sending(struct grpc_call *call, struct error *err);
void grpc_call_free(struct grpc_call *call); /* one that is not over is cancelled */
CLEANUP_POINTER(grpc_call_free, struct grpc_call)

/* One message there, one back. */
int grpc_ask(struct http2 *channel, const char *path, const struct buf *request, int cancel_fd,
             struct buf *out, struct error *err);

#endif
