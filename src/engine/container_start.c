/* Starting a container: network, root, configuration, supervisor; then the command. Whatever fails
 * is taken back, and what failed is kept in the container's state. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "engine/internal.h"
#include "engine/log_config.h"
#include "engine/runtime_config.h"
#include "engine/user_map.h"
#include "linux/pidfd.h"

#include "base/banned.h"

static int check_startable(const struct container_info *info, struct error *err)
{
    switch (info->state) {
    case CONTAINER_RUNNING:
        return error_set(err, ERROR_NOT_MODIFIED, "container %s is running", info->id);
    case CONTAINER_PAUSED:
        return error_set(err, ERROR_CONFLICT,
                         "cannot start a paused container, try unpause instead");
    case CONTAINER_REMOVING:
    case CONTAINER_DEAD:
        return error_set(err, ERROR_CONFLICT,
                         "container is marked for removal and cannot be started");
    default:
        return 0;
    }
}

/* The pid of a running container that 'mode' ("container:<id>") names; 0 if it names none. The
 * descriptor tells later whether that process was still there when its namespaces were entered. */
static int joined_pid(struct engine *engine, const char *mode, const char *what, pid_t *out,
                      int *out_pidfd, struct error *err)
{
    CLEANUP(container_unref) struct container *other = NULL;

    *out = 0;
    if (!mode || !text_starts(mode, "container:"))
        return 0;
    if (container_find(engine, mode + 10, &other, err) < 0)
        return error_context(err, "failed to join %s namespace", what);
    CLEANUP(container_info_unref) struct container_info *info = container_snapshot(other);
    if (!container_is_up(info))
        return error_set(err, strcmp(what, "IPC") == 0 ? ERROR_CONFLICT : ERROR_INTERNAL,
                         "failed to join %s namespace: container %s is not running", what,
                         info->id);
    if (strcmp(what, "IPC") == 0 && !text_equal(info->host_config.ipc_mode, "shareable"))
        return error_set(err, ERROR_CONFLICT,
                         "failed to join IPC namespace: container %s: non-shareable IPC (hint: use "
                         "IpcMode:shareable for the donor container)",
                         info->id);
    if (container_open_init(other, info, out_pidfd, err) < 0)
        return error_context(err, "failed to join %s namespace", what);
    *out = info->pid;
    return 0;
}

/* --security-opt seccomp=…; privileged containers have none unless they ask. */
static const char *seccomp_profile(const struct engine *engine, const struct host_config *host)
{
    const char *wish = security_option(host, "seccomp");

    if (!text_is_empty(wish))
        return wish;
    return host->privileged ? "unconfined" : engine->seccomp_profile;
}

/* Only a command that cannot be run is the client's fault. */
static void judge_runtime_error(struct error *err)
{
    if (err->kind == ERROR_NOT_FOUND || err->kind == ERROR_FORBIDDEN || err->kind == ERROR_INVALID)
        err->kind = start_failure_code(err) == 128 ? ERROR_INTERNAL : ERROR_INVALID;
}

/* What is put in front of the runtime's own words, so that clients find the phrases they look for:
 * Docker tells what its engine finds out as it is, what its runtime finds wrong in the
 * configuration behind fewer words. */
static int runtime_error(struct error *err)
{
    static const struct {
        const char *beginning, *context;
    } rows[] = {
        { "Decoding seccomp profile failed", NULL },
        { "unable to find ", NULL },
        { "uids and gids must be ", NULL },
        { "sysctl \"", "runc create failed" },
        { "wrong rlimit value: ", "runc create failed" },
        { "", "runc create failed: unable to start container process: error during container "
              "init" },
    };
    size_t row = 0;

    judge_runtime_error(err);
    while (!text_starts(err->text, rows[row].beginning))
        row++;
    if (!rows[row].context)
        return -1;
    if (text_starts(err->text, "failed to initialize logging driver"))
        return error_context(err, "failed to create task for container");
    error_context(err, "%s", rows[row].context);
    return error_context(err,
                         "failed to create task for container: failed to create shim task: OCI "
                         "runtime create failed");
}

