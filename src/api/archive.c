/* Files of containers as archives: copied out, copied in, exported whole. */
#include "engine/container_files.h"

#include "api/routes.h"
#include "base/memory.h"
#include "codec/base64.h"

#include "base/banned.h"

static void set_stat_header(struct request *req, const struct path_stat *status)
{
    CLEANUP(str_done) struct str text = {};
    struct json_writer w = { .out = &text };

    json_begin_dict(&w, NULL);
    json_add_text(&w, "name", status->name);
    json_add_int64(&w, "size", status->size);
    json_add_uint64(&w, "mode", status->mode);
    json_add_time(&w, "mtime", status->mtime_ns);
    json_add_text(&w, "linkTarget", status->link_target);
    json_end_dict(&w);
    CLEANUP(free) char *encoded = base64_encode(text.data, text.length);
    http_set_header(req->exchange, "X-Docker-Container-Path-Stat", encoded);
}

int api_container_stat_path(struct request *req, struct error *err)
{
    CLEANUP(path_stat_done) struct path_stat status = {};

    if (engine_container_stat(req->engine, request_parameter(req, 0), request_query(req, "path"),
                              &status, err) < 0)
        return -1;
    set_stat_header(req, &status);
    return reply_empty(req, 200, err);
}

int api_container_get_archive(struct request *req, struct error *err)
{
    CLEANUP(path_stat_done) struct path_stat status = {};
    CLEANUP(container_files_close) struct container_files *files = NULL;

    if (engine_container_files_open(req->engine, request_parameter(req, 0),
                                    request_query(req, "path"), &files, &status, err) < 0)
        return -1;
    set_stat_header(req, &status);
    if (reply_stream_begin(req, "application/x-tar", err) < 0)
        return -1;
    return container_files_write(files, http_reply_stream(req->exchange), err);
}

int api_container_put_archive(struct request *req, struct error *err)
{
    const struct extract_wish wish = {
        .keeps_kinds = request_query_bool(req, "noOverwriteDirNonDir"),
        .is_owned_by_user = request_query_bool(req, "copyUIDGID"),
    };

    if (engine_container_extract(req->engine, request_parameter(req, 0), request_query(req, "path"),
                                 &wish, http_body_stream(req->exchange), err) < 0)
        return -1;
    return reply_empty(req, 200, err);
}

int api_container_export(struct request *req, struct error *err)
{
    CLEANUP(container_files_close) struct container_files *files = NULL;

    if (engine_container_export_open(req->engine, request_parameter(req, 0), &files, err) < 0 ||
        reply_stream_begin(req, "application/octet-stream", err) < 0)
        return -1;
    return container_files_write(files, http_reply_stream(req->exchange), err);
}
