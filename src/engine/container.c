/* The containers there are: look-up, snapshots, and their rows in the record. */
#include "engine/container.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "engine/internal.h"

#include "base/banned.h"

enum { OPERATION_LIMIT_S = 60 };

/* What the record keeps of a container's state. */
struct state_document {
    char *state, *error;
    int64_t pid, exit_code, started_ns, finished_ns, restart_count;
    bool oom_killed, manually_stopped, is_held;
    char *hosts_path, *hostname_path, *resolv_path;
    struct map endpoints;
};

/* clang-format off */
static const struct json_field state_fields[] = {
    JSON_STRING(struct state_document, state,            "State"),
    JSON_STRING(struct state_document, error,            "Error"),
    JSON_INT64 (struct state_document, pid,              "Pid"),
    JSON_INT64 (struct state_document, exit_code,        "ExitCode"),
    JSON_INT64 (struct state_document, started_ns,       "Started"),
    JSON_INT64 (struct state_document, finished_ns,      "Finished"),
    JSON_INT64 (struct state_document, restart_count,    "RestartCount"),
    JSON_BOOL  (struct state_document, oom_killed,       "OOMKilled"),
    JSON_BOOL  (struct state_document, is_held,          "Held"),
    JSON_BOOL  (struct state_document, manually_stopped, "ManuallyStopped"),
    JSON_STRING(struct state_document, hosts_path,       "HostsPath"),
    JSON_STRING(struct state_document, hostname_path,    "HostnamePath"),
    JSON_STRING(struct state_document, resolv_path,      "ResolvPath"),
    JSON_MAP   (struct state_document, endpoints,        "Endpoints", struct endpoint_settings, endpoint_settings_fields),
    JSON_END,
};
/* clang-format on */

struct container *container_ref(struct container *container)
{
    atomic_fetch_add(&container->reference_count, 1);
    return container;
}

void container_unref(struct container *container)
{
    if (!container || atomic_fetch_sub(&container->reference_count, 1) > 1)
        return;
    container_info_unref(container->info);
    shim_unref(container->shim);
    mutex_done(&container->operation);
    mutex_done(&container->lock);
    free(container);
}

int container_begin_operation(struct container *container, struct error *err)
{
    uint64_t deadline_ns = clock_monotonic_ns() + OPERATION_LIMIT_S * (uint64_t)NS_PER_S;

    if (mutex_lock_until(&container->operation, deadline_ns))
        return 0;
    return error_set(err, ERROR_UNAVAILABLE,
                     "another operation on container %s has not ended within %d s", container->id,
                     OPERATION_LIMIT_S);
}

struct container_info *container_snapshot(struct container *container)
{
    mutex_lock(&container->lock);
    struct container_info *info = container_info_ref(container->info);
    mutex_unlock(&container->lock);
    return info;
}

bool container_is_removed(struct container *container)
{
    mutex_lock(&container->lock);
    bool is_removed = container->is_removed;
    mutex_unlock(&container->lock);
    return is_removed;
}

struct shim *container_shim(struct container *container)
{
    mutex_lock(&container->lock);
    struct shim *shim = container->shim ? shim_ref(container->shim) : NULL;
    mutex_unlock(&container->lock);
    return shim;
}

static char *state_text(struct container *container, const struct container_info *info)
{
    struct str text = {};

    mutex_lock(&container->lock);
    struct state_document document = {
        .state = (char *)container_state_name(info->state),
        .error = info->error,
        .pid = info->pid,
        .exit_code = info->exit_code,
        .started_ns = info->started_ns,
        .finished_ns = info->finished_ns,
        .restart_count = info->restart_count,
        .oom_killed = info->oom_killed,
        .is_held = info->is_held,
        .manually_stopped = container->manually_stopped,
        .hosts_path = info->hosts_path,
        .hostname_path = info->hostname_path,
        .resolv_path = info->resolv_path,
        .endpoints = info->endpoints,
    };
    mutex_unlock(&container->lock);
    json_encode(state_fields, &document, &text);
    return str_take(&text);
}

void container_publish_only(struct container *container, struct container_info *info)
{
    mutex_lock(&container->lock);
    struct container_info *old = container->info;
    /* Execs and probes come and go while an operation works on its copy. */
    strv_done(&info->exec_ids);
    strv_copy(&info->exec_ids, &old->exec_ids);
    health_unref(info->health);
    info->health = health_ref(old->health);
    container->info = info;
    mutex_unlock(&container->lock);
    container_info_unref(old);
}

