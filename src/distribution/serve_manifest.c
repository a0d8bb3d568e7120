/* Manifests in and out. */
#include <string.h>
#include <strings.h>

#include "base/memory.h"
#include "distribution/document.h"
#include "distribution/name.h"
#include "distribution/proxy.h"
#include "distribution/serve.h"

#include "base/banned.h"

enum { TAG_COUNT_LIMIT = 100 }; /* that one push may set */

/* ---- out ---- */

static bool range_accepts(const char *range, size_t length, const char *type)
{
    static const char *const all[] = { "*/*", "application/*" };

    while (length > 0 && (range[length - 1] == ' ' || range[length - 1] == '\t'))
        length--;
    for (size_t i = 0; i < COUNT(all); i++)
        if (strlen(all[i]) == length && strncasecmp(range, all[i], length) == 0)
            return true;
    return strlen(type) == length && strncasecmp(range, type, length) == 0;
}

/* Accept lists media ranges with parameters; without one, everything is welcome. */
static bool is_accepted(const char *accept, const char *type)
{
    if (!accept || !*accept)
        return true;
    for (const char *at = accept; *at;) {
        at += strspn(at, " \t,");
        size_t whole = strcspn(at, ","), bare = strcspn(at, ",;");

        if (range_accepts(at, bare, type))
            return true;
        at += whole;
    }
    return false;
}

/* NULL if it is a digest. */
static const char *tag_of(const struct call *call)
{
    return strchr(call->reference, ':') ? NULL : call->reference;
}

static int check_reference(struct call *call)
{
    if (strchr(call->reference, ':'))
        return call_check_digest(call, call->reference);
    if (name_is_tag(call->reference))
        return 0;
    problem_set(&call->problem, PROBLEM_MANIFEST_UNKNOWN, call->reference, NULL);
    return problem_set_detail_key(&call->problem, "Tag");
}

int serve_manifest(struct call *call)
{
    CLEANUP(manifest_unref) struct manifest *manifest = NULL;

    if (check_reference(call) < 0 || (call->registry->proxy && proxy_manifest(call) < 0) ||
        depot_manifest_get(call->depot, call->repository, call->reference, &manifest,
                           &call->problem) < 0)
        return -1;
    if (!is_accepted(http_header(call->exchange, "Accept"), manifest->media_type)) {
        problem_set(&call->problem, PROBLEM_MANIFEST_UNKNOWN, call->reference,
                    "the manifest is of type %s, which the request does not accept",
                    manifest->media_type);
        return problem_set_detail_key(&call->problem, "Tag");
    }
    http_set_header(call->exchange, "Docker-Content-Digest", manifest->digest);
    call_set_header_format(call, "ETag", "\"%s\"", manifest->digest);
    if (call_has_current(call, manifest->digest))
        return call_reply_empty(call, 304);
    if (!call->is_head)
        call_tell(call, "pull", manifest->digest, manifest->media_type, (int64_t)manifest->size,
                  tag_of(call), NULL);
    return call_reply(call, 200, manifest->media_type, manifest->bytes, manifest->size);
}

/* ---- in ---- */

static int read_body(struct call *call, struct buf *out)
{
    struct error err = {};

    if (http_read_all(call->exchange, DOCUMENT_SIZE_LIMIT, out, &err) == 0)
        return 0;
    if (err.kind != ERROR_INVALID)
        return problem_set(&call->problem, PROBLEM_MANIFEST_INVALID, NULL, "%s", err.text);
    problem_set(&call->problem, PROBLEM_MANIFEST_INVALID, NULL, "a manifest may have %d bytes",
                (int)DOCUMENT_SIZE_LIMIT);
    return problem_set_status(&call->problem, 413);
}

static int add_tag(struct call *call, const char *tag, struct strv *tags)
{
    if (!name_is_tag(tag))
        return problem_set(&call->problem, PROBLEM_TAG_INVALID, tag, "this cannot be a tag");
    if (tags->count == TAG_COUNT_LIMIT)
        return problem_set(&call->problem, PROBLEM_TAG_INVALID, NULL,
                           "at most %d tags may be set at once", (int)TAG_COUNT_LIMIT);
    if (!strv_contains(tags, tag))
        strv_add(tags, tag);
    return 0;
}

