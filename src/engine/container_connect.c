/* Joining and leaving networks after creation. A container that does not run is changed in the
 * record only; one that does gets a link, names, a line in its hosts file, and perhaps another
 * default route, while it goes on. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "engine/internal.h"
#include "engine/network.h"
#include "network/files.h"

#include "base/banned.h"

#define FILE_LIMIT ((size_t)1 << 20)

/* ---- checks ---- */

static bool is_special(const char *network)
{
    return strcmp(network, "host") == 0 || strcmp(network, "none") == 0;
}

static int check_connect(const struct container_info *info, const struct network *network,
                         const struct endpoint_settings *settings, struct error *err)
{
    const char *mode = info->host_config.network_mode;

    if (strcmp(network->name, "host") == 0)
        return error_set(err, ERROR_INVALID,
                         "cannot connect container to host network - container must be created in "
                         "host network mode");
    if (map_has(&info->endpoints, network->name))
        return error_set(err, ERROR_FORBIDDEN, "endpoint with name %s already exists in network %s",
                         info->name, network->name);
    if (strcmp(mode, "host") == 0 || text_starts(mode, "container:"))
        return error_set(err, ERROR_INVALID,
                         "container sharing network namespace with another container or host "
                         "cannot be connected to any other network");
    if (map_has(&info->endpoints, "none") ||
        (strcmp(network->name, "none") == 0 && info->endpoints.count > 0))
        return error_set(err, ERROR_INVALID,
                         "container cannot be connected to multiple networks with one of the "
                         "networks in private (none) mode");
    if (network->is_config_only && container_is_up(info))
        return error_set(err, ERROR_FORBIDDEN,
                         "cannot create endpoint on configuration-only network");
    if (settings && container_check_endpoint(network->name, settings, err) < 0)
        return -1;
    const struct endpoint_ipam *ipam = settings ? settings->ipam_config : NULL;
    if (ipam && !text_is_empty(ipam->ipv4_address) &&
        network_check_address(network, ipam->ipv4_address, err) < 0)
        return -1;
    if (ipam && !text_is_empty(ipam->ipv6_address))
        return network_check_address(network, ipam->ipv6_address, err);
    return 0;
}

static int check_disconnect(const struct container_info *info, const struct network *network,
                            struct error *err)
{
    if (!map_has(&info->endpoints, network->name))
        return error_set(err, ERROR_INTERNAL, "container %s is not connected to network %s",
                         info->id, network->name);
    if (strcmp(network->name, "host") == 0)
        return error_set(err, ERROR_FORBIDDEN,
                         "container cannot be disconnected from host network or connected to host "
                         "network");
    return 0;
}

/* ---- the files of a container that runs ---- */

int container_rewrite(const char *path, const struct str *text, struct error *err)
{
    CLEANUP(close) int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat before;

    if (fd < 0 || fstat(fd, &before) < 0 ||
        fd_write_all(fd, str_text(text), text->length, err) < 0 ||
        ftruncate(fd, (off_t)text->length) < 0)
        return error_sys(err, "write %s", path);
    futimens(fd, (struct timespec[2]){ before.st_atim, before.st_mtim });
    return 0;
}

/* Takes out the lines of one address, and puts a line of the container's own in. Either may be
 * NULL. */
static void change_hosts(struct container *container, const struct container_info *info,
                         const char *gone, const char *come)
{
    CLEANUP(str_done) struct str old = {}, new = {};
    struct network_files_options options = container_files_options(container->engine, info);
    struct error err = {};

    if (text_is_empty(info->hosts_path) || file_read(info->hosts_path, FILE_LIMIT, &old, &err) < 0)
        return;
    network_hosts_remove(str_text(&old), text_is_empty(gone) ? "\n" : gone, &new);
    if (!text_is_empty(come)) {
        if (new.length > 0 && new.data[new.length - 1] != '\n')
            str_add_char(&new, '\n');
        network_hosts_own_line(&options, come, &new);
    }
    if (container_rewrite(info->hosts_path, &new, &err) < 0)
        log_warn("cannot change a container's hosts file", "container", container->id, "error",
                 err.text);
}

/* The first network with names: servers outside give way to the container's own, unless somebody
 * has edited the file since the start. */
static void change_resolv(struct container *container, const struct container_info *info)
{
    CLEANUP(str_done) struct str text = {}, host_text = {};
    struct network_files_options options = container_files_options(container->engine, info);
    struct error err = {};
    struct stat stat_;

    if (text_is_empty(info->resolv_path) || stat(info->resolv_path, &stat_) < 0 ||
        stat_.st_mtim.tv_sec * NS_PER_S + stat_.st_mtim.tv_nsec > info->started_ns)
        return;
    options.is_user_network = true;
    network_host_resolv(&host_text);
    network_resolv_text(&options, str_text(&host_text), &text);
    if (container_rewrite(info->resolv_path, &text, &err) < 0)
        log_warn("cannot change a container's resolv.conf", "container", container->id, "error",
                 err.text);
}

