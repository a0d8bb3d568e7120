/* Steps of other builds, as images that hold them: in registries, or in directories of the
 * client's, which it offers as stores of blobs. BuildKit's own caches have another form, and are
 * not read. */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "buildkit/content.h"
#include "buildkit/internal.h"
#include "buildkit/offer.h"
#include "codec/json.h"
#include "engine/build_cache.h"
#include "engine/image_registry.h"
#include "spec/descriptor.h"

#include "base/banned.h"

#define EXPORT_KEY    "cache"
#define STORE_PREFIX  "local:"
#define DESCRIPTOR    "cache.manifest" /* what clients put into index.json */
#define IMPORTS_LIMIT ((size_t)64)

/* ---- exports: options ---- */

/* clang-format off */
static const struct kind {
    const char *type;
    const char *place;   /* the option that says where */
    const char *options; /* the others that it knows, between blanks */
} kinds[] = {
    { "inline",   NULL,   " mode " },
    { "local",    "dest", " compression ignore-error image-manifest mode oci-mediatypes tag " },
    { "registry", "ref",  " ignore-error mode " },
};

/* Options that may only say what is done anyway. */
static const struct fixed {
    const char *option, *value, *why;
} fixed[] = {
    { "compression",    "uncompressed", "layers are written there as plain archives" },
    { "image-manifest", "false",        "it is an index of images" },
    { "oci-mediatypes", "true",         "it is an OCI layout" },
};
/* clang-format on */

static const struct kind *find_kind(const char *type)
{
    for (size_t i = 0; i < COUNT(kinds); i++)
        if (strcmp(kinds[i].type, type) == 0)
            return &kinds[i];
    return NULL;
}

static int check_option(const struct kind *kind, const char *name, const char *value,
                        struct error *err)
{
    CLEANUP(free) char *word = xasprintf(" %s ", name);
    bool is_place = kind->place && strcmp(name, kind->place) == 0;

    if (!is_place && !strstr(kind->options, word))
        return error_set(err, ERROR_UNSUPPORTED,
                         "the option %s of the cache type=%s is not supported by this engine", name,
                         kind->type);
    for (size_t i = 0; i < COUNT(fixed); i++)
        if (strcmp(fixed[i].option, name) == 0 && strcmp(fixed[i].value, value) != 0)
            return error_set(err, ERROR_UNSUPPORTED,
                             "the cache type=%s with %s=%s is not supported by this engine: %s",
                             kind->type, name, value, fixed[i].why);
    return 0;
}

int cache_export_take(const char *type, const struct map *attributes, struct solve_request *request,
                      struct error *err)
{
    const char *mode = map_get(attributes, "mode"), *ignores = map_get(attributes, "ignore-error");
    const struct kind *kind = find_kind(type);
    struct cache_export export = {};

    if (!kind)
        return error_set(err, ERROR_UNSUPPORTED,
                         "exporting the cache (type=%s) is not supported by this engine through "
                         "BuildKit's protocol: inline, local or registry",
                         type);
    MAP_EACH (attributes, entry)
        if (check_option(kind, entry->key, entry->value, err) < 0)
            return -1;
    if (mode && strcmp(mode, "min") != 0 && strcmp(mode, "max") != 0)
        return error_set(err, ERROR_INVALID, "invalid mode %s of a cache: min or max", mode);
    if (ignores && !text_parse_bool(ignores, &export.ignores_errors))
        return error_set(err, ERROR_INVALID, "invalid ignore-error %s of a cache", ignores);
    if (!kind->place)
        return 0;
    const char *place = map_get(attributes, kind->place);
    if (text_is_empty(place))
        return error_set(err, ERROR_INVALID, "the cache type=%s needs %s", type, kind->place);
    if (request->cache_export_count == EXPORTER_LIMIT)
        return error_set(err, ERROR_INVALID, "more than %d exports of the cache", EXPORTER_LIMIT);
    export.place = xstrdup(place);
    export.is_local = strcmp(type, "local") == 0;
    request->cache_exports[request->cache_export_count++] = export;
    request->cache_mode = MAX(request->cache_mode,
                              text_equal(mode, "max") ? BUILD_CACHE_MAX : BUILD_CACHE_MIN);
    return 0;
}

