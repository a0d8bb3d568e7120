/* What builds have to do with registries: base images come from them, caches go to them. */
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "build/cache_image.h"
#include "codec/base64.h"
#include "codec/json.h"
#include "engine/build_cache.h"
#include "engine/image_registry.h"
#include "engine/internal.h"
#include "spec/descriptor.h"

#include "base/banned.h"

#define STAGE_ANNOTATION "berth.cache.stage"

static void free_credentials(void *credentials)
{
    credentials_done(credentials);
    free(credentials);
}

void build_pulls_decode(const char *header, struct build_pulls *out)
{
    CLEANUP(buf_done) struct buf text = {};
    CLEANUP(json_free) struct json *value = NULL;

    map_init_empty(&out->credentials, free_credentials);
    if (text_is_empty(header) || base64_decode(header, &text, NULL) < 0 || !text.size ||
        json_parse((const char *)buf_bytes(&text), text.size, &value, NULL) < 0)
        return;
    JSON_EACH (value, key) {
        struct credentials *credentials = NEW(struct credentials);

        credentials_from_json(json_key_value(key), credentials);
        map_set(&out->credentials,
                strcmp(key, "https://index.docker.io/v1/") == 0 ? "docker.io" : key, credentials);
    }
}

void build_pulls_done(struct build_pulls *pulls)
{
    map_done(&pulls->credentials);
}

/* The build's own way of being cancelled, and of telling. */
struct build_watcher {
    const struct registry_watcher *inner;
    int cancel_fd;
};

static void tell_head(void *data, const char *id, const char *status)
{
    const struct registry_watcher *inner = ((struct build_watcher *)data)->inner;

    if (inner)
        inner->head(inner->data, id, status);
}

static void tell_layer(void *data, const char *id, const char *status)
{
    const struct registry_watcher *inner = ((struct build_watcher *)data)->inner;

    if (inner)
        inner->layer(inner->data, id, status);
}

static void tell_amount(void *data, const char *id, const char *status, int64_t current,
                        int64_t total)
{
    const struct registry_watcher *inner = ((struct build_watcher *)data)->inner;

    if (inner)
        inner->amount(inner->data, id, status, current, total);
}

static void tell_line(void *data, const char *status)
{
    const struct registry_watcher *inner = ((struct build_watcher *)data)->inner;

    if (inner)
        inner->line(inner->data, status);
}

static bool build_is_cancelled(void *data)
{
    return fd_is_readable(((struct build_watcher *)data)->cancel_fd);
}

/* Who the build is to a registry: '*out' is NULL for nobody, and may be 'found'. */
static int find_credentials(const struct build_pulls *pulls, const char *domain, int cancel_fd,
                            struct credentials *found, const struct credentials **out,
                            struct error *err)
{
    *out = pulls ? map_get(&pulls->credentials, domain) : NULL;
    if (*out || !pulls || !pulls->find)
        return 0;
    int known = pulls->find(pulls->data, domain, cancel_fd, found, err);
    if (known > 0)
        *out = found;
    return MIN(known, 0);
}

int build_worker_pull(void *data, const char *text, const struct platform *platform,
                      const struct build_options *options, struct image **out, struct error *err)
{
    struct engine *engine = data;
    const struct build_pulls *pulls = options->pull_data;
    struct build_watcher told = { pulls ? pulls->watcher : NULL, options->cancel_fd };
    struct registry_watcher watcher = { &told,       tell_head, tell_layer,
                                        tell_amount, tell_line, build_is_cancelled };
    CLEANUP(reference_done) struct reference reference = {};
    CLEANUP(platform_done) struct platform native = {};

    if (reference_parse(text, &reference, err) < 0)
        return -1;
    CLEANUP(free) char *name = reference_familiar_name(&reference);
    CLEANUP(credentials_done) struct credentials found = {};
    const struct credentials *credentials;
    if (find_credentials(pulls, reference.domain, options->cancel_fd, &found, &credentials, err) <
        0)
        return -1;
    platform_native(&native);
    bool is_native = !platform || platform_match(&native, platform);
    int result = is_native ? engine_image_pull(engine, name, reference.digest ?: reference.tag,
                                               platform, credentials, &watcher, err)
                           : engine_image_pull_foreign(engine, &reference, platform, credentials,
                                                       &watcher, out, err);
    if (result < 0)
        return error_context(err, "pull %s", text);
    return is_native ? store_image_find(engine->store, text, out, err) : 0;
}

/* ---- caches ---- */

/* A cache on its way: manifests that are in the registry already. */
struct cache_push {
    struct engine *engine;
    const struct reference *repository; /* without a tag */
    const struct credentials *credentials;
    const struct registry_watcher *watcher;
    struct push_result *pushed;
    size_t count;
};

