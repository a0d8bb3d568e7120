/* Images from and to registries. */
#include "engine/image_registry.h"

#include <string.h>

#include "api/filters.h"
#include "api/progress.h"
#include "api/routes.h"
#include "base/buf.h"
#include "base/memory.h"
#include "base/text.h"
#include "codec/base64.h"
#include "spec/descriptor.h"

#include "base/banned.h"

/* ---- what the user sees ---- */

static void on_head(void *data, const char *id, const char *status)
{
    progress_head(data, id, status);
}

static void on_layer(void *data, const char *id, const char *status)
{
    progress_of(data, id, status);
}

static void on_amount(void *data, const char *id, const char *status, int64_t current,
                      int64_t total)
{
    progress_amount(data, id, status, current, total);
}

static void on_line(void *data, const char *status)
{
    progress_status(data, status);
}

static bool is_cancelled(void *data)
{
    return http_is_cancelled(((struct request *)data)->exchange);
}

struct registry_watcher registry_progress(struct request *req)
{
    return (struct registry_watcher){ req, on_head, on_layer, on_amount, on_line, is_cancelled };
}

/* A registry that answers nonsense, or not at all, is not the client's fault. */
static void settle_kind(struct error *err)
{
    switch (err->kind) {
    case ERROR_NOT_FOUND:
    case ERROR_UNAUTHORIZED:
    case ERROR_FORBIDDEN:
    case ERROR_CANCELLED:
        return;
    default:
        err->kind = ERROR_INTERNAL;
    }
}

static void read_credentials(struct request *req, struct credentials *out)
{
    credentials_decode(http_header(req->exchange, "X-Registry-Auth"), out);
}

/* ---- pull ---- */

/* What is wrong with the request itself keeps its kind. */
static int check_name(const char *name, const char *tag, struct error *err)
{
    CLEANUP(reference_done) struct reference reference = {};
    struct error why = {};

    if (engine_image_push_check(name, tag, &reference, &why) == 0 ||
        strcmp(why.text, "cannot push a digest reference") == 0)
        return 0;
    *err = why;
    return -1;
}

int api_image_pull(struct request *req, struct error *err)
{
    CLEANUP(credentials_done) struct credentials credentials = {};
    CLEANUP(platform_done) struct platform platform = {};
    const char *name = request_query(req, "fromImage"), *tag = request_query(req, "tag"),
               *wanted = request_query(req, "platform");
    bool has_platform = !text_is_empty(wanted);
    struct registry_watcher watcher = registry_progress(req);

    if (check_name(name, tag, err) < 0 ||
        (has_platform && platform_parse(wanted, &platform, err) < 0))
        return -1;
    read_credentials(req, &credentials);
    if (engine_image_pull(req->engine, name, tag, has_platform ? &platform : NULL, &credentials,
                          &watcher, err) == 0)
        return 0;
    settle_kind(err);
    if (!http_reply_has_begun(req->exchange))
        return -1;
    progress_error(req, 0, err->text);
    return 0;
}

/* ---- push ---- */

static void on_pushed(void *data, const char *tag, const struct push_result *result)
{
    progress_aux_push(data, tag, result->digest, result->size);
}

int api_image_push(struct request *req, struct error *err)
{
    CLEANUP(credentials_done) struct credentials credentials = {};
    CLEANUP(reference_done) struct reference reference = {};
    CLEANUP(platform_done) struct platform platform = {};
    const char *tag = request_query(req, "tag"), *wanted = request_query(req, "platform");
    bool has_platform = req->version >= API_VERSION(46) && !text_is_empty(wanted);
    struct push_watcher watcher = { registry_progress(req), on_pushed };
    CLEANUP(strv_done) struct strv images = {};

    if (engine_image_push_check(request_parameter(req, 0), tag, &reference, err) < 0 ||
        (has_platform && platform_parse_json(wanted, &platform, err) < 0))
        return -1;
    read_credentials(req, &credentials);
    /* berth's own: those are for several platforms, and become one image. */
    for (size_t i = 0; i < http_query_count(req->exchange, "images"); i++)
        strv_add(&images, http_query_at(req->exchange, "images", i));
    if (images.count > 0 && !reference.tag)
        reference.tag = xstrdup("latest");
    int result =
        images.count > 0
            ? engine_images_push(req->engine, &reference, &images, &credentials, &watcher, err)
            : engine_image_push(req->engine, &reference, !reference.tag,
                                has_platform ? &platform : NULL, &credentials, &watcher, err);
    if (result == 0)
        return 0;
    if (!http_reply_has_begun(req->exchange))
        return -1;
    progress_error(req, 0, err->text);
    return 0;
}

/* ---- questions ---- */

