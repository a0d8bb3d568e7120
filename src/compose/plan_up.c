/* From what is there to what the file wants: networks and volumes, containers in the order of
 * dependencies, then starts. */
#include <stdio.h>
#include <string.h>

#include "base/map.h"
#include "base/memory.h"
#include "base/text.h"
#include "compose/canonical.h"
#include "compose/label.h"
#include "compose/plan.h"

#include "base/banned.h"

struct planner {
    const struct project *project;
    const struct actual *actual;
    const struct plan_options *options;
    struct plan *plan;
    struct strv *warnings;
    struct map
        resources; /* "networks/<key>", "volumes/<key>" → index + 1 of the step that makes it */
    struct map creates; /* service → struct strv * of step indexes as texts */
    struct map starts;
    struct map changed; /* services of which a container is made anew */
    struct map renewed; /* networks that are made anew */
    struct map waits;   /* "service condition" → index + 1 */
    struct map repairs; /* service → steps that mend what an earlier run left half done */
};

static void list_free(void *list)
{
    strv_done(list);
    free(list);
}

static void remember(struct map *map, const char *service, size_t step)
{
    struct strv *list = map_get(map, service);

    if (!list) {
        list = NEW(struct strv);
        map_set(map, service, list);
    }
    strv_add_format(list, "%zu", step);
}

/* 'step' comes after all that 'map' holds for 'service'. */
static void after_all(struct planner *p, size_t step, const struct map *map, const char *service)
{
    const struct strv *list = map_get(map, service);

    for (size_t i = 0; list && i < list->count; i++)
        plan_after(p->plan, step, (size_t)strtoull(list->items[i], NULL, 10));
}

static void warn(struct planner *p, const char *format, ...) PRINTF(2, 3);
static void warn(struct planner *p, const char *format, ...)
{
    struct str text = {};
    va_list arguments;

    va_start(arguments, format);
    str_add_vformat(&text, format, arguments);
    va_end(arguments);
    strv_add_take(p->warnings, str_take(&text));
}

/* ---- networks and volumes ---- */

static const char *label_of(const struct json *resource, const char *label)
{
    return json_text(json_get(json_get(resource, "Labels"), label));
}

/* A network that is to be otherwise: those who are on it stop, it is made anew, they are made anew.
 */
static void renew_network(struct planner *p, const char *key, const char *name, size_t create)
{
    size_t removal = plan_add(p->plan, STEP_NETWORK_REMOVE, name, key);

    map_set(&p->renewed, key, p);
    for (size_t i = 0; i < p->actual->count; i++) {
        const struct actual_container *container = &p->actual->containers[i];
        const struct yaml *networks = yaml_get(project_service(p->project, container->service),
                                               "networks");
        bool is_on_it = false;

        for (size_t j = 0; j < yaml_count(networks); j++)
            is_on_it |= strcmp(networks->keys[j], key) == 0;
        if (!is_on_it || !actual_is_running(container))
            continue;
        size_t stop = plan_add(p->plan, STEP_CONTAINER_STOP, container->name, container->service);
        p->plan->steps[stop].id = xstrdup(container->id);
        plan_after(p->plan, removal, stop);
    }
    plan_after(p->plan, create, removal);
}

static void plan_resource(struct planner *p, const char *part, const char *key,
                          const struct yaml *resource)
{
    bool is_network = strcmp(part, "networks") == 0;
    const char *name = yaml_text(yaml_get(resource, "name"));
    const struct json *there = actual_named(is_network ? p->actual->networks : p->actual->volumes,
                                            name);
    const char *stored = label_of(there, LABEL_HASH);
    CLEANUP(free) char *id = xasprintf("%s/%s", part, key);
    char hash[CONFIG_HASH_SIZE];

    if (yaml_is_true(yaml_get(resource, "external")))
        return;
    canonical_resource_hash(resource, is_network, hash);
    if (there && (!stored || strcmp(stored, hash) == 0))
        return;
    if (there && !is_network) {
        warn(p,
             "volume \"%s\" exists but doesn't match configuration in compose file; it is used as "
             "it "
             "is (remove it to have it made anew: its data will be lost)",
             name);
        return;
    }
    size_t step = plan_add(p->plan, is_network ? STEP_NETWORK_CREATE : STEP_VOLUME_CREATE, name,
                           key);
    map_set(&p->resources, id, (void *)(step + 1));
    if (there)
        renew_network(p, key, name, step);
}

