/* Putting the engine together and taking it apart. */
#include "engine/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "engine/build_lender.h"
#include "engine/collector.h"
#include "engine/exec_record.h"
#include "engine/internal.h"
#include "engine/usage_cache.h"
#include "engine/user_map.h"
#include "linux/cgroup.h"
#include "linux/mount.h"

#include "base/banned.h"

enum { SEALED_FD = 256, SECCOMP_LIMIT = 16 << 20 };

static const char *const schema[] = {
    "CREATE TABLE container(id TEXT PRIMARY KEY, name TEXT UNIQUE NOT NULL, created_ns INTEGER NOT "
    "NULL, "
    "sequence INTEGER NOT NULL, spec TEXT NOT NULL, state TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE setting(name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;",
    exec_record_schema,
    "ALTER TABLE container ADD COLUMN health TEXT NOT NULL DEFAULT '';",
    collector_schema,
    "ALTER TABLE container ADD COLUMN is_whole INTEGER NOT NULL DEFAULT 1;",
    usage_cache_schema,
};

/* Copies of what the options point to. */
struct engine_strings {
    struct strv texts;
    struct strv address_pools, labels, insecure_registries, registry_mirrors, dns, dns_options,
        dns_search, cdi_paths, plugin_paths, registry_certificates;
    struct map log_options;
    struct json_list default_ulimits, runtimes;
};

static const char *keep(struct engine_strings *strings, const char *text)
{
    if (!text)
        return NULL;
    strv_add(&strings->texts, text);
    return strings->texts.items[strings->texts.count - 1];
}

static const struct strv *keep_list(struct strv *copy, const struct strv *list)
{
    static const struct strv none;

    strv_copy(copy, list ? list : &none);
    return copy;
}

static struct engine_strings *keep_options(const struct engine_options *given,
                                           struct engine_options *out)
{
    struct engine_strings *strings = NEW(struct engine_strings);

    *out = *given;
    const char **const texts[] = {
        &out->data_path,    &out->run_path,        &out->shim_path,      &out->init_path,
        &out->engine_id,    &out->storage_driver,  &out->bridge_address, &out->default_binding,
        &out->log_driver,   &out->cgroup_parent,   &out->cgroupns_mode,  &out->ipc_mode,
        &out->seccomp_path, &out->default_runtime, &out->logger_path,    &out->userns_remap,
    };
    for (size_t i = 0; i < COUNT(texts); i++)
        *texts[i] = keep(strings, *texts[i]);
    out->address_pools = keep_list(&strings->address_pools, given->address_pools);
    out->labels = keep_list(&strings->labels, given->labels);
    out->insecure_registries = keep_list(&strings->insecure_registries, given->insecure_registries);
    out->http_proxy = keep(strings, given->http_proxy);
    out->https_proxy = keep(strings, given->https_proxy);
    out->no_proxy = keep(strings, given->no_proxy);
    out->registry_certificates = keep_list(&strings->registry_certificates,
                                           given->registry_certificates);
    out->registry_mirrors = keep_list(&strings->registry_mirrors, given->registry_mirrors);
    out->dns = keep_list(&strings->dns, given->dns);
    out->dns_options = keep_list(&strings->dns_options, given->dns_options);
    out->dns_search = keep_list(&strings->dns_search, given->dns_search);
    out->cdi_paths = keep_list(&strings->cdi_paths, given->cdi_paths);
    out->plugin_paths = keep_list(&strings->plugin_paths, given->plugin_paths);
    if (given->log_options)
        map_copy_texts(&strings->log_options, given->log_options);
    out->log_options = &strings->log_options;
    for (size_t i = 0; given->default_ulimits && i < given->default_ulimits->count; i++) {
        struct ulimit *limit = json_list_add(&strings->default_ulimits, sizeof(*limit));

        *limit = JSON_ITEMS(given->default_ulimits, struct ulimit)[i];
        limit->name = xstrdup(limit->name);
    }
    out->default_ulimits = &strings->default_ulimits;
    for (size_t i = 0; given->runtimes && i < given->runtimes->count; i++) {
        const struct engine_runtime *theirs = &JSON_ITEMS(given->runtimes,
                                                          struct engine_runtime)[i];
        struct engine_runtime *runtime = json_list_add(&strings->runtimes, sizeof(*runtime));

        runtime->name = xstrdup(theirs->name);
        runtime->path = xstrdup(theirs->path);
        strv_copy(&runtime->arguments, &theirs->arguments);
    }
    out->runtimes = &strings->runtimes;
    return strings;
}