int api_auth(struct request *req, struct error *err)
{
    CLEANUP(credentials_done) struct credentials credentials = {};
    CLEANUP(json_free) struct json *body = NULL;
    CLEANUP(str_done) struct str answer = {};
    CLEANUP(free) char *token = NULL;
    struct json_writer w = { .out = &answer };

    if (request_json(req, &body, err) < 0)
        return -1;
    if (!body)
        return error_set(err, ERROR_INTERNAL, "EOF");
    credentials_from_json(body, &credentials);
    if (engine_registry_login(req->engine, &credentials, &token, err) < 0) {
        settle_kind(err);
        return -1;
    }
    json_begin_dict(&w, NULL);
    json_add_text(&w, "IdentityToken", token);
    json_add_text(&w, "Status", "Login Succeeded");
    json_end_dict(&w);
    return reply_json(req, 200, &answer, err);
}

static void write_platform(struct json_writer *w, const struct platform *platform)
{
    json_begin_dict(w, NULL);
    json_add_text(w, "architecture", platform->architecture);
    json_add_text(w, "os", platform->os);
    if (*platform->os_version)
        json_add_text(w, "os.version", platform->os_version);
    if (*platform->variant)
        json_add_text(w, "variant", platform->variant);
    json_end_dict(w);
}

static void write_description(struct json_writer *w, const struct registry_description *description)
{
    descriptor_add(w, "Descriptor", description->media_type, description->digest,
                   description->size);
    json_begin_list(w, "Platforms");
    for (size_t i = 0; i < description->platform_count; i++)
        write_platform(w, &description->platforms[i]);
    json_end_list(w);
}

int api_distribution_inspect(struct request *req, struct error *err)
{
    CLEANUP(registry_description_done) struct registry_description description = {};
    CLEANUP(credentials_done) struct credentials credentials = {};
    CLEANUP(reference_done) struct reference checked = {};
    CLEANUP(str_done) struct str answer = {};
    struct json_writer w = { .out = &answer };

    if (reference_parse(request_parameter(req, 0), &checked, err) < 0)
        return -1;
    read_credentials(req, &credentials);
    if (engine_registry_describe(req->engine, request_parameter(req, 0), false, &credentials,
                                 &description, err) < 0) {
        settle_kind(err);
        return -1;
    }
    json_begin_dict(&w, NULL);
    write_description(&w, &description);
    json_end_dict(&w);
    return reply_json(req, 200, &answer, err);
}

/* ---- manifests (berth's own) ---- */

int api_distribution_manifest(struct request *req, struct error *err)
{
    CLEANUP(registry_description_done) struct registry_description description = {};
    CLEANUP(credentials_done) struct credentials credentials = {};
    CLEANUP(reference_done) struct reference checked = {};
    CLEANUP(str_done) struct str answer = {};
    struct json_writer w = { .out = &answer };
    bool insecure = request_query_bool(req, "insecure");

    if (reference_parse(request_parameter(req, 0), &checked, err) < 0)
        return -1;
    read_credentials(req, &credentials);
    if (engine_registry_describe(req->engine, request_parameter(req, 0), insecure, &credentials,
                                 &description, err) < 0) {
        settle_kind(err);
        return -1;
    }
    CLEANUP(free) char *raw = base64_encode(description.body.data, description.body.length);
    json_begin_dict(&w, NULL);
    write_description(&w, &description);
    json_add_text(&w, "Raw", raw);
    json_end_dict(&w);
    return reply_json(req, 200, &answer, err);
}

static int put_manifest(struct request *req, const struct json *body,
                        char out_digest[DIGEST_TEXT_SIZE], struct error *err)
{
    CLEANUP(credentials_done) struct credentials credentials = {};
    CLEANUP(buf_done) struct buf raw = {};
    struct registry_document document = { .media_type = json_text(json_get(body, "MediaType")),
                                          .source = json_text(json_get(body, "Source")) };
    bool insecure = request_query_bool(req, "insecure");

    if (base64_decode(json_text(json_get(body, "Raw")) ?: "", &raw, err) < 0)
        return -1;
    document.bytes = buf_bytes(&raw);
    document.size = raw.size;
    read_credentials(req, &credentials);
    return engine_registry_put(req->engine, request_parameter(req, 0), insecure, &document,
                               &credentials, out_digest, err);
}

/* What was put has a digest. */
static int reply_digest(struct request *req, const char *digest, struct error *err)
{
    CLEANUP(str_done) struct str answer = {};
    struct json_writer w = { .out = &answer };

    json_begin_dict(&w, NULL);
    json_add_text(&w, "Digest", digest);
    json_end_dict(&w);
    return reply_json(req, 201, &answer, err);
}

int api_distribution_put(struct request *req, struct error *err)
{
    CLEANUP(json_free) struct json *body = NULL;
    char digest[DIGEST_TEXT_SIZE];

    if (request_json(req, &body, err) < 0)
        return -1;
    if (put_manifest(req, body, digest, err) < 0) {
        if (err->kind != ERROR_INVALID)
            settle_kind(err);
        return -1;
    }
    return reply_digest(req, digest, err);
}

/* ---- blobs of artifacts (berth's own) ---- */

