/* A blob that was cut goes on where it stopped. */
#include "registry/fetch.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"
#include "codec/sha256.h"

#include "base/banned.h"

#define ATTEMPT_LIMIT  5
#define RETRY_AFTER_S  60
#define LONGEST_WAIT_S 30
#define WAIT_STEP_NS   (100 * NS_PER_MS)

/* ---- trying again ---- */

bool retry_helps(const struct error *err)
{
    return err->kind == ERROR_UNAVAILABLE && err->sys == 0;
}

bool retry_wait(int attempt, const struct answer *answer, bool (*is_cancelled)(void *data),
                void *data)
{
    const char *asked = answer ? answer_header(answer, "retry-after") : NULL;
    int64_t wait_s = MIN(INT64_C(1) << MIN(attempt - 1, 10), LONGEST_WAIT_S);

    if (asked && parse_int64(asked, 0, RETRY_AFTER_S, &wait_s, NULL) < 0)
        wait_s = LONGEST_WAIT_S;
    uint64_t end_ns = clock_monotonic_ns() + (uint64_t)(wait_s * NS_PER_S);
    while (clock_monotonic_ns() < end_ns) {
        if (is_cancelled && is_cancelled(data))
            return false;
        nanosleep(&(struct timespec){ .tv_nsec = WAIT_STEP_NS }, NULL);
    }
    return true;
}

static int attempt_limit(const struct session *session)
{
    return session_attempt_limit(session) ?: ATTEMPT_LIMIT;
}

static int cancelled(struct error *err)
{
    return error_set(err, ERROR_CANCELLED, "context canceled");
}

/* ---- manifests ---- */

void fetched_done(struct fetched *fetched)
{
    str_done(&fetched->bytes);
    manifest_done(&fetched->manifest);
}

static int get_document(struct session *session, const char *url, const struct strv *headers,
                        bool (*is_cancelled)(void *data), void *data, struct answer *answer,
                        struct error *err)
{
    struct error own = {};
    struct error *why = err ?: &own;

    for (int attempt = 1;; attempt++) {
        struct call call = { .method = "GET",
                             .url = url,
                             .headers = headers,
                             .is_cancelled = is_cancelled,
                             .data = data,
                             .answer_limit = MANIFEST_SIZE_LIMIT };

        *why = (struct error){};
        int result = session_call(session, &call, answer, why);
        if (result == 0 && answer->status == 200)
            return 0;
        if (result == 0)
            answer_error(answer, url, why);
        if (!retry_helps(why) || attempt >= attempt_limit(session))
            return -1;
        if (!retry_wait(attempt, answer, is_cancelled, data))
            return cancelled(err);
    }
}

/* What was asked for by its digest must have it; what the server says of others must be true. */
static int check_digest(const char *reference, const struct answer *answer,
                        char out[DIGEST_TEXT_SIZE], struct error *err)
{
    const char *said = answer_header(answer, "docker-content-digest");

    sha256_digest(str_text(&answer->body), answer->body.length, out);
    if (digest_is_valid(reference) && strcmp(reference, out) != 0)
        return error_set(err, ERROR_INVALID,
                         "manifest verification failed for digest %s: it has the digest %s",
                         reference, out);
    if (said && digest_is_valid(said) && strcmp(said, out) != 0)
        return error_set(err, ERROR_INVALID,
                         "manifest verification failed: the registry says %s, it has the digest %s",
                         said, out);
    return 0;
}

int fetch_document(struct session *session, const char *reference, bool (*is_cancelled)(void *data),
                   void *data, struct str *out_bytes, char out_digest[DIGEST_TEXT_SIZE],
                   char **out_type, struct error *err)
{
    CLEANUP(answer_done) struct answer answer = {};
    CLEANUP(strv_done) struct strv headers = {};
    CLEANUP(free) char *url = session_url(session, "/manifests/%s", reference);

    strv_add(&headers, "Accept: " MANIFEST_ACCEPT);
    if (get_document(session, url, &headers, is_cancelled, data, &answer, err) < 0 ||
        check_digest(reference, &answer, out_digest, err) < 0)
        return -1;
    *out_type = xstrdup(answer_header(&answer, "content-type") ?: "");
    *out_bytes = answer.body;
    answer.body = (struct str){};
    return 0;
}

int fetch_manifest(struct session *session, const char *reference, bool (*is_cancelled)(void *data),
                   void *data, struct fetched *out, struct error *err)
{
    CLEANUP(free) char *type = NULL;

    if (fetch_document(session, reference, is_cancelled, data, &out->bytes, out->digest, &type,
                       err) < 0)
        return -1;
    return manifest_parse(str_text(&out->bytes), out->bytes.length, type, &out->manifest, err);
}

/* ---- blobs ---- */

struct transfer {
    const struct blob_fetch *fetch;
    struct blob_writer *writer;
    int64_t received;
    bool is_first; /* no byte of this attempt yet */
    struct answer answer;
};

