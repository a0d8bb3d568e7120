/* See load.h. Docker's words where there are some, since scripts look for them. */
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "compose/load.h"

#include "base/banned.h"

#define WHY ": invalid compose project"

static int refuse(struct error *err, const char *format, ...) PRINTF(2, 3);
static int refuse(struct error *err, const char *format, ...)
{
    CLEANUP(str_done) struct str text = {};
    va_list arguments;

    va_start(arguments, format);
    str_add_vformat(&text, format, arguments);
    va_end(arguments);
    return error_set(err, ERROR_INVALID, "%s" WHY, str_text(&text));
}

/* ---- references ---- */

static int check_dependencies(const struct project *project, const char *name,
                              const struct yaml *service, struct error *err)
{
    static const char *const conditions[] = { "service_started", "service_healthy",
                                              "service_completed_successfully" };
    const struct yaml *dependencies = yaml_get(service, "depends_on");

    for (size_t i = 0; i < yaml_count(dependencies); i++) {
        const struct yaml *entry = dependencies->items[i];
        const char *condition = yaml_text(yaml_get(entry, "condition"));
        size_t known = 0;

        while (known < COUNT(conditions) && !text_equal(condition, conditions[known]))
            known++;
        if (known == COUNT(conditions))
            return error_set(err, ERROR_INVALID,
                             "validating %s: services.%s.depends_on.%s.condition must be one of "
                             "service_started, service_healthy, service_completed_successfully",
                             service->file ? service->file : "the project", name,
                             dependencies->keys[i]);
        /* One that is not needed may be without an active profile, but it is in the file. */
        if (!project_service(project, dependencies->keys[i]) &&
            (yaml_is_true(yaml_get(entry, "required")) ||
             !yaml_get(project->disabled, dependencies->keys[i])))
            return refuse(err, "service \"%s\" depends on undefined service \"%s\"", name,
                          dependencies->keys[i]);
    }
    return 0;
}

static int check_sources(const struct project *project, const char *name, const struct yaml *list,
                         const char *part, const char *word, struct error *err)
{
    for (size_t i = 0; i < yaml_count(list); i++) {
        const char *source = yaml_text(yaml_get(list->items[i], "source"));

        if (!source || !yaml_get_path(project->model, part, source))
            return refuse(err, "service \"%s\" refers to undefined %s %s", name, word,
                          source ? source : "(none)");
    }
    return 0;
}

static int check_volumes(const struct project *project, const char *name,
                         const struct yaml *service, struct error *err)
{
    const struct yaml *mounts = yaml_get(service, "volumes");

    for (size_t i = 0; i < yaml_count(mounts); i++) {
        const char *source = yaml_text(yaml_get(mounts->items[i], "source"));

        if (text_equal(yaml_text(yaml_get(mounts->items[i], "type")), "volume") && source &&
            !yaml_get_path(project->model, "volumes", source))
            return refuse(err, "service \"%s\" refers to undefined volume %s", name, source);
    }
    return 0;
}

static int check_networks(const struct project *project, const char *name,
                          const struct yaml *service, struct error *err)
{
    const struct yaml *networks = yaml_get(service, "networks");

    if (yaml_get(service, "network_mode") && yaml_count(networks))
        return refuse(err, "service %s declares mutually exclusive `network_mode` and `networks`",
                      name);
    for (size_t i = 0; i < yaml_count(networks); i++)
        if (!yaml_get_path(project->model, "networks", networks->keys[i]))
            return refuse(err, "service \"%s\" refers to undefined network %s", name,
                          networks->keys[i]);
    return 0;
}

/* ---- keys that say the same twice, or exclude each other ---- */

static bool differ(const struct yaml *a, const struct yaml *b)
{
    if (yaml_is_null(a) || yaml_is_null(b))
        return false;
    if (a->kind == YAML_TEXT && b->kind == YAML_TEXT)
        return strcmp(a->text, b->text) != 0;
    double left = a->kind == YAML_REAL ? a->real : (double)a->integer,
           right = b->kind == YAML_REAL ? b->real : (double)b->integer;
    return left < right || left > right;
}

