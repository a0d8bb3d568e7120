/* Images as archives. */
#include "engine/image_archive.h"

#include <string.h>

#include "api/progress.h"
#include "api/routes.h"
#include "base/text.h"
#include "codec/sha256.h"

#include "base/banned.h"

/* 'platform' of save and load: API 1.48 and newer, one of them. True if one was given. */
static int read_platform(struct request *req, struct platform *out, bool *out_given,
                         struct error *err)
{
    const char *text = request_query(req, "platform");

    *out_given = req->version >= API_VERSION(48) && !text_is_empty(text);
    if (!*out_given)
        return 0;
    if (http_query_count(req->exchange, "platform") > 1)
        return error_set(err, ERROR_INVALID, "multiple platform parameters not supported");
    return platform_parse_json(text, out, err);
}

static void read_list(struct request *req, const char *name, struct strv *out)
{
    for (size_t i = 0; i < http_query_count(req->exchange, name); i++)
        strv_add(out, http_query_at(req->exchange, name, i));
}

struct index_reply {
    struct request *req;
    bool has_begun;
};

static struct stream *begin_index(void *data, const struct archive_index *index, struct error *err)
{
    struct index_reply *reply = data;

    http_set_header(reply->req->exchange, "Docker-Content-Digest", index->digest);
    if (reply_stream_begin(reply->req, "application/x-tar", err) < 0)
        return NULL;
    reply->has_begun = true;
    return http_reply_stream(reply->req->exchange);
}

/* berth's own parameter "images": those are for several platforms, and become one image that goes
 * by 'names'. The header Docker-Content-Digest tells which. */
static int save_index(struct request *req, const struct strv *names, struct error *err)
{
    CLEANUP(image_selection_done) struct image_selection selection = {};
    CLEANUP(strv_done) struct strv ids = {};
    struct index_reply reply = { .req = req };
    const struct archive_target target = { &reply, begin_index };

    read_list(req, "images", &ids);
    if (engine_images_select(req->engine, &ids, NULL, &selection, err) < 0)
        return -1;
    if (engine_images_save_index(&selection, names, &target, err) == 0)
        return 0;
    if (reply.has_begun)
        http_reply_break(req->exchange);
    return -1;
}

int api_image_save(struct request *req, struct error *err)
{
    CLEANUP(image_selection_done) struct image_selection selection = {};
    CLEANUP(platform_done) struct platform platform = {};
    CLEANUP(strv_done) struct strv names = {};
    const char *name = request_parameter(req, 0);
    bool has_platform;

    if (*name)
        strv_add(&names, name);
    else
        read_list(req, "names", &names);
    if (http_query_count(req->exchange, "images") > 0)
        return save_index(req, &names, err);
    if (read_platform(req, &platform, &has_platform, err) < 0)
        return -1;
    if (engine_images_select(req->engine, &names, has_platform ? &platform : NULL, &selection,
                             err) < 0) {
        if (err->kind == ERROR_INVALID) /* As Docker has it. */
            err->kind = ERROR_INTERNAL;
        return -1;
    }
    if (reply_stream_begin(req, "application/x-tar", err) < 0)
        return -1;
    if (engine_images_save(&selection, http_reply_stream(req->exchange), err) == 0)
        return 0;
    http_reply_break(req->exchange);
    return -1;
}

/* ---- load ---- */

struct loading {
    struct request *req;
    bool quiet;
};

static int on_layer(void *data, const char *diff_id, int64_t done, int64_t total)
{
    struct loading *loading = data;
    char id[SHORT_ID_LENGTH + 1] = "";

    memcpy(id, digest_hex(diff_id), SHORT_ID_LENGTH);
    if (!loading->quiet)
        progress_amount(loading->req, id, "Loading layer", done, total);
    return http_is_cancelled(loading->req->exchange);
}

static void say(void *data, const char *text)
{
    progress_stream(((struct loading *)data)->req, text, strlen(text));
}

int api_image_load(struct request *req, struct error *err)
{
    CLEANUP(platform_done) struct platform platform = {};
    const char *quiet = request_query(req, "quiet");
    struct loading loading = { req, !quiet || text_is_true(quiet) };
    struct load_watcher watcher = { &loading, on_layer, say };
    bool has_platform;

    if (read_platform(req, &platform, &has_platform, err) < 0)
        return -1;
    if (reply_stream_begin(req, "application/json", err) < 0)
        return -1;
    const struct archive_choice choice = { .platform = has_platform ? &platform : NULL };
    if (engine_images_load(req->engine, http_body_stream(req->exchange), &choice, &watcher, err) <
        0)
        progress_error(req, 0, err->text);
    return 0;
}
