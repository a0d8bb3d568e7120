/* Reading the query of POST /build. */
#include "api/build_query.h"

#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "codec/json.h"

#include "base/banned.h"

/* clang-format off */
struct ulimit_list {
    struct json_list items;
};
static const struct json_field ulimit_fields[] = {
    JSON_STRING(struct ulimit, name, "Name"),
    JSON_INT64 (struct ulimit, hard, "Hard"),
    JSON_INT64 (struct ulimit, soft, "Soft"),
    JSON_END,
};
static const struct json_field ulimit_list_fields[] = {
    JSON_OBJECTS(struct ulimit_list, items, "items", struct ulimit, ulimit_fields),
    JSON_END,
};
/* clang-format on */

void build_query_done(struct build_query *query)
{
    struct ulimit_list ulimits = { .items = query->ulimits };

    build_attest_done(&query->attest);
    strv_done(&query->tags);
    strv_done(&query->extra_hosts);
    strv_done(&query->cache_from);
    strv_done(&query->cache_to);
    strv_done(&query->no_cache_stages);
    strv_done(&query->entitlements);
    map_done(&query->contexts);
    map_done(&query->arguments);
    map_done(&query->labels);
    json_fields_done(ulimit_list_fields, &ulimits);
}

static void read_repeated(struct request *req, const char *name, struct strv *out)
{
    for (size_t i = 0; i < http_query_count(req->exchange, name); i++)
        if (!text_is_empty(http_query_at(req->exchange, name, i)))
            strv_add(out, http_query_at(req->exchange, name, i));
}

static int parse(const char *text, const char *what, struct json **out, struct error *err)
{
    if (json_parse(text, strlen(text), out, err) == 0)
        return 0;
    err->kind = ERROR_INVALID;
    return error_context(err, "error reading %s", what);
}

/* A JSON object of texts; null stands for a value that is not given. */
static int read_texts(struct request *req, const char *name, const char *what, struct map *out,
                      struct error *err)
{
    const char *text = request_query(req, name);
    CLEANUP(json_free) struct json *given = NULL;

    map_init_empty(out, free);
    if (text_is_empty(text))
        return 0;
    if (parse(text, what, &given, err) < 0)
        return -1;
    JSON_EACH (given, key)
        map_set(out, key, xstrdup(json_text(json_key_value(key))));
    return 0;
}

static int read_list(struct request *req, const char *name, const char *what, struct strv *out,
                     struct error *err)
{
    const char *text = request_query(req, name);
    CLEANUP(json_free) struct json *given = NULL;

    if (text_is_empty(text))
        return 0;
    if (parse(text, what, &given, err) < 0)
        return -1;
    for (size_t i = 0; i < json_count(given); i++)
        if (json_text(json_at(given, i)))
            strv_add(out, json_text(json_at(given, i)));
    return 0;
}

static int read_ulimits(struct request *req, struct json_list *out, struct error *err)
{
    const char *text = request_query(req, "ulimits");
    CLEANUP(free) char *wrapped = NULL;
    struct ulimit_list list = {};

    if (text_is_empty(text))
        return 0;
    wrapped = xasprintf("{\"items\":%s}", text);
    if (json_decode(ulimit_list_fields, wrapped, strlen(wrapped), &list, err) < 0)
        return error_context(err, "error reading ulimits");
    *out = list.items;
    return 0;
}

/* {"provenance":"mode=max","sbom":""} */
static int read_attestations(struct request *req, struct build_attest *out, struct error *err)
{
    CLEANUP(map_done) struct map wanted = {};

    if (read_texts(req, "attest", "attest", &wanted, err) < 0)
        return -1;
    MAP_EACH (&wanted, entry)
        if (build_attest_read(entry->key, entry->value ? entry->value : "", out, err) < 0)
            return -1;
    return 0;
}

/* What is no number counts as 0 here. */
static int64_t read_number(struct request *req, const char *name)
{
    int64_t value = 0;

    parse_int64(request_query(req, name) ?: "", INT64_MIN, INT64_MAX, &value, NULL);
    return value;
}

const char *build_query_text(struct request *req, const char *name)
{
    const char *text = request_query(req, name);

    return text_is_empty(text) ? NULL : text;
}

static void read_limits(struct request *req, struct build_run *out)
{
    out->memory_bytes = read_number(req, "memory");
    out->memory_swap_bytes = read_number(req, "memswap");
    out->cpu_shares = read_number(req, "cpushares");
    out->cpu_period_us = read_number(req, "cpuperiod");
    out->cpu_quota_us = read_number(req, "cpuquota");
    out->shm_size_bytes = read_number(req, "shmsize");
    out->cpuset_cpus = build_query_text(req, "cpusetcpus");
    out->cpuset_mems = build_query_text(req, "cpusetmems");
    out->cgroup_parent = build_query_text(req, "cgroupparent");
}

int build_query_read(struct request *req, struct build_query *query, struct build_options *options,
                     struct error *err)
{
    read_repeated(req, "t", &query->tags);
    read_repeated(req, "extrahosts", &query->extra_hosts);
    if (read_texts(req, "buildargs", "build args", &query->arguments, err) < 0 ||
        read_texts(req, "labels", "labels", &query->labels, err) < 0 ||
        read_list(req, "cachefrom", "cachefrom", &query->cache_from, err) < 0 ||
        read_list(req, "cacheto", "cacheto", &query->cache_to, err) < 0 ||
        read_list(req, "nocachefilter", "nocachefilter", &query->no_cache_stages, err) < 0 ||
        read_list(req, "allow", "allow", &query->entitlements, err) < 0 ||
        read_texts(req, "contexts", "contexts", &query->contexts, err) < 0 ||
        read_ulimits(req, &query->ulimits, err) < 0 ||
        read_attestations(req, &query->attest, err) < 0)
        return -1;
    options->attest = &query->attest;
    options->dockerfile = build_query_text(req, "dockerfile");
    options->tags = &query->tags;
    options->arguments = &query->arguments;
    options->labels = &query->labels;
    options->target = build_query_text(req, "target");
    options->platform = build_query_text(req, "platform");
    options->network_mode = build_query_text(req, "networkmode");
    options->no_cache = request_query_bool(req, "nocache");
    options->quiet = request_query_bool(req, "q");
    options->force_remove = request_query_bool(req, "forcerm");
    options->remove_intermediate = /* On, unless it is switched off. */
        options->force_remove || !build_query_text(req, "rm") || request_query_bool(req, "rm");
    options->pull = request_query_bool(req, "pull");
    options->no_cache_stages = &query->no_cache_stages;
    options->checks_only = request_query_bool(req, "check");
    options->entitlements = &query->entitlements;
    options->extra_hosts = &query->extra_hosts;
    options->cache_from = &query->cache_from;
    if (query->cache_to.count > 0 || request_query_bool(req, "cacheimages"))
        options->cache_mode = BUILD_CACHE_MAX;
    read_limits(req, &options->limits);
    options->limits.ulimits = &query->ulimits;
    return 0;
}
