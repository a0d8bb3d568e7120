/* Snapshots: what never changes is shared (container_spec), the rest is copied for each change. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "engine/internal.h"
#include "engine/log_config.h"

#include "base/banned.h"

/* clang-format off */
const struct json_field container_spec_fields[] = {
    JSON_STRING (struct container_spec, image_id,    "ImageID"),
    JSON_STRING (struct container_spec, image_name,  "ImageName"),
    JSON_STRING (struct container_spec, chain_id,    "ChainID"),
    JSON_STRING (struct container_spec, path,        "Path"),
    JSON_STRV   (struct container_spec, args,        "Args"),
    JSON_STRING (struct container_spec, driver,      "Driver"),
    JSON_STRING (struct container_spec, init_path,   "InitPath", .null_empty = true),
    JSON_OBJECT (struct container_spec, config,      "Config",     struct container_config,  container_config_fields),
    JSON_OBJECT (struct container_spec, host_config, "HostConfig", struct host_config,       host_config_fields),
    JSON_OBJECT (struct container_spec, networking,  "Networking", struct networking_config, networking_config_fields),
    JSON_OBJECT_POINTER(struct container_spec, users, "Users",  struct user_map,         user_map_fields, .omit_empty = true),
    JSON_OBJECTS(struct container_spec, mounts,      "Mounts",     struct container_mount,   container_mount_fields),
    JSON_END,
};
/* clang-format on */

/* A port as it was published: kept in the record through the networks, shown from here. */
static void ports_copy(struct json_list *out, const struct json_list *ports)
{
    *out = (struct json_list){};
    for (size_t i = 0; i < ports->count; i++)
        *(struct port_mapping *)json_list_add(out, sizeof(struct port_mapping)) =
            JSON_ITEMS(ports, struct port_mapping)[i];
}

struct container_spec *container_spec_ref(struct container_spec *spec)
{
    atomic_fetch_add(&spec->reference_count, 1);
    return spec;
}

void container_spec_unref(struct container_spec *spec)
{
    if (!spec || atomic_fetch_sub(&spec->reference_count, 1) > 1)
        return;
    json_fields_done(container_spec_fields, spec);
    free(spec);
}

struct container_info *container_info_ref(struct container_info *info)
{
    __atomic_add_fetch(&info->reference_count, 1, __ATOMIC_RELAXED);
    return info;
}

void container_free_endpoint(void *endpoint)
{
    json_fields_done(endpoint_settings_fields, endpoint);
    free(endpoint);
}

