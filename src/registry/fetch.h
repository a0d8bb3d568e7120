/* Manifests and blobs out of a registry, checked before anybody sees them, tried again where that
 * may help: answers 429 and 5xx, connections that break. */
#ifndef BERTH_REGISTRY_FETCH_H
#define BERTH_REGISTRY_FETCH_H

#include "registry/auth.h"
#include "registry/manifest.h"

struct fetched {
    char digest[DIGEST_TEXT_SIZE];
    struct str bytes;
    struct manifest manifest;
};
/* 'reference' is a tag or a digest. */
int fetch_manifest(struct session *session, const char *reference, bool (*is_cancelled)(void *data),
                   void *data, struct fetched *out, struct error *err);
void fetched_done(struct fetched *fetched);
CLEANUP_VALUE(fetched_done, struct fetched)

/* The same bytes, and what they are called, without looking into them (artifacts too). */
int fetch_document(struct session *session, const char *reference, bool (*is_cancelled)(void *data),
                   void *data, struct str *out_bytes, char out_digest[DIGEST_TEXT_SIZE],
                   char **out_type, struct error *err);

/* A blob on its way into the store; it is claimed there when it is whole. */
struct blob_fetch {
    struct session *session;
    struct store *store;
    const char *digest, *media_type; /* media_type may be NULL */
    int64_t size;
    const struct strv
        *urls; /* asked if the registry does not have it, without credentials; may be NULL */
    bool (*is_cancelled)(void *data);
    void (*received)(void *data, int64_t size); /* may be NULL */
    void *data;
};
int fetch_blob(const struct blob_fetch *fetch, struct error *err);

/* Waits before attempt number 'attempt' (1 is the first repetition), as long as 'answer' asks for
 * or twice as long each time. False if it was cancelled. */
bool retry_wait(int attempt, const struct answer *answer, bool (*is_cancelled)(void *data),
                void *data);
/* True if another attempt may help. */
bool retry_helps(const struct error *err);

#endif