/* ---- exports: at work ---- */

struct exports {
    struct buildkit *buildkit;
    struct solve *solve;
    struct peer *session;
    struct strv images;
    struct strv first; /* the images, that of the target first: what finds only one finds that */
    int cancel_fd;
    struct map *response;
};

/* A directory at work. */
struct directory {
    struct content_store store;
    struct content_writer *writer;
};

static int begin_blob(void *data, const char *digest, int64_t size, struct stream **out,
                      struct error *err)
{
    struct directory *directory = data;
    int wanted = content_writer_new(&directory->store, digest, size, &directory->writer, err);

    if (wanted > 0)
        *out = content_writer_stream(directory->writer);
    return wanted;
}

static int end_blob(void *data, struct error *err)
{
    struct directory *directory = data;
    int result = content_writer_finish(directory->writer, err);

    content_writer_free(TAKE(directory->writer));
    return result;
}

static int write_directory(const struct exports *exports, const char *path, struct error *err)
{
    CLEANUP(free) char *id = xasprintf(STORE_PREFIX "%s", path);
    CLEANUP(str_done) struct str descriptor = {};
    struct directory directory = { .store = { exports->session, id, exports->cancel_fd } };
    const struct archive_place place = { &directory, begin_blob, end_blob };
    struct json_writer w = { .out = &descriptor };
    struct archive_index index;

    if (exports->first.count == 0)
        return 0; /* There was no step to be kept. */
    int result = engine_build_cache_save(exports->buildkit->engine, &exports->first, &place, &index,
                                         err);
    content_writer_free(directory.writer);
    if (result < 0)
        return error_context(err, "cache-to %s", path);
    descriptor_add(&w, NULL, MEDIA_TYPE_OCI_INDEX, index.digest, index.size);
    map_set_text(exports->response, DESCRIPTOR, str_text(&descriptor));
    return 0;
}

/* Credentials are those of the client, asked for when a registry wants them. */
static int push(const struct exports *exports, const char *name, struct error *err)
{
    CLEANUP(build_pulls_done)
    struct build_pulls pulls = { .find = offer_credentials, .data = exports->session };

    map_init_empty(&pulls.credentials, NULL);
    return engine_build_cache_push(exports->buildkit->engine, name, &exports->images, &pulls,
                                   exports->cancel_fd, err);
}

static int run_export(const struct exports *exports, const struct cache_export *export,
                      size_t index, struct error *err)
{
    CLEANUP(free) char *key = xasprintf(EXPORT_KEY "-%zu", index);
    struct trace *progress = &exports->solve->progress;
    struct error why = {};

    trace_begin(progress, key,
                export->is_local ? "exporting cache to client directory"
                                 : "exporting cache to registry");
    int result = export->is_local ? write_directory(exports, export->place, &why)
                                  : push(exports, export->place, &why);
    trace_end(progress, key, result < 0 ? why.text : NULL);
    if (result == 0 || (export->ignores_errors && why.kind != ERROR_CANCELLED))
        return 0;
    return error_set(err, why.kind, "%s", why.text);
}

static int run_exports(struct exports *exports, const struct solve_request *request,
                       struct error *err)
{
    if (peers_find(&exports->buildkit->sessions, exports->solve->session_id, exports->cancel_fd,
                   &exports->session, err) < 0)
        return -1;
    for (size_t i = exports->images.count; i-- > 0;)
        strv_add(&exports->first, exports->images.items[i]);
    for (size_t i = 0; i < request->cache_export_count; i++)
        if (run_export(exports, &request->cache_exports[i], i, err) < 0)
            return -1;
    return 0;
}

int cache_exports_run(struct buildkit *buildkit, struct solve *solve,
                      const struct solve_request *request, int cancel_fd, int built,
                      struct map *response, struct error *err)
{
    struct exports exports = {
        .buildkit = buildkit, .solve = solve, .cancel_fd = cancel_fd, .response = response
    };
    int result = built;

