/* What a container changed in its root: docker diff, and what a commit copies. */
#include "base/memory.h"
#include "engine/container_files.h"
#include "engine/internal.h"

#include "base/banned.h"

int container_changes_open(struct container *container, struct writable *out, struct error *err)
{
    int result;

    /* The directory of one that is removed must not be made anew. */
    if (container_begin_operation(container, err))
        return -1;
    if (container_is_removed(container))
        result = error_set(err, ERROR_NOT_FOUND, "No such container: %s", container->id);
    else
        result = container_writable(container, out, err);
    mutex_unlock(&container->operation);
    if (result == 0)
        out->init_path = container->engine->init_layer_path;
    return result;
}

int engine_container_changes(struct engine *engine, const char *text, store_change_visitor *visit,
                             void *data, struct error *err)
{
    CLEANUP(container_unref) struct container *container = NULL;
    CLEANUP(writable_done) struct writable writable = {};

    if (container_find(engine, text, &container, err) < 0 ||
        container_changes_open(container, &writable, err) < 0)
        return -1;
    CLEANUP(container_info_unref) struct container_info *info = container_snapshot(container);
    return store_changes(engine->store, info->spec->chain_id, &writable, visit, data, err);
}
