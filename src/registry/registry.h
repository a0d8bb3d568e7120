/* Registries, from the client's side: images are pulled from them and pushed to them by the
 * distribution protocol. https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md
 *
 * Nothing of what a registry says is believed: sizes and digests are compared before bytes are
 * used, redirects carry no credentials, credentials go to the registry that they are for and to the
 * token server that it names, and plain HTTP is spoken only to hosts that a rule names. */
#ifndef BERTH_REGISTRY_REGISTRY_H
#define BERTH_REGISTRY_REGISTRY_H

#include "registry/manifest.h"
#include "spec/reference.h"
#include "store/store.h"

struct registry_options {
    /* "host", "host:port" or "10.0.0.0/8": may be spoken to without TLS, or with certificates that
     * nobody vouches for. 127.0.0.0/8, ::1 and localhost always may. */
    const struct strv *insecure_registries;
    /* "https://mirror" for docker.io, "ghcr.io=https://mirror" for others: asked before. */
    const struct strv *mirrors;
    /* Directories with <host[:port]>/{*.crt,*.cert,*.key}, in this order. */
    const struct strv *certificate_paths;
    const char *http_proxy, *https_proxy, *no_proxy; /* NULL or "": none */
    int download_limit, upload_limit, attempt_limit; /* 0: 3, 5, 5 */
};

struct registry;
/* Keeps its own copy of the options. */
struct registry *registry_new(const struct registry_options *options, struct store *store);
/* Ends what is still under way. */
void registry_free(struct registry *registry);
CLEANUP_POINTER(registry_free, struct registry)

/* Who somebody is to one registry. */
struct credentials {
    char *username, *password, *identity_token, *registry_token, *server_address;
};
/* X-Registry-Auth: base64 of JSON, either alphabet; what cannot be read is nobody. */
void credentials_decode(const char *header, struct credentials *out);
/* From a JSON object: {"username":…,"password":…,"auth":…,"identitytoken":…,"registrytoken":…}. */
void credentials_from_json(const struct json *value, struct credentials *out);
void credentials_done(struct credentials *credentials);
CLEANUP_VALUE(credentials_done, struct credentials)

/* What the user is told meanwhile; functions are called by one thread at a time. */
struct registry_watcher {
    void *data;
    /* "Pulling from library/x" with id "latest": once the registry has answered. */
    void (*head)(void *data, const char *id, const char *status);
    void (*layer)(void *data, const char *id, const char *status);
    void (*amount)(void *data, const char *id, const char *status, int64_t current, int64_t total);
    void (*line)(void *data, const char *status);
    /* True ends it: CANCELLED. */
    bool (*is_cancelled)(void *data);
};

/* ---- pull ---- */

struct pull_result {
    struct image *image;
    char digest[DIGEST_TEXT_SIZE]; /* of what the reference named: index or manifest */
    bool is_new;
    bool is_other_platform; /* the one image that there is is not for the wanted platform */
};
void pull_result_done(struct pull_result *result);
CLEANUP_VALUE(pull_result_done, struct pull_result)

/* Gets one image (reference with tag or digest); names it nothing. Errors have Docker's texts and
 * kinds: NOT_FOUND "manifest for x:1 not found: manifest unknown: …", UNAUTHORIZED, … Cancelled, or
 * when the network fails, whole blobs stay for the next time. 'platform' NULL: this machine's. */
int registry_pull(struct registry *registry, const struct reference *reference,
                  const struct platform *platform, const struct credentials *credentials,
                  const struct registry_watcher *watcher, struct pull_result *out,
                  struct error *err);

/* All tags of a repository. */
int registry_tags(struct registry *registry, const struct reference *reference,
                  const struct credentials *credentials, const struct registry_watcher *watcher,
                  struct strv *out, struct error *err);

/* ---- push ---- */

struct push_result {
    char digest[DIGEST_TEXT_SIZE];
    int64_t size; /* of the manifest, or of the index of it and what is attested of it */
    bool is_index;
};
/* Sends one image, with what is attested of it, under the tag of 'reference'; without a tag the
 * image alone, by the digest of its manifest. 'sources' (may be NULL) are repositories of the same
 * registry that may have its layers ("a/b"). */
int registry_push(struct registry *registry, const struct reference *reference,
                  const struct image *image, const struct strv *sources,
                  const struct credentials *credentials, const struct registry_watcher *watcher,
                  struct push_result *out, struct error *err);

/* Sends images for several platforms, each by its digest, and the index of them all, with what is
 * attested of each, under the tag of 'reference'. */
int registry_push_index(struct registry *registry, const struct reference *reference,
                        struct image *const *images, size_t count,
                        const struct credentials *credentials,
                        const struct registry_watcher *watcher, struct push_result *out,
                        struct error *err);

/* A manifest or an index that was made elsewhere. */
struct registry_document {
    const void *bytes;
    size_t size;
    const char *media_type;
    const char *source; /* repository of the same registry that has its blobs; NULL: its own */
};
/* Stores it under the tag or digest of 'reference'; blobs that are in 'source' only are mounted.
 * Without a source it may be the manifest of an artifact that is no image. */
int registry_put(struct registry *registry, const struct reference *reference,
                 const struct registry_document *document, const struct credentials *credentials,
                 char out_digest[DIGEST_TEXT_SIZE], struct error *err);

/* ---- small blobs, of artifacts that are no images ---- */

/* The blob that 'reference' names by its digest; of at most CONFIG_SIZE_LIMIT bytes. */
int registry_blob_get(struct registry *registry, const struct reference *reference,
                      const struct credentials *credentials, struct str *out, struct error *err);
/* Into the repository of 'reference', unless it is there. */
int registry_blob_put(struct registry *registry, const struct reference *reference,
                      const void *bytes, size_t size, const struct credentials *credentials,
                      char out_digest[DIGEST_TEXT_SIZE], struct error *err);

/* ---- questions ---- */

/* Tries the credentials at 'server' ("" or Hub's address: Docker Hub). 'out_identity_token' is
 * yours, "" if the registry gave none. */
int registry_login(struct registry *registry, const char *server,
                   const struct credentials *credentials, char **out_identity_token,
                   struct error *err);

struct registry_description {
    char digest[DIGEST_TEXT_SIZE];
    char *media_type;
    int64_t size;
    struct str body; /* the manifest or index as it is */
    struct platform *platforms;
    size_t platform_count;
};
void registry_description_done(struct registry_description *description);
CLEANUP_VALUE(registry_description_done, struct registry_description)
int registry_describe(struct registry *registry, const struct reference *reference,
                      const struct credentials *credentials, struct registry_description *out,
                      struct error *err);

/* Docker Hub's search: the answer's JSON. */
int registry_search(struct registry *registry, const char *term, int limit,
                    const struct credentials *credentials, struct json **out, struct error *err);

#endif
