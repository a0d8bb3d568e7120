/* What the keys of one service say together, and what they refer to. */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "compose/check.h"

#include "base/banned.h"

/* A service while it is checked. */
struct subject {
    const struct project *project;
    const char *name;
    const struct yaml *service;
    struct spot spot;
};

/* check_refuse for a key of the service, and (unless that is NULL) one below it. */
static int refuse(const struct subject *subject, const char *key, const char *below,
                  const char *remedy, struct error *err, const char *format, ...) PRINTF(6, 7);
static int refuse(const struct subject *subject, const char *key, const char *below,
                  const char *remedy, struct error *err, const char *format, ...)
{
    struct spot at = { .above = &subject->spot, .name = key },
                inner = { .above = &at, .name = below };
    CLEANUP(str_done) struct str text = {};
    va_list arguments;

    va_start(arguments, format);
    str_add_vformat(&text, format, arguments);
    va_end(arguments);
    return check_refuse(subject->project,
                        below ? &inner
                        : key ? &at
                              : &subject->spot,
                        remedy, err, "%s", str_text(&text));
}

/* ---- references ---- */

static bool is_part(const char *text, const char *name)
{
    size_t length = strlen(name);

    return text && strncmp(text, name, length) == 0 && (!text[length] || text[length] == ':');
}

/* The key that made a service depend on 'name'. */
static const char *reason_of(const struct yaml *service, const char *name)
{
    static const char *const modes[] = { "network_mode", "ipc", "pid", "uts" };
    static const char *const lists[] = { "links", "volumes_from" };

    for (size_t i = 0; i < COUNT(modes); i++) {
        const char *mode = yaml_text(yaml_get(service, modes[i]));

        if (mode && text_starts(mode, "service:") && strcmp(mode + strlen("service:"), name) == 0)
            return modes[i];
    }
    for (size_t i = 0; i < COUNT(lists); i++) {
        const struct yaml *list = yaml_get(service, lists[i]);

        for (size_t j = 0; j < yaml_count(list); j++)
            if (is_part(yaml_text(list->items[j]), name))
                return lists[i];
    }
    return "depends_on";
}

static int check_dependencies(const struct subject *subject, struct error *err)
{
    static const char *const conditions[] = { "service_started", "service_healthy",
                                              "service_completed_successfully" };
    const struct project *project = subject->project;
    const struct yaml *dependencies = yaml_get(subject->service, "depends_on");

    for (size_t i = 0; i < yaml_count(dependencies); i++) {
        const struct yaml *entry = dependencies->items[i];
        const char *condition = yaml_text(yaml_get(entry, "condition")),
                   *other = dependencies->keys[i];
        struct spot list = { .above = &subject->spot, .name = "depends_on" },
                    spot = { .above = &list, .name = other },
                    key = { .above = &spot, .name = "condition" };
        size_t known = 0;

        while (known < COUNT(conditions) && !text_equal(condition, conditions[known]))
            known++;
        if (known == COUNT(conditions))
            return spot_error(&key, spot_find(project->model, &key), err,
                              "must be one of service_started, service_healthy, "
                              "service_completed_successfully");
        /* One that is not needed may be without an active profile, but it is in the file. */
        if (!project_service(project, other) &&
            (yaml_is_true(yaml_get(entry, "required")) || !yaml_get(project->disabled, other))) {
            const char *reason = reason_of(subject->service, other);

            return refuse(subject, reason, strcmp(reason, "depends_on") == 0 ? other : NULL,
                          yaml_get(project->disabled, other)
                              ? "no active profile has it: activate one of its profiles"
                              : "add it below \"services\", or take it out here",
                          err, "service \"%s\" depends on undefined service \"%s\"", subject->name,
                          other);
        }
    }
    return 0;
}

/* Secrets and configs. 'spot' is that of the list. */
static int check_sources(const struct subject *subject, const struct yaml *list,
                         const struct spot *spot, const char *part, const char *word,
                         struct error *err)
{
    CLEANUP(free) char *remedy = xasprintf("add it below \"%s\" at the top of the file", part);

    for (size_t i = 0; i < yaml_count(list); i++) {
        const char *source = yaml_text(yaml_get(list->items[i], "source"));
        struct spot item = { .above = spot, .index = i };

        if (!source || !yaml_get_path(subject->project->model, part, source))
            return check_refuse(subject->project, &item, remedy, err,
                                "service \"%s\" refers to undefined %s %s", subject->name, word,
                                source ? source : "(none)");
    }
    return 0;
}

