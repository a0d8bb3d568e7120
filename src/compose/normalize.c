/* Defaults that take more than one key to know. */
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "compose/dotenv.h"
#include "compose/load.h"
#include "compose/paths.h"
#include "compose/spot.h"

#include "base/banned.h"

static struct yaml *section(struct yaml *model, const char *name)
{
    struct yaml *found = yaml_get(model, name);

    if (yaml_is_null(found)) {
        found = yaml_new(YAML_DICT);
        yaml_set(model, name, found);
    }
    return found;
}

static void set_default(struct yaml *dict, const char *key, const char *value)
{
    if (yaml_is_null(yaml_get(dict, key)))
        yaml_set(dict, key, yaml_new_text(value));
}

/* ---- dependencies that other keys mean ---- */

static void depend(struct yaml *service, const char *on, bool restarts)
{
    struct yaml *dependencies = section(service, "depends_on"), *entry;

    if (yaml_get(dependencies, on))
        return;
    entry = yaml_new(YAML_DICT);
    yaml_set(entry, "condition", yaml_new_text("service_started"));
    if (restarts)
        yaml_set(entry, "restart", yaml_new_bool(true));
    yaml_set(entry, "required", yaml_new_bool(true));
    yaml_set(dependencies, on, entry);
}

static void depend_on_first_part(struct yaml *service, const char *text, bool restarts)
{
    CLEANUP(free) char *name = xstrndup(text, strcspn(text, ":"));

    depend(service, name, restarts);
}

static void add_dependencies(struct yaml *service)
{
    static const char *const modes[] = { "network_mode", "ipc", "pid", "uts" };
    const struct yaml *links = yaml_get(service, "links"),
                      *from = yaml_get(service, "volumes_from");

    for (size_t i = 0; i < yaml_count(links); i++)
        depend_on_first_part(service, links->items[i]->text, true);
    for (size_t i = 0; i < yaml_count(from); i++)
        if (!text_starts(from->items[i]->text, "container:"))
            depend_on_first_part(service, from->items[i]->text, false);
    for (size_t i = 0; i < COUNT(modes); i++) {
        const char *mode = yaml_text(yaml_get(service, modes[i]));

        if (mode && text_starts(mode, "service:"))
            depend(service, mode + strlen("service:"), true);
    }
}

/* ---- environments ---- */

struct own_source {
    const struct loader *loader;
    const struct yaml *environment; /* of the service: it is known to its env files */
    const struct spot *spot;        /* of the list of env files */
};

static const char *own_variable(void *data, const char *name)
{
    const struct own_source *own = data;
    const char *value = yaml_text(yaml_get(own->environment, name));

    return value ? value : map_get(own->loader->environment, name);
}

static int read_env_file(const struct own_source *own, const struct yaml *entry, struct map *out,
                         struct error *err)
{
    const char *path = yaml_text(yaml_get(entry, "path"));
    const char *format = yaml_text(yaml_get(entry, "format"));
    CLEANUP(str_done) struct str text = {};
    struct variable_source source = { .get = own_variable, .data = (void *)own };
    int result;

    if (format && strcmp(format, "raw") != 0) {
        error_set(err, ERROR_INVALID, "unsupported env_file format \"%s\"", format);
        return spot_place(own->spot, entry, "\"raw\" is the only one that may be named", err);
    }
    if (file_read(path, DOTENV_SIZE_LIMIT, &text, err) < 0) {
        if (err->kind != ERROR_NOT_FOUND)
            return spot_place(own->spot, entry, NULL, err);
        if (!yaml_is_true(yaml_get(entry, "required")))
            return 0;
        error_set(err, ERROR_NOT_FOUND, "env file %s not found: stat %s: no such file or directory",
                  path, path);
        return spot_place(own->spot, entry, "\"required: false\" lets it be absent", err);
    }
    result = format ? dotenv_parse_raw(str_text(&text), out, err)
                    : dotenv_parse(str_text(&text), &source, out, err);
    return result < 0 ? error_context(err, "failed to read %s", path) : 0;
}

/* env_file entries, later ones first, below what 'environment' says; keys without a value take
 * ours. */
static int resolve_environment(const struct loader *loader, struct yaml *service,
                               const struct spot *spot, struct error *err)
{
    struct spot here = { .above = spot, .name = "env_file" };
    CLEANUP(yaml_drop) struct yaml *files = yaml_take(service, "env_file");
    CLEANUP(map_done) struct map values = {};
    struct yaml *environment = yaml_get(service, "environment");

    struct own_source own = { .loader = loader, .environment = environment, .spot = &here };

    map_init_empty(&values, free);
    for (size_t i = 0; i < yaml_count(files); i++)
        if (read_env_file(&own, files->items[i], &values, err) < 0)
            return -1;
    if (values.count && yaml_is_null(environment))
        environment = section(service, "environment");
    MAP_EACH (&values, entry)
        if (!yaml_get(environment, entry->key))
            yaml_set(environment, entry->key, yaml_new_text(entry->value));
    for (size_t i = 0; i < yaml_count(environment); i++) {
        const char *ours = map_get(loader->environment, environment->keys[i]);

        if (yaml_is_null(environment->items[i]) && ours)
            yaml_replace(environment->items[i], yaml_new_text(ours));
    }
    return 0;
}