int start_failure_code(const struct error *err)
{
    if (strstr(err->text, "permission denied") || strstr(err->text, "is a directory"))
        return 126;
    if (strstr(err->text, "executable file not found") ||
        strstr(err->text, "no such file or directory"))
        return 127;
    return 128;
}

/* The engine's init of today: the one of the container's creation may have moved with an upgrade.
 */
static const char *init_path(const struct engine *engine, const struct container_spec *spec)
{
    if (!spec->init_path || text_is_empty(engine->options.init_path))
        return spec->init_path;
    return engine->options.init_path;
}

static int make_log_directory(const struct container_info *info, struct error *err)
{
    CLEANUP(free)
    char *directory = xstrndup(info->log_path,
                               (size_t)(path_base(info->log_path) - info->log_path));

    return *directory ? dir_make(directory, 0700, err) : 0;
}

static int launch_container(struct container *container, const struct container_info *info,
                            const struct container_network *network,
                            const struct container_sources *sources, int users_fd,
                            struct shim **out, pid_t *out_pid, struct error *err)
{
    struct engine *engine = container->engine;
    CLEANUP(runtime_config_done) struct runtime_config config = {};
    CLEANUP(writable_done) struct writable writable = {};
    CLEANUP(close) int root_fd = -1;
    CLEANUP(free) char *cgroup = container_cgroup(engine, info);
    CLEANUP(log_settings_done) struct log_settings log = {};
    CLEANUP(close) int pid_donor_fd = -1;
    CLEANUP(close) int ipc_donor_fd = -1;
    struct runtime_config_paths paths = {
        .hosts = network->hosts_path,
        .hostname = network->hostname_path,
        .resolv = network->resolv_path,
        .cgroup = cgroup,
        .user_namespace_fd = MAX(users_fd, 0),
    };
    struct launch launch = {
        .id = container->id,
        .config = &config,
        .seccomp_profile = seccomp_profile(engine, &info->host_config),
        .init_path = init_path(engine, info->spec),
        .network_fd = network->namespace_fd,
        .kept_fds = network->port_fds,
        .kept_fd_count = network->port_fd_count,
        .sources = sources,
        .stdin_open = info->config.open_stdin,
        .stdin_once = info->config.stdin_once,
    };

    if (runtime_find(engine, info->host_config.runtime, &launch.runtime, err) < 0 ||
        joined_pid(engine, info->host_config.pid_mode, "PID", &paths.pid_namespace_of,
                   &pid_donor_fd, err) < 0 ||
        joined_pid(engine, info->host_config.ipc_mode, "IPC", &paths.ipc_namespace_of,
                   &ipc_donor_fd, err) < 0 ||
        log_settings_read(info, &log, err) < 0 || make_log_directory(info, err) < 0 ||
        container_runtime_config(engine, info, info->spec, &paths, &config, err) < 0 ||
        container_writable(container, &writable, err) < 0 ||
        container_root_mount(container, &writable, users_fd, &root_fd, err) < 0)
        return -1;
    launch.rootfs_fd = root_fd;
    launch.log = log.options;
    if (launch_create(engine, &launch, out, out_pid, err) < 0)
        return runtime_error(err);
    if ((pid_donor_fd >= 0 && pidfd_has_ended(pid_donor_fd)) ||
        (ipc_donor_fd >= 0 && pidfd_has_ended(ipc_donor_fd))) {
        /* Its number may be another's by now, and what was entered too. */
        launch_end(engine, container->id, cgroup, *out);
        shim_unref(TAKE(*out));
        return error_set(err, ERROR_CONFLICT, "the container to be joined has ended");
    }
    return 0;
}

