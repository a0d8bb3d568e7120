/* Names and events around what registry/ does. */
#include "engine/image_registry.h"

#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "codec/sha256.h"
#include "engine/image.h"
#include "engine/internal.h"

#include "base/banned.h"

#define MOUNT_SOURCE_LIMIT 3

/* 'insecure_host' (may be NULL) comes to those that the options name. */
static struct registry *open_registry(struct engine *engine, const char *insecure_host)
{
    const struct engine_options *options = &engine->options;
    CLEANUP(strv_done) struct strv certificates = {}, insecure = {};
    struct registry_options wanted = { .insecure_registries = &insecure,
                                       .mirrors = options->registry_mirrors,
                                       .certificate_paths = &certificates,
                                       .http_proxy = options->http_proxy,
                                       .https_proxy = options->https_proxy,
                                       .no_proxy = options->no_proxy,
                                       .download_limit = options->download_limit,
                                       .upload_limit = options->upload_limit,
                                       .attempt_limit = options->download_attempts };

    if (options->insecure_registries)
        strv_add_all(&insecure, options->insecure_registries);
    if (insecure_host)
        strv_add(&insecure, insecure_host);
    strv_add_all(&certificates, options->registry_certificates);
    strv_add(&certificates, "/etc/berth/certs.d");
    strv_add(&certificates, "/etc/docker/certs.d");
    return registry_new(&wanted, engine->store);
}

struct registry *engine_registry_open(struct engine *engine)
{
    return open_registry(engine, NULL);
}

/* The image goes by its name here. */
static void registry_event(struct engine *engine, const struct image *image,
                           const struct reference *reference, const char *action)
{
    CLEANUP(map_done) struct map attributes;
    CLEANUP(free) char *familiar = reference_familiar(reference);
    CLEANUP(free) char *name = reference_familiar_name(reference);

    map_copy_texts(&attributes, &image->config.config.labels);
    map_set_text(&attributes, "name", name);
    engine_event(engine, "image", action, familiar, &attributes);
}

/* ---- pull ---- */

/* What a pull of all tags has in common. */
struct pulling {
    struct engine *engine;
    const struct platform *platform;
    const struct credentials *credentials;
    const struct registry_watcher *watcher;
    bool any_newer;
    struct strv warnings; /* told at the end */
};

static void pulling_done(struct pulling *pulling)
{
    strv_done(&pulling->warnings);
}
CLEANUP_VALUE(pulling_done, struct pulling)

static void warn_of_platform(struct pulling *pulling, const struct reference *reference,
                             const struct image *image)
{
    const struct image_config *config = &image->config;
    CLEANUP(free) char *familiar = reference_familiar(reference);
    CLEANUP(free) char *wanted = platform_format(pulling->platform);

    strv_add_format(&pulling->warnings,
                    "WARNING: image with reference %s was found but its platform "
                    "(%s/%s%s%s) does not match the specified platform (%s)",
                    familiar, config->os ?: "", config->architecture ?: "",
                    text_is_empty(config->variant) ? "" : "/", config->variant ?: "", wanted);
}

/* The tag, and the digest by which the registry knows it. */
static int name_image(struct pulling *pulling, const struct reference *reference,
                      const struct pull_result *result, struct error *err)
{
    struct store *store = pulling->engine->store;
    CLEANUP(free) char *familiar = reference_familiar(reference);
    CLEANUP(image_unref) struct image *before = NULL;
    struct reference by_digest = { reference->domain, reference->path, NULL,
                                   (char *)result->digest };

    if (store_image_find(store, familiar, &before, NULL) < 0 ||
        strcmp(before->id, result->image->id) != 0)
        pulling->any_newer = true;
    if (!reference->digest && store_image_tag(store, result->image->id, reference, err) < 0)
        return -1;
    return store_image_tag(store, result->image->id, &by_digest, err);
}

static int pull_one(struct pulling *pulling, const struct reference *reference, struct error *err)
{
    CLEANUP(pull_result_done) struct pull_result result = {};

    if (registry_pull(pulling->engine->registry, reference, pulling->platform, pulling->credentials,
                      pulling->watcher, &result, err) < 0 ||
        name_image(pulling, reference, &result, err) < 0)
        return -1;
    CLEANUP(free) char *digest = xasprintf("Digest: %s", result.digest);
    pulling->watcher->line(pulling->watcher->data, digest);
    if (result.is_other_platform)
        warn_of_platform(pulling, reference, result.image);
    registry_event(pulling->engine, result.image, reference, "pull");
    return 0;
}

