/* Devices that are asked for by name: found in the files that vendors and administrators put into
 * the CDI directories, and worked into the configuration. */
#include <dirent.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "engine/runtime_config.h"
#include "spec/cdi.h"

#include "base/banned.h"

enum { FILE_LIMIT = 4 << 20, FILE_COUNT_LIMIT = 1024 };

/* All files of all directories, those of later directories last. */
struct cdi_registry {
    struct cdi_spec *specs;
    size_t count;
    bool has_yaml;
};

static void registry_done(struct cdi_registry *registry)
{
    for (size_t i = 0; i < registry->count; i++)
        cdi_spec_done(&registry->specs[i]);
    free(registry->specs);
}
CLEANUP_VALUE(registry_done, struct cdi_registry)

/* A file that cannot be read takes its own devices away, and no others. */
static void load_file(struct cdi_registry *registry, const char *path)
{
    CLEANUP(str_done) struct str text = {};
    struct cdi_spec spec = {};
    struct error err = {};

    if (file_read(path, FILE_LIMIT, &text, &err) < 0 ||
        cdi_spec_decode(str_text(&text), text.length, &spec, &err) < 0) {
        log_warn("a CDI file is left out", "file", path, "error", err.text);
        return;
    }
    registry->specs = xrealloc(registry->specs, registry->count + 1, sizeof(spec));
    registry->specs[registry->count++] = spec;
}

static void load_directory(struct cdi_registry *registry, const char *path)
{
    CLEANUP(strv_done) struct strv names = {};
    DIR *dir = opendir(path);
    struct dirent *entry;

    while (dir && (entry = readdir(dir))) {
        if (text_ends(entry->d_name, ".json"))
            strv_add(&names, entry->d_name);
        registry->has_yaml |= text_ends(entry->d_name, ".yaml") || text_ends(entry->d_name, ".yml");
    }
    if (dir)
        closedir(dir);
    strv_sort(&names);
    for (size_t i = 0; i < names.count && registry->count < FILE_COUNT_LIMIT; i++) {
        CLEANUP(free) char *file = path_join(path, names.items[i]);

        load_file(registry, file);
    }
}

/* The last file that has it wins. */
static const struct cdi_device *find_device(const struct cdi_registry *registry, const char *name,
                                            const struct cdi_spec **out_spec)
{
    size_t kind_length = strcspn(name, "=");

    for (size_t i = registry->count; i-- > 0;) {
        const struct cdi_spec *spec = &registry->specs[i];
        const struct cdi_device *device;

        if (strlen(spec->kind) != kind_length || strncmp(spec->kind, name, kind_length) != 0 ||
            !name[kind_length] || !(device = cdi_spec_find(spec, name + kind_length + 1)))
            continue;
        *out_spec = spec;
        return device;
    }
    return NULL;
}

/* ---- edits ---- */

static int add_node(const struct cdi_device_node *node, struct runtime_config *config,
                    struct error *err)
{
    const char *host_path = text_is_empty(node->host_path) ? node->path : node->host_path;
    struct stat status = {};
    bool is_known = !text_is_empty(node->type) && node->major.is_set && node->minor.is_set;

    if (!is_known && stat(host_path, &status) < 0)
        return error_sys(err, "CDI device node %s", host_path);
    if (!is_known && !S_ISCHR(status.st_mode) && !S_ISBLK(status.st_mode))
        return error_set(err, ERROR_INVALID, "CDI device node %s is no device", host_path);
    if (is_known) {
        status.st_mode = (node->type[0] == 'b' ? S_IFBLK : S_IFCHR) | 0666;
        status.st_rdev = makedev((unsigned)node->major.value, (unsigned)node->minor.value);
    }
    if (node->file_mode.is_set)
        status.st_mode = (status.st_mode & S_IFMT) | ((mode_t)node->file_mode.value & 07777);
    if (node->uid.is_set)
        status.st_uid = (uid_t)node->uid.value;
    if (node->gid.is_set)
        status.st_gid = (gid_t)node->gid.value;
    device_config_add(config, &status, node->path,
                      text_is_empty(node->permissions) ? "rwm" : node->permissions);
    return 0;
}