void container_info_unref(struct container_info *info)
{
    if (!info || __atomic_sub_fetch(&info->reference_count, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    free(info->name);
    free(info->error);
    free(info->log_path);
    free(info->hosts_path);
    free(info->hostname_path);
    free(info->resolv_path);
    free(info->upper_path);
    free(info->work_path);
    free(info->merged_path);
    free(info->lower_paths);
    strv_done(&info->exec_ids);
    health_unref(info->health);
    map_done(&info->endpoints);
    free(info->ports.items);
    /* The mount points borrow their texts from the spec. */
    free(info->mounts.items);
    container_spec_unref(info->spec);
    free(info);
}

struct container_info *container_info_copy(const struct container_info *info)
{
    struct container_info *copy = NEW(struct container_info);

    /* All but the count, which others change meanwhile. */
    memcpy(&copy->spec, &info->spec, sizeof(*info) - offsetof(struct container_info, spec));
    copy->reference_count = 1;
    container_spec_ref(copy->spec);
    copy->name = xstrdup(info->name);
    copy->error = xstrdup(info->error);
    copy->log_path = xstrdup(info->log_path);
    copy->hosts_path = xstrdup(info->hosts_path);
    copy->hostname_path = xstrdup(info->hostname_path);
    copy->resolv_path = xstrdup(info->resolv_path);
    copy->upper_path = xstrdup(info->upper_path);
    copy->work_path = xstrdup(info->work_path);
    copy->merged_path = xstrdup(info->merged_path);
    copy->lower_paths = xstrdup(info->lower_paths);
    strv_copy(&copy->exec_ids, &info->exec_ids);
    health_ref(copy->health);
    ports_copy(&copy->ports, &info->ports);
    copy->mounts = (struct json_list){};
    for (size_t i = 0; i < info->mounts.count; i++)
        *(struct mount_point *)json_list_add(&copy->mounts, sizeof(struct mount_point)) =
            JSON_ITEMS(&info->mounts, struct mount_point)[i];
    map_init_empty(&copy->endpoints, container_free_endpoint);
    MAP_EACH (&info->endpoints, entry) {
        struct endpoint_settings *endpoint = NEW(struct endpoint_settings);

        json_fields_copy(endpoint_settings_fields, entry->value, endpoint);
        map_set(&copy->endpoints, entry->key, endpoint);
    }
    return copy;
}

/* The mounts that inspect shows, as views into the spec. */
static void show_mounts(struct container_info *info, const struct container_spec *spec)
{
    for (size_t i = 0; i < spec->mounts.count; i++) {
        const struct container_mount *mount = &JSON_ITEMS(&spec->mounts, struct container_mount)[i];

        if (mount->is_legacy_tmpfs)
            continue;
        *(struct mount_point *)json_list_add(&info->mounts,
                                             sizeof(struct mount_point)) = (struct mount_point){
            .type = mount->type,
            .name = mount->name,
            .source = mount->source,
            .destination = mount->destination,
            .driver = mount->driver,
            .mode = mount->mode,
            .rw = mount->rw,
            .propagation = mount->propagation,
        };
    }
    if (!info->mounts.items)
        info->mounts.items = xcalloc(1, 1); /* [] rather than null */
}

void container_info_borrow(struct container_info *info, struct container_spec *spec)
{
    container_spec_ref(spec);
    container_spec_unref(info->spec);
    info->spec = spec;
    info->image_id = spec->image_id;
    info->image_name = spec->image_name;
    info->path = spec->path;
    info->args = spec->args;
    info->config = spec->config;
    info->host_config = spec->host_config;
    free(info->mounts.items);
    info->mounts = (struct json_list){};
    show_mounts(info, spec);
}

/* The networks that the container is to be in, before it has an address there. */
static void show_wished_networks(struct container_info *info, const struct container_spec *spec)
{
    const char *mode = spec->host_config.network_mode;

    map_init_empty(&info->endpoints, container_free_endpoint);
    MAP_EACH (&spec->networking.endpoints, entry) {
        struct endpoint_settings *endpoint = NEW(struct endpoint_settings);

        if (entry->value)
            json_fields_copy(endpoint_settings_fields, entry->value, endpoint);
        map_set(&info->endpoints, entry->key, endpoint);
    }
    if (mode && strncmp(mode, "container:", 10) != 0 && !map_has(&info->endpoints, mode))
        map_set(&info->endpoints, mode, NEW(struct endpoint_settings));
}

static struct container_info *first_info(struct container *container, const char *name,
                                         struct container_spec *spec, int64_t created_ns)
{
    struct container_info *info = NEW(struct container_info);
    CLEANUP(free) char *directory = container_directory(container->engine, container->id);
    CLEANUP(free)
    char *changes = container_changes_path(container->engine, container->id, &spec->host_config);

    info->reference_count = 1;
    container_info_borrow(info, spec);
    memcpy(info->id, container->id, sizeof(info->id));
    info->name = xstrdup(name);
    info->created_ns = created_ns;
    info->sequence = container->sequence;
    info->state = CONTAINER_CREATED;
    info->error = xstrdup("");
    info->hosts_path = xstrdup("");
    info->hostname_path = xstrdup("");
    info->resolv_path = xstrdup("");
    info->log_path = log_config_path(&spec->host_config.log_config, directory, container->id);
    info->upper_path = path_join(changes, "diff");
    info->work_path = path_join(changes, "work");
    info->merged_path = path_join(directory, "merged");
    info->lower_paths = store_lower_paths(container->engine->store, spec->chain_id);
    show_wished_networks(info, spec);
    return info;
}

struct container *container_new(struct engine *engine, const char *id, const char *name,
                                struct container_spec *spec, int64_t created_ns, uint64_t sequence)
{
    struct container *container = NEW(struct container);

    container->engine = engine;
    container->reference_count = 1;
    snprintf(container->id, sizeof(container->id), "%s", id);
    container->sequence = sequence;
    mutex_init(&container->operation);
    mutex_init(&container->lock);
    list_init(&container->waiters);
    list_init(&container->attaches);
    list_init(&container->views);
    container->info = first_info(container, name, spec, created_ns);
    return container;
}

bool container_is_up(const struct container_info *info)
{
    return info->state == CONTAINER_RUNNING || info->state == CONTAINER_PAUSED;
}

char *container_directory(struct engine *engine, const char *id)
{
    return path_join(engine->containers_path, id);
}

char *container_cgroup(const struct engine *engine, const struct container_info *info)
{
    const char *parent = text_is_empty(info->host_config.cgroup_parent)
                             ? engine->cgroup_path
                             : info->host_config.cgroup_parent;
    /* Below the root of the hierarchies, whatever dots it has. */
    CLEANUP(free) char *whole = xasprintf("/%s/%s", parent, info->id);

    return path_clean(whole);
}
