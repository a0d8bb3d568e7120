/* What can be done with one image. */
#include "engine/image.h"

#include <string.h>

#include "api/image_write.h"
#include "api/progress.h"
#include "api/routes.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"
#include "engine/usage.h"
#include "http/fetch.h"

#include "base/banned.h"

/* An image is for one platform: it must be the one that 'text' says, {"os":…,"architecture":…}. */
static int match_platform(struct request *req, const struct image *image, const char *text,
                          struct error *err)
{
    CLEANUP(json_free) struct json *wanted = NULL;

    if (json_parse(text, strlen(text), &wanted, err) < 0) {
        err->kind = ERROR_INVALID;
        return error_context(err, "failed to parse platform");
    }

    const char *os = json_text(json_get(wanted, "os")) ?: "";
    const char *architecture = json_text(json_get(wanted, "architecture")) ?: "";
    if (text_equal(os, image->config.os ?: "") &&
        text_equal(architecture, image->config.architecture ?: ""))
        return 0;
    return error_set(err, ERROR_NOT_FOUND,
                     "image with reference %s was found but its platform (%s/%s) does not match "
                     "the specified platform (%s/%s)",
                     request_parameter(req, 0), image->config.os ?: "",
                     image->config.architecture ?: "", os, architecture);
}

/* The "platform" of inspect and history. */
static int check_platform(struct request *req, const struct image *image, struct error *err)
{
    const char *text = request_query(req, "platform");

    if (req->version < API_VERSION(48) || text_is_empty(text))
        return 0;
    return match_platform(req, image, text, err);
}

/* The "platforms" of a removal: all that are named must be there to be removed. */
static int check_platforms(struct request *req, struct error *err)
{
    size_t count = http_query_count(req->exchange, "platforms");
    CLEANUP(image_unref) struct image *image = NULL;

    if (req->version < API_VERSION(50) || !count)
        return 0;
    if (engine_image_get(req->engine, request_parameter(req, 0), &image, err) < 0)
        return -1;
    for (size_t i = 0; i < count; i++)
        if (match_platform(req, image, http_query_at(req->exchange, "platforms", i), err) < 0)
            return -1;
    return 0;
}

int api_image_inspect(struct request *req, struct error *err)
{
    CLEANUP(image_unref) struct image *image = NULL;
    CLEANUP(str_done) struct str body = {};
    struct json_writer w = { .out = &body };
    struct engine_info info = {};

    if (engine_image_get(req->engine, request_parameter(req, 0), &image, err) < 0 ||
        check_platform(req, image, err) < 0)
        return -1;
    engine_info(req->engine, &info);
    image_write_full(&w, image,
                     &(struct image_view){ .version = req->version,
                                           .driver = info.driver,
                                           .data_path = info.data_path });
    return reply_json(req, 200, &body, err);
}

/* ---- history ---- */

static void write_step(struct json_writer *w, const struct image_history *step,
                       const struct image *image, int64_t size)
{
    json_begin_dict(w, NULL);
    json_add_text(w, "Comment", step->comment ?: "");
    json_add_int64(w, "Created", date_seconds(step->created_ns));
    json_add_text(w, "CreatedBy", step->created_by ?: "");
    json_add_text(w, "Id", image ? image->id : "<missing>");
    json_add_int64(w, "Size", size);
    if (image && image->tags.count > 0)
        json_add_strv(w, "Tags", &image->tags);
    else
        json_add_null(w, "Tags");
    json_end_dict(w);
}

static struct image *parent_of(struct engine *engine, const struct image *image)
{
    struct image *parent = NULL;
    struct error ignored;

    if (image && *image->parent_id)
        engine_image_get(engine, image->parent_id, &parent, &ignored);
    return parent;
}

/* Newest step first; steps with files count the layers down. Each step that was built here is an
 * image of its own, which the parents lead to. */
static void write_history(struct json_writer *w, struct engine *engine, struct image *image)
{
    const struct json_list *history = &image->config.history;
    const struct image_history *steps = JSON_ITEMS(history, struct image_history);
    CLEANUP(strv_done) struct strv chain_ids = {};
    struct image *shown = image_ref(image);

    image_chain_ids(&image->config.rootfs.diff_ids, &chain_ids);
    size_t layer = chain_ids.count;
    json_begin_list(w, NULL);
    for (size_t i = history->count; i-- > 0;) {
        int64_t size = 0;

        if (!steps[i].empty_layer && layer > 0)
            size = engine_layer_size(engine, chain_ids.items[--layer]);
        write_step(w, &steps[i], shown, size);

        struct image *parent = parent_of(engine, shown);
        if (shown)
            image_unref(shown);
        shown = parent;
    }
    json_end_list(w);
    if (shown)
        image_unref(shown);
}

