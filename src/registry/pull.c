/* Downloads run side by side, and each layer is unpacked as soon as its blob is there. One thread
 * (the caller's) tells the user about all of them. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"
#include "codec/sha256.h"
#include "registry/fetch.h"
#include "registry/install.h"
#include "registry/internal.h"
#include "registry/stack.h"

#include "base/banned.h"

enum { LOOK_MS = 100, SHORT_LENGTH = 12, INDEX_DEPTH_LIMIT = 3 };

/* A layer that is not there yet. */
struct pull_layer {
    const struct descriptor *descriptor;
    char id[SHORT_LENGTH + 1];
    struct download *download; /* NULL: the blob is in the store */
    enum download_state told;
    enum stack_state told_unpacked;
    int64_t told_size, told_done;
    bool is_seen_waiting, is_told, is_claimed;
};

struct pull {
    struct registry *registry;
    const struct reference *reference;
    const struct platform *platform; /* what is wanted */
    bool is_platform_given;
    const struct registry_watcher *watcher;
    struct session *session;
    struct pull_layer *layers; /* those that are missing: the first 'held' are not */
    size_t held, count;
    struct stack *stack;
    struct pull_result *result;
};

void pull_result_done(struct pull_result *result)
{
    image_unref(result->image);
    *result = (struct pull_result){};
}

static bool pull_is_cancelled(void *data)
{
    return watcher_is_cancelled(((struct pull *)data)->watcher);
}

static int cancelled(struct error *err)
{
    return error_set(err, ERROR_CANCELLED, "context canceled");
}

static void pull_layers_done(struct pull *pull)
{
    for (size_t i = 0; i < pull->count; i++) {
        download_leave(pull->layers[i].download);
        if (pull->layers[i].is_claimed)
            blob_release(pull->registry->store, pull->layers[i].descriptor->digest);
    }
    free(pull->layers);
    pull->layers = NULL;
    pull->count = 0;
}

/* ---- telling ---- */

static void tell_layer(struct pull *pull, const struct pull_layer *layer, const char *status)
{
    pull->watcher->layer(pull->watcher->data, layer->id, status);
}

/* Steps that were too quick to be seen are told all the same. */
static void tell_download(struct pull *pull, struct pull_layer *layer, enum download_state state,
                          int64_t received)
{
    const struct registry_watcher *watcher = pull->watcher;

    if (state == DOWNLOAD_WAITING) {
        /* A thread that is about to start does not wait. */
        if (layer->is_seen_waiting && !layer->is_told) {
            tell_layer(pull, layer, "Waiting");
            layer->is_told = true;
        }
        layer->is_seen_waiting = true;
        return;
    }
    if (layer->told < DOWNLOAD_VERIFYING && received != layer->told_size) {
        watcher->amount(watcher->data, layer->id, "Downloading", received, layer->descriptor->size);
        layer->told_size = received;
    }
    if (state >= DOWNLOAD_VERIFYING && state != DOWNLOAD_FAILED && layer->told < DOWNLOAD_VERIFYING)
        tell_layer(pull, layer, "Verifying Checksum");
    if (state == DOWNLOAD_DONE && layer->told < DOWNLOAD_DONE)
        tell_layer(pull, layer, "Download complete");
    layer->told = state;
}

/* What all downloads did since the last look. */
static int look(struct pull *pull, struct error *err)
{
    for (size_t i = 0; i < pull->count; i++) {
        struct pull_layer *layer = &pull->layers[i];
        int64_t received;

        if (!layer->download || layer->told == DOWNLOAD_DONE)
            continue;
        enum download_state state = download_look(layer->download, &received, err);
        if (state == DOWNLOAD_FAILED)
            return -1;
        tell_download(pull, layer, state, received);
    }
    return pull_is_cancelled(pull) ? cancelled(err) : 0;
}

/* ---- layers ---- */

static int start_layer(struct pull *pull, struct pull_layer *layer, struct error *err)
{
    tell_layer(pull, layer, "Pulling fs layer");
    if (blob_claim(pull->registry->store, layer->descriptor->digest)) {
        layer->is_claimed = true;
        tell_layer(pull, layer, "Download complete");
        return 0;
    }
    return download_start(pull->registry->downloads, pull->session, layer->descriptor,
                          &layer->download, err);
}