static void free_options(struct engine_strings *strings)
{
    struct strv *const lists[] = { &strings->texts,
                                   &strings->address_pools,
                                   &strings->labels,
                                   &strings->insecure_registries,
                                   &strings->registry_mirrors,
                                   &strings->registry_certificates,
                                   &strings->dns,
                                   &strings->dns_options,
                                   &strings->dns_search,
                                   &strings->cdi_paths,
                                   &strings->plugin_paths };

    for (size_t i = 0; i < COUNT(lists); i++)
        strv_done(lists[i]);
    map_done(&strings->log_options);
    for (size_t i = 0; i < strings->default_ulimits.count; i++)
        free(JSON_ITEMS(&strings->default_ulimits, struct ulimit)[i].name);
    free(strings->default_ulimits.items);
    for (size_t i = 0; i < strings->runtimes.count; i++) {
        struct engine_runtime *runtime = &JSON_ITEMS(&strings->runtimes, struct engine_runtime)[i];

        free(runtime->name);
        free(runtime->path);
        strv_done(&runtime->arguments);
    }
    free(strings->runtimes.items);
    free(strings);
}

/* ---- news from the supervisors: handed to the work queue ---- */

struct exit_news {
    struct engine *engine;
    char container_id[65];
    uint64_t run_number; /* when it was told */
    struct run_end end;
};

static void handle_exit(void *data)
{
    CLEANUP(free) struct exit_news *news = data;
    CLEANUP(container_unref) struct container *container = NULL;

    container = container_find_id(news->engine, news->container_id);
    if (container)
        container_exited(container, news->run_number, &news->end);
}

/* A build step's end is told to the thread that waits for it. */
static bool tell_build(struct engine *engine, const char *id, int exit_code)
{
    mutex_lock(&engine->lock);
    struct build_process *process = map_get(&engine->build_processes, id);
    if (process) {
        process->exit_code = exit_code;
        uint64_t one = 1;
        if (write(process->exit_fd, &one, sizeof(one)) < 0)
            log_error("cannot tell a build of its step's end", "id", id);
    }
    mutex_unlock(&engine->lock);
    return process != NULL;
}

static void submit_exit(struct engine *engine, const char *container_id, const struct run_end *end)
{
    struct exit_news *news = NEW(struct exit_news);

    *news = (struct exit_news){ .engine = engine, .end = *end };
    snprintf(news->container_id, sizeof(news->container_id), "%s", container_id);
    CLEANUP(container_unref) struct container *container = container_find_id(engine, container_id);
    if (container) {
        mutex_lock(&container->lock);
        news->run_number = container->run_number;
        mutex_unlock(&container->lock);
    }
    work_submit(engine->work, 0, handle_exit, free, news);
}

static void on_exit_news(void *data, const char *container_id, const char *exec_id, int exit_code,
                         bool oom_killed, int64_t wall_ns)
{
    struct engine *engine = data;

    /* At once: a client that saw the end of the output asks for the exit code next. */
    if (exec_id)
        exec_exited(engine, container_id, exec_id, exit_code);
    else if (!tell_build(engine, container_id, exit_code))
        submit_exit(engine, container_id,
                    &(struct run_end){
                        .exit_code = exit_code, .oom_killed = oom_killed, .wall_ns = wall_ns });
}

static void on_out_of_memory(void *data, const char *container_id, int64_t wall_ns UNUSED)
{
    CLEANUP(container_unref) struct container *container = container_find_id(data, container_id);

    if (!container)
        return;
    CLEANUP(container_info_unref) struct container_info *info = container_snapshot(container);
    container_event(container, info, "oom", NULL);
}

static void on_detached(void *data, const char *container_id, const char *exec_id)
{
    if (exec_id) {
        exec_detached(data, container_id, exec_id);
        return;
    }
    CLEANUP(container_unref) struct container *container = container_find_id(data, container_id);

    if (!container)
        return;
    CLEANUP(container_info_unref) struct container_info *info = container_snapshot(container);
    container_event(container, info, "detach", NULL);
}

static void on_lost(void *data, const char *container_id, pid_t pid UNUSED)
{
    struct engine *engine = data;

    log_error("a supervisor died", "container", container_id);
    if (!tell_build(engine, container_id, SUPERVISOR_KILLED_CODE))
        submit_exit(engine, container_id,
                    &(struct run_end){ .exit_code = SUPERVISOR_KILLED_CODE,
                                       .wall_ns = clock_wall_ns(),
                                       .reason = SUPERVISOR_KILLED_REASON });
}

/* ---- opening ---- */