static void add_bind(const struct cdi_mount *mount, struct runtime_config *config)
{
    struct runtime_mount *added = json_list_add(&config->mounts, sizeof(*added));

    added->destination = xstrdup(mount->container_path);
    added->type = xstrdup(text_is_empty(mount->type) ? "bind" : mount->type);
    added->source = xstrdup(mount->host_path);
    strv_copy(&added->options, &mount->options);
    if (!mount->options.count) {
        strv_add(&added->options, "rbind");
        strv_add(&added->options, "rprivate");
    }
}

static void add_hook(const struct cdi_hook *hook, struct runtime_hooks *hooks)
{
    const struct {
        const char *name;
        struct json_list *list;
    } kinds[] = {
        { "prestart", &hooks->prestart },
        { "createRuntime", &hooks->create_runtime },
        { "createContainer", &hooks->create_container },
        { "startContainer", &hooks->start_container },
        { "poststart", &hooks->poststart },
        { "poststop", &hooks->poststop },
    };

    for (size_t i = 0; i < COUNT(kinds); i++) {
        if (strcmp(kinds[i].name, hook->hook_name) != 0)
            continue;
        struct runtime_hook *added = json_list_add(kinds[i].list, sizeof(*added));
        added->path = xstrdup(hook->path);
        strv_copy(&added->args, &hook->args);
        strv_copy(&added->env, &hook->env);
        added->timeout_s = hook->timeout_s;
    }
}

static int add_groups(const char *json, struct runtime_config *config, struct error *err)
{
    CLEANUP(json_free) struct json *list = NULL;

    if (!json)
        return 0;
    if (json_parse(json, strlen(json), &list, err) < 0)
        return -1;
    for (size_t i = 0; i < json_count(list); i++) {
        int64_t gid = json_to_int64(json_at(list, i));

        if (gid > 0 && gid <= UINT32_MAX)
            strv_add_format(&config->process.user.additional_groups, "%lld", (long long)gid);
    }
    return 0;
}

static int apply(const struct cdi_edits *edits, struct runtime_config *config, struct error *err)
{
    for (size_t i = 0; i < edits->env.count; i++) {
        const char *entry = edits->env.items[i];
        CLEANUP(free) char *key = xstrndup(entry, strcspn(entry, "="));

        strv_env_set(&config->process.env, key, entry + strlen(key) + 1);
    }
    for (size_t i = 0; i < edits->device_nodes.count; i++)
        if (add_node(&JSON_ITEMS(&edits->device_nodes, const struct cdi_device_node)[i], config,
                     err) < 0)
            return -1;
    for (size_t i = 0; i < edits->mounts.count; i++)
        add_bind(&JSON_ITEMS(&edits->mounts, const struct cdi_mount)[i], config);
    for (size_t i = 0; i < edits->hooks.count; i++)
        add_hook(&JSON_ITEMS(&edits->hooks, const struct cdi_hook)[i], &config->hooks);
    return add_groups(edits->additional_gids, config, err);
}

/* The edits of a file count once, however many of its devices are wanted. */
static int apply_device(const struct cdi_device *device, const struct cdi_spec *spec,
                        struct map *applied, struct runtime_config *config, struct error *err)
{
    CLEANUP(free) char *key = xasprintf("%p", (const void *)spec);

    if (!map_has(applied, key) && apply(&spec->edits, config, err) < 0)
        return -1;
    map_set_text(applied, key, "");
    return apply(&device->edits, config, err);
}

int cdi_inject(const struct strv *directories, const struct strv *names,
               struct runtime_config *config, struct error *err)
{
    CLEANUP(registry_done) struct cdi_registry registry = {};
    CLEANUP(map_done) struct map applied = {};
    CLEANUP(strv_done) struct strv unknown = {};

    for (size_t i = 0; i < directories->count; i++)
        load_directory(&registry, directories->items[i]);
    for (size_t i = 0; i < names->count; i++) {
        const struct cdi_spec *spec;
        const struct cdi_device *device = find_device(&registry, names->items[i], &spec);

        if (!device)
            strv_add(&unknown, names->items[i]);
        else if (apply_device(device, spec, &applied, config, err) < 0)
            return error_context(err, "CDI device injection failed");
    }
    if (!unknown.count)
        return 0;
    CLEANUP(free) char *list = strv_join(&unknown, ", ");
    return error_set(err, ERROR_INTERNAL,
                     "CDI device injection failed: unresolvable CDI devices %s%s", list,
                     registry.has_yaml ? " (files in YAML are not read: only *.json)" : "");
}
