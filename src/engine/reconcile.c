/* What a starting engine finds: supervisors that went on without it, and what a crash left
 * half-done. Containers that run are taken over as they are; nothing is restarted because the
 * engine was. */
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "engine/internal.h"
#include "linux/cgroup.h"

#include "base/banned.h"

#define RETRY_NS (5 * NS_PER_S)

static bool is_alive(void *data, const char *container_id)
{
    CLEANUP(container_unref) struct container *container = container_find_id(data, container_id);

    if (!container)
        return false;
    CLEANUP(container_info_unref) struct container_info *info = container_snapshot(container);
    return container_is_up(info);
}

/* The ports in force, from the network's record. */
static void restore_ports(struct container *container)
{
    CLEANUP(container_info_unref) struct container_info *info = container_snapshot(container);
    struct container_info *next = container_info_copy(info);

    container_list_ports(container, next);
    container_publish_only(container, next);
}

static void retry_take_over(void *data)
{
    CLEANUP(container_unref) struct container *container = data;
    CLEANUP(container_info_unref) struct container_info *info = container_snapshot(container);

    if (container_is_up(info))
        container_take_over(container);
}

static void drop_take_over(void *data)
{
    container_unref(data);
}

/* Its supervisor is gone: with the whole machine, which takes the run directory along, or alone. */
static void settle_unsupervised(struct container *container)
{
    CLEANUP(free) char *bundle = path_join(container->engine->bundles_path, container->id);
    struct run_end end = { .exit_code = 255, .wall_ns = clock_wall_ns() };

    if (file_exists(bundle)) {
        end.exit_code = SUPERVISOR_KILLED_CODE;
        end.reason = SUPERVISOR_KILLED_REASON;
    }
    container_settle_exit(container, &end);
}

/* A container that the record says is up: still so, ended meanwhile, or gone with its supervisor.
 * One whose supervisor is there but does not answer (stopped by somebody, starved) is left alone
 * and asked again later. */
void container_take_over(struct container *container)
{
    struct shim_status status = {};
    struct shim *shim = NULL;
    struct error err = {};

    mutex_lock(&container->operation);
    CLEANUP(container_info_unref) struct container_info *info = container_snapshot(container);
    CLEANUP(shim_unref) struct shim *known = container_shim(container);
    if (known || !container_is_up(info)) {
        mutex_unlock(&container->operation);
        return;
    }
    int result = shim_connect(container->engine->monitor, container->id, &shim, &status, &err);
    if (result < 0 && err.kind != ERROR_NOT_FOUND) {
        log_warn("a container's supervisor does not answer", "container", container->id, "error",
                 err.text);
        work_submit(container->engine->work, RETRY_NS, retry_take_over, drop_take_over,
                    container_ref(container));
    } else if (result < 0) {
        log_warn("a container's supervisor is gone", "container", container->id, "error", err.text);
        settle_unsupervised(container);
    } else {
        mutex_lock(&container->lock);
        container->shim = shim;
        mutex_unlock(&container->lock);
        if (status.is_running)
            container_networks_take_over(container);
        restore_ports(container);
        execs_take_over(container, shim);
        container_mounts_take_over(container, info->spec);
        if (status.is_created) {
            /* The crash fell between its creation and its start: it never ran. */
            container_settle_exit(
                container, &(struct run_end){ .exit_code = 128, .wall_ns = clock_wall_ns() });
        } else if (!status.is_running) {
            container_settle_exit(container, &(struct run_end){ .exit_code = status.exit_code,
                                                                .oom_killed = status.oom_killed,
                                                                .wall_ns = status.exited_ns });
        } else {
            health_watch(container);
            if (info->is_held && container_pause_locked(container, PAUSE_END, &err) < 0)
                log_warn("cannot let go of a container that was held", "container", container->id,
                         "error", err.text);
        }
    }
    mutex_unlock(&container->operation);
}