static int make_directories(struct engine *engine, struct error *err)
{
    const char *data = engine->options.data_path, *run = engine->options.run_path;
    CLEANUP(free) char *temporary = path_join(data, "tmp");
    CLEANUP(free) char *shims = path_join(run, "shims");

    engine->containers_path = path_join(data, "containers");
    engine->bundles_path = path_join(run, "bundles");
    engine->filters_path = path_join(run, "seccomp");
    engine->init_layer_path = path_join(data, "init");
    const char *const paths[] = {
        data,      run,   engine->containers_path, engine->bundles_path, engine->filters_path,
        temporary, shims, engine->init_layer_path
    };
    for (size_t i = 0; i < COUNT(paths); i++)
        if (dir_make(paths[i], 0700, err) < 0)
            return -1;
    return 0;
}

/* What lies between image and changes in every container: mount points that Docker users expect to
 * find. Made anew at each start of the engine; it is never written to by a container. */
static int make_init_layer(struct engine *engine, struct error *err)
{
    static const char *const directories[] = { "dev", "dev/pts", "dev/shm", "etc", "proc", "sys" };
    static const char *const files[] = { ".dockerenv", "dev/console", "etc/hosts", "etc/hostname",
                                         "etc/resolv.conf" };
    CLEANUP(close) int root = open(engine->init_layer_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (root < 0)
        return error_sys(err, "open %s", engine->init_layer_path);
    if (fchmod(root, 0755) < 0)
        return error_sys(err, "set the mode of %s", engine->init_layer_path);
    for (size_t i = 0; i < COUNT(directories); i++)
        if (mkdirat(root, directories[i], 0755) < 0 && errno != EEXIST)
            return error_sys(err, "make %s", directories[i]);
    for (size_t i = 0; i < COUNT(files); i++) {
        int fd = openat(root, files[i], O_CREAT | O_WRONLY | O_CLOEXEC, 0755);

        if (fd < 0)
            return error_sys(err, "make %s", files[i]);
        close(fd);
    }
    if (symlinkat("/proc/mounts", root, "etc/mtab") < 0 && errno != EEXIST)
        return error_sys(err, "make etc/mtab");
    return 0;
}

/* The identity of this installation, made once. */
static int load_identity(struct engine *engine, struct error *err)
{
    CLEANUP(query_close) struct query *query = NULL;
    unsigned char b[16];

    if (database_query(engine->database, &query, err, "SELECT value FROM setting WHERE name = 'id'",
                       "") < 0)
        return -1;
    int row = query_next(query, err);
    if (row < 0)
        return -1;
    if (row > 0) {
        snprintf(engine->uuid, sizeof(engine->uuid), "%s", query_text(query, 0));
        return 0;
    }
    if (getrandom(b, sizeof(b), 0) != sizeof(b))
        return error_sys(err, "get random bytes");
    b[6] = (b[6] & 0x0F) | 0x40;
    b[8] = (b[8] & 0x3F) | 0x80;
    snprintf(engine->uuid, sizeof(engine->uuid),
             "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1],
             b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14],
             b[15]);
    return database_run(engine->database, err, "INSERT INTO setting(name, value) VALUES('id', ?1)",
                        "s", engine->uuid) < 0
               ? -1
               : 0;
}

static int load_seccomp_profile(struct engine *engine, struct error *err)
{
    const char *path = engine->options.seccomp_path;
    CLEANUP(str_done) struct str text = {};

    if (text_is_empty(path) || strcmp(path, "builtin") == 0 || strcmp(path, "unconfined") == 0) {
        engine->seccomp_profile = xstrdup(text_is_empty(path) ? "builtin" : path);
        return 0;
    }
    if (file_read(path, SECCOMP_LIMIT, &text, err) < 0)
        return error_context(err, "opening seccomp profile (%s) failed", path);
    engine->seccomp_profile = str_take(&text);
    return 0;
}

/* The build cache let go of entries: layers that nobody else uses go too. */
static void collect_layers(void *data)
{
    struct engine *engine = data;
    struct error err = {};

    if (store_collect(engine->store, engine_layer_is_used, engine, &err) < 0)
        log_warn("cannot remove unused layers", "error", err.text);
}

/* The supervisor is run through a read-only mount of its own, so that no container that got hold of
 * it through /proc can write to it. */
