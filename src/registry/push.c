/* What is to be sent is decided first. An image that came from elsewhere leaves with its manifest,
 * byte for byte, wherever its blobs can be had; for all others a manifest is made. */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "codec/compress.h"
#include "codec/sha256.h"
#include "registry/attest.h"
#include "registry/internal.h"
#include "registry/upload.h"
#include "spec/descriptor.h"

#include "base/banned.h"

enum { SHORT_LENGTH = 12, DEFAULT_UPLOAD_LIMIT = 5 };

enum layer_form {
    LAYER_BLOB,   /* kept: sent as it is */
    LAYER_PLAIN,  /* written anew from its files */
    LAYER_GZIP,   /* compressed anew */
    LAYER_REMOTE, /* only the registry can have it */
};

struct push_layer {
    char id[SHORT_LENGTH + 1], chain_id[DIGEST_TEXT_SIZE], diff_id[DIGEST_TEXT_SIZE];
    enum layer_form form;
    bool has_digest;
    char digest[DIGEST_TEXT_SIZE];
    int64_t size;
};

struct push {
    struct registry *registry;
    const struct reference *reference;
    const struct image *image;
    const struct strv *sources;
    const struct registry_watcher *watcher;
    struct session *session;
    struct push_layer *layers;
    size_t count;
    struct str manifest; /* that it came with; empty: one is made */
    char *manifest_type;
    struct attestations attestations; /* that go along */
    struct mutex lock;
    size_t next GUARDED_BY(lock); /* layer to be taken by a thread */
    struct error failure GUARDED_BY(lock);
    atomic_bool is_over; /* one failed: the others stop */
    struct push_result *result;
};

/* ---- deciding ---- */

static void name_layers(struct push *push)
{
    const struct strv *diff_ids = &push->image->config.rootfs.diff_ids;

    push->count = diff_ids->count;
    push->layers = xcalloc(push->count + 1, sizeof(*push->layers));
    for (size_t i = 0; i < push->count; i++) {
        struct push_layer *layer = &push->layers[i];

        image_chain_id(diff_ids, i + 1, layer->chain_id);
        snprintf(layer->diff_id, sizeof(layer->diff_id), "%s", diff_ids->items[i]);
        memcpy(layer->id, digest_hex(diff_ids->items[i]), SHORT_LENGTH);
    }
}

static int64_t blob_size(struct store *store, const char *digest)
{
    CLEANUP(close) int fd = -1;
    int64_t size = -1;

    if (*digest)
        blob_open(store, digest, &fd, &size, NULL);
    return size;
}

/* What was compressed here before becomes the same again. */
static bool can_be_compressed(struct store *store, const struct push_layer *layer)
{
    char digest[DIGEST_TEXT_SIZE];
    int64_t size;

    return store_layer_compressed(store, layer->diff_id, digest, &size) &&
           strcmp(digest, layer->digest) == 0;
}

/* As the manifest says. */
static void plan_original(struct push *push, const struct manifest *manifest)
{
    for (size_t i = 0; i < push->count; i++) {
        struct push_layer *layer = &push->layers[i];
        const struct descriptor *descriptor = &manifest->children[i];

        memcpy(layer->digest, descriptor->digest, sizeof(layer->digest));
        layer->size = descriptor->size;
        layer->has_digest = true;
        if (blob_size(push->registry->store, layer->digest) == layer->size)
            layer->form = LAYER_BLOB;
        else if (strcmp(layer->digest, layer->diff_id) == 0)
            layer->form = LAYER_PLAIN;
        else
            layer->form = can_be_compressed(push->registry->store, layer) ? LAYER_GZIP
                                                                          : LAYER_REMOTE;
    }
}

static bool find_original(struct push *push)
{
    CLEANUP(manifest_done) struct manifest manifest = {};
    struct store *store = push->registry->store;
    char digest[DIGEST_TEXT_SIZE];

    if (!store_image_manifest(store, push->image->id, digest) ||
        blob_read(store, digest, MANIFEST_SIZE_LIMIT, &push->manifest, NULL) < 0)
        return false;
    if (manifest_parse(str_text(&push->manifest), push->manifest.length, NULL, &manifest, NULL) <
            0 ||
        manifest.is_index || manifest.child_count != push->count) {
        str_done(&push->manifest);
        return false;
    }
    push->manifest_type = blob_media_type(store, digest);
    plan_original(push, &manifest);
    return true;
}

