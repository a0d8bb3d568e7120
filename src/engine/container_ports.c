/* Publishing and unpublishing ports of a container that is there already. The configuration is
 * changed first, in the record, so that the next start does as the running container does; what is
 * published in the kernel follows, and open connections go on. */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "engine/internal.h"
#include "network/port.h"

#include "base/banned.h"

/* ---- the configuration ---- */

static void free_bindings(void *value)
{
    struct json_list *bindings = value;

    for (size_t i = 0; i < bindings->count; i++) {
        struct port_binding *binding = &JSON_ITEMS(bindings, struct port_binding)[i];

        free(binding->host_ip);
        free(binding->host_port);
    }
    free(bindings->items);
    free(bindings);
}

static bool is_same(const struct port_binding *a, const struct port_binding *b)
{
    return strcmp(a->host_ip ? a->host_ip : "", b->host_ip ? b->host_ip : "") == 0 &&
           strcmp(a->host_port ? a->host_port : "", b->host_port ? b->host_port : "") == 0;
}

static int add_binding(struct map *bindings, const char *key, const struct port_binding *wish,
                       struct error *err)
{
    struct json_list *list = map_get(bindings, key);
    struct port_binding *added;

    if (!list) {
        list = NEW(struct json_list);
        if (!bindings->entries)
            map_init_empty(bindings, free_bindings);
        map_set(bindings, key, list);
    }
    for (size_t i = 0; i < list->count; i++)
        if (!text_is_empty(wish->host_port) &&
            is_same(&JSON_ITEMS(list, struct port_binding)[i], wish))
            return error_set(err, ERROR_CONFLICT, "port %s is published as %s:%s already", key,
                             wish->host_ip ? wish->host_ip : "", wish->host_port);
    added = json_list_add(list, sizeof(*added));
    added->host_ip = xstrdup(wish->host_ip ? wish->host_ip : "");
    added->host_port = xstrdup(wish->host_port ? wish->host_port : "");
    return 0;
}

static int add_bindings(struct container_spec *spec, const struct map *wishes, struct error *err)
{
    MAP_EACH (wishes, entry) {
        const struct json_list *list = entry->value;

        if (!strv_contains(&spec->config.exposed_ports, entry->key))
            strv_add(&spec->config.exposed_ports, entry->key);
        for (size_t i = 0; list && i < list->count; i++)
            if (add_binding(&spec->host_config.port_bindings, entry->key,
                            &JSON_ITEMS(list, struct port_binding)[i], err) < 0)
                return -1;
    }
    return 0;
}

/* "[[ip:]8080:]80[/tcp]": which ports of the container, and which of the bindings. */
static int parse_which(const char *text, struct port_mapping *out, char out_key[16],
                       struct error *err)
{
    CLEANUP(free) char *copy = xstrdup(text);
    char *slash = strrchr(copy, '/'), *inner, *outer;
    int64_t number;

    *out = (struct port_mapping){};
    if (slash)
        *slash++ = '\0';
    snprintf(out->protocol, sizeof(out->protocol), "%s", slash ? slash : "tcp");
    inner = strrchr(copy, ':');
    if (inner) {
        *inner++ = '\0';
        outer = strrchr(copy, ':');
        if (outer) {
            *outer++ = '\0';
            size_t length = strlen(copy);
            bool is_quoted = copy[0] == '[' && copy[length - 1] == ']';
            snprintf(out->host_ip, sizeof(out->host_ip), "%.*s",
                     (int)MIN(is_quoted ? length - 2 : length, sizeof(out->host_ip) - 1),
                     copy + is_quoted);
        }
        outer = outer ? outer : copy;
        if (*outer && parse_int64(outer, 1, 65535, &number, err) < 0)
            return error_context(err, "invalid port specification: \"%s\"", text);
        out->host_port = *outer ? (uint16_t)number : 0;
    }
    if (parse_int64(inner ? inner : copy, 1, 65535, &number, err) < 0)
        return error_context(err, "invalid port specification: \"%s\"", text);
    out->container_port = (uint16_t)number;
    snprintf(out_key, 16, "%u/%.7s", out->container_port, out->protocol);
    return 0;
}

static bool is_meant(const struct port_binding *binding, const struct port_mapping *which)
{
    char number[8];

    snprintf(number, sizeof(number), "%u", which->host_port);
    return (which->host_port == 0 || text_is_empty(binding->host_port) ||
            text_equal(binding->host_port, number)) &&
           (which->host_ip[0] == '\0' || text_is_empty(binding->host_ip) ||
            text_equal(binding->host_ip, which->host_ip));
}

