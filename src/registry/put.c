/* Manifests that somebody else made, indexes above all, into a registry. */
#include <string.h>

#include "base/text.h"
#include "codec/sha256.h"
#include "registry/internal.h"
#include "registry/manifest.h"
#include "registry/upload.h"

#include "base/banned.h"

struct put {
    const struct reference *reference;
    const struct registry_document *document;
    const struct manifest *manifest;
};

/* Nothing can be sent that is not here: a blob is in the repository, or in the one it comes from.
 */
static int bring_blob(struct session *session, const char *source, const char *digest, int64_t size,
                      struct error *err)
{
    CLEANUP(strv_done) struct strv sources = {};
    struct upload upload = {
        .session = session, .digest = digest, .size = size, .fd = -1, .sources = &sources
    };
    const char *from;
    int exists = upload_exists(&upload, err);

    if (exists)
        return MIN(exists, 0);
    strv_add(&sources, source);
    return upload_mount(&upload, &from)
               ? 0
               : error_set(err, ERROR_NOT_FOUND, "blob %s cannot be had from %s", digest, source);
}

static int bring_blobs(struct session *session, const struct put *put, struct error *err)
{
    const struct manifest *manifest = put->manifest;
    const char *source = put->document->source;

    if (bring_blob(session, source, manifest->config.digest, manifest->config.size, err) < 0)
        return -1;
    for (size_t i = 0; i < manifest->child_count; i++)
        if (bring_blob(session, source, manifest->children[i].digest, manifest->children[i].size,
                       err) < 0)
            return -1;
    return 0;
}

static int put_document(struct session *session, void *data, struct error *err)
{
    const struct put *put = data;
    const struct registry_document *document = put->document;
    CLEANUP(answer_done) struct answer answer = {};
    CLEANUP(free)
    char *url = session_url(session, "/manifests/%s", reference_target(put->reference));
    struct call call = { .method = "PUT",
                         .url = url,
                         .content_type = document->media_type,
                         .body = document->bytes,
                         .body_size = document->size };

    if (document->source) {
        session_add_source(session, document->source);
        if (!put->manifest->is_index && bring_blobs(session, put, err) < 0)
            return -1;
    }
    if (session_call(session, &call, &answer, err) < 0)
        return -1;
    if (answer.status != 201 && answer.status != 200)
        return answer_error(&answer, url, err);
    return 0;
}

int registry_put(struct registry *registry, const struct reference *reference,
                 const struct registry_document *document, const struct credentials *credentials,
                 char out_digest[DIGEST_TEXT_SIZE], struct error *err)
{
    CLEANUP(manifest_done) struct manifest manifest = {};
    struct put put = { reference, document, &manifest };

    if (manifest_parse(document->bytes, document->size, document->media_type, &manifest, err) < 0) {
        if (err->kind != ERROR_UNSUPPORTED || document->source ||
            !media_type_is_manifest(document->media_type))
            return -1;
        *err = (struct error){};
    }
    sha256_digest(document->bytes, document->size, out_digest);
    if (reference->digest && strcmp(reference->digest, out_digest) != 0)
        return error_set(err, ERROR_INVALID, "the manifest has the digest %s, not %s", out_digest,
                         reference->digest);
    return registry_each_endpoint(registry, reference, SESSION_PUSH, credentials, NULL,
                                  put_document, &put, err);
}