static bool has_directory(struct container *container)
{
    CLEANUP(free) char *directory = container_directory(container->engine, container->id);

    return file_exists(directory);
}

/* Its creation was cut off between record and directory: no client was told of it. */
static bool is_half_made(struct container *container, const struct container_info *info)
{
    return info->state == CONTAINER_CREATED && !info->started_ns && !container->is_whole &&
           !has_directory(container);
}

/* A power cut may take the directory of a container that is whole: it was not on disk yet. */
static void make_directory_again(struct container *container)
{
    struct error err = {};

    if (!container_is_removed(container) && !has_directory(container) &&
        container_prepare_directory(container, &err) < 0)
        log_warn("cannot make the directory of a container again", "container", container->id,
                 "error", err.text);
}

/* Also those that had ended before, when the last engine did not come to removing them, and those
 * that it was just making or removing. */
static void remove_ended(struct container *container)
{
    struct error err = {};

    mutex_lock(&container->operation);
    CLEANUP(container_info_unref) struct container_info *info = container_snapshot(container);
    bool has_ended = info->state == CONTAINER_EXITED || info->state == CONTAINER_DEAD;
    bool is_half_removed = info->state == CONTAINER_REMOVING;
    bool is_new = is_half_made(container, info);
    if (is_half_removed) {
        struct container_info *dead = container_info_copy(info);

        dead->state = CONTAINER_DEAD;
        container_publish_only(container, dead);
    }
    if (((has_ended && info->host_config.auto_remove) || is_half_removed || is_new) &&
        container_remove_locked(container, is_new || info->host_config.auto_remove, &err) < 0)
        log_warn("cannot remove a container that ended", "container", container->id, "error",
                 err.text);
    mutex_unlock(&container->operation);
}

/* Policies that hold across a start of the engine. */
static void start_by_policy(struct container *container, const struct container_info *info)
{
    const char *policy = info->host_config.restart_policy.name;
    struct error err = {};

    mutex_lock(&container->lock);
    bool was_stopped = container->manually_stopped;
    mutex_unlock(&container->lock);
    bool wanted = info->state == CONTAINER_RESTARTING ||
                  (strcmp(policy, "always") == 0 && info->started_ns) ||
                  (strcmp(policy, "unless-stopped") == 0 && info->started_ns && !was_stopped);
    if (!wanted || container_is_up(info))
        return;
    mutex_lock(&container->operation);
    if (container_start_locked(container, &err) < 0)
        log_warn("cannot start a container", "container", container->id, "error", err.text);
    mutex_unlock(&container->operation);
}

/* Supervisors that belong to nothing we know: steps of a build that died with the last engine,
 * removed containers. */
static void end_strays(struct engine *engine)
{
    CLEANUP(strv_done) struct strv ids = {};
    struct error err = {};

    if (shim_list(engine->options.run_path, &ids, &err) < 0) {
        log_warn("cannot look for supervisors", "error", err.text);
        return;
    }
    for (size_t i = 0; i < ids.count; i++) {
        CLEANUP(shim_unref) struct shim *shim = NULL;
        CLEANUP(container_unref)
        struct container *container = container_find_id(engine, ids.items[i]);
        struct shim_status status;

        if (container && is_alive(engine, ids.items[i]))
            continue;
        if ((shim_connect(engine->monitor, ids.items[i], &shim, &status, &err) < 0 ||
             shim_forget(shim, &err) < 0) &&
            err.kind != ERROR_NOT_FOUND && shim_kill(ids.items[i], &err) < 0)
            log_warn("cannot end a stray supervisor", "id", ids.items[i], "error", err.text);
    }
}