static int resolve_labels(struct yaml *service, const struct spot *spot, struct error *err)
{
    struct spot here = { .above = spot, .name = "label_file" };
    CLEANUP(yaml_drop) struct yaml *files = yaml_take(service, "label_file");
    CLEANUP(map_done) struct map values = {};
    struct yaml *labels;

    map_init_empty(&values, free);
    for (size_t i = 0; i < yaml_count(files); i++) {
        CLEANUP(str_done) struct str text = {};

        if (!file_exists(files->items[i]->text)) {
            error_set(err, ERROR_NOT_FOUND,
                      "label file %s not found: stat %s: no such file or directory",
                      files->items[i]->text, files->items[i]->text);
            return spot_place(&here, files->items[i], NULL, err);
        }
        if (source_read(files->items[i]->text, &text, err) < 0 ||
            dotenv_parse_raw(str_text(&text), &values, err) < 0) {
            error_context(err, "label file %s", files->items[i]->text);
            return spot_place(&here, files->items[i], NULL, err);
        }
    }
    if (!values.count)
        return 0;
    labels = section(service, "labels");
    MAP_EACH (&values, entry)
        if (!yaml_get(labels, entry->key))
            yaml_set(labels, entry->key, yaml_new_text(entry->value));
    return 0;
}

/* ---- services ---- */

static void resolve_build(const struct loader *loader, struct yaml *service)
{
    struct yaml *build = yaml_get(service, "build"), *args = yaml_get(build, "args");

    if (yaml_is_null(build))
        return;
    if (!yaml_get(build, "context"))
        yaml_set(build, "context", yaml_new_text("."));
    if (yaml_is_null(yaml_get(build, "dockerfile_inline")))
        set_default(build, "dockerfile", "Dockerfile");
    for (size_t i = 0; i < yaml_count(args);) {
        const char *ours = map_get(loader->environment, args->keys[i]);

        if (!yaml_is_null(args->items[i])) {
            i++;
        } else if (ours) {
            yaml_replace(args->items[i++], yaml_new_text(ours));
        } else {
            yaml_remove_at(args, i);
        }
    }
    if (args && !args->count)
        yaml_remove(build, "args");
}

static void set_secret_targets(struct yaml *service)
{
    const struct yaml *secrets = yaml_get(service, "secrets");

    for (size_t i = 0; i < yaml_count(secrets); i++) {
        const char *source = yaml_text(yaml_get(secrets->items[i], "source"));
        CLEANUP(free) char *target = xasprintf("/run/secrets/%s", source ? source : "");

        set_default(secrets->items[i], "target", target);
    }
}

/* Keys without a value say nothing, except where null has a meaning of its own. */
static void drop_nulls(struct yaml *service)
{
    for (size_t i = 0; i < service->count;)
        if (yaml_is_null(service->items[i]) ||
            (service->items[i]->kind == YAML_LIST && !service->items[i]->count &&
             strcmp(service->keys[i], "command") != 0 &&
             strcmp(service->keys[i], "entrypoint") != 0))
            yaml_remove_at(service, i);
        else
            i++;
}

static int normalize_service(const struct loader *loader, const char *name, struct yaml *service,
                             struct error *err)
{
    struct spot top = { .name = "services" }, spot = { .above = &top, .name = name };
    const struct yaml *scale = yaml_get(service, "scale");
    struct yaml *deploy = yaml_get(service, "deploy");

    drop_nulls(service);
    if (text_equal(yaml_text(yaml_get(service, "pull_policy")), "if_not_present"))
        yaml_set(service, "pull_policy", yaml_new_text("missing"));
    resolve_build(loader, service);
    set_secret_targets(service);
    add_dependencies(service);
    if (!yaml_get(service, "network_mode") && !yaml_count(yaml_get(service, "networks")) &&
        !yaml_get(service, "provider")) {
        yaml_remove(service, "networks");
        yaml_set(section(service, "networks"), "default", yaml_new(YAML_NULL));
    }
    if (scale && deploy && !yaml_get(deploy, "replicas"))
        yaml_set(deploy, "replicas", yaml_clone(scale));
    if (!loader->options->no_env_resolution && resolve_environment(loader, service, &spot, err) < 0)
        return -1;
    return resolve_labels(service, &spot, err);
}

/* ---- names ---- */

