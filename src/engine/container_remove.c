/* Removing and renaming containers. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "engine/container_name.h"
#include "engine/internal.h"
#include "engine/volume.h"

#include "base/banned.h"

enum { REMOVE_ATTEMPTS = 10 };

static int check_removable(const struct container_info *info, const char *text, bool force,
                           struct error *err)
{
    static const struct {
        enum container_state state;
        const char *why;
    } rows[] = {
        { CONTAINER_RUNNING,
          "container is running: stop the container before removing or force remove" },
        { CONTAINER_PAUSED, "container is paused and must be unpaused first" },
        { CONTAINER_RESTARTING,
          "container is restarting: stop the container before removing or force remove" },
    };

    for (size_t i = 0; !force && i < COUNT(rows); i++)
        if (rows[i].state == info->state)
            return error_set(err, ERROR_CONFLICT, "cannot remove container \"%s\": %s", text,
                             rows[i].why);
    if (info->state == CONTAINER_REMOVING)
        return error_set(err, ERROR_CONFLICT, "removal of container %s is already in progress",
                         text);
    return 0;
}

/* Anonymous volumes that only this container used. */
static void remove_volumes(struct engine *engine, const struct container_info *info)
{
    for (size_t i = 0; i < info->spec->mounts.count; i++) {
        const struct container_mount *mount = &JSON_ITEMS(&info->spec->mounts,
                                                          struct container_mount)[i];
        CLEANUP(strv_done) struct strv users = {};
        struct error err = {};

        if (strcmp(mount->type, "volume") != 0 || !mount->is_anonymous)
            continue;
        engine_volume_users(engine, mount->name, &users);
        if (users.count == 0 && engine_volume_remove(engine, mount->name, true, &err) < 0)
            log_warn("cannot remove an anonymous volume", "volume", mount->name, "error", err.text);
    }
}

void container_drop_attaches(struct container *container)
{
    mutex_lock(&container->lock);
    LIST_EACH (&container->attaches, struct pending_attach, link, attach) {
        list_remove(&attach->link);
        close(attach->client_fd);
        free(attach->pending);
        free(attach->keys);
        free(attach);
    }
    mutex_unlock(&container->lock);
}

/* Out of the way in one step; the files themselves go when nobody waits for it, at the latest with
 * the next start of the engine, which empties tmp/. */
static int remove_directory(struct engine *engine, const char *directory, struct error *err)
{
    CLEANUP(free)
    char *trash = xasprintf("%s/tmp/container-%s", engine->options.data_path, path_base(directory));

    if (container_directory_release(directory, err) < 0)
        return -1;
    if (rename(directory, trash) < 0)
        return tree_remove(directory, err);
    engine_discard_later(engine, trash);
    return 0;
}

static int remove_locked(struct container *container, bool with_volumes, struct error *err)
{
    struct engine *engine = container->engine;
    CLEANUP(container_info_unref) struct container_info *info = container_snapshot(container);
    CLEANUP(free) char *directory = container_directory(engine, container->id);
    struct error ignored;

    if (info->state == CONTAINER_REMOVING)
        return error_set(err, ERROR_CONFLICT, "removal of container %s is already in progress",
                         info->name);
    if (container_check_left(container, info, err) < 0)
        return error_context(err, "cannot remove container \"%s\"", info->name);
    struct container_info *next = container_info_copy(info);
    next->state = CONTAINER_REMOVING;
    /* Recorded, so that an engine that starts after a crash half-way finishes it. */
    container_publish(container, next);
    container_views_cancel(container);
    endpoint_detach(engine->networks, container->id, NULL, &ignored);
    if (remove_directory(engine, directory, err) < 0 || container_forget(container, err) < 0) {
        struct container_info *dead = container_info_copy(info);

        dead->state = CONTAINER_DEAD;
        container_publish(container, dead);
        return error_context(err, "cannot remove container \"%s\"", info->name);
    }
    container_drop_attaches(container);
    if (with_volumes)
        remove_volumes(engine, info);
    container_event(container, info, "destroy", NULL);
    container_wake_waiters(container, true, info->exit_code, NULL);
    return 0;
}

