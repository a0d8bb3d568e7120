/* Creating a container: check, merge with the image, record, prepare its directory and volumes. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "engine/container_check.h"
#include "engine/container_name.h"
#include "engine/internal.h"
#include "engine/usage.h"
#include "engine/user_map.h"

#include "base/banned.h"

enum { NAME_ATTEMPTS = 12 };

/* Entries of the image that the request does not name. KEY without '=' in the request drops the
 * image's. */
static void merge_env(struct strv *out, const struct strv *image, const struct strv *request)
{
    if (image->items || request->items)
        strv_init_empty(out);
    strv_add_all(out, image);
    strv_env_change(out, request);
}

static void merge_set(struct strv *into, const struct strv *more)
{
    for (size_t i = 0; i < more->count; i++)
        if (!strv_contains(into, more->items[i]))
            strv_add(into, more->items[i]);
}

static void inherit_text(char **field, const char *value)
{
    if (text_is_empty(*field) && !text_is_empty(value)) {
        free(*field);
        *field = xstrdup(value);
    }
}

/* [""] is no entrypoint, whoever says it. */
static bool is_entrypoint_reset(const struct strv *entrypoint)
{
    return entrypoint->count == 0 || (entrypoint->count == 1 && !entrypoint->items[0][0]);
}

static void merge_commands(struct container_config *config, const struct container_config *image)
{
    if (!config->entrypoint.items) {
        if (!config->cmd.count) {
            strv_done(&config->cmd);
            strv_copy(&config->cmd, &image->cmd);
        }
        strv_copy(&config->entrypoint, &image->entrypoint);
    }
    if (is_entrypoint_reset(&config->entrypoint))
        strv_done(&config->entrypoint);
}

/* Each part that the request leaves out is the image's. */
static void merge_health(struct container_config *config, const struct health_config *image)
{
    if (!image)
        return;
    if (!config->healthcheck)
        config->healthcheck = NEW(struct health_config);
    struct health_config *health = config->healthcheck;
    int64_t *const numbers[] = { &health->interval_ns, &health->timeout_ns,
                                 &health->start_period_ns, &health->start_interval_ns,
                                 &health->retries };
    const int64_t theirs[] = { image->interval_ns, image->timeout_ns, image->start_period_ns,
                               image->start_interval_ns, image->retries };

    if (!health->test.count) {
        strv_done(&health->test);
        strv_copy(&health->test, &image->test);
    }
    for (size_t i = 0; i < COUNT(numbers); i++)
        if (!*numbers[i])
            *numbers[i] = theirs[i];
}

/* The image's configuration below the request's. */
void container_config_merge(struct container_config *config, const struct container_config *image)
{
    struct strv env = {};

    inherit_text(&config->user, image->user);
    inherit_text(&config->working_dir, image->working_dir);
    inherit_text(&config->stop_signal, image->stop_signal);
    merge_env(&env, &image->env, &config->env);
    strv_done(&config->env);
    config->env = env;
    merge_commands(config, image);
    merge_set(&config->exposed_ports, &image->exposed_ports);
    if (!config->volumes.count) { /* none of either stays the image's null or {} */
        strv_done(&config->volumes);
        strv_copy(&config->volumes, &image->volumes);
    }
    merge_set(&config->volumes, &image->volumes);
    if (!config->labels.entries)
        map_init_empty(&config->labels, free);
    MAP_EACH (&image->labels, entry)
        if (!map_has(&config->labels, entry->key))
            map_set_text(&config->labels, entry->key, entry->value);
    if (!config->shell.items && image->shell.items)
        strv_copy(&config->shell, &image->shell);
    if (!config->on_build.items && image->on_build.items)
        strv_copy(&config->on_build, &image->on_build);
    merge_health(config, image->healthcheck);
}

static int check_platform(const char *platform, const struct image *image, const char *name,
                          struct error *err)
{
    CLEANUP(strv_done) struct strv parts = {};

    if (text_is_empty(platform))
        return 0;
    strv_split(&parts, platform, '/');
    if (parts.count > 3)
        return error_set(err, ERROR_INVALID,
                         "\"%s\": cannot parse platform specifier: invalid argument", platform);
    const char *os = image->config.os ? image->config.os : "linux";
    const char *architecture = image->config.architecture ? image->config.architecture
                                                          : image_native_architecture();
    if (parts.count == 1 && strcmp(platform, "linux") != 0 && strcmp(platform, architecture) != 0)
        return error_set(err, ERROR_INVALID,
                         "\"%s\": unknown operating system or architecture: invalid argument",
                         platform);
    if (parts.count == 1 ||
        (strcmp(parts.items[0], os) == 0 && strcmp(parts.items[1], architecture) == 0))
        return 0;
    return error_set(err, ERROR_NOT_FOUND,
                     "image with reference %s was found but its platform (%s/%s) does not match "
                     "the specified platform (%s)",
                     name, os, architecture, platform);
}