void container_list_exec(struct container *container, const char *exec_id, bool is_added)
{
    mutex_lock(&container->lock);
    struct container_info *old = container->info;
    struct container_info *info = container_info_copy(old);
    if (is_added)
        strv_add(&info->exec_ids, exec_id);
    for (size_t i = info->exec_ids.count; !is_added && i-- > 0;)
        if (!exec_id || strcmp(info->exec_ids.items[i], exec_id) == 0)
            strv_remove(&info->exec_ids, i);
    if (!info->exec_ids.count)
        strv_done(&info->exec_ids);
    container->info = info;
    mutex_unlock(&container->lock);
    container_info_unref(old);
}

/* A power cut ends all containers, and those that go with their end nobody looks for afterwards:
 * starting and removing them need not wait for the disk. */
static enum durability durability_of(const struct container_info *info)
{
    return info->host_config.auto_remove ? RELAXED : DURABLE;
}

int container_set_spec(struct container *container, struct container_spec *spec, struct error *err)
{
    CLEANUP(container_info_unref) struct container_info *info = container_snapshot(container);
    CLEANUP(str_done) struct str text = {};

    json_encode(container_spec_fields, spec, &text);
    if (database_run_alone(container->engine->database, durability_of(info), err,
                           "UPDATE container SET spec = ?1 WHERE id = ?2", "ss", str_text(&text),
                           container->id) < 0)
        return -1;
    mutex_lock(&container->lock);
    struct container_info *old = container->info;
    container->info = container_info_copy(old);
    container_info_borrow(container->info, spec);
    mutex_unlock(&container->lock);
    container_info_unref(old);
    return 0;
}

bool container_set_health(struct container *container, uint64_t run_number,
                          struct container_health *health)
{
    mutex_lock(&container->lock);
    struct container_info *old = container->info, *info = NULL;
    if (container->run_number == run_number) {
        info = container_info_copy(old);
        health_unref(info->health);
        info->health = health_ref(health);
        container->info = info;
    }
    mutex_unlock(&container->lock);
    if (info)
        container_info_unref(old);
    return info != NULL;
}

/* A column of its own: probes and operations do not overwrite each other's part. */
void container_record_health(struct container *container)
{
    CLEANUP(container_info_unref) struct container_info *info = container_snapshot(container);
    CLEANUP(str_done) struct str text = {};
    struct error err = {};

    if (info->health)
        json_encode(container_health_fields, info->health, &text);
    if (database_run(container->engine->database, &err,
                     "UPDATE container SET health = ?1 WHERE id = ?2", "ss", str_text(&text),
                     container->id) < 0)
        log_error("cannot record the health of a container", "container", container->id, "error",
                  err.text);
}

static void publish(struct container *container, struct container_info *info,
                    enum durability durability)
{
    CLEANUP(free) char *state = state_text(container, info);
    struct error err = {};

    if (database_run_alone(container->engine->database, durability, &err,
                           "UPDATE container SET state = ?1, name = ?2 WHERE id = ?3", "sss", state,
                           info->name, container->id) < 0)
        log_error("cannot record the state of a container", "container", container->id, "error",
                  err.text);
    container_publish_only(container, info);
}

void container_publish(struct container *container, struct container_info *info)
{
    publish(container, info, RELAXED);
}

void container_publish_wish(struct container *container, struct container_info *info)
{
    publish(container, info, durability_of(info));
}

int container_record(struct container *container, struct error *err)
{
    CLEANUP(container_info_unref) struct container_info *info = container_snapshot(container);
    CLEANUP(free) char *state = state_text(container, info);
    CLEANUP(str_done) struct str spec = {};

    json_encode(container_spec_fields, info->spec, &spec);
    return database_run(container->engine->database, err,
                        "INSERT INTO container(id, name, created_ns, sequence, spec, state, "
                        "is_whole) VALUES(?1, ?2, ?3, ?4, ?5, ?6, 0)",
                        "ssiiss", container->id, info->name, info->created_ns,
                        (int64_t)container->sequence, str_text(&spec), state) < 0
               ? -1
               : 0;
}

