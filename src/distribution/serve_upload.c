/* Blobs in: whole with one request, in two, or piece by piece. */
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "distribution/name.h"
#include "distribution/range.h"
#include "distribution/serve.h"

#include "base/banned.h"

#define BLOB_TYPE "application/octet-stream"

enum { BLOCK_SIZE = 64 * 1024, HOLDER_LIMIT = 16 };

/* ---- what is told of an upload ---- */

static void set_location(struct call *call, const char *id)
{
    call_set_header_format(call, "Location", "/v2/%s/blobs/uploads/%s", call->repository, id);
}

static void set_progress(struct call *call, const struct upload *upload)
{
    int64_t size = upload_size(upload);

    set_location(call, upload_id(upload));
    http_set_header(call->exchange, "Docker-Upload-UUID", upload_id(upload));
    call_set_header_format(call, "Range", "0-%lld", (long long)(size > 0 ? size - 1 : 0));
}

/* The upload is given back before the client hears of it: its next request may come at once. */
static int reply_progress(struct call *call, struct upload *upload, int status)
{
    set_progress(call, upload);
    upload_release(upload);
    return call_reply_empty(call, status);
}

static int reply_created(struct call *call, const char *digest)
{
    call_set_header_format(call, "Location", "/v2/%s/blobs/%s", call->repository, digest);
    http_set_header(call->exchange, "Docker-Content-Digest", digest);
    return call_reply_empty(call, 201);
}

static int reply_pushed(struct call *call, struct upload *upload, const char *digest)
{
    call_tell(call, "push", digest, BLOB_TYPE, upload_size(upload), NULL, NULL);
    upload_release(upload);
    return reply_created(call, digest);
}

/* ---- receiving ---- */

/* The size of the body, -1 if only its end will tell. */
static int64_t body_size(const struct call *call)
{
    const char *length = http_header(call->exchange, "Content-Length");
    int64_t size;

    return length && parse_int64(length, 0, INT64_MAX, &size, NULL) == 0 ? size : -1;
}

/* A piece must begin where the last one ended. '*out_size' is what it says of itself, or -1. */
static int check_range(struct call *call, const struct upload *upload, int64_t *out_size)
{
    const char *text = http_header(call->exchange, "Content-Range");
    int64_t first, last, size = body_size(call);

    *out_size = -1;
    if (!text)
        return 0;
    if (!content_range_parse(text, &first, &last))
        return problem_set(&call->problem, PROBLEM_BLOB_UPLOAD_INVALID, text,
                           "the Content-Range is not understood");
    if (first != upload_size(upload)) {
        set_progress(call, upload);
        return problem_set(&call->problem, PROBLEM_RANGE_INVALID, text, "the upload has %lld bytes",
                           (long long)upload_size(upload));
    }
    if (size >= 0 && size != last - first + 1)
        return problem_set(&call->problem, PROBLEM_SIZE_INVALID, text, NULL);
    *out_size = last - first + 1;
    return 0;
}

static int receive(struct call *call, struct upload *upload)
{
    CLEANUP(free) char *block = xmalloc(BLOCK_SIZE);
    struct error err = {};

    for (;;) {
        ssize_t count = http_read(call->exchange, block, BLOCK_SIZE, &err);

        if (count < 0) { /* what came stays; the client asks how much it is */
            problem_set(&call->problem, PROBLEM_BLOB_UPLOAD_INVALID, NULL, "%s", err.text);
            return -1;
        }
        if (count == 0)
            return 0;
        if (upload_write(upload, block, (size_t)count, &call->problem) < 0)
            return -1;
        call->registry->metrics.received_bytes += (uint64_t)count;
    }
}

/* Few at a time: each has its block, its thread and its share of the disk. */
static int receive_in_turn(struct call *call, struct upload *upload)
{
    struct registry *registry = call->registry;
    int64_t before = upload_size(upload), announced;

    if (check_range(call, upload, &announced) < 0)
        return -1;
    if (!http_has_body(call->exchange))
        return 0;
    int result = -1;
    if (atomic_fetch_add(&registry->writers, 1) < registry->options.writer_limit)
        result = receive(call, upload);
    else
        problem_set(&call->problem, PROBLEM_TOOMANYREQUESTS, NULL, "too many uploads at a time");
    atomic_fetch_sub(&registry->writers, 1);
    /* Who gets no more room will hardly come back for the rest: others have use for it. */
    if (result < 0 && call->problem.status == 507)
        upload_cut(upload, before);
    if (result == 0 && announced >= 0 && upload_size(upload) - before != announced)
        return problem_set(&call->problem, PROBLEM_SIZE_INVALID, NULL, NULL);
    return result;
}

