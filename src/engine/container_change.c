/* What changes of a container that is there have in common: how they begin, and how they end. */
#include "base/log.h"
#include "base/memory.h"
#include "engine/internal.h"

#include "base/banned.h"

int container_change(struct engine *engine, const char *text, container_change_run *run,
                     const void *data, struct error *err)
{
    CLEANUP(container_unref) struct container *container = NULL;

    if (container_find(engine, text, &container, err) < 0 ||
        container_begin_operation(container, err))
        return -1;
    int result = container_is_removed(container)
                     ? error_set(err, ERROR_NOT_FOUND, "No such container: %s", text)
                     : run(container, data, err);
    mutex_unlock(&container->operation);
    return result;
}

int container_change_begin(const struct container_info *info, struct container_spec **out,
                           struct error *err)
{
    if (info->state == CONTAINER_REMOVING || info->state == CONTAINER_DEAD)
        return error_set(err, ERROR_CONFLICT,
                         "container is marked for removal and cannot be \"update\"");
    struct container_spec *spec = NEW(struct container_spec);
    json_fields_copy(container_spec_fields, info->spec, spec);
    spec->reference_count = 1;
    *out = spec;
    return 0;
}

int container_change_end(struct container *container, struct container_spec *before, int result)
{
    struct error failed = {};

    if (result == 0) {
        CLEANUP(container_info_unref) struct container_info *now = container_snapshot(container);

        container_event(container, now, "update", NULL);
    } else if (container_set_spec(container, before, &failed) < 0) {
        log_error("cannot take back an update", "container", container->id, "error", failed.text);
    }
    return result;
}