static int check_all_sources(const struct subject *subject, struct error *err)
{
    const struct yaml *service = subject->service;
    struct spot secrets = { .above = &subject->spot, .name = "secrets" },
                configs = { .above = &subject->spot, .name = "configs" },
                build = { .above = &subject->spot, .name = "build" },
                build_secrets = { .above = &build, .name = "secrets" };

    if (check_sources(subject, yaml_get(service, "secrets"), &secrets, "secrets", "secret", err) <
            0 ||
        check_sources(subject, yaml_get_path(service, "build", "secrets"), &build_secrets,
                      "secrets", "build secret", err) < 0)
        return -1;
    return check_sources(subject, yaml_get(service, "configs"), &configs, "configs", "config", err);
}

static int check_volumes(const struct subject *subject, struct error *err)
{
    const struct yaml *mounts = yaml_get(subject->service, "volumes");

    for (size_t i = 0; i < yaml_count(mounts); i++) {
        const char *source = yaml_text(yaml_get(mounts->items[i], "source"));
        struct spot list = { .above = &subject->spot, .name = "volumes" },
                    item = { .above = &list, .index = i };

        if (text_equal(yaml_text(yaml_get(mounts->items[i], "type")), "volume") && source &&
            !yaml_get_path(subject->project->model, "volumes", source))
            return check_refuse(subject->project, &item,
                                "add it below \"volumes\" at the top of the file; a directory is "
                                "written with ./ or /",
                                err, "service \"%s\" refers to undefined volume %s", subject->name,
                                source);
    }
    return 0;
}

static int check_networks(const struct subject *subject, struct error *err)
{
    const struct yaml *networks = yaml_get(subject->service, "networks");

    if (yaml_get(subject->service, "network_mode") && yaml_count(networks))
        return refuse(subject, "network_mode", NULL, "keep one of them", err,
                      "service %s declares mutually exclusive `network_mode` and `networks`",
                      subject->name);
    for (size_t i = 0; i < yaml_count(networks); i++)
        if (!yaml_get_path(subject->project->model, "networks", networks->keys[i]))
            return refuse(subject, "networks", networks->keys[i],
                          "add it below \"networks\" at the top of the file", err,
                          "service \"%s\" refers to undefined network %s", subject->name,
                          networks->keys[i]);
    return 0;
}