/* Gzip that came from elsewhere is sent as it came: the registry may have it already. */
static bool is_gzip(struct store *store, const char *digest)
{
    CLEANUP(free) char *type = *digest ? blob_media_type(store, digest) : NULL;

    return type && (text_ends(type, "+gzip") || text_ends(type, ".gzip"));
}

static int plan_own(struct push *push, struct error *err)
{
    struct store *store = push->registry->store;

    str_done(&push->manifest);
    free(TAKE(push->manifest_type));
    for (size_t i = 0; i < push->count; i++) {
        struct push_layer *layer = &push->layers[i];
        struct layer known;

        if (store_layer_get(store, layer->chain_id, &known, err) < 0)
            return -1;
        if (is_gzip(store, known.blob_digest)) {
            layer->form = LAYER_BLOB;
            memcpy(layer->digest, known.blob_digest, sizeof(layer->digest));
            layer->size = blob_size(store, known.blob_digest);
            layer->has_digest = true;
        } else {
            layer->form = LAYER_GZIP;
            layer->has_digest = store_layer_compressed(store, layer->diff_id, layer->digest,
                                                       &layer->size);
        }
    }
    return 0;
}

/* ---- one layer ---- */

static void tell(struct push *push, const struct push_layer *layer, const char *status)
{
    mutex_lock(&push->lock);
    push->watcher->layer(push->watcher->data, layer->id, status);
    mutex_unlock(&push->lock);
}

/* What an upload reports to. */
struct layer_upload {
    struct push *push;
    const struct push_layer *layer;
    int64_t told;
};
#define TELL_SIZE (512 * 1024)

static void on_sent(void *data, int64_t sent)
{
    struct layer_upload *upload = data;
    const struct registry_watcher *watcher = upload->push->watcher;

    if (!upload->layer || (sent < upload->layer->size && sent - upload->told < TELL_SIZE))
        return;
    upload->told = sent;
    mutex_lock(&upload->push->lock);
    watcher->amount(watcher->data, upload->layer->id, "Pushing", sent, upload->layer->size);
    mutex_unlock(&upload->push->lock);
}

static bool is_cancelled(void *data)
{
    struct push *push = ((struct layer_upload *)data)->push;

    if (push->is_over)
        return true;
    mutex_lock(&push->lock);
    bool cancelled = watcher_is_cancelled(push->watcher);
    mutex_unlock(&push->lock);
    return cancelled;
}

struct file_sink {
    struct stream stream;
    int fd;
};

static int sink_write(struct stream *stream, const void *data, size_t size, struct error *err)
{
    return fd_write_all(CONTAINER_OF(stream, struct file_sink, stream)->fd, data, size, err);
}

static int write_plain(struct push *push, const struct push_layer *layer, int *out_fd,
                       struct error *err)
{
    CLEANUP(close) int fd = store_temporary_file(push->registry->store, err);
    struct file_sink sink = { { .write = sink_write }, fd };

    if (fd < 0 || store_layer_write(push->registry->store, layer->chain_id, &sink.stream, err) < 0)
        return -1;
    *out_fd = TAKE_FD(fd);
    return 0;
}

/* A newer library may compress to other bytes than those that the manifest names. */
static int compress_layer(struct push *push, struct push_layer *layer, int *out_fd,
                          struct error *err)
{
    char wanted[DIGEST_TEXT_SIZE];

    memcpy(wanted, layer->digest, sizeof(wanted));
    layer->has_digest = true;
    if (store_layer_compress(push->registry->store, layer->chain_id, out_fd, layer->digest,
                             &layer->size, err) < 0)
        return -1;
    if (push->manifest.length && strcmp(wanted, layer->digest) != 0)
        return error_set(err, ERROR_NOT_FOUND, "layer %s cannot be made again", wanted);
    return 0;
}

