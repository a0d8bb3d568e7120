/* Files of containers as archives: copied out, copied in, exported whole. */
#include "engine/container_files.h"

#include <errno.h>
#include <poll.h>

#include "api/frame.h"
#include "api/hijack.h"
#include "api/routes.h"
#include "api/status.h"
#include "base/descriptor.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "codec/base64.h"
#include "spec/passed_file.h"

#include "base/banned.h"

#define STAT_HEADER "X-Docker-Container-Path-Stat"

static char *encode_stat(const struct path_stat *status)
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
    return base64_encode(text.data, text.length);
}

static void set_stat_header(struct request *req, const struct path_stat *status)
{
    CLEANUP(free) char *encoded = encode_stat(status);

    http_set_header(req->exchange, STAT_HEADER, encoded);
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

/* ---- files as descriptors (spec/passed_file.h) ---- */

enum { DESCRIPTOR_LIMIT_MS = 10 * 1000, COPY_LIMIT_MS = 300 * 1000 };

static bool may_pass_files(const struct request *req)
{
    return http_peer_uid(req->exchange) >= 0 &&
           text_equal(http_header(req->exchange, "Upgrade"), PASSED_FILE_PROTOCOL);
}

static void await(int fd, int cancel_fd, int limit_ms)
{
    struct pollfd fds[] = { { fd, POLLIN, 0 }, { cancel_fd, POLLIN, 0 } };

    while (poll(fds, COUNT(fds), limit_ms) < 0 && errno == EINTR)
        continue;
}

/* The client copies; what it copies from stays where it is until then. Whoever takes too long, or
 * copies out of a container that is being removed, still has the file. */
static int pass_file(struct request *req, const struct container_files *files,
                     const struct path_stat *status, int file_fd, struct error *err)
{
    CLEANUP(hijack_done) struct hijack hijack = { .fd = -1, .near_fd = -1 };
    CLEANUP(free) char *encoded = encode_stat(status);
    CLEANUP(free) char *header = xasprintf(STAT_HEADER ": %s\r\n", encoded);
    CLEANUP(close)
    int cancel_fd = descriptor_either(container_files_cancel_fd(files),
                                      http_cancel_fd(req->exchange), err);

    if (cancel_fd < 0 || hijack_begin(req, MEDIA_TYPE_RAW_STREAM, header, &hijack, err) < 0)
        return -1;
    if (descriptor_send(hijack.fd, PASSED_FILE_BYTE, 1, file_fd, err) == 1)
        await(hijack.fd, cancel_fd, COPY_LIMIT_MS);
    return 0;
}

int api_container_get_archive(struct request *req, struct error *err)
{
    CLEANUP(path_stat_done) struct path_stat status = {};
    CLEANUP(container_files_close) struct container_files *files = NULL;

    if (engine_container_files_open(req->engine, request_parameter(req, 0),
                                    request_query(req, "path"), &files, &status, err) < 0)
        return -1;
    CLEANUP(close) int file_fd = may_pass_files(req) ? container_files_share(files) : -1;
    if (file_fd >= 0)
        return pass_file(req, files, &status, file_fd, err);
    set_stat_header(req, &status);
    if (reply_stream_begin(req, "application/x-tar", err) < 0)
        return -1;
    return container_files_write(files, http_reply_stream(req->exchange), err);
}

static struct extract_wish read_wish(const struct request *req)
{
    return (struct extract_wish){
        .keeps_kinds = request_query_bool(req, "noOverwriteDirNonDir"),
        .is_owned_by_user = request_query_bool(req, "copyUIDGID"),
    };
}

int api_container_put_archive(struct request *req, struct error *err)
{
    const struct extract_wish wish = read_wish(req);

    if (engine_container_extract(req->engine, request_parameter(req, 0), request_query(req, "path"),
                                 &wish, http_body_stream(req->exchange), err) < 0)
        return -1;
    return reply_empty(req, 200, err);
}

static int receive_file(const struct hijack *hijack, int cancel_fd, struct error *err)
{
    char byte;
    int fd = -1;

    if (!hijack->pending_size) { /* else it came too early, and what came with it is lost */
        await(hijack->fd, cancel_fd, DESCRIPTOR_LIMIT_MS);
        if (fd_is_readable(hijack->fd) && descriptor_receive(hijack->fd, &byte, 1, &fd, err) < 0)
            return -1;
    }
    return fd >= 0 ? fd : error_set(err, ERROR_UNSUPPORTED, "no descriptor was passed");
}

static int put_file(struct request *req, int file_fd, int cancel_fd, struct error *err)
{
    const struct extract_wish wish = read_wish(req);
    const struct file_source source = { file_fd, request_query(req, "name"), cancel_fd };

    return engine_container_put_file(req->engine, request_parameter(req, 0),
                                     request_query(req, "path"), &wish, &source, err);
}

static int take_file(struct request *req, const struct hijack *hijack, struct error *err)
{
    int server_fd = http_cancel_fd(req->exchange);
    CLEANUP(close) int file_fd = receive_file(hijack, server_fd, err);
    CLEANUP(close) int cancel_fd = -1;

    if (file_fd < 0 || (cancel_fd = descriptor_either(hijack->fd, server_fd, err)) < 0 ||
        put_file(req, file_fd, cancel_fd, err) < 0) {
        if (file_fd >= 0 && err->kind == ERROR_UNSUPPORTED)
            descriptor_discard(TAKE_FD(file_fd));
        return -1;
    }
    return 0;
}

int api_container_put_file(struct request *req, struct error *err)
{
    CLEANUP(hijack_done) struct hijack hijack = { .fd = -1, .near_fd = -1 };
    struct passed_file_answer answer = { .status = 200 };
    CLEANUP(str_done) struct str text = {};

    if (!may_pass_files(req))
        return error_set(err, ERROR_UNSUPPORTED, "files are passed over a unix socket, upgraded");
    if (text_is_empty(request_query(req, "name")))
        return error_set(err, ERROR_INVALID, "bad parameter: name cannot be empty");
    if (hijack_begin(req, MEDIA_TYPE_RAW_STREAM, "", &hijack, err) < 0)
        return -1;
    if (take_file(req, &hijack, err) < 0)
        answer = (struct passed_file_answer){ http_status(err->kind), err->text };
    json_encode(passed_file_answer_fields, &answer, &text);
    (void)fd_write_all(hijack.fd, text.data, text.length, NULL);
    return 0;
}

int api_container_export(struct request *req, struct error *err)
{
    CLEANUP(container_files_close) struct container_files *files = NULL;

    if (engine_container_export_open(req->engine, request_parameter(req, 0), &files, err) < 0 ||
        reply_stream_begin(req, "application/octet-stream", err) < 0)
        return -1;
    return container_files_write(files, http_reply_stream(req->exchange), err);
}