/* ---- mounting ---- */

static int mount_from(struct call *call, const char *digest, const char *from)
{
    struct problem ignored;

    return depot_blob_mount(call->depot, call->repository, digest, from, call->quota, &ignored);
}

/* From any repository that the client may read. */
static int mount_from_any(struct call *call, const char *digest)
{
    CLEANUP(strv_done) struct strv holders = {};

    if (depot_blob_holders(call->depot, digest, HOLDER_LIMIT, &holders, &call->problem) < 0)
        return -1;
    for (size_t i = 0; i < holders.count; i++)
        if (call_check_access(call, holders.items[i], ACTION_PULL) == 0 &&
            mount_from(call, digest, holders.items[i]) == 0)
            return 0;
    return -1;
}

/* 1: answered; 0: it must be uploaded, for whatever reason; -1. */
static int try_mount(struct call *call)
{
    const char *digest = http_query(call->exchange, "mount");
    const char *from = http_query(call->exchange, "from");

    if (!digest)
        return 0;
    if (call_check_digest(call, digest) < 0)
        return -1;
    if (from && !name_is_repository(from))
        return problem_set(&call->problem, PROBLEM_NAME_INVALID, from, NULL);
    bool is_mounted = from ? call_check_access(call, from, ACTION_PULL) == 0 &&
                                 mount_from(call, digest, from) == 0
                           : mount_from_any(call, digest) == 0;
    if (is_mounted) {
        call_tell(call, "mount", digest, BLOB_TYPE, -1, NULL, from);
        reply_created(call, digest);
    }
    return is_mounted;
}

/* ---- handlers ---- */

/* All in one request: nothing is kept of it if it fails. */
static int receive_whole(struct call *call, struct upload **upload, const char *digest)
{
    struct problem ignored;

    if (receive_in_turn(call, *upload) == 0 &&
        upload_finish(*upload, digest, call->quota, &call->problem) == 0)
        return reply_pushed(call, TAKE(*upload), digest);
    upload_cancel(*upload, &ignored);
    return -1;
}

int serve_upload_begin(struct call *call)
{
    CLEANUP(upload_release) struct upload *upload = NULL;
    const char *digest = http_query(call->exchange, "digest");
    const char *algorithm = http_query(call->exchange, "digest-algorithm") ?: "sha256";
    int mounted = try_mount(call);

    if (mounted != 0)
        return mounted < 0 ? -1 : 0;
    if (digest && call_check_digest(call, digest) < 0)
        return -1;
    CLEANUP(hash_free) struct hash *known = hash_new(digest ?: algorithm);
    if (!known) {
        problem_set(&call->problem, PROBLEM_UNSUPPORTED, algorithm,
                    "the digest algorithm is not known here");
        return problem_set_status(&call->problem, 400);
    }
    if (depot_upload_begin(call->depot, call->repository, digest ?: algorithm, &upload,
                           &call->problem) < 0)
        return -1;
    if (digest)
        return receive_whole(call, &upload, digest);
    return reply_progress(call, TAKE(upload), 202);
}

static int take(struct call *call, struct upload **out)
{
    return depot_upload_take(call->depot, call->repository, call->reference, out, &call->problem);
}

int serve_upload_status(struct call *call)
{
    CLEANUP(upload_release) struct upload *upload = NULL;

    if (take(call, &upload) < 0)
        return -1;
    return reply_progress(call, TAKE(upload), 204);
}

int serve_upload_chunk(struct call *call)
{
    CLEANUP(upload_release) struct upload *upload = NULL;

    if (take(call, &upload) < 0 || receive_in_turn(call, upload) < 0)
        return -1;
    return reply_progress(call, TAKE(upload), 202);
}

int serve_upload_finish(struct call *call)
{
    CLEANUP(upload_release) struct upload *upload = NULL;
    const char *digest = http_query(call->exchange, "digest");
    struct problem ignored;

    if (call_check_digest(call, digest) < 0 || take(call, &upload) < 0 ||
        receive_in_turn(call, upload) < 0)
        return -1;
    if (upload_finish(upload, digest, call->quota, &call->problem) < 0) {
        if (call->problem.status < 500) /* no further try can make it better */
            upload_cancel(upload, &ignored);
        return -1;
    }
    return reply_pushed(call, TAKE(upload), digest);
}

int serve_upload_cancel(struct call *call)
{
    CLEANUP(upload_release) struct upload *upload = NULL;

    if (take(call, &upload) < 0 || upload_cancel(upload, &call->problem) < 0)
        return -1;
    upload_release(TAKE(upload));
    return call_reply_empty(call, 204);
}