    if (request->cache_export_count == 0)
        return built;
    mutex_lock(&solve->lock);
    strv_add_all(&exports.images, &solve->cache_images);
    mutex_unlock(&solve->lock);
    if (built == 0)
        result = run_exports(&exports, request, err);
    engine_build_cache_drop(buildkit->engine, &exports.images);
    peer_unref(exports.session);
    strv_done(&exports.images);
    strv_done(&exports.first);
    return result;
}

/* ---- imports ---- */

static int open_blob(void *data, const char *digest, struct stream **out, struct error *err)
{
    return content_open(data, digest, out, err);
}

static int read_directory(const struct cache_imports *imports, const char *path, const char *digest,
                          struct strv *out, struct error *err)
{
    CLEANUP(free) char *id = xasprintf(STORE_PREFIX "%s", path);
    struct content_store store = { imports->session, id, imports->cancel_fd };
    const struct archive_source source = { &store, open_blob };
    CLEANUP(strv_done) struct strv ids = {};
    int result = engine_build_cache_load(imports->buildkit->engine, digest, &source,
                                         imports->cancel_fd, &ids, err);

    for (size_t i = 0; i < ids.count; i++)
        solve_hold_image(imports->buildkit, imports->solve, ids.items[i]);
    strv_add_all(out, &ids);
    return result;
}

static int import_local(const struct cache_imports *imports, const struct json *attributes,
                        struct strv *out, struct error *err)
{
    const char *path = json_text(json_get(attributes, "src"));
    const char *digest = json_text(json_get(attributes, "digest"));
    struct trace *progress = &imports->solve->progress;
    struct error why = {};

    if (text_is_empty(path) || text_is_empty(digest))
        return error_set(err, ERROR_INVALID, "a cache import of type local needs src and digest");
    JSON_EACH (attributes, key)
        if (strcmp(key, "src") != 0 && strcmp(key, "digest") != 0 && strcmp(key, "tag") != 0)
            return error_set(err, ERROR_UNSUPPORTED,
                             "the option %s of cache imports of type local is not supported by "
                             "this engine",
                             key);
    if (imports->is_unused)
        return 0;
    CLEANUP(free) char *step = xasprintf("importing cache manifest from %s", path);
    trace_begin(progress, step, step);
    int result = read_directory(imports, path, digest, out, &why);
    if (result < 0 && why.kind == ERROR_UNSUPPORTED)
        error_context(&why, "no cache that this engine knows");
    trace_end(progress, step, result < 0 ? why.text : NULL);
    return result < 0 && why.kind == ERROR_CANCELLED ? error_set(err, why.kind, "%s", why.text) : 0;
}

static int run_import(const struct cache_imports *imports, const struct json *import,
                      struct strv *out, struct error *err)
{
    const struct json *attributes = json_get(import, "Attrs");
    const char *type = json_text(json_get(import, "Type"));
    const char *ref = json_text(json_get(attributes, "ref"));

    if (text_equal(type, "local"))
        return import_local(imports, attributes, out, err);
    if (!text_equal(type, "registry"))
        return error_set(err, ERROR_UNSUPPORTED,
                         "cache imports of type %s are not supported by this engine",
                         type ? type : "(none)");
    if (text_is_empty(ref))
        return error_set(err, ERROR_INVALID, "a cache import names no image");
    strv_add(out, ref);
    return 0;
}

/* [{"Type":"registry","Attrs":{"ref":"name"}},…], or names with ',' between them from older
 * clients. */
int cache_imports_run(const struct cache_imports *imports, const struct map *attributes,
                      struct strv *out, struct error *err)
{
    const char *names = map_get(attributes, "cache-from");
    const char *text = map_get(attributes, "cache-imports");
    CLEANUP(json_free) struct json *list = NULL;

    if (text_is_empty(text)) {
        if (!text_is_empty(names))
            strv_split(out, names, ',');
        return 0;
    }
    if (json_parse(text, strlen(text), &list, err) < 0)
        return error_context(err, "cache-imports");
    if (json_count(list) > IMPORTS_LIMIT)
        return error_set(err, ERROR_INVALID, "more than %zu cache imports", IMPORTS_LIMIT);
    for (size_t i = 0; i < json_count(list); i++)
        if (run_import(imports, json_at(list, i), out, err) < 0)
            return -1;
    return 0;
}