static void plan_resources(struct planner *p, const char *part)
{
    const struct yaml *resources = yaml_get(p->project->model, part);

    for (size_t i = 0; i < yaml_count(resources); i++)
        if (resources->items[i]->kind == YAML_DICT && !text_starts(resources->keys[i], "x-"))
            plan_resource(p, part, resources->keys[i], resources->items[i]);
}

static void after_resource(struct planner *p, size_t step, const char *part, const char *key)
{
    CLEANUP(free) char *id = xasprintf("%s/%s", part, key);
    size_t made = (size_t)map_get(&p->resources, id);

    if (made)
        plan_after(p->plan, step, made - 1);
}

/* ---- containers ---- */

static bool lists(const struct yaml *list, const char *other)
{
    size_t length = strlen(other);

    for (size_t i = 0; i < yaml_count(list); i++) {
        const char *text = list->items[i]->text;

        if (strncmp(text, other, length) == 0 && (!text[length] || text[length] == ':'))
            return true;
    }
    return false;
}

/* Does this one's container know that of the other service by its id? */
static bool leans_on(const struct yaml *service, const char *other)
{
    static const char *const modes[] = { "network_mode", "ipc", "pid", "uts" };

    for (size_t i = 0; i < COUNT(modes); i++) {
        const char *mode = yaml_text(yaml_get(service, modes[i]));

        if (mode && text_starts(mode, "service:") && strcmp(mode + 8, other) == 0)
            return true;
    }
    return lists(yaml_get(service, "volumes_from"), other);
}

/* Does the other's container have to be there first? Links are by name. */
static bool refers_to(const struct yaml *service, const char *other)
{
    return leans_on(service, other) || lists(yaml_get(service, "links"), other);
}

static bool is_named(const struct planner *p, const char *service)
{
    return !p->options->named || !p->options->named->count ||
           strv_contains(p->options->named, service);
}

static char *container_of(void *data, const char *service)
{
    const struct actual_container *there = actual_find(data, service, 0);

    return there ? xstrdup(there->id) : NULL;
}

static bool must_recreate(const struct planner *p, const char *name, const struct yaml *service,
                          const struct actual_container *container)
{
    const char *image_id = p->options->image_ids ? map_get(p->options->image_ids, name) : NULL;
    const struct yaml *dependencies = yaml_get(service, "depends_on"),
                      *networks = yaml_get(service, "networks");
    char hash[CONFIG_HASH_SIZE];

    if (p->options->no_recreate)
        return false;
    if (is_named(p, name) ? p->options->force_recreate : p->options->always_recreate_dependencies)
        return true;
    canonical_service_hash(service, container_of, (void *)p->actual, hash);
    if (!text_equal(container->hash, hash))
        return true;
    if (image_id && container->image_id && strcmp(image_id, container->image_id) != 0)
        return true;
    for (size_t i = 0; i < yaml_count(networks); i++)
        if (map_has(&p->renewed, networks->keys[i]))
            return true;
    for (size_t i = 0; i < yaml_count(dependencies); i++)
        if (map_has(&p->changed, dependencies->keys[i]) && leans_on(service, dependencies->keys[i]))
            return true;
    return false;
}

static int wanted_scale(const struct planner *p, const char *name, const struct yaml *service)
{
    const char *given = p->options->scales ? map_get(p->options->scales, name) : NULL;

    return given ? (int)strtol(given, NULL, 10) : project_scale(service);
}

static size_t add_container_step(struct planner *p, enum step_kind kind, const char *subject,
                                 const char *service, const struct actual_container *container,
                                 int number)
{
    size_t step = plan_add(p->plan, kind, subject, service);

    p->plan->steps[step].number = number;
    if (container)
        p->plan->steps[step].id = xstrdup(container->id);
    return step;
}