int container_record_whole(struct container *container, struct error *err)
{
    CLEANUP(container_info_unref) struct container_info *info = container_snapshot(container);

    if (durability_of(info) == RELAXED)
        return 0;
    return database_run_alone(container->engine->database, DURABLE, err,
                              "UPDATE container SET is_whole = 1 WHERE id = ?1", "s",
                              container->id) < 0
               ? -1
               : 0;
}

int container_record_name(struct container *container, const char *name, struct error *err)
{
    CLEANUP(container_info_unref) struct container_info *info = container_snapshot(container);

    return database_run_alone(container->engine->database, durability_of(info), err,
                              "UPDATE container SET name = ?1 WHERE id = ?2", "ss", name,
                              container->id) < 0
               ? -1
               : 0;
}

int container_forget(struct container *container, struct error *err)
{
    struct engine *engine = container->engine;
    CLEANUP(container_info_unref) struct container_info *info = container_snapshot(container);

    if (database_run_alone(engine->database, durability_of(info), err,
                           "DELETE FROM container WHERE id = ?1", "s", container->id) < 0)
        return -1;
    mutex_lock(&engine->lock);
    bool was_there = map_has(&engine->containers, container->id);
    map_take(&engine->containers, container->id);
    if (map_get(&engine->container_names, info->name) == container)
        map_take(&engine->container_names, info->name);
    mutex_unlock(&engine->lock);
    mutex_lock(&container->lock);
    container->is_removed = true;
    mutex_unlock(&container->lock);
    if (was_there)
        container_unref(container); /* the map's reference */
    return 0;
}

static void restore_state(struct container *container, const struct state_document *document)
{
    struct container_info *info = container->info;

#define X(name, text)                                                                              \
    if (strcmp(document->state, text) == 0)                                                        \
        info->state = CONTAINER_##name;
    CONTAINER_STATES(X)
#undef X
    free(info->error);
    info->error = xstrdup(document->error ? document->error : "");
    info->pid = (pid_t)document->pid;
    info->exit_code = (int)document->exit_code;
    info->started_ns = document->started_ns;
    info->finished_ns = document->finished_ns;
    info->restart_count = (int)document->restart_count;
    info->oom_killed = document->oom_killed;
    info->is_held = document->is_held;
    container->manually_stopped = document->manually_stopped;
    if (!text_is_empty(document->hosts_path)) {
        free(info->hosts_path);
        info->hosts_path = xstrdup(document->hosts_path);
        free(info->hostname_path);
        info->hostname_path = xstrdup(document->hostname_path);
        free(info->resolv_path);
        info->resolv_path = xstrdup(document->resolv_path);
    }
    /* The record knows of networks that were joined and left since the container was made. */
    map_done(&info->endpoints);
    map_init_empty(&info->endpoints, container_free_endpoint);
    MAP_EACH (&document->endpoints, entry) {
        struct endpoint_settings *endpoint = NEW(struct endpoint_settings);

        json_fields_copy(endpoint_settings_fields, entry->value, endpoint);
        map_set(&info->endpoints, entry->key, endpoint);
    }
}

/* Text that cannot be read is like none: the next probe tells. */
static void restore_health(struct container *container, const char *text)
{
    struct container_health *health = NEW(struct container_health);
    struct error ignored;

    health->reference_count = 1;
    if (text_is_empty(text) ||
        json_decode(container_health_fields, text, strlen(text), health, &ignored) < 0 ||
        text_is_empty(health->status)) {
        health_unref(health);
        return;
    }
    container->info->health = health;
}

static int load_row(struct engine *engine, struct query *query, struct error *err)
{
    struct container_spec *spec = NEW(struct container_spec);
    struct state_document state = {};
    const char *id = query_text(query, 0), *spec_text = query_text(query, 4),
               *state_text_ = query_text(query, 5);

    spec->reference_count = 1;
    if (json_decode(container_spec_fields, spec_text, strlen(spec_text), spec, err) < 0 ||
        json_decode(state_fields, state_text_, strlen(state_text_), &state, err) < 0) {
        container_spec_unref(spec);
        return error_context(err, "record of container %s", id);
    }
    uint64_t sequence = (uint64_t)query_int64(query, 3);
    struct container *container = container_new(engine, id, query_text(query, 1), spec,
                                                query_int64(query, 2), sequence);
    container_spec_unref(spec);
    restore_state(container, &state);
    json_fields_done(state_fields, &state);
    restore_health(container, query_text(query, 6));
    container->is_whole = query_int64(query, 7);
    map_set(&engine->containers, container->id, container);
    map_set(&engine->container_names, container->info->name, container);
    engine->next_sequence = MAX(engine->next_sequence, sequence + 1);
    return 0;
}