/* What will run, from the merged configuration. */
static int fill_command(struct container_spec *spec, struct error *err)
{
    CLEANUP(strv_done) struct strv words = {};

    strv_add_all(&words, &spec->config.entrypoint);
    strv_add_all(&words, &spec->config.cmd);
    if (!words.count)
        return error_set(err, ERROR_INVALID, "no command specified");
    spec->path = xstrdup(words.items[0]);
    strv_init_empty(&spec->args);
    for (size_t i = 1; i < words.count; i++)
        strv_add(&spec->args, words.items[i]);
    return 0;
}

/* Joined containers are named by id in what is kept, so that a rename does not lead to another. */
static int pin_joined(struct engine *engine, char **mode, struct error *err)
{
    CLEANUP(container_unref) struct container *other = NULL;

    if (!*mode || !text_starts(*mode, "container:"))
        return 0;
    if (container_find(engine, *mode + 10, &other, err) < 0) {
        err->kind = ERROR_INVALID;
        return -1;
    }
    free(*mode);
    *mode = xasprintf("container:%s", other->id);
    return 0;
}

/* "default" is another word for the default bridge; clients use it as a key too. */
static void name_default_network(struct container_spec *spec)
{
    struct map *endpoints = &spec->networking.endpoints;

    if (!map_has(endpoints, "default"))
        return;
    void *endpoint = map_take(endpoints, "default");
    map_set(endpoints, "bridge", endpoint);
}

/* Addresses that are meant for one link: nobody counts who else has them. */
static int check_link_locals(const struct strv *addresses, struct error *err)
{
    for (size_t i = 0; i < addresses->count; i++) {
        bool is_ipv6 = strchr(addresses->items[i], ':') != NULL;
        struct in6_addr address;

        if (inet_pton(is_ipv6 ? AF_INET6 : AF_INET, addresses->items[i], &address) != 1)
            return error_set(err, ERROR_INVALID, "invalid link-local IP address: %s",
                             addresses->items[i]);
    }
    return 0;
}

/* What an endpoint may ask for and does not get. */
static int check_endpoint_unsupported(const struct endpoint_settings *endpoint, const char *network,
                                      struct error *err)
{
    MAP_EACH (&endpoint->driver_opts, option)
        if (strcmp(option->key, ENDPOINT_IFNAME) != 0 && strcmp(option->key, ENDPOINT_SYSCTLS) != 0)
            return error_set(err, ERROR_UNSUPPORTED,
                             "driver option %s on network %s is not supported", option->key,
                             network);
    for (size_t i = 0; i < endpoint->links.count; i++) {
        CLEANUP(free) char *name = NULL, *alias = NULL;

        if (container_link_parse(endpoint->links.items[i], &name, &alias, err) < 0)
            return -1;
    }
    return 0;
}

/* Addresses can be chosen on user-defined networks only. */
static int refuse_address(const struct endpoint_ipam *ipam, const char *network, struct error *err)
{
    const char *address = text_is_empty(ipam->ipv4_address) ? NULL : ipam->ipv4_address;
    struct in_addr ignored;
    CLEANUP(free)
    char *wrong = address && inet_pton(AF_INET, address, &ignored) != 1
                      ? xasprintf("* invalid IPv4 address: %s\n", address)
                      : xstrdup("");

    return error_set(err, ERROR_INVALID,
                     "invalid config for network %s: invalid endpoint settings:\n"
                     "* user specified IP address is supported on user defined networks only\n%s"
                     "* user specified IP address is supported only when connecting to networks "
                     "with user configured subnets",
                     network, wrong);
}

static bool is_mac_address(const char *text)
{
    unsigned byte[6];
    int length = 0;

    return strlen(text) == 17 && strspn(text, "0123456789abcdefABCDEF:") == 17 &&
           sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &byte[0], &byte[1], &byte[2], &byte[3],
                  &byte[4], &byte[5], &length) == 6 &&
           length == 17;
}

