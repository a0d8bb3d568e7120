/* Images between the engine and registries. */
#ifndef BERTH_ENGINE_IMAGE_REGISTRY_H
#define BERTH_ENGINE_IMAGE_REGISTRY_H

#include "engine/engine.h"
#include "registry/registry.h"

/* 'tag' (may be NULL) overrides that of 'name' and may be a digest; without any all tags are
 * pulled. FORBIDDEN for "scratch". Errors before watcher->head are the request's own; later ones
 * belong into the stream. */
int engine_image_pull(struct engine *engine, const char *name, const char *tag,
                      const struct platform *platform, const struct credentials *credentials,
                      const struct registry_watcher *watcher, struct error *err);

/* One image for a platform that is not this machine's: it gets the digest of its manifest as a name
 * ("x@sha256:…"), so that the tag stays what it is here. NOT_FOUND if there is none for it. */
int engine_image_pull_foreign(struct engine *engine, const struct reference *reference,
                              const struct platform *platform,
                              const struct credentials *credentials,
                              const struct registry_watcher *watcher, struct image **out,
                              struct error *err);

/* What the pulls of a build are done with (build_options.pull_data). */
struct build_pulls {
    const struct registry_watcher *watcher; /* called by several threads */
    struct map credentials;                 /* registry → struct credentials */
    /* Asked for those that the map does not have: 1, or 0 if nobody has them. NULL: nobody. */
    int (*find)(void *data, const char *registry, int cancel_fd, struct credentials *out,
                struct error *err);
    void *data;
};
/* X-Registry-Config: base64 of {"host":{"username":…},…}; what cannot be read is nobody. */
void build_pulls_decode(const char *header, struct build_pulls *out);
void build_pulls_done(struct build_pulls *pulls);
CLEANUP_VALUE(build_pulls_done, struct build_pulls)

/* Each tag that is done is told to 'pushed'. 'tag' NULL or "":
 * all tags of the repository. */
struct push_watcher {
    struct registry_watcher registry;
    void (*pushed)(void *data, const char *tag, const struct push_result *result);
};
/* INVALID for a bad name: before anything is told. */
int engine_image_push_check(const char *name, const char *tag, struct reference *out,
                            struct error *err);
int engine_image_push(struct engine *engine, const struct reference *reference, bool all_tags,
                      const struct platform *platform, const struct credentials *credentials,
                      const struct push_watcher *watcher, struct error *err);

/* Images for several platforms, by their ids, as one under the tag of 'reference'. */
int engine_images_push(struct engine *engine, const struct reference *reference,
                       const struct strv *image_ids, const struct credentials *credentials,
                       const struct push_watcher *watcher, struct error *err);

int engine_registry_login(struct engine *engine, const struct credentials *credentials,
                          char **out_identity_token, struct error *err);
/* 'insecure': for this once the registry may be spoken to as --insecure-registry says. */
int engine_registry_describe(struct engine *engine, const char *name, bool insecure,
                             const struct credentials *credentials,
                             struct registry_description *out, struct error *err);
int engine_registry_put(struct engine *engine, const char *name, bool insecure,
                        const struct registry_document *document,
                        const struct credentials *credentials, char out_digest[DIGEST_TEXT_SIZE],
                        struct error *err);
/* Small blobs of artifacts: the one that 'name' has as its digest, and into the repository of
 * 'name'. */
int engine_registry_blob_get(struct engine *engine, const char *name,
                             const struct credentials *credentials, struct str *out,
                             struct error *err);
int engine_registry_blob_put(struct engine *engine, const char *name, const void *bytes,
                             size_t size, const struct credentials *credentials,
                             char out_digest[DIGEST_TEXT_SIZE], struct error *err);
int engine_registry_search(struct engine *engine, const char *term, int limit,
                           const struct credentials *credentials, struct json **out,
                           struct error *err);

#endif