/* For the thread that unpacks it. */
static const char *await_blob(void *data, size_t index, struct error *err)
{
    struct pull *pull = data;
    const struct pull_layer *layer = &pull->layers[index - pull->held];
    enum download_state state = layer->download ? DOWNLOAD_WAITING : DOWNLOAD_DONE;
    int64_t received;

    while (layer->download) {
        state = download_look(layer->download, &received, err);
        if (state == DOWNLOAD_DONE || state == DOWNLOAD_FAILED)
            break;
        if (stack_is_over(pull->stack)) {
            cancelled(err);
            return NULL;
        }
        downloads_wait(pull->registry->downloads, LOOK_MS);
    }
    return state == DOWNLOAD_DONE ? layer->descriptor->digest : NULL;
}

static bool take_turn(void *data, const char *chain_id)
{
    return downloads_take_turn(((struct pull *)data)->registry->downloads, chain_id);
}

static void end_turn(void *data, const char *chain_id)
{
    downloads_end_turn(((struct pull *)data)->registry->downloads, chain_id);
}

static void tell_unpacking(struct pull *pull, struct pull_layer *layer, size_t index)
{
    const struct registry_watcher *watcher = pull->watcher;
    int64_t done, total;
    enum stack_state state = stack_look(pull->stack, index, &done, &total);

    if (state == STACK_WAITING || layer->told_unpacked == STACK_DONE)
        return;
    if (layer->told_unpacked == STACK_WAITING)
        watcher->amount(watcher->data, layer->id, "Extracting", 0, layer->descriptor->size);
    if (state == STACK_DONE)
        done = layer->descriptor->size;
    if (done != layer->told_done)
        watcher->amount(watcher->data, layer->id, "Extracting", done, layer->descriptor->size);
    layer->told_done = done;
    if (state == STACK_DONE)
        tell_layer(pull, layer, "Pull complete");
    layer->told_unpacked = state;
}

static int unpack_layers(struct pull *pull, struct install *install, struct error *err)
{
    const struct stack_plan plan = { .install = install,
                                     .first = pull->held,
                                     .data = pull,
                                     .blob = await_blob,
                                     .take_turn = take_turn,
                                     .end_turn = end_turn };
    CLEANUP(stack_free) struct stack *stack = stack_new(&plan);
    int result;

    pull->stack = stack;
    if (stack_start(stack, err) < 0)
        return -1;
    do {
        result = stack_wait(stack, LOOK_MS, err);
        if (result < 0 || look(pull, err) < 0)
            return -1;
        for (size_t i = 0; i < pull->count; i++)
            tell_unpacking(pull, &pull->layers[i], pull->held + i);
    } while (result == 0);
    return 0;
}

static int pull_layers(struct pull *pull, const struct manifest *manifest, struct install *install,
                       struct error *err)
{
    pull->layers = xcalloc(manifest->child_count + 1, sizeof(*pull->layers));
    pull->held = 0;
    for (size_t i = 0; i < manifest->child_count; i++) {
        struct pull_layer *layer = &pull->layers[pull->count];

        layer->descriptor = &manifest->children[i];
        memcpy(layer->id, digest_hex(layer->descriptor->digest), SHORT_LENGTH);
        if (pull->held == i && install_hold(install, i)) {
            tell_layer(pull, layer, "Already exists");
            pull->held++;
            continue;
        }
        pull->count++;
        if (start_layer(pull, layer, err) < 0)
            return -1;
    }
    return unpack_layers(pull, install, err);
}

/* ---- the image ---- */

static int fetch_config(struct pull *pull, const struct descriptor *config, struct error *err)
{
    struct blob_fetch fetch = { .session = pull->session,
                                .store = pull->registry->store,
                                .digest = config->digest,
                                .size = config->size,
                                .is_cancelled = pull_is_cancelled,
                                .data = pull };

    return blob_claim(pull->registry->store, config->digest) ? 0 : fetch_blob(&fetch, err);
}