static int seal_shim(struct engine *engine, struct error *err)
{
    CLEANUP(close) int fd = mount_program(engine->options.shim_path, err);

    if (fd < 0)
        return error_context(err, "supervisor program");
    /* Far above those that a starting supervisor gets. */
    engine->shim_fd = fcntl(fd, F_DUPFD_CLOEXEC, SEALED_FD);
    if (engine->shim_fd < 0)
        return error_sys(err, "supervisor program");
    engine->sealed_shim_path = xasprintf("/proc/self/fd/%d", engine->shim_fd);
    if (engine->options.logger_path)
        engine->logger_fd = mount_program(engine->options.logger_path, err);
    return engine->options.logger_path && engine->logger_fd < 0
               ? error_context(err, "logger program")
               : 0;
}

static void discard(void *data, struct strv *paths)
{
    engine_discard(data, paths);
}

static int open_volumes(struct engine *engine, struct error *err)
{
    CLEANUP(strv_done) struct strv trash = {};

    if (volumes_open(engine->options.data_path, engine->database, &trash, &engine->volumes, err) <
        0)
        return -1;
    engine_discard(engine, &trash);
    return 0;
}

static int open_parts(struct engine *engine, struct error *err)
{
    const struct engine_options *options = &engine->options;
    CLEANUP(free) char *database_path = path_join(options->data_path, "berth.db");
    CLEANUP(free) char *names_path = path_join(options->run_path, "names");
    struct store_options store = { .data_path = options->data_path,
                                   .driver = options->storage_driver,
                                   .discard = discard,
                                   .discard_data = engine };
    struct networks_options networks = { .engine_id = options->engine_id ? options->engine_id : "",
                                         .bridge_address = options->bridge_address,
                                         .address_pools = options->address_pools,
                                         .default_binding = options->default_binding,
                                         .names_path = names_path,
                                         .mtu = options->mtu,
                                         .icc = options->icc,
                                         .ip_forward = options->ip_forward,
                                         .ip_masquerade = options->ip_masquerade,
                                         .firewall_strict = options->firewall_strict,
                                         .firewall_shared = options->firewall_shared };
    struct build_worker worker = { .run = build_worker_run,
                                   .pull = build_worker_pull,
                                   .collect = collect_layers,
                                   .data = engine };
    struct shim_events news = { .exited = on_exit_news,
                                .out_of_memory = on_out_of_memory,
                                .detached = on_detached,
                                .lost = on_lost,
                                .data = engine };

    if (work_queue_new(&engine->work, err) < 0)
        return -1;
    engine->trash = trash_new(engine);
    if (database_open(database_path, &engine->database, err) < 0 ||
        database_migrate(engine->database, "engine", schema, COUNT(schema), err) < 0 ||
        load_identity(engine, err) < 0 ||
        usage_cache_open(engine->database, options->data_path, &engine->usage, err) < 0)
        return error_context(err, "open the record");
    if (store_open(&store, engine->database, &engine->store, err) < 0)
        return error_context(err, "open the store");
    if (open_volumes(engine, err) < 0)
        return error_context(err, "open the volumes");
    if (options->plugin_paths)
        volumes_use_plugins(engine->volumes, options->plugin_paths);
    if (networks_open(&networks, engine->database, &engine->networks, err) < 0)
        return error_context(err, "set up the networks");
    if (builder_open(engine->store, engine->database, options->data_path, &worker, &engine->builder,
                     err) < 0)
        return error_context(err, "open the builder");
    engine->registry = engine_registry_open(engine);
    return shim_monitor_new(options->run_path, &news, &engine->monitor, err);
}

int engine_open(const struct engine_options *options, struct engine **out, struct error *err)
{
    struct engine *engine = NEW(struct engine);
    const char *parent = options->cgroup_parent;

    engine->strings = keep_options(options, &engine->options);
    engine->shim_fd = engine->logger_fd = -1;
    mutex_init(&engine->lock);
    mutex_init(&engine->filter_lock);
    engine->events = event_ring_new();
    engine->metrics = metrics_new();
    engine->build_lenders = build_lenders_new();
    const char *id = options->engine_id ? options->engine_id : "";
    if (text_is_empty(parent))
        engine->cgroup_path = xasprintf("/berth%s%s", *id ? "-" : "", id);
    else
        engine->cgroup_path = xasprintf("%s%s", parent[0] == '/' ? "" : "/", parent);
    if (user_map_check_remap(options->userns_remap, err) < 0 || health_open(engine, err) < 0 ||
        make_directories(engine, err) < 0 || seal_shim(engine, err) < 0 ||
        make_init_layer(engine, err) < 0 || load_seccomp_profile(engine, err) < 0 ||
        open_parts(engine, err) < 0 || containers_load(engine, err) < 0 ||
        execs_load(engine, err) < 0 || engine_reconcile(engine, err) < 0) {
        engine_close(engine);
        return -1;
    }
    engine->collector = collector_new(engine, &options->collection);
    engine_usage_prepare(engine);
    *out = engine;
    return 0;
}