static void tell_mounted(struct container *container, const struct container_info *info,
                         const char *action)
{
    for (size_t i = 0; i < info->mounts.count; i++) {
        const struct mount_point *mount = &JSON_ITEMS(&info->mounts, struct mount_point)[i];
        CLEANUP(map_done) struct map attributes = {};

        if (strcmp(mount->type, "volume") != 0)
            continue;
        map_set_text(&attributes, "container", container->id);
        if (strcmp(action, "mount") == 0) {
            map_set_text(&attributes, "destination", mount->destination);
            map_set_text(&attributes, "propagation", mount->propagation ? mount->propagation : "");
            map_set_text(&attributes, "read/write", mount->rw ? "true" : "false");
        }
        map_set_text(&attributes, "driver", mount->driver ? mount->driver : "local");
        engine_event(container->engine, "volume", action, mount->name, &attributes);
    }
}

/* Keeps why it failed. A container that never ran stays "created", one that did is "exited". */
static void keep_failure(struct container *container, const struct error *err)
{
    CLEANUP(container_info_unref) struct container_info *info = container_snapshot(container);
    struct container_info *next = container_info_copy(info);

    free(next->error);
    next->error = xstrdup(err->text);
    next->exit_code = start_failure_code(err);
    next->pid = 0;
    if (next->state != CONTAINER_CREATED) {
        next->state = CONTAINER_EXITED;
        next->finished_ns = clock_wall_ns();
    }
    engine_usage_touch_container(container);
    container_publish(container, next);
    container_drop_attaches(container);
    container_wake_waiters(container, false, start_failure_code(err), err->text);
    if (info->host_config.auto_remove) {
        struct error ignored;

        container_remove_locked(container, true, &ignored);
    }
}

static void set_health(struct container *container, struct container_health *health)
{
    mutex_lock(&container->lock);
    uint64_t run_number = container->run_number;
    mutex_unlock(&container->lock);
    container_set_health(container, run_number, health);
    container_record_health(container);
}

/* Every run begins its health anew. */
static void begin_health(struct container *container, const struct container_info *info)
{
    CLEANUP(health_unref) struct container_health *health = NULL;

    if (!health_has_check(info->config.healthcheck))
        return;
    health = health_new("starting");
    set_health(container, health);
}

static int run(struct container *container, const struct container_info *info,
               struct container_network *network, const struct container_sources *sources,
               int users_fd, struct error *err)
{
    struct engine *engine = container->engine;
    CLEANUP(free) char *cgroup = container_cgroup(engine, info);
    CLEANUP(shim_unref) struct shim *shim = NULL;
    pid_t pid;

    if (launch_container(container, info, network, sources, users_fd, &shim, &pid, err) < 0)
        return -1;
    struct container_info *next = container_info_copy(info);
    next->state = CONTAINER_RUNNING;
    next->pid = pid;
    next->exit_code = 0;
    next->oom_killed = false;
    next->started_ns = clock_wall_ns();
    free(next->error);
    next->error = xstrdup("");
    free(next->hosts_path);
    free(next->hostname_path);
    free(next->resolv_path);
    next->hosts_path = xstrdup(network->hosts_path ? network->hosts_path : "");
    next->hostname_path = xstrdup(network->hostname_path ? network->hostname_path : "");
    next->resolv_path = xstrdup(network->resolv_path ? network->resolv_path : "");
    free(next->ports.items);
    next->ports = (struct json_list){};
    container_show_endpoints(next, network);
    if (network->has_names &&
        container_tell_resolver(container, next, shim, network->namespace_fd, true, err) < 0) {
        container_info_unref(next);
        launch_end(engine, container->id, cgroup, shim);
        return error_context(err, "failed to set up container networking");
    }
    container->has_resolver = network->has_names;

    mutex_lock(&container->lock);
    container->shim = shim_ref(shim);
    container->manually_stopped = false;
    container->run_number++;
    mutex_unlock(&container->lock);
    /* Who attaches from here on finds the supervisor; who did before is handed over. */
    container_hand_over_attaches(container, shim);
    begin_health(container, info);
    /* The record knows of the run before its command does anything. */
    container_publish(container, next);
    if (shim_start(shim, err) < 0) {
        mutex_lock(&container->lock);
        shim_unref(container->shim);
        container->shim = NULL;
        mutex_unlock(&container->lock);
        launch_end(engine, container->id, cgroup, shim);
        container_publish_only(container, container_info_copy(info));
        if (health_has_check(info->config.healthcheck))
            set_health(container, info->health);
        return runtime_error(err);
    }
    container_tell_connected(container, network);
    tell_mounted(container, next, "mount");
    CLEANUP(container_info_unref) struct container_info *now = container_snapshot(container);
    container_event(container, now, "start", NULL);
    health_watch(container);
    return 0;
}

