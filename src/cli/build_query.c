/* One parameter per option, and those of the files. */
#include "cli/build_query.h"

#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "cli/platform_query.h"
#include "cli/proxies.h"

#include "base/banned.h"

static void add_number(struct client_path *path, const char *name,
                       const struct optional_int64 *value)
{
    CLEANUP(free) char *text = xasprintf("%lld", (long long)value->value);

    client_path_query(path, name, value->is_set ? text : NULL);
}

/* K=V as a JSON object; K alone: from the environment, or null. */
static void write_pairs(struct json_writer *w, const struct strv *pairs, bool from_environment)
{
    for (size_t i = 0; i < pairs->count; i++) {
        const char *entry = pairs->items[i], *equals = strchr(entry, '=');
        CLEANUP(free)
        char *key = equals ? xstrndup(entry, (size_t)(equals - entry)) : xstrdup(entry);

        json_add_text(w, key, equals ? equals + 1 : from_environment ? getenv(entry) : "");
    }
}

static void add_pairs(struct client_path *path, const char *name, const struct strv *pairs,
                      bool from_environment)
{
    CLEANUP(str_done) struct str text = {};
    struct json_writer w = { .out = &text };

    if (!pairs->count)
        return;
    json_begin_dict(&w, NULL);
    write_pairs(&w, pairs, from_environment);
    json_end_dict(&w);
    client_path_query(path, name, str_text(&text));
}

/* An epoch in our environment is meant for the build. */
static void add_arguments(const struct cli *cli, struct client_path *path, const struct strv *given)
{
    CLEANUP(strv_done) struct strv pairs = {};

    strv_add_all(&pairs, given);
    if (!text_is_empty(getenv("SOURCE_DATE_EPOCH")) && !strv_env_get(&pairs, "SOURCE_DATE_EPOCH"))
        strv_add(&pairs, "SOURCE_DATE_EPOCH");
    proxies_add(cli->client, &pairs, &pairs);
    add_pairs(path, "buildargs", &pairs, true);
}

static void add_list(struct client_path *path, const char *name, const struct strv *list)
{
    CLEANUP(str_done) struct str text = {};
    struct json_writer w = { .out = &text };

    if (!list->count)
        return;
    json_begin_list(&w, NULL);
    for (size_t i = 0; i < list->count; i++)
        json_add_text(&w, NULL, list->items[i]);
    json_end_list(&w);
    client_path_query(path, name, str_text(&text));
}

static void add_options(const struct cli *cli, struct client_path *path,
                        const struct build_options *options)
{
    for (size_t i = 0; !build_options_is_several(options) && i < options->tag.count; i++)
        client_path_query(path, "t", options->tag.items[i]);
    for (size_t i = 0; i < options->add_host.count; i++)
        client_path_query(path, "extrahosts", options->add_host.items[i]);
    add_arguments(cli, path, &options->build_arg);
    add_pairs(path, "labels", &options->label, false);
    add_list(path, "allow", &options->allow);
    add_list(path, "nocachefilter", &options->no_cache_filter);
    client_path_query(path, "pull", options->pull ? "1" : NULL);
    client_path_query(path, "check", options->check ? "1" : NULL);
    client_path_query(path, "verify", options->verify ? "1" : NULL);
    client_path_query(path, "nocache", options->no_cache ? "1" : NULL);
    client_path_query(path, "rm", options->remove ? "1" : "0");
    client_path_query(path, "forcerm", options->force_remove ? "1" : NULL);
    client_path_query(path, "networkmode", options->network);
    client_path_query(path, "platform", platform_or_default(options->platform));
    client_path_query(path, "target", options->target);
    client_path_query(path, "cgroupparent", options->cgroup_parent);
    client_path_query(path, "cpusetcpus", options->cpuset_cpus);
    client_path_query(path, "cpusetmems", options->cpuset_mems);
    add_number(path, "memory", &options->memory);
    add_number(path, "memswap", &options->memory_swap);
    add_number(path, "shmsize", &options->shm_size);
    add_number(path, "cpushares", &options->cpu_shares);
    add_number(path, "cpuperiod", &options->cpu_period);
    add_number(path, "cpuquota", &options->cpu_quota);
}

void build_query_add(const struct cli *cli, struct client_path *path,
                     const struct build_options *options, const struct build_input *input,
                     const char *context)
{
    client_path_query(path, "dockerfile", input->dockerfile);
    add_options(cli, path, options);
    add_pairs(path, "contexts", &input->contexts, false);
    add_pairs(path, "attest", &input->attestations, false);
    add_list(path, "cachefrom", &input->cache_from);
    add_list(path, "cacheto", &input->cache_to);
    client_path_query(path, "cacheimages", input->wants_cache_images ? "1" : NULL);
    client_path_query(path, "context", input->synced.id);
    client_path_query(path, "remote", build_context_is_remote(context) ? context : NULL);
}