static int check_mac_address(const char *text, const char *network, struct error *err)
{
    if (text_is_empty(text) || is_mac_address(text))
        return 0;
    return error_set(err, ERROR_INVALID, "invalid config for network %s: invalid MAC address %s",
                     network, text);
}

int container_check_endpoint(const char *network, const struct endpoint_settings *endpoint,
                             struct error *err)
{
    const struct endpoint_ipam *ipam = endpoint->ipam_config;
    bool is_user = strcmp(network, "bridge") != 0 && strcmp(network, "host") != 0 &&
                   strcmp(network, "none") != 0;

    if (check_mac_address(endpoint->mac_address, network, err) < 0 ||
        (ipam && check_link_locals(&ipam->link_local_ips, err) < 0))
        return -1;
    if (check_endpoint_unsupported(endpoint, network, err) < 0)
        return -1;
    if (is_user)
        return 0;
    if (endpoint->aliases.count)
        return error_set(err, ERROR_INVALID,
                         "invalid config for network %s: invalid endpoint "
                         "settings:\nnetwork-scoped alias is supported "
                         "only for containers in user defined networks",
                         network);
    if (ipam && (!text_is_empty(ipam->ipv4_address) || !text_is_empty(ipam->ipv6_address)))
        return refuse_address(ipam, network, err);
    return 0;
}

/* Networks that are there are meant by their names, however they were called. */
static void name_networks(struct engine *engine, struct container_spec *spec)
{
    struct map *endpoints = &spec->networking.endpoints;
    char **mode = &spec->host_config.network_mode;
    CLEANUP(network_unref) struct network *first = NULL;

    for (size_t i = 0; i < endpoints->count; i++) {
        CLEANUP(network_unref) struct network *network = NULL;
        struct map_entry *entry = &endpoints->entries[i];

        if (network_find(engine->networks, entry->key, &network, NULL) < 0 ||
            strcmp(network->name, entry->key) == 0 || map_has(endpoints, network->name))
            continue;
        free(entry->key);
        entry->key = xstrdup(network->name);
    }
    if (!text_starts(*mode, "container:") &&
        network_find(engine->networks, *mode, &first, NULL) == 0) {
        free(*mode);
        *mode = xstrdup(first->name);
    }
}

/* Links are kept as "/name:/this container/alias", as clients know them. */
static int check_links(struct engine *engine, const char *own_name, const char *id,
                       struct container_spec *spec, struct error *err)
{
    struct strv *links = &spec->host_config.links;
    struct endpoint_settings *user = strcmp(spec->host_config.network_mode, "bridge") == 0
                                         ? NULL
                                         : map_get(&spec->networking.endpoints,
                                                   spec->host_config.network_mode);

    for (size_t i = 0; i < links->count; i++) {
        CLEANUP(free) char *name = NULL, *alias = NULL;
        CLEANUP(container_info_unref) struct container_info *other = NULL;

        if (container_link_parse(links->items[i], &name, &alias, err) < 0)
            return -1;
        if (engine_container_get(engine, name, &other, err) < 0) {
            if (err->kind == ERROR_NOT_FOUND)
                err->kind = ERROR_INVALID;
            return error_context(err, "could not get container for %s", name);
        }
        if (strcmp(other->host_config.network_mode, "host") == 0)
            return error_set(err, ERROR_INVALID,
                             "conflicting options: host type networking can't be used with links. "
                             "This would result in undefined behavior");
        free(links->items[i]);
        links->items[i] = own_name ? xasprintf("/%s:/%s/%s", other->name, own_name, alias)
                                   : xasprintf("/%s:/%.12s/%s", other->name, id, alias);
        if (user)
            strv_add(&user->links, links->items[i]);
    }
    return 0;
}

static int check_networks(struct engine *engine, struct container_spec *spec, struct strv *warnings,
                          struct error *err)
{
    const char *mode = spec->host_config.network_mode;

    if (check_mac_address(spec->config.mac_address, mode, err) < 0)
        return -1;
    if (spec->networking.endpoints.count > 1 &&
        (strcmp(mode, "host") == 0 || strcmp(mode, "none") == 0 || text_starts(mode, "container:")))
        return error_set(err, ERROR_INVALID,
                         "conflicting options: cannot attach both user-defined and "
                         "non-user-defined network-modes");
    MAP_EACH (&spec->networking.endpoints, entry)
        if (entry->value && container_check_endpoint(entry->key, entry->value, err) < 0)
            return -1;
    if (strcmp(mode, "host") == 0 && spec->host_config.port_bindings.count)
        strv_add(warnings, "Published ports are discarded when using host network mode");
    name_networks(engine, spec);
    return 0;
}