static int keep_manifest(struct pull *pull, const struct fetched *fetched, struct error *err)
{
    CLEANUP(blob_writer_free) struct blob_writer *writer = NULL;
    char digest[DIGEST_TEXT_SIZE];

    if (blob_writer_new(pull->registry->store, &writer, err) < 0 ||
        blob_writer_add(writer, fetched->bytes.data, fetched->bytes.length, err) < 0)
        return -1;
    return blob_writer_finish_as(writer, fetched->digest, -1, fetched->manifest.media_type, digest,
                                 err);
}

static bool is_other_platform(const struct pull *pull, const struct image_config *config)
{
    CLEANUP(platform_done) struct platform offered = {};

    platform_of(config->os, config->architecture, config->variant, &offered);
    return !platform_match(pull->platform, &offered);
}

static int install_image(struct pull *pull, const struct fetched *fetched, struct error *err)
{
    CLEANUP(install_done) struct install install = {};
    const struct manifest *manifest = &fetched->manifest;

    if (install_begin(&install, pull->registry->store, manifest->config.digest,
                      manifest->child_count, err) < 0 ||
        pull_layers(pull, manifest, &install, err) < 0 || keep_manifest(pull, fetched, err) < 0)
        return -1;
    int result = install_finish(&install, fetched->digest, &pull->result->image, err);
    blob_release(pull->registry->store, fetched->digest);
    return result;
}

/* An image that is known needs no layers. */
static int pull_image(struct pull *pull, const struct fetched *fetched, struct error *err)
{
    struct store *store = pull->registry->store;
    const struct descriptor *config = &fetched->manifest.config;
    int result = 0;

    if (store_image_find(store, config->digest, &pull->result->image, NULL) < 0) {
        if (fetch_config(pull, config, err) < 0)
            return -1;
        pull->result->is_new = true;
        result = install_image(pull, fetched, err);
        pull_layers_done(pull);
        blob_release(store, config->digest);
    }
    if (result == 0)
        pull->result->is_other_platform = pull->is_platform_given &&
                                          is_other_platform(pull, &pull->result->image->config);
    return result;
}

/* ---- from the reference to the manifest ---- */

static int choose(struct pull *pull, const struct fetched *index, struct fetched *out,
                  struct error *err)
{
    const struct descriptor *chosen = manifest_choose(&index->manifest, pull->platform);

    if (!chosen) {
        CLEANUP(free) char *wanted = platform_format(pull->platform);

        return error_set(err, ERROR_NOT_FOUND,
                         "no matching manifest for %s in the manifest list entries", wanted);
    }
    if (fetch_manifest(pull->session, chosen->digest, pull_is_cancelled, pull, out, err) < 0)
        return -1;
    if ((int64_t)out->bytes.length != chosen->size)
        return error_set(err, ERROR_INVALID, "manifest %s has %zu bytes instead of %lld",
                         chosen->digest, out->bytes.length, (long long)chosen->size);
    return 0;
}

/* An index may lead to another one. */
static int descend(struct pull *pull, const struct fetched *fetched, int depth, struct error *err)
{
    CLEANUP(fetched_done) struct fetched child = {};

    if (!fetched->manifest.is_index)
        return pull_image(pull, fetched, err);
    if (depth >= INDEX_DEPTH_LIMIT)
        return error_set(err, ERROR_INVALID, "its indexes are too deep");
    if (choose(pull, fetched, &child, err) < 0)
        return -1;
    return descend(pull, &child, depth + 1, err);
}

static int use_session(struct session *session, void *data, struct error *err)
{
    struct pull *pull = data;
    CLEANUP(fetched_done) struct fetched top = {};
    const char *target = reference_target(pull->reference);

    pull->session = session;
    pull_result_done(pull->result);
    if (fetch_manifest(session, target, pull_is_cancelled, pull, &top, err) < 0)
        return -1;
    CLEANUP(free)
    char *status = xasprintf("Pulling from %s", pull->reference->path);
    CLEANUP(free) char *name = reference_familiar_name(pull->reference);
    CLEANUP(free) char *whole = xasprintf("%s@%s", name, target);
    pull->watcher->head(pull->watcher->data, pull->reference->digest ? whole : target, status);
    memcpy(pull->result->digest, top.digest, sizeof(top.digest));
    return descend(pull, &top, 0, err);
}