static void name_resources(struct project *project, const char *part)
{
    struct yaml *resources = yaml_get(project->model, part);

    for (size_t i = 0; i < yaml_count(resources); i++) {
        struct yaml *resource = resources->items[i];

        if (yaml_is_null(resource)) {
            yaml_replace(resource, yaml_new(YAML_DICT));
            resource = resources->items[i];
        }
        if (resource->kind != YAML_DICT)
            continue;
        bool is_external = yaml_is_true(yaml_get(resource, "external"));
        CLEANUP(free)
        char *name = is_external ? xstrdup(resources->keys[i])
                                 : xasprintf("%s_%s", project->name, resources->keys[i]);
        set_default(resource, "name", name);
    }
}

/* The network "default" is there when somebody uses it. */
static void add_default_network(struct project *project)
{
    const struct yaml *services = yaml_get(project->model, "services");

    for (size_t i = 0; i < yaml_count(services); i++) {
        size_t index = 0;
        const struct yaml *networks = yaml_get(services->items[i], "networks");

        while (index < yaml_count(networks) && strcmp(networks->keys[index], "default") != 0)
            index++;
        if (index == yaml_count(networks))
            continue;
        if (!yaml_get(section(project->model, "networks"), "default"))
            yaml_set(section(project->model, "networks"), "default", yaml_new(YAML_DICT));
        return;
    }
}

int normalize(struct loader *loader, struct error *err)
{
    struct project *project = loader->project;
    struct yaml *services = section(project->model, "services");

    for (size_t i = 0; i < services->count; i++) {
        if (yaml_is_null(services->items[i]))
            yaml_replace(services->items[i], yaml_new(YAML_DICT));
        if (loader->options->no_normalize)
            continue;
        if (normalize_service(loader, services->keys[i], services->items[i], err) < 0)
            return -1;
    }
    if (loader->options->no_normalize)
        return 0;
    add_default_network(project);
    name_resources(project, "networks");
    name_resources(project, "volumes");
    name_resources(project, "secrets");
    name_resources(project, "configs");
    return 0;
}

/* ---- profiles ---- */

static bool is_active(const struct yaml *service, const char *name, const struct strv *active,
                      const struct strv *named)
{
    const struct yaml *profiles = yaml_get(service, "profiles");

    if (!yaml_count(profiles) || strv_contains(active, "*") || strv_contains(named, name))
        return true;
    for (size_t i = 0; i < profiles->count; i++)
        if (strv_contains(active, profiles->items[i]->text))
            return true;
    return false;
}

void normalize_profiles(struct project *project, const struct project_options *options)
{
    CLEANUP(strv_done) struct strv active = {};
    const char *variable = map_get(&project->environment, "COMPOSE_PROFILES");
    struct yaml *services = section(project->model, "services");

    strv_add_all(&active, &options->profiles);
    if (!active.count && !text_is_empty(variable))
        strv_split(&active, variable, ',');
    project->disabled = yaml_new(YAML_DICT);
    for (size_t i = 0; i < services->count;) {
        if (is_active(services->items[i], services->keys[i], &active, &options->services)) {
            i++;
            continue;
        }
        CLEANUP(free) char *name = xstrdup(services->keys[i]);
        yaml_set(project->disabled, name, yaml_take(services, name));
    }
}

/* ---- what nobody uses ---- */

static void collect_members(const struct yaml *list, const char *key, struct map *used)
{
    for (size_t i = 0; i < yaml_count(list); i++) {
        const char *name = yaml_text(yaml_get(list->items[i], key));

        if (name)
            map_set(used, name, used);
    }
}

static void drop_unused(struct project *project, const char *part, const struct map *used)
{
    struct yaml *resources = yaml_get(project->model, part);

    for (size_t i = 0; i < yaml_count(resources);)
        if (map_has(used, resources->keys[i]) || text_starts(resources->keys[i], "x-"))
            i++;
        else
            yaml_remove_at(resources, i);
    if (resources && !resources->count)
        yaml_remove(project->model, part);
}

void normalize_unused(struct project *project)
{
    CLEANUP(map_done) struct map networks = {}, volumes = {}, secrets = {}, configs = {};
    const struct yaml *services = yaml_get(project->model, "services");

    for (size_t i = 0; i < yaml_count(services); i++) {
        const struct yaml *service = services->items[i], *ours = yaml_get(service, "networks");

        for (size_t j = 0; j < yaml_count(ours); j++)
            map_set(&networks, ours->keys[j], &networks);
        const struct yaml *mounts = yaml_get(service, "volumes");
        for (size_t j = 0; j < yaml_count(mounts); j++)
            if (text_equal(yaml_text(yaml_get(mounts->items[j], "type")), "volume")) {
                const char *source = yaml_text(yaml_get(mounts->items[j], "source"));

                if (source)
                    map_set(&volumes, source, &volumes);
            }
        collect_members(yaml_get(service, "secrets"), "source", &secrets);
        collect_members(yaml_get_path(service, "build", "secrets"), "source", &secrets);
        collect_members(yaml_get(service, "configs"), "source", &configs);
    }
    drop_unused(project, "networks", &networks);
    drop_unused(project, "volumes", &volumes);
    drop_unused(project, "secrets", &secrets);
    drop_unused(project, "configs", &configs);
}