/* What a new container of the service has to wait for. */
static void after_needs(struct planner *p, size_t step, const struct yaml *service)
{
    const struct yaml *networks = yaml_get(service, "networks"),
                      *mounts = yaml_get(service, "volumes"),
                      *dependencies = yaml_get(service, "depends_on");

    for (size_t i = 0; i < yaml_count(networks); i++)
        after_resource(p, step, "networks", networks->keys[i]);
    for (size_t i = 0; i < yaml_count(mounts); i++) {
        const char *source = yaml_text(yaml_get(mounts->items[i], "source"));

        if (source)
            after_resource(p, step, "volumes", source);
    }
    for (size_t i = 0; i < yaml_count(dependencies); i++)
        if (refers_to(service, dependencies->keys[i]))
            after_all(p, step, &p->creates, dependencies->keys[i]);
}

static void remove_container(struct planner *p, const struct actual_container *container)
{
    size_t stop = add_container_step(p, STEP_CONTAINER_STOP, container->name, container->service,
                                     container, container->number);
    size_t removal = add_container_step(p, STEP_CONTAINER_REMOVE, container->name,
                                        container->service, container, container->number);

    plan_after(p->plan, removal, stop);
}

/* ---- replacements that an earlier run did not bring to their end ---- */

static const struct actual_container *find_named(const struct actual *actual, const char *name)
{
    for (size_t i = 0; i < actual->count; i++)
        if (strcmp(actual->containers[i].name, name) == 0)
            return &actual->containers[i];
    return NULL;
}

/* The name that a container is to have. Yours. */
static char *final_name(const struct planner *p, const struct actual_container *container)
{
    return container->is_replacement
               ? project_container_name(p->project, container->service, container->number)
               : xstrdup(container->name);
}

/* The container whose place it was to take is still there: it is in the way. */
static bool is_superfluous(const struct planner *p, const struct actual_container *container)
{
    CLEANUP(free) char *name = final_name(p, container);

    return strcmp(name, container->name) != 0 && find_named(p->actual, name);
}

/* Is this one of the service's containers? */
static bool counts(const struct planner *p, const struct actual_container *container,
                   const char *service)
{
    return !container->is_oneoff && strcmp(container->service, service) == 0 &&
           !is_superfluous(p, container);
}

static void plan_repairs(struct planner *p, const char *name)
{
    for (size_t i = 0; i < p->actual->count; i++) {
        const struct actual_container *container = &p->actual->containers[i];
        CLEANUP(free) char *wanted = final_name(p, container);

        if (container->is_oneoff || strcmp(container->service, name) != 0 ||
            strcmp(wanted, container->name) == 0)
            continue;
        bool is_removed = is_superfluous(p, container);
        size_t step = add_container_step(
            p, is_removed ? STEP_CONTAINER_REMOVE : STEP_CONTAINER_RENAME,
            is_removed ? container->name : wanted, name, container, container->number);
        remember(&p->repairs, name, step);
    }
}

static void plan_existing(struct planner *p, const char *name, const struct yaml *service,
                          const struct actual_container *container)
{
    bool is_made_anew = must_recreate(p, name, service, container);
    bool runs = actual_is_running(container);
    enum step_kind kind = is_made_anew ? STEP_CONTAINER_RECREATE : STEP_CONTAINER_KEEP;

    if (is_made_anew)
        map_set(&p->changed, name, p);
    if (!is_made_anew && !runs)
        return; /* It only has to be started. */
    CLEANUP(free) char *subject = final_name(p, container);
    size_t step = add_container_step(p, kind, subject, name, container, container->number);
    after_all(p, step, &p->repairs, name);
    if (is_made_anew)
        after_needs(p, step, service);
    remember(&p->creates, name, step);
}

