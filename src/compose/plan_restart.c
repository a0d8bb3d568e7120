/* Restarts in the order of dependencies: who asks to be restarted with what it depends on comes
 * after it, and is restarted with it. Without files the labels of containers tell who that is. */
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "compose/plan.h"

#include "base/banned.h"

enum { LABEL_PARTS = 3 };

/* "db:service_healthy:true" */
static void add_dependency(struct yaml *dependencies, const char *text)
{
    CLEANUP(strv_done) struct strv parts = {};

    strv_split(&parts, text, ':');
    if (parts.count < LABEL_PARTS)
        return;
    struct yaml *entry = yaml_new(YAML_DICT);
    yaml_set(entry, "condition", yaml_new_text(parts.items[1]));
    yaml_set(entry, "restart", yaml_new_bool(text_is_true(parts.items[2])));
    yaml_set(entry, "required", yaml_new_bool(true));
    yaml_set(dependencies, parts.items[0], entry);
}

static struct yaml *services_by_labels(const struct actual *actual)
{
    struct yaml *services = yaml_new(YAML_DICT);

    for (size_t i = 0; i < actual->count; i++) {
        CLEANUP(strv_done) struct strv entries = {};
        struct yaml *service = yaml_new(YAML_DICT), *dependencies = yaml_new(YAML_DICT);

        strv_split(&entries, actual->containers[i].dependencies ?: "", ',');
        for (size_t j = 0; j < entries.count; j++)
            add_dependency(dependencies, entries.items[j]);
        yaml_set(service, "depends_on", dependencies);
        yaml_set(services, actual->containers[i].service, service);
    }
    return services;
}

static bool asks_for_restart(const struct yaml *dependency)
{
    return yaml_is_true(yaml_get(dependency, "restart"));
}

/* Adds who is to be restarted because of those that are in 'names'. */
static void add_dependants(const struct yaml *services, struct strv *names)
{
    for (size_t k = 0; k < names->count; k++)
        for (size_t i = 0; i < yaml_count(services); i++) {
            const struct yaml *on = yaml_get(yaml_get(services->items[i], "depends_on"),
                                             names->items[k]);

            if (asks_for_restart(on) && !strv_contains(names, services->keys[i]))
                strv_add(names, services->keys[i]);
        }
}

static size_t wait_for(const char *service, const struct yaml *dependency, struct plan *out)
{
    const char *condition = yaml_text(yaml_get(dependency, "condition"));
    size_t wait;

    for (wait = 0; wait < out->count; wait++)
        if (out->steps[wait].kind == STEP_WAIT && strcmp(out->steps[wait].service, service) == 0 &&
            strcmp(out->steps[wait].condition, condition) == 0)
            break;
    if (wait == out->count) {
        plan_add(out, STEP_WAIT, service, service);
        out->steps[wait].condition = xstrdup(condition);
    }
    out->steps[wait].is_required |= yaml_is_true(yaml_get(dependency, "required"));
    for (size_t i = 0; i < out->count; i++)
        if (out->steps[i].kind == STEP_CONTAINER_RESTART &&
            strcmp(out->steps[i].service, service) == 0)
            plan_after(out, wait, i);
    return wait;
}

/* 'restart' is a step of a service that depends on another one. */
static void after_dependency(size_t restart, const char *on, const struct yaml *dependency,
                             struct plan *out)
{
    const char *condition = yaml_text(yaml_get(dependency, "condition"));
    size_t count = out->count;

    if (!text_equal(condition, "service_started")) {
        plan_after(out, restart, wait_for(on, dependency, out));
        return;
    }
    for (size_t i = 0; i < count; i++)
        if (out->steps[i].kind == STEP_CONTAINER_RESTART && strcmp(out->steps[i].service, on) == 0)
            plan_after(out, restart, i);
}

void plan_restart(const struct project *project, const struct actual *actual,
                  const struct strv *named, bool no_dependants, struct plan *out)
{
    CLEANUP(yaml_drop) struct yaml *by_labels = project->model ? NULL : services_by_labels(actual);
    const struct yaml *services = by_labels ?: yaml_get(project->model, "services");
    CLEANUP(strv_done) struct strv names = {};

    strv_add_all(&names, named);
    if (!no_dependants)
        add_dependants(services, &names);
    for (size_t i = 0; i < actual->count; i++) {
        const struct actual_container *container = &actual->containers[i];

        if (container->is_oneoff || !yaml_get(services, container->service) ||
            (named->count && !strv_contains(&names, container->service)))
            continue;
        size_t step = plan_add(out, STEP_CONTAINER_RESTART, container->name, container->service);
        out->steps[step].id = xstrdup(container->id);
    }
    for (size_t i = 0, count = out->count; i < count; i++) {
        const struct yaml *dependencies = yaml_get(yaml_get(services, out->steps[i].service),
                                                   "depends_on");

        for (size_t j = 0; j < yaml_count(dependencies); j++)
            if (asks_for_restart(dependencies->items[j]) &&
                (!named->count || strv_contains(&names, dependencies->keys[j])))
                after_dependency(i, dependencies->keys[j], dependencies->items[j], out);
    }
}
