/* Inside of the client: client.c sends requests, response.c reads answers, upload.c sends bodies
 * that come from streams while answers may come already. Not for users of http/. */
#ifndef BERTH_HTTP_CLIENT_STATE_H
#define BERTH_HTTP_CLIENT_STATE_H

#include "base/buf.h"
#include "base/thread.h"
#include "http/client.h"
#include "http/dial.h"
#include "http/head.h"
#include "http/parser.h"
#include "http/transport.h"

struct http_client {
    struct address address;
    struct tls_context *tls;     /* for TLS addresses (borrowed, or 'own_tls') */
    struct tls_context *own_tls; /* made for https:// without a given one */
    struct mutex lock;
    size_t reference_count GUARDED_BY(lock);
    struct http_connection *idle GUARDED_BY(lock);
};

struct upload {
    struct stream *body; /* borrowed; NULL when it has ended */
    struct buf waiting;  /* framed, to be sent */
    bool is_broken;      /* the connection takes no more */
};

struct http_response {
    struct http_client *client;
    struct http_connection *connection;
    struct http_head head;
    struct http_parser *parser;
    struct upload upload;
    struct stream stream;
    bool is_upgrade_asked;
    bool has_failed;
};

/* Sends on until bytes of an answer are there or everything is sent. 1: an answer (or the end), 0:
 * all sent. */
int client_upload(struct upload *upload, struct http_connection *connection, struct error *err);
bool upload_is_done(const struct upload *upload);
void upload_done(struct upload *upload);

/* Reads the head of the answer on 'connection' (taken). */
int response_receive(struct http_client *client, struct http_connection *connection,
                     const struct http_request *request, struct http_response **out,
                     struct error *err);

struct http_client *client_ref(struct http_client *client);
void client_unref(struct http_client *client);
/* Keeps a connection for the next request (taken). */
void client_keep(struct http_client *client, struct http_connection *connection);

#endif