static void transfer_done(struct transfer *transfer)
{
    blob_writer_free(transfer->writer);
    answer_done(&transfer->answer);
}
CLEANUP_VALUE(transfer_done, struct transfer)

static int start_over(struct transfer *transfer, struct error *err)
{
    blob_writer_free(transfer->writer);
    transfer->writer = NULL;
    transfer->received = 0;
    return blob_writer_new(transfer->fetch->store, &transfer->writer, err);
}

/* "bytes 100-199/200" has to begin where we stopped. */
static bool continues(const struct transfer *transfer)
{
    const char *range = answer_header(&transfer->answer, "content-range");
    CLEANUP(free) char *wanted = xasprintf("bytes %" PRId64 "-", transfer->received);

    return range && text_starts(range, wanted);
}

static int on_bytes(void *data, int status, const void *bytes, size_t size, struct error *err)
{
    struct transfer *transfer = data;
    const struct blob_fetch *fetch = transfer->fetch;

    if (transfer->is_first && status == 206 && (!transfer->received || !continues(transfer)))
        return error_set(err, ERROR_INVALID, "the registry sent another range than asked for");
    if (transfer->is_first && status == 200 && transfer->received && start_over(transfer, err) < 0)
        return -1;
    transfer->is_first = false;
    if ((int64_t)size > fetch->size - transfer->received)
        return error_set(err, ERROR_INVALID, "blob %s is larger than its %" PRId64 " bytes",
                         fetch->digest, fetch->size);
    if (blob_writer_add(transfer->writer, bytes, size, err) < 0)
        return -1;
    transfer->received += (int64_t)size;
    if (fetch->received)
        fetch->received(fetch->data, transfer->received);
    return 0;
}

static bool is_cancelled(void *data)
{
    const struct blob_fetch *fetch = ((struct transfer *)data)->fetch;

    return fetch->is_cancelled && fetch->is_cancelled(fetch->data);
}

/* 0: the answer is over. */
static int attempt(struct transfer *transfer, const char *url, struct error *err)
{
    CLEANUP(strv_done) struct strv headers = {};
    struct call call = { .method = "GET",
                         .url = url,
                         .headers = &headers,
                         .sink = on_bytes,
                         .is_cancelled = is_cancelled,
                         .data = transfer };

    if (transfer->received)
        strv_add_format(&headers, "Range: bytes=%" PRId64 "-", transfer->received);
    transfer->is_first = true;
    if (session_call(transfer->fetch->session, &call, &transfer->answer, err) < 0)
        return -1;
    if (transfer->answer.status == 200 || transfer->answer.status == 206)
        return 0;
    if (transfer->answer.status == 416 && transfer->received) {
        if (start_over(transfer, err) < 0)
            return -1;
        return error_set(err, ERROR_UNAVAILABLE, "the registry cannot go on with blob %s",
                         transfer->fetch->digest);
    }
    return answer_error(&transfer->answer, url, err);
}

static int finish(struct transfer *transfer, struct error *err)
{
    const struct blob_fetch *fetch = transfer->fetch;
    char digest[DIGEST_TEXT_SIZE];
    int result = fetch->media_type
                     ? blob_writer_finish_as(transfer->writer, fetch->digest, fetch->size,
                                             fetch->media_type, digest, err)
                     : blob_writer_finish(transfer->writer, fetch->digest, fetch->size, digest,
                                          err);

    if (result < 0 && err && err->kind == ERROR_INVALID)
        return error_context(err, "filesystem layer verification failed for digest %s",
                             fetch->digest);
    return result;
}

static int receive(struct transfer *transfer, const char *url, struct error *err)
{
    if (start_over(transfer, err) < 0)
        return -1;
    for (int number = 1;; number++) {
        *err = (struct error){};
        if (attempt(transfer, url, err) == 0)
            return 0;
        if (!retry_helps(err) || number >= attempt_limit(transfer->fetch->session))
            return -1;
        if (!retry_wait(number, &transfer->answer, is_cancelled, transfer))
            return cancelled(err);
    }
}

int fetch_blob(const struct blob_fetch *fetch, struct error *err)
{
    CLEANUP(transfer_done) struct transfer transfer = { .fetch = fetch };
    CLEANUP(free) char *url = session_url(fetch->session, "/blobs/%s", fetch->digest);
    struct error own = {};
    struct error *why = err ?: &own;
    size_t other_count = fetch->urls ? fetch->urls->count : 0;
    int result = receive(&transfer, url, why);

    if (result < 0 && why->kind != ERROR_NOT_FOUND)
        return -1;
    for (size_t i = 0; result < 0 && why->kind != ERROR_CANCELLED && i < other_count; i++)
        result = receive(&transfer, fetch->urls->items[i], why);
    return result < 0 ? -1 : finish(&transfer, err);
}
