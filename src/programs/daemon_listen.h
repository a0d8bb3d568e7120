/* The sockets that berthd is reached by. */
#ifndef BERTH_PROGRAMS_DAEMON_LISTEN_H
#define BERTH_PROGRAMS_DAEMON_LISTEN_H

#include "base/error.h"
#include "http/server.h"
#include "programs/daemon_options.h"

struct daemon_sockets {
    struct {
        int fd;
        bool is_tcp;     /* TLS is for these */
        char *unix_path; /* to be removed at the end; NULL: none */
    } * items;
    size_t count;
    struct tls_context *tls; /* NULL: none */
};

/* Opens all hosts of the options. INVALID for tcp:// without TLS unless it was allowed. */
int daemon_sockets_open(const struct daemon_options *options, struct daemon_sockets *out,
                        struct error *err);
/* Hands them to the server. */
int daemon_sockets_serve(struct daemon_sockets *sockets, struct http_server *server,
                         struct error *err);
/* Removes what was made in the file system. */
void daemon_sockets_done(struct daemon_sockets *sockets);
CLEANUP_VALUE(daemon_sockets_done, struct daemon_sockets)

#endif
