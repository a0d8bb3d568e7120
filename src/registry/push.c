/* What is to be sent is decided first. An image that came from elsewhere leaves with its manifest,
 * byte for byte, wherever its blobs can be had; for all others a manifest is made. */
#include "registry/push.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "codec/sha256.h"
#include "registry/upload.h"
#include "spec/descriptor.h"

#include "base/banned.h"

static bool is_cancelled(void *push)
{
    return push_is_cancelled(push);
}

/* The configuration, or a document that is made here: what is neither a layer nor a manifest. */
static int push_blob(struct push *push, struct upload *upload, struct error *err)
{
    upload->session = push->session;
    upload->is_cancelled = is_cancelled;
    upload->data = push;
    int exists = upload_exists(upload, err);
    return exists ? MIN(exists, 0) : upload_run(upload, err);
}

static int push_config(struct push *push, int64_t *out_size, struct error *err)
{
    CLEANUP(close) int fd = -1;
    struct upload upload = { .digest = push->image->id };

    if (blob_open(push->registry->store, push->image->id, &fd, &upload.size, err) < 0)
        return -1;
    upload.fd = fd;
    *out_size = upload.size;
    return push_blob(push, &upload, err);
}

/* As docker's classic store does: every registry takes it. */
static void make_manifest(struct push *push, int64_t config_size)
{
    struct json_writer w = { .out = &push->manifest };

    json_begin_dict(&w, NULL);
    json_add_int64(&w, "schemaVersion", 2);
    json_add_text(&w, "mediaType", MEDIA_TYPE_DOCKER_MANIFEST);
    descriptor_add(&w, "config", MEDIA_TYPE_DOCKER_CONFIG, push->image->id, config_size);
    json_begin_list(&w, "layers");
    for (size_t i = 0; i < push->count; i++)
        descriptor_add(&w, NULL, MEDIA_TYPE_DOCKER_LAYER_GZIP, push->layers[i].digest,
                       push->layers[i].size);
    json_end_list(&w);
    json_end_dict(&w);
    push->manifest_type = xstrdup(MEDIA_TYPE_DOCKER_MANIFEST);
}

static int put_manifest(struct push *push, const char *target, const char *media_type,
                        const struct str *text, struct error *err)
{
    CLEANUP(answer_done) struct answer answer = {};
    CLEANUP(free) char *url = session_url(push->session, "/manifests/%s", target);
    struct call call = { .method = "PUT",
                         .url = url,
                         .content_type = media_type,
                         .body = text->data,
                         .body_size = text->length,
                         .is_cancelled = is_cancelled,
                         .data = push };

    if (session_call(push->session, &call, &answer, err) < 0)
        return -1;
    if (answer.status != 201 && answer.status != 200)
        return answer_error(&answer, url, err);
    sha256_digest(text->data, text->length, push->result->digest);
    push->result->size = (int64_t)text->length;
    push->result->is_index = media_type_is_index(media_type);
    return 0;
}

static int put_documents(struct push *push, const struct attest_documents *made, struct error *err)
{
    for (size_t i = 0; i < made->blob_count; i++) {
        struct upload upload = { .digest = made->blobs[i].digest,
                                 .size = (int64_t)made->blobs[i].text.length,
                                 .fd = -1,
                                 .bytes = str_text(&made->blobs[i].text) };

        if (push_blob(push, &upload, err) < 0)
            return -1;
    }
    return put_manifest(push, made->manifest.digest, made->manifest.media_type,
                        &made->manifest.text, err);
}

/* The image by its digest, what is attested of it, and the index: of both under the tag, or the one
 * that lists it. */