/* The files about the network belong to the container's root. */
static int map_files(const struct container_network *network, int users_fd,
                     struct container_sources *sources, struct error *err)
{
    const struct {
        const char *path, *destination;
    } files[] = { { network->hosts_path, "/etc/hosts" },
                  { network->hostname_path, "/etc/hostname" },
                  { network->resolv_path, "/etc/resolv.conf" } };

    for (size_t i = 0; users_fd >= 0 && i < COUNT(files); i++)
        if (!container_sources_have(sources, files[i].destination) &&
            container_sources_add(sources, files[i].path, files[i].destination, users_fd, err) < 0)
            return -1;
    return 0;
}

static int start_locked(struct container *container, struct error *err)
{
    CLEANUP(container_info_unref) struct container_info *info = container_snapshot(container);
    CLEANUP(container_network_done) struct container_network network = { .namespace_fd = -1 };
    CLEANUP(container_sources_done) struct container_sources sources = {};
    CLEANUP(close) int users_fd = -1, network_fd = -1;

    if (container_is_removed(container))
        return error_set(err, ERROR_NOT_FOUND, "No such container: %s", container->id);
    if (check_startable(info, err) < 0)
        return -1;
    if (user_map_open(info->spec, &users_fd, &network_fd, err) < 0 ||
        container_mounts_begin(container->engine, container->id, info, users_fd, &sources, err) <
            0) {
        keep_failure(container, err);
        return -1;
    }
    if (container_network_setup(container, info, TAKE_FD(network_fd), &network, err) < 0) {
        container_mounts_end(container->engine, container->id, info->spec);
        keep_failure(container, err);
        return -1;
    }
    if (map_files(&network, users_fd, &sources, err) < 0 ||
        run(container, info, &network, &sources, users_fd, err) < 0) {
        struct error ignored;

        container_mounts_end(container->engine, container->id, info->spec);
        endpoint_detach(container->engine->networks, container->id, NULL, &ignored);
        keep_failure(container, err);
        return -1;
    }
    return 0;
}

int container_start_locked(struct container *container, struct error *err)
{
    uint64_t began_ns = clock_monotonic_ns();

    return metrics_note(container->engine, METRIC_START, began_ns, start_locked(container, err),
                        err);
}

int engine_container_start(struct engine *engine, const char *text, struct error *err)
{
    CLEANUP(container_unref) struct container *container = NULL;

    if (container_find(engine, text, &container, err) < 0)
        return -1;
    if (container_begin_operation(container, err))
        return -1;
    CLEANUP(container_info_unref) struct container_info *info = container_snapshot(container);
    int result = container_start_locked(container, err);
    if (result == 0 && info->restart_count) {
        CLEANUP(container_info_unref) struct container_info *now = container_snapshot(container);
        struct container_info *next = container_info_copy(now);

        next->restart_count = 0;
        container_publish(container, next);
    }
    container->restart_delay_ns = 0;
    mutex_unlock(&container->operation);
    return result;
}