void engine_close(struct engine *engine)
{
    if (!engine)
        return;
    health_end(engine);
    collector_end(engine->collector);
    usage_cache_end(engine->usage);
    trash_end(engine->trash);
    /* Jobs use the monitor, and the monitor hands out jobs. */
    if (engine->work && !work_queue_end(engine->work)) {
        /* It still uses all this. The record is whole at any moment, and the process ends. */
        log_warn("work that does not end is left behind");
        return;
    }
    if (engine->monitor)
        shim_monitor_free(engine->monitor);
    work_queue_free(engine->work);
    trash_free(engine->trash);
    collector_free(engine->collector);
    execs_free(engine);
    health_close(engine);
    mutex_lock(&engine->lock);
    map_done(&engine->build_processes);
    MAP_EACH (&engine->containers, entry)
        container_unref(entry->value);
    map_done(&engine->containers);
    map_done(&engine->container_names);
    mutex_unlock(&engine->lock);
    registry_free(engine->registry);
    builder_close(engine->builder);
    build_lenders_free(engine->build_lenders);
    networks_close(engine->networks);
    volumes_close(engine->volumes);
    store_close(engine->store);
    database_close(engine->database);
    event_ring_free(engine->events);
    metrics_free(engine->metrics);
    usage_cache_free(engine->usage);
    if (engine->shim_fd >= 0)
        close(engine->shim_fd);
    if (engine->logger_fd >= 0)
        close(engine->logger_fd);
    free(engine->sealed_shim_path);
    free(engine->seccomp_profile);
    free(engine->cgroup_path);
    free(engine->containers_path);
    free(engine->bundles_path);
    free(engine->filters_path);
    free(engine->init_layer_path);
    free_options(engine->strings);
    mutex_done(&engine->lock);
    mutex_done(&engine->filter_lock);
    free(engine);
}

int engine_reload(struct engine *engine, const struct engine_options *options,
                  struct error *err UNUSED)
{
    CLEANUP(map_done) struct map attributes = {};

    /* Labels, mirrors and insecure registries are read by nobody who keeps them: they are replaced
     * in place. */
    mutex_lock(&engine->lock);
    engine->options.debug = options->debug;
    mutex_unlock(&engine->lock);
    collector_set(engine->collector, &options->collection);
    map_set_text(&attributes, "debug", options->debug ? "true" : "false");
    engine_event(engine, "daemon", "reload", engine->uuid, &attributes);
    return 0;
}

void engine_info(struct engine *engine, struct engine_info *out)
{
    struct image **images = NULL;
    size_t image_count = 0;
    struct error ignored;

    *out = (struct engine_info){ .driver = store_driver(engine->store),
                                 .data_path = engine->options.data_path,
                                 .log_driver = engine->options.log_driver
                                                   ? engine->options.log_driver
                                                   : "json-file",
                                 .event_listeners = event_ring_listeners(engine->events),
                                 .options = &engine->options };
    memcpy(out->id, engine->uuid, sizeof(out->id));
    mutex_lock(&engine->lock);
    MAP_EACH (&engine->containers, entry) {
        CLEANUP(container_info_unref)
        struct container_info *info = container_snapshot(entry->value);

        out->containers++;
        out->running += info->state == CONTAINER_RUNNING || info->state == CONTAINER_RESTARTING;
        out->paused += info->state == CONTAINER_PAUSED;
        out->stopped += !container_is_up(info) && info->state != CONTAINER_RESTARTING;
    }
    mutex_unlock(&engine->lock);
    if (store_image_list(engine->store, &images, &image_count, &ignored) == 0)
        store_images_free(images, image_count);
    out->images = (int64_t)image_count;
}

int engine_destroy_kernel_objects(struct engine *engine, struct error *err)
{
    struct engine_info info;

    engine_info(engine, &info);
    if (info.running || info.paused)
        return error_set(err, ERROR_CONFLICT, "%lld containers are running",
                         (long long)(info.running + info.paused));
    if (networks_destroy(engine->networks, err) < 0)
        return -1;
    volumes_unmount_limited(engine->volumes);
    containers_release_directories(engine);
    /* A parent that was named by the user stays his. */
    return text_is_empty(engine->options.cgroup_parent) ? cgroup_remove(engine->cgroup_path, err)
                                                        : 0;
}