int container_remove_locked(struct container *container, bool with_volumes, struct error *err)
{
    uint64_t began_ns = clock_monotonic_ns();

    return metrics_note(container->engine, METRIC_DELETE, began_ns,
                        remove_locked(container, with_volumes, err), err);
}

int engine_container_remove(struct engine *engine, const char *text, bool force, bool with_volumes,
                            struct error *err)
{
    CLEANUP(container_unref) struct container *container = NULL;

    if (container_find(engine, text, &container, err) < 0)
        return -1;
    CLEANUP(container_info_unref) struct container_info *info = container_snapshot(container);
    if (check_removable(info, text, force, err) < 0)
        return -1;
    for (int attempt = 1;; attempt++) {
        if (force && container_force_end(container, err) < 0)
            return -1;
        if (container_begin_operation(container, err))
            return -1;
        CLEANUP(container_info_unref) struct container_info *now = container_snapshot(container);
        /* An auto-remove may have been faster, a start too. */
        bool is_gone = container_is_removed(container), is_up = !is_gone && container_is_up(now);
        int result = 0;
        if (is_up)
            result = check_removable(now, text, false, err);
        else if (!is_gone)
            result = container_remove_locked(container, with_volumes, err);
        mutex_unlock(&container->operation);
        if (!is_up || !force || attempt == REMOVE_ATTEMPTS)
            return result;
    }
}

int engine_container_rename(struct engine *engine, const char *text, const char *name,
                            struct error *err)
{
    CLEANUP(container_unref) struct container *container = NULL;
    struct container *other;

    if (container_find(engine, text, &container, err) < 0)
        return -1;
    if (text_is_empty(name) || strcmp(name, "/") == 0)
        return error_set(err, ERROR_INVALID, "Neither old nor new names may be empty");
    if (name[0] == '/')
        name++;
    if (container_begin_operation(container, err))
        return -1;
    CLEANUP(container_info_unref) struct container_info *info = container_snapshot(container);
    int result = 0;
    if (container_is_removed(container)) /* while this waited for its turn */
        result = error_set(err, ERROR_NOT_FOUND, "No such container: %s", text);
    else if (strcmp(info->name, name) == 0)
        result = error_set(err, ERROR_INVALID,
                           "Renaming a container with the same name as its current name");
    else if (!container_name_is_valid(name))
        result = error_set(err, ERROR_INVALID,
                           "Error when allocating new name: Invalid container name (/%s), only "
                           "[a-zA-Z0-9][a-zA-Z0-9_.-] are "
                           "allowed",
                           name);
    if (result == 0) {
        mutex_lock(&engine->lock);
        other = map_get(&engine->container_names, name);
        if (other) {
            result = error_set(err, ERROR_CONFLICT,
                               "Error when allocating new name: Conflict. The container name "
                               "\"/%s\" is already in use by "
                               "container \"%s\". You have to remove (or rename) that container to "
                               "be able to reuse that name.",
                               name, other->id);
        } else {
            map_set(&engine->container_names, name, container);
        }
        mutex_unlock(&engine->lock);
    }
    if (result == 0 && (result = container_record_name(container, name, err)) < 0) {
        mutex_lock(&engine->lock);
        map_take(&engine->container_names, name);
        mutex_unlock(&engine->lock);
    }
    if (result == 0) {
        struct container_info *next = container_info_copy(info);

        free(next->name);
        next->name = xstrdup(name);
        if (container_is_up(info))
            container_rename_endpoints(container, next);
        container_publish(container, next);
        /* Nobody else gets the old name before the record has let go of it. */
        mutex_lock(&engine->lock);
        map_take(&engine->container_names, info->name);
        mutex_unlock(&engine->lock);
        CLEANUP(free) char *old_name = xasprintf("/%s", info->name);
        container_event_text(container, next, "rename", "oldName", old_name);
    }
    mutex_unlock(&container->operation);
    return result;
}