/* ---- one that runs ---- */

static int open_namespace(const struct container_info *info, struct error *err)
{
    char path[64];
    int fd;

    snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)info->pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? error_sys(err, "network namespace of container %s", info->name) : fd;
}

/* Sockets for names stay with the supervisor when the last network with names is left: making new
 * ones replaces rules, which the kernel lets us wait for. */
static int tell_resolver(struct container *container, const struct container_info *next,
                         struct shim *shim, int namespace_fd, bool is_new, struct error *err)
{
    if (container_tell_resolver(container, next, shim, namespace_fd,
                                is_new && !container->has_resolver, err) < 0)
        return -1;
    container->has_resolver = true;
    return 0;
}

/* Everything but the snapshot. 'next' has the network among its endpoints already. */
static int join(struct container *container, struct container_info *next,
                const struct network *network, struct container_network *joined, struct error *err)
{
    struct engine *engine = container->engine;
    CLEANUP(shim_unref) struct shim *shim = container_shim(container);
    const struct endpoint_settings *settings = map_get(&next->endpoints, network->name);
    CLEANUP(container_info_unref) struct container_info *before = container_snapshot(container);
    struct json_list ports = {};
    int result = 0;

    if (!shim)
        return error_set(err, ERROR_CONFLICT, "container %s is not running", next->name);
    if (next->ports.count == 0 && network_can_publish(network))
        result = container_wished_ports(next, &ports, err);
    if (result == 0)
        result = container_attach(container, next, network->name, settings, &ports, joined, err);
    free(ports.items);
    if (result < 0)
        return -1;
    if (shim_hold(shim, joined->port_fds, joined->port_fd_count, err) < 0 ||
        endpoints_settle(engine->networks, container->id, joined->namespace_fd, err) < 0)
        return -1;
    container_show_endpoints(next, joined);
    if (container_has_names(engine, next)) {
        bool is_new = !container_has_names(engine, before);

        if (tell_resolver(container, next, shim, joined->namespace_fd, is_new, err) < 0)
            return -1;
        if (is_new)
            change_resolv(container, next);
    }
    settings = map_get(&next->endpoints, network->name);
    if (!text_is_empty(settings->ip_address))
        change_hosts(container, next, NULL, settings->ip_address);
    if (!text_is_empty(settings->global_ipv6_address))
        change_hosts(container, next, NULL, settings->global_ipv6_address);
    return 0;
}

static int connect_running(struct container *container, struct container_info *next,
                           const struct network *network, struct error *err)
{
    CLEANUP(container_network_done) struct container_network joined = { .namespace_fd = -1 };

    joined.namespace_fd = open_namespace(next, err);
    if (joined.namespace_fd < 0)
        return -1;
    if (join(container, next, network, &joined, err) < 0) {
        struct error ignored;

        endpoint_disconnect(container->engine->networks, container->id, network->id,
                            joined.namespace_fd, &ignored);
        endpoints_settle(container->engine->networks, container->id, joined.namespace_fd, &ignored);
        return -1;
    }
    container_publish_wish(container, next);
    container_tell_connected(container, &joined);
    return 0;
}

static int connect_locked(struct container *container, const struct network *network,
                          const struct endpoint_settings *settings, struct error *err)
{
    CLEANUP(container_info_unref) struct container_info *info = container_snapshot(container);
    struct endpoint_settings *copy;
    struct container_info *next;

    if (container_is_removed(container))
        return error_set(err, ERROR_NOT_FOUND, "No such container: %s", container->id);
    if (check_connect(info, network, settings, err) < 0)
        return -1;
    next = container_info_copy(info);
    copy = NEW(struct endpoint_settings);
    if (settings)
        json_fields_copy(endpoint_settings_fields, settings, copy);
    map_set(&next->endpoints, network->name, copy);
    if (container_is_up(info)) {
        if (connect_running(container, next, network, err) == 0)
            return 0;
        container_info_unref(next);
        return -1;
    }
    container_publish_wish(container, next);
    return 0;
}

int engine_network_connect(struct engine *engine, const char *network_text,
                           const char *container_text, const struct endpoint_settings *settings,
                           struct error *err)
{
    CLEANUP(network_unref) struct network *network = NULL;
    CLEANUP(container_unref) struct container *container = NULL;

    if (network_find(engine->networks, network_text, &network, err) < 0)
        return -1;
    if (text_is_empty(container_text))
        return error_set(err, ERROR_INVALID, "invalid name or ID supplied: \"\"");
    if (container_find(engine, container_text, &container, err) < 0)
        return -1;
    if (container_begin_operation(container, err))
        return -1;
    int result = connect_locked(container, network, settings, err);
    mutex_unlock(&container->operation);
    return result;
}

/* ---- leaving ---- */

static int leave(struct container *container, const struct container_info *info,
                 struct container_info *next, const struct network *network, struct error *err)
{
    struct engine *engine = container->engine;
    CLEANUP(shim_unref) struct shim *shim = container_shim(container);
    const struct endpoint_settings *settings = map_get(&info->endpoints, network->name);
    CLEANUP(close) int namespace_fd = -1;
    struct error failure = {};