static int push_image(struct cache_push *push, const char *id, struct error *err)
{
    CLEANUP(image_unref) struct image *image = NULL;

    if (store_image_find(push->engine->store, id, &image, err) < 0 ||
        registry_push(push->engine->registry, push->repository, image, NULL, push->credentials,
                      push->watcher, &push->pushed[push->count], err) < 0)
        return -1;
    push->count++;
    return 0;
}

/* The last one, by which all are found, names the others. */
static int push_head(struct cache_push *push, const char *id, struct error *err)
{
    CLEANUP(image_unref) struct image *image = NULL, *named = NULL;
    CLEANUP(strv_done) struct strv digests = {};
    struct image_config config;

    if (push->count == 0)
        return push_image(push, id, err);
    if (store_image_find(push->engine->store, id, &image, err) < 0)
        return -1;
    for (size_t i = 0; i < push->count; i++)
        strv_add(&digests, push->pushed[i].digest);
    json_fields_copy(image_config_fields, &image->config, &config);
    free(config.comment);
    config.comment = cache_images_comment(&digests);
    int result = store_image_create(push->engine->store, &config, "", &named, err);
    json_fields_done(image_config_fields, &config);
    if (result < 0)
        return -1;
    result = push_image(push, named->id, err);
    store_image_remove(push->engine->store, named->id, engine_layer_is_used, push->engine, NULL,
                       NULL);
    return result;
}

/* Registries keep what an index names. The head comes first, for this machine's platform: it is
 * what a pull of the index gives. */
static void write_index(const struct cache_push *push, struct str *out)
{
    struct json_writer w = { .out = out };

    json_begin_dict(&w, NULL);
    json_add_int64(&w, "schemaVersion", 2);
    json_add_text(&w, "mediaType", MEDIA_TYPE_OCI_INDEX);
    json_begin_list(&w, "manifests");
    for (size_t i = push->count; i-- > 0;) {
        bool is_head = i + 1 == push->count;

        descriptor_begin(&w, NULL, MEDIA_TYPE_DOCKER_MANIFEST, push->pushed[i].digest,
                         push->pushed[i].size);
        json_begin_dict(&w, "annotations");
        json_add_text_format(&w, STAGE_ANNOTATION, "%zu", i);
        json_end_dict(&w);
        descriptor_add_platform(&w, is_head ? image_native_architecture() : "unknown",
                                is_head ? "linux" : "unknown", NULL);
        json_end_dict(&w);
    }
    json_end_list(&w);
    json_end_dict(&w);
}

static int push_cache(struct cache_push *push, const struct reference *target,
                      const struct strv *ids, struct error *err)
{
    CLEANUP(str_done) struct str index = {};
    char digest[DIGEST_TEXT_SIZE];

    for (size_t i = 0; i + 1 < ids->count; i++)
        if (push_image(push, ids->items[i], err) < 0)
            return -1;
    if (push_head(push, ids->items[ids->count - 1], err) < 0)
        return -1;
    write_index(push, &index);
    const struct registry_document document = { index.data, index.length, MEDIA_TYPE_OCI_INDEX,
                                                NULL };
    return registry_put(push->engine->registry, target, &document, push->credentials, digest, err);
}

int engine_build_cache_push(struct engine *engine, const char *name, const struct strv *image_ids,
                            const struct build_pulls *pulls, int cancel_fd, struct error *err)
{
    struct build_watcher told = { pulls ? pulls->watcher : NULL, cancel_fd };
    const struct registry_watcher watcher = { &told,       tell_head, tell_layer,
                                              tell_amount, tell_line, build_is_cancelled };
    CLEANUP(reference_done) struct reference target = {};
    CLEANUP(credentials_done) struct credentials found = {};
    const struct credentials *credentials;

    if (image_ids->count == 0)
        return 0; /* There was no step to be kept. */
    if (reference_parse(name, &target, err) < 0 ||
        find_credentials(pulls, target.domain, cancel_fd, &found, &credentials, err) < 0)
        return error_context(err, "cache-to %s", name);
    const struct reference repository = { target.domain, target.path, NULL, NULL };
    CLEANUP(free)
    struct push_result *pushed = xcalloc(image_ids->count, sizeof(*pushed));
    struct cache_push push = { engine, &repository, credentials, &watcher, pushed, 0 };
    return push_cache(&push, &target, image_ids, err) < 0 ? error_context(err, "cache-to %s", name)
                                                          : 0;
}

void engine_build_cache_drop(struct engine *engine, const struct strv *image_ids)
{
    for (size_t i = 0; i < image_ids->count; i++) {
        struct error err = {};

        if (store_image_remove(engine->store, image_ids->items[i], engine_layer_is_used, engine,
                               NULL, &err) < 0)
            log_warn("cannot remove an image of a cache", "image", image_ids->items[i], "error",
                     err.text);
    }
}
