/* A container's streams on ours: one loop that moves bytes both ways, splits stdout from stderr,
 * watches for detach keys, window changes and signals. */
#ifndef BERTH_CLI_STREAM_H
#define BERTH_CLI_STREAM_H

#include <stdbool.h>

#include "base/error.h"
#include "client/client.h"
#include "http/connection.h"

struct stream_options {
    bool stdin_wanted;       /* copy our stdin; half-close at its end */
    bool tty;                /* raw bytes, raw terminal, detach keys; otherwise framed */
    const char *detach_keys; /* "ctrl-p,ctrl-q"; NULL: the default */
    /* Where window changes go: resize path begun with this ("/containers/<id>/resize"); NULL:
     * nowhere. */
    const char *resize_path;
    /* Signals to hand on: "/containers/<id>/kill"; NULL: none. */
    const char *kill_path;
};

/* Signals that are handed on must be blocked before the container starts, so that none ends us
 * early. */
void stream_block_signals(void);

/* Until the container closes its side. 1: ended, 0: detached by keys. The connection is taken and
 * kept until the program ends: the thread that feeds stdin may still be at it. */
int stream_run(struct client *client, struct http_connection *connection,
               const struct stream_options *options, struct error *err);

/* Reads "ctrl-p,ctrl-q" into bytes. INVALID for something else. */
int detach_keys_parse(const char *text, char *out, size_t size, size_t *out_count,
                      struct error *err);

/* Splits a framed stream that is read through 'read' (0: the end) onto our stdout and stderr. */
int stream_demultiplex(ssize_t (*read)(void *data, void *to, size_t size, struct error *err),
                       void *data, struct error *err);

#endif