int api_distribution_blob(struct request *req, struct error *err)
{
    CLEANUP(credentials_done) struct credentials credentials = {};
    CLEANUP(reference_done) struct reference checked = {};
    CLEANUP(str_done) struct str blob = {}, answer = {};
    struct json_writer w = { .out = &answer };

    if (reference_parse(request_parameter(req, 0), &checked, err) < 0)
        return -1;
    if (!checked.digest)
        return error_set(err, ERROR_INVALID, "a blob is named by its digest");
    read_credentials(req, &credentials);
    if (engine_registry_blob_get(req->engine, request_parameter(req, 0), &credentials, &blob, err) <
        0) {
        settle_kind(err);
        return -1;
    }
    CLEANUP(free) char *raw = base64_encode(str_text(&blob), blob.length);
    json_begin_dict(&w, NULL);
    json_add_text(&w, "Raw", raw);
    json_end_dict(&w);
    return reply_json(req, 200, &answer, err);
}

int api_distribution_blob_put(struct request *req, struct error *err)
{
    CLEANUP(credentials_done) struct credentials credentials = {};
    CLEANUP(reference_done) struct reference checked = {};
    CLEANUP(json_free) struct json *body = NULL;
    CLEANUP(buf_done) struct buf raw = {};
    char digest[DIGEST_TEXT_SIZE];

    if (reference_parse(request_parameter(req, 0), &checked, err) < 0 ||
        request_json(req, &body, err) < 0 ||
        base64_decode(json_text(json_get(body, "Raw")) ?: "", &raw, err) < 0)
        return -1;
    read_credentials(req, &credentials);
    if (engine_registry_blob_put(req->engine, request_parameter(req, 0), buf_bytes(&raw), raw.size,
                                 &credentials, digest, err) < 0) {
        settle_kind(err);
        return -1;
    }
    return reply_digest(req, digest, err);
}

/* ---- search ---- */

enum { SEARCH_DEFAULT = 25, SEARCH_LIMIT = 100 };

struct search_filters {
    bool has_official, official, automated; /* automated: nothing is, any more */
    int64_t stars;
};

static int read_filters(struct request *req, struct search_filters *out, struct error *err)
{
    static const char *const accepted[] = { "is-automated", "is-official", "stars", NULL };
    CLEANUP(filters_done) struct filters filters = {};

    if (filters_parse(request_query(req, "filters"), accepted, &filters, err) < 0 ||
        filters_bool(&filters, "is-official", false, &out->official, err) < 0 ||
        filters_bool(&filters, "is-automated", false, &out->automated, err) < 0)
        return -1;
    out->has_official = filters_has(&filters, "is-official");
    const struct strv *stars = filters_values(&filters, "stars");
    for (size_t i = 0; i < stars->count; i++) {
        int64_t value;

        if (parse_int64(stars->items[i], 0, INT64_MAX, &value, NULL) < 0)
            return error_set(err, ERROR_INVALID, "invalid filter 'stars=%s'", stars->items[i]);
        out->stars = MAX(out->stars, value);
    }
    return 0;
}

static bool fits(const struct search_filters *filters, const struct json *result)
{
    return (!filters->has_official ||
            filters->official == json_is_true(json_get(result, "is_official"))) &&
           !filters->automated && json_to_int64(json_get(result, "star_count")) >= filters->stars;
}

int api_image_search(struct request *req, struct error *err)
{
    CLEANUP(credentials_done) struct credentials credentials = {};
    CLEANUP(json_free) struct json *found = NULL;
    CLEANUP(str_done) struct str answer = {};
    struct json_writer w = { .out = &answer };
    struct search_filters filters = {};
    int64_t limit;

    if (request_query_int(req, "limit", SEARCH_DEFAULT, &limit, err) < 0) {
        err->kind = ERROR_INVALID;
        return error_context(err, "invalid limit specified");
    }
    if (read_filters(req, &filters, err) < 0)
        return -1;
    if (limit == 0)
        limit = SEARCH_DEFAULT;
    if (limit < 1 || limit > SEARCH_LIMIT)
        return error_set(err, ERROR_INVALID, "limit %lld is outside the range of [1, %d]",
                         (long long)limit, SEARCH_LIMIT);
    read_credentials(req, &credentials);
    if (engine_registry_search(req->engine, request_query(req, "term") ?: "", (int)limit,
                               &credentials, &found, err) < 0) {
        settle_kind(err);
        return -1;
    }
    const struct json *results = json_get(found, "results");
    json_begin_list(&w, NULL);
    for (size_t i = 0; i < json_count(results); i++) {
        const struct json *result = json_at(results, i);

        if (!fits(&filters, result))
            continue;
        json_begin_dict(&w, NULL);
        json_add_int64(&w, "star_count", json_to_int64(json_get(result, "star_count")));
        json_add_bool(&w, "is_official", json_is_true(json_get(result, "is_official")));
        json_add_text(&w, "name", json_text(json_get(result, "name")) ?: "");
        json_add_bool(&w, "is_automated", false);
        json_add_text(&w, "description", json_text(json_get(result, "description")) ?: "");
        json_end_dict(&w);
    }
    json_end_list(&w);
    return reply_json(req, 200, &answer, err);
}