/* Who shares the network of another one goes by its name, as in its hosts file. */
static bool take_hostname(struct engine *engine, struct container_config *config, const char *mode)
{
    CLEANUP(container_unref) struct container *other = NULL;

    if (!text_starts(mode, "container:") || container_find(engine, mode + 10, &other, NULL) < 0)
        return false;
    CLEANUP(container_info_unref) struct container_info *theirs = container_snapshot(other);
    free(config->hostname);
    free(config->domainname);
    config->hostname = xstrdup(theirs->config.hostname);
    config->domainname = xstrdup(theirs->config.domainname);
    return true;
}

static void fill_hostname(struct engine *engine, struct container_spec *spec, const char *id)
{
    char host[65] = "";

    if (!text_is_empty(spec->config.hostname) ||
        take_hostname(engine, &spec->config, spec->host_config.network_mode))
        return;
    if (strcmp(spec->host_config.network_mode, "host") == 0 ||
        text_equal(spec->host_config.uts_mode, "host"))
        gethostname(host, sizeof(host) - 1);
    else
        snprintf(host, sizeof(host), "%.*s", SHORT_ID_LENGTH, id);
    free(spec->config.hostname);
    spec->config.hostname = xstrdup(host);
}

/* What is left of the networks of a container that is to have none. Those of others are not its
 * own, and are not meant. */
static void disable_network(struct container_spec *spec)
{
    char **mode = &spec->host_config.network_mode;

    if (!spec->config.network_disabled || strcmp(*mode, "host") == 0 ||
        text_starts(*mode, "container:"))
        return;
    free(*mode);
    *mode = xstrdup("none");
    map_done(&spec->networking.endpoints);
}

/* Everything of the request that needs no id yet. */
static int make_spec(struct engine *engine, const char *platform,
                     const struct container_create *wish, struct container_spec *spec,
                     struct strv *warnings, struct error *err)
{
    CLEANUP(image_unref) struct image *image = NULL;

    json_fields_copy(container_config_fields, &wish->config, &spec->config);
    json_fields_copy(host_config_fields, &wish->host_config, &spec->host_config);
    json_fields_copy(networking_config_fields, &wish->networking, &spec->networking);
    if (text_is_empty(spec->config.image) && !spec->config.cmd.count &&
        !spec->config.entrypoint.count)
        return error_set(err, ERROR_INVALID, "no command specified");
    if (container_config_check(&spec->config, err) < 0 ||
        host_config_check(engine, &spec->host_config, warnings, err) < 0 ||
        container_check_conflicts(&spec->config, &spec->host_config, err) < 0)
        return -1;
    if (text_is_empty(spec->config.image))
        return error_set(err, ERROR_INVALID, "an image is required");
    if (store_image_find(engine->store, spec->config.image, &image, err) < 0 ||
        check_platform(platform, image, spec->config.image, err) < 0)
        return -1;
    if (image->config.architecture && image->config.architecture[0] &&
        strcmp(image->config.architecture, image_native_architecture()) != 0)
        strv_add_format(warnings,
                        "The requested image's platform (%s/%s) does not match the detected host "
                        "platform (linux/%s) and no "
                        "specific platform was requested",
                        image->config.os, image->config.architecture, image_native_architecture());
    container_config_merge(&spec->config, &image->config.config);
    host_config_fill(engine, &spec->host_config);
    disable_network(spec);
    name_default_network(spec);
    if (fill_command(spec, err) < 0 ||
        pin_joined(engine, &spec->host_config.network_mode, err) < 0 ||
        pin_joined(engine, &spec->host_config.pid_mode, err) < 0 ||
        pin_joined(engine, &spec->host_config.ipc_mode, err) < 0 ||
        check_networks(engine, spec, warnings, err) < 0)
        return -1;
    bool wants_init = spec->host_config.init.is_set ? spec->host_config.init.value
                                                    : engine->options.init;
    if (wants_init && text_is_empty(engine->options.init_path))
        return error_set(err, ERROR_UNSUPPORTED,
                         "--init needs the program berth-init, which is not beside berthd: say "
                         "where one is with --init-path");
    if (wants_init && text_is_empty(spec->host_config.pid_mode))
        spec->init_path = xstrdup(engine->options.init_path);
    spec->image_id = xstrdup(image->id);
    spec->chain_id = xstrdup(image->chain_id);
    spec->image_name = xstrdup(spec->config.image);
    spec->driver = xstrdup(store_driver(engine->store));
    return 0;
}