static int check_resources(const char *name, const struct yaml *service, struct error *err)
{
    static const struct {
        const char *key, *part, *resource;
    } pairs[] = {
        { "cpus", "limits", "cpus" },
        { "mem_limit", "limits", "memory" },
        { "pids_limit", "limits", "pids" },
        { "mem_reservation", "reservations", "memory" },
    };
    const struct yaml *resources = yaml_get_path(service, "deploy", "resources");
    const struct yaml *scale = yaml_get(service, "scale");

    for (size_t i = 0; i < COUNT(pairs); i++)
        if (differ(yaml_get(service, pairs[i].key),
                   yaml_get_path(resources, pairs[i].part, pairs[i].resource)))
            return refuse(err,
                          "services.%s: can't set distinct values on '%s' and "
                          "'deploy.resources.%s.%s'",
                          name, pairs[i].key, pairs[i].part, pairs[i].resource);
    if (differ(scale, yaml_get_path(service, "deploy", "replicas")))
        return refuse(
            err, "services.%s: can't set distinct values on 'scale' and 'deploy.replicas'", name);
    if (yaml_get(service, "container_name") && project_scale(service) > 1)
        return refuse(err,
                      "services.deploy.replicas: can't set container_name and %s as container name "
                      "must be unique",
                      name);
    return 0;
}

static int check_health(const char *name, const struct yaml *service, struct error *err)
{
    const struct yaml *test = yaml_get_path(service, "healthcheck", "test");
    const char *kind = yaml_count(test) ? yaml_text(test->items[0]) : NULL;

    if (kind && strcmp(kind, "CMD") != 0 && strcmp(kind, "CMD-SHELL") != 0 &&
        strcmp(kind, "NONE") != 0)
        return refuse(err,
                      "healthcheck.test of service \"%s\" must start either by \"CMD\", "
                      "\"CMD-SHELL\" or \"NONE\"",
                      name);
    return 0;
}

static int check_build(const struct project *project, const char *name, const struct yaml *service,
                       struct error *err)
{
    const struct yaml *build = yaml_get(service, "build");
    const struct yaml *contexts = yaml_get(build, "additional_contexts");
    const struct yaml *platforms = yaml_get(build, "platforms");
    const char *platform = yaml_text(yaml_get(service, "platform"));
    size_t index = 0;

    for (size_t i = 0; i < yaml_count(contexts); i++) {
        const char *text = yaml_text(contexts->items[i]);

        if (!text || !text_starts(text, "service:"))
            continue;
        const char *other = text + strlen("service:");
        if (!project_service(project, other) && !yaml_get(project->disabled, other))
            return refuse(
                err, "service \"%s\" declares unknown service \"%s\" as additional contexts %s",
                name, other, contexts->keys[i]);
        if (project_service(project, other) && !yaml_get(project_service(project, other), "build"))
            return refuse(
                err,
                "service \"%s\" declares non-buildable service \"%s\" as additional contexts %s",
                name, other, contexts->keys[i]);
    }
    if (!platform || !yaml_count(platforms))
        return 0;
    while (index < platforms->count && strcmp(platforms->items[index]->text, platform) != 0)
        index++;
    if (index == platforms->count)
        return refuse(err, "service.build.platforms MUST include service.platform \"%s\"",
                      platform);
    return 0;
}

static int check_watch(const char *name, const struct yaml *service, struct error *err)
{
    const struct yaml *watch = yaml_get_path(service, "develop", "watch");

    for (size_t i = 0; i < yaml_count(watch); i++) {
        const char *action = yaml_text(yaml_get(watch->items[i], "action"));

        if (action && strstr(action, "sync") && !yaml_get(watch->items[i], "target"))
            return refuse(
                err, "services.%s.develop.watch: target is required for non-rebuild actions", name);
    }
    return 0;
}

static int check_devices(const char *name, const struct yaml *service, struct error *err)
{
    const struct yaml *resources = yaml_get_path(service, "deploy", "resources");
    const struct yaml *devices = yaml_get_path(resources, "reservations", "devices");

    for (size_t i = 0; i < yaml_count(devices); i++)
        if (yaml_get(devices->items[i], "count") && yaml_get(devices->items[i], "device_ids"))
            return refuse(err,
                          "services.%s.deploy.resources.reservations.devices.[]: \"count\" and "
                          "\"device_ids\" attributes are exclusive",
                          name);
    return 0;
}

static int check_models(const struct project *project, const char *name, const struct yaml *service,
                        struct error *err)
{
    const struct yaml *models = yaml_get(service, "models");

    for (size_t i = 0; i < yaml_count(models); i++)
        if (!yaml_get_path(project->model, "models", models->keys[i]))
            return refuse(err, "service \"%s\" refers to undefined model %s", name,
                          models->keys[i]);
    return 0;
}

