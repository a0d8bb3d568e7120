/* Away with it: containers whose dependants are gone first, then networks, volumes and images. */
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "compose/label.h"
#include "compose/plan.h"

#include "base/banned.h"

static bool is_wanted(const struct project *project, const struct plan_down_options *options,
                      const struct actual_container *container)
{
    bool is_known = !project->model || project_service(project, container->service) ||
                    yaml_get(project->disabled, container->service);

    if (options->services && options->services->count)
        return strv_contains(options->services, container->service);
    if (container->is_oneoff || !is_known)
        return options->remove_orphans || !project->model;
    return true;
}

/* "db:service_healthy:false,cache:…" names 'service'. */
static bool depends_on(const struct actual_container *container, const char *service)
{
    CLEANUP(strv_done) struct strv entries = {};
    size_t length = strlen(service);

    if (!container->dependencies)
        return false;
    strv_split(&entries, container->dependencies, ',');
    for (size_t i = 0; i < entries.count; i++)
        if (strncmp(entries.items[i], service, length) == 0 && entries.items[i][length] == ':')
            return true;
    return false;
}

static void plan_containers(const struct project *project, const struct actual *actual,
                            const struct plan_down_options *options, struct plan *out)
{
    CLEANUP(free) size_t *stops = xcalloc(actual->count + 1, sizeof(*stops)); /* index + 1 */

    for (size_t i = 0; i < actual->count; i++) {
        const struct actual_container *container = &actual->containers[i];

        if (!is_wanted(project, options, container))
            continue;
        size_t stop = plan_add(out, STEP_CONTAINER_STOP, container->name, container->service);
        size_t removal = plan_add(out, STEP_CONTAINER_REMOVE, container->name, container->service);
        out->steps[stop].id = xstrdup(container->id);
        out->steps[removal].id = xstrdup(container->id);
        plan_after(out, removal, stop);
        stops[i] = stop + 1;
    }
    for (size_t i = 0; i < actual->count; i++)
        for (size_t j = 0; j < actual->count; j++)
            if (stops[i] && stops[j] && i != j &&
                depends_on(&actual->containers[j], actual->containers[i].service) &&
                !depends_on(&actual->containers[i], actual->containers[j].service))
                plan_after(out, stops[i] - 1, stops[j]); /* after the removal of the dependant */
}

static void plan_list(const struct json *list, const char *label, enum step_kind kind,
                      struct plan *out)
{
    const struct json *items = json_type(list) == JSON_DICT ? json_get(list, "Volumes") : list;
    size_t containers = out->count;

    for (size_t i = 0; i < json_count(items); i++) {
        const struct json *item = json_at(items, i);
        size_t step = plan_add(out, kind, json_text(json_get(item, "Name")),
                               json_text(json_get(json_get(item, "Labels"), label)));

        for (size_t j = 0; j < containers; j++)
            if (out->steps[j].kind == STEP_CONTAINER_REMOVE)
                plan_after(out, step, j);
    }
}

static void plan_image(const char *image, const char *service, size_t earlier, struct plan *out)
{
    const char *last = strrchr(image, '/');
    bool has_tag = strchr(last ? last : image, ':') != NULL;
    CLEANUP(free) char *name = has_tag ? xstrdup(image) : xasprintf("%s:latest", image);
    size_t step = plan_add(out, STEP_IMAGE_REMOVE, name, service);

    out->steps[step].keeps_going = true;
    for (size_t j = 0; j < earlier; j++)
        plan_after(out, step, j);
}

/* "local": what was built for services that name no image; "all": of every service. */
static void plan_images(const struct project *project, const char *which, struct plan *out)
{
    const struct yaml *services = yaml_get(project->model, "services");
    size_t earlier = out->count;

    for (size_t i = 0; i < yaml_count(services); i++) {
        CLEANUP(free) char *image = project_image_name(project, services->keys[i]);

        if (strcmp(which, "all") == 0 || !yaml_get(services->items[i], "image"))
            plan_image(image, services->keys[i], earlier, out);
    }
}

/* The same by the containers that there are, where no file tells. */
static void plan_images_of(const struct project *project, const struct actual *actual,
                           const char *which, struct plan *out)
{
    size_t earlier = out->count;

    for (size_t i = 0; i < actual->count; i++) {
        const struct actual_container *container = &actual->containers[i];
        CLEANUP(free) char *built = project_image_name(project, container->service);
        bool is_seen = false;

        for (size_t j = 0; j < i; j++)
            is_seen |= strcmp(actual->containers[j].image, container->image) == 0;
        if (!is_seen && (strcmp(which, "all") == 0 || strcmp(container->image, built) == 0))
            plan_image(container->image, container->service, earlier, out);
    }
}

void plan_down(const struct project *project, const struct actual *actual,
               const struct plan_down_options *options, struct plan *out)
{
    plan_containers(project, actual, options, out);
    if (options->removes_networks)
        plan_list(actual->networks, LABEL_NETWORK, STEP_NETWORK_REMOVE, out);
    if (options->volumes)
        plan_list(actual->volumes, LABEL_VOLUME, STEP_VOLUME_REMOVE, out);
    if (options->images && project->model)
        plan_images(project, options->images, out);
    else if (options->images)
        plan_images_of(project, actual, options->images, out);
}
