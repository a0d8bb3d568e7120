/* POST opens an upload, PATCH sends, PUT closes it with the digest; small blobs go with the PUT.
 * What is made while it is sent goes in chunks. */
#include "registry/upload.h"

#include <inttypes.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "http/server.h"
#include "registry/fetch.h"

#include "base/banned.h"

#define SINGLE_PUT_LIMIT (INT64_C(4) << 20)
#define ATTEMPT_LIMIT    5

static struct call make_call(const struct upload *upload, const char *method, const char *url)
{
    return (struct call){ .method = method,
                          .url = url,
                          .body_fd = -1,
                          .sent = upload->sent,
                          .is_cancelled = upload->is_cancelled,
                          .data = upload->data };
}

static void add_content(const struct upload *upload, struct call *call)
{
    call->content_type = "application/octet-stream";
    if (upload->open) {
        call->open_body = upload->open;
    } else if (upload->bytes) {
        call->body = upload->bytes;
        call->body_size = (size_t)upload->size;
    } else {
        call->body_fd = upload->fd;
        call->body_length = upload->size;
    }
}

int upload_exists(const struct upload *upload, struct error *err)
{
    CLEANUP(answer_done) struct answer answer = {};
    CLEANUP(free) char *url = session_url(upload->session, "/blobs/%s", upload->digest);
    struct call call = make_call(upload, "HEAD", url);

    call.sent = NULL;
    if (session_call(upload->session, &call, &answer, err) < 0)
        return -1;
    if (answer.status == 404)
        return 0;
    if (answer.status != 200)
        return answer_error(&answer, url, err);
    const char *length = answer_header(&answer, "content-length");
    int64_t size;
    /* Another size would be another blob. */
    if (length && parse_int64(length, 0, INT64_MAX, &size, NULL) == 0 && size != upload->size)
        return error_set(err, ERROR_INVALID,
                         "the registry has %s with %s bytes instead of %" PRId64, upload->digest,
                         length, upload->size);
    return 1;
}

/* Where to send to. Behind proxies registries take themselves for plain HTTP: an upload stays with
 * the scheme that it began with. */
static int read_location(const struct upload *upload, const struct answer *answer, char **out,
                         struct error *err)
{
    CLEANUP(url_done) struct url base = {}, own = {};
    const char *location = answer_header(answer, "location");
    char *url;

    if (!location)
        return error_set(err, ERROR_INVALID, "the registry opened an upload without a location");
    if (url_resolve(answer->url, location, &url, err) < 0)
        return -1;
    if (url_split(session_base(upload->session), &base, NULL) == 0 &&
        url_split(url, &own, NULL) == 0 && base.is_tls && !own.is_tls &&
        strcmp(base.host, own.host) == 0) {
        const char *path = strchr(url + strlen("http://"), '/') ?: "/";
        char *corrected = xasprintf("%s%s", session_base(upload->session), path);

        free(url);
        url = corrected;
    }
    free(*out);
    *out = url;
    return 0;
}

/* 1: mounted; 0: '*out' is where to send the blob. */
static int open_upload(const struct upload *upload, const char *source, char **out,
                       struct error *err)
{
    CLEANUP(answer_done) struct answer answer = {};
    CLEANUP(free)
    char *url = source ? session_url(upload->session, "/blobs/uploads/?mount=%s&from=%s",
                                     upload->digest, source)
                       : session_url(upload->session, "/blobs/uploads/");
    struct call call = make_call(upload, "POST", url);

    call.sent = NULL;
    if (session_call(upload->session, &call, &answer, err) < 0)
        return -1;
    if (source && answer.status == 201)
        return 1;
    if (answer.status != 202)
        return answer_error(&answer, url, err);
    return read_location(upload, &answer, out, err);
}

static void cancel_upload(const struct upload *upload, const char *location)
{
    CLEANUP(answer_done) struct answer answer = {};
    struct call call = make_call(upload, "DELETE", location);

    call.sent = NULL;
    session_call(upload->session, &call, &answer, NULL);
}

/* A mount that is refused for whatever reason is no failure: the blob is sent then. */
int upload_mount(const struct upload *upload, const char **out_from)
{
    for (size_t i = 0; upload->sources && i < upload->sources->count; i++) {
        CLEANUP(free) char *location = NULL;
        const char *source = upload->sources->items[i];
        int result = open_upload(upload, source, &location, NULL);

        if (location)
            cancel_upload(upload, location);
        if (result == 1) {
            *out_from = source;
            return 1;
        }
    }
    return 0;
}

static int patch(const struct upload *upload, char **location, struct error *err)
{
    CLEANUP(answer_done) struct answer answer = {};
    struct call call = make_call(upload, "PATCH", *location);

    add_content(upload, &call);
    if (session_call(upload->session, &call, &answer, err) < 0)
        return -1;
    if (answer.status != 202 && answer.status != 204 && answer.status != 201)
        return answer_error(&answer, *location, err);
    return read_location(upload, &answer, location, err);
}

static int put(const struct upload *upload, const char *location, bool with_content,
               struct error *err)
{
    CLEANUP(answer_done) struct answer answer = {};
    CLEANUP(free) char *digest = http_url_encode(upload->digest);
    CLEANUP(free)
    char *url = xasprintf("%s%sdigest=%s", location, strchr(location, '?') ? "&" : "?", digest);
    struct call call = make_call(upload, "PUT", url);

    if (with_content)
        add_content(upload, &call);
    if (session_call(upload->session, &call, &answer, err) < 0)
        return -1;
    if (answer.status != 201 && answer.status != 204)
        return answer_error(&answer, location, err);
    return 0;
}

static int send(const struct upload *upload, char **location, struct error *err)
{
    if (!*location && open_upload(upload, NULL, location, err) < 0)
        return -1;
    if (!upload->open && upload->size <= SINGLE_PUT_LIMIT)
        return put(upload, *location, true, err);
    if (patch(upload, location, err) < 0)
        return -1;
    return put(upload, *location, false, err);
}

int upload_run(const struct upload *upload, struct error *err)
{
    CLEANUP(free) char *location = NULL;
    struct error own = {};
    struct error *why = err ?: &own;
    int limit = session_attempt_limit(upload->session) ?: ATTEMPT_LIMIT;

    for (int attempt = 1;; attempt++) {
        *why = (struct error){};
        if (send(upload, &location, why) == 0)
            return 0;
        /* What is half-way there is not gone on with: the next attempt is a new upload. */
        if (location && why->kind != ERROR_UNAUTHORIZED)
            cancel_upload(upload, location);
        free(TAKE(location));
        if (!retry_helps(why) || attempt >= limit)
            return -1;
        if (!retry_wait(attempt, NULL, upload->is_cancelled, upload->data))
            return error_set(err, ERROR_CANCELLED, "context canceled");
    }
}