static int open_layer(struct push *push, struct push_layer *layer, int *out_fd, struct error *err)
{
    struct store *store = push->registry->store;

    switch (layer->form) {
    case LAYER_BLOB:
        return blob_open(store, layer->digest, out_fd, NULL, err);
    case LAYER_PLAIN:
        return write_plain(push, layer, out_fd, err);
    case LAYER_GZIP:
        return compress_layer(push, layer, out_fd, err);
    default:
        return error_set(err, ERROR_NOT_FOUND, "layer %s is neither here nor in the registry",
                         layer->digest);
    }
}

/* 1: it is there already. */
static int look_for(struct push *push, struct push_layer *layer, struct upload *upload,
                    struct error *err)
{
    if (!layer->has_digest)
        return 0;
    upload->digest = layer->digest;
    upload->size = layer->size;
    int exists = upload_exists(upload, err);
    if (exists == 1)
        tell(push, layer, "Layer already exists");
    return exists;
}

static void tell_mounted(struct push *push, const struct push_layer *layer, const char *source)
{
    CLEANUP(free) char *text = xasprintf("Mounted from %s", source);

    tell(push, layer, text);
}

/* What another repository of the registry has need not be made here. */
static bool is_mounted(struct push *push, struct push_layer *layer, struct upload *upload)
{
    const char *source = NULL;

    if (!layer->has_digest || upload_mount(upload, &source) != 1)
        return false;
    tell_mounted(push, layer, source);
    return true;
}

static int push_layer(struct push *push, struct push_layer *layer, struct error *err)
{
    struct layer_upload watched = { push, layer, 0 };
    struct upload upload = { .session = push->session,
                             .sources = push->sources,
                             .sent = on_sent,
                             .is_cancelled = is_cancelled,
                             .data = &watched };
    CLEANUP(close) int fd = -1;
    const char *source;
    bool was_known = layer->has_digest;
    int exists = look_for(push, layer, &upload, err);

    if (exists != 0)
        return exists < 0 ? -1 : 0;
    if (is_mounted(push, layer, &upload))
        return 0;
    if (was_known)
        upload.sources = NULL; /* none of them had it */
    if (open_layer(push, layer, &fd, err) < 0)
        return -1;
    if (!was_known && (exists = look_for(push, layer, &upload, err)) != 0)
        return exists < 0 ? -1 : 0;
    upload.digest = layer->digest;
    upload.size = layer->size;
    upload.fd = fd;
    if (upload_run(&upload, &source, err) < 0)
        return -1;
    if (source) {
        tell_mounted(push, layer, source);
        return 0;
    }
    on_sent(&watched, layer->size);
    tell(push, layer, "Pushed");
    return 0;
}

/* ---- all layers ---- */

static void *push_some(void *data)
{
    struct push *push = data;

    for (;;) {
        struct error why = {};

        mutex_lock(&push->lock);
        size_t index = push->next < push->count ? push->next++ : push->count;
        mutex_unlock(&push->lock);
        if (index == push->count || push->is_over)
            return NULL;
        if (push_layer(push, &push->layers[index], &why) == 0)
            continue;
        mutex_lock(&push->lock);
        if (push->failure.kind == ERROR_NONE)
            push->failure = why;
        push->is_over = true;
        mutex_unlock(&push->lock);
        return NULL;
    }
}

