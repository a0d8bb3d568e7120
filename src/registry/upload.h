/* Blobs into a registry: asked for first, mounted from another repository where that works, sent
 * else. */
#ifndef BERTH_REGISTRY_UPLOAD_H
#define BERTH_REGISTRY_UPLOAD_H

#include "registry/auth.h"

struct upload {
    struct session *session;
    const char *digest;
    int64_t size;
    int fd;                                 /* what is sent, from its beginning; */
    const void *bytes;                      /* or this */
    const struct strv *sources;             /* repositories to mount from; may be NULL */
    void (*sent)(void *data, int64_t size); /* may be NULL */
    bool (*is_cancelled)(void *data);
    void *data;
};

/* 1: the repository has it; 0: it does not. */
int upload_exists(const struct upload *upload, struct error *err);

/* Tries the sources: 1 with '*out_from' if one of them had it, 0 if none did. */
int upload_mount(const struct upload *upload, const char **out_from);

/* Makes it be there: 0, or -1. '*out_mounted_from' is the source that had it, NULL if it was sent.
 */
int upload_run(const struct upload *upload, const char **out_mounted_from, struct error *err);

#endif
