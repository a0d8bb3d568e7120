/* Changing where a container's names come from. The configuration is changed first, in the record;
 * the files of a running container and its resolver follow. */
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "engine/container_check.h"
#include "engine/internal.h"
#include "network/files.h"

#include "base/banned.h"

#define FILE_LIMIT ((size_t)1 << 20)
#define NONE       "none"

/* ---- the configuration ---- */

static void change_list(struct strv *list, const struct strv *wish)
{
    if (wish->count == 0)
        return;
    strv_done(list);
    for (size_t i = 0; i < wish->count; i++)
        if (wish->count > 1 || strcmp(wish->items[i], NONE) != 0)
            strv_add(list, wish->items[i]);
}

/* "db" or "db:10.0.0.1" of an entry "db:10.0.0.1". */
static bool is_meant(const char *entry, const char *which)
{
    size_t length = strcspn(entry, ":");

    return strcmp(entry, which) == 0 ||
           (strlen(which) == length && strncmp(entry, which, length) == 0);
}

static int change_hosts(struct strv *hosts, const struct names_wish *wish, struct strv *out_gone,
                        struct error *err)
{
    for (size_t i = 0; i < wish->hosts_remove.count; i++) {
        size_t before = hosts->count;

        for (size_t h = hosts->count; h-- > 0;)
            if (is_meant(hosts->items[h], wish->hosts_remove.items[i])) {
                strv_add(out_gone, hosts->items[h]);
                strv_remove(hosts, h);
            }
        if (hosts->count == before)
            return error_set(err, ERROR_INVALID, "host %s was not added to the container",
                             wish->hosts_remove.items[i]);
    }
    for (size_t i = 0; i < wish->hosts_add.count; i++) {
        if (strv_contains(hosts, wish->hosts_add.items[i]))
            return error_set(err, ERROR_CONFLICT, "host %s was added to the container already",
                             wish->hosts_add.items[i]);
        strv_add(hosts, wish->hosts_add.items[i]);
    }
    return 0;
}

/* ---- a container that runs ---- */

static int rewrite_hosts(struct container *container, const struct container_info *info,
                         const struct strv *gone, const struct strv *come, struct error *err)
{
    CLEANUP(str_done) struct str text = {}, gateway = {};
    struct network_files_options options = container_files_options(container->engine, info);

    if (text_is_empty(info->hosts_path) || gone->count + come->count == 0)
        return 0;
    if (file_read(info->hosts_path, FILE_LIMIT, &text, err) < 0)
        return -1;
    container_default_gateway(container->engine, &gateway);
    options.gateway = str_text(&gateway);
    for (size_t i = 0; i < gone->count; i++) {
        CLEANUP(str_done) struct str line = {};
        struct str rest = {};

        network_hosts_extra_line(&options, gone->items[i], &line);
        network_hosts_remove_line(str_text(&text), str_text(&line), &rest);
        str_done(&text);
        text = rest;
    }
    if (text.length > 0 && text.data[text.length - 1] != '\n')
        str_add_char(&text, '\n');
    for (size_t i = 0; i < come->count; i++)
        network_hosts_extra_line(&options, come->items[i], &text);
    return container_rewrite(info->hosts_path, &text, err);
}

static int rewrite_resolv(struct container *container, const struct container_info *info,
                          struct error *err)
{
    CLEANUP(str_done) struct str text = {}, host_text = {};
    CLEANUP(shim_unref) struct shim *shim = container_shim(container);
    struct network_files_options options = container_files_options(container->engine, info);
    bool has_names = container_has_names(container->engine, info);

    if (text_is_empty(info->resolv_path))
        return 0;
    options.is_user_network = has_names;
    options.is_host_network = strcmp(info->host_config.network_mode, "host") == 0;
    network_host_resolv(&host_text);
    network_resolv_text(&options, str_text(&host_text), &text);
    if (container_rewrite(info->resolv_path, &text, err) < 0)
        return -1;
    return has_names && shim ? container_tell_resolver(container, info, shim, -1, false, err) : 0;
}

/* ---- both ---- */

static int change_running(struct container *container, const struct names_wish *wish,
                          const struct strv *gone, struct error *err)
{
    CLEANUP(container_info_unref) struct container_info *info = container_snapshot(container);
    bool is_about_servers = wish->dns.count + wish->dns_search.count + wish->dns_options.count > 0;

    if (!container_is_up(info))
        return 0;
    if (rewrite_hosts(container, info, gone, &wish->hosts_add, err) < 0)
        return -1;
    return is_about_servers ? rewrite_resolv(container, info, err) : 0;
}

/* Operation held. */
static int change(struct container *container, const void *data, struct error *err)
{
    const struct names_wish *wish = data;
    CLEANUP(container_info_unref) struct container_info *info = container_snapshot(container);
    CLEANUP(container_spec_unref) struct container_spec *spec = NULL;
    CLEANUP(strv_done) struct strv gone = {};

    if (container_change_begin(info, &spec, err) < 0)
        return -1;
    struct host_config *host = &spec->host_config;
    if (text_starts(host->network_mode, "container:"))
        return error_set(err, ERROR_INVALID,
                         "conflicting options: dns and hosts and the network mode");
    change_list(&host->dns, &wish->dns);
    change_list(&host->dns_search, &wish->dns_search);
    change_list(&host->dns_options, &wish->dns_options);
    if (change_hosts(&host->extra_hosts, wish, &gone, err) < 0 ||
        host_config_check_names(host, err) < 0 || container_set_spec(container, spec, err) < 0)
        return -1;
    return container_change_end(container, info->spec, change_running(container, wish, &gone, err));
}

int engine_container_change_names(struct engine *engine, const char *text,
                                  const struct names_wish *wish, struct error *err)
{
    return container_change(engine, text, change, wish, err);
}
