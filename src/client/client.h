/* The Docker API from the other side of the socket. One client talks to one engine; safe to use
 * from several threads.
 *
 * Requests name the newest API version that we speak; an engine that is older says so, and is then
 * spoken to in its own. */
#ifndef BERTH_CLIENT_CLIENT_H
#define BERTH_CLIENT_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/map.h"
#include "base/stream.h"
#include "codec/json.h"
#include "http/client.h"

#define CLIENT_API_VERSION "1.51"
#define CLIENT_REPLY_LIMIT ((size_t)256 << 20)

struct client;

struct client_options {
    const char *host; /* unix:///run/berth/berth.sock, tcp://…, ssh://… */
    bool tls, tls_verify;
    const char *ca_path, *cert_path, *key_path;
    const char *api_version;   /* NULL: negotiate */
    const struct map *headers; /* texts that go with every request; NULL: none */
};
int client_open(const struct client_options *options, struct client **out, struct error *err);
void client_close(struct client *client);
CLEANUP_POINTER(client_close, struct client)
const char *client_host(const struct client *client);

/* Builds the path of a request: encoded segments and query. Zero it, then add; client_path_take
 * gives the text. */
struct client_path {
    struct str text;
    bool has_query;
};
void client_path_begin(struct client_path *path, const char *format, ...) PRINTF(2, 3);
void client_path_segment(struct client_path *path,
                         const char *value); /* "/" and the encoded value ('/' stays) */
void client_path_query(struct client_path *path, const char *name,
                       const char *value); /* NULL value: nothing */
void client_path_done(struct client_path *path);
CLEANUP_VALUE(client_path_done, struct client_path)

/* One exchange. 'body' is JSON text or NULL. A status of 400 and more becomes an error of the
 * fitting kind, its text "Error response from daemon: <message>"; 304 is NOT_MODIFIED. 'out' (may
 * be NULL) gets the decoded answer, or NULL if it was empty. */
int client_call(struct client *client, const char *method, const struct client_path *path,
                const char *body, struct json **out, struct error *err);

/* The same with headers of the caller's (texts). */
int client_call_with(struct client *client, const char *method, const struct client_path *path,
                     const struct map *headers, const char *body, struct json **out,
                     struct error *err);

/* The same, the answer left to be read: for streams. 'content_type' and 'body_stream' for uploads,
 * else NULL. */
int client_stream(struct client *client, const char *method, const struct client_path *path,
                  const char *body, struct stream *body_stream, const char *content_type,
                  struct http_response **out, struct error *err);

/* The same with headers of the caller's (texts); 'body_stream' and 'content_type' may be NULL. */
int client_stream_with(struct client *client, const char *method, const struct client_path *path,
                       const struct map *headers, struct stream *body_stream,
                       const char *content_type, struct http_response **out, struct error *err);

/* The error that an answer of this status stands for, for answers that are no whole exchange. */
int client_refusal(int status, const char *message, struct error *err);

/* Upgrades to a raw connection. */
int client_upgrade(struct client *client, const struct client_path *path, const char *body,
                   struct http_connection **out, struct error *err);
/* The same with headers of the caller's (texts). */
int client_upgrade_with(struct client *client, const struct client_path *path,
                        const struct map *headers, const char *body, struct http_connection **out,
                        struct error *err);

/* The connection alone, for passing bytes on. */
int client_dial(struct client *client, struct http_connection **out, struct error *err);

/* Reads a stream of JSON messages (progress of a build, events) one by one: 1 a message (free it),
 * 0 the end. */
struct client_messages {
    struct http_response *response;
    struct str buffer;
};
int client_messages_next(struct client_messages *messages, struct json **out, struct error *err);
void client_messages_done(struct client_messages *messages);

#endif