/* Directories that are named by an id, below 'path': those of unknown containers go. */
static void remove_strays(struct engine *engine, const char *path, bool only_if_alive)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    struct error err = {};

    while (dir && (entry = readdir(dir))) {
        if (!text_is_hex(entry->d_name, ID_LENGTH))
            continue;
        CLEANUP(container_unref)
        struct container *container = container_find_id(engine, entry->d_name);
        if (container && (!only_if_alive || is_alive(engine, entry->d_name)))
            continue;
        CLEANUP(free) char *stray = path_join(path, entry->d_name);
        if (container_directory_release(stray, &err) < 0 || tree_remove(stray, &err) < 0)
            log_warn("cannot remove a stray directory", "path", stray, "error", err.text);
    }
    if (dir)
        closedir(dir);
}

static void remove_stray_cgroups(struct engine *engine)
{
    CLEANUP(strv_done) struct strv children = {};
    struct error err = {};

    /* A parent that was named by the user may hold the groups of others. */
    if (!text_is_empty(engine->options.cgroup_parent))
        return;
    cgroup_children(engine->cgroup_path, &children);
    for (size_t i = 0; i < children.count; i++) {
        CLEANUP(free) char *path = path_join(engine->cgroup_path, children.items[i]);

        if (is_alive(engine, children.items[i]) || !text_is_hex(children.items[i], ID_LENGTH))
            continue;
        if (cgroup_remove(path, &err) < 0)
            log_warn("cannot remove a stray cgroup", "path", path, "error", err.text);
    }
}

/* Volumes that are mounts, of containers that ended while no engine was there. */
static void release_volumes(struct engine *engine)
{
    CLEANUP(strv_done) struct strv failures = {};

    volumes_release_unused(engine->volumes, &failures);
    for (size_t i = 0; i < failures.count; i++)
        log_warn("cannot unmount a volume", "error", failures.items[i]);
}

static struct container **all_containers(struct engine *engine, size_t *out_count)
{
    mutex_lock(&engine->lock);
    struct container **list = xcalloc(engine->containers.count + 1, sizeof(*list));
    *out_count = engine->containers.count;
    for (size_t i = 0; i < *out_count; i++)
        list[i] = container_ref(engine->containers.entries[i].value);
    mutex_unlock(&engine->lock);
    return list;
}

/* All at once: one that does not answer costs the others nothing. */
struct round {
    struct mutex lock;
    struct condition changed;
    size_t left;
};

struct round_job {
    struct round *round;
    struct container *container;
};

static void look_after(void *data)
{
    CLEANUP(free) struct round_job *job = data;
    CLEANUP(container_info_unref) struct container_info *info = container_snapshot(job->container);

    if (container_is_up(info))
        container_take_over(job->container);
    remove_ended(job->container);
    make_directory_again(job->container);
    mutex_lock(&job->round->lock);
    job->round->left--;
    condition_broadcast(&job->round->changed);
    mutex_unlock(&job->round->lock);
}

static void look_after_all(struct engine *engine, struct container **list, size_t count)
{
    struct round round = { .left = count };

    mutex_init(&round.lock);
    condition_init(&round.changed);
    for (size_t i = 0; i < count; i++) {
        struct round_job *job = NEW(struct round_job);

        *job = (struct round_job){ &round, list[i] };
        work_submit(engine->work, 0, look_after, free, job);
    }
    mutex_lock(&round.lock);
    while (round.left)
        condition_wait(&round.changed, &round.lock);
    mutex_unlock(&round.lock);
    condition_done(&round.changed);
    mutex_done(&round.lock);
}

int engine_reconcile(struct engine *engine, struct error *err)
{
    size_t count;
    CLEANUP(free) struct container **list = all_containers(engine, &count);

    look_after_all(engine, list, count);
    release_volumes(engine);
    int result = networks_reconcile(engine->networks, is_alive, engine, err);
    end_strays(engine);
    remove_strays(engine, engine->containers_path, false);
    remove_strays(engine, engine->bundles_path, true);
    remove_stray_cgroups(engine);
    for (size_t i = 0; i < count; i++) {
        CLEANUP(container_info_unref) struct container_info *info = container_snapshot(list[i]);

        if (result == 0)
            start_by_policy(list[i], info);
        container_unref(list[i]);
    }
    return result;
}
