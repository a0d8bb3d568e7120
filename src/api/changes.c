/* What a container changed, told and kept: changes and commit. */
#include "api/routes.h"
#include "base/memory.h"
#include "base/text.h"
#include "engine/container_commit.h"
#include "engine/container_files.h"

#include "base/banned.h"

#define FLUSH_SIZE ((size_t)64 * 1024)

/* ---- changes ---- */

/* The list on its way out, in pieces if it is long. */
struct listing {
    struct request *req;
    struct str text;
    bool has_begun;
};

static int flush(struct listing *listing, struct error *err)
{
    if (!http_reply_has_begun(listing->req->exchange) &&
        reply_stream_begin(listing->req, "application/json", err) < 0)
        return -1;
    if (http_reply_write(listing->req->exchange, listing->text.data, listing->text.length, err) < 0)
        return -1;
    str_clear(&listing->text);
    return 0;
}

static int add_change(void *data, const char *path, enum store_change kind, struct error *err)
{
    struct listing *listing = data;
    struct json_writer w = { .out = &listing->text };

    str_add_char(&listing->text, listing->has_begun ? ',' : '[');
    listing->has_begun = true;
    json_begin_dict(&w, NULL);
    json_add_text(&w, "Path", path);
    json_add_int64(&w, "Kind", kind);
    json_end_dict(&w);
    return listing->text.length < FLUSH_SIZE ? 0 : flush(listing, err);
}

int api_container_changes(struct request *req, struct error *err)
{
    struct listing listing = { .req = req };
    int result = engine_container_changes(req->engine, request_parameter(req, 0), add_change,
                                          &listing, err);

    if (result == 0) {
        str_add(&listing.text, listing.has_begun ? "]" : "null");
        if (!http_reply_has_begun(req->exchange)) {
            result = reply_json(req, 200, &listing.text, err);
        } else {
            str_add_char(&listing.text, '\n');
            result = flush(&listing, err);
        }
    }
    str_done(&listing.text);
    return result;
}

/* ---- commit ---- */

static int commit(struct request *req, const struct commit_wish *wish, struct error *err)
{
    CLEANUP(str_done) struct str body = {};
    struct json_writer w = { .out = &body };
    char id[DIGEST_TEXT_SIZE];

    if (engine_container_commit(req->engine, request_query(req, "container"), wish, id, err) < 0)
        return -1;
    json_begin_dict(&w, NULL);
    json_add_text(&w, "Id", id);
    json_end_dict(&w);
    return reply_json(req, 201, &body, err);
}

int api_commit(struct request *req, struct error *err)
{
    CLEANUP(strv_done) struct strv changes = {};
    CLEANUP(json_free) struct json *body = NULL;
    struct container_config config = {};
    struct commit_wish wish = {
        .repository = request_query(req, "repo"),
        .tag = request_query(req, "tag"),
        .author = request_query(req, "author"),
        .comment = request_query(req, "comment"),
        .changes = &changes,
        .pauses = text_is_empty(request_query(req, "pause")) || request_query_bool(req, "pause"),
    };

    for (size_t i = 0; i < http_query_count(req->exchange, "changes"); i++)
        strv_add(&changes, http_query_at(req->exchange, "changes", i));
    if (request_json(req, &body, err) < 0)
        return -1;
    if (!body || json_type(body) == JSON_NULL)
        return commit(req, &wish, err);
    int result = json_decode_value(container_config_fields, body, &config, err);
    if (result < 0)
        error_context(err, "invalid JSON");
    wish.config = &config;
    if (result == 0)
        result = commit(req, &wish, err);
    json_fields_done(container_config_fields, &config);
    return result;
}
