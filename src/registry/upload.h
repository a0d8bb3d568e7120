/* Blobs into a registry: asked for first, mounted from another repository where that works, sent
 * else. */
#ifndef BERTH_REGISTRY_UPLOAD_H
#define BERTH_REGISTRY_UPLOAD_H

#include "registry/auth.h"

struct upload {
    struct session *session;
    const char *digest;
    int64_t size;
    int fd;            /* what is sent, from its beginning; */
    const void *bytes; /* or this; */
    /* or a stream, opened anew for each attempt: 'digest' holds only at its end, 'size' does not
     * count; NULL: none */
    int (*open)(void *data, struct stream **out, struct error *err);
    const struct strv *sources;             /* repositories to mount from; may be NULL */
    void (*sent)(void *data, int64_t size); /* may be NULL */
    bool (*is_cancelled)(void *data);
    void *data;
};

/* 1: the repository has it; 0: it does not. */
int upload_exists(const struct upload *upload, struct error *err);

/* Tries the sources: 1 with '*out_from' if one of them had it, 0 if none did. */
int upload_mount(const struct upload *upload, const char **out_from);

/* Sends it, again where that may help. */
int upload_run(const struct upload *upload, struct error *err);

#endif