static int pull_tags(struct pulling *pulling, struct reference *reference, struct error *err)
{
    CLEANUP(strv_done) struct strv tags = {};

    if (registry_tags(pulling->engine->registry, reference, pulling->credentials, pulling->watcher,
                      &tags, err) < 0)
        return -1;
    for (size_t i = 0; i < tags.count; i++) {
        free(reference->tag);
        reference->tag = xstrdup(tags.items[i]);
        if (pull_one(pulling, reference, err) < 0)
            return -1;
    }
    free(TAKE(reference->tag));
    return 0;
}

/* "name", and a tag or digest from elsewhere. */
static int read_reference(const char *name, const char *tag, struct reference *out,
                          struct error *err)
{
    size_t length = strlen(name);
    CLEANUP(free)
    char *base = xstrndup(name, length && name[length - 1] == ':' ? length - 1 : length);
    bool is_digest = tag && strchr(tag, ':') && digest_is_valid(tag);

    if (!is_digest && reference_tag_check(tag, err) < 0)
        return -1;
    if (reference_parse_exact(base, out, err) < 0)
        return -1;
    if (text_is_empty(tag) || out->digest)
        return 0;
    free(TAKE(out->tag));
    if (is_digest)
        out->digest = xstrdup(tag);
    else
        out->tag = xstrdup(tag);
    return 0;
}

/* Whole blobs stay for the next time if only the network failed; what was wrong goes. */
static void clean_up(struct engine *engine, const struct error *failure)
{
    struct error why = {};

    if (failure->kind == ERROR_CANCELLED || failure->kind == ERROR_UNAVAILABLE)
        return;
    if (store_collect(engine->store, engine_layer_is_used, engine, &why) < 0)
        log_warn("cannot remove what a failed pull left", "error", why.text);
}

int engine_image_pull(struct engine *engine, const char *name, const char *tag,
                      const struct platform *platform, const struct credentials *credentials,
                      const struct registry_watcher *watcher, struct error *err)
{
    CLEANUP(reference_done) struct reference reference = {};
    CLEANUP(pulling_done)
    struct pulling pulling = {
        .engine = engine, .platform = platform, .credentials = credentials, .watcher = watcher
    };

    if (read_reference(name, tag, &reference, err) < 0)
        return -1;
    if (strcmp(reference.domain, "docker.io") == 0 &&
        strcmp(reference.path, "library/scratch") == 0)
        return error_set(err, ERROR_FORBIDDEN, "'scratch' is a reserved name");
    bool all_tags = !reference.tag && !reference.digest;
    int result = all_tags ? pull_tags(&pulling, &reference, err)
                          : pull_one(&pulling, &reference, err);
    if (result < 0) {
        clean_up(engine, err);
        return -1;
    }
    CLEANUP(free) char *familiar = reference_familiar(&reference);
    CLEANUP(free)
    char *status = xasprintf(
        "Status: %s for %s",
        pulling.any_newer || all_tags ? "Downloaded newer image" : "Image is up to date", familiar);
    watcher->line(watcher->data, status);
    for (size_t i = 0; i < pulling.warnings.count; i++)
        watcher->line(watcher->data, pulling.warnings.items[i]);
    return 0;
}

static int name_foreign(struct engine *engine, const struct reference *reference,
                        const struct image *image, struct error *err)
{
    char digest[DIGEST_TEXT_SIZE];
    const struct reference by_digest = { reference->domain, reference->path, NULL, digest };

    return store_image_manifest(engine->store, image->id, digest)
               ? store_image_tag(engine->store, image->id, &by_digest, err)
               : 0;
}

int engine_image_pull_foreign(struct engine *engine, const struct reference *reference,
                              const struct platform *platform,
                              const struct credentials *credentials,
                              const struct registry_watcher *watcher, struct image **out,
                              struct error *err)
{
    CLEANUP(pull_result_done) struct pull_result result = {};
    CLEANUP(free) char *wanted = platform_format(platform);

    if (registry_pull(engine->registry, reference, platform, credentials, watcher, &result, err) <
        0) {
        clean_up(engine, err);
        return -1;
    }
    if (result.is_other_platform) {
        struct json_list removed = {};

        if (result.is_new)
            engine_image_remove_nameless(engine, result.image->id, &removed, NULL);
        image_removals_free(&removed);
        return error_set(err, ERROR_NOT_FOUND, "there is no image for %s", wanted);
    }
    if (name_foreign(engine, reference, result.image, err) < 0)
        return -1;
    registry_event(engine, result.image, reference, "pull");
    *out = TAKE(result.image);
    return 0;
}

/* ---- push ---- */