static int check_service(const struct project *project, const char *name,
                         const struct yaml *service, struct error *err)
{
    if (text_is_empty(yaml_text(yaml_get(service, "image"))) && !yaml_get(service, "build") &&
        !yaml_get(service, "provider"))
        return refuse(err, "service \"%s\" has neither an image nor a build context specified",
                      name);
    if (yaml_get_path(service, "build", "dockerfile") &&
        yaml_get_path(service, "build", "dockerfile_inline"))
        return refuse(err,
                      "service \"%s\" declares mutualy exclusive dockerfile and dockerfile_inline",
                      name);
    if (check_networks(project, name, service, err) < 0 || check_health(name, service, err) < 0 ||
        check_resources(name, service, err) < 0 || check_watch(name, service, err) < 0 ||
        check_build(project, name, service, err) < 0 || check_devices(name, service, err) < 0 ||
        check_models(project, name, service, err) < 0 ||
        check_dependencies(project, name, service, err) < 0 ||
        check_volumes(project, name, service, err) < 0)
        return -1;
    if (check_sources(project, name, yaml_get(service, "secrets"), "secrets", "secret", err) < 0 ||
        check_sources(project, name, yaml_get_path(service, "build", "secrets"), "secrets",
                      "build secret", err) < 0)
        return -1;
    return check_sources(project, name, yaml_get(service, "configs"), "configs", "config", err);
}

/* ---- cycles ---- */

struct step {
    const struct step *above;
    const char *name;
};

static void add_chain(const struct step *at, const char *end, struct str *out)
{
    if (strcmp(at->name, end) != 0)
        add_chain(at->above, end, out);
    str_add_format(out, "%s%s", out->length ? " -> " : "", at->name);
}

static int visit(const struct project *project, const char *name, const struct step *above,
                 struct map *done, struct error *err)
{
    struct step here = { .above = above, .name = name };
    const struct yaml *dependencies = yaml_get(project_service(project, name), "depends_on");

    for (const struct step *at = above; at; at = at->above)
        if (strcmp(at->name, name) == 0) {
            CLEANUP(str_done) struct str chain = {};

            add_chain(above, name, &chain);
            return error_set(err, ERROR_INVALID, "dependency cycle detected: %s -> %s",
                             str_text(&chain), name);
        }
    if (map_has(done, name))
        return 0;
    for (size_t i = 0; i < yaml_count(dependencies); i++)
        if (visit(project, dependencies->keys[i], &here, done, err) < 0)
            return -1;
    map_set(done, name, done);
    return 0;
}

/* ---- resources ---- */

static int check_files(const struct project *project, const char *part, const char *origins_text,
                       struct error *err)
{
    static const char *const origins[] = { "file", "environment", "content" };
    const struct yaml *resources = yaml_get(project->model, part);

    for (size_t i = 0; i < yaml_count(resources); i++) {
        const struct yaml *resource = resources->items[i];
        int count = 0;

        if (text_starts(resources->keys[i], "x-") || yaml_is_true(yaml_get(resource, "external")))
            continue;
        for (size_t j = 0; j < COUNT(origins); j++)
            count += !yaml_is_null(yaml_get(resource, origins[j]));
        if (count > 1)
            return refuse(err, "%s.%s: %s attributes are mutually exclusive", part,
                          resources->keys[i], origins_text);
        if (!count && !yaml_get(resource, "driver"))
            return refuse(err, "%s.%s: one of %s must be set", part, resources->keys[i],
                          origins_text);
    }
    return 0;
}

static int check_external(const struct project *project, struct error *err)
{
    const struct yaml *volumes = yaml_get(project->model, "volumes");

    for (size_t i = 0; i < yaml_count(volumes); i++) {
        const struct yaml *volume = volumes->items[i];

        if (!yaml_is_true(yaml_get(volume, "external")))
            continue;
        for (size_t j = 0; j < volume->count; j++)
            if (strcmp(volume->keys[j], "external") != 0 && strcmp(volume->keys[j], "name") != 0 &&
                !text_starts(volume->keys[j], "x-"))
                return refuse(err,
                              "volumes.%s: conflicting parameters \"external\" and \"%s\" "
                              "specified",
                              volumes->keys[i], volume->keys[j]);
    }
    return 0;
}

int check_project(const struct project *project, struct error *err)
{
    CLEANUP(map_done) struct map done = {};
    const struct yaml *services = yaml_get(project->model, "services");

    for (size_t i = 0; i < yaml_count(services); i++)
        if (!text_starts(services->keys[i], "x-") &&
            check_service(project, services->keys[i], services->items[i], err) < 0)
            return -1;
    for (size_t i = 0; i < yaml_count(services); i++)
        if (visit(project, services->keys[i], NULL, &done, err) < 0)
            return -1;
    if (check_external(project, err) < 0)
        return -1;
    if (check_files(project, "secrets", "file|environment", err) < 0)
        return -1;
    return check_files(project, "configs", "file|environment|content", err);
}