int api_image_history(struct request *req, struct error *err)
{
    CLEANUP(image_unref) struct image *image = NULL;
    CLEANUP(str_done) struct str body = {};

    if (engine_image_get(req->engine, request_parameter(req, 0), &image, err) < 0 ||
        check_platform(req, image, err) < 0)
        return -1;
    write_history(&(struct json_writer){ .out = &body }, req->engine, image);
    return reply_json(req, 200, &body, err);
}

/* ---- tag, remove ---- */

int api_image_tag(struct request *req, struct error *err)
{
    const char *repository = request_query(req, "repo");
    const char *tag = request_query(req, "tag");

    if (text_is_empty(repository))
        return reply_empty(req, 200, err);
    if (engine_image_tag(req->engine, request_parameter(req, 0), repository,
                         text_is_empty(tag) ? NULL : tag, err) < 0)
        return -1;
    return reply_empty(req, 201, err);
}

int api_image_remove(struct request *req, struct error *err)
{
    CLEANUP(str_done) struct str body = {};
    struct json_writer w = { .out = &body };
    struct json_list removals = {};

    if (check_platforms(req, err) < 0)
        return -1;
    if (engine_image_remove(req->engine, request_parameter(req, 0),
                            request_query_bool(req, "force"), request_query_bool(req, "noprune"),
                            &removals, err) < 0)
        return -1;
    json_begin_list(&w, NULL);
    image_removals_write(&w, &removals);
    json_end_list(&w);
    image_removals_free(&removals);
    return reply_json(req, 200, &body, err);
}

/* ---- import ---- */

static int import_stream(struct request *req, struct stream *archive, const char *source,
                         struct error *err)
{
    CLEANUP(strv_done) struct strv changes = {};
    const char *message = request_query(req, "message");
    CLEANUP(free) char *usual = xasprintf("Imported from %s", source);
    char id[DIGEST_TEXT_SIZE];

    for (size_t i = 0; i < http_query_count(req->exchange, "changes"); i++)
        strv_add(&changes, http_query_at(req->exchange, "changes", i));
    if (engine_image_import(req->engine, archive, request_query(req, "repo"),
                            request_query(req, "tag"), text_is_empty(message) ? usual : message,
                            &changes, request_query(req, "platform"), id, err) < 0)
        return -1;
    progress_status(req, id);
    return 0;
}

/* The archive is fetched whole before it is looked into. */
static int import_url(struct request *req, const char *source, struct error *err)
{
    CLEANUP(close) int fd = engine_temporary_file(req->engine, err);
    CLEANUP(free)
    char *url = strstr(source, "://") ? xstrdup(source) : xasprintf("http://%s", source);
    CLEANUP(fetch_answer_done) struct fetch_answer answer = {};
    struct fetch fetch = { .url = url,
                           .target_fd = fd,
                           .cancel_fd = http_cancel_fd(req->exchange) };
    struct error why = {};

    if (fd < 0)
        return -1;
    CLEANUP(free) char *status = xasprintf("Downloading from %s", url);
    progress_status(req, status);
    CLEANUP(stream_close) struct stream *archive = stream_from_fd(fd, 0);
    if (fetch_url(&fetch, &answer, &why) < 0 || lseek(fd, 0, SEEK_SET) < 0 ||
        import_stream(req, archive, url, &why) < 0)
        progress_error(req, 0, why.text);
    return 0;
}

int api_image_create(struct request *req, struct error *err)
{
    const char *image = request_query(req, "fromImage");
    const char *source = request_query(req, "fromSrc");

    if (!text_is_empty(image))
        return api_image_pull(req, err);
    if (!text_is_empty(source))
        return strcmp(source, "-") == 0
                   ? import_stream(req, http_body_stream(req->exchange), source, err)
                   : import_url(req, source, err);
    return error_set(err, ERROR_INVALID, "neither fromImage nor fromSrc is given");
}