/* Each holds a whole manifest in memory: they count among those who write. */
static int read_body_in_turn(struct call *call, struct buf *out)
{
    struct registry *registry = call->registry;
    int result = -1;

    if (atomic_fetch_add(&registry->writers, 1) < registry->options.writer_limit)
        result = read_body(call, out);
    else
        problem_set(&call->problem, PROBLEM_TOOMANYREQUESTS, NULL, "too many pushes at a time");
    atomic_fetch_sub(&registry->writers, 1);
    return result;
}

/* The reference, if it is one, and those that the query adds. */
static int collect_tags(struct call *call, struct strv *out)
{
    if (!strchr(call->reference, ':') && add_tag(call, call->reference, out) < 0)
        return -1;
    for (size_t i = 0; i < http_query_count(call->exchange, "tag"); i++)
        if (add_tag(call, http_query_at(call->exchange, "tag", i), out) < 0)
            return -1;
    return 0;
}

static int check_own_digest(struct call *call, const struct buf *body,
                            char out[CONTENT_DIGEST_SIZE])
{
    bool by_digest = strchr(call->reference, ':');

    if (by_digest && call_check_digest(call, call->reference) < 0)
        return -1;
    hash_digest(by_digest ? call->reference : "sha256", buf_bytes(body), body->size, out);
    if (by_digest && strcmp(out, call->reference) != 0)
        return problem_set(&call->problem, PROBLEM_DIGEST_INVALID, call->reference, NULL);
    return 0;
}

static int parse_body(struct call *call, const struct buf *body, struct document *out)
{
    struct error err = {};

    if (document_parse(http_header(call->exchange, "Content-Type"), buf_bytes(body), body->size,
                       out, &err) == 0)
        return 0;
    problem_set(&call->problem, PROBLEM_MANIFEST_INVALID, NULL, "%s", err.text);
    return err.kind == ERROR_UNSUPPORTED ? problem_set_status(&call->problem, 415) : -1;
}

static int reply_put(struct call *call, const char *digest, const struct document *document)
{
    CLEANUP(free) char *tags = NULL;

    call_set_header_format(call, "Location", "/v2/%s/manifests/%s", call->repository, digest);
    http_set_header(call->exchange, "Docker-Content-Digest", digest);
    if (document->subject)
        http_set_header(call->exchange, "OCI-Subject", document->subject);
    if (http_query_count(call->exchange, "tag") > 0) {
        CLEANUP(strv_done) struct strv set = {};

        for (size_t i = 0; i < http_query_count(call->exchange, "tag"); i++)
            strv_add(&set, http_query_at(call->exchange, "tag", i));
        tags = strv_join(&set, ", ");
        http_set_header(call->exchange, "OCI-Tag", tags);
    }
    return call_reply_empty(call, 201);
}

int serve_manifest_put(struct call *call)
{
    CLEANUP(buf_done) struct buf body = {};
    CLEANUP(strv_done) struct strv tags = {};
    CLEANUP(document_done) struct document document = {};
    char digest[CONTENT_DIGEST_SIZE];

    if (collect_tags(call, &tags) < 0 || read_body_in_turn(call, &body) < 0 ||
        check_own_digest(call, &body, digest) < 0 || parse_body(call, &body, &document) < 0)
        return -1;
    const struct manifest_push push = { .repository = call->repository,
                                        .digest = digest,
                                        .bytes = buf_bytes(&body),
                                        .size = body.size,
                                        .document = &document,
                                        .tags = &tags,
                                        .quota = call->quota };
    if (depot_manifest_put(call->depot, &push, &call->problem) < 0)
        return -1;
    call_tell(call, "push", digest, document.media_type, (int64_t)body.size,
              tags.count > 0 ? tags.items[0] : NULL, NULL);
    return reply_put(call, digest, &document);
}

int serve_manifest_delete(struct call *call)
{
    if (check_reference(call) < 0 ||
        depot_manifest_delete(call->depot, call->repository, call->reference, &call->problem) < 0)
        return -1;
    call_tell(call, "delete", tag_of(call) ? NULL : call->reference, NULL, -1, tag_of(call), NULL);
    return call_reply_empty(call, 202);
}