int containers_load(struct engine *engine, struct error *err)
{
    CLEANUP(query_close) struct query *query = NULL;
    int row;

    if (database_query(engine->database, &query, err,
                       "SELECT id, name, created_ns, sequence, spec, state, health, is_whole "
                       "FROM container ORDER BY sequence",
                       "") < 0)
        return -1;
    mutex_lock(&engine->lock);
    while ((row = query_next(query, err)) > 0)
        if (load_row(engine, query, err) < 0) {
            /* One broken row must not take the others hostage. */
            log_error("cannot read a container's record", "error", err->text);
            *err = (struct error){};
        }
    mutex_unlock(&engine->lock);
    return row;
}

struct container *container_find_id(struct engine *engine, const char *id)
{
    mutex_lock(&engine->lock);
    struct container *container = map_get(&engine->containers, id);
    if (container)
        container_ref(container);
    mutex_unlock(&engine->lock);
    return container;
}

/* Engine lock held: by id, then by name, then by unique prefix. */
static struct container *find_locked(struct engine *engine, const char *text,
                                     bool *out_is_ambiguous) REQUIRES(engine->lock)
{
    struct container *found = map_get(&engine->containers, text);

    *out_is_ambiguous = false;
    if (found)
        return found;
    found = map_get(&engine->container_names, text[0] == '/' ? text + 1 : text);
    if (found || !*text)
        return found;
    MAP_EACH (&engine->containers, entry) {
        if (!text_starts(entry->key, text))
            continue;
        if (found) {
            *out_is_ambiguous = true;
            return NULL;
        }
        found = entry->value;
    }
    return found;
}

int container_find(struct engine *engine, const char *text, struct container **out,
                   struct error *err)
{
    bool is_ambiguous;

    mutex_lock(&engine->lock);
    struct container *container = find_locked(engine, text, &is_ambiguous);
    if (container)
        *out = container_ref(container);
    mutex_unlock(&engine->lock);
    if (is_ambiguous)
        return error_set(err, ERROR_INVALID, "multiple IDs found with provided prefix: %s", text);
    if (!container)
        return error_set(err, ERROR_NOT_FOUND, "No such container: %s", text);
    return 0;
}

int engine_container_get(struct engine *engine, const char *text, struct container_info **out,
                         struct error *err)
{
    CLEANUP(container_unref) struct container *container = NULL;

    if (container_find(engine, text, &container, err) < 0)
        return -1;
    *out = container_snapshot(container);
    return 0;
}

int engine_container_list(struct engine *engine, struct container_info ***out, size_t *out_count,
                          struct error *err UNUSED)
{
    mutex_lock(&engine->lock);
    size_t count = engine->containers.count;
    struct container_info **list = xcalloc(count + 1, sizeof(*list));

    /* The map keeps the order of creation. */
    for (size_t i = 0; i < count; i++)
        list[count - 1 - i] = container_snapshot(engine->containers.entries[i].value);
    mutex_unlock(&engine->lock);
    *out = list;
    *out_count = count;
    return 0;
}

void engine_container_list_free(struct container_info **list, size_t count)
{
    for (size_t i = 0; list && i < count; i++)
        container_info_unref(list[i]);
    free(list);
}

void container_event(struct container *container, const struct container_info *info,
                     const char *action, const struct map *extra)
{
    CLEANUP(map_done) struct map attributes;

    map_copy_texts(&attributes, &info->config.labels);
    map_set_text(&attributes, "image", info->image_name ? info->image_name : "");
    map_set_text(&attributes, "name", info->name);
    if (extra)
        MAP_EACH (extra, entry)
            map_set_text(&attributes, entry->key, entry->value);
    engine_event(container->engine, "container", action, container->id, &attributes);
}

void container_event_text(struct container *container, const struct container_info *info,
                          const char *action, const char *key, const char *value)
{
    CLEANUP(map_done) struct map extra = {};

    map_set_text(&extra, key, value);
    container_event(container, info, action, &extra);
}
