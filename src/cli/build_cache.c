/* An image is its own cache: its history says what each step was. So to write the cache is to put
 * the image somewhere, and to read it is to have the image. With mode=max the engine makes images
 * of all stages for that. */
#include "cli/build_cache.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "cli/build_output.h"
#include "cli/context.h"
#include "cli/csv.h"
#include "cli/registry.h"
#include "spec/reference.h"

#include "base/banned.h"

void build_cache_done(struct build_cache *cache)
{
    free(cache->place);
    *cache = (struct build_cache){};
}

static int read_type(const char *name, bool is_target, struct build_cache *out, struct error *err)
{
    if (strcmp(name, "registry") == 0)
        out->type = BUILD_CACHE_REGISTRY;
    else if (strcmp(name, "local") == 0)
        out->type = BUILD_CACHE_LOCAL;
    else if (strcmp(name, "inline") == 0 && is_target)
        out->type = BUILD_CACHE_INLINE;
    else
        return error_set(err, ERROR_UNSUPPORTED, "cache type %s is not supported: registry%s local",
                         name, is_target ? ", inline or" : " or");
    return 0;
}

static int read_field(const char *field, bool is_target, struct build_cache *out, struct error *err)
{
    static const char *const places[2][2] = { { "ref=", "src=" }, { "ref=", "dest=" } };

    if (text_starts(field, "type="))
        return read_type(field + 5, is_target, out, err);
    if (text_starts(field, "mode=") && is_target) {
        out->is_max = strcmp(field, "mode=max") == 0;
        return out->is_max || strcmp(field, "mode=min") == 0
                   ? 0
                   : error_set(err, ERROR_INVALID, "invalid cache %s: mode=min or mode=max", field);
    }
    for (size_t i = 0; i < COUNT(places[is_target]); i++) {
        size_t length = strlen(places[is_target][i]);

        if (!text_starts(field, places[is_target][i]))
            continue;
        free(out->place);
        out->place = xstrdup(field + length);
        return 0;
    }
    return error_set(err, ERROR_INVALID, "unexpected cache attribute: %s", field);
}

int build_cache_read(const char *text, bool is_target, struct build_cache *out, struct error *err)
{
    CLEANUP(build_cache_done) struct build_cache cache = { .type = BUILD_CACHE_REGISTRY };
    CLEANUP(strv_done) struct strv fields = {};
    CLEANUP(reference_done) struct reference reference = {};

    if (csv_split(text, &fields, err) < 0)
        return -1;
    if (!strchr(text, '=')) {
        cache.place = xstrdup(text);
    } else {
        for (size_t i = 0; i < fields.count; i++)
            if (read_field(fields.items[i], is_target, &cache, err) < 0)
                return -1;
    }
    if (cache.type == BUILD_CACHE_INLINE && cache.is_max)
        return error_set(err, ERROR_INVALID,
                         "an inline cache has the steps of the image itself: mode=max needs "
                         "type=registry or type=local");
    if (cache.type != BUILD_CACHE_INLINE && text_is_empty(cache.place))
        return error_set(err, ERROR_INVALID, "cache %s needs %s", text,
                         cache.type == BUILD_CACHE_REGISTRY ? "ref=NAME"
                         : is_target                        ? "dest=DIRECTORY"
                                                            : "src=DIRECTORY");
    if (cache.type == BUILD_CACHE_REGISTRY && reference_parse(cache.place, &reference, err) < 0)
        return -1;
    *out = cache;
    cache = (struct build_cache){};
    return 0;
}

/* ---- from ---- */

bool build_cache_is_local(const struct strv *given)
{
    for (size_t i = 0; i < given->count; i++) {
        CLEANUP(build_cache_done) struct build_cache cache = {};

        if (build_cache_read(given->items[i], false, &cache, NULL) == 0 &&
            cache.type == BUILD_CACHE_LOCAL)
            return true;
    }
    return false;
}

