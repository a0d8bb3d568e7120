/* Layers into a registry: asked for first, mounted where that works, sent else. What has to be
 * compressed is sent while it is: only its end tells the digest. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "registry/push.h"
#include "registry/upload.h"

#include "base/banned.h"

enum { DEFAULT_UPLOAD_LIMIT = 5, TELL_SIZE = 512 * 1024 };

/* One layer on its way. */
struct layer_upload {
    struct upload upload;
    struct push *push;
    struct push_layer *layer;
    struct layer_compressed compressed; /* of one that is compressed */
    int64_t told, total;
};

/* ---- what the user is told ---- */

void push_tell(struct push *push, const struct push_layer *layer, const char *status)
{
    mutex_lock(&push->lock);
    push->watcher->layer(push->watcher->data, layer->id, status);
    mutex_unlock(&push->lock);
}

bool push_is_cancelled(struct push *push)
{
    if (push->is_over)
        return true;
    mutex_lock(&push->lock);
    bool cancelled = watcher_is_cancelled(push->watcher);
    mutex_unlock(&push->lock);
    return cancelled;
}

static bool is_cancelled(void *data)
{
    return push_is_cancelled(((struct layer_upload *)data)->push);
}

static void tell_amount(struct layer_upload *upload, int64_t done)
{
    const struct registry_watcher *watcher = upload->push->watcher;

    upload->told = done;
    mutex_lock(&upload->push->lock);
    watcher->amount(watcher->data, upload->layer->id, "Pushing", done, upload->total);
    mutex_unlock(&upload->push->lock);
}

/* What is being compressed is counted by its plain bytes: nobody knows how many will be sent. */
static void on_sent(void *data, int64_t sent)
{
    struct layer_upload *upload = data;
    int64_t done = MIN(upload->upload.open ? upload->compressed.plain_size : sent, upload->total);

    if (done - upload->told >= TELL_SIZE || (done == upload->total && done != upload->told))
        tell_amount(upload, done);
}

static void tell_mounted(struct push *push, const struct push_layer *layer, const char *source)
{
    CLEANUP(free) char *text = xasprintf("Mounted from %s", source);

    push_tell(push, layer, text);
}

/* ---- sending one ---- */

static int write_plain(struct push *push, const struct push_layer *layer, int *out_fd,
                       struct error *err)
{
    CLEANUP(close) int fd = store_temporary_file(push->registry->store, err);
    CLEANUP(stream_close) struct stream *out = stream_from_fd(fd, 0);

    if (fd < 0 || store_layer_write(push->registry->store, layer->chain_id, out, err) < 0)
        return -1;
    *out_fd = TAKE_FD(fd);
    return 0;
}

static int send_file(struct layer_upload *upload, int fd, struct error *err)
{
    upload->upload.fd = fd;
    upload->total = upload->layer->size;
    return upload_run(&upload->upload, err);
}

static int open_compressed(void *data, struct stream **out, struct error *err)
{
    struct layer_upload *upload = data;

    return store_layer_compress(upload->push->registry->store, upload->layer->chain_id,
                                &upload->compressed, out, err);
}

static int lacks(struct push *push, const char *digest, const char *why, struct error *err)
{
    push->lacks_a_layer = true;
    return error_set(err, ERROR_NOT_FOUND, "layer %s %s", digest, why);
}

/* A newer library may compress to other bytes than those that the manifest names. */
static int send_compressed(struct layer_upload *upload, struct error *err)
{
    struct push_layer *layer = upload->layer;
    struct layer whole;
    char wanted[DIGEST_TEXT_SIZE];

    if (store_layer_get(upload->push->registry->store, layer->chain_id, &whole, err) < 0)
        return -1;
    upload->total = whole.size_bytes;
    upload->upload.open = open_compressed;
    upload->upload.digest = upload->compressed.digest;
    if (upload_run(&upload->upload, err) < 0)
        return -1;
    memcpy(wanted, layer->digest, sizeof(wanted));
    memcpy(layer->digest, upload->compressed.digest, sizeof(layer->digest));
    layer->size = upload->compressed.size;
    if (upload->push->manifest.length && strcmp(wanted, layer->digest) != 0)
        return lacks(upload->push, wanted, "cannot be made again", err);
    return 0;
}

static int send_layer(struct layer_upload *upload, struct error *err)
{
    CLEANUP(close) int fd = -1;
    struct push *push = upload->push;
    const struct push_layer *layer = upload->layer;

    switch (layer->form) {
    case LAYER_BLOB:
        if (blob_open(push->registry->store, layer->digest, &fd, NULL, err) == 0)
            return send_file(upload, fd, err);
        return err->kind == ERROR_NOT_FOUND ? lacks(push, layer->digest, "is gone", err) : -1;
    case LAYER_PLAIN:
        return write_plain(push, layer, &fd, err) < 0 ? -1 : send_file(upload, fd, err);
    case LAYER_GZIP:
        return send_compressed(upload, err);
    default:
        return lacks(push, layer->digest, "is neither here nor in the registry", err);
    }
}

/* 1: the registry has it, or can take it from another repository. */
static int is_there(struct layer_upload *upload, struct error *err)
{
    const struct push_layer *layer = upload->layer;
    const char *source;

    if (!layer->has_digest)
        return 0;
    int exists = upload_exists(&upload->upload, err);
    if (exists == 1)
        push_tell(upload->push, layer, "Layer already exists");
    if (exists != 0)
        return exists;
    if (upload_mount(&upload->upload, &source) != 1)
        return 0;
    tell_mounted(upload->push, layer, source);
    return 1;
}

static int push_layer(struct push *push, struct push_layer *layer, struct error *err)
{
    struct layer_upload upload = { .push = push, .layer = layer };

    upload.upload = (struct upload){ .session = push->session,
                                     .digest = layer->digest,
                                     .size = layer->size,
                                     .fd = -1,
                                     .sources = push->sources,
                                     .sent = on_sent,
                                     .is_cancelled = is_cancelled,
                                     .data = &upload };
    int found = is_there(&upload, err);
    if (found != 0)
        return found < 0 ? -1 : 0;
    if (send_layer(&upload, err) < 0)
        return -1;
    if (upload.told < upload.total)
        tell_amount(&upload, upload.total);
    push_tell(push, layer, "Pushed");
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

int push_layers(struct push *push, struct error *err)
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