static int remove_binding(struct container_spec *spec, const char *text, struct port_mapping *which,
                          struct error *err)
{
    char key[16];
    struct json_list *list;
    struct port_binding *items;
    size_t kept = 0;

    if (parse_which(text, which, key, err) < 0)
        return -1;
    list = map_get(&spec->host_config.port_bindings, key);
    items = list ? JSON_ITEMS(list, struct port_binding) : NULL;
    for (size_t i = 0; list && i < list->count; i++)
        if (is_meant(&items[i], which)) {
            free(items[i].host_ip);
            free(items[i].host_port);
        } else {
            items[kept++] = items[i];
        }
    if (!list || kept == list->count)
        return error_set(err, ERROR_INVALID, "port %s is not published", text);
    list->count = kept;
    if (kept == 0)
        free_bindings(map_take(&spec->host_config.port_bindings, key));
    return 0;
}

/* ---- a container that runs ---- */

static int publish(struct container *container, struct shim *shim, const struct map *wishes,
                   struct error *err)
{
    struct engine *engine = container->engine;
    struct json_list ports = {};
    size_t fd_count = 0;
    int result = container_read_bindings(wishes, &ports, err);
    CLEANUP(free) int *fds = xcalloc(2 * ports.count + 1, sizeof(int));

    if (result == 0 && ports.count > 0)
        result = endpoint_publish(engine->networks, container->id, ports.items, ports.count, fds,
                                  &fd_count, err);
    if (result == 0)
        result = shim_hold(shim, fds, fd_count, err);
    for (size_t i = 0; i < fd_count; i++)
        close(fds[i]);
    free(ports.items);
    return result;
}

static int unpublish(struct container *container, struct shim *shim,
                     const struct port_mapping *which, struct error *err)
{
    struct json_list gone = {};
    CLEANUP(strv_done) struct strv sockets = {};
    int result = endpoint_unpublish(container->engine->networks, container->id, which, &gone, err);

    for (size_t i = 0; i < gone.count; i++) {
        const struct port_mapping *port = &JSON_ITEMS(&gone, struct port_mapping)[i];
        uint8_t protocol;

        if (port_protocol(port->protocol, &protocol, NULL) == 0)
            strv_add_format(&sockets, "%u %s %u", protocol, port->host_ip, port->host_port);
    }
    free(gone.items);
    return result < 0 ? -1 : shim_release(shim, &sockets, err);
}

static int change_running(struct container *container, const struct port_mapping *removed,
                          size_t removed_count, const struct map *added, struct error *err)
{
    CLEANUP(shim_unref) struct shim *shim = container_shim(container);
    int result = 0;

    if (!shim)
        return error_set(err, ERROR_CONFLICT, "container %s is not running", container->id);
    for (size_t i = 0; i < removed_count && result == 0; i++)
        result = unpublish(container, shim, &removed[i], err);
    if (result == 0)
        result = publish(container, shim, added, err);
    CLEANUP(container_info_unref) struct container_info *info = container_snapshot(container);
    struct container_info *next = container_info_copy(info);
    container_list_ports(container, next);
    container_publish_only(container, next);
    return result;
}

struct ports_wish {
    const struct strv *removed;
    const struct map *added;
};

/* Operation held. */
static int change(struct container *container, const void *data, struct error *err)
{
    const struct ports_wish *wish = data;
    const struct strv *removed = wish->removed;
    const struct map *added = wish->added;
    CLEANUP(container_info_unref) struct container_info *info = container_snapshot(container);
    CLEANUP(container_spec_unref) struct container_spec *spec = NULL;
    CLEANUP(free) struct port_mapping *which = xcalloc(removed->count + 1, sizeof(*which));
    struct json_list checked = {};

    if (container_change_begin(info, &spec, err) < 0)
        return -1;
    if (strcmp(info->host_config.network_mode, "host") == 0 ||
        text_starts(info->host_config.network_mode, "container:"))
        return error_set(
            err, ERROR_INVALID,
            "conflicting options: port publishing and the container type network mode");
    for (size_t i = 0; i < removed->count; i++)
        if (remove_binding(spec, removed->items[i], &which[i], err) < 0)
            return -1;
    int result = container_read_bindings(added, &checked, err);
    free(checked.items);
    if (result < 0 || add_bindings(spec, added, err) < 0 ||
        container_set_spec(container, spec, err) < 0)
        return -1;
    if (container_is_up(info))
        result = change_running(container, which, removed->count, added, err);
    return container_change_end(container, info->spec, result);
}

int engine_container_change_ports(struct engine *engine, const char *text,
                                  const struct strv *removed, const struct map *added,
                                  struct error *err)
{
    const struct ports_wish wish = { removed, added };

    return container_change(engine, text, change, &wish, err);
}
