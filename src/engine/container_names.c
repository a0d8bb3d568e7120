/* What a container is called on its networks, and what its own resolver is told. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "engine/internal.h"
#include "network/files.h"

#include "base/banned.h"

/* ---- its names ---- */

static void add_once(struct strv *names, const char *name)
{
    if (!text_is_empty(name) && !strpbrk(name, " \t\n") && !strv_contains(names, name))
        strv_add(names, name);
}

void container_dns_names(const struct container_info *info,
                         const struct endpoint_settings *settings, struct strv *out)
{
    char short_id[SHORT_ID_LENGTH + 1];

    snprintf(short_id, sizeof(short_id), "%.*s", SHORT_ID_LENGTH, info->id);
    add_once(out, info->name);
    for (size_t i = 0; settings && i < settings->aliases.count; i++)
        add_once(out, settings->aliases.items[i]);
    add_once(out, short_id);
    add_once(out, info->config.hostname);
}

/* ---- links ---- */

int container_link_parse(const char *text, char **out_name, char **out_alias, struct error *err)
{
    const char *colon = strchr(text, ':');
    const char *name = text[0] == '/' ? text + 1 : text;
    size_t length = colon ? (size_t)(colon - name) : strlen(name);
    const char *alias = colon ? colon + 1 : name;
    const char *slash = strrchr(alias, '/'); /* "/name:/this container/alias" */

    if (text_is_empty(text) || length == 0 || *alias == '\0' || (colon && strchr(colon + 1, ':')))
        return error_set(err, ERROR_INTERNAL, "bad format for links: %s", text);
    *out_name = xstrndup(name, length);
    *out_alias = xstrdup(slash ? slash + 1 : alias);
    return 0;
}

/* The lines that a container on the default bridge gets about those it is linked to. */
int container_link_lines(struct engine *engine, const struct container_info *info, struct strv *out,
                         struct error *err)
{
    const struct strv *links = &info->host_config.links;

    for (size_t i = 0; i < links->count; i++) {
        CLEANUP(free) char *name = NULL, *alias = NULL;
        CLEANUP(container_unref) struct container *other = NULL;
        CLEANUP(container_info_unref) struct container_info *theirs = NULL;
        const struct endpoint_settings *endpoint;

        if (container_link_parse(links->items[i], &name, &alias, err) < 0 ||
            container_find(engine, name, &other, err) < 0)
            return -1;
        theirs = container_snapshot(other);
        endpoint = map_get(&theirs->endpoints, "bridge");
        if (!container_is_up(theirs))
            return error_set(err, ERROR_INTERNAL,
                             "Cannot link to a non running container: /%s AS /%s/%s", theirs->name,
                             info->name, alias);
        if (!endpoint || text_is_empty(endpoint->ip_address))
            return error_set(err, ERROR_INTERNAL,
                             "Cannot link to /%s, as it does not belong to the default network",
                             theirs->name);
        strv_add_format(out, "%s\t%s%s%.12s%s%s", endpoint->ip_address, alias, " ", theirs->id,
                        strcmp(alias, theirs->name) == 0 ? "" : " ",
                        strcmp(alias, theirs->name) == 0 ? "" : theirs->name);
    }
    return 0;
}

/* ---- its resolver ---- */

struct candidate {
    struct network *network;
    const struct endpoint_settings *settings;
};

static int compare_candidates(const void *a, const void *b)
{
    const struct candidate *first = a, *second = b;

    return network_is_preferred(first->network, first->settings->gw_priority, second->network,
                                second->settings->gw_priority)
               ? -1
               : 1;
}

static void add_links(const struct endpoint_settings *settings, struct map *out)
{
    map_init_empty(out, free);
    for (size_t i = 0; i < settings->links.count; i++) {
        CLEANUP(free) char *name = NULL, *alias = NULL;
        struct error ignored;

        if (container_link_parse(settings->links.items[i], &name, &alias, &ignored) == 0)
            map_set_text(out, alias, name);
    }
}

static void add_network(struct engine *engine, const struct candidate *candidate,
                        struct resolver_settings *out)
{
    struct resolver_network *network;

    if (!candidate->network->internal)
        out->is_closed = false;
    if (!network_has_names(candidate->network))
        return;
    network = json_list_add(&out->networks, sizeof(*network));
    network->name = xstrdup(candidate->network->name);
    network->path = network_names_path(engine->networks, candidate->network->id);
    add_links(candidate->settings, &network->links);
}

void container_resolver_settings(struct engine *engine, const struct container_info *info,
                                 struct resolver_settings *out)
{
    const struct host_config *host = &info->host_config;
    const struct strv *servers = host->dns.count ? &host->dns : engine->options.dns;
    struct network_files_options files = {
        .dns_options = host->dns_options.count ? &host->dns_options : engine->options.dns_options,
    };
    CLEANUP(free)
    struct candidate *candidates = xcalloc(info->endpoints.count + 1, sizeof(*candidates));
    CLEANUP(str_done) struct str host_text = {};
    size_t count = 0;

    MAP_EACH (&info->endpoints, entry)
        if (network_find(engine->networks, entry->key, &candidates[count].network, NULL) == 0)
            candidates[count++].settings = entry->value;
    qsort(candidates, count, sizeof(*candidates), compare_candidates);
    network_host_resolv(&host_text);
    *out = (struct resolver_settings){ .is_closed = true };
    out->keeps_single_labels = network_resolv_keeps_single_labels(&files, str_text(&host_text));
    if (servers)
        strv_copy(&out->servers, servers);
    for (size_t i = 0; i < count; i++) {
        add_network(engine, &candidates[i], out);
        network_unref(candidates[i].network);
    }
}

bool container_has_names(struct engine *engine, const struct container_info *info)
{
    bool has_names = false;

    MAP_EACH (&info->endpoints, entry) {
        CLEANUP(network_unref) struct network *network = NULL;

        has_names |= network_find(engine->networks, entry->key, &network, NULL) == 0 &&
                     network_has_names(network);
    }
    return has_names;
}

int container_tell_resolver(struct container *container, const struct container_info *info,
                            struct shim *shim, int namespace_fd, bool is_new, struct error *err)
{
    CLEANUP(resolver_settings_done) struct resolver_settings settings = {};
    CLEANUP(close) int udp_fd = -1;
    CLEANUP(close) int tcp_fd = -1;

    container_resolver_settings(container->engine, info, &settings);
    if (is_new &&
        network_resolver_open(container->engine->networks, namespace_fd, &udp_fd, &tcp_fd, err) < 0)
        return -1;
    return shim_set_names(shim, &settings, is_new ? namespace_fd : -1, udp_fd, tcp_fd, err);
}
