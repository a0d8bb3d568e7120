/* Bringing a client's directory here: what has changed since the last time, by name, kind, size and
 * time of change, is fetched, what is gone is removed. */
#ifndef BERTH_BUILDKIT_RECEIVE_H
#define BERTH_BUILDKIT_RECEIVE_H

#include "base/strv.h"
#include "buildkit/peer.h"

enum { RECEIVE_ENTRY_LIMIT = 4 << 20, RECEIVE_DEPTH_LIMIT = 128 };

struct receive_request {
    const char *name;           /* of the directory, as the client knows it */
    const struct strv *include; /* patterns of what is wanted; NULL: all */
    const struct strv *exclude; /* lines as in .dockerignore; may be NULL */
    const struct strv *follow; /* paths that are wanted, with what their links lead to; NULL: all */
    int64_t size_limit;        /* of one file, 0: none */
    int cancel_fd;
    void (*progress)(void *data, int64_t bytes); /* told of bytes that came; may be NULL */
    void *data;
    int64_t *size_bytes; /* set to what all files have together, when they are here; may be NULL */
};

#define RECEIVE_TREE "tree" /* where the files are, below 'path' */

/* Makes <path>/tree what the client's directory is; 'path' is a directory that is the caller's
 * alone. Whatever happens, each file in it is whole: the next call goes on from there. Owners are
 * not kept. INVALID for what is no list of files; NOT_FOUND if the client has no such directory. */
int receive_directory(struct peer *session, const struct receive_request *request, const char *path,
                      struct error *err);

#endif