static int check_models(const struct subject *subject, struct error *err)
{
    const struct yaml *models = yaml_get(subject->service, "models");

    for (size_t i = 0; i < yaml_count(models); i++)
        if (!yaml_get_path(subject->project->model, "models", models->keys[i]))
            return refuse(subject, "models", models->keys[i],
                          "add it below \"models\" at the top of the file", err,
                          "service \"%s\" refers to undefined model %s", subject->name,
                          models->keys[i]);
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

static int check_resources(const struct subject *subject, struct error *err)
{
    static const struct {
        const char *key, *part, *resource;
    } pairs[] = {
        { "cpus", "limits", "cpus" },
        { "mem_limit", "limits", "memory" },
        { "pids_limit", "limits", "pids" },
        { "mem_reservation", "reservations", "memory" },
    };
    const struct yaml *service = subject->service;
    const struct yaml *resources = yaml_get_path(service, "deploy", "resources");
    const struct yaml *scale = yaml_get(service, "scale");

    for (size_t i = 0; i < COUNT(pairs); i++)
        if (differ(yaml_get(service, pairs[i].key),
                   yaml_get_path(resources, pairs[i].part, pairs[i].resource)))
            return refuse(subject, pairs[i].key, NULL, "keep one of them", err,
                          "services.%s: can't set distinct values on '%s' and "
                          "'deploy.resources.%s.%s'",
                          subject->name, pairs[i].key, pairs[i].part, pairs[i].resource);
    if (differ(scale, yaml_get_path(service, "deploy", "replicas")))
        return refuse(subject, "scale", NULL, "keep one of them", err,
                      "services.%s: can't set distinct values on 'scale' and 'deploy.replicas'",
                      subject->name);
    if (yaml_get(service, "container_name") && project_scale(service) > 1)
        return refuse(subject, "container_name", NULL, "take the name out, or run one container",
                      err,
                      "services.deploy.replicas: can't set container_name and %s as container name "
                      "must be unique",
                      subject->name);
    return 0;
}

static int check_health(const struct subject *subject, struct error *err)
{
    const struct yaml *test = yaml_get_path(subject->service, "healthcheck", "test");
    const char *kind = yaml_count(test) ? yaml_text(test->items[0]) : NULL;

    if (kind && strcmp(kind, "CMD") != 0 && strcmp(kind, "CMD-SHELL") != 0 &&
        strcmp(kind, "NONE") != 0)
        return refuse(subject, "healthcheck", "test", NULL, err,
                      "healthcheck.test of service \"%s\" must start either by \"CMD\", "
                      "\"CMD-SHELL\" or \"NONE\"",
                      subject->name);
    return 0;
}

static int check_contexts(const struct subject *subject, struct error *err)
{
    const struct project *project = subject->project;
    const struct yaml *contexts = yaml_get_path(subject->service, "build", "additional_contexts");

    for (size_t i = 0; i < yaml_count(contexts); i++) {
        const char *text = yaml_text(contexts->items[i]);
        struct spot build = { .above = &subject->spot, .name = "build" },
                    list = { .above = &build, .name = "additional_contexts" },
                    spot = { .above = &list, .name = contexts->keys[i] };

        if (!text || !text_starts(text, "service:"))
            continue;
        const char *other = text + strlen("service:");
        if (!project_service(project, other) && !yaml_get(project->disabled, other))
            return check_refuse(
                project, &spot, "add it below \"services\"", err,
                "service \"%s\" declares unknown service \"%s\" as additional contexts %s",
                subject->name, other, contexts->keys[i]);
        if (project_service(project, other) && !yaml_get(project_service(project, other), "build"))
            return check_refuse(
                project, &spot, "docker-image://… takes an image that is not built here", err,
                "service \"%s\" declares non-buildable service \"%s\" as additional contexts %s",
                subject->name, other, contexts->keys[i]);
    }
    return 0;
}

static int check_build(const struct subject *subject, struct error *err)
{
    const struct yaml *build = yaml_get(subject->service, "build");
    const struct yaml *platforms = yaml_get(build, "platforms");
    const char *platform = yaml_text(yaml_get(subject->service, "platform"));
    size_t index = 0;

    if (yaml_get(build, "dockerfile") && yaml_get(build, "dockerfile_inline"))
        return refuse(subject, "build", "dockerfile_inline", "keep one of them", err,
                      "service \"%s\" declares mutualy exclusive dockerfile and dockerfile_inline",
                      subject->name);
    if (!platform || !yaml_count(platforms))
        return 0;
    while (index < platforms->count && strcmp(platforms->items[index]->text, platform) != 0)
        index++;
    if (index == platforms->count)
        return refuse(subject, "build", "platforms", NULL, err,
                      "service.build.platforms MUST include service.platform \"%s\"", platform);
    return 0;
}

static int check_watch(const struct subject *subject, struct error *err)
{
    const struct yaml *watch = yaml_get_path(subject->service, "develop", "watch");

    for (size_t i = 0; i < yaml_count(watch); i++) {
        const char *action = yaml_text(yaml_get(watch->items[i], "action"));
        struct spot develop = { .above = &subject->spot, .name = "develop" },
                    list = { .above = &develop, .name = "watch" },
                    item = { .above = &list, .index = i };

        if (action && strstr(action, "sync") && !yaml_get(watch->items[i], "target"))
            return check_refuse(
                subject->project, &item, "say where in the container the files go", err,
                "services.%s.develop.watch: target is required for non-rebuild actions",
                subject->name);
    }
    return 0;
}

static int check_devices(const struct subject *subject, struct error *err)
{
    const struct yaml *resources = yaml_get_path(subject->service, "deploy", "resources");
    const struct yaml *devices = yaml_get_path(resources, "reservations", "devices");

    for (size_t i = 0; i < yaml_count(devices); i++)
        if (yaml_get(devices->items[i], "count") && yaml_get(devices->items[i], "device_ids"))
            return refuse(subject, "deploy", "resources", "keep one of them", err,
                          "services.%s.deploy.resources.reservations.devices.[]: \"count\" and "
                          "\"device_ids\" attributes are exclusive",
                          subject->name);
    return 0;
}

int check_service(const struct project *project, const char *name, const struct yaml *service,
                  struct error *err)
{
    static int (*const checks[])(const struct subject *subject, struct error *err) = {
        check_networks,     check_health,   check_resources,   check_watch,
        check_build,        check_contexts, check_devices,     check_models,
        check_dependencies, check_volumes,  check_all_sources,
    };
    struct spot services = { .name = "services" };
    struct subject subject = { .project = project,
                               .name = name,
                               .service = service,
                               .spot = { .above = &services, .name = name } };

    if (text_is_empty(yaml_text(yaml_get(service, "image"))) && !yaml_get(service, "build") &&
        !yaml_get(service, "provider"))
        return refuse(&subject, NULL, NULL, "give it one", err,
                      "service \"%s\" has neither an image nor a build context specified", name);
    for (size_t i = 0; i < COUNT(checks); i++)
        if (checks[i](&subject, err) < 0)
            return -1;
    return 0;
}