int engine_image_push_check(const char *name, const char *tag, struct reference *out,
                            struct error *err)
{
    if (read_reference(name, tag, out, err) < 0)
        return -1;
    if (out->digest)
        return error_set(err, ERROR_INVALID, "cannot push a digest reference");
    return 0;
}

static bool shares_layers(const struct image *image, const struct image *other)
{
    const struct strv *a = &image->config.rootfs.diff_ids, *b = &other->config.rootfs.diff_ids;

    return a->count && b->count && strcmp(a->items[0], b->items[0]) == 0;
}

static void add_sources(const struct strv *names, const struct reference *target, struct strv *out)
{
    for (size_t i = 0; i < names->count && out->count < MOUNT_SOURCE_LIMIT; i++) {
        CLEANUP(reference_done) struct reference reference = {};

        if (reference_parse(names->items[i], &reference, NULL) == 0 &&
            strcmp(reference.domain, target->domain) == 0 &&
            strcmp(reference.path, target->path) != 0 && !strv_contains(out, reference.path))
            strv_add(out, reference.path);
    }
}

/* Repositories of the same registry where layers of the image were seen: those with a digest were
 * pulled from there or pushed to there. */
static void find_sources(struct engine *engine, const struct image *image,
                         const struct reference *target, struct strv *out)
{
    struct image **images;
    size_t count;

    store_image_list(engine->store, &images, &count, NULL);
    for (size_t i = 0; i < count; i++)
        if (shares_layers(image, images[i]))
            add_sources(&images[i]->digests, target, out);
    store_images_free(images, count);
}

/* The registry knows the image by this digest from now on. */
static void name_pushed(struct engine *engine, const struct image *image,
                        const struct reference *reference, const struct push_result *result)
{
    struct reference by_digest = { reference->domain, reference->path, NULL,
                                   (char *)result->digest };
    struct error why = {};

    if (store_image_tag(engine->store, image->id, &by_digest, &why) < 0)
        log_warn("cannot record a digest", "image", image->id, "error", why.text);
}

static int push_one(struct engine *engine, const struct reference *reference,
                    const struct credentials *credentials, const struct push_watcher *watcher,
                    struct error *err)
{
    CLEANUP(image_unref) struct image *image = NULL;
    CLEANUP(strv_done) struct strv sources = {};
    CLEANUP(free) char *familiar = reference_familiar(reference);
    struct push_result result = {};

    if (store_image_find(engine->store, familiar, &image, err) < 0 ||
        !strv_contains(&image->tags, familiar)) {
        return error_set(err, ERROR_NOT_FOUND, "tag does not exist: %s", familiar);
    }
    find_sources(engine, image, reference, &sources);
    store_layer_hold(engine->store, image->chain_id);
    int pushed = registry_push(engine->registry, reference, image, &sources, credentials,
                               &watcher->registry, &result, err);
    store_layer_release(engine->store, image->chain_id);
    if (pushed < 0)
        return -1;
    name_pushed(engine, image, reference, &result);
    CLEANUP(free)
    char *line = xasprintf("%s: digest: %s size: %lld", reference->tag, result.digest,
                           (long long)result.size);
    watcher->registry.line(watcher->registry.data, line);
    watcher->pushed(watcher->registry.data, reference->tag, &result);
    registry_event(engine, image, reference, "push");
    return 0;
}

int engine_images_push(struct engine *engine, const struct reference *reference,
                       const struct strv *image_ids, const struct credentials *credentials,
                       const struct push_watcher *watcher, struct error *err)
{
    CLEANUP(free) struct image **images = xcalloc(image_ids->count + 1, sizeof(*images));
    struct push_result result = {};
    int pushed = 0;

    for (size_t i = 0; i < image_ids->count && pushed == 0; i++)
        if ((pushed = store_image_find(engine->store, image_ids->items[i], &images[i], err)) == 0)
            store_layer_hold(engine->store, images[i]->chain_id);
    if (pushed == 0)
        pushed = registry_push_index(engine->registry, reference, images, image_ids->count,
                                     credentials, &watcher->registry, &result, err);
    for (size_t i = 0; images[i]; i++) {
        store_layer_release(engine->store, images[i]->chain_id);
        image_unref(images[i]);
    }
    if (pushed < 0)
        return -1;
    CLEANUP(free)
    char *line = xasprintf("%s: digest: %s size: %lld", reference->tag, result.digest,
                           (long long)result.size);
    watcher->registry.line(watcher->registry.data, line);
    watcher->pushed(watcher->registry.data, reference->tag, &result);
    return 0;
}