static int lend(struct cli *cli, const char *lender, const char *directory, struct strv *out,
                struct error *err)
{
    const struct context_part part = { directory, "" };
    CLEANUP(client_path_done) struct client_path path = {};
    CLEANUP(stream_close) struct stream *body = NULL;
    struct client_messages messages = {};
    struct json *answer;

    if (context_stream(&part, 1, NULL, NULL, &body, err) < 0)
        return -1;
    client_path_begin(&path, "/build/lenders/%s/caches", lender);
    if (client_stream(cli->client, "POST", &path, NULL, body, "application/x-tar",
                      &messages.response, err) < 0)
        return -1;
    int result = client_messages_next(&messages, &answer, err);
    if (result > 0) {
        const struct json *images = json_get(answer, "Images");

        for (size_t i = 0; i < json_count(images); i++)
            strv_add(out, json_text(json_at(images, i)) ?: "");
        json_free(answer);
    }
    client_messages_done(&messages);
    return result < 0 ? -1 : 0;
}

static int bring(struct cli *cli, const char *lender, const struct build_cache *cache,
                 struct strv *out, struct error *err)
{
    if (cache->type == BUILD_CACHE_LOCAL)
        return lend(cli, lender, cache->place, out, err);
    /* The engine may have it under this name though no registry does. */
    strv_add(out, cache->place);
    return cli_pull(cli, cache->place, NULL, NULL, err);
}

int build_cache_bring(struct cli *cli, const char *lender, const struct strv *given,
                      struct strv *out, struct error *err)
{
    for (size_t i = 0; i < given->count; i++) {
        CLEANUP(build_cache_done) struct build_cache cache = {};
        struct error why = {};

        if (build_cache_read(given->items[i], false, &cache, err) < 0)
            return -1;
        if (bring(cli, lender, &cache, out, &why) < 0)
            fprintf(stderr, "cache-from %s: %s\n", cache.place, why.text);
    }
    return 0;
}

/* ---- to ---- */

int build_cache_write(struct cli *cli, const struct build_cache *cache, const char *image_id,
                      const struct strv *cache_ids, struct error *err)
{
    const struct strv no_tags = {}, *names = cache->is_max ? cache_ids : &no_tags;
    bool is_sent = cache->type == BUILD_CACHE_REGISTRY && cache->is_max;

    if (cache->type == BUILD_CACHE_INLINE || is_sent)
        return 0; /* It is in the image, or the engine has sent it. */
    if (cache->is_max && cache_ids->count == 0)
        return 0; /* There was no step to be kept. */
    const struct build_output output = { .type = cache->type == BUILD_CACHE_LOCAL ? OUTPUT_OCI
                                                                                  : OUTPUT_IMAGE,
                                         .destination = cache->place,
                                         .is_directory = true,
                                         .is_pushed = cache->type == BUILD_CACHE_REGISTRY,
                                         .name = cache->place };
    const struct strv none = {};
    const struct build_output_source source = { image_id, &none, names };

    return build_output_write(cli, &output, &source, NULL, err) < 0
               ? error_context(err, "cache-to %s", cache->place)
               : 0;
}

int build_caches_read(const struct strv *given, struct strv *out_registries, bool *out_wants_images,
                      struct error *err)
{
    for (size_t i = 0; i < given->count; i++) {
        CLEANUP(build_cache_done) struct build_cache cache = {};

        if (build_cache_read(given->items[i], true, &cache, err) < 0)
            return -1;
        if (cache.is_max && cache.type == BUILD_CACHE_REGISTRY)
            strv_add(out_registries, cache.place);
        *out_wants_images |= cache.is_max && cache.type == BUILD_CACHE_LOCAL;
    }
    return 0;
}

int build_caches_write(struct cli *cli, const struct strv *given, const char *image_id,
                       const struct strv *cache_ids, struct error *err)
{
    for (size_t i = 0; i < given->count; i++) {
        CLEANUP(build_cache_done) struct build_cache cache = {};

        if (build_cache_read(given->items[i], true, &cache, err) < 0 ||
            build_cache_write(cli, &cache, image_id, cache_ids, err) < 0)
            return -1;
    }
    return 0;
}
