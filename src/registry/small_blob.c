/* Blobs that are kept in memory: parts of artifacts. */
#include <string.h>

#include "base/memory.h"
#include "codec/sha256.h"
#include "registry/internal.h"
#include "registry/manifest.h"
#include "registry/upload.h"

#include "base/banned.h"

struct small_blob {
    const char *digest;
    const void *bytes;
    size_t size;
    struct str *out;
};

static int get(struct session *session, void *data, struct error *err)
{
    const struct small_blob *blob = data;
    CLEANUP(answer_done) struct answer answer = {};
    CLEANUP(free) char *url = session_url(session, "/blobs/%s", blob->digest);
    struct call call = { .method = "GET", .url = url, .answer_limit = (size_t)CONFIG_SIZE_LIMIT };
    char digest[DIGEST_TEXT_SIZE];

    if (session_call(session, &call, &answer, err) < 0)
        return -1;
    if (answer.status != 200)
        return answer_error(&answer, url, err);
    sha256_digest(str_text(&answer.body), answer.body.length, digest);
    if (strcmp(digest, blob->digest) != 0)
        return error_set(err, ERROR_INVALID, "blob %s has the digest %s", blob->digest, digest);
    str_add_bytes(blob->out, str_text(&answer.body), answer.body.length);
    return 0;
}

int registry_blob_get(struct registry *registry, const struct reference *reference,
                      const struct credentials *credentials, struct str *out, struct error *err)
{
    struct small_blob blob = { .digest = reference->digest, .out = out };

    if (!blob.digest)
        return error_set(err, ERROR_INVALID, "a blob is named by its digest");
    return registry_each_endpoint(registry, reference, SESSION_PULL, credentials, NULL, get, &blob,
                                  err);
}

static int put(struct session *session, void *data, struct error *err)
{
    const struct small_blob *blob = data;
    struct upload upload = { .session = session,
                             .digest = blob->digest,
                             .size = (int64_t)blob->size,
                             .fd = -1,
                             .bytes = blob->bytes };
    int exists = upload_exists(&upload, err);

    return exists ? MIN(exists, 0) : upload_run(&upload, err);
}

int registry_blob_put(struct registry *registry, const struct reference *reference,
                      const void *bytes, size_t size, const struct credentials *credentials,
                      char out_digest[DIGEST_TEXT_SIZE], struct error *err)
{
    struct small_blob blob = { .digest = out_digest, .bytes = bytes, .size = size };

    sha256_digest(bytes, size, out_digest);
    return registry_each_endpoint(registry, reference, SESSION_PUSH, credentials, NULL, put, &blob,
                                  err);
}