/* The containers of one service; those beyond the scale go, highest numbers first. */
static void plan_service(struct planner *p, const char *name, const struct yaml *service)
{
    int scale = wanted_scale(p, name, service), count = 0, highest = 0;

    plan_repairs(p, name);
    for (size_t i = 0; i < p->actual->count; i++) {
        const struct actual_container *container = &p->actual->containers[i];

        if (!counts(p, container, name))
            continue;
        highest = MAX(highest, container->number);
        if (count++ < scale)
            plan_existing(p, name, service, container);
        else
            remove_container(p, container);
    }
    for (; count < scale; count++) {
        CLEANUP(free) char *subject = project_container_name(p->project, name, ++highest);
        size_t step = add_container_step(p, STEP_CONTAINER_CREATE, subject, name, NULL, highest);

        after_needs(p, step, service);
        remember(&p->creates, name, step);
    }
}

/* ---- starts ---- */

static size_t wait_step(struct planner *p, const char *service, const char *condition,
                        bool is_required)
{
    CLEANUP(free) char *key = xasprintf("%s %s", service, condition);
    size_t known = (size_t)map_get(&p->waits, key);

    if (!known) {
        known = plan_add(p->plan, STEP_WAIT, service, service) + 1;
        p->plan->steps[known - 1].condition = xstrdup(condition);
        p->plan->steps[known - 1].is_required = is_required;
        after_all(p, known - 1, &p->starts, service);
        map_set(&p->waits, key, (void *)known);
    }
    p->plan->steps[known - 1].is_required |= is_required;
    return known - 1;
}

static void after_dependencies(struct planner *p, size_t step, const struct yaml *service)
{
    const struct yaml *dependencies = yaml_get(service, "depends_on");

    for (size_t i = 0; !p->options->no_dependencies && i < yaml_count(dependencies); i++) {
        const char *name = dependencies->keys[i];
        const char *condition = yaml_text(yaml_get(dependencies->items[i], "condition"));
        bool is_required = yaml_is_true(yaml_get(dependencies->items[i], "required"));

        if (!project_service(p->project, name))
            continue;
        if (strcmp(condition, "service_started") == 0)
            after_all(p, step, &p->starts, name);
        else
            plan_after(p->plan, step, wait_step(p, name, condition, is_required));
    }
}

/* A dependency was made anew, and this service asks to be restarted then. */
static bool must_restart(const struct planner *p, const struct yaml *service)
{
    const struct yaml *dependencies = yaml_get(service, "depends_on");

    for (size_t i = 0; i < yaml_count(dependencies); i++)
        if (yaml_is_true(yaml_get(dependencies->items[i], "restart")) &&
            map_has(&p->changed, dependencies->keys[i]))
            return true;
    return false;
}

/* Every container of the service that is there after the steps so far, and does not run. */
static void plan_starts(struct planner *p, const char *name, const struct yaml *service,
                        size_t barrier)
{
    size_t made = barrier;
    int scale = wanted_scale(p, name, service), count = 0;

    for (size_t i = 0; i < made; i++) {
        const struct step *step = &p->plan->steps[i];
        enum step_kind kind = step->kind;

        if (!text_equal(step->service, name) ||
            (kind != STEP_CONTAINER_CREATE && kind != STEP_CONTAINER_RECREATE &&
             !(kind == STEP_CONTAINER_KEEP && must_restart(p, service))))
            continue;
        size_t start = add_container_step(
            p, kind == STEP_CONTAINER_KEEP ? STEP_CONTAINER_RESTART : STEP_CONTAINER_START,
            step->subject, name, NULL, step->number);
        p->plan->steps[start].id = xstrdup(p->plan->steps[i].id);
        plan_after(p->plan, start, i);
        plan_after(p->plan, start, barrier);
        after_dependencies(p, start, service);
        remember(&p->starts, name, start);
    }
    for (size_t i = 0; i < p->actual->count; i++) {
        const struct actual_container *container = &p->actual->containers[i];

        if (!counts(p, container, name) || count++ >= scale || actual_is_running(container) ||
            must_recreate(p, name, service, container))
            continue;
        CLEANUP(free) char *subject = final_name(p, container);
        size_t start = add_container_step(p, STEP_CONTAINER_START, subject, name, container,
                                          container->number);
        after_all(p, start, &p->repairs, name);
        plan_after(p->plan, start, barrier);
        after_dependencies(p, start, service);
        remember(&p->starts, name, start);
    }
}