static int put_attested(struct push *push, struct error *err)
{
    CLEANUP(attest_documents_done) struct attest_documents made = {};
    CLEANUP(strv_done) struct strv names = {};
    char digest[DIGEST_TEXT_SIZE];
    const struct attest_subject subject = { push->image, push->manifest_type, digest,
                                            (int64_t)push->manifest.length, &names };
    bool is_attested = push->attestations.count > 0;

    strv_add_take(&names, reference_familiar(push->reference));
    sha256_digest(push->manifest.data, push->manifest.length, digest);
    if (put_manifest(push, digest, push->manifest_type, &push->manifest, err) < 0)
        return -1;
    if (is_attested) {
        attest_documents_make(&subject, &push->attestations, &made);
        if (put_documents(push, &made, err) < 0)
            return -1;
    }
    if (!push->index)
        return put_manifest(push, push->reference->tag, made.index.media_type, &made.index.text,
                            err);
    attest_add_descriptors(push->index, &subject, is_attested ? made.manifest.digest : NULL,
                           (int64_t)made.manifest.text.length);
    return 0;
}

static int push_all(struct push *push, struct error *err)
{
    char digest[DIGEST_TEXT_SIZE];
    int64_t config_size = 0;

    if (push_layers(push, err) < 0 || push_config(push, &config_size, err) < 0)
        return -1;
    if (!push->manifest.length)
        make_manifest(push, config_size);
    if (push->index || (push->attestations.count > 0 && push->reference->tag))
        return put_attested(push, err);
    sha256_digest(push->manifest.data, push->manifest.length, digest);
    return put_manifest(push, push->reference->tag ?: digest, push->manifest_type, &push->manifest,
                        err);
}

static int use_session(struct session *session, void *data, struct error *err)
{
    struct push *push = data;

    push->session = session;
    for (size_t i = 0; push->sources && i < push->sources->count; i++)
        session_add_source(session, push->sources->items[i]);
    for (size_t i = push->count; i-- > 0;)
        push_tell(push, &push->layers[i], "Preparing");
    bool is_original = push_plan_original(push);
    if (!is_original && push_plan_own(push, err) < 0)
        return -1;
    if (push_all(push, err) == 0)
        return 0;
    /* A layer of the original that nobody has any more: the image leaves with a new manifest. */
    if (!is_original || !push->lacks_a_layer || err->kind != ERROR_NOT_FOUND)
        return -1;
    *err = (struct error){};
    return push_plan_own(push, err) < 0 ? -1 : push_all(push, err);
}

static int push_image(struct push *push, const struct credentials *credentials, struct error *err)
{
    mutex_init(&push->lock);
    push_name_layers(push);
    int result = store_image_attestations(push->registry->store, push->image->id,
                                          &push->attestations, err);
    if (result == 0)
        result = registry_each_endpoint(push->registry, push->reference, SESSION_PUSH, credentials,
                                        push->watcher, use_session, push, err);
    attestations_done(&push->attestations);
    free(push->layers);
    str_done(&push->manifest);
    free(push->manifest_type);
    mutex_done(&push->lock);
    return result;
}

int registry_push(struct registry *registry, const struct reference *reference,
                  const struct image *image, const struct strv *sources,
                  const struct credentials *credentials, const struct registry_watcher *watcher,
                  struct push_result *out, struct error *err)
{
    struct push push = { .registry = registry,
                         .reference = reference,
                         .image = image,
                         .sources = sources,
                         .watcher = watcher,
                         .result = out };

    return push_image(&push, credentials, err);
}

int registry_push_index(struct registry *registry, const struct reference *reference,
                        struct image *const *images, size_t count,
                        const struct credentials *credentials,
                        const struct registry_watcher *watcher, struct push_result *out,
                        struct error *err)
{
    CLEANUP(str_done) struct str text = {};
    struct json_writer index = { .out = &text };

    attest_index_begin(&index);
    for (size_t i = 0; i < count; i++) {
        struct push push = { .registry = registry,
                             .reference = reference,
                             .image = images[i],
                             .watcher = watcher,
                             .index = &index,
                             .result = out };

        if (push_image(&push, credentials, err) < 0)
            return -1;
    }
    attest_index_end(&index);
    const struct registry_document document = { text.data, text.length, MEDIA_TYPE_OCI_INDEX,
                                                NULL };
    *out = (struct push_result){ .size = (int64_t)text.length, .is_index = true };
    return registry_put(registry, reference, &document, credentials, out->digest, err);
}