int registry_pull(struct registry *registry, const struct reference *reference,
                  const struct platform *platform, const struct credentials *credentials,
                  const struct registry_watcher *watcher, struct pull_result *out,
                  struct error *err)
{
    CLEANUP(platform_done) struct platform native = {};
    struct pull pull = { .registry = registry,
                         .reference = reference,
                         .platform = platform ?: &native,
                         .is_platform_given = platform,
                         .watcher = watcher,
                         .result = out };

    platform_native(&native);
    if (registry_each_endpoint(registry, reference, SESSION_PULL, credentials, watcher, use_session,
                               &pull, err) == 0)
        return 0;
    pull_result_done(out);
    return registry_pull_error(reference, false, err);
}

/* ---- tags ---- */

#define TAGS_ANSWER_LIMIT ((size_t)8 << 20)
#define TAG_COUNT_LIMIT   ((size_t)100000)

struct tags {
    struct pull pull;
    struct strv *out;
};

static int read_tags(const struct answer *answer, struct strv *out, struct error *err)
{
    CLEANUP(json_free) struct json *value = NULL;

    if (json_parse(str_text(&answer->body), answer->body.length, &value, err) < 0)
        return error_context(err, "invalid list of tags");
    const struct json *tags = json_get(value, "tags");
    for (size_t i = 0; i < json_count(tags); i++) {
        const char *tag = json_text(json_at(tags, i));

        if (!tag || !*tag || reference_tag_check(tag, NULL) < 0 || out->count >= TAG_COUNT_LIMIT)
            return error_set(err, ERROR_INVALID, "invalid list of tags");
        strv_add(out, tag);
    }
    return 0;
}

/* Link: </v2/x/tags/list?last=b&n=100>; rel="next" */
static char *next_page(const struct answer *answer)
{
    const char *link = answer_header(answer, "link");
    const char *start = link ? strchr(link, '<') : NULL, *end = start ? strchr(start, '>') : NULL;
    char *url = NULL;

    if (!end || !strstr(end, "next"))
        return NULL;
    CLEANUP(free) char *location = xstrndup(start + 1, (size_t)(end - start - 1));
    return url_resolve(answer->url, location, &url, NULL) == 0 ? url : NULL;
}

static int list_tags(struct session *session, void *data, struct error *err)
{
    struct tags *tags = data;
    CLEANUP(free) char *url = session_url(session, "/tags/list");
    CLEANUP(map_done) struct map seen = {};

    strv_done(tags->out);
    while (url) {
        CLEANUP(answer_done) struct answer answer = {};
        struct call call = { .method = "GET",
                             .url = url,
                             .is_cancelled = pull_is_cancelled,
                             .data = &tags->pull,
                             .answer_limit = TAGS_ANSWER_LIMIT };
        size_t before = tags->out->count;

        if (session_call(session, &call, &answer, err) < 0)
            return -1;
        if (answer.status != 200)
            return answer_error(&answer, url, err);
        if (read_tags(&answer, tags->out, err) < 0)
            return -1;
        map_set(&seen, url, tags);
        free(url);
        url = tags->out->count > before ? next_page(&answer) : NULL;
        if (url && map_get(&seen, url))
            return error_set(err, ERROR_INVALID, "the list of tags goes in circles");
    }
    return 0;
}

int registry_tags(struct registry *registry, const struct reference *reference,
                  const struct credentials *credentials, const struct registry_watcher *watcher,
                  struct strv *out, struct error *err)
{
    struct tags tags = { .pull = { .watcher = watcher }, .out = out };

    if (registry_each_endpoint(registry, reference, SESSION_PULL, credentials, watcher, list_tags,
                               &tags, err) == 0)
        return 0;
    return registry_pull_error(reference, true, err);
}