/* Engine lock held. */
static int check_name_is_free(struct engine *engine, const char *name, struct error *err)
{
    const struct container *other = map_get(&engine->container_names, name);

    if (!other)
        return 0;
    return error_set(err, ERROR_CONFLICT,
                     "Conflict. The container name \"/%s\" is already in use by container \"%s\". "
                     "You have to remove (or "
                     "rename) that container to be able to reuse that name.",
                     name, other->id);
}

/* Enters the container into the maps. Engine lock held. */
static int reserve_name(struct engine *engine, struct container *container, struct error *err)
{
    if (check_name_is_free(engine, container->info->name, err) < 0)
        return -1;
    map_set(&engine->containers, container->id, container_ref(container));
    map_set(&engine->container_names, container->info->name, container);
    return 0;
}

/* Fills a volume that is empty with what the image has at its place. */
static int copy_up_volume(struct engine *engine, const char *user,
                          const struct container_mount *mount, int root_fd, struct error *err)
{
    CLEANUP(volume_unref) struct volume *volume = NULL;
    struct error ignored;

    if (volume_get(engine->volumes, mount->name, &volume, err) < 0 ||
        volume_acquire(volume, user, err) < 0)
        return -1;
    int result = volume_copy_up(volume, mount->subpath, root_fd, mount->destination, err);
    volume_release(volume, user, &ignored);
    engine_usage_touch_volume(engine, volume);
    return result < 0 ? error_context(err, "failed to populate volume") : 0;
}

int container_volumes_fill(struct container *container, const struct container_spec *spec,
                           struct error *err)
{
    struct engine *engine = container->engine;
    CLEANUP(close) int root_fd = -1;

    for (size_t i = 0; i < spec->mounts.count; i++) {
        const struct container_mount *mount = &JSON_ITEMS(&spec->mounts, struct container_mount)[i];

        if (strcmp(mount->type, "volume") != 0 || mount->no_copy)
            continue;
        if (root_fd < 0 && store_mount(engine->store, spec->chain_id, NULL, &root_fd, err) < 0)
            return -1;
        if (copy_up_volume(engine, container->id, mount, root_fd, err) < 0)
            return -1;
    }
    return 0;
}

int container_prepare_directory(struct container *container, struct error *err)
{
    CLEANUP(free) char *directory = container_directory(container->engine, container->id);
    CLEANUP(writable_done) struct writable writable = {};

    if (mkdir(directory, 0700) < 0 && errno != EEXIST)
        return error_sys(err, "make directory %s", directory);
    return container_writable(container, &writable, err);
}

/* Takes back what a failed create made. */
static void undo(struct container *container, const struct strv *created_volumes)
{
    CLEANUP(free) char *directory = container_directory(container->engine, container->id);
    struct error err = {};

    for (size_t i = 0; i < created_volumes->count; i++)
        if (volume_remove(container->engine->volumes, created_volumes->items[i], false, &err) < 0)
            log_warn("cannot take back a volume", "volume", created_volumes->items[i], "error",
                     err.text);

    if (container_forget(container, &err) < 0 || container_directory_release(directory, &err) < 0 ||
        tree_remove(directory, &err) < 0)
        log_warn("cannot take back a container whose creation failed", "container", container->id,
                 "error", err.text);
}

/* Makes the container that the spec describes, under that name. The operation lock keeps others
 * away from it until it is whole. CONFLICT if the name is taken; then nothing was made. */
static int create_named(struct engine *engine, struct container *container, struct error *err)
{
    struct container_spec *spec = container->info->spec;
    CLEANUP(strv_done) struct strv created_volumes = {};
    int result = 0;

    mutex_lock(&container->operation);
    mutex_lock(&engine->lock);
    bool is_entered = (spec->users || user_map_choose(engine, spec, err) == 0) &&
                      reserve_name(engine, container, err) == 0;
    mutex_unlock(&engine->lock);
    /* The directory comes last: without it and without a word that it is whole, an engine that
     * starts after a crash knows that the container is not, and removes it with the anonymous
     * volumes that it names. */
    if (is_entered && (container_record(container, err) < 0 ||
                       container_volumes_make(engine, &spec->mounts, &created_volumes, err) < 0 ||
                       container_volumes_fill(container, spec, err) < 0 ||
                       container_prepare_directory(container, err) < 0 ||
                       container_record_whole(container, err) < 0)) {
        undo(container, &created_volumes);
        result = -1;
    }
    mutex_unlock(&container->operation);
    return is_entered ? result : -1;
}

