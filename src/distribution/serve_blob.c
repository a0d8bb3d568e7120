/* Blobs out: large ones go from the file to the socket inside the kernel. */
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "distribution/proxy.h"
#include "distribution/range.h"
#include "distribution/serve.h"

#include "base/banned.h"

#define BLOB_TYPE "application/octet-stream"

enum { SMALL_SIZE = 32 * 1024 }; /* fits behind the head, in one write */

static void set_headers(struct call *call, const char *digest)
{
    http_set_header(call->exchange, "Docker-Content-Digest", digest);
    call_set_header_format(call, "ETag", "\"%s\"", digest);
    http_set_header(call->exchange, "Accept-Ranges", "bytes");
    http_set_header(call->exchange, "Cache-Control", "max-age=31536000");
}

/* Bytes of a blob never change under its digest, so that any If-Range but another ETag holds. */
static enum range_kind wanted_range(const struct call *call, int64_t size, int64_t *out_first,
                                    int64_t *out_last)
{
    const char *condition = http_header(call->exchange, "If-Range");

    if (condition && !strstr(condition, call->reference))
        return RANGE_WHOLE;
    return range_parse(http_header(call->exchange, "Range"), size, out_first, out_last);
}

static int send_small(struct call *call, int status, int fd, int64_t first, size_t size)
{
    char block[SMALL_SIZE];

    if (pread(fd, block, size, first) != (ssize_t)size)
        return problem_set(&call->problem, PROBLEM_UNKNOWN, call->reference,
                           "the blob cannot be read");
    return call_reply(call, status, BLOB_TYPE, block, size);
}

static int send_part(struct call *call, int status, int fd, int64_t first, int64_t size)
{
    struct error err = {};

    if (size <= SMALL_SIZE)
        return send_small(call, status, fd, first, (size_t)size);
    call_set_header_format(call, "Content-Length", "%lld", (long long)size);
    call->status = status;
    call->sent = (uint64_t)size;
    if (http_reply_begin(call->exchange, status, BLOB_TYPE, &err) < 0 ||
        http_reply_file(call->exchange, fd, first, (uint64_t)size, &err) < 0)
        log_debug("blob was not sent", "error", err.text);
    return 0;
}

static int refuse_range(struct call *call, int64_t size)
{
    call_set_header_format(call, "Content-Range", "bytes */%lld", (long long)size);
    return problem_set(&call->problem, PROBLEM_RANGE_INVALID, NULL, "the blob has %lld bytes",
                       (long long)size);
}

/* A client that asks for the head alone wants to know whether it must send the blob. */
static int answer_head(struct call *call)
{
    int64_t size;

    if (depot_blob_stat(call->depot, call->repository, call->reference, true, &size,
                        &call->problem) < 0)
        return -1;
    set_headers(call, call->reference);
    if (call_has_current(call, call->reference))
        return call_reply_empty(call, 304);
    return call_reply(call, 200, BLOB_TYPE, NULL, (size_t)size);
}

int serve_blob(struct call *call)
{
    CLEANUP(close) int fd = -1;
    int64_t size, first = 0, last;

    if (call_check_digest(call, call->reference) < 0)
        return -1;
    int passed = call->registry->proxy ? proxy_blob(call) : 0;
    if (passed != 0)
        return passed < 0 ? -1 : 0;
    if (call->is_head)
        return answer_head(call);
    if (depot_blob_open(call->depot, call->repository, call->reference, &fd, &size,
                        &call->problem) < 0)
        return -1;
    set_headers(call, call->reference);
    if (call_has_current(call, call->reference))
        return call_reply_empty(call, 304);
    call_tell(call, "pull", call->reference, BLOB_TYPE, size, NULL, NULL);
    switch (wanted_range(call, size, &first, &last)) {
    case RANGE_UNSATISFIABLE:
        return refuse_range(call, size);
    case RANGE_PART:
        call_set_header_format(call, "Content-Range", "bytes %lld-%lld/%lld", (long long)first,
                               (long long)last, (long long)size);
        return send_part(call, 206, fd, first, last - first + 1);
    case RANGE_WHOLE:
        break;
    }
    return send_part(call, 200, fd, 0, size);
}

int serve_blob_delete(struct call *call)
{
    if (call_check_digest(call, call->reference) < 0 ||
        depot_blob_delete(call->depot, call->repository, call->reference, &call->problem) < 0)
        return -1;
    call_tell(call, "delete", call->reference, BLOB_TYPE, -1, NULL, NULL);
    http_set_header(call->exchange, "Docker-Content-Digest", call->reference);
    return call_reply_empty(call, 202);
}
