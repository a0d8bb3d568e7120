/* The lists: repositories, tags, referrers; and the answer that says who we are. */

#include "base/memory.h"
#include "base/text.h"
#include "codec/json.h"
#include "distribution/proxy.h"

#include "base/banned.h"

#define JSON_TYPE  "application/json; charset=utf-8"
#define INDEX_TYPE "application/vnd.oci.image.index.v1+json"

enum { PAGE_LIMIT = 10000, CATALOG_PAGE = 100, CATALOG_PAGE_LIMIT = 1000 };

int serve_base(struct call *call)
{
    return call_reply(call, 200, "application/json", "{}", 2);
}

/* ---- pages ---- */

struct page {
    size_t limit;
    const char *last;
};

/* More than 'most' is cut to it: the client follows the link. */
static int read_page(struct call *call, int64_t usual, int64_t most, struct page *out)
{
    const char *number = http_query(call->exchange, "n");
    int64_t limit = usual;

    if (number && parse_int64(number, 0, INT64_MAX, &limit, NULL) < 0) {
        problem_set(&call->problem, PROBLEM_PAGINATION_NUMBER_INVALID, number, NULL);
        return problem_set_detail_key(&call->problem, "n");
    }
    out->limit = (size_t)MIN(limit, most);
    out->last = http_query(call->exchange, "last") ?: "";
    return 0;
}

static void set_next(struct call *call, const char *path, const struct page *page, const char *last)
{
    CLEANUP(free) char *encoded = http_url_encode(last);

    call_set_header_format(call, "Link", "<%s?last=%s&n=%zu>; rel=\"next\"", path, encoded,
                           page->limit);
}

static int reply_names(struct call *call, const char *name, const char *key,
                       const struct strv *names)
{
    CLEANUP(str_done) struct str body = {};
    struct json_writer w = { .out = &body };

    json_begin_dict(&w, NULL);
    if (name)
        json_add_text(&w, "name", name);
    json_add_strv(&w, key, names);
    json_end_dict(&w);
    str_add_char(&body, '\n');
    return call_reply(call, 200, JSON_TYPE, body.data, body.length);
}

int serve_catalog(struct call *call)
{
    CLEANUP(strv_done) struct strv names = {};
    struct page page;
    bool more;

    strv_init_empty(&names);
    if (read_page(call, CATALOG_PAGE, CATALOG_PAGE_LIMIT, &page) < 0 ||
        depot_repositories(call->depot, page.last, page.limit, &names, &more, &call->problem) < 0)
        return -1;
    if (more && names.count > 0)
        set_next(call, "/v2/_catalog", &page, names.items[names.count - 1]);
    return reply_names(call, NULL, "repositories", &names);
}

int serve_tags(struct call *call)
{
    CLEANUP(strv_done) struct strv names = {};
    CLEANUP(free) char *path = xasprintf("/v2/%s/tags/list", call->repository);
    struct page page;
    bool more;

    if (call->registry->proxy)
        return proxy_relay(call, JSON_TYPE);
    strv_init_empty(&names);
    if (read_page(call, PAGE_LIMIT, PAGE_LIMIT, &page) < 0 ||
        depot_tags(call->depot, call->repository, page.last, page.limit, &names, &more,
                   &call->problem) < 0)
        return -1;
    if (more && names.count > 0)
        set_next(call, path, &page, names.items[names.count - 1]);
    return reply_names(call, call->repository, "tags", &names);
}

/* ---- referrers ---- */

static void link_referrers(struct call *call, const char *artifact_type, const char *last)
{
    CLEANUP(free) char *type = http_url_encode(artifact_type ?: "");

    call_set_header_format(call, "Link", "</v2/%s/referrers/%s?last=%s%s%s>; rel=\"next\"",
                           call->repository, call->reference, last,
                           artifact_type ? "&artifactType=" : "", type);
}

int serve_referrers(struct call *call)
{
    CLEANUP(str_done) struct str list = {}, body = {};
    const char *type = http_query(call->exchange, "artifactType");
    char last[CONTENT_DIGEST_SIZE] = "";
    bool more;

    if (type && !*type)
        type = NULL;
    if (call_check_digest(call, call->reference) < 0)
        return -1;
    if (call->registry->proxy)
        return proxy_relay(call, INDEX_TYPE);
    if (depot_referrers(call->depot, call->repository, call->reference, type,
                        http_query(call->exchange, "last") ?: "", &list, last, &more,
                        &call->problem) < 0)
        return -1;
    if (type)
        http_set_header(call->exchange, "OCI-Filters-Applied", "artifactType");
    if (more)
        link_referrers(call, type, last);
    str_add_format(&body,
                   "{\"schemaVersion\":2,\"mediaType\":\"" INDEX_TYPE "\",\"manifests\":[%s]}",
                   str_text(&list));
    return call_reply(call, 200, INDEX_TYPE, body.data, body.length);
}