    if (is_special(network->name))
        return 0;
    namespace_fd = open_namespace(info, err);
    if (namespace_fd < 0 ||
        endpoint_disconnect(engine->networks, container->id, network->id, namespace_fd, err) < 0 ||
        endpoints_settle(engine->networks, container->id, namespace_fd, err) < 0)
        return -1;
    if (!text_is_empty(settings->ip_address))
        change_hosts(container, next, settings->ip_address, NULL);
    if (!text_is_empty(settings->global_ipv6_address))
        change_hosts(container, next, settings->global_ipv6_address, NULL);
    if (shim && container_has_names(engine, info) &&
        container_tell_resolver(container, next, shim, -1, false, &failure) < 0)
        log_warn("cannot change the names that a container finds", "container", container->id,
                 "error", failure.text);
    container_list_ports(container, next);
    /* No network is left for its ports: the next one may publish them again. */
    if (shim && info->ports.count > 0 && next->ports.count == 0 &&
        shim_release(shim, NULL, &failure) < 0)
        log_warn("cannot give a container's ports back", "container", container->id, "error",
                 failure.text);
    return 0;
}

static int disconnect_locked(struct container *container, const struct network *network,
                             struct error *err)
{
    CLEANUP(container_info_unref) struct container_info *info = container_snapshot(container);
    struct container_info *next;

    if (check_disconnect(info, network, err) < 0)
        return -1;
    next = container_info_copy(info);
    map_remove(&next->endpoints, network->name);
    if (container_is_up(info) && leave(container, info, next, network, err) < 0) {
        container_info_unref(next);
        return -1;
    }
    container_publish_wish(container, next);
    if (container_is_up(info))
        container_tell_disconnected(container, info, network->name);
    return 0;
}

int engine_network_disconnect(struct engine *engine, const char *network_text,
                              const char *container_text, bool force, struct error *err)
{
    CLEANUP(network_unref) struct network *network = NULL;
    CLEANUP(container_unref) struct container *container = NULL;

    if (network_find(engine->networks, network_text, &network, err) < 0)
        return -1;
    if (text_is_empty(container_text))
        return error_set(err, ERROR_INVALID, "invalid name or ID supplied: \"\"");
    if (container_find(engine, container_text, &container, err) < 0) {
        if (force && err && err->kind == ERROR_NOT_FOUND)
            error_set(err, ERROR_NOT_FOUND, "endpoint %s not found", container_text);
        return -1;
    }
    if (container_begin_operation(container, err))
        return -1;
    int result = disconnect_locked(container, network, err);
    mutex_unlock(&container->operation);
    return result;
}

/* ---- after a crash ---- */

/* An endpoint without a word about it in the container: put in, so that leaving takes it out. */
static void restore_settings(struct container_info *info, const struct endpoint *endpoint)
{
    struct endpoint_settings *settings = NEW(struct endpoint_settings);

    settings->ip_address = xstrdup(endpoint->address);
    settings->global_ipv6_address = xstrdup(endpoint->address6);
    map_set(&info->endpoints, endpoint->network_name, settings);
}

static void leave_half(struct container *container, const struct container_info *info,
                       const char *network_name)
{
    CLEANUP(network_unref) struct network *network = NULL;
    struct container_info *next = container_info_copy(info);
    struct error err = {};

    map_remove(&next->endpoints, network_name);
    if (network_find(container->engine->networks, network_name, &network, &err) < 0 ||
        leave(container, info, next, network, &err) < 0)
        log_warn("cannot take a container off a network", "container", container->id, "network",
                 network_name, "error", err.text);
    container_publish(container, next);
}

static bool has_endpoint(const struct endpoint *list, size_t count, const char *network_name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(list[i].network_name, network_name) == 0)
            return true;
    return false;
}

void container_networks_take_over(struct container *container)
{
    CLEANUP(container_info_unref) struct container_info *info = container_snapshot(container);
    CLEANUP(strv_done) struct strv gone = {};
    struct endpoint *list = NULL;
    size_t count = 0;
    struct error err = {};

    if (text_starts(info->host_config.network_mode, "container:") ||
        endpoint_list(container->engine->networks, NULL, container->id, &list, &count, &err) < 0)
        return;
    for (size_t i = 0; i < count; i++) {
        if (map_has(&info->endpoints, list[i].network_name))
            continue;
        struct container_info *before = container_info_copy(info);
        restore_settings(before, &list[i]);
        leave_half(container, before, list[i].network_name);
        container_info_unref(before);
    }
    MAP_EACH (&info->endpoints, entry)
        if (!is_special(entry->key) && !has_endpoint(list, count, entry->key))
            strv_add(&gone, entry->key);
    for (size_t i = 0; i < gone.count; i++) {
        CLEANUP(container_info_unref) struct container_info *now = container_snapshot(container);

        leave_half(container, now, gone.items[i]);
    }
    endpoint_list_free(list, count);
}