static void list_tags(struct engine *engine, const struct reference *reference, struct strv *out)
{
    CLEANUP(free) char *name = reference_familiar_name(reference);
    struct image **images;
    size_t count, length = strlen(name);

    store_image_list(engine->store, &images, &count, NULL);
    for (size_t i = 0; i < count; i++)
        for (size_t t = 0; t < images[i]->tags.count; t++) {
            const char *tag = images[i]->tags.items[t];

            if (strncmp(tag, name, length) == 0 && strrchr(tag, ':') == tag + length)
                strv_add(out, tag + length + 1);
        }
    store_images_free(images, count);
    strv_sort(out);
}

/* Before anything is told. What is not there is told later. */
static int check_platforms(struct engine *engine, const struct reference *reference, bool all_tags,
                           const struct strv *tags, const struct platform *platform,
                           struct error *err)
{
    for (size_t i = 0; i < tags->count; i++) {
        const struct reference one = { reference->domain, reference->path, tags->items[i], NULL };
        CLEANUP(free) char *familiar = reference_familiar(&one);
        CLEANUP(image_unref) struct image *image = NULL;

        if ((all_tags || text_equal(reference->tag, one.tag)) &&
            store_image_find(engine->store, familiar, &image, NULL) == 0 &&
            engine_image_check_platform(image, familiar, platform, err) < 0)
            return -1;
    }
    return 0;
}

int engine_image_push(struct engine *engine, const struct reference *reference, bool all_tags,
                      const struct platform *platform, const struct credentials *credentials,
                      const struct push_watcher *watcher, struct error *err)
{
    CLEANUP(strv_done) struct strv tags = {};
    CLEANUP(free) char *name = reference_familiar_name(reference);
    CLEANUP(free)
    char *head = xasprintf("The push refers to repository [%s/%s]", reference->domain,
                           reference->path);

    list_tags(engine, reference, &tags);
    if (check_platforms(engine, reference, all_tags, &tags, platform, err) < 0)
        return -1;
    watcher->registry.line(watcher->registry.data, head);
    if (!tags.count)
        return error_set(err, ERROR_NOT_FOUND, "An image does not exist locally with the tag: %s",
                         name);
    if (!all_tags)
        return push_one(engine, reference, credentials, watcher, err);
    for (size_t i = 0; i < tags.count; i++) {
        struct reference one = { reference->domain, reference->path, tags.items[i], NULL };

        if (push_one(engine, &one, credentials, watcher, err) < 0)
            return -1;
    }
    return 0;
}

/* ---- questions ---- */

int engine_registry_login(struct engine *engine, const struct credentials *credentials,
                          char **out_identity_token, struct error *err)
{
    return registry_login(engine->registry, credentials->server_address, credentials,
                          out_identity_token, err);
}

int engine_registry_describe(struct engine *engine, const char *name, bool insecure,
                             const struct credentials *credentials,
                             struct registry_description *out, struct error *err)
{
    CLEANUP(reference_done) struct reference reference = {};

    if (reference_parse(name, &reference, err) < 0)
        return -1;
    CLEANUP(registry_free)
    struct registry *own = insecure ? open_registry(engine, reference.domain) : NULL;
    return registry_describe(own ?: engine->registry, &reference, credentials, out, err);
}

int engine_registry_put(struct engine *engine, const char *name, bool insecure,
                        const struct registry_document *document,
                        const struct credentials *credentials, char out_digest[DIGEST_TEXT_SIZE],
                        struct error *err)
{
    CLEANUP(reference_done) struct reference reference = {};

    if (reference_parse(name, &reference, err) < 0)
        return -1;
    CLEANUP(registry_free)
    struct registry *own = insecure ? open_registry(engine, reference.domain) : NULL;
    return registry_put(own ?: engine->registry, &reference, document, credentials, out_digest,
                        err);
}

int engine_registry_blob_get(struct engine *engine, const char *name,
                             const struct credentials *credentials, struct str *out,
                             struct error *err)
{
    CLEANUP(reference_done) struct reference reference = {};

    if (reference_parse(name, &reference, err) < 0)
        return -1;
    return registry_blob_get(engine->registry, &reference, credentials, out, err);
}

int engine_registry_blob_put(struct engine *engine, const char *name, const void *bytes,
                             size_t size, const struct credentials *credentials,
                             char out_digest[DIGEST_TEXT_SIZE], struct error *err)
{
    CLEANUP(reference_done) struct reference reference = {};

    if (reference_parse(name, &reference, err) < 0)
        return -1;
    return registry_blob_put(engine->registry, &reference, bytes, size, credentials, out_digest,
                             err);
}

int engine_registry_search(struct engine *engine, const char *term, int limit,
                           const struct credentials *credentials, struct json **out,
                           struct error *err)
{
    return registry_search(engine->registry, term, limit, credentials, out, err);
}