/* The same with generated names, until one is free. */
static int create(struct engine *engine, const char *name, const char *id,
                  struct container_spec *spec, struct container **out, struct error *err)
{
    int result = -1;

    for (int attempt = 0; result < 0 && attempt < NAME_ATTEMPTS; attempt++) {
        CLEANUP(free) char *chosen = name ? xstrdup(name) : container_name_generate(attempt);

        mutex_lock(&engine->lock);
        bool is_taken = map_has(&engine->container_names, chosen);
        uint64_t sequence = engine->next_sequence++;
        mutex_unlock(&engine->lock);
        if (is_taken && !name)
            continue;
        CLEANUP(container_unref)
        struct container *container = container_new(engine, id, chosen, spec, clock_wall_ns(),
                                                    sequence);
        result = create_named(engine, container, err);
        if (result == 0)
            *out = TAKE(container);
        else if (name || err->kind != ERROR_CONFLICT)
            return -1;
    }
    return result;
}

static void hold_mounted_images(struct engine *engine, const struct container_spec *spec, bool held)
{
    for (size_t i = 0; i < spec->mounts.count; i++) {
        const char *chain_id = JSON_ITEMS(&spec->mounts, struct container_mount)[i].chain_id;

        if (chain_id && held)
            store_layer_hold(engine->store, chain_id);
        else if (chain_id)
            store_layer_release(engine->store, chain_id);
    }
}

/* With its layers held: they may have gone between the look at the image and that. */
static int check_layers(struct engine *engine, const struct container_spec *spec, struct error *err)
{
    struct layer layer;

    if (text_is_empty(spec->chain_id) ||
        store_layer_get(engine->store, spec->chain_id, &layer, err) == 0)
        return 0;
    return error_set(err, ERROR_NOT_FOUND, "No such image: %s", spec->image_name);
}

static int create_wished(struct engine *engine, const char *name, const char *platform,
                         const struct container_create *wish, char out_id[65],
                         struct strv *out_warnings, struct error *err)
{
    CLEANUP(container_spec_unref) struct container_spec *spec = NEW(struct container_spec);
    CLEANUP(container_unref) struct container *container = NULL;
    char id[ID_LENGTH + 1];

    spec->reference_count = 1;
    if (name && name[0] == '/')
        name++;
    if (text_is_empty(name))
        name = NULL;
    if (make_spec(engine, platform, wish, spec, out_warnings, err) < 0)
        return -1;
    if (name && !container_name_is_valid(name))
        return error_set(err, ERROR_INVALID,
                         "Invalid container name (%s), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
                         name);
    id_generate(id);
    fill_hostname(engine, spec, id);
    mutex_lock(&engine->lock);
    bool is_taken = name && check_name_is_free(engine, name, err) < 0;
    mutex_unlock(&engine->lock);
    if (is_taken || check_links(engine, name, id, spec, err) < 0)
        return -1;

    /* The image must not be removed between here and the moment the container is known. */
    store_layer_hold(engine->store, spec->chain_id);
    int result = check_layers(engine, spec, err);
    if (result == 0)
        result = container_mounts_resolve(engine, &spec->config, &spec->host_config, &spec->mounts,
                                          err);
    if (result == 0) {
        hold_mounted_images(engine, spec, true);
        result = create(engine, name, id, spec, &container, err);
        hold_mounted_images(engine, spec, false);
    }
    store_layer_release(engine->store, spec->chain_id);
    if (result < 0)
        return -1;
    CLEANUP(container_info_unref) struct container_info *info = container_snapshot(container);
    /* Known from now on, and nothing mostly; where layers are copied it is all of them. */
    if (strcmp(info->spec->driver, "overlay2") == 0)
        engine_changes_size(engine, info);
    container_event(container, info, "create", NULL);
    memcpy(out_id, id, sizeof(id));
    return 0;
}

int engine_container_create(struct engine *engine, const char *name, const char *platform,
                            const struct container_create *wish, char out_id[65],
                            struct strv *out_warnings, struct error *err)
{
    uint64_t began_ns = clock_monotonic_ns();

    return metrics_note(engine, METRIC_CREATE, began_ns,
                        create_wished(engine, name, platform, wish, out_id, out_warnings, err),
                        err);
}