/* Dependencies that are started again are waited for even if nobody is started after them: when
 * `up` returns, conditions hold. */
static void plan_waits(struct planner *p, const struct yaml *service)
{
    const struct yaml *dependencies = yaml_get(service, "depends_on");

    for (size_t i = 0; !p->options->no_dependencies && i < yaml_count(dependencies); i++) {
        const char *condition = yaml_text(yaml_get(dependencies->items[i], "condition"));

        if (map_has(&p->starts, dependencies->keys[i]) && strcmp(condition, "service_started") != 0)
            wait_step(p, dependencies->keys[i], condition,
                      yaml_is_true(yaml_get(dependencies->items[i], "required")));
    }
}

/* ---- the whole ---- */

static void visit(const struct project *project, const char *name, struct map *seen,
                  struct strv *out)
{
    const struct yaml *dependencies = yaml_get(project_service(project, name), "depends_on");

    if (map_has(seen, name) || !project_service(project, name))
        return;
    map_set(seen, name, seen);
    for (size_t i = 0; i < yaml_count(dependencies); i++)
        visit(project, dependencies->keys[i], seen, out);
    strv_add(out, name);
}

/* Names of the services, dependencies first. */
static void sort_services(const struct project *project, struct strv *out)
{
    CLEANUP(map_done) struct map seen = {};
    const struct yaml *services = yaml_get(project->model, "services");

    for (size_t i = 0; i < yaml_count(services); i++)
        if (!text_starts(services->keys[i], "x-"))
            visit(project, services->keys[i], &seen, out);
}

static void plan_orphans(struct planner *p)
{
    CLEANUP(strv_done) struct strv names = {};

    for (size_t i = 0; i < p->actual->count; i++) {
        const struct actual_container *container = &p->actual->containers[i];

        if (container->is_oneoff || project_service(p->project, container->service) ||
            yaml_get(p->project->disabled, container->service))
            continue;
        strv_add(&names, container->name);
        if (p->options->remove_orphans)
            remove_container(p, container);
    }
    if (!names.count || p->options->remove_orphans)
        return;
    CLEANUP(free) char *list = strv_join(&names, " ");
    warn(p,
         "Found orphan containers ([%s]) for this project. If you removed or renamed this service "
         "in "
         "your compose file, you can run this command with the --remove-orphans flag to clean it "
         "up.",
         list);
}

static void planner_done(struct planner *p)
{
    map_done(&p->resources);
    map_done(&p->creates);
    map_done(&p->starts);
    map_done(&p->changed);
    map_done(&p->renewed);
    map_done(&p->waits);
    map_done(&p->repairs);
}

void plan_up(const struct project *project, const struct actual *actual,
             const struct plan_options *options, struct plan *out, struct strv *out_warnings)
{
    struct planner p = { .project = project,
                         .actual = actual,
                         .options = options,
                         .plan = out,
                         .warnings = out_warnings };
    CLEANUP(strv_done) struct strv order = {};

    map_init_empty(&p.creates, list_free);
    map_init_empty(&p.starts, list_free);
    map_init_empty(&p.repairs, list_free);
    sort_services(project, &order);
    plan_orphans(&p);
    plan_resources(&p, "networks");
    plan_resources(&p, "volumes");
    for (size_t i = 0; i < order.count; i++)
        plan_service(&p, order.items[i], project_service(project, order.items[i]));
    if (!options->no_start) {
        size_t barrier = plan_add(out, STEP_BARRIER, "", NULL);

        for (size_t i = 0; i < barrier; i++)
            plan_after(out, barrier, i);
        for (size_t i = 0; i < order.count; i++)
            plan_starts(&p, order.items[i], project_service(project, order.items[i]), barrier);
        for (size_t i = 0; i < order.count; i++)
            plan_waits(&p, project_service(project, order.items[i]));
    }
    planner_done(&p);
}
