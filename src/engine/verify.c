/* `system verify`: record, kernel and disk, compared. Says what it finds; repairs nothing. */
#include <dirent.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "engine/internal.h"
#include "linux/cgroup.h"

#include "base/banned.h"

enum { MOUNTINFO_LIMIT = 16 * 1024 * 1024, PASSES = 3, PASS_DELAY_MS = 150 };

static bool is_up(struct engine *engine, const char *id)
{
    CLEANUP(container_unref) struct container *container = container_find_id(engine, id);

    if (!container)
        return false;
    CLEANUP(container_info_unref) struct container_info *info = container_snapshot(container);
    return container_is_up(info);
}

static bool is_build_step(struct engine *engine, const char *id)
{
    mutex_lock(&engine->lock);
    bool found = map_has(&engine->build_processes, id);
    mutex_unlock(&engine->lock);
    return found;
}

/* Entries of a directory that belong to no container (or to none that is up). */
static void verify_directory(struct engine *engine, const char *path, const char *what,
                             bool only_up, struct strv *out)
{
    DIR *dir = opendir(path);
    struct dirent *entry;

    while (dir && (entry = readdir(dir))) {
        if (entry->d_name[0] == '.' || is_build_step(engine, entry->d_name))
            continue;
        CLEANUP(container_unref)
        struct container *container = container_find_id(engine, entry->d_name);
        if (!container)
            strv_add_format(out, "%s %s/%s belongs to no container", what, path, entry->d_name);
        else if (only_up && !is_up(engine, entry->d_name))
            strv_add_format(out, "%s %s/%s belongs to a container that does not run", what, path,
                            entry->d_name);
    }
    if (dir)
        closedir(dir);
}

/* The networks that a container says it is on, and those where it has an endpoint. */
static void verify_endpoints(struct engine *engine, const struct container_info *info,
                             struct strv *out)
{
    CLEANUP(map_done) struct map attached;
    struct endpoint *list = NULL;
    size_t count = 0;
    struct error err = {};

    map_init_empty(&attached, NULL);
    if (endpoint_list(engine->networks, NULL, info->id, &list, &count, &err) < 0)
        strv_add_format(out, "endpoints of container %s cannot be listed: %s", info->id, err.text);
    for (size_t i = 0; i < count; i++) {
        map_set(&attached, list[i].network_name, engine);
        if (!map_has(&info->endpoints, list[i].network_name))
            strv_add_format(out, "container %s has an endpoint on network %s, which it is not on",
                            info->id, list[i].network_name);
    }
    MAP_EACH (&info->endpoints, entry)
        if (strcmp(entry->key, "host") != 0 && strcmp(entry->key, "none") != 0 &&
            !map_has(&attached, entry->key))
            strv_add_format(out, "container %s is on network %s, but has no endpoint there",
                            info->id, entry->key);
    endpoint_list_free(list, count);
}

static void verify_containers(struct engine *engine, struct strv *out)
{
    struct container_info **list;
    size_t count;

    engine_container_list(engine, &list, &count, NULL);
    for (size_t i = 0; i < count; i++) {
        CLEANUP(free) char *directory = container_directory(engine, list[i]->id);
        char proc[32];

        if (!file_exists(directory))
            strv_add_format(out, "container %s has no directory %s", list[i]->id, directory);
        if (!container_is_up(list[i]))
            continue;
        snprintf(proc, sizeof(proc), "/proc/%d", (int)list[i]->pid);
        if (!file_exists(proc))
            strv_add_format(out, "container %s is recorded as running, but process %d is gone",
                            list[i]->id, (int)list[i]->pid);
        if (!text_starts(list[i]->host_config.network_mode, "container:"))
            verify_endpoints(engine, list[i], out);
    }
    engine_container_list_free(list, count);
}

static void verify_supervisors(struct engine *engine, struct strv *out)
{
    CLEANUP(strv_done) struct strv ids = {};
    struct error err = {};

    if (shim_list(engine->options.run_path, &ids, &err) < 0) {
        strv_add_format(out, "supervisors cannot be listed: %s", err.text);
        return;
    }
    for (size_t i = 0; i < ids.count; i++)
        if (!is_up(engine, ids.items[i]) && !is_build_step(engine, ids.items[i]))
            strv_add_format(out, "supervisor socket %s belongs to no running container",
                            ids.items[i]);
}

static void verify_cgroups(struct engine *engine, struct strv *out)
{
    CLEANUP(strv_done) struct strv children = {};

    cgroup_children(engine->cgroup_path, &children);
    for (size_t i = 0; i < children.count; i++)
        if (!is_up(engine, children.items[i]) && !is_build_step(engine, children.items[i]))
            strv_add_format(out, "cgroup %s/%s belongs to no running container",
                            engine->cgroup_path, children.items[i]);
}

/* Nothing of ours is mounted where the host sees it, but volumes that are mounts, while they are
 * used: every other mount below our directories is a leftover. */
static void verify_mounts(struct engine *engine, struct strv *out)
{
    CLEANUP(str_done) struct str text = {};
    CLEANUP(strv_done) struct strv lines = {};
    const char *const roots[] = { engine->options.data_path, engine->options.run_path };
    struct error err = {};

    if (file_read("/proc/self/mountinfo", MOUNTINFO_LIMIT, &text, &err) < 0) {
        strv_add_format(out, "mounts cannot be read: %s", err.text);
        return;
    }
    strv_split(&lines, str_text(&text), '\n');
    for (size_t i = 0; i < lines.count; i++) {
        CLEANUP(strv_done) struct strv fields = {};

        strv_split(&fields, lines.items[i], ' ');
        for (size_t r = 0; fields.count > 4 && r < COUNT(roots); r++) {
            size_t length = strlen(roots[r]);

            if (strncmp(fields.items[4], roots[r], length) == 0 && fields.items[4][length] == '/' &&
                !volumes_expect_mount(engine->volumes, fields.items[4]) &&
                !container_expects_mount(engine, fields.items[4]))
                strv_add_format(out, "mount at %s is not the engine's", fields.items[4]);
        }
    }
}

static int verify_once(struct engine *engine, struct strv *out, struct error *err)
{
    verify_containers(engine, out);
    verify_directory(engine, engine->containers_path, "directory", false, out);
    verify_directory(engine, engine->bundles_path, "bundle", true, out);
    verify_supervisors(engine, out);
    verify_cgroups(engine, out);
    verify_mounts(engine, out);
    if (store_verify(engine->store, out, err) < 0 || volumes_verify(engine->volumes, out, err) < 0)
        return -1;
    return networks_verify(engine->networks, out, err);
}

int engine_verify(struct engine *engine, bool rehash, struct strv *out, struct error *err)
{
    CLEANUP(strv_done) struct strv found = {};

    if (verify_once(engine, &found, err) < 0)
        return -1;
    /* What starts or ends at this moment is in between: only what stays is a difference. */
    for (int pass = 1; pass < PASSES && found.count; pass++) {
        CLEANUP(strv_done) struct strv again = {};

        poll(NULL, 0, PASS_DELAY_MS);
        if (verify_once(engine, &again, err) < 0)
            return -1;
        for (size_t i = found.count; i-- > 0;)
            if (!strv_contains(&again, found.items[i]))
                strv_remove(&found, i);
    }
    strv_add_all(out, &found);
    return rehash ? store_rehash(engine->store, out, err) : 0;
}