static int push_layers(struct push *push, struct error *err)
{
    int limit = transport_options(push->registry->transport)->upload_limit ?: DEFAULT_UPLOAD_LIMIT;
    size_t wanted = MIN((size_t)limit, push->count), started = 0;
    CLEANUP(free) pthread_t *threads = xcalloc(wanted + 1, sizeof(*threads));

    push->next = 0;
    push->is_over = false;
    push->failure = (struct error){};
    while (started + 1 < wanted &&
           thread_start("upload", push_some, push, &threads[started], NULL) == 0)
        started++;
    push_some(push);
    for (size_t i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    if (push->failure.kind == ERROR_NONE)
        return 0;
    *err = push->failure;
    return -1;
}

/* ---- configuration and manifest ---- */

/* The configuration, or a document that is made here: what is neither a layer nor a manifest. */
static int push_blob(struct push *push, struct upload *upload, struct error *err)
{
    struct layer_upload watched = { .push = push };
    const char *source;

    upload->session = push->session;
    upload->is_cancelled = is_cancelled;
    upload->data = &watched;
    int exists = upload_exists(upload, err);
    return exists ? MIN(exists, 0) : upload_run(upload, &source, err);
}

static int push_config(struct push *push, struct error *err)
{
    CLEANUP(close) int fd = -1;
    struct upload upload = { .digest = push->image->id };

    if (blob_open(push->registry->store, push->image->id, &fd, &upload.size, err) < 0)
        return -1;
    upload.fd = fd;
    return push_blob(push, &upload, err);
}

/* As docker's classic store does: every registry takes it. */
static void make_manifest(struct push *push)
{
    struct json_writer w = { .out = &push->manifest };

    json_begin_dict(&w, NULL);
    json_add_int64(&w, "schemaVersion", 2);
    json_add_text(&w, "mediaType", MEDIA_TYPE_DOCKER_MANIFEST);
    descriptor_add(&w, "config", MEDIA_TYPE_DOCKER_CONFIG, push->image->id,
                   blob_size(push->registry->store, push->image->id));
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
    struct layer_upload watched = { .push = push };
    struct call call = { .method = "PUT",
                         .url = url,
                         .content_type = media_type,
                         .body = text->data,
                         .body_size = text->length,
                         .is_cancelled = is_cancelled,
                         .data = &watched };

    if (session_call(push->session, &call, &answer, err) < 0)
        return -1;
    if (answer.status != 201 && answer.status != 200)
        return answer_error(&answer, url, err);
    sha256_digest(text->data, text->length, push->result->digest);
    push->result->size = (int64_t)text->length;
    push->result->is_index = media_type_is_index(media_type);
    return 0;
}

/* The image by its digest, what is attested of it, and the index of both under the tag. */
static int put_attested(struct push *push, struct error *err)
{
    CLEANUP(attest_documents_done) struct attest_documents made = {};
    CLEANUP(strv_done) struct strv names = {};
    char digest[DIGEST_TEXT_SIZE];
    const struct attest_subject subject = { push->image, push->manifest_type, digest,
                                            (int64_t)push->manifest.length, &names };

    strv_add_take(&names, reference_familiar(push->reference));
    sha256_digest(push->manifest.data, push->manifest.length, digest);
    attest_documents_make(&subject, &push->attestations, &made);
    if (put_manifest(push, digest, push->manifest_type, &push->manifest, err) < 0)
        return -1;
    for (size_t i = 0; i < made.blob_count; i++) {
        struct upload upload = { .digest = made.blobs[i].digest,
                                 .size = (int64_t)made.blobs[i].text.length,
                                 .fd = -1,
                                 .bytes = str_text(&made.blobs[i].text) };

        if (push_blob(push, &upload, err) < 0)
            return -1;
    }
    return put_manifest(push, made.manifest.digest, made.manifest.media_type, &made.manifest.text,
                        err) < 0
               ? -1
               : put_manifest(push, push->reference->tag, made.index.media_type, &made.index.text,
                              err);
}

static int push_all(struct push *push, struct error *err)
{
    char digest[DIGEST_TEXT_SIZE];

    if (push_layers(push, err) < 0 || push_config(push, err) < 0)
        return -1;
    if (!push->manifest.length)
        make_manifest(push);
    if (push->attestations.count > 0 && push->reference->tag)
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
        tell(push, &push->layers[i], "Preparing");
    bool is_original = find_original(push);
    if (!is_original && plan_own(push, err) < 0)
        return -1;
    if (push_all(push, err) == 0)
        return 0;
    /* A layer of the original that nobody has any more: the image leaves with a new manifest. */
    if (!is_original || err->kind != ERROR_NOT_FOUND)
        return -1;
    *err = (struct error){};
    return plan_own(push, err) < 0 ? -1 : push_all(push, err);
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

    mutex_init(&push.lock);
    name_layers(&push);
    int result = store_image_attestations(registry->store, image->id, &push.attestations, err);
    if (result == 0)
        result = registry_each_endpoint(registry, reference, SESSION_PUSH, credentials, watcher,
                                        use_session, &push, err);
    attestations_done(&push.attestations);
    free(push.layers);
    str_done(&push.manifest);
    free(push.manifest_type);
    mutex_done(&push.lock);
    return result;
}
